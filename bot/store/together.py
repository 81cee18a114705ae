"""One question for many askers.

When ten thousand agents come back at once, a statement for each of them would make every one wait
for the others. Whoever asks while an answer is under way shares the next one.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping
from itertools import islice
from typing import Generic, TypeVar

V = TypeVar("V")

_AT_ONCE = 500
"""Keys in one question; SQLite takes 999 parameters in old builds."""


class Together(Generic[V]):
    """Gathers what is asked for and asks for it together.

    Args:
        ask: Finds the values of some keys; those without one are left out.
    """

    def __init__(self, ask: Callable[[Collection[str]], Awaitable[Mapping[str, V]]]) -> None:
        self._ask = ask
        self._asked: dict[str, list[asyncio.Future[V | None]]] = {}
        self._task: asyncio.Task[None] | None = None

    def get(self, key: str) -> "asyncio.Future[V | None]":
        """The value as a look after this call finds it, None if there is none; or what the look raised."""
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[V | None] = loop.create_future()
        self._asked.setdefault(key, []).append(answer)
        if self._task is None:
            self._task = loop.create_task(self._run(), name="store-together")  # ends when nobody asks
        return answer

    async def _run(self) -> None:
        while self._asked:
            batch = {key: self._asked.pop(key) for key in list(islice(self._asked, _AT_ONCE))}
            try:
                found: Mapping[str, V] | Exception = await self._ask(batch)
            except Exception as trouble:
                found = trouble
            for key, answers in batch.items():
                for answer in answers:
                    _settle(answer, found, key)
        self._task = None


def _settle(answer: "asyncio.Future[V | None]", found: Mapping[str, V] | Exception, key: str) -> None:
    if answer.done():  # its asker was cancelled
        return
    if isinstance(found, Exception):
        answer.set_exception(found)
    else:
        answer.set_result(found.get(key))
