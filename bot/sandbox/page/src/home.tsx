/** The app's Home tab, as the acting person sees it. Opening it is an event that the bot answers by publishing. */
import { useEffect } from "react";
import { post } from "./api";
import { Blocks } from "./blocks";
import { useDesk } from "./desk";
import { useHost, useTouched } from "./host";
import type { OpenView } from "./types";

export function Home() {
  const { state, me } = useDesk();
  const home = state.homes[me.id];
  useEffect(() => void post("home", { user: me.id }), [me.id]);
  return (
    <div className="home" data-testid="home" tabIndex={0} role="region" aria-label="Home tab">
      {home ? <Published key={me.id} home={home} /> : <p className="nothing">The bot has not published a Home tab for {me.real_name} yet.</p>}
    </div>
  );
}

function Published({ home }: { home: OpenView }) {
  const host = useHost({ view_id: home.id }, home.view.blocks, useTouched());
  return (
    <div className="home-body">
      {host.failure && <p className="trouble" role="alert">Something went wrong. Please try again. <small>{host.failure.message ?? host.failure.error}</small></p>}
      <Blocks blocks={home.view.blocks} host={host} />
    </div>
  );
}
