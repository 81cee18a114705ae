"""What follows a decision: the claim that consumes it, and the outcome the agent reports.

Decided is not executed. A claim is granted once, for exactly the digest that was approved,
inside the window the approvers set; everything else is refused, in a fixed order, so that the
agent learns the first reason why.
"""

from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import Any

from bot.core.audited import changed, noted
from bot.core.digest import digest_of
from bot.core.errors import (
    AlreadyClaimed,
    ApprovalExpired,
    Conflict,
    DigestMismatch,
    NotApproved,
    NotClaimed,
    OutcomeConflict,
    OutsideWindow,
    Paused,
    PreviewChanged,
)
from bot.core.lifecycle import bumped
from bot.core.models import (
    Action,
    Actor,
    ApprovalRequest,
    Event,
    Execution,
    ExecutionState,
    JsonObject,
    PolicyDecision,
    Transition,
    Via,
)
from bot.core.times import rfc3339
from bot.core.undo import undo_digest


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the agent says became of the action; the fields of the wire, as they were sent."""

    success: bool
    message: str | None = None
    error: str | None = None
    duration_ms: int | Decimal | None = None
    output: Any = None
    rollback: Any = None

    def as_json(self) -> JsonObject:
        """The report without what was not given."""
        fields = {name: getattr(self, name) for name in self.__slots__}
        return {name: value for name, value in fields.items() if value is not None}


def claim(
    request: ApprovalRequest,
    *,
    digest: str,
    preview_digest: str | None,
    now: datetime,
    paused: str | None = None,
) -> Transition:
    """Consume the approval. The agent may run `decision.params`, once.

    Args:
        paused: Why nothing of this agent or this type may run; None when it may.

    Raises:
        AlreadyClaimed, NotApproved, DigestMismatch, Paused, ApprovalExpired, OutsideWindow,
            PreviewChanged: in this order.
    """
    refused = why_not(request, digest=digest, preview_digest=preview_digest, now=now, paused=paused)
    if refused is not None:
        raise refused
    after = bumped(request, now, execution=Execution(ExecutionState.CLAIMED, claimed_at=now))
    event = changed("action_claimed", request, after, Actor.agent(request.agent), Via.HTTP)
    return Transition(after, (event,), now)


def why_not(
    request: ApprovalRequest,
    *,
    digest: str,
    preview_digest: str | None,
    now: datetime,
    paused: str | None = None,
) -> Conflict | None:
    """The first reason to refuse a claim, or None."""
    decision = request.decision
    if request.execution.state is not ExecutionState.NOT_STARTED:
        return AlreadyClaimed()
    if decision is None or decision.expires_at is None:
        return NotApproved(f"The request is {request.status.value}; nothing may run.")
    if digest != decision.digest:
        return DigestMismatch(f"{digest} is not what was approved; approved was {decision.digest}.")
    if digest_of(Action(request.action.type, decision.params or {})) != decision.digest:
        return DigestMismatch("What is stored is not what was approved: somebody changed the database.")
    if paused is not None:
        return Paused(f"{paused}. Nothing runs until an operator resumes it.")
    if now >= decision.expires_at:
        return ApprovalExpired(f"The approval expired at {rfc3339(decision.expires_at)}; ask again.")
    opens = None if decision.conditions is None else decision.conditions.not_before
    if opens is not None and now < opens:
        return OutsideWindow(f"The approver allowed this only from {rfc3339(opens)} on.")
    if decision.preview_digest is not None and preview_digest != decision.preview_digest:
        return PreviewChanged()
    return None


def claim_refused(request: ApprovalRequest, refusal: Conflict) -> Event:
    """The audit's note of a claim that was not granted."""
    return noted("claim_refused", request, Actor.agent(request.agent), Via.HTTP, code=refusal.code)


def report(request: ApprovalRequest, outcome: Outcome, *, now: datetime) -> Transition | None:
    """Record what became of a claimed action; None when the same was reported before.

    Raises:
        NotClaimed: nothing was claimed, so nothing can have run.
        OutcomeConflict: another outcome was reported before.
    """
    state = request.execution.state
    if state is ExecutionState.NOT_STARTED:
        raise NotClaimed()
    told = outcome.as_json()
    if state is not ExecutionState.CLAIMED:
        if request.execution.outcome == told:
            return None
        raise OutcomeConflict()
    after = bumped(request, now, execution=_finished(request, outcome, told, now))
    event = changed(
        "action_executed" if outcome.success else "action_failed",
        request,
        after,
        Actor.agent(request.agent),
        Via.HTTP,
        message=outcome.message,
        duration_ms=None if outcome.duration_ms is None else str(outcome.duration_ms),
        reversible=after.execution.rollback_until is not None,
    )
    return Transition(after, (event,), now)


def _finished(request: ApprovalRequest, outcome: Outcome, told: JsonObject, now: datetime) -> Execution:
    execution = replace(
        request.execution,
        state=ExecutionState.SUCCEEDED if outcome.success else ExecutionState.FAILED,
        finished_at=now,
        success=outcome.success,
        error=outcome.error,
        outcome=told,
    )
    data = outcome.rollback if outcome.rollback is not None else request.submission.rollback
    if not outcome.success or data is None:
        return execution
    until = now + _policy_of(request).rollback_until
    return replace(execution, rollback_until=until, rollback_digest=undo_digest(data))


def _policy_of(request: ApprovalRequest) -> PolicyDecision:
    """What the policy said of the action that ran: of the edit, if there was one."""
    return request.policy if request.proposal is None else request.proposal.policy
