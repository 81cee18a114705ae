"""Where time comes from, as a promise.

The core never reads a clock: callers pass `now`. Services hold a `Clock`, so that tests
move time by hand and production has one place that reads it (`bot.system`).
"""

from datetime import datetime
from typing import Protocol


class Clock(Protocol):
    """A source of the present."""

    def now(self) -> datetime:
        """The present as an aware UTC datetime."""
        ...
