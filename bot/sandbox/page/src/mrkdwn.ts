/**
 * Slack's mrkdwn as rich_text elements, which the renderer draws.
 *
 * The renderer's own mrkdwn is not used: it undoes `&lt;` before it parses, so that an escaped
 * `&lt;!channel&gt;` becomes a mention, and shows `verbatim` text raw. Here, as in Slack, escaped
 * text is never parsed again, and `verbatim` switches off nothing but the guessing of links and names.
 */
import { get, has } from "node-emoji";
import { slackDate } from "./dates";

export interface Style {
  bold?: boolean;
  italic?: boolean;
  strike?: boolean;
  code?: boolean;
}

export type Inline = { type: string; style?: Style; [field: string]: unknown };
export interface RichText {
  type: "rich_text_section" | "rich_text_preformatted" | "rich_text_quote";
  elements: Inline[];
  border?: number;
}

/** What is guessed from text that carries no markup. */
export interface Guess {
  links: boolean;
  /** Channel ids by name; null leaves `#name` and `@here` as they are typed. */
  names: ReadonlyMap<string, string> | null;
}

export const unescape = (text: string) => text.replaceAll("&lt;", "<").replaceAll("&gt;", ">").replaceAll("&amp;", "&");

/** What Slack does to everything a person types. */
export const escape = (text: string) => text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");

const styled = (element: Inline, style: Style): Inline => (Object.keys(style).length ? { ...element, style } : element);

/** `<…>`: a mention, a date or a link; anything else stays as it is written. */
function angled(body: string, style: Style): Inline {
  const [target = "", ...rest] = body.split("|");
  const label = rest.join("|");
  const mention = /^(@[UW]|#C|!subteam\^S)([A-Z0-9]*)$/.exec(target);
  if (mention) {
    const kind = { "@": "user", "#": "channel", "!": "usergroup" }[target[0]!]!;
    return styled({ type: kind, [`${kind}_id`]: target.replace(/^(@|#|!subteam\^)/, "") }, style);
  }
  if (/^!(here|channel|everyone)$/.test(target)) return styled({ type: "broadcast", range: target.slice(1) }, style);
  if (target.startsWith("!date^")) return dated(target, unescape(label), style);
  if (/^(https?:|mailto:)/i.test(target)) {
    const url = unescape(target);
    return styled({ type: "link", url, text: label ? unescape(label) : url.replace(/^mailto:/, "") }, style);
  }
  return styled({ type: "text", text: unescape(`<${body}>`) }, style);
}

function dated(target: string, fallback: string, style: Style): Inline {
  const [, seconds = "", template = "", link] = target.split("^");
  const text = /^\d+$/.test(seconds) ? slackDate(Number(seconds), template) : null;
  if (text === null) return styled({ type: "text", text: fallback }, style);
  if (link) return styled({ type: "link", url: unescape(link), text }, style);
  return styled({ type: "date", timestamp: Number(seconds), format: unescape(template) }, style);
}

const emoji = (name: string, style: Style): Inline =>
  has(name) ? { type: "emoji", name, unicode: [...get(name)!].map((c) => c.codePointAt(0)!.toString(16)).join("-") } : styled({ type: "text", text: `:${name}:` }, style);

/** `mark` around text that neither starts nor ends with a space, at the edges of words. */
const around = (mark: string) => `(?<![\\w${mark}])${mark}(?=[^\\s${mark}])([^${mark}\\n]*[^\\s${mark}])${mark}(?![\\w${mark}])`;

const TOKEN = new RegExp(
  [
    "`([^`\\n]+)`",
    "<([^<>\\n]+)>",
    around("\\*"),
    around("_"),
    around("~"),
    ":([a-z0-9_+'-]+):",
    "(https?:\\/\\/[^\\s<>|]*[^\\s<>|.,;:!?)\\]'\"])",
    "(?<![\\w@])@(here|channel|everyone)\\b",
    "(?<![\\w#&])#([a-z0-9_-]+)",
  ].join("|"),
  "gi",
);

/** One run of text: styles, mentions, links, dates and emoji. */
function inline(text: string, style: Style, guess: Guess): Inline[] {
  const elements: Inline[] = [];
  let end = 0;
  for (const match of text.matchAll(TOKEN)) {
    const found = token(match, style, guess);
    if (!found) continue;
    if (match.index > end) elements.push(styled({ type: "text", text: unescape(text.slice(end, match.index)) }, style));
    elements.push(...found);
    end = match.index + match[0].length;
  }
  if (end < text.length) elements.push(styled({ type: "text", text: unescape(text.slice(end)) }, style));
  return elements;
}

function token(match: RegExpMatchArray, style: Style, guess: Guess): Inline[] | null {
  const [, code, angle, bold, italic, strike, name, url, everyone, channel] = match;
  if (code) return [styled({ type: "text", text: unescape(code) }, { ...style, code: true })];
  if (angle) return [angled(angle, style)];
  if (bold) return inline(bold, { ...style, bold: true }, guess);
  if (italic) return inline(italic, { ...style, italic: true }, guess);
  if (strike) return inline(strike, { ...style, strike: true }, guess);
  if (name) return [emoji(name, style)];
  if (url) return guess.links ? [styled({ type: "link", url: unescape(url), text: unescape(url) }, style)] : null;
  if (everyone) return guess.names ? [styled({ type: "broadcast", range: everyone }, style)] : null;
  const id = channel && guess.names?.get(channel);
  return id ? [styled({ type: "channel", channel_id: id }, style)] : null;
}

/** Lines, with those that begin with `&gt;` (or `>`) apart. */
function paragraphs(text: string, guess: Guess): RichText[] {
  const found: RichText[] = [];
  let lines: string[] = [];
  let quoted = false;
  const flush = () => {
    if (!lines.length) return;
    const elements = inline(lines.join("\n"), {}, guess);
    found.push(quoted ? { type: "rich_text_quote", elements, border: 1 } : { type: "rich_text_section", elements });
    lines = [];
  };
  for (const line of text.split("\n")) {
    const quote = /^(?:&gt;|>) ?(.*)$/.exec(line);
    if (Boolean(quote) !== quoted) flush();
    quoted = Boolean(quote);
    lines.push(quote ? quote[1]! : line);
  }
  flush();
  return found;
}

export function parse(text: string, guess: Guess): RichText[] {
  return text.split(/```\n?([\s\S]+?)\n?```\n?/).flatMap((piece, index): RichText[] => {
    if (index % 2) return [{ type: "rich_text_preformatted", elements: [{ type: "text", text: unescape(piece) }] }];
    return piece ? paragraphs(index ? piece : piece.replace(/\n$/, ""), guess) : [];
  });
}

/** plain_text: nothing is parsed but `:emoji:`, and that only where the object allows it. */
export function plainElements(text: string, withEmoji: boolean): Inline[] {
  if (!withEmoji) return [{ type: "text", text }];
  return text
    .split(/:([a-z0-9_+'-]+):/)
    .map((piece, index): Inline => (index % 2 ? emoji(piece, {}) : { type: "text", text: piece }))
    .filter((element) => element.text !== "");
}
