/**
 * Text, drawn by slack-blocks-to-jsx from rich_text elements.
 *
 * Mentions get their names from the workspace, dates the zone of this device, and links open outside the page
 * unless they are the sandbox's own permalinks.
 */
import { memo, useMemo } from "react";
import { Message as Rendered } from "slack-blocks-to-jsx";
import type { Block as RenderedBlock, MessageProps } from "slack-blocks-to-jsx";
import { ownAddress } from "./route";
import { slackDate } from "./dates";
import { useDesk } from "./desk";
import { parse, plainElements, type Guess, type RichText } from "./mrkdwn";
import type { Block, TextObject } from "./types";

const SAFE = /^(https?:|mailto:)/i;

export function Link({ href, children, className }: { href: string; children: React.ReactNode; className?: string }) {
  if (!SAFE.test(href)) return <span className={className}>{children}</span>;
  const own = ownAddress(href);
  if (own.startsWith("/#/")) return <a href={own.slice(1)} className={className}>{children}</a>;
  return <a href={href} className={className} target="_blank" rel="noopener noreferrer">{children}</a>;
}

/** Draw one block with the library. */
export const Library = memo(function Library({ block }: { block: Block }) {
  const { names, me, state, theme } = useDesk();
  const mine = state.usergroups.filter((group) => group.users.includes(me.id)).map((group) => group.id).join();
  const hooks = useMemo<NonNullable<MessageProps["hooks"]>>(
    () => ({
      user: ({ id, name }) => <span className={`mention${id === me.id ? " mention-me" : ""}`} data-user-id={id}>@{name}</span>,
      usergroup: ({ id, name }) => <span className={`mention${mine.includes(id) ? " mention-me" : ""}`} data-usergroup-id={id}>@{name}</span>,
      channel: ({ id, name }) => <a className="mention" href={`#/archives/${id}`} data-channel-id={id}>#{name}</a>,
      atHere: () => <span className="mention mention-me" data-broadcast="here">@here</span>,
      atChannel: () => <span className="mention mention-me" data-broadcast="channel">@channel</span>,
      atEveryone: () => <span className="mention mention-me" data-broadcast="everyone">@everyone</span>,
      link: ({ href, children, className }) => <Link href={href} className={className}>{children}</Link>,
      date: ({ timestamp, format, fallback }) => {
        const date = new Date(Number(timestamp) * 1000);
        return <time dateTime={date.toISOString()} title={date.toString()}>{slackDate(Number(timestamp), format) ?? (fallback || date.toLocaleString())}</time>;
      },
    }),
    [me.id, mine],
  );
  return <Rendered withoutWrapper name="" logo="" theme={theme} data={names} hooks={hooks} blocks={[block as unknown as RenderedBlock]} />;
});

function Elements({ elements }: { elements: RichText[] }) {
  const block = useMemo(() => ({ type: "rich_text", elements }) as unknown as Block, [elements]);
  return <Library block={block} />;
}

/** A text object, or a message's own `text`: plain_text is shown as it is, mrkdwn is parsed. */
export const Text = memo(function Text({ text, guess = "names" }: { text: TextObject & { verbatim?: boolean }; guess?: "names" | "links" }) {
  const { state } = useDesk();
  const channels = useMemo(() => new Map(state.channels.filter((c) => c.kind === "channel").map((c) => [c.name, c.id])), [state.channels]);
  const elements = useMemo<RichText[]>(() => {
    if (text.type === "plain_text") return [{ type: "rich_text_section", elements: plainElements(text.text, text.emoji !== false) }];
    const guessing: Guess = { links: !text.verbatim, names: text.verbatim || guess === "links" ? null : channels };
    return parse(text.text, guessing);
  }, [text, guess, channels]);
  return <Elements elements={elements} />;
});
