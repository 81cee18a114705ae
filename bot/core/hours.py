"""Business hours, by the clock of whoever is asked, as pure functions."""

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from bot.core.models import Hours
from bot.core.oncall import EPOCH, Layer, Schedule, timetable

_LOOK_AHEAD = timedelta(days=9)
"""A week, and what a change of the clocks may add to it."""


def opens_at(hours: Hours, zone: str | None, now: datetime) -> datetime:
    """`now` within the hours, else when they begin next.

    Args:
        zone: The recipient's IANA zone; None, or one that is not known here, for that of the hours.
    """
    open_hours = Schedule(hours.name, (_layer(hours, _zone(zone, hours.zone)),))
    shifts = timetable(open_hours, (), now, now + _LOOK_AHEAD)
    return next((shift.starts_at for shift in shifts if shift.person is not None), now)


def _layer(hours: Hours, zone: ZoneInfo) -> Layer:
    anchor = datetime.combine(EPOCH, datetime.min.time())
    return Layer(("open",), zone, anchor, timedelta(days=7), windows=hours.windows)


def _zone(wanted: str | None, otherwise: str) -> ZoneInfo:
    try:
        return ZoneInfo(wanted or otherwise)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return ZoneInfo(otherwise)
