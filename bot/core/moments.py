"""Moments as people type them: `14:20`, `tomorrow 09:00`, `Mon 09:00`, `2026-11-24 09:00`. Pure."""

import re
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from bot.core.oncall import instant

_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_FORM = re.compile(
    r"(?:(?P<date>\d{4}-\d\d-\d\d)|(?P<day>today|tomorrow|mon|tue|wed|thu|fri|sat|sun))?"
    r"(?:[ T]*(?P<hour>\d{1,2}):(?P<minute>\d\d))?"
)

_EXACT = re.compile(r"\d{4}-\d\d-\d\d[t ]\d\d:\d\d(:\d\d(\.\d{1,6})?)?(z|[+-]\d\d:\d\d)")

HELP = (
    "write a time such as 14:20, tomorrow 09:00, Mon 09:00, 2026-11-24, 2026-11-24 09:00 "
    "or 2026-11-24T09:00:00Z"
)


def parse(text: str, *, now: datetime, zone: ZoneInfo, after: datetime | None = None) -> datetime:
    """The moment that a person in `zone` means.

    A time without a day, and a weekday, is the next one; a day without a time begins at midnight. A
    time with an offset of its own (RFC 3339) is what it says, wherever the person is.

    Args:
        after: The beginning of the span that this ends: the next one is then the next after it, while
            today and tomorrow remain the person's.

    Raises:
        ValueError: it is none; the message says what to write.
    """
    said = text.strip().casefold()
    if said == "now":
        return now
    if _EXACT.fullmatch(said) and (exact := _exact(said)) is not None:
        return exact
    found = _FORM.fullmatch(said.replace("t", " ", 1) if re.match(r"\d{4}-", said) else said)
    if found is None or not (found["date"] or found["day"] or found["hour"]):
        raise ValueError(f"{text!r} is not a time; {HELP}")
    try:
        at = time(int(found["hour"] or 0), int(found["minute"] or 0))
        day = date.fromisoformat(found["date"]) if found["date"] else None
    except ValueError:
        raise ValueError(f"{text!r} is not a time; {HELP}") from None
    if day is None and found["day"] in ("today", "tomorrow"):
        day = now.astimezone(zone).date() + timedelta(days=found["day"] == "tomorrow")
    if day is not None:
        return instant(datetime.combine(day, at), zone)
    since = now if after is None else after
    today = since.astimezone(zone).date()
    ahead = (_DAYS.index(found["day"]) - today.weekday()) % 7 if found["day"] else 0
    meant = instant(datetime.combine(today + timedelta(days=ahead), at), zone)
    if meant >= since:
        return meant
    again = timedelta(days=7 if found["day"] else 1)
    return instant(datetime.combine(today + timedelta(days=ahead) + again, at), zone)


def _exact(said: str) -> datetime | None:
    try:
        return datetime.fromisoformat(said.upper()).astimezone(UTC)
    except ValueError:
        return None
