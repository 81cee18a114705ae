"""The life of a rollback, as pure functions.

A rollback is asked for, previewed by the agent, confirmed by people, claimed and applied by the agent.
It undoes one action, or those of a session, newest first, one after the other, and stops at the first
that fails. Nothing is undone twice: an action that was rolled back cannot be again. Nothing here reads
a clock or a database: each function takes `now` and the requests concerned, and returns a Step, which
names the version that it was made from.
"""

from dataclasses import replace
from datetime import datetime, timedelta

from bot.core import undo
from bot.core.errors import (
    AlreadyClaimed,
    AlreadyReviewed,
    InvalidFields,
    NotApproved,
    NotClaimed,
    NotRollbackable,
    OutcomeConflict,
    StaleReview,
    UndoRefused,
)
from bot.core.models import (
    Actor,
    Requirement,
    Review,
    RollbackState,
    Verdict,
    Via,
)
from bot.core.quorum import stricter
from bot.core.rollback_models import (
    Asked,
    Confirmation,
    Given,
    Item,
    LeftOut,
    Report,
    Rollback,
    RollbackId,
    Step,
)
from bot.core.rollback_start import UNCLAIMED, start
from bot.core.rollback_steps import (
    Requests,
    ended,
    next_version,
    replaced,
    step_of,
    summed,
    with_item,
)
from bot.core.undo_judging import Judge, blocked, required
from bot.core.undo_prospect import Chance, Prospect, prospect

__all__ = [
    "UNCLAIMED",
    "UNREPORTED",
    "Asked",
    "Chance",
    "Confirmation",
    "Given",
    "Item",
    "Judge",
    "LeftOut",
    "Prospect",
    "Report",
    "Requests",
    "Rollback",
    "RollbackId",
    "Step",
    "check_confirmable",
    "claim",
    "confirm",
    "described",
    "expire",
    "next_item",
    "outcome",
    "preview",
    "prospect",
    "report",
    "start",
    "supersede",
    "tightened",
    "work",
]

UNREPORTED = timedelta(hours=1)
"""How long a claimed step may take; then it counts as failed until its agent says otherwise."""


def outcome(
    rollback: Rollback, requests: Requests, item_id: str, told: Report, *, now: datetime
) -> Step | None:
    """Take what the agent says of a step: its preview, or what came of it; None when it said so before.

    Raises:
        NotClaimed, OutcomeConflict.
    """
    item = rollback.item(item_id)
    unseen = item.state is RollbackState.REQUESTED and told.state is not RollbackState.SUCCEEDED
    if told.state is RollbackState.PREVIEWED or item.preview == told or unseen:
        return preview(rollback, requests, item_id, told, now=now)
    return report(rollback, requests, item_id, told, now=now)


def preview(
    rollback: Rollback, requests: Requests, item_id: str, report: Report, *, now: datetime
) -> Step | None:
    """Take the agent's preview of a step; None when it was reported just so before.

    A conflict in a preview ends the rollback before anything was changed, unless a newer step of the
    same session will change that very thing first.

    Raises:
        OutcomeConflict: another preview was reported, or nothing is asked for any more.
    """
    item = rollback.item(item_id)
    if item.preview == report:
        return None
    if item.state is not RollbackState.REQUESTED or rollback.state is not RollbackState.REQUESTED:
        raise OutcomeConflict()
    tolerated = report.state is RollbackState.CONFLICT and (rollback.force or _changed_first(rollback, item))
    seen = replace(item, state=RollbackState.PREVIEWED if tolerated else report.state, preview=report)
    if seen.state is not RollbackState.PREVIEWED:
        return ended(rollback, requests, replace(seen, result=report), report, now)
    after = with_item(rollback, seen, now)
    if all(other.state is RollbackState.PREVIEWED for other in after.items):
        after = replace(after, state=RollbackState.PREVIEWED)
    after = replace(after, due_at=now + UNCLAIMED)
    agent = Actor.agent(rollback.agent)
    return step_of(after, requests, (seen,), "rollback_previewed", agent, Via.HTTP, now, report.as_json())


