/** A conversation: its messages by day, and a thread beside it. */
import { memo, useEffect, useLayoutEffect, useMemo, useRef, useState } from "react";
import { get as emojiOf } from "node-emoji";
import { post } from "./api";
import { Avatar } from "./avatar";
import { Blocks } from "./blocks";
import { Composer } from "./composer";
import { clock, dayHeading, reply, shortClock, timeOf } from "./dates";
import { standing, useDesk } from "./desk";
import { useHost, useTouched } from "./host";
import { Icon } from "./icons";
import { channelHash, ownAddress } from "./route";
import { Text } from "./rich";
import type { Channel, Message, SlackFile } from "./types";

const SHOWN = 150;
const GROUPED_SECONDS = 300;

const isReply = (message: Message) => Boolean(message.thread_ts && message.thread_ts !== message.ts);
const byTime = (a: Message, b: Message) => Number.parseFloat(a.ts) - Number.parseFloat(b.ts);

/** What a person may see of a channel, oldest first: others' ephemeral messages are not theirs. */
export const visible = (channel: Channel, user: string) =>
  channel.messages.filter((message) => !message.ephemeral_to || message.ephemeral_to === user).sort(byTime);

export const isMember = (channel: Channel, user: string) => channel.user === user || channel.members.includes(user);

/** Does `message` follow `before` so closely that the name is left out? Cards keep theirs, to stand apart. */
const follows = (message: Message, before: Message | undefined) =>
  before !== undefined && before.user === message.user && !message.blocks?.length && !before.ephemeral_to && !message.ephemeral_to && !message.reply_broadcast
  && Number.parseFloat(message.ts) - Number.parseFloat(before.ts) < GROUPED_SECONDS
  && timeOf(message.ts).toDateString() === timeOf(before.ts).toDateString();

interface ListProps {
  channel: Channel;
  focused: string | null;
  onThread: (ts: string) => void;
}

export function MessageList({ channel, focused, onThread }: ListProps) {
  const { me } = useDesk();
  const [all, setAll] = useState(false);
  const messages = useMemo(() => visible(channel, me.id), [channel, me.id]);
  const top = useMemo(() => messages.filter((message) => !isReply(message) || message.reply_broadcast), [messages]);
  const replies = useMemo(() => {
    const found = new Map<string, Message[]>();
    for (const message of messages.filter(isReply)) found.set(message.thread_ts!, [...(found.get(message.thread_ts!) ?? []), message]);
    return found;
  }, [messages]);
  const box = useStickyBottom(channel.id, top.at(-1)?.ts, focused);
  const shown = all ? top : top.slice(-SHOWN);

  return (
    <div className="messages" ref={box} role="log" aria-live="off" aria-label={`Messages in ${channel.name}`} tabIndex={0}>
      <div className="messages-fill" />
      {shown.length < top.length && <button type="button" className="button earlier" onClick={() => setAll(true)}>Show {top.length - shown.length} earlier messages</button>}
      {!top.length && <p className="nothing">Nothing was said here yet.</p>}
      {shown.map((message, index) => {
        const before = shown[index - 1];
        const newDay = !before || timeOf(before.ts).toDateString() !== timeOf(message.ts).toDateString();
        return (
          <div key={message.ts}>
            {newDay && <div className="day"><span>{dayHeading(timeOf(message.ts))}</span></div>}
            <Row
              message={message}
              channel={channel.id}
              brief={!newDay && follows(message, before)}
              replies={replies.get(message.ts)}
              focused={focused === message.ts}
              root={isReply(message) ? messages.find((other) => other.ts === message.thread_ts) : undefined}
              onThread={onThread}
            />
          </div>
        );
      })}
    </div>
  );
}

/** Stay at the newest message, unless the reader scrolled up or a message is focused. */
function useStickyBottom(channel: string, newest: string | undefined, focused: string | null) {
  const box = useRef<HTMLDivElement>(null);
  const stuck = useRef(true);
  useEffect(() => {
    const element = box.current!;
    const note = () => (stuck.current = element.scrollHeight - element.scrollTop - element.clientHeight < 60);
    const grown = new ResizeObserver(() => stuck.current && (element.scrollTop = element.scrollHeight));
    element.addEventListener("scroll", note, { passive: true });
    grown.observe(element);
    for (const child of element.children) grown.observe(child);
    return () => (element.removeEventListener("scroll", note), grown.disconnect());
  }, [channel, newest]);
  useLayoutEffect(() => {
    stuck.current = !focused;
    if (stuck.current) box.current!.scrollTop = box.current!.scrollHeight;
  }, [channel, focused]);
  useLayoutEffect(() => {
    if (stuck.current) box.current!.scrollTop = box.current!.scrollHeight;
  }, [newest]);
  return box;
}

