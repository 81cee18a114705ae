"""The durable store: one writer, a few readers, one file.

    async with Store.open("sqlite:///keyturn.db", clock=clock) as store:
        created = await store.write(CreateRequest(transition))
        request = await store.reads.request(created.request_id)

What `write` returned is on disk. Storage trouble raises `Unavailable` and leaves nothing behind.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from typing import TypeVar

from bot.core.clock import Clock
from bot.store import dialect
from bot.store.dialect import sqlite_version, sqlite_warning
from bot.store.errors import CannotOpen
from bot.store.pool import Readers
from bot.store.reads import Reads
from bot.store.transaction import Changed, Command, Committed, Place, Tx
from bot.store.writer import Listener, Writer

__all__ = [
    "CannotOpen",
    "Changed",
    "Command",
    "Committed",
    "Place",
    "Store",
    "Tx",
    "sqlite_version",
    "sqlite_warning",
]

R = TypeVar("R")


class Store:
    """An open store. Made by `Store.open`."""

    def __init__(self, writer: Writer, readers: Readers) -> None:
        self._writer = writer
        self.reads = Reads(readers)

    @classmethod
    @asynccontextmanager
    async def open(
        cls, url: str, *, clock: Clock, queue_limit: int = 1024, synchronous: str = "FULL"
    ) -> AsyncIterator["Store"]:
        """The store at `url`, until the block ends; then what waits is written and all is closed.

        Args:
            url: `sqlite:///relative.db` or `sqlite:////absolute.db`; made when there is none.
            queue_limit: How many writes may wait before further ones are refused at once.
            synchronous: Anything but `FULL` loses acknowledged writes in a power cut; for benchmarks.

        Raises:
            CannotOpen: another process uses it, it is damaged, newer than this code, or no database.
        """
        database = dialect.of(url, synchronous=synchronous)
        await asyncio.to_thread(database.prepare)
        writer, readers, clean = Writer(database, clock, queue_limit=queue_limit), Readers(database), False
        try:
            await writer.start()
            await readers.start()
            yield cls(writer, readers)
        finally:
            try:
                # Readers first: whoever closes last folds the log into the file, and only a writer can.
                await readers.stop()
                clean = await writer.stop()
            finally:
                database.release(clean=clean)

    @staticmethod
    @asynccontextmanager
    async def reading(url: str) -> AsyncIterator[Reads]:
        """The queries alone, without the lock: beside a running server, or with none.

        Raises:
            CannotOpen: there is no database, or its schema is not the one this code reads.
        """
        database = dialect.of(url)
        await asyncio.to_thread(database.check_readable)
        readers = Readers(database, size=1)
        try:
            await readers.start()
            yield Reads(readers)
        finally:
            await readers.stop()

    async def write(self, command: Command[R]) -> R:
        """Make a change durable and return what it says.

        Raises:
            Unavailable: too much waits, or storage failed; nothing was written.
            KeyturnError: the command refused; nothing was written.
        """
        return await self._writer.write(command)

    async def watch(self, stop: asyncio.Event) -> None:
        """Until `stop`; a writing task that dies is raised here, since nothing can be stored without it."""
        await self._writer.watch(stop)

    def on_commit(self, listener: Listener) -> None:
        """Call `listener` on the loop after each COMMIT that wrote audit or outbox rows.

        It gets the audit rows, in order; for mail without audit rows an empty sequence.
        """
        self._writer.on_commit(listener)

    @property
    def last_commit_at(self) -> datetime | None:
        """When the last batch was committed; None before the first."""
        return self._writer.last_commit_at

    @property
    def queued(self) -> int:
        """How many writes wait for their commit."""
        return self._writer.queued

    @property
    def writable(self) -> bool:
        """False from a storage failure until a change is on disk again; `Probe` is one to try with."""
        return self._writer.sound
