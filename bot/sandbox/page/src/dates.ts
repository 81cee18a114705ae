/** Times as Slack shows them, always in the zone of this device. */

const DAY = 86_400_000;

const midnight = (date: Date) => new Date(date.getFullYear(), date.getMonth(), date.getDate()).getTime();

/** 1st, 2nd, 3rd, 4th … */
function ordinal(day: number): string {
  const teen = day % 100 >= 11 && day % 100 <= 13;
  return day + (teen ? "th" : (["th", "st", "nd", "rd"][day % 10] ?? "th"));
}

const part = (date: Date, options: Intl.DateTimeFormatOptions) => new Intl.DateTimeFormat("en", options).format(date);

export const clock = (date: Date) => new Intl.DateTimeFormat(undefined, { timeStyle: "short" }).format(date);

/** The clock in as little room as there is: without AM and PM. */
export const shortClock = (date: Date) => clock(date).replace(/\s?[ap]\.?m\.?/i, "");

/** "Today", "Yesterday" or "Tomorrow" where one fits. */
function nearby(date: Date, now: Date): string | null {
  const days = Math.round((midnight(date) - midnight(now)) / DAY);
  return { [-1]: "Yesterday", 0: "Today", 1: "Tomorrow" }[days] ?? null;
}

/** "February 18th", "Feb 18" or "Tuesday, February 18th"; with the year when it is six months or more away. */
function dated(date: Date, month: "long" | "short", weekday = false): string {
  const day = `${part(date, { month })} ${month === "long" ? ordinal(date.getDate()) : date.getDate()}`;
  const far = Math.abs(date.getTime() - Date.now()) > 183 * DAY;
  return `${weekday ? `${part(date, { weekday: "long" })}, ` : ""}${day}${far ? `, ${date.getFullYear()}` : ""}`;
}

/** The heading above a day's messages. */
export function dayHeading(date: Date): string {
  return nearby(date, new Date()) ?? dated(date, "long", true);
}

/** "today at 14:20", as under a thread. */
export function reply(date: Date): string {
  const day = nearby(date, new Date());
  return `${day ? day.toLowerCase() : dated(date, "short")} at ${clock(date)}`;
}

export function ago(date: Date, now = new Date()): string {
  const seconds = Math.round((date.getTime() - now.getTime()) / 1000);
  const relative = new Intl.RelativeTimeFormat("en", { numeric: "auto" });
  const units: [Intl.RelativeTimeFormatUnit, number][] = [["day", 86400], ["hour", 3600], ["minute", 60]];
  const unit = units.find(([, size]) => Math.abs(seconds) >= size);
  return unit ? relative.format(Math.trunc(seconds / unit[1]), unit[0]) : relative.format(seconds, "second");
}

/** The tokens of `<!date^…>` (docs.slack.dev: messaging/formatting-message-text). */
const TOKENS: Record<string, (date: Date) => string> = {
  date_num: (date) => [date.getFullYear(), date.getMonth() + 1, date.getDate()].map((n) => String(n).padStart(2, "0")).join("-"),
  date_slash: (date) => new Intl.DateTimeFormat(undefined, { dateStyle: "short" }).format(date),
  date: (date) => dated(date, "long"),
  date_short: (date) => dated(date, "short"),
  date_long: (date) => dated(date, "long", true),
  date_pretty: (date) => nearby(date, new Date())?.toLowerCase() ?? dated(date, "long"),
  date_short_pretty: (date) => nearby(date, new Date())?.toLowerCase() ?? dated(date, "short"),
  date_long_pretty: (date) => nearby(date, new Date())?.toLowerCase() ?? dated(date, "long", true),
  time: clock,
  time_secs: (date) => new Intl.DateTimeFormat(undefined, { timeStyle: "medium" }).format(date),
  ago: (date) => ago(date),
};

/** Fill a date template; null when it has a token that Slack does not know, so that the fallback shows. */
export function slackDate(seconds: number, template: string): string | null {
  const date = new Date(seconds * 1000);
  if (Number.isNaN(date.getTime())) return null;
  let known = true;
  const text = template.replace(/\{(\w+)\}/g, (token, name: string) => {
    known &&= name in TOKENS;
    return TOKENS[name]?.(date) ?? token;
  });
  return known ? text : null;
}

/** The time of a message, of its `ts`. */
export const timeOf = (ts: string) => new Date(Number.parseFloat(ts) * 1000);

/** Unix seconds to the value of an `<input type="datetime-local">`, and back. */
export function toLocalInput(seconds: number | null | undefined): string {
  if (seconds == null) return "";
  const date = new Date(seconds * 1000);
  return new Date(date.getTime() - date.getTimezoneOffset() * 60_000).toISOString().slice(0, 16);
}

export const fromLocalInput = (value: string): number | null => (value ? Math.floor(new Date(value).getTime() / 1000) : null);
