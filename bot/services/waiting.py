"""Waking whoever waits for a request to change.

In this process a commit wakes its waiters at once. A change made by another process is
noticed by a sweep over the waited-for ids and the latest pause, so a lost wake-up costs seconds, never a
decision.
"""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from bot.core.models import RequestId
from bot.store import Committed, Store


class Waiters:
    """Who waits for which request. A waiter registers first, reads the row second, and says what it saw."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._events: dict[RequestId, set[asyncio.Event]] = {}
        self._seen: dict[RequestId, int] = {}
        self._paused_at: int | None = None
        """The place of the last pause or its end that was noticed; None before the first look."""
        store.on_commit(self._committed)

    def __len__(self) -> int:
        return sum(len(events) for events in self._events.values())

    @contextmanager
    def waiting(self, request_id: RequestId) -> Iterator[asyncio.Event]:
        """An event that is set at each change of the request; clear it before reading the row."""
        event = asyncio.Event()
        self._events.setdefault(request_id, set()).add(event)
        try:
            yield event
        finally:
            others = self._events[request_id]
            others.discard(event)
            if not others:
                del self._events[request_id]
                self._seen.pop(request_id, None)

    def saw(self, request_id: RequestId, version: int) -> None:
        """Say which version was read after registering: a sweep that finds another one wakes."""
        if request_id in self._events:
            self._seen.setdefault(request_id, version)

    async def sweep(self) -> None:
        """Wake those whose request another process has changed since the last sweep, and all at a pause."""
        paused_at = await self._store.reads.last_pause_seq()
        if self._paused_at not in (None, paused_at):
            self.wake_all()
        self._paused_at = paused_at
        ids = list(self._events)
        for start in range(0, len(ids), _SWEEP_PAGE):
            versions = await self._store.reads.versions(ids[start : start + _SWEEP_PAGE])
            for request_id, version in versions.items():
                if self._seen.get(request_id) not in (None, version):
                    self._wake(request_id)
                if request_id in self._events:
                    self._seen[request_id] = version

    def wake_all(self) -> None:
        """Let every waiter look again: at shutdown, and when something is paused or resumed."""
        for request_id in list(self._events):
            self._wake(request_id)

    def _committed(self, changes: Sequence[Committed]) -> None:
        for change in changes:
            if change.request_id is not None:
                self._wake(RequestId(change.request_id))
            elif change.event in ("agent_paused", "agent_resumed"):
                self.wake_all()

    def _wake(self, request_id: RequestId) -> None:
        for event in self._events.get(request_id, ()):
            event.set()


_SWEEP_PAGE = 500
"""Ids asked for in one query; SQLite takes 999 parameters in old builds."""
