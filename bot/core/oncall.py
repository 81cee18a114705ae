"""Who is on call when: layers of rotations, covers and the gaps they leave, as pure functions.

Hand-overs happen at local wall-clock times, so a shift is an hour longer or shorter where the
clocks change; a hand-over in a skipped hour happens when the clock jumps, one in a repeated hour
the first time. The first layer that names somebody is on call and later layers fill its gaps.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

EPOCH = date(1970, 1, 5)
"""The Monday from which shifts are counted unless a layer says `start`."""

_DAY = timedelta(days=1)
_INSTANT = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Window:
    """Hours of some weekdays in which a layer names people. `ends_at` counts from the day's midnight."""

    days: frozenset[int]
    """0 for Monday to 6."""
    starts_at: timedelta
    ends_at: timedelta
    """Above `starts_at`; above 24 h for a window that goes on into the next day."""


@dataclass(frozen=True, slots=True)
class Layer:
    """One rotation: the people take turns of `length`, counted from `anchor`."""

    users: tuple[str, ...]
    zone: ZoneInfo
    anchor: datetime
    """The first hand-over, in local time without a zone."""
    length: timedelta
    """Of one turn, in local time."""
    since_anchor: bool = False
    """Whether nobody is named before the anchor, because the layer has a `start`."""
    windows: tuple[Window, ...] = ()
    """When people are named; empty for always."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """Layers in order; or the Slack user group that another product keeps current."""

    name: str
    layers: tuple[Layer, ...] = ()
    usergroup: str | None = None

    @property
    def people(self) -> tuple[str, ...]:
        """Everybody in its rotations, each once, as the file names them."""
        return tuple(dict.fromkeys(user for layer in self.layers for user in layer.users))

    @property
    def zone(self) -> ZoneInfo | None:
        """The zone of the first layer, in which people think of this schedule."""
        return self.layers[0].zone if self.layers else None


@dataclass(frozen=True, slots=True)
class Cover:
    """`by` is on call whenever `of` would have been, from `starts_at` until `ends_at`."""

    by: str
    of: str
    starts_at: datetime
    ends_at: datetime


@dataclass(frozen=True, slots=True)
class Shift:
    """A stretch in which the same holds. `person` is None in a gap."""

    starts_at: datetime
    ends_at: datetime
    person: str | None
    layer: int | None = None
    """From 1; None in a gap."""
    covered: str | None = None
    """Whose turn it would be without a cover."""
    also: tuple[str, ...] = ()
    """People whom later layers, or further covers, name for the same time."""


@dataclass(frozen=True, slots=True)
class _Turn:
    starts_at: datetime
    ends_at: datetime
    person: str
    layer: int


def anchored(first: date, handover: time, weekday: int | None) -> datetime:
    """The first hand-over from the beginning of `first` on."""
    ahead = 0 if weekday is None else (weekday - first.weekday()) % 7
    return datetime.combine(first + ahead * _DAY, handover)


def on_call(schedule: Schedule, covers: Sequence[Cover], at: datetime) -> tuple[Shift, ...]:
    """Who is on call at this moment: one shift, or none in a gap."""
    found = timetable(schedule, covers, at, at + _INSTANT)
    return tuple(shift for shift in found if shift.person is not None)


def timetable(schedule: Schedule, covers: Sequence[Cover], start: datetime, end: datetime) -> list[Shift]:
    """Everything from `start` to `end`, without a break, gaps as shifts without a person.

    Args:
        covers: In the order in which they were agreed; of two for the same time the later holds.
    """
    turns = [
        turn for number, layer in enumerate(schedule.layers, 1) for turn in _turns(layer, number, start, end)
    ]
    marks = [edge for turn in turns for edge in (turn.starts_at, turn.ends_at)]
    marks += [edge for cover in covers for edge in (cover.starts_at, cover.ends_at)]
    edges = {start, end, *(edge for edge in marks if start < edge < end)}
    shifts: list[Shift] = []
    waiting, running = sorted(turns, key=lambda turn: turn.starts_at, reverse=True), list[_Turn]()
    for left, right in pairwise(sorted(edges)):
        while waiting and waiting[-1].starts_at <= left:
            running.append(waiting.pop())
        running = sorted((turn for turn in running if turn.ends_at > left), key=lambda turn: turn.layer)
        _append(shifts, _standing(left, right, running, covers))
    return shifts


def gaps(shifts: Sequence[Shift]) -> list[Shift]:
    """Where nobody is on call."""
    return [shift for shift in shifts if shift.person is None]


def overlaps(shifts: Sequence[Shift]) -> list[Shift]:
    """Where more than one person is named, of whom only the first is on call."""
    return [shift for shift in shifts if shift.also]


def stands_for(schedule: Schedule, covers: Sequence[Cover], person: str, at: datetime) -> str | None:
    """Whom this person covers at this moment; None when they stand for themselves."""
    for shift in on_call(schedule, covers, at):
        if shift.person == person:
            return shift.covered
    return None


def instant(local: datetime, zone: ZoneInfo) -> datetime:
    """The moment of a wall-clock time: the first of two, or the jump over one that is skipped."""
    early = local.replace(tzinfo=zone).astimezone(UTC)
    if early.astimezone(zone).replace(tzinfo=None) == local:
        return early
    before, after = local.replace(tzinfo=zone, fold=1).astimezone(UTC), early
    wanted = after.astimezone(zone).utcoffset()
    while after - before > timedelta(seconds=1):
        middle = (before + (after - before) / 2).replace(microsecond=0)
        if middle.astimezone(zone).utcoffset() == wanted:
            after = middle
        else:
            before = middle
    return after


def windows_overlap(windows: Sequence[Window]) -> bool:
    """Whether two windows share a moment of the week, or one runs into itself."""
    week = 7 * _DAY
    spans = sorted(
        (day * _DAY + window.starts_at, day * _DAY + window.ends_at)
        for window in windows
        for day in window.days
    )
    if not spans:
        return False
    spans.append((spans[0][0] + week, spans[0][1] + week))
    return any(first[1] > second[0] for first, second in pairwise(spans))


def never_ends(layer: Layer) -> bool:
    """Whether a layer always names somebody, so that no later one is ever reached."""
    if layer.since_anchor:
        return False
    if not layer.windows:
        return True
    named = sum((len(w.days) * (w.ends_at - w.starts_at) for w in layer.windows), timedelta(0))
    return named >= 7 * _DAY and not windows_overlap(layer.windows)


def _turns(layer: Layer, number: int, start: datetime, end: datetime) -> Iterator[_Turn]:
    """The stretches in which a layer names somebody, those that touch `start` to `end`."""
    for opens, closes in _open(layer, start, end):
        # In a repeated hour this may be a turn that has ended, never one that is still to come.
        local = opens.astimezone(layer.zone).replace(tzinfo=None)
        turn = (local - layer.anchor) // layer.length
        while (begins := instant(layer.anchor + turn * layer.length, layer.zone)) < closes:
            ends = instant(layer.anchor + (turn + 1) * layer.length, layer.zone)
            left, right = max(begins, opens), min(ends, closes)
            if left < right and not (layer.since_anchor and turn < 0):
                yield _Turn(left, right, layer.users[turn % len(layer.users)], number)
            turn += 1


def _open(layer: Layer, start: datetime, end: datetime) -> Iterator[tuple[datetime, datetime]]:
    """The hours of the layer's windows between `start` and `end`."""
    if not layer.windows:
        yield start, end
        return
    day = start.astimezone(layer.zone).date() - 2 * _DAY
    last = end.astimezone(layer.zone).date()
    while day <= last:
        midnight = datetime.combine(day, time())
        for window in layer.windows:
            if day.weekday() in window.days:
                opens = max(instant(midnight + window.starts_at, layer.zone), start)
                closes = min(instant(midnight + window.ends_at, layer.zone), end)
                if opens < closes:
                    yield opens, closes
        day += _DAY


