"""Slash commands: one person's view of what is going on.

`/keyturn` alone, or `help`, says what there is. What is not understood gets a suggestion.
"""

import difflib
from typing import Any

from bot.core.models import SlackId
from bot.slack import audit_desk, grant_desk, rota, switch
from bot.slack.audit_desk import AuditDesk
from bot.slack.grant_desk import GrantDesk
from bot.slack.home import queue_blocks, waiting_words
from bot.slack.queue import Queue
from bot.slack.switch import Switch
from bot.slack.text import literal, typed

COMMAND = "/keyturn"

HELP = {
    "queue": "what is waiting for you, by risk and deadline",
    **rota.HELP,
    **grant_desk.HELP,
    **switch.HELP,
    "audit [req_… | session ID | …]": "what is on record (auditors); `/audit help` says more",
    "rollback req_… | session ID [why]": "undo what an agent did (operators); the same as `/rollback`",
    "help": "this text",
}
"""What can be typed, with what it does."""

WORDS = tuple(dict.fromkeys(form.split()[0] for form in HELP))


class Commands:
    """Answers to slash commands."""

    def __init__(
        self, queue: Queue, schedules: rota.Rota, switch: Switch, grants: GrantDesk, audit: AuditDesk
    ) -> None:
        self._queue = queue
        self._schedules = schedules
        self._switch = switch
        self._grants = grants
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
        match words[0].casefold() if words else "help":
            case "help":
                return {"text": _help()}
            case "queue":
                queue = await self._queue.of(user_id, team_id)
                return {"text": waiting_words(queue), "blocks": queue_blocks(queue)}
            case "audit":
                return await self._audit.answer(words[1:], user_id=user_id, team_id=team_id)
            case word if word in rota.WORDS:
                return {"text": await self._schedules.answer(words, text, user_id=user_id, team_id=team_id)}
            case word if word in switch.WORDS:
                return await self._switch.answer(words, user_id=user_id, team_id=team_id)
            case word if word in grant_desk.HELP:
                return await self._grants.answer(user_id=user_id, team_id=team_id)
        return {"text": f"{_suggestion(words[0])}\n{_help()}"}


def _help() -> str:
    lines = [f"`{COMMAND} {name}`: {what}" for name, what in HELP.items()]
    return "\n".join(["Keyturn asks people before agents act.", *lines])


def _suggestion(word: str) -> str:
    close = difflib.get_close_matches(word.casefold(), WORDS, n=1, cutoff=0.5)
    said = f"Keyturn does not know “{literal(typed(word)[:40])}”."
    return f"{said} Did you mean `{COMMAND} {close[0]}`?" if close else said
