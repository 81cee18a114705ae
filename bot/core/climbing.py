"""What waiting does to a pending request, as pure functions: levels, reminders, the end.

Nobody is waited for who cannot come: a level that reaches nobody, or whose people cannot fill
the quorum, gives way to the next at once. A delivery failure alone never ends a request.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from bot.core import escalation
from bot.core.audited import changed, noted
from bot.core.lifecycle import (
    LADDER,
    NOBODY_DECIDED,
    NOBODY_MAY_DECIDE,
    bumped,
    callback,
    time_out,
)
from bot.core.models import (
    Acknowledgement,
    Actor,
    ApprovalRequest,
    Cause,
    Event,
    JsonObject,
    Level,
    Outgoing,
    Reviewer,
    Status,
    Target,
    Transition,
    Via,
)
from bot.core.notifying import Members, asked, knocks, misses, note, recipient, unreachable_alert
from bot.core.times import rfc3339


@dataclass(frozen=True, slots=True)
class Summons:
    """What was found out about those whom the next level asks."""

    members: Members = field(default_factory=dict)
    """Slack ids behind each name that it pings (`notifying.looked_up`), in the order of asking."""
    opening: Mapping[str, datetime] = field(default_factory=dict)
    """When its recipients' business hours begin; those not in it are always within theirs."""
    resting: tuple[str, ...] = ()
    """People who did not want to be disturbed, so that others were asked first."""
    admin: str | None = None
    """The channel that hears of whom cannot be reached; None when the workspace has none."""


NOBODY = Summons()

_PUNCTUAL = timedelta(seconds=1)
"""A step that is no later than this is on time."""

_SOON = timedelta(minutes=1)
"""A delivery that is tried again within this may still reach somebody; for a later one nobody waits."""


def advance(request: ApprovalRequest, *, summons: Summons = NOBODY, now: datetime) -> Transition | None:
    """What time does to a pending request: a reminder, the next level, or the end.

    None when nothing is due. One step at a time: the caller asks again until None.
    """
    due = request.next_deadline_at
    if due is None or now < due:
        return None
    if now < request.plan[request.level].ends_at:
        return _reminded(request, now)
    late = _lateness(request.plan[request.level].ends_at, now)
    if request.level + 1 == len(request.plan):
        return time_out(request, cause=Cause.TIMEOUT, reason=NOBODY_DECIDED, now=now)
    return _open_within_hours(request, summons, now, "deadline", late)


def ended(request: ApprovalRequest, *, now: datetime) -> Transition | None:
    """The end of a request whose last level is over, whatever was still to come; None before that."""
    if now < request.plan[-1].ends_at:
        return None
    return time_out(request, cause=Cause.TIMEOUT, reason=NOBODY_DECIDED, now=now)


def nobody_may_approve(
    request: ApprovalRequest, *, summons: Summons = NOBODY, now: datetime, admin: str | None = None
) -> Transition:
    """The approvers cannot fill the quorum: the next level opens at once, or the request ends.

    `escalation_unreachable` records it before anything else. Business hours wait for nobody here:
    until somebody else is asked, no one at all could decide.

    Args:
        admin: The channel that is told; None when the workspace has none.
    """
    loud = _unreachable(request, "no_approver")
    if request.level + 1 < len(request.plan):
        step = open_next(request, summons=replace(summons, opening={}), now=now, why="no_approver")
    else:
        step = time_out(request, cause=Cause.NO_APPROVER, reason=NOBODY_MAY_DECIDE, now=now)
    return replace(
        step, events=(loud, *step.events), outbox=(*_alert(request, "no_approver", admin), *step.outbox)
    )


def nobody_reached(
    request: ApprovalRequest, *, summons: Summons = NOBODY, now: datetime, admin: str | None = None
) -> Transition:
    """Nobody whom the level entitles was reached: the next one opens at once.

    On the last level nothing changes but that it is loud: whoever opens the queue may still decide.
    """
    loud = _unreachable(request, "nobody_reached")
    alert = _alert(request, "nobody_reached", admin)
    if request.level + 1 == len(request.plan):
        return Transition(bumped(request, now), (loud,), now, alert)
    step = _open_within_hours(request, summons, now, "nobody_reached")
    return replace(step, events=(loud, *step.events), outbox=(*alert, *step.outbox))


