/** The whole page: the simulator's bar on top, the Slack window below it, and the panels beside. */
import { useCallback, useEffect, useMemo, useState } from "react";
import { useSandbox } from "./api";
import { Composer } from "./composer";
import { ConfirmProvider } from "./confirm";
import { DeskProvider, useDesk, type Desk } from "./desk";
import { Faults } from "./faults";
import { Home } from "./home";
import { Icon, type IconName } from "./icons";
import { Mailbox } from "./mail";
import { isMember, MessageList, Thread } from "./messages";
import { Modals } from "./modal";
import { actors, People } from "./people";
import { useAnnouncement, useReading } from "./reading";
import { APP_HASH, HOME_HASH, keepParameter, parameter, parsePlace, useHash } from "./route";
import { Sidebar } from "./sidebar";
import { useTheme } from "./theme";
import { TrafficPane } from "./traffic";
import type { Channel, State, User } from "./types";

type Panel = "traffic" | "faults" | "mail";

const PANELS: { panel: Panel; icon: IconName; name: string }[] = [
  { panel: "traffic", icon: "wire", name: "Traffic" },
  { panel: "faults", icon: "fault", name: "Faults" },
  { panel: "mail", icon: "mail", name: "Mail" },
];

const asPanel = (value: string | null): Panel | null => PANELS.find((known) => known.panel === value)?.panel ?? null;

export function App() {
  const { state, traffic, live } = useSandbox();
  const [theme, setTheme] = useTheme();
  const [actor, setActor] = useState(parameter("as"));
  const me = state ? (state.users.find((user) => user.id === actor && !user.is_bot) ?? actors(state.users)[0]) : undefined;
  const place = usePlace(state, me);
  const [thread, setThread] = useState<{ channel: string; ts: string } | null>(null);
  const [panel, setPanel] = useState<Panel | null>(asPanel(parameter("panel")));
  const [drawer, setDrawer] = useState(false);
  const reading = useReading(state, me?.id, place.atHome ? undefined : place.channel?.id);
  const said = useAnnouncement(state, me?.id);
  const desk = useDeskOf(state, me, theme);

  const open = place.channel && thread?.channel === place.channel.id ? thread.ts : null;
  const focusedRoot = place.focused && place.channel?.messages.find((message) => message.ts === place.focused)?.thread_ts;
  useEffect(() => {
    if (place.channel && focusedRoot && focusedRoot !== place.focused) setThread({ channel: place.channel.id, ts: focusedRoot });
  }, [place.channel?.id, place.focused, focusedRoot]);
  const openThread = useCallback((ts: string) => place.channel && setThread({ channel: place.channel.id, ts }), [place.channel?.id]);

  const unread = [...reading.unread.values()].reduce((all, count) => all + count, 0);
  const shownName = place.channel?.kind === "channel" ? `#${place.channel.name}` : "Keyturn";
  useEffect(() => {
    if (state) document.title = `${unread ? `(${unread}) ` : ""}${shownName} · ${state.team.name} · Keyturn sandbox`;
  }, [unread, shownName, state?.team.name]);
  useEffect(() => {
    if (drawer) document.querySelector<HTMLElement>("#sidebar [aria-current=page]")?.focus();
  }, [drawer]);

  if (!state || !desk || !me) return <p className="boot" role="status">{live ? "Opening the workspace…" : "Waiting for the sandbox…"}</p>;

  const act = (id: string) => {
    setActor(id);
    keepParameter("as", id);
    if (place.channel?.kind === "dm") location.hash = APP_HASH;
  };
  const toggle = (next: Panel) => setPanel(panel === next ? null : next);
  const modal = Boolean(state.modals[me.id]?.length);

  return (
    <DeskProvider value={desk}>
      <ConfirmProvider>
        <div className={`page${panel ? " with-panel" : ""}${drawer ? " with-drawer" : ""}`} onKeyDown={(event) => event.key === "Escape" && setDrawer(false)}>
          <header className="topbar">
            <button type="button" className="icon burger" aria-label="Workspace" aria-expanded={drawer} aria-controls="sidebar" onClick={() => setDrawer(!drawer)}><Icon name="menu" /></button>
            <span className="brand"><Mark /> <b>Keyturn</b> sandbox</span>
            <span className="act-as" aria-hidden="true">Act as</span>
            <People waiting={reading.waiting} onPick={act} />
            <span className="topbar-tools">
              {PANELS.filter((known) => known.panel !== "mail" || state.mail.length > 0).map(({ panel: known, icon, name }) => (
                <button key={known} type="button" className="tool" aria-pressed={panel === known} data-testid={`open-${known}`} onClick={() => toggle(known)}>
                  <Icon name={icon} /> <span>{name}</span>
                  {known === "mail" && <span className="count">{state.mail.length}</span>}
                </button>
              ))}
              <button type="button" className="tool" data-testid="theme" aria-label={theme === "dark" ? "Use the light theme" : "Use the dark theme"} onClick={() => setTheme(theme === "dark" ? "light" : "dark")}>
                <Icon name={theme === "dark" ? "sun" : "moon"} />
              </button>
            </span>
          </header>
          {!live && <p className="offline" role="status">The sandbox does not answer. Trying again…</p>}
          <div className="stage">
            <div className="window" inert={modal}>
              <Sidebar unread={reading.unread} channel={place.channel} atHome={place.atHome} onGo={() => setDrawer(false)} />
              <button type="button" className="shade" aria-label="Close the workspace list" tabIndex={drawer ? 0 : -1} onClick={() => setDrawer(false)} />
              <Conversation place={place} onThread={openThread} act={act} />
              {open && place.channel && !place.atHome && <Thread channel={place.channel} ts={open} focused={place.focused} onClose={() => setThread(null)} />}
            </div>
            <Modals key={me.id} />
          </div>
          {panel === "traffic" && <TrafficPane entries={traffic} onClose={() => setPanel(null)} />}
          {panel === "faults" && <Faults onClose={() => setPanel(null)} />}
          {panel === "mail" && <Mailbox onClose={() => setPanel(null)} />}
          <p className="aloud" role="status" aria-live="polite" data-testid="live">{said}</p>
        </div>
      </ConfirmProvider>
    </DeskProvider>
  );
}

