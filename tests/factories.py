"""Values for tests: whole and valid, each part open to change by keyword."""

from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from bot.core import lifecycle
from bot.core.grants import Grant
from bot.core.lifecycle import Judged
from bot.core.models import (
    Action,
    Agent,
    ApprovalRequest,
    ApproverSet,
    Cause,
    Effect,
    LadderRule,
    PolicyDecision,
    RequestId,
    Requirement,
    Reviewer,
    RiskAssessment,
    RiskFactor,
    RiskLevel,
    Ruling,
    SlackId,
    Submission,
    Terms,
)
from bot.core.reviewing import Given

NOON = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)

OWNER = SlackId("U0OWN0001")
ANA, BEN, CLEO = SlackId("U0ANA0001"), SlackId("U0BEN0001"), SlackId("U0CLEO001")

_RANK_SCORES = {"none": "0", "low": "15", "medium": "45", "high": "60", "critical": "90"}


def make_action(**params: Any) -> Action:
    return Action("database_modify", params or {"query": "DELETE FROM t WHERE id = 1", "database": "shop"})


def make_agent(**changes: Any) -> Agent:
    agent = Agent("builder", frozenset({"agent"}), OWNER, 600, (), NOON)
    return replace(agent, **changes)


def make_risk(level: str = "medium", score: str | None = None) -> RiskAssessment:
    points = Decimal(score if score is not None else _RANK_SCORES[level])
    factor = RiskFactor("database_modification", points, "writes to a database")
    return RiskAssessment(RiskLevel(level), points, (factor,), "require_approval")


def make_requirement(*names: str, quorum: int = 1, each: bool = False) -> Requirement:
    """Groups by name, each of Ana, Ben and Cleo; `Requirement` of plain people without names."""
    people = (ANA, BEN, CLEO)
    sets = tuple(ApproverSet(name, "users", people) for name in names)
    return Requirement(quorum, each, sets or (ApproverSet(None, "users", people),))


def make_ruling(effect: Effect = Effect.REVIEW, **changes: Any) -> Ruling:
    """A ruling; `changes` are of it or of its terms."""
    asked = effect is Effect.REVIEW
    terms = {field.name: changes.pop(field.name) for field in fields(Terms) if field.name in changes}
    ruling = Ruling(
        policy=PolicyDecision("default", "sha256:0", "default", effect, "Nothing else matched."),
        cause=None if asked else Cause.POLICY_RULE,
        requirement=make_requirement() if asked else None,
        terms=replace(Terms("C0APPROVE", timedelta(minutes=5), timedelta(minutes=15)), **terms),
    )
    return replace(ruling, **changes)


def make_judged(action: Action | None = None, level: str = "medium", **ruling: Any) -> Judged:
    return Judged(action or make_action(), make_risk(level), make_ruling(**ruling))


def make_grant(**changes: Any) -> Grant:
    grant = Grant(
        id="grant_1",
        request_id=RequestId("req_" + "0" * 31 + "1"),
        agent="builder",
        type="database_modify",
        rule="default",
        policy="default",
        policy_version="sha256:0",
        params=make_action().params,
        directory=None,
        session_id=None,
        highest=RiskLevel.MEDIUM,
        giver=Reviewer(ANA, "ana"),
        uses=3,
        created_at=NOON,
        expires_at=NOON + timedelta(hours=1),
    )
    return replace(grant, **changes)


def make_submission(action: Action | None = None, **changes: Any) -> Submission:
    return replace(Submission(action or make_action(), "Delete one row."), **changes)


def make_rule(name: str = "stale", **changes: Any) -> LadderRule:
    rule = LadderRule(
        name=name,
        after=timedelta(minutes=5),
        wait=timedelta(minutes=10),
        escalate_to=ApproverSet("manager", "users", (SlackId("U0DANA001"),)),
        may_approve=True,
        notify=(),
    )
    return replace(rule, **changes)


def make_request(
    *,
    judged: Judged | None = None,
    agent: Agent | None = None,
    number: int = 1,
    now: datetime = NOON,
    **submission: Any,
) -> ApprovalRequest:
    """A pending request, as `lifecycle.submit` makes it."""
    given = judged or make_judged()
    step = lifecycle.submit(
        make_submission(given.action, **submission),
        given,
        id=RequestId(f"req_{number:032x}"),
        agent=agent or make_agent(),
        now=now,
    )
    return step.request


def make_given(request: ApprovalRequest, who: SlackId = ANA, **changes: Any) -> Given:
    given = Given(Reviewer(who, who.lower()), request.current_digest, groups=())
    return replace(given, **changes)
