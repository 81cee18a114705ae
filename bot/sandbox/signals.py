"""Waking whoever waits for the sandbox to change, and owning its background work."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

Found = TypeVar("Found")


class Signal:
    """A counter that coroutines can wait on. For one event loop.

    Args:
        also: Another signal to bump with every bump of this one.
    """

    def __init__(self, also: "Signal | None" = None) -> None:
        self._waiters: set[asyncio.Future[None]] = set()
        self.count = 0
        self.also = also

    def bump(self) -> None:
        """Count one change and wake every waiter."""
        self.count += 1
        waiters, self._waiters = self._waiters, set()
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)
        if self.also is not None:
            self.also.bump()

    async def changed(self) -> None:
        """Return at the next change."""
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiters.add(waiter)
        try:
            await waiter
        finally:
            self._waiters.discard(waiter)

    async def until(self, look: Callable[[], Found | None], timeout: float) -> Found:
        """Return the first truthy answer of `look`, asked at once and after every change.

        Raises:
            TimeoutError: there was none within `timeout` seconds.
        """
        async with asyncio.timeout(timeout):
            while not (found := look()):
                await self.changed()
        return found


class Tasks:
    """The owner of background work: what it starts, it cancels and awaits."""

    def __init__(self) -> None:
        self._running: set[asyncio.Task[None]] = set()

    def start(self, work: Coroutine[Any, Any, None]) -> "asyncio.Task[None]":
        """Run `work` until it ends or `stop` is called."""
        task = asyncio.create_task(work)
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return task

    async def stop(self) -> None:
        """Cancel everything and wait for it."""
        running = list(self._running)
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
