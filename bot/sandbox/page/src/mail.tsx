/** What the bot sent by e-mail, newest first. Bodies are shown as text: nothing in them is fetched or run. */
import { useDesk } from "./desk";
import { Icon } from "./icons";
import type { Mail } from "./types";

const asText = (value: unknown): string =>
  value == null ? "" : Array.isArray(value) ? value.map(asText).join(", ") : typeof value === "object" ? JSON.stringify(value, null, 2) : String(value);

const first = (mail: Mail, ...keys: string[]) => asText(keys.map((key) => mail[key]).find((held) => held != null && held !== ""));

export function Mailbox({ onClose }: { onClose: () => void }) {
  const { state } = useDesk();
  return (
    <aside className="panel mailbox" aria-label="Mailbox" data-testid="mailbox" onKeyDown={(event) => event.key === "Escape" && onClose()}>
      <header className="pane-head">
        <h2>Mailbox <span>{state.mail.length}</span></h2>
        <button type="button" className="icon" aria-label="Close mailbox" onClick={onClose}><Icon name="close" /></button>
      </header>
      <ul className="panel-body letters">
        {[...state.mail].reverse().map((mail, index) => (
          <li key={state.mail.length - index} className="letter">
            <details open={index === 0}>
              <summary><b>{first(mail, "subject") || "(no subject)"}</b><small>{first(mail, "from", "sender")} → {first(mail, "to", "recipients", "rcpt")}</small></summary>
              <pre>{first(mail, "text", "body", "content", "data")}</pre>
            </details>
          </li>
        ))}
      </ul>
    </aside>
  );
}
