/** “Act as”: one click on a face makes the page that person's. */
import { useEffect, useRef } from "react";
import { Avatar } from "./avatar";
import { standing, useDesk } from "./desk";
import type { User } from "./types";

/** People who can act: everybody but the bots. */
export const actors = (users: User[]) => users.filter((user) => !user.is_bot);

interface PeopleProps {
  /** Ids of those who have something new to read. */
  waiting: ReadonlySet<string>;
  onPick: (id: string) => void;
}

export function People({ waiting, onPick }: PeopleProps) {
  const { state, me } = useDesk();
  const row = useRef<HTMLDivElement>(null);
  useEffect(() => {
    row.current?.querySelector("[aria-pressed=true]")?.scrollIntoView({ block: "nearest", inline: "center" });
  }, [me.id]);
  return (
    <div ref={row} className="people" role="group" aria-label="Act as">
      {actors(state.users).map((user) => {
        const note = standing(user, state.team.id);
        const about = [user.real_name, user.title, note, waiting.has(user.id) && "has new messages"].filter(Boolean).join(", ");
        return (
          <button
            key={user.id}
            type="button"
            className={`person${note ? " person-noted" : ""}`}
            aria-pressed={user.id === me.id}
            aria-label={about}
            data-testid="person"
            data-user-id={user.id}
            onClick={() => onPick(user.id)}
          >
            <Avatar user={user} size={30} />
            {waiting.has(user.id) && <span className="dot" />}
            {note && <span className="person-note" aria-hidden="true">{user.deleted ? "✕" : user.is_restricted ? "g" : "↗"}</span>}
            <span className="tip" aria-hidden="true"><b>{user.real_name}</b>{user.title && <span>{user.title}</span>}{note && <em>{note}</em>}</span>
          </button>
        );
      })}
    </div>
  );
}

/** Who the page is, in words. */
export function Myself() {
  const { me, state } = useDesk();
  const note = standing(me, state.team.id);
  return (
    <div className="myself" data-testid="myself" data-user-id={me.id}>
      <Avatar user={me} size={32} />
      <span>
        <b>{me.real_name}</b>
        <small>{[me.title, note, me.tz].filter(Boolean).join(" · ")}</small>
      </span>
    </div>
  );
}
