"""`keyturn rollback`: start an undo. It is applied only after people confirm it in Slack."""

import asyncio
import os
from typing import Annotated, Any

import typer

from bot.commands.saying import clear_errors, refuse, say
from bot.config import StoreSettings
from bot.http import admin


def rollback(
    what: Annotated[list[str], typer.Argument(help="req_… for one action, or: session SESSION.")],
    reason: Annotated[str, typer.Option(help="Why; told to those who confirm, and audited.")],
    force: Annotated[
        bool,
        typer.Option("--force", help="One action only: overwrite what changed since, for a second reason."),
    ] = False,
    agent: Annotated[
        str | None, typer.Option(help="Whose session, where several agents used the same id.")
    ] = None,
) -> None:
    """Ask for the undo of an action, or of everything a session did, newest first.

    The agent then shows what would change. Nothing is changed before that was confirmed in Slack:
    by the button on the card, or with /rollback there. Needs the running server.
    """
    body = _body(what, reason, force, agent)
    with clear_errors():
        path = admin.socket_path(StoreSettings.read(os.environ).database_path)
        if not admin.running(path):
            refuse(
                "No server runs on this database: start `keyturn serve`, which the agent asks for its work."
            )
        begun = asyncio.run(admin.call(path, "rollback", body))
    say(f"{begun['id']} is started for {', '.join(begun['requests'])}.")
    if begun["left_out"]:
        say(f"It will be partial: {len(begun['left_out'])} of the session's actions cannot be undone.")
    for request, why in begun["left_out"].items():
        say(f"Left out: {request}: {why}")
    say("Confirm it in Slack, on the card or with /rollback; it expires in 15 minutes.")


def _body(what: list[str], reason: str, force: bool, agent: str | None) -> dict[str, Any]:
    if len(what) == 1 and what[0].startswith("req_"):
        return {"request": what[0], "reason": reason, "force": force}
    if len(what) != 2 or what[0] != "session":
        refuse("Name one action (req_…) or a session: keyturn rollback session SESSION --reason WHY")
    if force:
        refuse("--force is for one action: name its req_… instead of the session.")
    return {"session": what[1], "agent": agent, "reason": reason}
