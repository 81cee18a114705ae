"""Rollback in Slack: the card's button, the form that confirms, and the slash command.

A button and a command only start one: a form opens at once, says that the agent is being asked, and
shows what would change as soon as the agent has said so. Only the submitted form lets it be applied.
"""

import asyncio
import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from slack_bolt.context.ack.async_ack import AsyncAck
from slack_sdk.web.async_client import AsyncWebClient

from bot.core.errors import (
    InvalidFields,
    InvalidRequest,
    KeyturnError,
    NotFound,
    NotRollbackable,
    UnknownRequest,
)
from bot.core.models import Actor, SlackId, Via
from bot.core.rollback import Asked, Rollback
from bot.services.rollbacks import Hand, Rollbacks
from bot.slack import answers, ids
from bot.slack.clicks import DONE, Answer
from bot.slack.client import TROUBLE
from bot.slack.commands import COMMAND
from bot.slack.directory import lookup_budget
from bot.slack.forms import notice, reason_of
from bot.slack.interaction import Interaction
from bot.slack.text import literal, typed
from bot.slack.undo_form import rollback_view

PATIENCE = 25.0
"""Seconds that an open form waits for the agent's preview."""

NAME = "/rollback"

HELP = (
    f"`{NAME} req_… [why]`: undo one action\n"
    f"`{NAME} session SESSION [why]`: undo everything a session did, newest first\n"
    f"`{NAME} session SESSION agent AGENT [why]`: the same, where several agents used that id\n"
    "For operators. Nothing is undone before what would change was shown, and people have confirmed it."
)
_ASKED = "Asked for on the card."
_ASKING = "The agent is being asked what this would change…"


@dataclass(frozen=True, slots=True)
class _Wanted:
    """What a slash command asks to undo."""

    request_id: str | None
    session_id: str | None
    agent: str | None
    reason: str


class Undo:
    """What people do about rollbacks."""

    def __init__(self, rollbacks: Rollbacks, client: AsyncWebClient) -> None:
        self._rollbacks = rollbacks
        self._client = client

    async def start(self, by: Interaction) -> Answer:
        """The card's button: show the rollback under way, or begin one."""
        if by.reference is None:
            raise UnknownRequest(answers.NOT_OURS)
        hand, at = Hand(by.user_id, by.team_id, by.control), by.reference
        try:
            begun = await self._rollbacks.start_by_hand(hand, at.request_id, digest=at.digest, reason=_ASKED)
        except KeyturnError as refused:
            return _refused(refused, by.user_id, at.request_id)
        return await self._show(by.trigger_id, begun, hand)

    async def confirm(self, by: Interaction) -> Answer:
        """The form came back."""
        if by.rollback is None:
            raise UnknownRequest(answers.NOT_OURS)
        try:
            await self._rollbacks.confirm(
                Hand(by.user_id, by.team_id, by.control, by.rollback.rollback_id),
                by.rollback.rollback_id,
                digest=by.rollback.digest,
                reason=reason_of(by.values),
                force_reason=reason_of(by.values, ids.FORCE_REASON),
            )
        except InvalidFields as faults:
            return Answer(literal(faults.message), errors=dict(faults.fields))
        except KeyturnError as refused:
            return _refused(refused, by.user_id, None)
        return DONE

    @staticmethod
    async def wanted(command: Mapping[str, Any]) -> bool:
        """Whether a slash command is one of ours: `/rollback …`, or `/keyturn rollback …`."""
        words = str(command.get("text") or "").split()
        name = str(command.get("command"))
        return name == NAME or (name == COMMAND and [word.casefold() for word in words[:1]] == ["rollback"])

    async def command(self, ack: AsyncAck, command: Mapping[str, Any]) -> None:
        """`/rollback req_… | session …`, for operators: begin, open the form, fill it."""
        words, name = str(command.get("text") or "").split(), str(command.get("command"))
        if name == COMMAND:
            name, words = f"{name} {words[0].casefold()}", words[1:]
        user, team = SlackId(str(command.get("user_id"))), str(command.get("team_id"))
        hand = Hand(user, team, name, " ".join(words) or None)
        wanted = _parsed(words)
        if wanted is None:
            await ack(response_type="ephemeral", text=f"{_suggestion(words)}{HELP}")
            return
        try:
            with lookup_budget():
                begun = await self._begin(hand, wanted)
        except KeyturnError as refused:
            await ack(response_type="ephemeral", text=answers.refusal(refused, hand.user_id))
            return
        async with asyncio.TaskGroup() as tasks:
            showing = tasks.create_task(self._show(str(command.get("trigger_id")), begun, hand))
            await ack()
            await showing

    async def _begin(self, hand: Hand, wanted: _Wanted) -> Rollback:
        person = await self._rollbacks.operator(hand)
        asked = Asked(wanted.reason, Actor.human(person), Via.SLACK)
        if wanted.request_id is None:
            assert wanted.session_id is not None, "a command names one of the two"
            return await self._rollbacks.start_or_join_session(wanted.session_id, asked, agent=wanted.agent)
        return await self._rollbacks.start_or_join(wanted.request_id, asked)

    async def _show(self, trigger_id: str, begun: Rollback, hand: Hand) -> Answer:
        """Open a view at once, and fill it when the agent has said what would change."""
        first = begun.items[0].request_id
        try:
            waiting = notice("Rollback", _ASKING)
            opened = await self._client.views_open(trigger_id=trigger_id, view=waiting)
            shown = await self._rollbacks.shown(begun.id, seconds=PATIENCE)
            view = await self._view(shown, hand)
            await self._client.views_update(view_id=opened["view"]["id"], view=view)
        except TROUBLE:
            return Answer(answers.NOT_OPENED, request_id=first)
        return DONE

    async def _view(self, shown: Rollback, hand: Hand) -> dict[str, Any]:
        """The form for whoever may confirm; for others words that say who they are not."""
        try:
            with lookup_budget():
                await self._rollbacks.may_confirm(hand, shown)
        except KeyturnError as refused:
            told = "It is started; somebody who may confirm it must go on from the card."
            return notice("Rollback", f"{answers.refusal(refused, hand.user_id)}\n{told}")
        return rollback_view(shown)


def _parsed(words: list[str]) -> _Wanted | None:
    """What a command's words ask for; None when they do not say it."""
    if words and words[0].startswith("req_"):
        return _Wanted(words[0], None, None, typed(" ".join(words[1:])) or "Asked for by command.")
    if len(words) >= 2 and words[0].casefold() == "session":
        agent = words[3] if len(words) >= 4 and words[2].casefold() == "agent" else None
        rest = words[4:] if agent is not None else words[2:]
        return _Wanted(None, words[1], agent, typed(" ".join(rest)) or "Asked for by command.")
    return None


def _suggestion(words: list[str]) -> str:
    """A line about words that say nothing; empty for none and for `help`."""
    if not words or words[0].casefold() == "help":
        return ""
    if words[0].casefold() == "session":
        return "Say which session.\n"
    close = difflib.get_close_matches(words[0].casefold(), ["session", "help"], n=1, cutoff=0.5)
    said = f"Keyturn cannot roll back “{literal(words[0][:40])}”."
    return f"{said} Did you mean `{NAME} {close[0]}`?\n" if close else f"{said}\n"


def _refused(refused: KeyturnError, user: SlackId, request_id: str | None) -> Answer:
    title = answers.TITLES.get(refused.code, "Not rolled back")
    if isinstance(refused, NotRollbackable | NotFound | InvalidRequest):
        return Answer(literal(refused.message), "Not rolled back", request_id=request_id)
    return Answer(answers.refusal(refused, user), title, request_id=request_id)
