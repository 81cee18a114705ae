"""Slash commands and App Home: one person's view of what is going on.

`/keyturn` alone, or `help`, says what there is. What is not understood gets a suggestion.
"""

import difflib
from typing import Any

from bot.core.models import SlackId
from bot.slack import audit_desk, rota, switch
from bot.slack.audit_desk import AuditDesk
from bot.slack.home import home_view, queue_blocks
from bot.slack.queue import Queue
from bot.slack.switch import Switch
from bot.slack.text import Block, literal

COMMAND = "/keyturn"

HELP = {
    "queue": "what is waiting for you, by risk and deadline",
    **rota.HELP,
    **switch.HELP,
    "audit": "what is on record; the same as `/audit`",
    "help": "this text",
}
"""Every subcommand there is, with what it does."""


class Commands:
    """Answers to slash commands."""

    def __init__(self, queue: Queue, schedules: rota.Rota, switch: Switch, audit: AuditDesk) -> None:
        self._queue = queue
        self._schedules = schedules
        self._switch = switch
        self._audit = audit

    async def answer(self, command: str, text: str, *, user_id: SlackId, team_id: str) -> dict[str, Any]:
        """Arguments of the private answer.

        Raises:
            CannotVerify: Slack did not say who is asking.
            ReviewRefused: it is for others.
        """
        words = text.split()
        if command == audit_desk.COMMAND:
            return await self._audit.answer(words, user_id=user_id, team_id=team_id)
        if command != COMMAND:
            return {"text": f"There is no {literal(command)} here. {_help()}"}
        if not words or words[0].casefold() == "help":
            return {"text": _help()}
        if words[0].casefold() == "queue":
            queue = await self._queue.of(user_id, team_id)
            return {"text": f"{len(queue)} waiting for you", "blocks": queue_blocks(queue)}
        if words[0].casefold() in rota.HELP:
            return {"text": await self._schedules.answer(words, text, user_id=user_id, team_id=team_id)}
        if words[0].casefold() in switch.HELP:
            return await self._switch.answer(words, user_id=user_id, team_id=team_id)
        if words[0].casefold() == "audit":
            return await self._audit.answer(words[1:], user_id=user_id, team_id=team_id)
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
