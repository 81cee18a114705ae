"""The messages of one channel, in time order, found by timestamp without a scan."""

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterator

from bot.sandbox.model import Message


class MessageLog:
    """Messages by `ts`, with an index of threads. Timestamps have a fixed width, so they sort as text."""

    def __init__(self) -> None:
        self._by_ts: dict[str, Message] = {}
        self._top: list[str] = []
        self._threads: dict[str, list[str]] = {}

    def __iter__(self) -> Iterator[Message]:
        return iter(self._by_ts.values())

    def __len__(self) -> int:
        return len(self._by_ts)

    def get(self, ts: str) -> Message | None:
        """The message with this timestamp, if there is one."""
        return self._by_ts.get(ts)

    def add(self, message: Message) -> None:
        """Add a message under a timestamp that is not taken."""
        self._by_ts[message.ts] = message
        if message.ephemeral_to:
            return
        if message.thread_ts:
            insort(self._threads.setdefault(message.thread_ts, []), message.ts)
        if not message.thread_ts or message.reply_broadcast:
            insort(self._top, message.ts)

    def remove(self, ts: str) -> None:
        """Forget a message; its replies stay, as they do in Slack."""
        message = self._by_ts.pop(ts)
        if message.thread_ts and ts in self._threads.get(message.thread_ts, []):
            self._threads[message.thread_ts].remove(ts)
        index = bisect_left(self._top, ts)
        if index < len(self._top) and self._top[index] == ts:
            del self._top[index]

    def replies(self, thread_ts: str) -> list[Message]:
        """The replies of a thread, oldest first, without its parent."""
        return [self._by_ts[ts] for ts in self._threads.get(thread_ts, ())]

    def history(self, oldest: str, latest: str, inclusive: bool, limit: int) -> tuple[list[Message], bool]:
        """At most `limit` top-level messages of a time span, newest first, and whether it has more."""
        low = (bisect_left if inclusive else bisect_right)(self._top, oldest) if oldest else 0
        high = (bisect_right if inclusive else bisect_left)(self._top, latest) if latest else len(self._top)
        found = self._top[max(low, high - limit) : high]
        return [self._by_ts[ts] for ts in reversed(found)], high - low > limit
