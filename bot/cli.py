"""The command `keyturn`.

Each command reads the environment, calls one part, and prints. Errors a person can fix are
one clear message on standard error and exit code 2; what a program reads goes to standard
output alone.
"""

import asyncio
import json
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

from bot.commands import audit, oncall, pause, policy, rollback
from bot.commands.saying import Commands, clear_errors, refuse, say
from bot.config import Settings, StoreSettings
from bot.http.admin import RemoteAgents, as_row, socket_path
from bot.services.agents import Agents

T = TypeVar("T")

app = typer.Typer(
    name="keyturn",
    cls=Commands,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="Approvals for AI agents: an agent asks, a person in Slack decides, everything is on record.",
    epilog="Try it on this machine, without a Slack account: keyturn demo",
)
agents_app = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    help="Credentials of agents, auditors and operators.",
    epilog="Example: keyturn agents add builder --owner U0123ABCD --callback-host hooks.example.com",
)
app.add_typer(agents_app, name="agents")
app.add_typer(oncall.app, name="oncall")
app.add_typer(policy.app, name="policy")
app.add_typer(audit.app, name="audit")


@app.command(
    epilog="Example: SLACK_BOT_TOKEN=xoxb-… SLACK_APP_TOKEN=xapp-… keyturn serve",
)
def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on (KEYTURN_HOST).")] = None,
    port: Annotated[int | None, typer.Option(help="Port; 0 for a free one (KEYTURN_PORT).")] = None,
) -> None:
    """Run the bot: the HTTP hook for agents, Slack for people, until it is stopped.

    Settings come from the environment: KEYTURN_DATABASE_URL, KEYTURN_POLICIES, KEYTURN_PUBLIC_URL,
    KEYTURN_KEY_DIR, SLACK_BOT_TOKEN, and SLACK_APP_TOKEN (Socket Mode) or SLACK_SIGNING_SECRET
    (signed HTTP at /slack/events).
    """
    from bot import wiring

    given = {"KEYTURN_HOST": host, "KEYTURN_PORT": None if port is None else str(port)}
    environment = os.environ | {name: value for name, value in given.items() if value is not None}
    with clear_errors(), asyncio.Runner(loop_factory=wiring.new_event_loop) as runner:
        runner.run(wiring.serve(Settings.read(environment), announce=say))


@app.command(epilog="Example: keyturn demo --headless")
def demo(
    headless: Annotated[
        bool, typer.Option(help="Play the reviewer too, check the effects, and exit 0 if all is right.")
    ] = False,
    keep: Annotated[bool, typer.Option(help="Keep the demo's directory when it ends.")] = False,
    port: Annotated[int | None, typer.Option(help="Port of the page; a free one by default.")] = None,
    open_browser: Annotated[bool, typer.Option("--open", help="Open the page in a browser.")] = False,
) -> None:
    """Show everything on this machine: a local Slack, the bot, and an agent that asks before it acts."""
    from bot import demo as demonstration

    raise typer.Exit(demonstration.run(headless=headless, keep=keep, port=port, open_browser=open_browser))


@app.command(epilog="Example: keyturn sandbox --env-file slack.env")
def sandbox(
    port: Annotated[int, typer.Option(help="Port of the page; 0 for a free one.")] = 0,
    transport: Annotated[str, typer.Option(help="How clicks reach the bot: socket or http.")] = "socket",
    bot_url: Annotated[str | None, typer.Option(help="The bot's request URL, for --transport http.")] = None,
    env_file: Annotated[
        Path | None, typer.Option(help="Write the SLACK_* variables here (0600) instead of printing them.")
    ] = None,
    workspace: Annotated[
        Path | None, typer.Option(help="A JSON file with people, channels and groups.")
    ] = None,
) -> None:
    """Run a local Slack workspace with a page, to try a bot without a Slack account."""
    from bot import sandbox as local_slack

    with clear_errors():
        local_slack.run(port, transport, bot_url, env_file, workspace, announce=say)


@app.command(epilog="Example: keyturn manifest --http https://keyturn.example.com > manifest.json")
def manifest(
    http: Annotated[
        str | None,
        typer.Option("--http", metavar="URL", help="For signed HTTP at this https address, not Socket Mode."),
    ] = None,
) -> None:
    """Print the Slack app manifest, to paste under "Create an app from a manifest"."""
    from bot.slack.manifest import manifest as make

    with clear_errors():
        say(json.dumps(make(http), indent=2))


