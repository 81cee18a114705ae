"""The timetable, against an independent recurrence library and against itself."""

from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from typing import Literal
from zoneinfo import ZoneInfo

from dateutil import tz
from dateutil.rrule import DAILY, WEEKLY, rrule
from hypothesis import given
from hypothesis import strategies as st

from bot.core.oncall import EPOCH, Cover, Layer, Schedule, Window, anchored, on_call, timetable

ZONES = [
    "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu", "America/Santiago",
    "Africa/Casablanca", "Pacific/Apia", "UTC",
]  # fmt: skip
PEOPLE = ("ana", "ben", "cleo")
MINUTE, DAY = timedelta(minutes=1), timedelta(days=1)

zones = st.sampled_from(ZONES).map(ZoneInfo)
times = st.builds(time, st.integers(0, 23), st.sampled_from([0, 15, 30]))
moments = st.datetimes(datetime(2024, 1, 1), datetime(2027, 12, 31), timezones=st.just(UTC))
windows = st.builds(
    lambda days, start, length: Window(days, start * MINUTE, (start + length) * MINUTE),
    st.frozensets(st.integers(0, 6), min_size=1),
    st.integers(0, 1439),
    st.integers(1, 1440),
)
layers = st.builds(
    lambda users, zone, handover, weekday, length, shut: Layer(
        tuple(users), zone, anchored(EPOCH, handover, weekday), length, windows=tuple(shut)
    ),
    st.lists(st.sampled_from(PEOPLE), min_size=1, max_size=3, unique=True),
    zones,
    times,
    st.none() | st.integers(0, 6),
    st.sampled_from([timedelta(minutes=30), timedelta(hours=8), DAY, 3 * DAY, 7 * DAY]),
    st.lists(windows, max_size=2),
)
schedules = st.lists(layers, min_size=1, max_size=3).map(lambda found: Schedule("primary", tuple(found)))
covers = st.builds(
    lambda by, of, start, hours: Cover(by, of, start, start + timedelta(hours=hours)),
    st.sampled_from(PEOPLE),
    st.sampled_from(PEOPLE),
    st.datetimes(datetime(2026, 3, 25), datetime(2026, 4, 5), timezones=st.just(UTC)),
    st.integers(1, 100),
)


@given(zone=st.sampled_from(ZONES), handover=times, day=st.dates(date(2024, 1, 1), date(2027, 12, 1)))
def test_daily_hand_overs_are_those_of_dateutil(zone: str, handover: time, day: date) -> None:
    layer = Layer(PEOPLE, ZoneInfo(zone), anchored(EPOCH, handover, None), DAY)
    _compare(layer, DAILY, zone, handover, day)


@given(zone=st.sampled_from(ZONES), handover=times, day=st.dates(date(2024, 1, 1), date(2027, 12, 1)))
def test_weekly_hand_overs_are_those_of_dateutil(zone: str, handover: time, day: date) -> None:
    layer = Layer(PEOPLE, ZoneInfo(zone), anchored(EPOCH, handover, 2), 7 * DAY)
    _compare(layer, WEEKLY, zone, handover, day - timedelta(days=(day.weekday() - 2) % 7))


def _compare(layer: Layer, frequency: Literal[2, 3], zone: str, handover: time, day: date) -> None:
    """Hand-overs of 20 turns, except in hours that the clock skips, where the library has no answer."""
    there = tz.gettz(zone)
    rule = rrule(frequency, dtstart=datetime.combine(day, handover, there), count=20)
    expected = [moment for moment in rule if tz.datetime_exists(moment)]
    first, last = expected[0].astimezone(UTC), expected[-1].astimezone(UTC)
    found = {s.starts_at for s in timetable(Schedule("p", (layer,)), [], first, last + MINUTE)}
    assert {moment.astimezone(UTC) for moment in expected} <= found
    assert len(found) <= 20


@given(
    schedule=schedules, given_covers=st.lists(covers, max_size=4), start=moments, hours=st.integers(1, 400)
)
def test_a_timetable_has_neither_holes_nor_repeats(
    schedule: Schedule, given_covers: list[Cover], start: datetime, hours: int
) -> None:
    end = start + timedelta(hours=hours)
    shifts = timetable(schedule, given_covers, start, end)
    assert (shifts[0].starts_at, shifts[-1].ends_at) == (start, end)
    for first, second in pairwise(shifts):
        assert first.starts_at < first.ends_at == second.starts_at


@given(
    schedule=schedules,
    given_covers=st.lists(covers, max_size=4),
    start=st.datetimes(datetime(2026, 3, 25), datetime(2026, 4, 5), timezones=st.just(UTC)),
    minutes=st.integers(0, 7 * 1440),
)
def test_a_moment_says_what_the_timetable_says(
    schedule: Schedule, given_covers: list[Cover], start: datetime, minutes: int
) -> None:
    at = start + minutes * MINUTE
    whole = timetable(schedule, given_covers, start, start + 8 * DAY)
    [shift] = [s for s in whole if s.starts_at <= at < s.ends_at]
    assert [s.person for s in on_call(schedule, given_covers, at)] == [shift.person] * (
        shift.person is not None
    )
