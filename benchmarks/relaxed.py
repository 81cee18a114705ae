"""`keyturn` with `synchronous=NORMAL`, which loses acknowledged writes in a power cut.

It shows what durability costs, and nothing but the benchmarks starts it: no setting of Keyturn's
can ask for it.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from bot import cli, wiring
from bot.core.clock import Clock
from bot.store import Store


class RelaxedStore(Store):
    """A store whose commits are not on disk when they return."""

    @classmethod
    @asynccontextmanager
    async def open(
        cls, url: str, *, clock: Clock, queue_limit: int = 1024, synchronous: str = "NORMAL"
    ) -> AsyncIterator[Store]:
        """The store at `url`, relaxed."""
        async with Store.open(url, clock=clock, queue_limit=queue_limit, synchronous=synchronous) as store:
            yield store


if __name__ == "__main__":
    wiring.Store = RelaxedStore  # type: ignore[misc]  # the one place where the server's store is chosen
    cli.main()
