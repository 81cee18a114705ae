"""The JSON shapes of answers, as models that only the documentation reads.

`wire` builds what is sent; a test holds every answer against these.
"""

from typing import Annotated, Any, Generic, Literal, TypeVar

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from bot.http.fields import AnyJson

T = TypeVar("T")

Digest = Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}$")]
Level = Literal["none", "low", "medium", "high", "critical"]
Status = Literal["pending", "approved", "modified", "rejected", "timed_out", "cancelled"]
Effect = Literal["approve", "reject", "review"]
JsonMap = Annotated[dict[str, Any], Field(json_schema_extra={"type": "object", "additionalProperties": True})]


class Shape(BaseModel):
    """Base: exactly these keys, all of them."""

    model_config = ConfigDict(extra="forbid")


class PersonShape(Shape):
    """Somebody in Slack; the id never changes."""

    id: str
    name: str


class FactorShape(Shape):
    """One reason for a score."""

    name: str
    points: float
    detail: str


class RiskShape(Shape):
    """How dangerous the action is, as the server computed it."""

    level: Level
    score: Annotated[float, Field(ge=0, le=100)]
    factors: list[FactorShape]
    recommendation: Literal["auto_approve", "require_approval", "block"]


class PolicyShape(Shape):
    """Which rule decided what."""

    name: str | None
    version: str
    rule: str
    effect: Effect
    explanation: str


class ApproversShape(Shape):
    """Some of the people who may approve; `users` is null where membership is looked up at the click."""

    group: str | None
    source: str
    users: list[str] | None


class MissingShape(Shape):
    """What the requirement still lacks."""

    count: Annotated[int, Field(ge=0)]
    groups: list[str]


class RequirementShape(Shape):
    """Who may approve and how many must."""

    quorum: Annotated[int, Field(ge=1)]
    one_from_each: bool
    approvers: list[ApproversShape]
    missing: MissingShape


class ConditionsShape(Shape):
    """Words for the agent, and a window that the claim must fall in."""

    text: str | None
    not_before: AwareDatetime | None
    not_after: AwareDatetime | None


class ReviewShape(Shape):
    """One person's verdict on one digest."""

    reviewer: PersonShape
    verdict: Literal["approve", "reject", "modify"]
    digest: Digest
    reason: str | None
    conditions: ConditionsShape | None
    voided: bool
    at: AwareDatetime


class ProposalShape(Shape):
    """A reviewer's edit that waits for agreement."""

    params: JsonMap
    digest: Digest
    risk: RiskShape
    policy: PolicyShape
    requirement: RequirementShape | None
    by: PersonShape


class DecisionShape(Shape):
    """How it ended. Params, digests and expiry are null unless the action may run."""

    status: Status
    by: list[PersonShape]
    reason: str | None
    conditions: ConditionsShape | None
    params: JsonMap | None
    digest: Digest | None
    preview_digest: Digest | None
    decided_at: AwareDatetime
    expires_at: AwareDatetime | None


class ExecutionShape(Shape):
    """What became of the decided action."""

    state: Literal["not_started", "claimed", "succeeded", "failed", "rolled_back"]
    claimed_at: AwareDatetime | None
    finished_at: AwareDatetime | None
    success: bool | None
    error: str | None
    rollback_id: str | None


class MessageShape(Shape):
    """A line of the talk between reviewers and agent."""

    sender: Annotated[str, Field(alias="from", description="A Slack id, or the agent's name.")]
    text: str
    at: AwareDatetime


class LinksShape(Shape):
    """Where the request is."""

    self_: Annotated[str, Field(alias="self")]
    slack: Annotated[str | None, Field(description="The card, once there is one.")]


class AlternativeShape(Shape):
    """Another action of the same type that would do."""

    description: str
    params: JsonMap


class RequestShape(Shape):
    """A request: all submitted fields, and everything that has happened since."""

    id: Annotated[str, Field(pattern=r"^req_")]
    agent: str
    type: str
    params: JsonMap
    description: str
    reason: str | None
    session_id: str | None
    on_behalf_of: str | None
    urgency: Literal["low", "normal", "high", "critical"]
    timeout_seconds: int | None
    escalate_to: str | None
    params_schema: JsonMap | None
    preview: str | None
    alternatives: list[AlternativeShape]
    related: list[str]
    rollback: AnyJson
    callback_url: str | None
    metadata: JsonMap | None
    digest: Digest
    preview_digest: Digest | None
    status: Status
    automatic: bool
    cause: (
        Literal[
            "human",
            "policy_rule",
            "risk_threshold",
            "grant",
            "timeout",
            "no_approver",
            "cancelled_by_agent",
            "cancelled_by_operator",
            "paused",
        ]
        | None
    )
    risk: RiskShape
    policy: PolicyShape
    requirement: RequirementShape | None
    reviews: list[ReviewShape]
    proposal: ProposalShape | None
    decision: DecisionShape | None
    level: Annotated[int, Field(ge=0)]
    next_escalation_at: AwareDatetime | None
    deadline_at: AwareDatetime | None
    execution: ExecutionShape
    messages: list[MessageShape]
    links: LinksShape
    created_at: AwareDatetime
    updated_at: AwareDatetime


