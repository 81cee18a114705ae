"""Webhooks: callbacks to agents, and `notify: webhook`. Both are signed POSTs (`posting`)."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

from bot.core import jsontext
from bot.core.clock import Clock
from bot.core.models import JsonObject
from bot.core.times import rfc3339
from bot.notify.channel import NotDelivered, Notice, outcome
from bot.notify.posting import Letter, SignedPosts
from bot.services.outbox import Delivery, Failed, Sent
from bot.store.outbox import OutboxItem


@dataclass(frozen=True, slots=True)
class Callback:
    """What one callback says and with what it is signed.

    Args:
        secret: `whsec_…`, the agent's.
        data: The request as agents see it.
    """

    secret: str
    data: JsonObject


class WebhookSender:
    """Sends outbox rows of kind `callback`, on the specification's schedule until the answer is 2xx.

    Args:
        callback_of: What to say of a request by its id; None when there is no such request.
    """

    kinds = frozenset({"callback"})

    def __init__(
        self,
        callback_of: Callable[[str], Awaitable[Callback | None]],
        clock: Clock,
        *,
        allow: Sequence[str] = (),
    ) -> None:
        self._callback_of = callback_of
        self._posts = SignedPosts(clock, allow=allow)

    async def send(self, item: OutboxItem) -> Delivery:
        """Try once."""
        callback = None if item.request_id is None else await self._callback_of(item.request_id)
        if callback is None:
            return Failed("request_unknown")
        said = {
            "type": item.payload["type"],
            "timestamp": rfc3339(item.created_at),
            "data": callback.data,
        }
        letter = Letter(f"msg_{item.request_id}_{item.id}", callback.secret, jsontext.dumps(said))
        try:
            await self._posts.post(item.payload["url"], letter)
        except NotDelivered as trouble:
            return outcome(item.attempts, trouble)
        return Sent()


class WebhookChannel:
    """`notify: webhook`: a signed POST of `{type: request.escalated, timestamp, data}`.

    Args:
        secret: `whsec_…`, with which every receiver verifies.
    """

    def __init__(self, secret: str, clock: Clock, *, allow: Sequence[str] = ()) -> None:
        self._secret = secret
        self._posts = SignedPosts(clock, allow=allow)

    async def initialize(self, settings: Mapping[str, str]) -> None:
        """Nothing is held open between posts."""

    async def send_notification(self, notice: Notice) -> None:
        """Post once.

        Raises:
            Undeliverable, TryLater: as `SignedPosts.post`.
        """
        data = {**notice.data, "title": notice.title, "link": notice.link}
        said = {"type": "request.escalated", "timestamp": rfc3339(notice.at), "data": data}
        await self._posts.post(notice.address, Letter(notice.id, self._secret, jsontext.dumps(said)))

    async def shutdown(self) -> None:
        """Nothing is held."""
