"""Schedules: rotations, hand-overs where clocks change, layers, restrictions and covers."""

from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from bot.core.oncall import (
    EPOCH,
    Cover,
    Layer,
    Schedule,
    Shift,
    Window,
    anchored,
    gaps,
    instant,
    never_ends,
    on_call,
    overlaps,
    stands_for,
    timetable,
    windows_overlap,
)

BERLIN, NEW_YORK = ZoneInfo("Europe/Berlin"), ZoneInfo("America/New_York")
DAY, WEEK, HOUR = timedelta(days=1), timedelta(days=7), timedelta(hours=1)
WORKDAYS, WEEKEND = frozenset(range(5)), frozenset({5, 6})


def layer(*users: str, **changes: Any) -> Layer:
    given: dict[str, Any] = {
        "zone": BERLIN,
        "anchor": anchored(EPOCH, time(9), 0),
        "length": WEEK,
        "users": users or ("ana", "ben"),
    }
    return Layer(**{**given, **changes})


def hours(first: int, last: int, days: frozenset[int] = WORKDAYS) -> Window:
    return Window(days, first * HOUR, last * HOUR)


def schedule(*layers: Layer) -> Schedule:
    return Schedule("primary", layers)


def berlin(month: int, day: int, hour: int = 0, minute: int = 0) -> datetime:
    return instant(datetime(2026, month, day, hour, minute), BERLIN)


def who(plan: Schedule, at: datetime, *covers: Cover) -> list[str | None]:
    return [shift.person for shift in on_call(plan, covers, at)]


def rows(shifts: list[Shift]) -> list[tuple[str, str | None]]:
    """Each shift's beginning in Berlin and its person."""
    return [(f"{s.starts_at.astimezone(BERLIN):%m-%d %H:%M}", s.person) for s in shifts]


def test_people_take_weekly_turns_from_the_hand_over() -> None:
    plan = schedule(layer("ana", "ben", "cleo"))
    found = timetable(plan, [], berlin(11, 23, 9), berlin(12, 14, 9))
    assert [start for start, _ in rows(found)] == ["11-23 09:00", "11-30 09:00", "12-07 09:00"]
    assert sorted(str(person) for _, person in rows(found)) == ["ana", "ben", "cleo"]


def test_shifts_count_from_the_first_monday_of_1970() -> None:
    plan = schedule(layer("ana", "ben"))
    assert who(plan, instant(datetime(1970, 1, 5, 9), BERLIN)) == ["ana"]
    assert who(plan, instant(datetime(1970, 1, 12, 9), BERLIN)) == ["ben"]


def test_a_start_decides_who_is_first_and_leaves_nobody_before() -> None:
    first = anchored(date(2026, 11, 25), time(9), 0)
    plan = schedule(layer("ana", "ben", anchor=first, since_anchor=True))
    assert first == datetime(2026, 11, 30, 9)
    assert who(plan, berlin(11, 30, 8, 59)) == []
    assert who(plan, berlin(11, 30, 9)) == ["ana"]
    assert who(plan, berlin(12, 7, 9)) == ["ben"]


@pytest.mark.parametrize(("month", "day", "length"), [(3, 29, 23), (10, 25, 25)])
def test_a_daily_shift_is_an_hour_shorter_or_longer_where_clocks_change(
    month: int, day: int, length: int
) -> None:
    plan = schedule(layer(length=DAY, anchor=anchored(EPOCH, time(0), None)))
    [shift] = timetable(plan, [], berlin(month, day), berlin(month, day) + length * HOUR)
    after = timetable(plan, [], shift.ends_at, shift.ends_at + HOUR)
    assert shift.ends_at - shift.starts_at == length * HOUR
    assert after[0].person != shift.person


def test_hand_over_stays_at_nine_on_the_wall_across_both_changes() -> None:
    plan = schedule(layer(length=DAY, anchor=anchored(EPOCH, time(9), None)))
    year = timetable(plan, [], berlin(1, 1, 9), berlin(12, 31, 9))
    assert {f"{s.starts_at.astimezone(BERLIN):%H:%M}" for s in year} == {"09:00"}
    assert len(year) == 364


def test_a_hand_over_in_a_skipped_hour_happens_when_the_clock_jumps() -> None:
    assert instant(datetime(2026, 3, 29, 2, 30), BERLIN) == datetime(2026, 3, 29, 1, tzinfo=UTC)
    assert instant(datetime(2026, 3, 29, 2, 0), BERLIN) == datetime(2026, 3, 29, 1, tzinfo=UTC)


def test_a_hand_over_in_a_repeated_hour_happens_once_and_the_first_time() -> None:
    plan = schedule(layer(length=DAY, anchor=anchored(EPOCH, time(2, 30), None)))
    night = timetable(plan, [], berlin(10, 25, 1), berlin(10, 25, 6))
    assert [s.starts_at for s in night[1:]] == [datetime(2026, 10, 25, 0, 30, tzinfo=UTC)]


def test_custom_shifts_of_hours_keep_their_wall_clock_times() -> None:
    plan = schedule(layer("day", "night", length=12 * HOUR, anchor=anchored(EPOCH, time(8), None)))
    for month, day in [(1, 15), (3, 29), (7, 15), (10, 25)]:
        assert who(plan, berlin(month, day, 9)) == ["day"]
        assert who(plan, berlin(month, day, 21)) == ["night"]


