/**
 * The page's side of the wire: posts that never throw, and a store of state and traffic.
 *
 * The server says over SSE that something changed; the state is then read whole. Reads are
 * coalesced: at most one is under way and at most one waits.
 */
import { useSyncExternalStore } from "react";
import type { Answer, State, Traffic } from "./types";

const KEPT_TRAFFIC = 2000;

/** POST JSON. A server that cannot be reached is an answer too: `error: "unreachable"`. */
export async function post(path: string, body: object): Promise<Answer> {
  try {
    const response = await fetch(`/sandbox/${path}`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(body),
    });
    return (await response.json()) as Answer;
  } catch {
    return { ok: false, error: "unreachable", message: "The sandbox does not answer. Is it still running?" };
  }
}

export async function get<T>(path: string): Promise<T> {
  const response = await fetch(`/sandbox/${path}`);
  if (!response.ok) throw new Error(`GET /sandbox/${path} answered ${response.status}`);
  return (await response.json()) as T;
}

/** `next`, with every part that equals `previous` replaced by it: memoised rows stay as they are. */
export function share<T>(previous: unknown, next: T): T {
  if (Object.is(previous, next)) return next;
  if (typeof previous !== "object" || typeof next !== "object" || !previous || !next) return next;
  if (Array.isArray(previous) !== Array.isArray(next)) return next;
  const before = previous as Record<string, unknown>;
  const after = next as Record<string, unknown>;
  const keys = Object.keys(after);
  let same = keys.length === Object.keys(before).length;
  for (const key of keys) {
    after[key] = share(before[key], after[key]);
    same &&= Object.is(before[key], after[key]) && key in before;
  }
  return same ? (previous as T) : next;
}

export interface Snapshot {
  state: State | null;
  traffic: Traffic[];
  live: boolean;
}

class Sandbox {
  private snapshot: Snapshot = { state: null, traffic: [], live: false };
  private readonly listeners = new Set<() => void>();
  private reading = false;
  private stale = false;

  constructor() {
    const events = new EventSource("/sandbox/events");
    events.addEventListener("open", () => void this.resume());
    events.addEventListener("error", () => this.change({ live: false }));
    events.addEventListener("state", () => void this.refresh());
    events.addEventListener("traffic", (event) => this.add([JSON.parse((event as MessageEvent<string>).data) as Traffic]));
  }

  subscribe = (listener: () => void) => {
    this.listeners.add(listener);
    return () => void this.listeners.delete(listener);
  };

  read = () => this.snapshot;

  private change(part: Partial<Snapshot>) {
    this.snapshot = { ...this.snapshot, ...part };
    for (const listener of this.listeners) listener();
  }

  /** After every (re)connection: the server may be another one, so nothing known is kept. */
  private async resume() {
    this.change({ live: true, traffic: [] });
    void this.refresh();
    try {
      this.add((await get<{ entries: Traffic[] }>("traffic?after=0")).entries);
    } catch {
      this.change({ live: false });
    }
  }

  private async refresh() {
    if (this.reading) {
      this.stale = true;
      return;
    }
    this.reading = true;
    do {
      this.stale = false;
      try {
        this.change({ state: share(this.snapshot.state, await get<State>("state")) });
      } catch {
        this.change({ live: false });
      }
    } while (this.stale);
    this.reading = false;
  }

  private add(entries: Traffic[]) {
    const byNumber = new Map([...this.snapshot.traffic, ...entries].map((entry) => [entry.n, entry]));
    const sorted = [...byNumber.values()].sort((a, b) => a.n - b.n);
    this.change({ traffic: sorted.slice(-KEPT_TRAFFIC) });
  }

  forgetTraffic = () => this.change({ traffic: [] });
}

export const sandbox = new Sandbox();

export const useSandbox = () => useSyncExternalStore(sandbox.subscribe, sandbox.read);
