"""Telling whoever waits for a request that it has changed.

In this process a commit tells its waiters at once, with the request as it left it. What another
process changes is noticed by a sweep over the audit, in which every change has its place, so a lost
wake-up costs seconds, never a decision.
"""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol

from bot.core.models import RequestId
from bot.store import Changed, Committed, Store

_PAUSING = ("agent_paused", "agent_resumed")
_SWEEP_PAGE = 1000
"""Audit rows read in one query."""


class Waiter(Protocol):
    """Whoever waits for one request."""

    def hear(self, change: Changed | None, /) -> None:
        """Something happened to the request: `change` if that is known here, else a look will show it."""
        ...


class Waiters:
    """Who waits for which request. A waiter registers first, and reads the row second."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._waiting: dict[str, list[Waiter]] = {}
        self._bells: set[asyncio.Event] = set()
        self._known: int | None = None
        """The place in the audit up to which every row was this process's own or was found by a sweep."""
        store.on_commit(self._committed)

    def __len__(self) -> int:
        return sum(len(waiters) for waiters in self._waiting.values())

    def add(self, request_id: RequestId, waiter: Waiter) -> None:
        """Let `waiter` hear of every change of the request until `remove`."""
        self._waiting.setdefault(request_id, []).append(waiter)

    def remove(self, request_id: RequestId, waiter: Waiter) -> None:
        """Let it hear no more."""
        waiters = self._waiting[request_id]
        waiters.remove(waiter)
        if not waiters:
            del self._waiting[request_id]

    @contextmanager
    def waiting(self, request_id: RequestId) -> Iterator[asyncio.Event]:
        """An event that is set at each change of the request, and when anything is paused or resumed.

        Clear it before reading the row.
        """
        bell = asyncio.Event()
        ringer = _Ringer(bell)
        self.add(request_id, ringer)
        self._bells.add(bell)
        try:
            yield bell
        finally:
            self._bells.discard(bell)
            self.remove(request_id, ringer)

    async def sweep(self) -> None:
        """Tell those whose request another process has changed since the last sweep."""
        if self._known is None:
            self._known = (await self._store.reads.chain_head()).seq
            for waiters in self._waiting.values():
                for waiter in waiters:
                    waiter.hear(None)
            return
        while rows := await self._store.reads.written(self._known, limit=_SWEEP_PAGE):
            self._known = max(self._known, rows[-1][0])
            for _, event, request_id in rows:
                self._tell(event, request_id, None)

    def _committed(self, rows: Sequence[Committed]) -> None:
        if rows and self._known == rows[0].seq - 1:  # else another process wrote in between
            self._known = rows[-1].seq
        for row in rows:
            self._tell(row.event, row.request_id, row.change)

    def _tell(self, event: str, request_id: str | None, change: Changed | None) -> None:
        if request_id is not None:
            for waiter in self._waiting.get(request_id, ()):
                waiter.hear(change)
        elif event in _PAUSING:
            for bell in self._bells:
                bell.set()


class _Ringer:
    """Rings a bell at each change."""

    def __init__(self, bell: asyncio.Event) -> None:
        self._bell = bell

    def hear(self, _change: Changed | None) -> None:
        self._bell.set()
