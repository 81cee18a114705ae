"""Everything that went over the wire, for people to look at: the last entries only, and never a secret."""

import re
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from bot.sandbox.model import Json
from bot.sandbox.signals import Signal

KEPT = 2_000
MASK = "•••"
_SECRETS = re.compile(r"(xox[a-z]-|xapp-|ticket=|/response/|/upload/)[\w\-]+")
_SECRET_FIELDS = frozenset({"token"})


@dataclass(frozen=True, slots=True)
class Entry:
    """One call or delivery with its answer. `at` is Unix seconds, `ms` how long the answer took."""

    n: int
    at: float
    direction: str
    kind: str
    name: str
    request: Any
    response: Any
    status: int | None
    ms: float
    note: str | None

    def as_json(self) -> Json:
        """The entry as the page reads it."""
        return asdict(self)


class Traffic:
    """A bounded log. `signal` is bumped for every entry."""

    def __init__(self, signal: Signal) -> None:
        self.signal = signal
        self._entries: deque[Entry] = deque(maxlen=KEPT)
        self._next = 1

    def record(
        self,
        kind: str,
        name: str,
        request: Any,
        response: Any,
        *,
        started: float,
        status: int | None = None,
        note: str | None = None,
    ) -> None:
        """Log one exchange.

        Args:
            kind: `web_api`, `response_url` and `upload` go to Slack; `socket` and `http` to the bot.
            started: `time.monotonic()` of when it began.
        """
        entry = Entry(
            n=self._next,
            at=time.time(),
            direction="slack_to_bot" if kind in ("socket", "http") else "bot_to_slack",
            kind=kind,
            name=name,
            request=masked(request),
            response=masked(response),
            status=status,
            ms=round((time.monotonic() - started) * 1000, 2),
            note=note,
        )
        self._next += 1
        self._entries.append(entry)
        self.signal.bump()

    @property
    def last(self) -> int:
        """The number of the newest entry; 0 when there is none."""
        return self._next - 1

    def after(self, n: int) -> Sequence[Entry]:
        """The kept entries numbered above `n`, oldest first."""
        if not self._entries or n >= self._entries[-1].n:
            return []
        skip = max(0, n - self._entries[0].n + 1)
        return list(self._entries)[skip:]


def masked(value: Any) -> Any:
    """A copy of a JSON value with tokens, tickets and secret URL parts hidden."""
    if isinstance(value, dict):
        return {key: MASK if key in _SECRET_FIELDS else masked(item) for key, item in value.items()}
    if isinstance(value, list):
        return [masked(item) for item in value]
    if isinstance(value, str):
        return _SECRETS.sub(lambda found: found[1] + MASK, value)
    return value