def test_outside_its_hours_a_layer_leaves_a_gap() -> None:
    plan = schedule(layer("ana", windows=(hours(9, 17),)))
    day = timetable(plan, [], berlin(11, 23), berlin(11, 24))
    assert rows(day) == [("11-23 00:00", None), ("11-23 09:00", "ana"), ("11-23 17:00", None)]
    assert [(s.starts_at, s.ends_at) for s in gaps(day)] == [
        (berlin(11, 23), berlin(11, 23, 9)),
        (berlin(11, 23, 17), berlin(11, 24)),
    ]
    assert who(plan, berlin(11, 22, 12)) == []


def test_a_window_may_go_on_past_midnight() -> None:
    plan = schedule(layer("ana", windows=(hours(22, 30, frozenset({4})),)))
    assert who(plan, berlin(11, 27, 23)) == ["ana"]
    assert who(plan, berlin(11, 28, 5)) == ["ana"]
    assert who(plan, berlin(11, 28, 7)) == []


def test_later_layers_fill_the_gaps_of_earlier_ones_and_wait_elsewhere() -> None:
    plan = schedule(
        layer("ana", windows=(hours(9, 17),)),
        layer("ben", windows=(hours(8, 20),)),
        layer("cleo"),
    )
    found = timetable(plan, [], berlin(11, 23), berlin(11, 24))
    assert [(start, person, s.layer) for s, (start, person) in zip(found, rows(found), strict=True)] == [
        ("11-23 00:00", "cleo", 3),
        ("11-23 08:00", "ben", 2),
        ("11-23 09:00", "ana", 1),
        ("11-23 17:00", "ben", 2),
        ("11-23 20:00", "cleo", 3),
    ]
    assert gaps(found) == []
    assert [s.also for s in overlaps(found)] == [("cleo",), ("ben", "cleo"), ("cleo",)]


def test_layers_may_live_in_different_zones() -> None:
    plan = schedule(
        layer("berlin", windows=(hours(9, 17, frozenset(range(7))),)),
        layer("york", zone=NEW_YORK, windows=(hours(9, 17, frozenset(range(7))),)),
    )
    assert who(plan, datetime(2026, 11, 23, 9, tzinfo=UTC)) == ["berlin"]
    assert who(plan, datetime(2026, 11, 23, 17, tzinfo=UTC)) == ["york"]


def test_a_cover_holds_for_its_time_and_for_that_person_alone() -> None:
    plan = schedule(layer("ana", "ben"))
    start = berlin(11, 30, 9)
    [now] = on_call(plan, [], start)
    other = {"ana": "ben", "ben": "ana"}[str(now.person)]
    cover = Cover(other, str(now.person), start + DAY, start + 10 * DAY)
    found = timetable(plan, [cover], start, start + 2 * WEEK)
    assert [(s.person, s.covered) for s in found] == [(now.person, None), (other, now.person), (other, None)]
    assert found[1].ends_at == start + WEEK


def test_a_cover_fills_no_gap() -> None:
    plan = schedule(layer("ana", windows=(hours(9, 17),)))
    cover = Cover("ben", "ana", berlin(11, 23), berlin(11, 24))
    assert who(plan, berlin(11, 23, 8), cover) == []
    assert who(plan, berlin(11, 23, 9), cover) == ["ben"]


def test_a_cover_may_be_covered_in_turn_and_two_may_swap() -> None:
    plan = schedule(layer("ana"))
    span = (berlin(11, 23), berlin(11, 24))
    at = berlin(11, 23, 12)
    assert who(plan, at, Cover("ben", "ana", *span), Cover("cleo", "ben", *span)) == ["cleo"]
    assert who(plan, at, Cover("ben", "ana", *span), Cover("ana", "ben", *span)) == ["ben"]


def test_of_two_covers_for_the_same_time_the_later_holds_and_the_overlap_shows() -> None:
    plan = schedule(layer("ana"))
    span = (berlin(11, 23), berlin(11, 24))
    [shift] = timetable(plan, [Cover("ben", "ana", *span), Cover("cleo", "ana", *span)], *span)
    assert (shift.person, shift.covered, shift.also) == ("cleo", "ana", ("ben",))


def test_somebody_covering_stands_for_the_one_covered() -> None:
    plan = schedule(layer("ana"))
    cover = Cover("ben", "ana", berlin(11, 23), berlin(11, 24))
    assert stands_for(plan, [cover], "ben", berlin(11, 23, 12)) == "ana"
    assert stands_for(plan, [cover], "ben", berlin(11, 24, 12)) is None
    assert stands_for(plan, [cover], "cleo", berlin(11, 23, 12)) is None


def test_a_user_group_names_nobody_by_itself() -> None:
    plan = Schedule("primary", usergroup="S0614TZR7")
    assert who(plan, berlin(11, 23)) == []
    assert plan.people == ()


def test_windows_that_share_a_moment_overlap_also_across_the_week() -> None:
    assert not windows_overlap((hours(9, 12), hours(12, 17)))
    assert windows_overlap((hours(9, 13), hours(12, 17)))
    assert windows_overlap((hours(22, 30, frozenset({6})), hours(5, 8, frozenset({0}))))
    assert not windows_overlap((hours(22, 30, frozenset({6})), hours(6, 8, frozenset({0}))))
    assert not windows_overlap(())


def test_a_layer_without_gaps_leaves_nothing_to_later_ones() -> None:
    everyday = frozenset(range(7))
    assert never_ends(layer())
    assert never_ends(layer(windows=(hours(9, 33, everyday),)))
    assert never_ends(layer(windows=(hours(0, 12, everyday), hours(12, 24, everyday))))
    assert not never_ends(layer(windows=(hours(0, 24), hours(0, 23, WEEKEND))))
    assert not never_ends(layer(since_anchor=True))
