"""Models to columns and back: the one place that knows which column holds what."""

from datetime import datetime
from typing import Any, TypeVar

from bot.core import jsontext
from bot.core.grants import Grant
from bot.core.models import (
    Agent,
    ApprovalRequest,
    Cause,
    Decision,
    Execution,
    ExecutionState,
    Level,
    Message,
    PolicyDecision,
    Proposal,
    Requirement,
    Review,
    Reviewer,
    RiskAssessment,
    RiskLevel,
    Session,
    SlackId,
    Status,
    Submission,
    Watch,
)
from bot.store.codec import (
    decode,
    decoder,
    duration,
    duration_micros,
    encode,
    micros,
    moment,
    optional_encode,
    optional_micros,
    optional_moment,
)
from bot.store.dialect import Row

T = TypeVar("T")
Columns = dict[str, Any]

_UNTOUCHED = Execution()
_UNWATCHED = Watch()


def request_columns(request: ApprovalRequest) -> Columns:
    """Every column of a new `request` row."""
    return changing_columns(request) | {
        "agent": request.agent,
        "owner": request.owner,
        "session_id": request.submission.session_id,
        "action_type": request.action.type,
        "digest": request.digest,
        "preview_digest": request.preview_digest,
        "risk_level": request.risk.level.value,
        "approval_valid_for": duration_micros(request.approval_valid_for),
        "submission": encode(request.submission),
        "risk": encode(request.risk),
        "policy": encode(request.policy),
        "created_at": micros(request.created_at),
    }


def changing_columns(request: ApprovalRequest) -> Columns:
    """The columns that a change may write, and the id."""
    decision, execution = request.decision, request.execution
    deadline = optional_micros(request.next_deadline_at)
    return {
        "id": request.id,
        "status": request.status.value,
        "cause": None if request.cause is None else request.cause.value,
        "version": request.version,
        "level": request.level,
        "channel": request.channel,
        "next_deadline_at": deadline,
        "decided_at": None if decision is None else micros(decision.decided_at),
        "decided_digest": None if decision is None else decision.digest,
        "expires_at": None if decision is None else optional_micros(decision.expires_at),
        "execution_state": execution.state.value,
        "claimed_at": optional_micros(execution.claimed_at),
        "requirement": optional_encode(request.requirement),
        "plan": encode(request.plan),
        "watch": None if request.watch == _UNWATCHED else encode(request.watch),
        "proposal": optional_encode(request.proposal),
        "decision": optional_encode(decision),
        "execution": None if execution == _UNTOUCHED else encode(execution),
        "undo_until": optional_micros(_undo_until(execution)),
        "updated_at": micros(request.updated_at),
    }


def _undo_until(execution: Execution) -> datetime | None:
    """Until when its cards may offer to roll it back: a moment that may not pass unseen."""
    return execution.rollback_until if execution.state is ExecutionState.SUCCEEDED else None


def review_rows(request: ApprovalRequest) -> list[Columns]:
    """The `review` rows of a request."""
    return [
        {
            "request_id": request.id,
            "position": position,
            "reviewer_id": review.reviewer.id,
            "verdict": review.verdict.value,
            "digest": review.digest,
            "voided": int(review.voided),
            "at": micros(review.at),
            "body": encode(review),
        }
        for position, review in enumerate(request.reviews)
    ]


def message_rows(request: ApprovalRequest, *, after: int) -> list[Columns]:
    """The `message` rows of a request beyond the first `after`."""
    return [
        {"request_id": request.id, "position": position, "at": micros(said.at), "body": encode(said)}
        for position, said in enumerate(request.messages[after:], start=after)
    ]


def request_of(row: Row) -> ApprovalRequest:
    """A request from a row of `reads.REQUEST`: its columns, and its reviews and messages as JSON lists."""
    return ApprovalRequest(
        id=row["id"],
        agent=row["agent"],
        owner=row["owner"],
        submission=decode(Submission, row["submission"]),
        digest=row["digest"],
        preview_digest=row["preview_digest"],
        risk=decode(RiskAssessment, row["risk"]),
        policy=decode(PolicyDecision, row["policy"]),
        requirement=_optional(Requirement, row["requirement"]),
        status=Status(row["status"]),
        cause=None if row["cause"] is None else Cause(row["cause"]),
        decision=_optional(Decision, row["decision"]),
        created_at=moment(row["created_at"]),
        updated_at=moment(row["updated_at"]),
        version=row["version"],
        level=row["level"],
        plan=_plan(jsontext.reread(row["plan"])),
        approval_valid_for=duration(row["approval_valid_for"]),
        channel=row["channel"],
        reviews=list_of(Review, row["reviews"]),
        proposal=_optional(Proposal, row["proposal"]),
        execution=_optional(Execution, row["execution"]) or _UNTOUCHED,
        messages=list_of(Message, row["messages"]),
        watch=_optional(Watch, row["watch"]) or _UNWATCHED,
    )


