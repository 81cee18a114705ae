"""What the audit keeps of a request, and the events that carry its changes.

An event that changes a request says which audited fields it changed, before and after.
Folding the `after` maps of a request's events gives its audited state again (`replay`),
so the log proves the table. Params appear only by digest.
"""

from typing import Any

from bot.core.models import (
    Actor,
    ApprovalRequest,
    Conditions,
    Event,
    Requirement,
    Review,
    Via,
)
from bot.core.times import optional_rfc3339, rfc3339


def audited_state(request: ApprovalRequest) -> dict[str, Any]:
    """The audited projection: text, whole numbers, booleans, None, lists and maps only."""
    return {
        "status": request.status.value,
        "cause": None if request.cause is None else request.cause.value,
        "level": request.level,
        "version": request.version,
        "digest": request.digest,
        "current_digest": request.current_digest,
        "requirement": _requirement(request.current_requirement),
        "reviews": [_review(r) for r in request.reviews],
        "proposed_by": None if request.proposal is None else request.proposal.by.id,
        "decision": _decision(request),
        "execution": _execution(request),
        "messages": len(request.messages),
        "next_deadline_at": optional_rfc3339(request.next_deadline_at),
        "deadline_at": optional_rfc3339(request.deadline_at),
    }


def created(request: ApprovalRequest, actor: Actor, via: Via, **facts: Any) -> Event:
    """The event that brings a request into being, with its whole audited state as `after`."""
    body = {"before": None, "after": audited_state(request), **facts}
    return _event("action_requested", request, actor, via, body)


def changed(
    name: str, before: ApprovalRequest, after: ApprovalRequest, actor: Actor, via: Via, **facts: Any
) -> Event:
    """The event `name` that made `after` out of `before`."""
    old, new = audited_state(before), audited_state(after)
    fields = [key for key in new if new[key] != old[key]]
    body = {
        "before": {key: old[key] for key in fields},
        "after": {key: new[key] for key in fields},
        **facts,
    }
    return _event(name, after, actor, via, body)


def noted(name: str, request: ApprovalRequest, actor: Actor, via: Via, **facts: Any) -> Event:
    """An event about a request that changed nothing of it."""
    return _event(name, request, actor, via, facts)


def conditions_state(conditions: Conditions | None) -> dict[str, Any] | None:
    """Conditions as the audit and the wire show them."""
    if conditions is None:
        return None
    return {
        "text": conditions.text,
        "not_before": optional_rfc3339(conditions.not_before),
        "not_after": optional_rfc3339(conditions.not_after),
    }


def _event(name: str, request: ApprovalRequest, actor: Actor, via: Via, body: dict[str, Any]) -> Event:
    return Event(
        name=name,
        actor=actor,
        via=via,
        body=body,
        agent=request.agent,
        request_id=request.id,
        session_id=request.submission.session_id,
    )


def _requirement(requirement: Requirement | None) -> dict[str, Any] | None:
    if requirement is None:
        return None
    return {
        "quorum": requirement.quorum,
        "one_from_each": requirement.one_from_each,
        "approvers": [
            {"group": a.group, "source": a.source, "users": None if a.users is None else list(a.users)}
            for a in requirement.approvers
        ],
    }


def _review(review: Review) -> dict[str, Any]:
    return {
        "reviewer": review.reviewer.id,
        "verdict": review.verdict.value,
        "digest": review.digest,
        "reason": review.reason,
        "conditions": conditions_state(review.conditions),
        "groups": list(review.groups),
        "stands_for": list(review.stands_for),
        "voided": review.voided,
        "counts": review.counts,
        "at": rfc3339(review.at),
    }


def _decision(request: ApprovalRequest) -> dict[str, Any] | None:
    decision = request.decision
    if decision is None:
        return None
    return {
        "status": decision.status.value,
        "by": [r.id for r in decision.by],
        "reason": decision.reason,
        "conditions": conditions_state(decision.conditions),
        "digest": decision.digest,
        "preview_digest": decision.preview_digest,
        "decided_at": rfc3339(decision.decided_at),
        "expires_at": optional_rfc3339(decision.expires_at),
    }


def _execution(request: ApprovalRequest) -> dict[str, Any]:
    execution = request.execution
    return {
        "state": execution.state.value,
        "claimed_at": optional_rfc3339(execution.claimed_at),
        "finished_at": optional_rfc3339(execution.finished_at),
        "success": execution.success,
        "error": execution.error,
        "rollback_id": execution.rollback_id,
        "rollback_until": optional_rfc3339(execution.rollback_until),
        "rollback": None if execution.undo is None else execution.undo.state.value,
    }
