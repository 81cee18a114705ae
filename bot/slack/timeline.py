"""A session's timeline in Slack: what was decided and done, in the thread under its first card.

Told in batches, from the audit's order: what needed nobody, what people decided, what became of it.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from slack_sdk.web.async_client import AsyncWebClient

from bot.core import redaction
from bot.core.describe import action_line
from bot.core.models import ApprovalRequest, ExecutionState, Outgoing
from bot.services.outbox import Delivery, Sent
from bot.slack import wording
from bot.slack.text import bullets, escape, leaf, line, rich, shortened
from bot.store import Store
from bot.store.outbox import OutboxItem
from bot.store.timeline import KIND, CardTold

SHOWN = 20
"""Lines of one message."""

_BATCH = 200

_DONE = {
    "action_executed": wording.EXECUTION[ExecutionState.SUCCEEDED],
    "action_failed": wording.EXECUTION[ExecutionState.FAILED],
    "action_rolled_back": wording.EXECUTION[ExecutionState.ROLLED_BACK],
    "rollback_failed": "❌ Rollback failed",
}


class Timelines:
    """Tells threads. Slack's refusals are its caller's to judge."""

    def __init__(self, client: AsyncWebClient, store: Store) -> None:
        self._client = client
        self._store = store

    @property
    def kinds(self) -> Mapping[str, Callable[[OutboxItem], Awaitable[Delivery]]]:
        """What sends each kind."""
        return {KIND: self._tell}

    async def _tell(self, item: OutboxItem) -> Delivery:
        card = await self._store.reads.card(int(item.payload["card_id"]))
        if card is None or card.channel is None or card.ts is None or card.state != "posted":
            return Sent()
        news = await self._store.reads.untold(card.id, limit=_BATCH)
        if not news:
            return Sent()
        # What the first card itself shows need not be said again under it.
        worth = [one for one in news if one.request_id != card.request_id]
        if worth:
            requests = {r.id: r for r in await self._store.reads.several({one.request_id for one in worth})}
            message = told([(one.event, requests[one.request_id]) for one in worth])
            await self._client.chat_postMessage(channel=card.channel, thread_ts=card.ts, **message)
        await self._store.write(CardTold(card.id, news[-1].seq))
        more = (Outgoing(KIND, item.payload, item.order_key),) if len(news) == _BATCH else ()
        return Sent(outbox=more)


News = tuple[str, ApprovalRequest]
"""The name of an event, and the request that it happened to."""


def told(news: Sequence[News]) -> dict[str, Any]:
    """Arguments of the message that tells a thread."""
    alone = [request for event, request in news if request.automatic and event not in _DONE]
    head = f"{len(news)} thing{'' if len(news) == 1 else 's'} happened in this session"
    if len(alone) == len(news):
        head = f"Decided without a person: {len(news)}"
    said = [_words(event, redaction.own().request(request)) for event, request in news[:SHOWN]]
    shown = [line(leaf(f"{what}: ", bold=True), leaf(action)) for what, action in said]
    if len(news) > SHOWN:
        shown.append(line(leaf(f"… {len(news) - SHOWN} more; /audit shows all of them", italic=True)))
    aloud = "; ".join([head, *(f"{what}: {action}" for what, action in said)])
    return {
        "text": escape(shortened(aloud, 2000)),
        "blocks": [rich(line(leaf(head, bold=True)), bullets(shown))],
        "mrkdwn": False,
        "parse": "none",
        "link_names": False,
        "unfurl_links": False,
        "unfurl_media": False,
    }


def _words(event: str, request: ApprovalRequest) -> tuple[str, str]:
    """What became of it and by whom; and the action."""
    said, by = _DONE.get(event), ""
    if said is None:
        said, decision = wording.STATUS[request.status], request.decision
        if request.automatic:
            by = f" by rule {shortened(request.policy.rule, 80)}"
        elif decision is not None and decision.by:
            by = f" by {shortened(wording.listed([person.name for person in decision.by]), 200)}"
    undo = request.execution.undo
    part = " (partial)" if event in _DONE and undo is not None and undo.partial else ""
    return f"{said}{by}{part}", shortened(action_line(wording.shown_action(request)), 200)