@app.command(epilog="Example: keyturn doctor")
def doctor() -> None:
    """Check the settings, the policies, the database and Slack, and say what to fix.

    Exit code 0 when all is well, 1 when something is not.
    """
    from bot import doctor as checks

    with clear_errors():
        found = asyncio.run(checks.examine(os.environ))
    for check in found:
        mark = "FAIL" if not check.ok else "WARN" if check.doubtful else "ok  "
        say(f"{mark}  {check.name}: {check.detail}")
    raise typer.Exit(0 if all(check.ok for check in found) else 1)


# Here and not above: help lists commands in the order in which they are named.
app.command(epilog="Example: keyturn pause deploy-bot cancel --reason 'Incident 4711'")(pause.pause)
app.command(epilog="Example: keyturn resume deploy-bot")(pause.resume)
app.command(epilog="Example: keyturn rollback req_0123 --reason 'It broke the shop'")(rollback.rollback)


@agents_app.command(epilog="Example: TOKEN=$(keyturn agents add builder --owner U0123ABCD)")
def add(
    name: Annotated[str, typer.Argument(help="Name of the agent: a-z 0-9 . _ -")],
    owner: Annotated[
        str | None, typer.Option(help="Slack id of the person who may never approve this agent's requests.")
    ] = None,
    no_owner: Annotated[bool, typer.Option("--no-owner", help="The agent belongs to nobody.")] = False,
    scope: Annotated[
        list[str] | None, typer.Option(help="agent (default), auditor or operator; repeatable.")
    ] = None,
    rate: Annotated[
        int, typer.Option(help="POSTs of requests and evaluations per minute; 0 for no limit.")
    ] = 600,
    callback_host: Annotated[
        list[str] | None, typer.Option(help="Host, or HOST:PORT, that callback_url may name; repeatable.")
    ] = None,
) -> None:
    """Make a credential and print its token, which is shown this once."""
    if (owner is None) is not no_owner:
        refuse("Give --owner U… (who may never approve this agent's requests) or --no-owner, one of both.")
    token = _with_agents(
        lambda agents: agents.add(
            name,
            owner=owner,
            scopes=scope or ["agent"],
            rate=rate,
            callback_hosts=callback_host or [],
        )
    )
    say(token)


@agents_app.command("list", epilog="Example: keyturn agents list --json")
def list_agents(
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
) -> None:
    """Show every credential; never a token."""
    for row in _with_agents(lambda agents: agents.rows()):
        if as_json:
            say(json.dumps(row))
        else:
            state = f"revoked {row['revoked_at']}" if row["revoked_at"] else f"{row['rate']}/min"
            say(f"{row['name']:24} {','.join(row['scopes']):16} {row['owner'] or 'no owner':12} {state}")


@agents_app.command(epilog="Example: keyturn agents rotate builder")
def rotate(name: Annotated[str, typer.Argument(help="Name of the agent.")]) -> None:
    """Make a new token and print it; the old one stops working at once."""
    say(_with_agents(lambda agents: agents.rotate(name)))


@agents_app.command(epilog="Example: keyturn agents revoke builder")
def revoke(name: Annotated[str, typer.Argument(help="Name of the agent.")]) -> None:
    """End a credential, with its open waits and streams."""
    _with_agents(lambda agents: agents.revoke(name))
    typer.echo(f"{name} is revoked.", err=True)


@agents_app.command("webhook-secret", epilog="Example: keyturn agents webhook-secret builder")
def webhook_secret(name: Annotated[str, typer.Argument(help="Name of the agent.")]) -> None:
    """Print the secret that verifies this agent's callbacks (Standard Webhooks, whsec_…)."""
    say(_with_agents(lambda agents: agents.webhook_secret(name)))


class _LocalAgents:
    """The store's own agents, in the shape of the running server's."""

    def __init__(self, agents: Agents) -> None:
        self.add = agents.add
        self.rotate = agents.rotate
        self.revoke = agents.revoke
        self.webhook_secret = agents.webhook_secret
        self._agents = agents

    async def rows(self) -> list[dict[str, Any]]:
        return [as_row(agent) for agent in await self._agents.all()]


@asynccontextmanager
async def _agents(settings: StoreSettings) -> AsyncIterator[RemoteAgents | _LocalAgents]:
    """The running server's agents; with none running, the store's, opened under its lock."""
    from bot import offline

    remote = RemoteAgents(socket_path(settings.database_path))
    if remote.running():
        yield remote
        return
    async with offline.agents(settings) as agents:
        yield _LocalAgents(agents)


def _with_agents(call: Callable[[RemoteAgents | _LocalAgents], Awaitable[T]]) -> T:
    async def run() -> T:
        async with _agents(StoreSettings.read(os.environ)) as agents:
            return await call(agents)

    with clear_errors():
        return asyncio.run(run())


def main() -> None:
    """Entry point of the `keyturn` command."""
    app()


if __name__ == "__main__":
    main()
