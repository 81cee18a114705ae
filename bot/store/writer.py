"""The one task through which a process writes.

Whatever waits becomes one batch, and one call into the writer's own thread runs it as one
transaction; callers hear of it only after COMMIT returned. There is no timer: a lone write is
committed at once, and the busier it gets the larger the batches.

When the batch fails as a whole (disk full, file locked, I/O error) every caller of it gets
`Unavailable`, the connection is thrown away, and the next batch opens another. A caller that is
cancelled stops waiting; its write is carried out or not, never half.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any, TypeVar

from bot.core.clock import Clock
from bot.core.errors import Unavailable
from bot.store import transaction
from bot.store.dialect import Connection, SQLite
from bot.store.transaction import Batch, Command, Committed, Refused

log = logging.getLogger(__name__)

R = TypeVar("R")
Listener = Callable[[Sequence[Committed]], None]
_Waiting = tuple[Command[Any], "asyncio.Future[Any]"]

LARGEST_BATCH = 128


class Writer:
    """Commits commands in batches. `start` it, `stop` it; in between, `write`.

    Args:
        queue_limit: How many commands may wait before further ones are refused at once.
    """

    def __init__(self, database: SQLite, clock: Clock, *, queue_limit: int) -> None:
        self._database = database
        self._clock = clock
        self._queue_limit = queue_limit
        self._waiting: deque[_Waiting] = deque()
        self._wake = asyncio.Event()
        self._stopping = False
        self._listeners: list[Listener] = []
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="keyturn-writer")
        self._connection: Connection | None = None
        self._task: asyncio.Task[None] | None = None
        self.last_commit_at: datetime | None = None
        self.sound = True
        """False from a storage failure until a batch that changed something is on disk again."""

    async def start(self) -> None:
        """Open the writing connection and begin to take commands."""
        await self._in_thread(self._connected)
        # Owned here: `stop` ends it, after the last batch.
        self._task = asyncio.get_running_loop().create_task(self._run(), name="store-writer")

    async def stop(self) -> bool:
        """Refuse new commands, finish those that wait, close the connection. False if it did not close."""
        self._stopping = True
        self._wake.set()
        if self._task is not None:
            await asyncio.wait([self._task])  # what it may have died of, `watch` has told
        closed = await self._in_thread(self._disconnect)
        self._thread.shutdown()
        return closed

    async def watch(self, stop: asyncio.Event) -> None:
        """Until `stop`.

        Raises:
            Exception: what the writing task died of; from then on every write is refused.
        """
        assert self._task is not None, "only a started writer is watched"
        stopping = asyncio.ensure_future(stop.wait())
        try:
            await asyncio.wait([self._task, stopping], return_when=asyncio.FIRST_COMPLETED)
        finally:
            stopping.cancel()
        if self._task.done():
            self._task.result()

    def on_commit(self, listener: Listener) -> None:
        """Call `listener` on the loop after each COMMIT that wrote audit or outbox rows."""
        self._listeners.append(listener)

    @property
    def queued(self) -> int:
        """How many commands wait."""
        return len(self._waiting)

    async def write(self, command: Command[R]) -> R:
        """Make the change durable and return what it says.

        Raises:
            Unavailable: too much waits, the store is stopping, or storage failed.
            KeyturnError: the command refused.
        """
        if self._stopping or len(self._waiting) >= self._queue_limit:
            raise Unavailable(retry_after=1)
        settled: asyncio.Future[R] = asyncio.get_running_loop().create_future()
        self._waiting.append((command, settled))
        self._wake.set()
        return await settled

    async def _run(self) -> None:
        try:
            while not (self._stopping and not self._waiting):
                await self._wake.wait()
                self._wake.clear()
                while self._waiting:
                    await self._commit_some()
        except BaseException as error:
            # A fault of this code. Nobody may be left asleep over it, nor may anything be taken in.
            self._stopping = True
            self._fail(self._waiting, error)
            raise

    async def _commit_some(self) -> None:
        size = min(len(self._waiting), LARGEST_BATCH)
        batch = [self._waiting.popleft() for _ in range(size)]
        try:
            done = await self._in_thread(self._commit, [command for command, _ in batch])
        except Exception as error:
            self._fail(batch, error)
            return
        try:
            self.last_commit_at = self._clock.now()
            self.sound = self.sound or done.wrote
            for (_, settled), outcome in zip(batch, done.outcomes, strict=True):
                _settle(settled, outcome)
            self._tell(done)
        except BaseException as error:
            self._fail(batch, error)  # whoever has not been told yet
            raise

    def _fail(self, batch: Iterable[_Waiting], error: BaseException) -> None:
        self.sound = False
        failed = list(batch)
        log.error("a batch of %d failed: %s", len(failed), error, extra={"event": "store.batch_failed"})
        for _, settled in failed:
            _settle(settled, Refused(Unavailable(retry_after=1)))

    def _tell(self, done: Batch) -> None:
        if not (done.committed or done.outbox):
            return
        for listener in self._listeners:
            try:
                listener(done.committed)
            except Exception:
                log.exception("a commit listener failed", extra={"event": "store.listener_failed"})

    async def _in_thread(self, call: Callable[..., R], *args: Any) -> R:
        return await asyncio.get_running_loop().run_in_executor(self._thread, call, *args)

    def _commit(self, commands: Sequence[Command[Any]]) -> Batch:
        try:
            return transaction.run(self._connected(), commands)
        except BaseException:
            self._disconnect()
            raise

    def _connected(self) -> Connection:
        if self._connection is None:
            self._connection = self._database.connect()
        return self._connection

    def _disconnect(self) -> bool:
        """Whether it closed; closing rolls back whatever is open."""
        connection, self._connection = self._connection, None
        try:
            if connection is not None:
                connection.close()
        except Exception:
            log.exception("the writing connection did not close", extra={"event": "store.close_failed"})
            return False
        return True


def _settle(settled: "asyncio.Future[Any]", outcome: Any) -> None:
    if settled.done():  # its caller was cancelled; the write stands all the same
        return
    if isinstance(outcome, Refused):
        settled.set_exception(outcome.error)
    else:
        settled.set_result(outcome)
