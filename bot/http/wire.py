"""What Keyturn says over HTTP, as JSON in memory: one function for each shape.

Times are RFC 3339 in UTC with `Z`; decimals stay Decimals, so that `jsontext.dumps` writes them
as they came. Every key is always present; what there is none of is null or empty.
"""

from collections.abc import Sequence
from typing import Any

from bot.core.audited import conditions_state
from bot.core.models import (
    ApprovalRequest,
    Decision,
    Digest,
    Execution,
    PolicyDecision,
    Requirement,
    Review,
    Reviewer,
    RiskAssessment,
    Session,
    Status,
    Submission,
)
from bot.core.quorum import missing
from bot.core.times import optional_rfc3339, rfc3339
from bot.services.approvals import Evaluation, Page

Json = dict[str, Any]


def resource(request: ApprovalRequest, *, public_url: str, slack_link: str | None) -> Json:
    """A request as agents see it.

    Top-level `params`, `digest`, `risk` and `policy` keep what was submitted; `requirement` is the
    one now in force, and `decision` holds what may run.

    Args:
        public_url: Keyturn's own address, without a slash at its end.
        slack_link: Where the card is, once there is one.
    """
    return {
        "id": request.id,
        "agent": request.agent,
        **_submitted(request.submission),
        "digest": request.digest,
        "preview_digest": request.preview_digest,
        "status": request.status.value,
        "automatic": request.automatic,
        "cause": None if request.cause is None else request.cause.value,
        "risk": risk(request.risk),
        "policy": policy(request.policy),
        "requirement": requirement(request.current_requirement, request.reviews, request.current_digest),
        "reviews": [_review(given) for given in request.reviews],
        "proposal": _proposal(request),
        "decision": _decision(request.decision),
        "level": request.level,
        "next_escalation_at": optional_rfc3339(request.next_escalation_at),
        "deadline_at": optional_rfc3339(request.deadline_at),
        "execution": _execution(request.execution),
        "messages": [{"from": m.sender, "text": m.text, "at": rfc3339(m.at)} for m in request.messages],
        "links": {"self": f"{public_url}/v1/requests/{request.id}", "slack": slack_link},
        "created_at": rfc3339(request.created_at),
        "updated_at": rfc3339(request.updated_at),
    }


def risk(assessment: RiskAssessment) -> Json:
    """A score, its band and its reasons."""
    return {
        "level": assessment.level.value,
        "score": assessment.score,
        "factors": [{"name": f.name, "points": f.points, "detail": f.detail} for f in assessment.factors],
        "recommendation": assessment.recommendation,
    }


def policy(decision: PolicyDecision) -> Json:
    """Which rule decided what."""
    return {
        "name": decision.name,
        "version": decision.version,
        "rule": decision.rule,
        "effect": decision.effect.value,
        "explanation": decision.explanation,
    }


def requirement(asked: Requirement | None, reviews: Sequence[Review], digest: Digest) -> Json | None:
    """Who may approve and what is still missing for `digest`; None when nobody is asked."""
    if asked is None:
        return None
    lacking = missing(asked, reviews, digest)
    return {
        "quorum": asked.quorum,
        "one_from_each": asked.one_from_each,
        "approvers": [
            {"group": a.group, "source": a.source, "users": None if a.users is None else list(a.users)}
            for a in asked.approvers
        ],
        "missing": {"count": lacking.count, "groups": list(lacking.groups)},
    }


def evaluation(judged: Evaluation) -> Json:
    """What would happen to an action."""
    return {
        "digest": judged.digest,
        "risk": risk(judged.risk),
        "policy": policy(judged.policy),
        "effect": judged.policy.effect.value,
        "requirement": requirement(judged.requirement, (), judged.digest),
    }


def session(run: Session) -> Json:
    """One run of an agent."""
    return {
        "id": run.id,
        "agent": run.agent,
        "actor": {"type": "agent", "id": run.agent, "name": run.agent},
        "name": run.name,
        "metadata": run.metadata,
        "summary": run.summary,
        "started_at": rfc3339(run.started_at),
        "ended_at": optional_rfc3339(run.ended_at),
        "counts": {status.value: run.counts.get(status.value, 0) for status in Status},
    }


def page(found: Page[Any], items: Sequence[Json]) -> Json:
    """A page of a list."""
    return {"items": list(items), "next_cursor": found.next_cursor}


def safeguards_status(request: ApprovalRequest, client_id: str) -> Json:
    """A request in the words of the Safeguards library (`HumanAction`)."""
    decision = request.decision
    return {
        "id": client_id,
        "request_id": request.id,
        "status": request.status.value,
        "approved": request.status.runnable,
        "comments": None if decision is None else decision.reason,
        "response_data": decision.params if decision and request.status is Status.MODIFIED else None,
    }


def _submitted(given: Submission) -> Json:
    return {
        "type": given.action.type,
        "params": given.action.params,
        "description": given.description,
        "reason": given.reason,
        "session_id": given.session_id,
        "on_behalf_of": given.on_behalf_of,
        "urgency": given.urgency.value,
        "timeout_seconds": None if given.timeout is None else int(given.timeout.total_seconds()),
        "escalate_to": given.escalate_to,
        "params_schema": given.params_schema,
        "preview": given.preview,
        "alternatives": [{"description": a.description, "params": a.params} for a in given.alternatives],
        "related": list(given.related),
        "rollback": given.rollback,
        "callback_url": given.callback_url,
        "metadata": given.metadata,
    }


def _person(reviewer: Reviewer) -> Json:
    return {"id": reviewer.id, "name": reviewer.name}


def _review(given: Review) -> Json:
    return {
        "reviewer": _person(given.reviewer),
        "verdict": given.verdict.value,
        "digest": given.digest,
        "reason": given.reason,
        "conditions": conditions_state(given.conditions),
        "voided": given.voided,
        "at": rfc3339(given.at),
    }


def _proposal(request: ApprovalRequest) -> Json | None:
    edit = request.proposal
    if edit is None:
        return None
    return {
        "params": edit.params,
        "digest": edit.digest,
        "risk": risk(edit.risk),
        "policy": policy(edit.policy),
        "requirement": requirement(edit.requirement, request.reviews, edit.digest),
        "by": _person(edit.by),
    }


def _decision(made: Decision | None) -> Json | None:
    if made is None:
        return None
    return {
        "status": made.status.value,
        "by": [_person(reviewer) for reviewer in made.by],
        "reason": made.reason,
        "conditions": conditions_state(made.conditions),
        "params": made.params,
        "digest": made.digest,
        "preview_digest": made.preview_digest,
        "decided_at": rfc3339(made.decided_at),
        "expires_at": optional_rfc3339(made.expires_at),
    }


def _execution(done: Execution) -> Json:
    return {
        "state": done.state.value,
        "claimed_at": optional_rfc3339(done.claimed_at),
        "finished_at": optional_rfc3339(done.finished_at),
        "success": done.success,
        "error": done.error,
        "rollback_id": done.rollback_id,
    }