def open_next(
    request: ApprovalRequest,
    *,
    summons: Summons = NOBODY,
    now: datetime,
    why: str,
    by: Reviewer | None = None,
    late: timedelta = timedelta(0),
) -> Transition:
    """Open the next level now, whatever its time; later ones keep their lengths.

    Whoever is outside of their business hours is left out and recorded so, unless a person asks for
    the level: then everybody is asked.

    Args:
        why: `deadline`, `no_approver`, `nobody_reached` or `escalated_by_hand`.
        by: Who asked for it, if a person did.
    """
    plan = request.plan
    if now < plan[request.level].ends_at:
        plan = escalation.brought_forward(plan, request.level, now=now)
    level = plan[request.level + 1]
    watch = replace(request.watch, reminded=0, remind_at=escalation.first_reminder(level, now), late=late)
    after = bumped(request, now, level=request.level + 1, plan=plan, watch=watch)
    carded = _carded(request, level.notify)
    targets = [target for target in level.notify if target.kind != "slack" or target.address not in carded]
    everybody = knocks(after, targets, summons.members)
    opening = {} if by is not None else summons.opening
    work = [knock for knock in everybody if opening.get(recipient(knock.payload), now) <= now]
    resting = [knock for knock in everybody if knock not in work]
    notes = [{"kind": "slack.note", "to": channel, "counts": True} for channel in carded]
    event = changed(
        "escalation_triggered",
        request,
        after,
        LADDER if by is None else Actor.human(by),
        Via.SCHEDULER if by is None else Via.SLACK,
        **_hop(level),
        level=after.level,
        asked=[*asked(after, work), *notes],
        why=why,
        resting=list(summons.resting),
        late_seconds=int(late.total_seconds()),
    )
    missed = misses(after, targets, summons.members)
    left_out = [_left_out(after, knock, opening[recipient(knock.payload)]) for knock in resting]
    alerts = [alert for miss in missed for alert in unreachable_alert(after.id, miss.body, summons.admin)]
    outbox = (*work, *_told(after, carded, why, by), *alerts)
    return Transition(after, (event, *missed, *left_out), now, outbox)


def _hop(level: Level) -> dict[str, Any]:
    return {
        "rule": level.rule,
        "escalate_to": level.escalate_to,
        "targets": [f"{target.kind}:{target.address}" for target in level.notify],
    }


def acknowledge(request: ApprovalRequest, by: Reviewer, *, now: datetime) -> Transition | None:
    """Somebody who may decide is on it: everything still to come moves by `ack_for`.

    None when this person has said so before.
    """
    watch = request.watch
    if any(ack.by.id == by.id for ack in watch.acks):
        return None
    plan = escalation.postponed(request.plan, request.level, by=watch.ack_for, until=request.submission.until)
    remind_at = None if watch.remind_at is None else watch.remind_at + watch.ack_for
    taken = replace(watch, acks=(*watch.acks, Acknowledgement(by, now)), remind_at=remind_at)
    after = bumped(request, now, plan=plan, watch=taken)
    event = changed(
        "action_acknowledged",
        request,
        after,
        Actor.human(by),
        Via.SLACK,
        ack_for_seconds=int(watch.ack_for.total_seconds()),
    )
    return Transition(after, (event,), now)


def unreached(request: ApprovalRequest, events: Iterable[tuple[str, JsonObject]]) -> bool:
    """Whether nobody who counts was, or still may be, reached at the present level.

    A try that failed and comes again soon may still reach them; one that comes much later is not
    waited for.

    Args:
        events: Name and body of the request's events, oldest first.
    """
    waiting: dict[tuple[str, str], bool] = {}
    if request.level == 0 and request.channel is not None:
        waiting["slack.post", request.channel] = True
    for name, body in events:
        if body.get("level") != request.level:
            continue
        if name == "escalation_triggered":
            waiting |= {(a["kind"], a["to"]): True for a in body.get("asked", ()) if a["counts"]}
        elif name == "notification_failed" and not waits(body):
            waiting.pop((str(body.get("kind")), str(body.get("to"))), None)
        elif name == "escalation_unreachable":
            return False
    return not waiting


def waits(failure: JsonObject) -> bool:
    """Whether a level waits for the next try of a delivery that failed.

    Args:
        failure: The body of its `notification_failed`.
    """
    again = failure.get("again_in_seconds")
    return again is not None and timedelta(seconds=float(again)) <= _SOON


def asks_nobody(step: Transition) -> bool:
    """Whether a level was opened by this that asks nobody who counts, so that the next one is due at once."""
    request = step.request
    hops = [event.body for event in step.events if event.name == "escalation_triggered"]
    if request.status is not Status.PENDING or not (hops or request.version == 1):
        return False
    if request.level == 0 and request.channel is not None:
        return False
    return not any(asked["counts"] for hop in hops for asked in hop["asked"])


