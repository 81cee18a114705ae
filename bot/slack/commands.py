"""Slash commands and App Home: one person's view of what is going on.

`/keyturn` alone, or `help`, says what there is. What is not understood gets a suggestion.
"""

import difflib
from typing import Any

from bot.core.models import SlackId
from bot.slack import rota
from bot.slack.home import home_view, queue_blocks
from bot.slack.queue import Queue
from bot.slack.text import Block, literal

COMMAND = "/keyturn"

HELP = {
    "queue": "what is waiting for you, by risk and deadline",
    **rota.HELP,
    "help": "this text",
}
"""Every subcommand there is, with what it does."""


class Commands:
    """Answers to slash commands."""

    def __init__(self, queue: Queue, schedules: rota.Rota) -> None:
        self._queue = queue
        self._schedules = schedules

    async def answer(self, command: str, text: str, *, user_id: SlackId, team_id: str) -> dict[str, Any]:
        """Arguments of the private answer.

        Raises:
            CannotVerify: Slack did not say who is asking.
        """
        words = text.split()
        if command != COMMAND:
            return {"text": f"There is no {literal(command)} here. {_help()}"}
        if not words or words[0].casefold() == "help":
            return {"text": _help()}
        if words[0].casefold() == "queue":
            queue = await self._queue.of(user_id, team_id)
            return {"text": f"{len(queue)} waiting for you", "blocks": queue_blocks(queue)}
        if words[0].casefold() in rota.HELP:
            return {"text": await self._schedules.answer(words, text, user_id=user_id, team_id=team_id)}
        return {"text": f"{_suggestion(words[0])}\n{_help()}"}

    async def home(self, *, user_id: SlackId, team_id: str) -> Block:
        """The App Home of one person.

        Raises:
            CannotVerify: Slack did not say who they are.
        """
        return home_view(await self._queue.of(user_id, team_id))


def _help() -> str:
    lines = [f"`{COMMAND} {name}`: {what}" for name, what in HELP.items()]
    return "\n".join(["Keyturn asks people before agents act.", *lines])


def _suggestion(word: str) -> str:
    close = difflib.get_close_matches(word.casefold(), HELP, n=1, cutoff=0.5)
    said = f"Keyturn does not know “{literal(word[:40])}”."
    return f"{said} Did you mean `{COMMAND} {close[0]}`?" if close else said
