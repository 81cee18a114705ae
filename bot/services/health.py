"""Whether Keyturn is able to decide: each loop's last good pass, and what it needs.

A loop that dies ends the process; a loop that hangs shows here.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from bot.core.clock import Clock


@dataclass(frozen=True, slots=True)
class Pulse:
    """One loop: when it last completed a pass, and whether that is recent enough."""

    name: str
    last_good_at: datetime | None
    healthy: bool


class Health:
    """The pulse of every loop.

    Args:
        allowed: How old each loop's last good pass may be.
    """

    def __init__(self, clock: Clock, allowed: Mapping[str, timedelta]) -> None:
        self._clock = clock
        self._allowed = dict(allowed)
        self._last: dict[str, datetime] = {}

    def beat(self, name: str) -> None:
        """A pass of this loop has just been completed."""
        if name not in self._allowed:
            raise KeyError(f"no loop is called {name}")
        self._last[name] = self._clock.now()

    def pulses(self) -> tuple[Pulse, ...]:
        """Every loop, by name."""
        now = self._clock.now()
        return tuple(
            Pulse(name, last := self._last.get(name), last is not None and now - last <= allowed)
            for name, allowed in sorted(self._allowed.items())
        )
