/** A person's or an app's picture, made of their initials and colour. */
import type { User } from "./types";

const initials = (name: string) =>
  name.split(/\s+/).filter(Boolean).map((word) => word[0]!.toUpperCase()).slice(0, 2).join("");

/** The mark of the bot: a key. */
const Key = () => (
  <svg viewBox="0 0 48 48" aria-hidden="true">
    <g fill="none" stroke="currentColor" strokeWidth="4" strokeLinecap="round" strokeLinejoin="round">
      <circle cx="17.5" cy="24" r="7.5" />
      <path d="M25 24h14v6M33 24v5" />
    </g>
  </svg>
);

export function Avatar({ user, size = 36 }: { user: User | undefined; size?: number }) {
  const style = { "--size": `${size}px`, "--tint": user?.color ? `#${user.color.replace("#", "")}` : "#616061" } as React.CSSProperties;
  if (user?.is_bot) return <span className="avatar avatar-app" style={style} aria-hidden="true"><Key /></span>;
  return <span className={`avatar${user?.deleted ? " avatar-gone" : ""}`} style={style} aria-hidden="true">{initials(user?.real_name || user?.name || "?")}</span>;
}
