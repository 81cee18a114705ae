/** The wire: every call between the bot and Slack, as it happens. */
import { memo, useDeferredValue, useMemo, useState } from "react";
import { sandbox } from "./api";
import { Icon } from "./icons";
import { Json } from "./json";
import type { Traffic as Entry } from "./types";

const SHOWN = 250;
const KINDS: Record<Entry["kind"], string> = { web_api: "Web API", socket: "socket", http: "HTTP", response_url: "response_url", upload: "upload" };

const matches = (entry: Entry, words: string[]) => {
  const text = JSON.stringify([entry.name, entry.kind, entry.status, entry.note, entry.request, entry.response]).toLowerCase();
  return words.every((word) => text.includes(word));
};

/** To the millisecond, in the zone of this device. */
const exactly = (at: Date) => new Intl.DateTimeFormat("en-GB", { timeStyle: "medium" }).format(at) + `.${String(at.getMilliseconds()).padStart(3, "0")}`;

/** Did the receiver refuse it? Slack says so with a status or with `ok: false`. */
const refused = (entry: Entry) =>
  (entry.status ?? 200) >= 400 || (entry.response as { ok?: boolean } | null)?.ok === false;

export function TrafficPane({ entries, onClose }: { entries: Entry[]; onClose: () => void }) {
  const [filter, setFilter] = useState("");
  const [direction, setDirection] = useState<Entry["direction"] | "both">("both");
  const wanted = useDeferredValue(filter);
  const found = useMemo(() => {
    const words = wanted.toLowerCase().split(/\s+/).filter(Boolean);
    return entries.filter((entry) => (direction === "both" || entry.direction === direction) && matches(entry, words)).slice(-SHOWN).reverse();
  }, [entries, wanted, direction]);
  return (
    <aside className="panel traffic" aria-label="Traffic on the wire" data-testid="traffic" onKeyDown={(event) => event.key === "Escape" && onClose()}>
      <header className="pane-head">
        <h2>On the wire <span>{entries.length}</span></h2>
        <button type="button" className="link" onClick={sandbox.forgetTraffic}>Clear</button>
        <button type="button" className="icon" aria-label="Close traffic" onClick={onClose}><Icon name="close" /></button>
      </header>
      <div className="panel-tools">
        <input className="field" type="search" placeholder="Filter: method, id, error…" aria-label="Filter traffic" value={filter} onChange={(event) => setFilter(event.target.value)} />
        <select className="field select" aria-label="Direction" value={direction} onChange={(event) => setDirection(event.target.value as typeof direction)}>
          <option value="both">Both ways</option>
          <option value="bot_to_slack">Bot → Slack</option>
          <option value="slack_to_bot">Slack → bot</option>
        </select>
      </div>
      <ol className="calls">
        {found.map((entry) => <Call key={entry.n} entry={entry} />)}
        {!found.length && <li className="nothing">{entries.length ? "Nothing matches." : "Silence so far."}</li>}
      </ol>
    </aside>
  );
}

const Call = memo(function Call({ entry }: { entry: Entry }) {
  const [open, setOpen] = useState(false);
  const out = entry.direction === "bot_to_slack";
  const at = new Date(entry.at * 1000);
  return (
    <li className={`call${refused(entry) ? " call-bad" : ""}`} data-testid="call" data-name={entry.name}>
      <button type="button" className="call-head" aria-expanded={open} onClick={() => setOpen(!open)}>
        <span className={`way ${out ? "way-out" : "way-in"}`} role="img" aria-label={out ? "Bot to Slack" : "Slack to bot"}>{out ? "→" : "←"}</span>
        <b>{entry.name}</b>
        <span className="chip">{KINDS[entry.kind] ?? entry.kind}</span>
        <span className="call-status">{entry.status ?? "–"}</span>
        <span className="call-ms">{entry.ms < 10 ? entry.ms.toFixed(1) : Math.round(entry.ms)} ms</span>
      </button>
      {entry.note && <p className="call-note">{entry.note}</p>}
      {open && (
        <div className="call-body">
          <div className="call-meta">
            #{entry.n} · {exactly(at)} · {out ? "bot → Slack" : "Slack → bot"}
            <button type="button" className="link" onClick={() => void navigator.clipboard?.writeText(JSON.stringify(entry, null, 2))}><Icon name="copy" /> Copy</button>
          </div>
          <h3>Request</h3>
          <Json value={entry.request} />
          <h3>Response</h3>
          <Json value={entry.response} />
        </div>
      )}
    </li>
  );
});