const Mark = () => (
  <svg viewBox="0 0 48 48" aria-hidden="true">
    <rect width="48" height="48" rx="11" fill="#0b6b57" />
    <g fill="none" stroke="#fff" strokeWidth="4" strokeLinecap="round" strokeLinejoin="round"><circle cx="17.5" cy="24" r="7.5" /><path d="M25 24h14v6M33 24v5" /></g>
  </svg>
);

function useDeskOf(state: State | null, me: User | undefined, theme: Desk["theme"]): Desk | null {
  const names = useMemo<Desk["names"]>(
    () => ({
      users: (state?.users ?? []).map(({ id, real_name, name }) => ({ id, name: real_name || name })),
      channels: (state?.channels ?? []).map(({ id, name }) => ({ id, name })),
      user_groups: (state?.usergroups ?? []).map(({ id, handle }) => ({ id, name: handle })),
    }),
    [state?.users, state?.channels, state?.usergroups],
  );
  return useMemo(
    () => state && me ? {
      state, me, theme, names,
      users: new Map(state.users.map((user) => [user.id, user])),
      channels: new Map(state.channels.map((channel) => [channel.id, channel])),
    } : null,
    [state, me, theme, names],
  );
}

interface Here {
  atHome: boolean;
  /** What is read; null when there is nothing, or nothing that this person may see. */
  channel: Channel | null;
  focused: string | null;
  /** Whose direct message the address names, when it is not this person's. */
  owner: string | null;
}

function usePlace(state: State | null, me: User | undefined): Here {
  const hash = useHash();
  const nowhere: Here = { atHome: false, channel: null, focused: null, owner: null };
  if (!state || !me) return nowhere;
  const place = parsePlace(hash);
  if (place?.at === "home") return { ...nowhere, atHome: true };
  const mine = state.channels.find((channel) => channel.kind === "dm" && channel.user === me.id) ?? null;
  if (place?.at === "app") return { ...nowhere, channel: mine };
  const rooms = state.channels.filter((channel) => channel.kind === "channel");
  const fallback = rooms.find((channel) => channel.members.includes(me.id)) ?? rooms[0] ?? null;
  const named = place && state.channels.find((channel) => channel.id === place.channel);
  if (named?.kind === "dm" && named.user !== me.id) return { ...nowhere, owner: named.user ?? null };
  return { ...nowhere, channel: named ?? fallback, focused: place?.ts ?? null };
}

function Conversation({ place, onThread, act }: { place: Here; onThread: (ts: string) => void; act: (id: string) => void }) {
  const { channel, atHome } = place;
  const app = atHome || !channel || channel.kind === "dm";
  return (
    <main className="main" aria-label={app ? "App" : `#${channel.name}`}>
      {app ? <AppHead atHome={atHome} /> : <ChannelHead channel={channel} />}
      {atHome ? <Home /> : channel ? (
        <>
          <MessageList key={channel.id} channel={channel} focused={place.focused} onThread={onThread} />
          <Foot channel={channel} />
        </>
      ) : <Nowhere owner={place.owner} act={act} />}
    </main>
  );
}

function Foot({ channel }: { channel: Channel }) {
  const { me } = useDesk();
  if (!isMember(channel, me.id)) return <p className="closed">{me.real_name} is not a member of <b># {channel.name}</b>.</p>;
  if (channel.is_archived) return <p className="closed">You are viewing <b># {channel.name}</b>, an archived channel.</p>;
  return <Composer channel={channel.id} placeholder={channel.kind === "dm" ? "Message Keyturn" : `Message #${channel.name}`} />;
}

const ChannelHead = ({ channel }: { channel: Channel }) => (
  <header className="pane-head">
    <h2># {channel.name}</h2>
    {Boolean(channel.is_archived) && <span className="badge">archived</span>}
    <span className="members">{channel.members.length} members</span>
  </header>
);

const AppHead = ({ atHome }: { atHome: boolean }) => (
  <header className="pane-head">
    <Mark />
    <h2>Keyturn</h2>
    <nav className="tabs" aria-label="App">
      <a href={HOME_HASH} aria-current={atHome ? "page" : undefined}>Home</a>
      <a href={APP_HASH} aria-current={atHome ? undefined : "page"}>Messages</a>
    </nav>
  </header>
);

function Nowhere({ owner, act }: { owner: string | null; act: (id: string) => void }) {
  return (
    <div className="nothing">
      {owner
        ? <>This is somebody else's direct message. <button type="button" className="link" onClick={() => act(owner)}>Act as them</button></>
        : "No direct messages yet. When the bot has something for you alone, it is here."}
    </div>
  );
}