def confirm(rollback: Rollback, requests: Requests, given: Given, *, judge: Judge, now: datetime) -> Step:
    """Count one person's confirmation; with the last one the agent may apply the undo.

    Risk and policy are asked again: what is blocked by now stays undone.

    Raises:
        UndoRefused: it is not open for confirmation, or the policy forbids it by now.
        StaleReview, AlreadyReviewed: the confirmation cannot count.
        InvalidFields: a reason is missing.
    """
    check_confirmable(rollback, given.digest, now=now)
    if any(review.reviewer.id == given.reviewer.id for review in rollback.reviews):
        raise AlreadyReviewed()
    _check_reasons(rollback, given)
    for item in rollback.items:
        if (refusal := blocked(requests[item.request_id], judge)) is not None:
            raise UndoRefused(refusal)
    review = Review(given.reviewer, Verdict.APPROVE, rollback.digest, now, given.reason, groups=given.groups)
    after = replace(
        next_version(rollback, now),
        requirement=tightened(rollback, requests, judge=judge),
        confirmations=(*rollback.confirmations, Confirmation(review, given.force_reason)),
        due_at=now + UNCLAIMED,
    )
    if not after.missing.count:
        after = replace(after, confirmed_at=now)
    facts = {
        "digest": after.digest,
        "reason": given.reason,
        "force_reason": given.force_reason,
        "missing": after.missing.count,
    }
    actor = Actor.human(given.reviewer)
    return step_of(after, requests, after.items, "rollback_confirmed", actor, Via.SLACK, now, facts)


def tightened(rollback: Rollback, requests: Requests, *, judge: Judge) -> Requirement:
    """Who must confirm by the policies in force, never less than when the rollback was asked for."""
    chosen = [requests[item.request_id] for item in rollback.items]
    return stricter(rollback.requirement, required(chosen, rollback.items, judge))


def supersede(rollback: Rollback, requests: Requests, *, now: datetime) -> Step:
    """End an open rollback of an action that an earlier one turned out to have undone."""
    first = next(item for item in rollback.items if item.state.open)
    said = Report(RollbackState.FAILED, "An earlier rollback of this action turned out to have been applied.")
    stopped = replace(first, state=RollbackState.FAILED, result=said)
    return ended(rollback, requests, stopped, said, now, via=Via.SCHEDULER)


def check_confirmable(rollback: Rollback, digest: str, *, now: datetime) -> None:
    """Refuse a confirmation of anything but the undo that was shown, while it waits for one.

    Raises:
        UndoRefused, StaleReview.
    """
    if rollback.state is RollbackState.REQUESTED:
        raise UndoRefused("The agent has not shown yet what this would change; wait for its preview.")
    if rollback.state is not RollbackState.PREVIEWED or rollback.confirmed_at is not None:
        raise UndoRefused(f"This rollback is {described(rollback)}; your confirmation changed nothing.")
    if rollback.due_at is not None and now >= rollback.due_at:
        raise UndoRefused("This rollback has expired; start it again.")
    if digest != rollback.digest:
        raise StaleReview("This is not the undo that would be applied now; look at it again.")


def claim(rollback: Rollback, requests: Requests, item_id: str, *, now: datetime) -> Step:
    """Let the agent apply a step, once.

    Raises:
        AlreadyClaimed, NotApproved, NotRollbackable.
    """
    item = rollback.item(item_id)
    if item.state is RollbackState.CLAIMED or item.result is not None:
        raise AlreadyClaimed("This rollback was claimed before; it is applied once.")
    if not rollback.state.open:
        raise NotRollbackable(f"This rollback is {described(rollback)}.")
    if next_item(rollback) is not item:
        raise NotApproved("Nobody has confirmed this rollback, or an earlier step comes first.")
    if rollback.due_at is not None and now >= rollback.due_at:
        raise NotRollbackable("This rollback has expired; nothing may be undone any more.")
    taken = replace(item, state=RollbackState.CLAIMED)
    after = replace(with_item(rollback, taken, now), state=RollbackState.CLAIMED, due_at=now + UNREPORTED)
    agent = Actor.agent(rollback.agent)
    facts = {"digest": item.digest, "force": rollback.force}
    return step_of(after, requests, (taken,), "rollback_claimed", agent, Via.HTTP, now, facts)


