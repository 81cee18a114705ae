"""What reaches us from Slack, and how it is answered: parse, one call, answer.

The change is on disk before `ack()`, which comes last and within 3 s. When the call takes longer,
the person is told that it is being recorded, and the result follows as soon as it is known. Every
click gets an answer, those on buttons that are no longer known too. A refusal that reaches a listener
is not on record yet: it is entered here, before the person hears of it.
"""

import asyncio
import hashlib
import json
import logging
import re
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from slack_bolt.context.ack.async_ack import AsyncAck
from slack_bolt.context.respond.async_respond import AsyncRespond
from slack_sdk.web.async_client import AsyncWebClient

from bot.core.errors import CannotVerify, ReviewRefused, Unavailable
from bot.core.models import SlackId
from bot.services.outbox import Outbox
from bot.services.refusals import Refusals, Tried
from bot.slack import answers
from bot.slack.clicks import Answer, Clicks, refusal
from bot.slack.client import TROUBLE
from bot.slack.commands import COMMAND, Commands
from bot.slack.directory import lookup_budget
from bot.slack.forms import notice
from bot.slack.homes import Homes
from bot.slack.interaction import Body, Interaction, Surface, parse
from bot.slack.once import Once

log = logging.getLogger(__name__)

ACK_AFTER = 2.4
"""Seconds after which Slack is answered whatever the call is doing; it gives up at three."""

Work = Callable[[Interaction], Awaitable[Answer]]
"""Does what a button or a form is for."""

Asked = Callable[[Interaction], Awaitable[dict[str, Any]]]
"""Answers a button of a private message: arguments of the message that takes its place."""

_REFUSED = 400
"""From this HTTP status on Slack did not take an answer."""

_Turned = tuple[dict[str, Any], str | None]


