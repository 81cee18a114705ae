"""The outbox's way into Slack: cards posted and repainted, words in threads, DMs and in private.

What is sent is drawn from the request as it stands at that moment, not as it stood when the work was
stored. Trouble is told apart: Slack's Retry-After is kept, what can never arrive fails with Slack's own
code, and after an unclear post the channel's history is searched for the card's metadata before it is
posted again. A copy posted twice all the same becomes a card of its own and is repainted with the rest.
"""

import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import aiohttp
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from bot.core.authority import entitled_sets
from bot.core.clock import Clock
from bot.core.errors import CannotVerify, NotFound, Unavailable
from bot.core.models import (
    Actor,
    ApprovalRequest,
    Event,
    ExecutionState,
    Level,
    Outgoing,
    RequestId,
    Status,
    Via,
)
from bot.core.pausing import Pause
from bot.core.rollback import Prospect
from bot.services.outbox import Delivery, Failed, Later, Sent, Unclear
from bot.slack import ids
from bot.slack.card import card
from bot.slack.client import TROUBLE, error_code, status_of
from bot.slack.copies import why_you
from bot.slack.covers import cover_message, mention
from bot.slack.directory import SlackDirectory, lookup_budget
from bot.slack.notes import approval_voided, notice, outcome, thread_message
from bot.slack.telling import Telling
from bot.slack.timeline import Timelines
from bot.slack.undo_told import rollback_ended
from bot.slack.wording import FEW, Names
from bot.store import Store
from bot.store.cards import CardFailed, CardPainted, CardPosted, RepaintCards
from bot.store.outbox import OutboxItem

log = logging.getLogger(__name__)

_TRANSIENT = frozenset(
    {
        "internal_error",
        "fatal_error",
        "service_unavailable",
        "request_timeout",
        "team_added_to_org",
        "accesslimited",
        "external_channel_migrating",
    }
)
"""Errors of Slack's own making, after which the same call may succeed."""

_NOT_STARTED = (aiohttp.ClientConnectorError, aiohttp.InvalidURL)
"""The call never left this machine."""

_GONE = frozenset({"message_not_found", "cant_update_message", "edit_window_closed"})
_HISTORY_PAGES = 10
_NAMED = 10
_CLOCK_SKEW = timedelta(minutes=2)
_CARD_SOON = timedelta(seconds=2)
_UNREADABLE = frozenset(
    {"channel_not_found", "missing_scope", "not_in_channel", "method_not_supported_for_channel_type"}
)
"""The history cannot be read at all: a second copy of a card is better than none."""