interface RowProps {
  message: Message;
  channel: string;
  brief?: boolean;
  replies?: Message[];
  focused?: boolean;
  root?: Message;
  onThread?: (ts: string) => void;
}

const Row = memo(function Row({ message, channel, brief = false, replies, focused = false, root, onThread }: RowProps) {
  const { users, state, me } = useDesk();
  const author = users.get(message.user);
  const name = author?.real_name || author?.name || message.user;
  const place = useRef<HTMLElement>(null);
  useEffect(() => {
    if (focused) place.current?.scrollIntoView({ block: "center" });
  }, [focused]);
  const time = timeOf(message.ts);
  const note = author && standing(author, state.team.id);
  return (
    <article
      ref={place}
      className={`message${brief ? " brief" : ""}${focused ? " focused" : ""}${message.ephemeral_to ? " ephemeral" : ""}`}
      aria-label={`${name}, ${clock(time)}`}
      data-testid="message"
      data-message-ts={message.ts}
      data-user-id={message.user}
    >
      {message.ephemeral_to && <Ephemeral message={message} channel={channel} />}
      {root && <button type="button" className="link broadcast" onClick={() => onThread?.(root.ts)}>replied to a thread: {root.text?.slice(0, 80) || "…"}</button>}
      <div className="message-side">
        {brief ? <time dateTime={time.toISOString()}>{shortClock(time)}</time> : <Avatar user={author} />}
      </div>
      <div className="message-main">
        {!brief && (
          <div className="message-head">
            <b>{name}</b>
            {author?.is_bot && <span className="badge">APP</span>}
            {note && <span className="badge">{note}</span>}
            <a className="time" href={channelHash(channel, message.ts)} title={time.toString()}><time dateTime={time.toISOString()}>{clock(time)}</time></a>
          </div>
        )}
        <Content message={message} channel={channel} />
        {message.files?.map((file) => <File key={file.id} file={file} />)}
        {Boolean(message.reactions?.length) && (
          <div className="reactions">
            {message.reactions!.map(({ name: reaction, users: by }) => (
              <span key={reaction} className={`reaction${by.includes(me.id) ? " mine" : ""}`} title={by.map((id) => users.get(id)?.real_name ?? id).join(", ")}>
                {emojiOf(reaction) ?? `:${reaction}:`} {by.length}
              </span>
            ))}
          </div>
        )}
        {replies && onThread && <Replies replies={replies} onOpen={() => onThread(message.ts)} />}
      </div>
      {onThread && !message.ephemeral_to && <Toolbar message={message} channel={channel} onThread={onThread} />}
    </article>
  );
});

function Content({ message, channel }: { message: Message; channel: string }) {
  const blocks = message.blocks ?? [];
  const attachments = message.attachments ?? [];
  const all = useMemo(() => [...blocks, ...attachments.flatMap((attachment) => attachment.blocks ?? [])], [blocks, attachments]);
  const host = useHost({ channel, message_ts: message.ts }, all, useTouched());
  return (
    <div className="content">
      {blocks.length > 0 && <Blocks blocks={blocks} host={host} />}
      {!blocks.length && message.text && <Text text={{ type: "mrkdwn", text: message.text }} guess="links" />}
      {attachments.map((attachment, index) => (
        <div key={index} className="attachment" style={{ "--edge": attachment.color && `#${attachment.color.replace("#", "")}` } as React.CSSProperties}>
          {attachment.title && <div className="attachment-title">{attachment.title}</div>}
          {attachment.blocks?.length ? <Blocks blocks={attachment.blocks} host={host} /> : <Text text={{ type: "mrkdwn", text: attachment.text ?? attachment.fallback ?? "" }} guess="links" />}
        </div>
      ))}
      {message.edited && <span className="edited">(edited)</span>}
      {host.failure && (
        <p className="trouble" role="alert" data-testid="click-failure">
          Something went wrong. Please try again. <small>{host.failure.message ?? host.failure.error}</small>
        </p>
      )}
    </div>
  );
}