def _standing(left: datetime, right: datetime, running: Sequence[_Turn], covers: Sequence[Cover]) -> Shift:
    """What holds from `left` to `right`, in which nothing begins or ends."""
    if not running:
        return Shift(left, right, None)
    turn, *shadowed = running
    live = [cover for cover in covers if cover.starts_at <= left and right <= cover.ends_at]
    person, passed_over = _relieved(turn.person, live)
    others = [*passed_over, *(_relieved(later.person, live)[0] for later in shadowed)]
    also = tuple(dict.fromkeys(name for name in others if name != person))
    covered = turn.person if person != turn.person else None
    return Shift(left, right, person, turn.layer, covered, also)


def _relieved(person: str, live: Sequence[Cover]) -> tuple[str, list[str]]:
    """Who stands in for a person at last, and whom earlier covers of the same turn named."""
    seen, passed_over = {person}, list[str]()
    while True:
        offered = [cover.by for cover in live if cover.of == person]
        if not offered or offered[-1] in seen:
            return person, passed_over
        passed_over += offered[:-1]
        person = offered[-1]
        seen.add(person)


def _append(shifts: list[Shift], shift: Shift) -> None:
    """Add a shift, or make the last one longer when nothing but the time differs."""
    if shifts and replace(shift, starts_at=shifts[-1].starts_at) == replace(
        shifts[-1], ends_at=shift.ends_at
    ):
        shifts[-1] = replace(shifts[-1], ends_at=shift.ends_at)
    else:
        shifts.append(shift)