class SlackSender:
    """Sends every `slack.*` kind of the outbox.

    Args:
        prospect: Whether an action can be rolled back now (`Rollbacks.prospect`).
        posted: Told of each pending request whose card was posted, once its people are looked up;
            `Reviews.check_fillable` moves a request on when they are too few.
        link_to: The address of a request's first card (`CardLinks.of`).
        coming: Whom a level asks in person when it opens, by what is known now (`Simulator.asked_by`).
    """

    def __init__(
        self,
        client: AsyncWebClient,
        store: Store,
        directory: SlackDirectory,
        clock: Clock,
        *,
        prospect: Callable[[ApprovalRequest], Prospect],
        posted: Callable[[RequestId], Awaitable[None]] | None = None,
        link_to: Callable[[ApprovalRequest], Awaitable[str | None]] | None = None,
        coming: Callable[[Level], Awaitable[Sequence[str]]] | None = None,
    ) -> None:
        self._prospect = prospect
        self._posted = posted
        self._link_to = link_to
        self._coming = coming
        self._client = client
        self._store = store
        self._directory = directory
        self._clock = clock
        self._kinds: dict[str, Callable[[OutboxItem], Awaitable[Delivery]]] = {
            "slack.post": self._post,
            "slack.paint": self._paint,
            "slack.ephemeral": self._ephemeral,
            "slack.thread": self._thread,
            "slack.dm": self._dm,
            "slack.cover": self._cover,
            "slack.mention": self._mention,
            "slack.notice": self._notice,
            **Telling(client, store).kinds,
            **Timelines(client, store).kinds,
        }

    @property
    def kinds(self) -> frozenset[str]:
        """The kinds it sends."""
        return frozenset(self._kinds)

    async def send(self, item: OutboxItem) -> Delivery:
        """Try once."""
        try:
            return await self._kinds[item.kind](item)
        except SlackApiError as refused:
            return await self._refused(item, refused)
        except CannotVerify as trouble:
            return Later(trouble.message)
        except _NOT_STARTED as trouble:
            return Later(type(trouble).__name__)
        except TROUBLE as trouble:
            # The connection broke after the call was sent: it may have arrived.
            return Unclear(type(trouble).__name__)

    async def _post(self, item: OutboxItem) -> Delivery:
        """Post a card, or adopt the message that an unclear earlier try has left."""
        request = await self._request(item)
        card_id = int(item.payload["card_id"])
        if _late_copy(item, request):
            await self._store.write(CardFailed(card_id, "decided"))
            return Sent()
        channel = await self._channel(str(item.payload["channel"]))
        found = await self._earlier(item, channel) if item.unclear else None
        held = await self._held(request)
        if found is not None:
            # Version 0: nobody knows what it shows, so it is repainted.
            posted = CardPosted(card_id, channel, found, 0, self._clock.now())
        else:
            kind, level = str(item.payload["kind"]), int(item.payload["level"])
            drawn = await self._card(request, card_id, kind, level, held)
            answer = await self._client.chat_postMessage(channel=channel, **drawn)
            where, ts = str(answer["channel"]), str(answer["ts"])
            posted = CardPosted(card_id, where, ts, request.version, self._clock.now())
        await self._store.write(posted)
        if found is not None or await self._held(request) != held:
            # Whoever paused or resumed it meanwhile had no card to paint yet.
            await self._store.write(RepaintCards(request.id, self._clock.now()))
        if request.status is Status.PENDING:
            await self._prepare(request)
        return Sent(events=(_sent_event(request, posted.channel, item),))

    async def _prepare(self, request: ApprovalRequest) -> None:
        """Make ready for the first click. The card stands: trouble here must not post it again."""
        try:
            await self._directory.prefetch(request)
            if self._link_to is not None:  # learnt now, links can be made while Slack is away
                await self._link_to(request)
            if self._posted is not None:
                await self._posted(request.id)
        except Exception:
            log.exception("could not look ahead for %s", request.id, extra={"event": "lookahead_failed"})

    async def _paint(self, item: OutboxItem) -> Delivery:
        """Show the latest state. A message that is gone is posted anew while it is still needed."""
        request = await self._request(item)
        card_id = int(item.payload["card_id"])
        known = await self._store.reads.card(card_id)
        if known is None or known.channel is None or known.ts is None:
            return Sent()
        held = await self._held(request)
        drawn = await self._card(request, card_id, known.kind, known.level, held)
        drawn = {name: drawn[name] for name in ("text", "blocks", "metadata", "parse", "link_names")}
        try:
            await self._client.chat_update(channel=known.channel, ts=known.ts, **drawn)
        except SlackApiError as refused:
            code = error_code(refused)
            if code not in _GONE:
                raise
            await self._store.write(CardFailed(card_id, code))
            return self._anew(request, known.channel, known.kind, known.level)
        await self._store.write(CardPainted(card_id, request.version))
        return Sent()

    def _anew(self, request: ApprovalRequest, channel: str, kind: str, level: int) -> Delivery:
        if request.status is not Status.PENDING:
            return Sent()
        again = Outgoing(
            kind="slack.post",
            payload={"channel": channel, "kind": kind, "level": level},
            order=f"channel:{channel}",
            request_id=request.id,
        )
        return Sent(outbox=(again,))

    async def _ephemeral(self, item: OutboxItem) -> Delivery:
        said = item.payload
        await self._client.chat_postEphemeral(
            channel=str(said["channel"]),
            user=str(said["user"]),
            text=str(said["text"]),
            thread_ts=said.get("thread_ts"),
        )
        return Sent()

    async def _thread(self, item: OutboxItem) -> Delivery:
        """A line in the request's timeline; without a card there is nowhere to say it."""
        request = await self._request(item)
        first = await self._store.reads.thread(request.id)
        if first is None or first.channel is None:
            coming = any(c.state == "wanted" for c in await self._store.reads.cards(request.id))
            return Later("no_card_yet", _CARD_SOON) if coming else Failed("no_card")
        message = thread_message(str(item.payload["by"]), str(item.payload["text"]))
        await self._client.chat_postMessage(channel=first.channel, thread_ts=first.ts, **message)
        return Sent()

    async def _dm(self, item: OutboxItem) -> Delivery:
        """A word to one person: the outcome for whom the agent acted, or an approval that was voided."""
        request = await self._request(item)
        person = await self._directory.named(str(item.payload["user"]))
        if person is None:
            return Failed("user_not_found")
        if item.payload.get("why") == "approval_voided":
            message = approval_voided(request, str(item.payload.get("by", "somebody")))
        elif item.payload.get("why") == "rollback_ended":
            message = await self._rollback_ended(str(item.payload["rollback"]))
        else:
            message = outcome(request)
        await self._client.chat_postMessage(channel=person.id, **message)
        return Sent()

    async def _rollback_ended(self, id: str) -> dict[str, Any]:
        ended = await self._store.reads.rollback(id)
        assert ended is not None, "a rollback is kept with its requests"
        requests = await self._store.reads.several({step.request_id for step in ended.items})
        return rollback_ended(ended, {request.id: request for request in requests})

    async def _notice(self, item: OutboxItem) -> Delivery:
        """A word to a channel that is about no request."""
        said = item.payload
        await self._client.chat_postMessage(channel=str(said["channel"]), **notice(str(said["text"])))
        return Sent()

    async def _cover(self, item: OutboxItem) -> Delivery:
        """A word to one of the two between whom an on-call cover is being agreed."""
        offer = await self._store.reads.cover(str(item.payload["cover"]))
        to = str(item.payload["to"])
        if offer is not None:
            await self._client.chat_postMessage(channel=to, **cover_message(offer, to))
        return Sent()

    async def _mention(self, item: OutboxItem) -> Delivery:
        """Call a user group in the request's timeline, shown in its channel too."""
        request = await self._request(item)
        if request.status is not Status.PENDING:
            return Sent()
        first = await self._store.reads.thread(request.id)
        if first is None or first.channel is None:
            cards = await self._store.reads.cards(request.id)
            return Later("no_card_yet", _CARD_SOON) if cards else Failed("no_card")
        message = mention(request, str(item.payload["address"]))
        await self._client.chat_postMessage(
            channel=first.channel, thread_ts=first.ts, reply_broadcast=True, **message
        )
        return Sent(events=(_mentioned(request, item),))

    async def _request(self, item: OutboxItem) -> ApprovalRequest:
        assert item.request_id is not None, "cards and notes are of a request"
        request = await self._store.reads.request(RequestId(item.request_id))
        assert request is not None, "work for a request is stored with it"
        return request

    async def _held(self, request: ApprovalRequest) -> Pause | None:
        """The pause that keeps a pending request from being decided."""
        if request.status is not Status.PENDING:
            return None
        return await self._store.reads.pause_of(request.agent, request.action.type)

    async def _card(
        self, request: ApprovalRequest, card_id: int, kind: str, level: int, held: Pause | None
    ) -> dict[str, Any]:
        """A copy of the card; a person's own says why it came, and where the first one stands."""
        request = await self._as_part(request)
        names = await self._names(request)  # first: what the card offers is to be true when it is sent
        drawn = card(request, card_id=str(card_id), prospect=self._prospect(request), names=names, held=held)
        if kind == "dm":
            link = None if self._link_to is None or request.channel is None else await self._link_to(request)
            drawn["blocks"] = [*drawn["blocks"], why_you(request, level, link)]
        return drawn

    async def _as_part(self, request: ApprovalRequest) -> ApprovalRequest:
        """An action that was undone with its session, saying so if other actions of it were not."""
        run = request.execution
        if run.undo is None or not run.undo.session or run.state is not ExecutionState.ROLLED_BACK:
            return request
        whole = await self._store.reads.rollback_of_request(request.id)
        partial = whole.message if whole is not None and whole.partial else None
        return replace(request, execution=replace(run, undo=replace(run.undo, partial=partial)))

    async def _names(self, request: ApprovalRequest) -> Names:
        """Names of the people that the card mentions; trouble in looking them up never holds it up."""
        behind = request.submission.on_behalf_of
        loners = (
            name for entry in entitled_sets(request) if entry.group is None for name in entry.users or ()
        )
        pending = request.status is Status.PENDING
        above = request.plan[request.level + 1 : request.level + 2] if pending else ()
        few = [entry.users for level in above for entry in level.entitles if len(entry.users or ()) <= FEW]
        coming = (name for users in few for name in users or ())
        named = list(dict.fromkeys([*([behind] if behind else []), *loners, *coming]))[:_NAMED]
        known, unknown = {}, set()
        next_people: tuple[str, ...] = ()
        with lookup_budget(), suppress(CannotVerify, NotFound, Unavailable):
            for name in named:
                person = await self._directory.named(name)
                if person is None:
                    unknown.add(name)
                else:
                    known[name] = person.name
            next_people = await self._people_of(above)
        return Names(known, frozenset(unknown), next_people)

    async def _people_of(self, levels: Sequence[Level]) -> tuple[str, ...]:
        """Names of those whom a level asks in person, when they are few.

        Raises:
            CannotVerify, NotFound, Unavailable: it cannot be known now.
        """
        asked = () if self._coming is None or not levels else await self._coming(levels[0])
        people = [await self._directory.named(name) for name in asked] if len(asked) <= FEW else []
        return tuple(person.name for person in people if person is not None)

    async def _channel(self, target: str) -> str:
        """The channel to post in: a person's is their DM, whose id is needed to update it later."""
        if target[:1] not in ("U", "W"):
            return target
        answer = await self._client.conversations_open(users=target)
        return str(answer["channel"]["id"])

    async def _earlier(self, item: OutboxItem, channel: str) -> str | None:
        """`ts` of this card's message, if an earlier try has left one."""
        wanted = {"request_id": item.request_id, "card_id": str(item.payload["card_id"])}
        try:
            async for message in self._history(channel, item.first_attempt_at - _CLOCK_SKEW):
                metadata = message.get("metadata") or {}
                if metadata.get("event_type") == ids.CARD_EVENT and metadata.get("event_payload") == wanted:
                    return str(message["ts"])
        except SlackApiError as refused:
            if error_code(refused) not in _UNREADABLE:
                raise
        return None

    async def _history(self, channel: str, since: datetime) -> AsyncIterator[dict[str, Any]]:
        cursor: str | None = None
        for _ in range(_HISTORY_PAGES):
            page = await self._client.conversations_history(
                channel=channel,
                oldest=f"{since.timestamp():.6f}",
                limit=15,
                include_all_metadata=True,
                cursor=cursor,
            )
            for message in page["messages"]:
                yield message
            cursor = (page.get("response_metadata") or {}).get("next_cursor")
            if not cursor:
                return

    async def _refused(self, item: OutboxItem, refused: SlackApiError) -> Delivery:
        """What Slack's refusal means for the row."""
        code, status = error_code(refused), status_of(refused)
        if status == 429 or code in ("ratelimited", "rate_limited"):
            return Later(code, _retry_after(refused))
        if status >= 500 or status == 0:
            return Unclear(code)
        if code in _TRANSIENT or code.startswith("http_"):
            return Later(code)
        if item.kind == "slack.post":
            await self._store.write(CardFailed(int(item.payload["card_id"]), code))
        return Failed(code)


