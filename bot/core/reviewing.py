"""Verdicts: what one person's approve, reject or edit does to a request.

The first final decision wins. A verdict is bound to (request, person, digest): repeating it
changes nothing, another digest is stale. Who may give one is decided in `authority`; here the
reviewer is already known to be entitled.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from bot.core.audited import changed
from bot.core.describe import Ceremony, ceremony, target
from bot.core.digest import digest_of
from bot.core.errors import (
    AlreadyReviewed,
    AlreadySettled,
    EditRefused,
    InvalidFields,
    StaleReview,
)
from bot.core.lifecycle import (
    DECIDED_EVENTS,
    NOBODY_DECIDED,
    Judged,
    bumped,
    decided_outgoing,
    settled,
    time_out,
)
from bot.core.models import (
    MONEY_TYPES,
    Action,
    Actor,
    ApprovalRequest,
    Cause,
    Conditions,
    Digest,
    Effect,
    Event,
    Outgoing,
    Proposal,
    Requirement,
    Review,
    Reviewer,
    RiskAssessment,
    SlackId,
    Status,
    Transition,
    Verdict,
    Via,
)
from bot.core.quorum import live_approvals, missing, stricter


@dataclass(frozen=True, slots=True)
class Given:
    """A verdict as it was given, before it is a review."""

    reviewer: Reviewer
    digest: Digest
    groups: tuple[str, ...] = ()
    stands_for: tuple[SlackId, ...] = ()
    """People whose on-call shift the reviewer covers."""
    reason: str | None = None
    target: str | None = None
    """What the reviewer typed to confirm a critical action."""
    conditions: Conditions | None = None


def approve(request: ApprovalRequest, given: Given, *, now: datetime) -> Transition:
    """Add an approval; settle the request once its requirement is met.

    From the deadline on the request times out instead, and the returned transition says so.

    Raises:
        AlreadySettled, StaleReview, AlreadyReviewed: the verdict cannot count.
        InvalidFields: a critical action without reason or typed target, or an impossible window.
    """
    if (late := _overdue(request, given, now)) is not None:
        return late
    _check_ceremony(request.current_action, request.current_risk, given)
    _check_window(given.conditions, now)
    reviewed = _with_review(request, _review(given, Verdict.APPROVE, given.digest, now), now)
    return _concluded(request, reviewed, given, now)


def reject(request: ApprovalRequest, given: Given, *, now: datetime) -> Transition:
    """Settle the request as rejected; one rejection is enough. It replaces the person's approval.

    Raises:
        AlreadySettled, StaleReview: the verdict cannot count.
        InvalidFields: no reason was given.
    """
    if (late := _overdue(request, given, now)) is not None:
        return late
    if not (given.reason or "").strip():
        raise InvalidFields({"reason": "Say why, so that the agent and its owner can do better."})
    mine = [replace(r, voided=True) if r.reviewer.id == given.reviewer.id else r for r in request.reviews]
    review = _review(given, Verdict.REJECT, given.digest, now)
    reviewed = bumped(request, now, reviews=(*mine, review))
    return _settled(request, reviewed, Status.REJECTED, (given.reviewer,), given, now)


def modify(request: ApprovalRequest, given: Given, edited: Judged, *, now: datetime) -> Transition:
    """Put the edited action in the place of the present one, and count it if its author may approve it.

    An edit that changes nothing is an approval. Approvals of other digests are voided, the
    stricter requirement applies, and the preview no longer does.

    Raises:
        AlreadySettled, StaleReview, AlreadyReviewed: the verdict cannot count.
        EditRefused: the policy rejects the edited action.
        InvalidFields: as for an approval.
    """
    digest = digest_of(edited.action)
    if digest == request.current_digest:
        return approve(request, given, now=now)
    if (late := _overdue(request, given, now)) is not None:
        return late
    _refuse_dangerous(edited)
    counts = may_approve_own_edit(request, edited)
    if counts:
        _check_ceremony(edited.action, edited.risk, given)
    _check_window(given.conditions, now)
    review = replace(_review(given, Verdict.MODIFY, digest, now), counts=counts)
    proposal = Proposal(
        params=edited.action.params,
        digest=digest,
        risk=edited.risk,
        policy=edited.ruling.policy,
        requirement=_accumulated(request, edited),
        by=given.reviewer,
    )
    voided = tuple(_voided(r, digest) for r in request.reviews)
    reviewed = bumped(request, now, proposal=proposal, reviews=(*voided, review))
    told = _tell_voided(request, reviewed, given.reviewer)
    step = _concluded(request, reviewed, given, now)
    return replace(step, outbox=(*step.outbox, *told))


def may_approve_own_edit(request: ApprovalRequest, edited: Judged) -> bool:
    """Whether an edit counts as its author's approval: no riskier than submitted, no money, no deployment."""
    kind = request.action.type
    return (
        edited.risk.level <= request.risk.level
        and edited.risk.score <= request.risk.score
        and kind != "deployment"
        and kind not in MONEY_TYPES
    )


def _overdue(request: ApprovalRequest, given: Given, now: datetime) -> Transition | None:
    """Refuse what cannot count; a click after the deadline ends the request as the clock would."""
    if request.status is not Status.PENDING:
        raise AlreadySettled(request=request)
    if request.deadline_at is not None and now >= request.deadline_at:
        return time_out(request, cause=Cause.TIMEOUT, reason=NOBODY_DECIDED, now=now)
    check_fresh(request, given.digest)
    return None


def check_fresh(request: ApprovalRequest, digest: Digest) -> None:
    """Refuse a verdict on anything but the present action.

    Raises:
        StaleReview: the action has been edited since.
    """
    if digest != request.current_digest:
        raise StaleReview(request=request)