def knock_of(kind: str, payload: JsonObject) -> dict[str, Any]:
    """Which knock a piece of work is, as events name it: `asked` wrote the same."""
    return {"kind": kind, "to": recipient(payload), "level": payload.get("level")}


def _open_within_hours(
    request: ApprovalRequest, summons: Summons, now: datetime, why: str, late: timedelta = timedelta(0)
) -> Transition:
    """The next level; or, when it is nobody's business hours, the plan with it held or passed over."""
    hours = request.plan[request.level + 1].during
    first = min(summons.opening.values(), default=now)
    if hours is None or first <= now:
        return open_next(request, summons=summons, now=now, why=why, late=late)
    if hours.hold:
        wait = first - request.plan[request.level].ends_at
        plan = escalation.postponed(request.plan, request.level, by=wait, until=request.submission.until)
    else:
        plan = escalation.passed_over(request.plan, request.level, now=now)
    after = bumped(request, now, plan=plan)
    event = changed(
        "notification_failed",
        request,
        after,
        LADDER,
        Via.SCHEDULER,
        kind="level",
        rule=request.plan[request.level + 1].rule,
        code="outside_hours",
        hours=hours.name,
        held_until=rfc3339(first) if hours.hold else None,
    )
    return Transition(after, (event,), now)


def _reminded(request: ApprovalRequest, now: datetime) -> Transition:
    level, watch = request.plan[request.level], request.watch
    assert level.remind is not None, "only a level with reminders has a time for one"
    sent = watch.reminded + 1
    coming = escalation.next_reminder(level.remind, sent, request.submission.urgency, now=now)
    if coming is not None and coming >= level.ends_at:
        coming = None
    after = bumped(request, now, watch=replace(watch, reminded=sent, remind_at=coming))
    following = None if coming is None else rfc3339(coming)
    event = changed(
        "reminder_sent",
        request,
        after,
        LADDER,
        Via.SCHEDULER,
        level=after.level,
        number=sent,
        next_at=following,
    )
    work = Outgoing(
        kind="slack.remind",
        payload={"number": sent, "next_at": following, "at_level": after.level},
        order=f"remind:{after.id}",
        request_id=after.id,
    )
    return Transition(after, (event,), now, (work,))


def _told(
    after: ApprovalRequest, carded: Sequence[str], why: str, by: Reviewer | None
) -> tuple[Outgoing, ...]:
    """The notes under the first card and under those of the channels that are asked again; the callback."""
    told: list[Outgoing] = []
    channels = dict.fromkeys([*([after.channel] if after.channel else []), *carded])
    for channel in channels:
        who = None if by is None else by.name
        told.append(note(after, "escalated", broadcast=True, channel=channel, cause=why, by=who))
    if after.submission.callback_url is not None:
        told.append(callback(after, "request.escalated"))
    return tuple(told)


def _carded(request: ApprovalRequest, targets: Sequence[Target]) -> list[str]:
    """Channels among the targets in which a card stands already: a note under it is enough."""
    earlier = (target for rung in request.plan[1 : request.level + 1] for target in rung.notify)
    known = {request.channel, *(target.address for target in earlier if target.kind == "slack")}
    return [target.address for target in targets if target.kind == "slack" and target.address in known]


def _left_out(request: ApprovalRequest, knock: Outgoing, opens_at: datetime) -> Event:
    """Somebody is not asked by a level, because it is outside of their business hours."""
    return noted(
        "notification_failed",
        request,
        LADDER,
        Via.SCHEDULER,
        **knock_of(knock.kind, knock.payload),
        code="outside_hours",
        opens_at=rfc3339(opens_at),
    )


def _unreachable(request: ApprovalRequest, why: str) -> Event:
    return noted("escalation_unreachable", request, LADDER, Via.SCHEDULER, level=request.level, why=why)


def _alert(request: ApprovalRequest, why: str, admin: str | None) -> tuple[Outgoing, ...]:
    if admin is None:
        return ()
    work = Outgoing(
        kind="slack.alert",
        payload={"channel": admin, "why": why, "at_level": request.level},
        order=f"channel:{admin}",
        request_id=request.id,
    )
    return (work,)


def _lateness(due: datetime, now: datetime) -> timedelta:
    return now - due if now - due > _PUNCTUAL else timedelta(0)