def _retry_after(refused: SlackApiError) -> timedelta:
    text = str(refused.response.headers.get("Retry-After", "1"))
    return timedelta(seconds=max(int(text), 1) if text.isdigit() else 1)


def _late_copy(item: OutboxItem, request: ApprovalRequest) -> bool:
    """Whether an escalation's card would ask somebody about what was decided meanwhile."""
    asked_later = int(item.payload["level"]) > 0 or item.payload["kind"] == "dm"
    return asked_later and request.status is not Status.PENDING and not item.unclear


def _mentioned(request: ApprovalRequest, item: OutboxItem) -> Event:
    return Event(
        name="notification_sent",
        actor=Actor.system("slack"),
        via=Via.SCHEDULER,
        body={"kind": item.kind, "to": str(item.payload["address"]), "level": item.payload["level"]},
        agent=request.agent,
        request_id=request.id,
        session_id=request.submission.session_id,
    )


def _sent_event(request: ApprovalRequest, channel: str, item: OutboxItem) -> Event:
    return Event(
        name="notification_sent",
        actor=Actor.system("slack"),
        via=Via.SCHEDULER,
        body={
            "kind": item.kind,
            "channel": channel,
            "to": item.payload["channel"],
            "level": item.payload["level"],
        },
        agent=request.agent,
        request_id=request.id,
        session_id=request.submission.session_id,
    )