def _check_ceremony(action: Action, risk: RiskAssessment, given: Given) -> None:
    """A critical action needs a reason, and its own target typed: that of what would run."""
    if ceremony(risk.level) is not Ceremony.TYPED:
        return
    faults = {}
    if not (given.reason or "").strip():
        faults["reason"] = "A critical action needs a reason."
    expected = target(action)
    if (given.target or "").strip() != expected:
        faults["target"] = f"Type exactly: {expected}"
    if faults:
        raise InvalidFields(faults)


def _check_window(conditions: Conditions | None, now: datetime) -> None:
    if conditions is None or conditions.not_after is None:
        return
    if conditions.not_after <= now:
        raise InvalidFields({"not_after": "This time has passed; choose a later one."})
    if conditions.not_before is not None and conditions.not_after <= conditions.not_before:
        raise InvalidFields({"not_after": "Choose a time after the earliest one."})


def _review(given: Given, verdict: Verdict, digest: Digest, now: datetime) -> Review:
    return Review(
        reviewer=given.reviewer,
        verdict=verdict,
        digest=digest,
        at=now,
        reason=given.reason,
        conditions=given.conditions,
        groups=given.groups,
        stands_for=given.stands_for,
    )


def _with_review(request: ApprovalRequest, review: Review, now: datetime) -> ApprovalRequest:
    for earlier in request.reviews:
        same = earlier.reviewer.id == review.reviewer.id and earlier.digest == review.digest
        if same and not earlier.voided:
            raise AlreadyReviewed(None if earlier.counts else "Somebody else must agree to your edit.")
    return bumped(request, now, reviews=(*request.reviews, review))


def _voided(review: Review, digest: Digest) -> Review:
    return review if review.digest == digest else replace(review, voided=True)


def _refuse_dangerous(edited: Judged) -> None:
    ruling = edited.ruling
    if ruling.never_approve or ruling.policy.effect is Effect.REJECT:
        raise EditRefused(f"The policy does not allow the action as edited: {ruling.policy.explanation}")


def _accumulated(request: ApprovalRequest, edited: Judged) -> Requirement:
    present = request.current_requirement
    assert present is not None, "a pending request has a requirement"
    wanted = edited.ruling.requirement
    return present if wanted is None else stricter(present, wanted)


def _concluded(before: ApprovalRequest, reviewed: ApprovalRequest, given: Given, now: datetime) -> Transition:
    """Settle when nothing is missing, else just record the review."""
    requirement = reviewed.current_requirement
    assert requirement is not None, "a pending request has a requirement"
    digest = reviewed.current_digest
    if missing(requirement, reviewed.reviews, digest).count > 0:
        return Transition(reviewed, (_recorded(before, reviewed, given),), now)
    approvals = live_approvals(reviewed.reviews, digest)
    status = Status.APPROVED if digest == reviewed.digest else Status.MODIFIED
    return _settled(before, reviewed, status, [r.reviewer for r in approvals], given, now)


def _settled(
    before: ApprovalRequest,
    reviewed: ApprovalRequest,
    status: Status,
    by: Sequence[Reviewer],
    given: Given,
    now: datetime,
) -> Transition:
    live = live_approvals(reviewed.reviews, reviewed.current_digest) if status.runnable else ()
    after = settled(
        reviewed,
        status,
        Cause.HUMAN,
        reason=given.reason if not status.runnable else _joined(r.reason for r in live),
        now=now,
        by=by,
        conditions=merged(tuple(r.conditions for r in live if r.conditions is not None)),
    )
    after = replace(after, version=reviewed.version)  # the review and what it settles are one change
    decided = changed(DECIDED_EVENTS[status], reviewed, after, _actor(given), Via.SLACK)
    return Transition(after, (_recorded(before, reviewed, given), decided), now, decided_outgoing(after))


def merged(conditions: Sequence[Conditions]) -> Conditions | None:
    """All approvers' conditions at once: every text, the latest start, the earliest end."""
    if not conditions:
        return None
    starts = [c.not_before for c in conditions if c.not_before is not None]
    ends = [c.not_after for c in conditions if c.not_after is not None]
    return Conditions(
        text=_joined(c.text for c in conditions),
        not_before=max(starts, default=None),
        not_after=min(ends, default=None),
    )


def _joined(texts: Iterable[str | None]) -> str | None:
    return "\n".join(text for text in texts if text) or None


def _recorded(before: ApprovalRequest, reviewed: ApprovalRequest, given: Given) -> Event:
    return changed(
        "review_recorded",
        before,
        reviewed,
        _actor(given),
        Via.SLACK,
        verdict=reviewed.reviews[-1].verdict.value,
        voided=_newly_voided(before, reviewed),
    )


def _newly_voided(before: ApprovalRequest, reviewed: ApprovalRequest) -> list[SlackId]:
    """Whose reviews the last one voided, in their order."""
    pairs = zip(before.reviews, reviewed.reviews, strict=False)  # the new one comes last
    return [after.reviewer.id for earlier, after in pairs if after.voided and not earlier.voided]


def _actor(given: Given) -> Actor:
    return Actor.human(given.reviewer)


def _tell_voided(
    before: ApprovalRequest, reviewed: ApprovalRequest, author: Reviewer
) -> tuple[Outgoing, ...]:
    """A private word to everybody else whose approval the edit took away."""
    people = dict.fromkeys(id for id in _newly_voided(before, reviewed) if id != author.id)
    return tuple(
        Outgoing(
            kind="slack.dm",
            payload={"user": person, "why": "approval_voided", "by": author.name},
            order=f"dm:{person}",
            request_id=reviewed.id,
        )
        for person in people
    )
