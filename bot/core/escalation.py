"""The ladder: what is due when, fixed at submission.

Level 0 opens with the request; rules that act at once widen it. The group that the request
itself names comes next, then the policy's matching `after` rules in their order. A level never
opens before the one below it has ended, and the request is timed out when the last one ends.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import pairwise

from bot.core.models import (
    ApproverSet,
    LadderRule,
    Level,
    Remind,
    Ruling,
    Submission,
    Target,
    Urgency,
)


def plan(ruling: Ruling, submission: Submission, *, now: datetime) -> tuple[Level, ...]:
    """The levels of a request submitted at `now`, each starting where the one below ends.

    `after` counts from `now` and is ignored when the request brought its own timeout. Nothing
    lasts beyond the request's own `until`.
    """
    levels = [_first(ruling, now, submission.timeout or ruling.terms.level_wait)]
    if submission.escalate_to is not None:
        levels.append(_named_by_request(submission.escalate_to, levels[-1].ends_at, ruling))
    for rule in ruling.ladder:
        after = timedelta(0) if submission.timeout is not None else rule.after or timedelta(0)
        levels.append(_opened_by_rule(rule, max(levels[-1].ends_at, now + after), ruling))
    joined = _joined(levels)
    return joined if submission.until is None else _cut(joined, submission.until)


def first_reminder(level: Level, opened_at: datetime) -> datetime | None:
    """When people are reminded of a level that opened then; None when they are not."""
    return None if level.remind is None else opened_at + level.remind.every


def next_reminder(remind: Remind, sent: int, urgency: Urgency, *, now: datetime) -> datetime | None:
    """When the next reminder follows after `sent` of them; None after the last.

    Each waits twice as long as the one before, unless the agent calls it urgent.
    """
    if sent >= remind.times:
        return None
    urgent = urgency in (Urgency.HIGH, Urgency.CRITICAL)
    return now + remind.every * (1 if urgent else 2 ** min(sent, _MOST_DOUBLINGS))


def postponed(
    levels: tuple[Level, ...], level: int, *, by: timedelta, until: datetime | None
) -> tuple[Level, ...]:
    """The plan with everything after this moment moved by `by`, but never beyond `until`."""
    present = replace(levels[level], ends_at=levels[level].ends_at + by)
    later = (
        replace(above, opens_at=above.opens_at + by, ends_at=above.ends_at + by)
        for above in levels[level + 1 :]
    )
    moved = (present, *later)
    return (*levels[:level], *(moved if until is None else _cut(moved, until)))


def passed_over(levels: tuple[Level, ...], level: int, *, now: datetime) -> tuple[Level, ...]:
    """The plan without the level above `level`: the one above that is due now, or the end."""
    skipped = levels[level + 1]
    shift = now - skipped.ends_at
    later = (
        replace(above, opens_at=above.opens_at + shift, ends_at=above.ends_at + shift)
        for above in levels[level + 2 :]
    )
    return (*levels[:level], replace(levels[level], ends_at=now), *later)


def brought_forward(levels: tuple[Level, ...], level: int, *, now: datetime) -> tuple[Level, ...]:
    """The plan with the end of `level` moved to `now`, later levels keeping their lengths."""
    shift = now - levels[level].ends_at
    ended = replace(levels[level], ends_at=now)
    later = (
        replace(above, opens_at=above.opens_at + shift, ends_at=above.ends_at + shift)
        for above in levels[level + 1 :]
    )
    return (*levels[:level], ended, *later)


def entitled_by(levels: tuple[Level, ...], level: int) -> tuple[ApproverSet, ...]:
    """People whom the escalations up to `level` allow to approve, beside the requirement's own."""
    return tuple(entry for rung in levels[: level + 1] for entry in rung.entitles)


def pinged_by(rule: LadderRule) -> tuple[Target, ...]:
    """Whom a rule pings: its `notify`, or else the people it escalates to."""
    return rule.notify or (Target("slack_dm", rule.escalate_to.group or ""),)


_MOST_DOUBLINGS = 20


def _first(ruling: Ruling, now: datetime, wait: timedelta) -> Level:
    return Level(
        opens_at=now,
        ends_at=now + wait,
        entitles=_entitled(ruling.immediate),
        remind=ruling.terms.remind,
        triggers=tuple(rule.name for rule in ruling.immediate),
    )


def _named_by_request(group: str, opens_at: datetime, ruling: Ruling) -> Level:
    """It pings the group; it entitles nobody whom the policy does not already entitle."""
    return Level(
        opens_at=opens_at,
        ends_at=opens_at + ruling.terms.level_wait,
        escalate_to=group,
        notify=(Target("slack_dm", group),),
        remind=ruling.terms.remind,
    )


def _opened_by_rule(rule: LadderRule, opens_at: datetime, ruling: Ruling) -> Level:
    return Level(
        opens_at=opens_at,
        ends_at=opens_at + (rule.wait or ruling.terms.level_wait),
        rule=rule.name,
        escalate_to=rule.escalate_to.group,
        entitles=_entitled((rule,)),
        notify=pinged_by(rule),
        remind=rule.remind or ruling.terms.remind,
        during=rule.during,
    )


def _entitled(rules: Sequence[LadderRule]) -> tuple[ApproverSet, ...]:
    return tuple(replace(rule.escalate_to, seat=False) for rule in rules if rule.may_approve)


def _joined(levels: list[Level]) -> tuple[Level, ...]:
    """Close gaps: a level that opens late keeps the one below it open until then."""
    joined = [replace(below, ends_at=above.opens_at) for below, above in pairwise(levels)]
    return (*joined, levels[-1])


def _cut(levels: tuple[Level, ...], until: datetime) -> tuple[Level, ...]:
    """Only what happens before `until`; at least the first level, which then ends at once or by then."""
    first, *further = levels
    kept = (first, *(level for level in further if level.opens_at < until))
    return (*kept[:-1], replace(kept[-1], ends_at=max(first.opens_at, min(kept[-1].ends_at, until))))
