"""Requests as cards show them, for tests of the Slack face. One call, one request; say what differs."""

from collections.abc import Mapping
from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from bot.core.digest import digest_of, text_digest
from bot.core.models import (
    Action,
    ApprovalRequest,
    ApproverSet,
    Effect,
    Level,
    PolicyDecision,
    RequestId,
    Requirement,
    RiskAssessment,
    RiskFactor,
    RiskLevel,
    SlackId,
    Status,
    Submission,
)

NOON = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
SCORES = {"none": "0", "low": "15", "medium": "45", "high": "60", "critical": "85"}
RELEASE = ApproverSet("release", "users", ("U0REL0001", "U0REL0002"))
SRE = ApproverSet("sre", "users", ("U0SRE0001", "U0SRE0002"))
SECURITY = ApproverSet("security", "slack_usergroup:S0614TZR7")

_SUBMITTED = {field.name for field in fields(Submission)}


def make_risk(level: str) -> RiskAssessment:
    """A risk of this level, with one factor that carries it all."""
    score = Decimal(SCORES[level])
    factors = (RiskFactor("system_path", score, "writes below /etc"),)
    return RiskAssessment(RiskLevel(level), score, factors, "require_approval")


def make_policy(**changes: Any) -> PolicyDecision:
    """What the policy said: a person is needed."""
    said = PolicyDecision(
        "production-policy", "v1", "deployments", Effect.REVIEW, "Deployments need two people."
    )
    return replace(said, **changes)


def make_plan(now: datetime = NOON) -> tuple[Level, ...]:
    """Five minutes, then the manager for ten."""
    first, last = now + timedelta(minutes=5), now + timedelta(minutes=15)
    return (
        Level(opens_at=now, ends_at=first),
        Level(opens_at=first, ends_at=last, rule="stale-requests", escalate_to="manager"),
    )


def make_request(
    *,
    type: str = "deployment",
    params: Mapping[str, Any] | None = None,
    level: str = "medium",
    **changes: Any,
) -> ApprovalRequest:
    """A pending request. `changes` are fields of the submission or of the request."""
    if params is None:
        params = {"environment": "production", "version": "1.4.2", "services": ["api"]}
    action = Action(type, params)
    said = {name: changes.pop(name) for name in list(changes) if name in _SUBMITTED}
    submission = Submission(**{"action": action, "description": "Roll out the fix.", **said})
    preview = submission.preview
    request = ApprovalRequest(
        id=RequestId("req_0000000000000000000000001"),
        agent="deploy-bot",
        owner=SlackId("U0OWN0001"),
        submission=submission,
        digest=digest_of(action),
        preview_digest=None if preview is None else text_digest(preview),
        risk=make_risk(level),
        policy=make_policy(),
        requirement=Requirement(2, True, (RELEASE, SRE)),
        status=Status.PENDING,
        cause=None,
        decision=None,
        created_at=NOON,
        updated_at=NOON,
        version=1,
        plan=make_plan(),
        approval_valid_for=timedelta(minutes=15),
        channel="C0APPROVE",
    )
    return replace(request, **changes)
