/**
 * Where a person writes: messages, slash commands and mentions.
 *
 * Enter sends, Shift+Enter breaks the line. `/` at the start offers the commands, `@` people and groups; Tab or Enter takes one.
 */
import { useEffect, useId, useLayoutEffect, useRef, useState } from "react";
import { post } from "./api";
import { useDesk, type Desk } from "./desk";
import { escape } from "./mrkdwn";

interface Suggestion {
  key: string;
  label: string;
  more: string;
  /** The text that takes the place of what was typed. */
  insert: string;
}

const drafts = new Map<string, string>();

function suggestions(text: string, caret: number, { state }: Desk): { from: number; list: Suggestion[] } {
  const typed = text.slice(0, caret);
  if (/^\/\S*$/.test(typed)) {
    const list = state.commands
      .filter((c) => c.command.startsWith(typed))
      .map((c) => ({ key: c.command, label: `${c.command} ${c.usage_hint ?? ""}`, more: c.description ?? "", insert: `${c.command} ` }));
    return { from: 0, list };
  }
  const at = /(?:^|\s)@([\w -]{0,30})$/.exec(typed);
  if (!at) return { from: caret, list: [] };
  const word = at[1]!.toLowerCase();
  const people = state.users.filter((u) => !u.deleted).map((u) => ({ key: u.id, label: `@${u.real_name}`, more: u.title ?? "", insert: `@${u.real_name} ` }));
  const groups = state.usergroups.map((g) => ({ key: g.id, label: `@${g.handle}`, more: g.name, insert: `@${g.handle} ` }));
  const list = [...people, ...groups].filter((s) => s.label.slice(1).toLowerCase().startsWith(word) && s.insert.trim().length - 1 > word.length);
  return { from: caret - word.length - 1, list: list.slice(0, 8) };
}

/** The names that were typed, as Slack's own mentions; everything else escaped, as Slack does. */
function encode(text: string, { state }: Desk): string {
  const mentions = [
    ...state.users.map((user) => [`@${user.real_name}`, `<@${user.id}>`] as const),
    ...state.usergroups.map((group) => [`@${group.handle}`, `<!subteam^${group.id}>`] as const),
    ...state.channels.filter((c) => c.kind === "channel").map((c) => [`#${c.name}`, `<#${c.id}>`] as const),
  ].sort((a, b) => b[0].length - a[0].length);
  return mentions.reduce((all, [name, mention]) => all.replaceAll(escape(name), mention), escape(text));
}

export function Composer({ channel, thread, placeholder }: { channel: string; thread?: string; placeholder: string }) {
  const desk = useDesk();
  const key = `${desk.me.id}/${channel}/${thread ?? ""}`;
  const [text, setText] = useState(drafts.get(key) ?? "");
  const [caret, setCaret] = useState(0);
  const [chosen, setChosen] = useState(0);
  const [closed, setClosed] = useState(false);
  const [failure, setFailure] = useState<string | null>(null);
  const [busy, setBusy] = useState(false);
  const box = useRef<HTMLTextAreaElement>(null);
  /** Where the caret belongs after a suggestion was taken; set before the next key can arrive. */
  const placed = useRef<number | null>(null);
  const id = useId();
  const { from, list } = closed ? { from: 0, list: [] } : suggestions(text, caret, desk);
  const current = list[Math.min(chosen, list.length - 1)];

  useEffect(() => setText(drafts.get(key) ?? ""), [key]);
  useLayoutEffect(() => {
    const area = box.current;
    if (!area) return;
    if (placed.current !== null) area.setSelectionRange(placed.current, placed.current);
    placed.current = null;
    area.style.height = "auto";
    area.style.height = `${Math.min(area.scrollHeight, 200)}px`;
  }, [text]);

  const write = (next: string, at: number) => {
    drafts.set(key, next);
    setText(next);
    setCaret(at);
    setChosen(0);
    setClosed(false);
  };
  const take = (suggestion: Suggestion) => {
    const next = text.slice(0, from) + suggestion.insert + text.slice(caret);
    write(next, from + suggestion.insert.length);
    placed.current = from + suggestion.insert.length;
    box.current?.focus();
  };
  const send = async () => {
    const said = text.trim();
    if (!said || busy) return;
    write("", 0);
    setFailure(null);
    setBusy(true);
    // A command's words go as typed: whether an app gets names or ids is the command's own setting.
    const command = /^(\/\S+)\s*([\s\S]*)$/.exec(said);
    const answer = command
      ? await post("command", { user: desk.me.id, channel, command: command[1], text: command[2] })
      : await post("message", { user: desk.me.id, channel, text: encode(said, desk), thread_ts: thread });
    setBusy(false);
    if (answer.ok) return;
    setFailure(command ? `${command[1]} failed with the error “${answer.error}”.` : "Your message was not sent.");
    if (answer.message) setFailure((before) => `${before} ${answer.message}`);
    if (!drafts.get(key)) write(said, said.length);
  };
  const keys = (event: React.KeyboardEvent) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (current && step) setChosen((n) => (Math.min(n, list.length - 1) + step + list.length) % list.length);
    else if (current && event.key === "Escape") setClosed(true);
    else if (current && (event.key === "Tab" || (event.key === "Enter" && current.insert.trim() !== text.trim()))) take(current);
    else if (event.key === "Enter" && !event.shiftKey && !event.nativeEvent.isComposing) void send();
    else return;
    event.preventDefault();
    event.stopPropagation();
  };

  return (
    <div className="composer">
      {failure && <p className="trouble" role="alert">{failure} <button type="button" className="link" onClick={() => setFailure(null)}>Dismiss</button></p>}
      {current && (
        <ul id={`${id}-list`} className="menu suggestions" role="listbox" aria-label="Suggestions">
          {list.map((suggestion) => (
            <li
              key={suggestion.key}
              id={`${id}-${suggestion.key}`}
              role="option"
              aria-selected={suggestion === current}
              onPointerDown={(event) => (event.preventDefault(), take(suggestion))}
            >
              <b>{suggestion.label}</b> <span>{suggestion.more}</span>
            </li>
          ))}
        </ul>
      )}
      <div className="composer-box">
        <textarea
          ref={box}
          rows={1}
          value={text}
          placeholder={placeholder}
          aria-label={placeholder}
          data-testid={thread ? "thread-composer" : "composer"}
          aria-haspopup="listbox"
          aria-controls={current ? `${id}-list` : undefined}
          aria-activedescendant={current ? `${id}-${current.key}` : undefined}
          aria-autocomplete="list"
          onChange={(event) => write(event.target.value, event.target.selectionStart)}
          onSelect={(event) => setCaret(event.currentTarget.selectionStart)}
          onKeyDown={keys}
        />
        <button type="button" className={`send${busy ? " busy" : ""}`} aria-label="Send" disabled={!text.trim()} onClick={() => void send()}>
          <svg viewBox="0 0 20 20" aria-hidden="true"><path d="M2.6 2.3 18 9.3a.8.8 0 0 1 0 1.4L2.6 17.7c-.6.3-1.2-.3-1-.9L3.8 11l7.4-1-7.4-1L1.6 3.2c-.2-.6.4-1.2 1-.9Z" fill="currentColor" /></svg>
        </button>
      </div>
    </div>
  );
}