def report(
    rollback: Rollback, requests: Requests, item_id: str, told: Report, *, now: datetime
) -> Step | None:
    """Record what came of a claimed step; None when it was reported just so before.

    Raises:
        NotClaimed: nothing was claimed, so nothing can have been applied.
        OutcomeConflict: something else was reported before.
    """
    item = rollback.item(item_id)
    if item.result == told and not item.unreported:
        return None
    if item.state is not RollbackState.CLAIMED and not item.unreported:
        raise NotClaimed() if item.result is None else OutcomeConflict()
    done = replace(item, state=told.state, result=told, unreported=False)
    if told.state is not RollbackState.SUCCEEDED:
        return ended(rollback, requests, done, told, now)
    after = with_item(rollback, done, now)
    if rollback.state is RollbackState.CLAIMED:
        left = next((i for i in after.items if i.state is RollbackState.PREVIEWED), None)
        after = replace(
            after,
            state=RollbackState.SUCCEEDED if left is None else RollbackState.PREVIEWED,
            due_at=None if left is None else now + UNCLAIMED,
        )
    elif len(after.items) == 1:
        after = replace(after, state=RollbackState.SUCCEEDED)
    after = replace(after, message=summed(after, None if after.session_id else told.said))
    agent = Actor.agent(rollback.agent)
    return step_of(after, requests, (done,), "action_rolled_back", agent, Via.HTTP, now, told.as_json())


def expire(rollback: Rollback, requests: Requests, *, now: datetime) -> Step | None:
    """What time does to a rollback; None when nothing is due.

    Work that nobody took expires. A step that was taken and never reported counts as failed.
    """
    if rollback.due_at is None or now < rollback.due_at or not rollback.state.open:
        return None
    silent = next((item for item in rollback.items if item.state is RollbackState.CLAIMED), None)
    if silent is not None:
        said = Report(RollbackState.FAILED, _UNREPORTED, message=_BY_HAND)
        unreported = replace(silent, state=RollbackState.FAILED, result=said, unreported=True)
        return ended(rollback, requests, unreported, said, now, via=Via.SCHEDULER)
    waiting = tuple(
        replace(item, state=RollbackState.EXPIRED, result=_EXPIRED)
        for item in rollback.items
        if item.state.open
    )
    after = rollback
    for item in waiting:
        after = replaced(after, item)
    after = replace(next_version(after, now), state=RollbackState.EXPIRED, due_at=None)
    after = replace(after, message=summed(after, _EXPIRED.summary))
    clock = Actor.system("rollbacks")
    facts = {"why": "unclaimed"}
    return step_of(after, requests, waiting, "rollback_expired", clock, Via.SCHEDULER, now, facts)


def next_item(rollback: Rollback) -> Item | None:
    """The step that may be applied now: the first that is not undone, once all is confirmed."""
    if rollback.state is not RollbackState.PREVIEWED or rollback.confirmed_at is None:
        return None
    return next((item for item in rollback.items if item.state is RollbackState.PREVIEWED), None)


def work(rollback: Rollback) -> tuple[tuple[str, Item], ...]:
    """What the agent is to do now: (`preview`, step) for each that is not shown yet, or (`apply`, step)."""
    if rollback.state is RollbackState.REQUESTED:
        return tuple(("preview", item) for item in rollback.items if item.state is RollbackState.REQUESTED)
    item = next_item(rollback)
    return () if item is None else (("apply", item),)


def described(rollback: Rollback) -> str:
    """Its state for people; a rollback of which only a part was undone is called partial everywhere."""
    if rollback.state is RollbackState.PREVIEWED and rollback.confirmed_at is not None:
        return "confirmed"
    return f"partial ({rollback.state.value})" if rollback.partial else rollback.state.value


_UNREPORTED = "The agent took this rollback and never said what came of it."
_BY_HAND = "Look at what it changes, and put right by hand what is missing."
_EXPIRED = Report(RollbackState.EXPIRED, "It was not taken in time; nothing was changed by this step.")


def _changed_first(rollback: Rollback, item: Item) -> bool:
    """Whether a newer step of the same rollback changes what this one found changed."""
    newer = rollback.items[: rollback.items.index(item)]
    return any(
        undo.share_a_target(step, mine)
        for other in newer
        for step in undo.steps(other.data)
        for mine in undo.steps(item.data)
    )


def _check_reasons(rollback: Rollback, given: Given) -> None:
    faults = {}
    if not (given.reason or "").strip():
        faults["reason"] = "Say why, for the audit."
    if rollback.force and not (given.force_reason or "").strip():
        faults["force_reason"] = "Say why what has changed since may be lost."
    if faults:
        raise InvalidFields(faults)