class ListShape(Shape, Generic[T]):
    """Some of a list; `next_cursor` asks for more and is null at the end."""

    items: list[T]
    next_cursor: str | None


class RequestList(ListShape[RequestShape]):
    """Requests, newest first."""


class ClaimShape(Shape):
    """Permission to run exactly this, once."""

    params: JsonMap
    digest: Digest
    receipt: Annotated[str, Field(description="A JWS that proves the approval offline.")]
    expires_at: Annotated[AwareDatetime, Field(description="The receipt's `exp`.")]


class EvaluationShape(Shape):
    """What would happen to a request."""

    digest: Digest
    risk: RiskShape
    policy: PolicyShape
    effect: Effect
    requirement: RequirementShape | None


class ActorShape(Shape):
    """Who did it."""

    type: Literal["human", "agent", "system", "policy"]
    id: str
    name: str


class CountsShape(Shape):
    """Requests of a session by status."""

    pending: int
    approved: int
    modified: int
    rejected: int
    timed_out: int
    cancelled: int


class SessionShape(Shape):
    """One run of an agent."""

    id: str
    agent: str
    actor: ActorShape
    name: str | None
    metadata: JsonMap | None
    summary: str | None
    started_at: AwareDatetime
    ended_at: AwareDatetime | None
    counts: CountsShape


class EventShape(Shape):
    """One audit event with its place in the chain."""

    seq: int
    at: AwareDatetime
    event: str
    actor: ActorShape
    via: Literal["slack", "http", "cli", "scheduler"]
    agent: str | None
    request_id: str | None
    session_id: str | None
    body: JsonMap
    prev_hash: str
    hash: str


class AuditList(ListShape[EventShape]):
    """Audit events, newest first."""


class AuditProblemShape(Shape):
    """The first row at which the audit is not what it was."""

    seq: int
    kind: Literal[
        "contradicted",
        "edited",
        "forged",
        "inserted",
        "miscopied",
        "missing",
        "relinked",
        "reordered",
        "rewritten",
        "truncated",
        "unreadable",
    ]
    detail: str


class VerificationShape(Shape):
    """Whether the audit is whole."""

    ok: bool
    checked: Annotated[int, Field(description="Rows looked at.")]
    head: Annotated[str, Field(pattern="^[0-9a-f]{64}$", description="Hash of the last row.")]
    checkpoint: Annotated[int | None, Field(description="Seq of the newest checkpoint that agrees.")]
    problem: AuditProblemShape | None


class TimelineShape(ListShape[EventShape]):
    """A session's events, oldest first."""


class SafeguardsShape(Shape):
    """A request in the words of the Safeguards library."""

    id: Annotated[str, Field(description="The client's own id.")]
    request_id: str
    status: Status
    approved: bool
    comments: str | None
    response_data: Annotated[JsonMap | None, Field(description="What may run, when a reviewer edited it.")]


class AliveShape(Shape):
    """The process lives."""

    status: Literal["alive"]


class LoopShape(Shape):
    """One loop of Keyturn."""

    last_good_at: AwareDatetime | None
    ok: bool


class PartShape(Shape):
    """Something that Keyturn needs."""

    version: str
    ok: bool


class DatabaseShape(PartShape):
    """The database, and what an operator has to beware of with it."""

    warning: str | None


class LatenessShape(Shape):
    """How late deadlines are handled, in seconds: the oldest that waits, and those of five minutes."""

    overdue_seconds: float
    latest_seconds: float
    worst_seconds: float


class ReadyShape(Shape):
    """Whether Keyturn is able to decide, and what is wrong if not."""

    status: Literal["ready", "not_ready"]
    database: DatabaseShape
    policies: PartShape
    loops: dict[str, LoopShape]
    lateness: LatenessShape
    sandbox: bool


class JwksShape(BaseModel):
    """Public keys, RFC 7517."""

    keys: list[JsonMap]


class FaultShape(Shape):
    """One wrong field."""

    pointer: Annotated[str, Field(description="JSON Pointer into the body.")]
    detail: str


class ProblemShape(Shape):
    """An error, RFC 9457."""

    type: str
    title: str
    status: int
    code: str
    detail: str
    errors: list[FaultShape] | None = None
