/** The workspace: its channels, the person's direct messages, and the app. */
import { Avatar } from "./avatar";
import { useDesk } from "./desk";
import { Icon } from "./icons";
import { Myself } from "./people";
import { APP_HASH, channelHash, HOME_HASH } from "./route";
import type { Channel } from "./types";

interface SidebarProps {
  /** How many messages the person has not seen, by channel. */
  unread: ReadonlyMap<string, number>;
  channel: Channel | null;
  atHome: boolean;
  onGo: () => void;
}

export function Sidebar({ unread, channel, atHome, onGo }: SidebarProps) {
  const { state, me, users } = useDesk();
  const bot = users.get(state.bot.user_id);
  const rooms = state.channels.filter((c) => c.kind === "channel");
  const joined = rooms.filter((c) => c.members.includes(me.id));
  const others = rooms.filter((c) => !c.members.includes(me.id));
  const mine = state.channels.find((c) => c.kind === "dm" && c.user === me.id);
  const link = (to: Channel) => (
    <Entry key={to.id} href={channelHash(to.id)} here={!atHome && channel?.id === to.id} unread={unread.get(to.id) ?? 0} dim={to.is_archived} onGo={onGo} testId={to.id}>
      <Icon name={to.is_archived ? "archive" : "hash"} /> {to.name}
    </Entry>
  );
  return (
    <nav className="sidebar" id="sidebar" aria-label="Workspace" data-testid="sidebar">
      <header className="workspace">
        <h1>{state.team.name}</h1>
        <span className={`link-state${state.bot.connected ? " on" : ""}`} title={state.bot.connected ? "The bot is connected" : "The bot is not connected"}>
          {state.bot.connected ? (state.bot.transport === "socket" ? "Socket Mode" : "HTTP") : "bot offline"}
        </span>
      </header>
      <div className="sidebar-lists">
        <Section name="Channels">{joined.map(link)}</Section>
        {others.length > 0 && (
          <details className="others" open={others.some((c) => c.id === channel?.id) || undefined}>
            <summary>Not a member of {others.length}</summary>
            <ul>{others.map(link)}</ul>
          </details>
        )}
        <Section name="Direct messages">
          <Entry href={APP_HASH} here={!atHome && (channel ? channel.id === mine?.id : true)} unread={(mine && unread.get(mine.id)) ?? 0} onGo={onGo} testId="dm">
            <Avatar user={bot} size={20} /> {bot?.real_name || state.bot.name} <span className="badge">APP</span>
          </Entry>
        </Section>
        <Section name="Apps">
          <Entry href={HOME_HASH} here={atHome} unread={0} onGo={onGo} testId="home">
            <Icon name="home" /> {bot?.real_name || state.bot.name} Home
          </Entry>
        </Section>
      </div>
      <Myself />
    </nav>
  );
}

const Section = ({ name, children }: { name: string; children: React.ReactNode }) => (
  <section aria-label={name}>
    <h2>{name}</h2>
    <ul>{children}</ul>
  </section>
);

interface EntryProps {
  href: string;
  here: boolean;
  unread: number;
  dim?: boolean;
  onGo: () => void;
  testId: string;
  children: React.ReactNode;
}

const Entry = ({ href, here, unread, dim, onGo, testId, children }: EntryProps) => (
  <li>
    <a
      href={href}
      className={`entry${unread && !here ? " unread" : ""}${dim ? " dim" : ""}`}
      aria-current={here ? "page" : undefined}
      data-testid={`go-${testId}`}
      onClick={onGo}
    >
      {children}
      {unread > 0 && !here && <span className="count" aria-label={`${unread} new`}>{unread}</span>}
    </a>
  </li>
);
