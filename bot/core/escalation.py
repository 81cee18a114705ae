"""The ladder: what is due when, fixed at submission.

Level 0 opens with the request. The group that the request itself names comes next, then the
policy's matching `after` rules in their order. A level never opens before the one below it
has ended, and the request is timed out when the last one ends.
"""

from dataclasses import replace
from datetime import datetime, timedelta
from itertools import pairwise

from bot.core.models import ApproverSet, LadderRule, Level, Ruling, Submission, Target


def plan(ruling: Ruling, submission: Submission, *, now: datetime) -> tuple[Level, ...]:
    """The levels of a request submitted at `now`, each starting where the one below ends.

    `after` counts from `now` and is ignored when the request brought its own timeout. Nothing
    lasts beyond the request's own `until`.
    """
    first = Level(opens_at=now, ends_at=now + (submission.timeout or ruling.level_wait))
    levels = [first]
    if submission.escalate_to is not None:
        levels.append(_named_by_request(submission.escalate_to, levels[-1].ends_at, ruling.level_wait))
    for rule in ruling.ladder:
        after = timedelta(0) if submission.timeout is not None else rule.after
        levels.append(_opened_by_rule(rule, max(levels[-1].ends_at, now + after), ruling.level_wait))
    joined = _joined(levels)
    return joined if submission.until is None else _cut(joined, submission.until)


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
    return tuple(entry for rung in levels[1 : level + 1] for entry in rung.entitles)


def _named_by_request(group: str, opens_at: datetime, wait: timedelta) -> Level:
    """It pings the group; it entitles nobody whom the policy does not already entitle."""
    return Level(
        opens_at=opens_at,
        ends_at=opens_at + wait,
        escalate_to=group,
        notify=(Target("slack_dm", group),),
    )


def _opened_by_rule(rule: LadderRule, opens_at: datetime, wait: timedelta) -> Level:
    entitled = (replace(rule.escalate_to, seat=False),) if rule.may_approve else ()
    return Level(
        opens_at=opens_at,
        ends_at=opens_at + (rule.wait or wait),
        rule=rule.name,
        escalate_to=rule.escalate_to.group,
        entitles=entitled,
        notify=rule.notify,
    )


def _joined(levels: list[Level]) -> tuple[Level, ...]:
    """Close gaps: a level that opens late keeps the one below it open until then."""
    joined = [replace(below, ends_at=above.opens_at) for below, above in pairwise(levels)]
    return (*joined, levels[-1])


def _cut(levels: tuple[Level, ...], until: datetime) -> tuple[Level, ...]:
    """Only what happens before `until`; at least the first level, which then ends at once or by then."""
    first, *further = levels
    kept = (first, *(level for level in further if level.opens_at < until))
    return (*kept[:-1], replace(kept[-1], ends_at=max(first.opens_at, min(kept[-1].ends_at, until))))
