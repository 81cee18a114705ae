"""Whether Keyturn is able to decide: each loop's last good pass, and what it needs.

A loop that dies ends the process; a loop that hangs shows here.
"""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from bot.core.clock import Clock

_RECENT = timedelta(minutes=5)
_REMEMBERED = 10_000


@dataclass(frozen=True, slots=True)
class Pulse:
    """One loop: when it last completed a pass, and whether that is recent enough."""

    name: str
    last_good_at: datetime | None
    healthy: bool


@dataclass(frozen=True, slots=True)
class Lateness:
    """How long after their time deadlines were handled."""

    latest: timedelta
    worst: timedelta
    """Of the last five minutes."""


class Health:
    """The pulse of every loop, and how late deadlines are handled.

    Args:
        allowed: How old each loop's last good pass may be.
    """

    def __init__(self, clock: Clock, allowed: Mapping[str, timedelta]) -> None:
        self._clock = clock
        self._allowed = dict(allowed)
        self._last: dict[str, datetime] = {}
        self._late: deque[tuple[datetime, timedelta]] = deque(maxlen=_REMEMBERED)

    def beat(self, name: str) -> None:
        """A pass of this loop has just been completed."""
        if name not in self._allowed:
            raise KeyError(f"no loop is called {name}")
        self._last[name] = self._clock.now()

    def late(self, by: timedelta) -> None:
        """A deadline was handled so long after its time."""
        self._late.append((self._clock.now(), by))

    def lateness(self) -> Lateness:
        """How late deadlines were handled; zero when none was lately."""
        since = self._clock.now() - _RECENT
        recent = [by for at, by in self._late if at >= since]
        return Lateness(recent[-1], max(recent)) if recent else Lateness(timedelta(0), timedelta(0))

    def pulses(self) -> tuple[Pulse, ...]:
        """Every loop, by name."""
        now = self._clock.now()
        return tuple(
            Pulse(name, last := self._last.get(name), last is not None and now - last <= allowed)
            for name, allowed in sorted(self._allowed.items())
        )
