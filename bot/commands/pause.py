"""`keyturn pause` and `keyturn resume`: the kill switch when Slack is down."""

import asyncio
import os
from enum import StrEnum
from typing import Annotated

import typer

from bot.commands.operating import ask
from bot.commands.saying import clear_errors, say
from bot.config import StoreSettings

_What = Annotated[str, typer.Argument(help="An agent, an action type, or all; agent:NAME or type:NAME.")]


class Pending(StrEnum):
    """What becomes of requests that wait for a decision."""

    HOLD = "hold"
    CANCEL = "cancel"


def pause(
    what: _What,
    pending: Annotated[
        Pending,
        typer.Argument(help="hold: nobody can decide, deadlines go on. cancel: they end at once."),
    ] = Pending.HOLD,
    reason: Annotated[str | None, typer.Option(help="Told to agents and to whoever clicks.")] = None,
) -> None:
    """Stop an agent, an action type, or everything: nothing is approved and nothing may run.

    Works while Slack is down, and with or without a running server.
    """
    body = {"what": what, "reason": reason, "cancel": pending is Pending.CANCEL}
    with clear_errors():
        done = asyncio.run(ask(StoreSettings.read(os.environ), "pause", body))
    cancelled = f" {done['cancelled']} pending cancelled." if pending is Pending.CANCEL else ""
    say(f"{done['sentence']}.{cancelled} Undo with: keyturn resume {done['what']}")


def resume(what: _What) -> None:
    """Let an agent, an action type, or everything run again."""
    with clear_errors():
        done = asyncio.run(ask(StoreSettings.read(os.environ), "resume", {"what": what}))
    say(f"{done['what']} runs again.")
