"""The sign of a pause on the cards that it holds: painted when it begins, taken away when it ends.

A pause is one row and the cards it concerns are many, so they are not part of its transaction: work in
the outbox goes through what is pending, page by page, and may do so twice.
"""

import asyncio

from bot.core import pausing
from bot.core.clock import Clock
from bot.core.models import Status
from bot.services.outbox import Delivery, Sent
from bot.store import Store
from bot.store.cards import RepaintCards
from bot.store.outbox import OutboxItem

_PAGE = 100


class PauseSigns:
    """Sends outbox rows of the kind `pause.show`."""

    kinds = frozenset({pausing.SHOW})

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def send(self, item: OutboxItem) -> Delivery:
        """Have the cards of every pending request painted again that the pause is about."""
        cursor: str | None = None
        while True:
            found, cursor = await self._store.reads.requests(
                status=Status.PENDING, cursor=cursor, limit=_PAGE
            )
            now = self._clock.now()
            held = [
                self._store.write(RepaintCards(request.id, now))
                for request in found
                if pausing.concerns(item.payload["what"], request.agent, request.action.type)
            ]
            await asyncio.gather(*held)
            if cursor is None:
                return Sent()
