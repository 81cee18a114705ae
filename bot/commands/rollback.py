"""`keyturn rollback`: start an undo, or see how one stands. It is applied only after people confirm it."""

import asyncio
import os
from collections.abc import Mapping
from typing import Annotated, Any

import typer

from bot.commands.operating import ask
from bot.commands.saying import clear_errors, refuse, say
from bot.config import StoreSettings
from bot.http import admin


def rollback(
    what: Annotated[
        list[str],
        typer.Argument(help="req_… for one action; session SESSION; rbk_… to see how it stands."),
    ],
    reason: Annotated[
        str | None, typer.Option(help="Why; needed to start one, told to those who confirm it, audited.")
    ] = None,
    force: Annotated[
        bool,
        typer.Option("--force", help="One action only: overwrite what changed since, for a second reason."),
    ] = False,
    agent: Annotated[
        str | None, typer.Option(help="Whose session, where several agents used the same id.")
    ] = None,
) -> None:
    """Ask for the undo of an action, or of everything a session did, newest first; or see how one stands.

    The agent then shows what would change. Nothing is changed before that was confirmed in Slack:
    by the button on the card, or with /rollback there. Starting one needs the running server.
    """
    if len(what) == 1 and what[0].startswith("rbk_"):
        with clear_errors():
            _show(asyncio.run(ask(StoreSettings.read(os.environ), "rollback/standing", {"id": what[0]})))
        return
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
    _show_left_out(begun["left_out"])
    say("Confirm it in Slack, on the card or with /rollback; it expires in 15 minutes.")
    say(f"See what came of it with: keyturn rollback {begun['id']}")


def _show(found: Mapping[str, Any]) -> None:
    """How it stands as a whole, and each of its actions."""
    message = f": {found['message']}" if found["message"] else ""
    say(f"{found['id']} is {found['state']}{message}")
    for item in found["items"]:
        said = f": {item['said']}" if item["said"] else ""
        say(f"{item['request']}: {item['state']}{said}")
    _show_left_out(found["left_out"])


def _show_left_out(left_out: Mapping[str, str]) -> None:
    for request, why in left_out.items():
        say(f"Left out: {request}: {why}")


def _body(what: list[str], reason: str | None, force: bool, agent: str | None) -> dict[str, Any]:
    one = len(what) == 1 and what[0].startswith("req_")
    if not one and (len(what) != 2 or what[0] != "session"):
        refuse("Name one action (req_…) or a session: keyturn rollback session SESSION --reason WHY")
    if reason is None:
        refuse("Say why with --reason: those who confirm the rollback are told, and it is audited.")
    if one:
        return {"request": what[0], "reason": reason, "force": force}
    if force:
        refuse("--force is for one action: name its req_… instead of the session.")
    return {"session": what[1], "agent": agent, "reason": reason}
