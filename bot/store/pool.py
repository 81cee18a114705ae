"""A few connections that can only read, each with its own thread."""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from typing import Any, cast

import aiosqlite

from bot.core.errors import Unavailable
from bot.store.dialect import Row, SQLite, driver_error


class Readers:
    """A pool of read-only connections. One statement is one moment: nothing holds a transaction open."""

    def __init__(self, database: SQLite, *, size: int = 3) -> None:
        self._database = database
        self._size = size
        self._idle: asyncio.LifoQueue[aiosqlite.Connection] = asyncio.LifoQueue()
        self._open = AsyncExitStack()

    async def start(self) -> None:
        """Open every connection."""
        for _ in range(self._size):
            connection = aiosqlite.Connection(self._database.connect_reader, iter_chunk_size=64)
            await self._open.enter_async_context(connection)
            self._idle.put_nowait(connection)

    async def stop(self) -> None:
        """Close every connection, after its present statement."""
        await self._open.aclose()

    async def fetch_all(self, sql: str, params: Mapping[str, Any]) -> Sequence[Row]:
        """Every row of one statement.

        Raises:
            Unavailable: the database cannot be read.
        """
        connection = await self._idle.get()
        try:
            # aiosqlite hands parameters through as they are; a mapping binds `:name`.
            found = await connection.execute_fetchall(sql, cast(Any, params))
        except driver_error as error:
            raise Unavailable(f"Keyturn cannot read its database: {error}.") from error
        finally:
            self._idle.put_nowait(connection)
        return cast(Sequence[Row], found)
