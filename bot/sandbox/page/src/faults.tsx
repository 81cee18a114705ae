/** What can go wrong with Slack, on demand; and the changes an administrator makes to a workspace. */
import { useEffect, useState } from "react";
import { get, post } from "./api";
import { useDesk } from "./desk";
import { Icon } from "./icons";
import { actors } from "./people";
import type { Fault } from "./types";

interface Offer {
  fault: string;
  name: string;
  about: string;
  /** Which of the shared fields it takes. */
  takes: readonly ("method" | "count" | "seconds")[];
  with?: Partial<Fault>;
}

const OFFERS: Offer[] = [
  { fault: "rate_limited", name: "429 Too Many Requests", about: "with Retry-After: 2", takes: ["method", "count"], with: { retry_after: 2 } },
  { fault: "server_error", name: "500 Server error", about: "Slack fails, nothing is stored", takes: ["method", "count"] },
  { fault: "outage", name: "Outage", about: "every call is refused for a while", takes: ["seconds"] },
  { fault: "drop_before", name: "Drop before store", about: "the connection closes first", takes: ["method", "count"] },
  { fault: "drop_after", name: "Drop after store", about: "stored, then the connection closes", takes: ["method", "count"] },
  { fault: "slow", name: "Slow answers", about: "each takes 4 s longer", takes: ["method", "count"], with: { delay: 4 } },
  { fault: "duplicate_delivery", name: "Duplicate delivery", about: "the next interaction comes twice", takes: ["count"] },
  { fault: "drop_ack", name: "Lost acknowledgement", about: "the bot's next answer is ignored", takes: ["count"] },
  { fault: "socket_refresh", name: "Socket refresh", about: "Slack asks the bot to reconnect", takes: [] },
  { fault: "error", name: "channel_not_found", about: "the method answers with this error", takes: ["method", "count"], with: { code: "channel_not_found" } },
];

const METHODS = ["chat.postMessage", "chat.update", "chat.postEphemeral", "views.open", "views.update", "views.publish", "conversations.open", "users.info", "usergroups.users.list"];

/** A rule in a few words; the server fills in every field, only those that matter to this fault are named. */
function inWords(rule: Fault): string {
  const own = Object.keys(OFFERS.find((offer) => offer.fault === rule.fault)?.with ?? {}) as (keyof Fault)[];
  const parts = (["method", "count", "seconds", ...own] as const).filter((key) => rule[key] != null).map((key) => `${key}=${rule[key]}`);
  return [rule.fault, ...parts].join(" ");
}

export function Faults({ onClose }: { onClose: () => void }) {
  const { state } = useDesk();
  const [active, setActive] = useState<Fault[]>([]);
  const [method, setMethod] = useState("chat.postMessage");
  const [count, setCount] = useState(1);
  const [seconds, setSeconds] = useState(20);
  const [pace, setPace] = useState(true);
  const [problem, setProblem] = useState<string | null>(null);
  const refresh = () => void get<{ faults: Fault[] }>("faults").then((body) => setActive(body.faults), () => setActive([]));
  useEffect(refresh, [state.version]);
  useEffect(() => void get<{ pace: boolean }>("limits").then((limits) => setPace(limits.pace), () => undefined), [state.version]);

  const tell = async (path: string, body: object) => {
    const answer = await post(path, body);
    setProblem(answer.ok ? null : (answer.message ?? answer.error ?? "refused"));
    refresh();
  };
  const play = ({ fault, takes, with: extra }: Offer) => {
    const rule: Fault = { fault, ...extra };
    if (takes.includes("method") && method) rule.method = method;
    if (takes.includes("count")) rule.count = count;
    if (takes.includes("seconds")) rule.seconds = seconds;
    void tell("faults", { add: [rule] });
  };

  return (
    <aside className="panel faults" aria-label="Faults" data-testid="faults" onKeyDown={(event) => event.key === "Escape" && onClose()}>
      <header className="pane-head">
        <h2>Make it fail</h2>
        <button type="button" className="icon" aria-label="Close faults" onClick={onClose}><Icon name="close" /></button>
      </header>
      <div className="panel-body">
        {problem && <p className="trouble" role="alert">{problem}</p>}
        <div className="fault-fields">
          <label>Method <select className="field select" value={method} onChange={(event) => setMethod(event.target.value)}>
            <option value="">any</option>
            {METHODS.map((name) => <option key={name}>{name}</option>)}
          </select></label>
          <label>Times <input className="field" type="number" min={1} max={99} value={count} onChange={(event) => setCount(Number(event.target.value) || 1)} /></label>
          <label>Seconds <input className="field" type="number" min={1} max={3600} value={seconds} onChange={(event) => setSeconds(Number(event.target.value) || 1)} /></label>
        </div>
        <ul className="offers">
          {OFFERS.map((offer) => (
            <li key={offer.fault}>
              <span><b>{offer.name}</b><small>{offer.about}{offer.takes.length > 0 && ` · uses ${offer.takes.join(", ").replace("count", "times")}`}</small></span>
              <button type="button" className="button" data-fault={offer.fault} aria-label={`Play ${offer.name}`} onClick={() => play(offer)}>Play</button>
            </li>
          ))}
        </ul>
        <h3>Waiting to happen</h3>
        {active.length ? (
          <>
            <ul className="rules" data-testid="active-faults">{active.map((rule, index) => <li key={index}><code>{inWords(rule)}</code></li>)}</ul>
            <button type="button" className="button" data-testid="clear-faults" onClick={() => void tell("faults", { clear: true })}>Clear all</button>
          </>
        ) : <p className="nothing">No fault.</p>}
        <h3>Limits</h3>
        <label className="pick"><input type="checkbox" checked={pace} onChange={(event) => (setPace(event.target.checked), void tell("limits", { pace: event.target.checked }))} /> One message per second and channel</label>
        <Administration tell={tell} />
      </div>
    </aside>
  );
}

function Administration({ tell }: { tell: (path: string, body: object) => Promise<void> }) {
  const { state } = useDesk();
  return (
    <>
      <h3>People</h3>
      <ul className="toggles">
        {actors(state.users).map((user) => (
          <li key={user.id}>
            <span>{user.real_name}</span>
            <label><input type="checkbox" checked={Boolean(user.is_restricted)} onChange={(event) => void tell("people", { user: user.id, is_restricted: event.target.checked })} /> guest</label>
            <label><input type="checkbox" checked={Boolean(user.deleted)} onChange={(event) => void tell("people", { user: user.id, deleted: event.target.checked })} /> deactivated</label>
          </li>
        ))}
      </ul>
      <h3>Channels</h3>
      <ul className="toggles">
        {state.channels.filter((channel) => channel.kind === "channel").map((channel) => (
          <li key={channel.id}>
            <span># {channel.name}</span>
            <label><input type="checkbox" checked={Boolean(channel.is_archived)} onChange={(event) => void tell("channel", { id: channel.id, is_archived: event.target.checked })} /> archived</label>
          </li>
        ))}
      </ul>
      <h3>User groups</h3>
      {state.usergroups.map((group) => (
        <details key={group.id} className="group">
          <summary>@{group.handle} <small>{group.users.length}</small></summary>
          {actors(state.users).map((user) => (
            <label key={user.id} className="pick">
              <input
                type="checkbox"
                checked={group.users.includes(user.id)}
                onChange={(event) => void tell("usergroup", { id: group.id, users: event.target.checked ? [...group.users, user.id] : group.users.filter((id) => id !== user.id) })}
              /> {user.real_name}
            </label>
          ))}
        </details>
      ))}
    </>
  );
}
