/** What every part of the page may ask for: who acts, who is who, and the theme. */
import { createContext, useContext } from "react";
import { emojify } from "node-emoji";
import type { Channel, State, TextObject, User } from "./types";

export type Theme = "light" | "dark";

export interface Desk {
  state: State;
  me: User;
  theme: Theme;
  users: ReadonlyMap<string, User>;
  channels: ReadonlyMap<string, Channel>;
  /** What the renderer needs to name a mention. */
  names: { users: { id: string; name: string }[]; channels: { id: string; name: string }[]; user_groups: { id: string; name: string }[] };
}

const DeskContext = createContext<Desk | null>(null);

export const DeskProvider = DeskContext.Provider;

export function useDesk(): Desk {
  const desk = useContext(DeskContext);
  if (!desk) throw new Error("useDesk outside of DeskProvider");
  return desk;
}

/** A plain_text object as text; `:emoji:` only where Slack would draw it. */
export const plain = (text: TextObject | null | undefined): string =>
  !text ? "" : text.type === "plain_text" && text.emoji === false ? text.text : emojify(text.text);

/** Who a user is to a reader: "guest", "deactivated", "from another workspace". */
export function standing(user: User, team: string): string | null {
  if (user.deleted) return "deactivated";
  if (user.is_restricted) return "guest";
  return user.team_id !== team ? "another workspace" : null;
}