def agent_columns(agent: Agent, token_hash: str) -> Columns:
    """Every column of an `agent` row."""
    return {
        "name": agent.name,
        "token_hash": token_hash,
        "scopes": encode(agent.scopes),
        "owner": agent.owner,
        "rate": agent.rate,
        "callback_hosts": encode(agent.callback_hosts),
        "created_at": micros(agent.created_at),
        "revoked_at": optional_micros(agent.revoked_at),
    }


def agent_of(row: Row) -> Agent:
    """An agent from its row."""
    return Agent(
        name=row["name"],
        scopes=frozenset(jsontext.reread(row["scopes"])),
        owner=None if row["owner"] is None else SlackId(row["owner"]),
        rate=row["rate"],
        callback_hosts=tuple(jsontext.reread(row["callback_hosts"])),
        created_at=moment(row["created_at"]),
        revoked_at=optional_moment(row["revoked_at"]),
        credential=row["token_hash"],
    )


def session_columns(session: Session) -> Columns:
    """Every column of a `session` row."""
    return {
        "agent": session.agent,
        "id": session.id,
        "name": session.name,
        "metadata": optional_encode(session.metadata),
        "started_at": micros(session.started_at),
        "ended_at": optional_micros(session.ended_at),
        "summary": session.summary,
    }


def session_of(row: Row, counts: dict[str, int]) -> Session:
    """A session from its row and its requests counted by status."""
    return Session(
        agent=row["agent"],
        id=row["id"],
        name=row["name"],
        metadata=None if row["metadata"] is None else jsontext.reread(row["metadata"]),
        started_at=moment(row["started_at"]),
        ended_at=optional_moment(row["ended_at"]),
        summary=row["summary"],
        counts=counts,
    )


def grant_columns(grant: Grant) -> Columns:
    """Every column of a new `grants` row."""
    return {
        "id": grant.id,
        "request_id": grant.request_id,
        "agent": grant.agent,
        "action_type": grant.type,
        "rule": grant.rule,
        "policy": grant.policy,
        "policy_version": grant.policy_version,
        "params": encode(grant.params),
        "directory": grant.directory,
        "session_id": grant.session_id,
        "highest": grant.highest.value,
        "giver_id": grant.giver.id,
        "giver_name": grant.giver.name,
        "uses": grant.uses,
        "used": grant.used,
        "created_at": micros(grant.created_at),
        "expires_at": micros(grant.expires_at),
        "revoked_at": optional_micros(grant.revoked_at),
    }


def grant_of(row: Row) -> Grant:
    """A grant from its row."""
    return Grant(
        id=row["id"],
        request_id=row["request_id"],
        agent=row["agent"],
        type=row["action_type"],
        rule=row["rule"],
        policy=row["policy"],
        policy_version=row["policy_version"],
        params=jsontext.reread(row["params"]),
        directory=row["directory"],
        session_id=row["session_id"],
        highest=RiskLevel(row["highest"]),
        giver=Reviewer(SlackId(row["giver_id"]), row["giver_name"]),
        uses=row["uses"],
        used=row["used"],
        created_at=moment(row["created_at"]),
        expires_at=moment(row["expires_at"]),
        revoked_at=optional_moment(row["revoked_at"]),
    )


_plan = decoder(tuple[Level, ...])


def _optional(kind: type[T], text: str | None) -> T | None:
    return None if text is None else decode(kind, text)


def list_of(kind: type[T], bodies: str | None) -> tuple[T, ...]:
    """Values of JSON texts that the database strung together with commas."""
    if bodies is None:
        return ()
    build = decoder(kind)  # type: ignore[arg-type]  # a class is hashable, which its type does not say
    return tuple([build(found) for found in jsontext.reread(f"[{bodies}]")])