function Ephemeral({ message, channel }: { message: Message; channel: string }) {
  const { me } = useDesk();
  return (
    <div className="only-you">
      <svg viewBox="0 0 16 16" aria-hidden="true"><path d="M1 8s2.5-4.5 7-4.5S15 8 15 8s-2.5 4.5-7 4.5S1 8 1 8Z" fill="none" stroke="currentColor" strokeWidth="1.3" /><circle cx="8" cy="8" r="2" fill="currentColor" /></svg>
      Only visible to you ·{" "}
      <button type="button" className="link" data-testid="dismiss" onClick={() => void post("dismiss", { user: me.id, channel, message_ts: message.ts })}>Dismiss</button>
    </div>
  );
}

function File({ file }: { file: SlackFile }) {
  const source = ownAddress(file.url_private ?? `/files/${file.id}`);
  const name = file.title || file.name || file.id;
  if (file.mimetype?.startsWith("image/")) return <a className="file-image" href={source} target="_blank" rel="noopener noreferrer"><img src={source} alt={name} /></a>;
  return (
    <a className="file" href={source} target="_blank" rel="noopener noreferrer">
      <b>{name}</b>
      <span>{[file.mimetype, file.size !== undefined && `${file.size.toLocaleString()} bytes`].filter(Boolean).join(" · ")}</span>
    </a>
  );
}

function Replies({ replies, onOpen }: { replies: Message[]; onOpen: () => void }) {
  const { users } = useDesk();
  const people = [...new Set(replies.map((message) => message.user))].slice(0, 5);
  return (
    <button type="button" className="replies" data-testid="replies" onClick={onOpen}>
      {people.map((id) => <Avatar key={id} user={users.get(id)} size={22} />)}
      <b>{replies.length} {replies.length === 1 ? "reply" : "replies"}</b>
      <span>Last reply {reply(timeOf(replies.at(-1)!.ts))}</span>
    </button>
  );
}

/** Shown when a message is pointed at or focused. */
function Toolbar({ message, channel, onThread }: { message: Message; channel: string; onThread: (ts: string) => void }) {
  const link = () => void navigator.clipboard?.writeText(`${location.origin}/${channelHash(channel, message.ts)}`);
  return (
    <div className="toolbar" role="group" aria-label="Message actions">
      <button type="button" title="Reply in thread" aria-label="Reply in thread" onClick={() => onThread(message.thread_ts ?? message.ts)}><Icon name="reply" /></button>
      <button type="button" title="Copy link" aria-label="Copy link" onClick={link}><Icon name="link" /></button>
      <button type="button" title="Delete, as an administrator would" aria-label="Delete message" onClick={() => void post("delete_message", { channel, ts: message.ts })}><Icon name="trash" /></button>
    </div>
  );
}

export function Thread({ channel, ts, focused, onClose }: { channel: Channel; ts: string; focused: string | null; onClose: () => void }) {
  const { me } = useDesk();
  const pane = useRef<HTMLElement>(null);
  const messages = useMemo(() => visible(channel, me.id), [channel, me.id]);
  const root = messages.find((message) => message.ts === ts);
  const replies = messages.filter((message) => isReply(message) && message.thread_ts === ts);
  useEffect(() => {
    pane.current?.focus();
  }, [ts]);
  return (
    <aside ref={pane} className="thread" aria-label="Thread" data-testid="thread" tabIndex={-1} onKeyDown={(event) => event.key === "Escape" && onClose()}>
      <header className="pane-head">
        <h2>Thread <span># {channel.name}</span></h2>
        <button type="button" className="icon" aria-label="Close thread" onClick={onClose}><Icon name="close" /></button>
      </header>
      <div className="thread-body" tabIndex={0} role="log" aria-live="off" aria-label="Thread messages">
        {root ? <Row message={root} channel={channel.id} /> : <p className="nothing">This message was deleted.</p>}
        {replies.length > 0 && <div className="reply-count"><span>{replies.length} {replies.length === 1 ? "reply" : "replies"}</span></div>}
        {replies.map((message, index) => (
          <Row key={message.ts} message={message} channel={channel.id} brief={follows(message, replies[index - 1])} focused={focused === message.ts} />
        ))}
      </div>
      {!channel.is_archived && isMember(channel, me.id) && <Composer channel={channel.id} thread={ts} placeholder="Reply…" />}
    </aside>
  );
}