class Listeners:
    """The functions that Bolt calls, one for each kind of delivery.

    Attributes:
        clicks: What each button and form does.

    Args:
        new_reference: Makes the reference that ties a person's "something went wrong" to the log.
    """

    def __init__(
        self,
        clicks: Clicks,
        commands: Commands,
        homes: Homes,
        outbox: Outbox,
        refusals: Refusals,
        client: AsyncWebClient,
        new_reference: Callable[[], str],
    ) -> None:
        self.clicks = clicks
        self._commands = commands
        self._homes = homes
        self._outbox = outbox
        self._refusals = refusals
        self._client = client
        self._new_reference = new_reference
        self._once: Once[Answer] = Once()
        self._turned_once: Once[_Turned] = Once()
        self._asked_once: Once[dict[str, Any]] = Once()

    def button(self, work: Work) -> Callable[..., Awaitable[None]]:
        """A listener for clicks: what there is to say is said privately, where the click was."""

        async def listener(ack: AsyncAck, body: Body, respond: AsyncRespond) -> None:
            by = parse(body)
            async with asyncio.TaskGroup() as tasks:
                call = tasks.create_task(self._answered(by, work))
                await asyncio.wait([call], timeout=ACK_AFTER)
                # Nothing more is decided once it is done, and telling Slack may be slow: acknowledge first.
                await ack()
                answer, told = await call
            if not told:
                await self._tell_directly(by, answer, respond)

        return listener

    def form(self, work: Work) -> Callable[..., Awaitable[None]]:
        """A listener for submitted views: faults by block, a refusal in the view, else it closes."""

        async def listener(ack: AsyncAck, body: Body) -> None:
            by = parse(body)
            async with asyncio.TaskGroup() as tasks:
                call = tasks.create_task(self._answer(by, work))
                await asyncio.wait([call], timeout=ACK_AFTER)
                if call.done():
                    await ack(**_closing(call.result()))
                    return
                waiting = Answer(answers.STILL_RECORDING, "One moment")
                await ack(response_action="update", view=waiting.view())
                await self._update(by, await call)

        return listener

    async def command(self, ack: AsyncAck, command: Mapping[str, Any], respond: AsyncRespond) -> None:
        """A slash command, answered privately; what takes too long is answered as soon as it is known."""
        async with asyncio.TaskGroup() as tasks:
            call = tasks.create_task(self._asked_once.run(_delivery(command), lambda: self._asked(command)))
            await asyncio.wait([call], timeout=ACK_AFTER)
            if call.done():
                await ack(response_type="ephemeral", **call.result())
                return
            await ack(response_type="ephemeral", text=answers.STILL_LOOKING_UP)
            answer = await call
        with _lost():
            await self._respond(respond, answer, replace=False)

    async def _asked(self, command: Mapping[str, Any]) -> dict[str, Any]:
        user, team = SlackId(str(command.get("user_id"))), str(command.get("team_id"))
        name, text = str(command.get("command")), str(command.get("text") or "")
        try:
            with lookup_budget():
                try:
                    return await self._commands.answer(name, text, user_id=user, team_id=team)
                except ReviewRefused as refused:
                    await self._refusals.record(_typed(user, name, text), refused)
                    return {"text": answers.refusal(refused, user)}
        except Unavailable as trouble:
            return {"text": answers.refusal(trouble, user)}
        except Exception:
            return {"text": self._broken("command")}

    def private(self, work: Asked) -> Callable[..., Awaitable[None]]:
        """A listener for buttons of lists: the answer takes the private list's place, or redraws Home."""

        async def listener(ack: AsyncAck, body: Body, respond: AsyncRespond) -> None:
            by = parse(body)
            async with asyncio.TaskGroup() as tasks:
                call = tasks.create_task(self._turned_once.run(by.delivery, lambda: self._turned(by, work)))
                await asyncio.wait([call], timeout=ACK_AFTER)
                await ack()
                answer, refused = await call
            with _lost():
                if by.surface is Surface.HOME and refused is None:
                    await self._publish(by.user_id, by.team_id)
                elif by.surface in (Surface.HOME, Surface.MODAL):
                    view = notice(refused or "Done", str(answer["text"]))
                    await self._client.views_open(trigger_id=by.trigger_id, view=view)
                else:
                    own = by.surface is Surface.PRIVATE and refused is None
                    await self._respond(respond, answer, replace=own)

        return listener

    async def _respond(self, respond: AsyncRespond, answer: Mapping[str, Any], *, replace: bool) -> None:
        """Answer privately; what Slack does not take is answered in words, since no click is silent."""
        said = await respond(response_type="ephemeral", replace_original=replace, **answer)
        if said.status_code >= _REFUSED:
            reference = self._new_reference()
            note = "Slack refused an answer with %s: %.200s, reference %s"
            log.error(note, said.status_code, said.body, reference, extra={"event": "answer_refused"})
            await respond(response_type="ephemeral", replace_original=False, text=answers.broken(reference))

    async def _turned(self, by: Interaction, work: Asked) -> _Turned:
        """The answer, and the heading of a refusal if it is one."""
        try:
            with lookup_budget():
                try:
                    return await work(by), None
                except ReviewRefused as refused:
                    await self._refusals.record(_clicked(by), refused)
                    raise
        except (ReviewRefused, Unavailable) as trouble:
            told = refusal(trouble, by)
            return {"text": told.text}, told.title
        except Exception:
            return {"text": self._broken("button")}, "Something went wrong"

    async def home(self, ack: AsyncAck, event: Mapping[str, Any], body: Mapping[str, Any]) -> None:
        """Somebody opened the App Home: publish theirs."""
        if event.get("tab") == "home":
            user, team = SlackId(str(event.get("user"))), str(body.get("team_id"))
            try:
                async with asyncio.timeout(ACK_AFTER):
                    await self._publish(user, team)
            except (*TROUBLE, CannotVerify, Unavailable) as trouble:
                log.warning("home not published: %s", type(trouble).__name__, extra={"event": "home_failed"})
        await ack()

    async def _publish(self, user: SlackId, team: str) -> None:
        with lookup_budget():
            view = await self._homes.of(user, team)
        await self._client.views_publish(user_id=user, view=view)

    async def ignored(self, ack: AsyncAck) -> None:
        """Something Keyturn has no use for; Slack still wants to hear that it arrived."""
        await ack()

    async def _answer(self, by: Interaction, work: Work) -> Answer:
        async def once() -> Answer:
            with lookup_budget():
                try:
                    return await work(by)
                except ReviewRefused as refused:
                    await self._refusals.record(_clicked(by), refused)
                    return refusal(refused, by)

        try:
            return await self._once.run(by.delivery, once)
        except Unavailable as trouble:
            return refusal(trouble, by)
        except Exception:
            return Answer(self._broken("interaction"), "Something went wrong")

    async def _answered(self, by: Interaction, work: Work) -> tuple[Answer, bool]:
        """The answer, and whether it is stored. Both wait for a slow store, so both count against the ack."""
        answer = await self._answer(by, work)
        return answer, await self._told(by, answer)

    async def _told(self, by: Interaction, answer: Answer) -> bool:
        """Store the private message, if there is one; False when it must be said in another way."""
        if answer.text is None:
            return True
        if by.channel is None:
            return False
        try:
            await self._outbox.tell(by.channel, by.user_id, answer.text, request_id=answer.request_id)
        except Unavailable:
            return False
        return True

    async def _tell_directly(self, by: Interaction, answer: Answer, respond: AsyncRespond) -> None:
        """Where there is no channel, and while the store is what is broken."""
        with _lost():
            if by.channel is None:
                await self._client.views_open(trigger_id=by.trigger_id, view=answer.view())
            else:
                await respond(text=answer.text or "", response_type="ephemeral", replace_original=False)

    async def _update(self, by: Interaction, answer: Answer) -> None:
        """Say in the waiting view what came of the form."""
        with _lost():
            await self._client.views_update(view_id=by.view_id, view=answer.view())

    def _broken(self, what: str) -> str:
        """Log what nobody foresaw; the words for the person carry only its reference."""
        reference = self._new_reference()
        log.exception("%s failed, reference %s", what, reference, extra={"event": "listener_broke"})
        return answers.broken(reference)


def _clicked(by: Interaction) -> Tried:
    """A click or a form, for the audit."""
    at = by.reference
    if at is None:
        return Tried(by.user_id, by.control, by.value or None)
    return Tried(by.user_id, by.control, request_id=at.request_id, digest=at.digest)


def _typed(user: SlackId, name: str, text: str) -> Tried:
    """A command, for the audit: with what it does, and what with."""
    words = text.split()
    if name == COMMAND and words:
        name = f"{name} {words.pop(0).casefold()}"
    return Tried(user, name, " ".join(words) or None)


def _delivery(command: Mapping[str, Any]) -> str:
    """The same for every delivery of one command, different for every command."""
    return hashlib.sha256(json.dumps(dict(command), sort_keys=True).encode()).hexdigest()


def _closing(answer: Answer) -> dict[str, Any]:
    if answer.errors:
        return {"response_action": "errors", "errors": answer.errors}
    if answer.text is not None:
        return {"response_action": "update", "view": answer.view()}
    return {}


@contextmanager
def _lost() -> Iterator[None]:
    """What was done stands even when Slack does not show the answer."""
    try:
        yield
    except (*TROUBLE, CannotVerify, Unavailable, OSError) as trouble:
        log.warning("answer not shown: %s", type(trouble).__name__, extra={"event": "answer_lost"})


ANYTHING = re.compile(".*", re.DOTALL)
"""Matches every action id, callback id and command; registered last."""
