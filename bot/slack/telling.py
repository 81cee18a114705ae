"""The ladder's own words on their way into Slack: thread notes, reminders, alarms.

A note hangs under the first card and, broadcast, stands in its channel too; a reminder goes under
every card of the level that waits. Nobody is reminded of what has been decided meanwhile.
"""

from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta

from slack_sdk.web.async_client import AsyncWebClient

from bot.core.models import Actor, ApprovalRequest, Event, Outgoing, RequestId, Status, Via
from bot.services.outbox import Delivery, Failed, Later, Sent
from bot.slack import told
from bot.slack.grant_words import grant_note
from bot.store import Store
from bot.store.outbox import OutboxItem
from bot.store.reads import Card

_CARD_SOON = timedelta(seconds=2)


class Telling:
    """Sends what the ladder says beside the cards. Slack's refusals are its caller's to judge."""

    def __init__(self, client: AsyncWebClient, store: Store) -> None:
        self._client = client
        self._store = store

    @property
    def kinds(self) -> Mapping[str, Callable[[OutboxItem], Awaitable[Delivery]]]:
        """What sends each kind."""
        return {
            "slack.note": self._note,
            "slack.remind": self._remind,
            "slack.nudge": self._nudge,
            "slack.alert": self._alert,
            "slack.grant": self._grant,
        }

    async def _note(self, item: OutboxItem) -> Delivery:
        """A line in the request's timeline, or under its card in another channel; else there is no thread."""
        request = await self._request(item)
        cards = await self._store.reads.cards(request.id)
        elsewhere = item.payload["channel"] != request.channel
        there = [card for card in cards if card.channel_target == item.payload["channel"]]
        first = next(iter(there if elsewhere else cards), None)
        if first is None or first.state == "failed":
            return Failed("no_card")
        if first.channel is None or first.ts is None:
            return Later("no_card_yet", _CARD_SOON)
        message = told.note(request, item.payload)
        thread = None if elsewhere else await self._store.reads.thread(request.id)
        await self._client.chat_postMessage(
            channel=first.channel,
            thread_ts=(thread or first).ts,
            reply_broadcast=bool(item.payload["broadcast"]),
            **message,
        )
        return Sent((_sent(item, request, first.channel),))

    async def _remind(self, item: OutboxItem) -> Delivery:
        """One nudge for each card of the level that waits; for none of a level that is over."""
        request = await self._request(item)
        level = int(item.payload["at_level"])
        if request.status is not Status.PENDING or request.level != level:
            return Sent()
        cards = [c for c in await self._store.reads.cards(request.id) if c.state == "posted"]
        asked = {target.address for target in request.plan[level].notify if target.kind == "slack"}
        own = [card for card in cards if card.level == level or card.channel_target in asked] or cards[:1]
        return Sent(outbox=tuple(_nudge_of(item, card) for card in own))

    async def _nudge(self, item: OutboxItem) -> Delivery:
        request = await self._request(item)
        if request.status is not Status.PENDING:
            return Sent()
        said = item.payload
        await self._client.chat_postMessage(
            channel=str(said["channel"]),
            thread_ts=str(said["ts"]),
            reply_broadcast=bool(said["broadcast"]),
            **told.reminder(request, said),
        )
        return Sent((_sent(item, request, str(said["channel"])),))

    async def _grant(self, item: OutboxItem) -> Delivery:
        """A standing approval, in the timeline of the request that it came from, with its end button."""
        request = await self._request(item)
        grant = await self._store.reads.grant(str(item.payload["grant"]))
        thread = await self._store.reads.thread(request.id)
        if grant is None or thread is None or thread.channel is None:
            return Failed("no_card")
        message = grant_note(grant)
        await self._client.chat_postMessage(channel=thread.channel, thread_ts=thread.ts, **message)
        return Sent()

    async def _alert(self, item: OutboxItem) -> Delivery:
        request = await self._request(item)
        channel = str(item.payload["channel"])
        await self._client.chat_postMessage(channel=channel, **told.alarm(request, item.payload))
        return Sent((_sent(item, request, channel),))

    async def _request(self, item: OutboxItem) -> ApprovalRequest:
        assert item.request_id is not None, "the ladder speaks of a request"
        request = await self._store.reads.request(RequestId(item.request_id))
        assert request is not None, "work for a request is stored with it"
        return request


def _nudge_of(item: OutboxItem, card: Card) -> Outgoing:
    return Outgoing(
        kind="slack.nudge",
        payload={
            **item.payload,
            "channel": card.channel,
            "ts": card.ts,
            "broadcast": card.kind == "channel",
        },
        order=f"channel:{card.channel}",
        request_id=item.request_id,
    )


def _sent(item: OutboxItem, request: ApprovalRequest, channel: str) -> Event:
    return Event(
        name="notification_sent",
        actor=Actor.system("slack"),
        via=Via.SCHEDULER,
        body={
            "kind": item.kind,
            "to": channel,
            "level": item.payload.get("level", item.payload.get("at_level")),
        },
        agent=request.agent,
        request_id=request.id,
        session_id=request.submission.session_id,
    )
