/**
 * Where the reader is, kept in the address: `#/archives/<channel>/p<ts>`, `#/app/home`, `?as=U…`, `?theme=dark`.
 *
 * `#/archives/…` has the shape of Slack's permalinks, so a link that the bot posts opens here.
 */
import { useSyncExternalStore } from "react";

export type Place = { at: "channel"; channel: string; ts: string | null } | { at: "home" } | { at: "app"; channel: null };

export function parsePlace(hash: string): Place | null {
  const [, kind, id, message] = hash.split(/[/?]/);
  if (kind === "app") return id === "home" ? { at: "home" } : { at: "app", channel: null };
  if (kind !== "archives" || !id) return null;
  const digits = /^p(\d{7,})$/.exec(message ?? "")?.[1];
  return { at: "channel", channel: id, ts: digits ? `${digits.slice(0, -6)}.${digits.slice(-6)}` : null };
}

export const channelHash = (channel: string, ts?: string) => `#/archives/${channel}${ts ? `/p${ts.replace(".", "")}` : ""}`;
export const HOME_HASH = "#/app/home";
export const APP_HASH = "#/app/messages";

const subscribe = (listener: () => void) => {
  addEventListener("hashchange", listener);
  return () => removeEventListener("hashchange", listener);
};

/** An address of this sandbox as a path, whichever of its loopback names it was written with; others as they are. */
export function ownAddress(address: string): string {
  const url = new URL(address, location.href);
  const here = url.port === location.port && /^(127\.0\.0\.1|localhost|\[::1\])$/.test(url.hostname);
  return here ? url.pathname + url.search + url.hash : address;
}

export const useHash = () => useSyncExternalStore(subscribe, () => location.hash);

export const parameter = (name: string) => new URLSearchParams(location.search).get(name);

/** Keep a choice in the address without a step in the history. */
export function keepParameter(name: string, value: string) {
  const address = new URL(location.href);
  address.searchParams.set(name, value);
  history.replaceState(null, "", address);
}
