"""The audit's filters as people type them: on the command line, and after `/audit`."""

import difflib
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from bot.core.events import EVENTS
from bot.core.models import RiskLevel
from bot.core.times import read_rfc3339
from bot.store.auditing import AuditFilter

NAMES = tuple(AuditFilter.__dataclass_fields__)
"""Every filter there is."""

TIME = re.compile(r"[0-9]{1,5}[smhdw]|[0-9]{4}-[0-9]{2}-[0-9]{2}([tT].+)?")
"""What `moment` may read."""

_LONGEST = 300
_AGO = re.compile(r"([0-9]{1,5})([smhdw])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_RISKS = tuple(level.value for level in RiskLevel)
_FLAGS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


class BadFilter(ValueError):
    """A filter that cannot be meant; the text says what to write."""


def read_filter(given: Mapping[str, str], *, now: datetime) -> AuditFilter:
    """The filter that somebody typed, by names of `AuditFilter`'s fields.

    Args:
        now: What `since` and `until` count back from when they are a length of time, such as 7d.

    Raises:
        BadFilter: there is no such filter, or it cannot have this value.
    """
    readers: dict[str, Callable[[str], Any]] = {
        "event": _event,
        "risk": _risk,
        "reversible": _flag,
        "since": lambda text: moment(text, now),
        "until": lambda text: moment(text, now),
    }
    for name in given:
        if name not in NAMES:
            raise BadFilter(
                f"there is no filter “{_cut(name)}”{_near(name, NAMES)}; there are {', '.join(NAMES)}"
            )
    return AuditFilter(**{name: readers.get(name, _text)(value) for name, value in given.items()})


def moment(text: str, now: datetime) -> datetime:
    """A time, a day (its beginning, in UTC), or how long ago.

    Raises:
        BadFilter: it is none of these.
    """
    ago = _AGO.fullmatch(text)
    try:
        if ago is not None:
            return now - timedelta(**{_UNITS[ago[2]]: int(ago[1])})
        if re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", text):
            return datetime.fromisoformat(text).replace(tzinfo=UTC)
        return read_rfc3339(text)
    except (ValueError, OverflowError):
        raise BadFilter(
            f"“{_cut(text)}” is no time; write 2026-01-31T09:00:00Z, 2026-01-31, 12h or 7d"
        ) from None


def _event(text: str) -> str:
    if text not in EVENTS:
        raise BadFilter(f"there is no event “{_cut(text)}”{_near(text, EVENTS)}; docs/audit.md lists all")
    return text


def _risk(text: str) -> str:
    if text not in _RISKS:
        raise BadFilter(f"risk is one of {', '.join(_RISKS)}, not “{_cut(text)}”")
    return text


def _flag(text: str) -> bool:
    found = _FLAGS.get(text.casefold())
    if found is None:
        raise BadFilter(f"reversible is true or false, not “{_cut(text)}”")
    return found


def _text(text: str) -> str:
    if not text or len(text) > _LONGEST:
        raise BadFilter(f"a filter has 1 to {_LONGEST} characters")
    return text


def _near(text: str, known: tuple[str, ...]) -> str:
    close = difflib.get_close_matches(text.casefold(), known, n=1, cutoff=0.6)
    return f"; did you mean {close[0]}?" if close else ""


def _cut(text: str) -> str:
    return text if len(text) <= 40 else f"{text[:39]}…"
