/** What each person has read in this tab, and what is said aloud to screen readers. */
import { useEffect, useRef, useState } from "react";
import type { Channel, Message, State } from "./types";

const RECENT = 300;
const KEPT = "keyturn-sandbox-read";

/** What a person has not seen of a channel, of its latest messages. */
function unseen(channel: Channel, user: string, since: number): Message[] {
  return channel.messages
    .slice(-RECENT)
    .filter((m) => Number.parseFloat(m.ts) > since && m.user !== user && (!m.ephemeral_to || m.ephemeral_to === user));
}

export interface Reading {
  unread: Map<string, number>;
  waiting: Set<string>;
}

/** A channel is read whenever it is on show; that is kept over a reload. */
export function useReading(state: State | null, me: string | undefined, shown: string | undefined): Reading {
  const seen = useRef<Map<string, number> | null>(null);
  seen.current ??= new Map(JSON.parse(sessionStorage.getItem(KEPT) ?? "[]") as [string, number][]);
  const known = seen.current;
  const latest = state?.channels.find((channel) => channel.id === shown)?.messages.at(-1)?.ts;
  if (me && shown && latest) known.set(`${me}/${shown}`, Math.max(Number.parseFloat(latest), known.get(`${me}/${shown}`) ?? 0));
  useEffect(() => sessionStorage.setItem(KEPT, JSON.stringify([...known])), [known, me, shown, latest]);
  const reading: Reading = { unread: new Map(), waiting: new Set() };
  if (!state || !me) return reading;
  const since = (user: string, channel: string) => known.get(`${user}/${channel}`) ?? 0;
  for (const channel of state.channels) {
    if (channel.kind === "channel" && !channel.members.includes(me)) continue;
    if (channel.kind === "channel" || channel.user === me) reading.unread.set(channel.id, unseen(channel, me, since(me, channel.id)).length);
    if (channel.kind === "dm" && channel.user && unseen(channel, channel.user, since(channel.user, channel.id)).length) reading.waiting.add(channel.user);
    for (const message of channel.messages.slice(-RECENT))
      if (message.ephemeral_to && Number.parseFloat(message.ts) > since(message.ephemeral_to, channel.id)) reading.waiting.add(message.ephemeral_to);
  }
  for (const [user, stack] of Object.entries(state.modals)) if (stack.length) reading.waiting.add(user);
  reading.waiting.delete(me);
  return reading;
}

/** A sentence for the live region whenever the person gets a message. */
export function useAnnouncement(state: State | null, me: string | undefined): string {
  const [said, setSaid] = useState("");
  const known = useRef<{ me: string; ts: number } | null>(null);
  useEffect(() => {
    if (!state || !me) return;
    const mine = state.channels.filter((c) => (c.kind === "dm" ? c.user === me : c.members.includes(me)));
    const latest = mine.flatMap((c) => c.messages.slice(-1).map((m) => [c, m] as const)).sort((a, b) => Number(b[1].ts) - Number(a[1].ts))[0];
    const ts = latest ? Number.parseFloat(latest[1].ts) : 0;
    const before = known.current;
    known.current = { me, ts: Math.max(ts, before?.me === me ? before.ts : 0) };
    if (before?.me !== me) setSaid("");
    if (!latest || before?.me !== me || ts <= before.ts) return;
    const [channel, message] = latest;
    if (message.user === me || (message.ephemeral_to && message.ephemeral_to !== me)) return;
    const author = state.users.find((user) => user.id === message.user)?.real_name ?? "someone";
    const where = channel.kind === "dm" ? "a direct message" : `#${channel.name}`;
    setSaid(`${author} in ${where}: ${(message.text ?? "").slice(0, 200)}`);
  }, [state, me]);
  return said;
}
