"""Waiting in the background for a blocking client: one thread waits for any number of requests.

The thread starts with the first wait and ends with `close`. Callbacks run in a small pool beside it, so
they may block, and may use the client that made them.
"""

import asyncio
import threading
from collections.abc import Awaitable, Callable
from typing import TypeVar

from keyturn.aio import AsyncClient
from keyturn.errors import KeyturnError
from keyturn.models import Request
from keyturn.settings import Settings

T = TypeVar("T")


class BackgroundWaits:
    """Owns the thread; see the module."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._ready = threading.Event()
        self._closed = False
        self._inside = threading.local()

    def watch(
        self,
        request_id: str,
        on_decision: Callable[[Request], object],
        on_error: Callable[[KeyturnError], object] | None,
    ) -> None:
        """Call `on_decision` once, when the request is decided, or `on_error` when waiting fails for good.

        Raises:
            RuntimeError: the client is closed.
        """
        with self._lock:
            if self._closed:
                raise RuntimeError("The client is closed; nothing would wait for this request")
            if self._thread is None:
                # A daemon: a client that nobody closed must not keep the program from ending.
                self._thread = threading.Thread(target=self._serve, name="keyturn-waits", daemon=True)
                self._thread.start()
            self._ready.wait()
            failed = None if on_error is None else self._apart(on_error)
            self._loop.call_soon_threadsafe(self._client.watch, request_id, self._apart(on_decision), failed)

    def close(self) -> None:
        """Stop waiting, let running callbacks end, join the thread. Closing twice is fine.

        Raises:
            RuntimeError: called from inside a callback, which it would wait for.
        """
        if getattr(self._inside, "callback", False):
            raise RuntimeError("A callback cannot close the client that runs it")
        with self._lock:
            self._closed = True
            thread = self._thread
        if thread is not None and thread.is_alive():
            self._loop.call_soon_threadsafe(self._stop.set)
            thread.join()

    def _serve(self) -> None:
        asyncio.run(self._wait_until_closed())

    async def _wait_until_closed(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        async with AsyncClient.of(self._settings) as self._client:
            self._ready.set()
            await self._stop.wait()

    def _apart(self, callback: Callable[[T], object]) -> Callable[[T], Awaitable[object]]:
        """Run `callback` in the pool, marked as one of ours."""

        def marked(value: T) -> object:
            self._inside.callback = True
            try:
                return callback(value)
            finally:
                self._inside.callback = False

        async def call(value: T) -> object:
            return await asyncio.to_thread(marked, value)

        return call
