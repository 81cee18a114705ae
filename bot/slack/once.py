"""One interaction, done once, however often Slack delivers it.

Slack repeats what it thinks was lost, and a signed body can be replayed for five minutes. A repeat
waits for the first delivery and gets the same answer; it reaches no service.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

Answer = TypeVar("Answer")

_REMEMBERED = 20_000


class Once(Generic[Answer]):
    """Remembers the answers of the latest deliveries. After a restart the services' own rules hold."""

    def __init__(self) -> None:
        self._answers: OrderedDict[str, asyncio.Future[Answer]] = OrderedDict()

    async def run(self, key: str, work: Callable[[], Awaitable[Answer]]) -> Answer:
        """The answer of `work`, or of the earlier delivery under `key`. A failure is not remembered."""
        earlier = self._answers.get(key)
        if earlier is not None:
            return await asyncio.shield(earlier)
        future = self._answers[key] = asyncio.get_running_loop().create_future()
        if len(self._answers) > _REMEMBERED:
            self._answers.popitem(last=False)
        try:
            answer = await work()
        except BaseException as failure:
            self._answers.pop(key, None)
            if isinstance(failure, Exception):
                future.set_exception(failure)
                # Marks it as seen: with no repeat waiting, nobody else would.
                future.exception()
            else:
                future.cancel()
            raise
        future.set_result(answer)
        return answer
