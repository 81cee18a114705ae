"""What the server says, as frozen typed values.

Numbers inside `params`, `metadata` and the like are int or Decimal, never float: a price that was
sent as 2500.00 reads `Decimal("2500.00")`. Unknown fields of a newer server are ignored, unknown
words of an open list are kept as text; an unknown `status` is refused, because running depends on it.
"""

from collections.abc import Mapping
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Any, Generic, Literal, TypeVar

from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field

from keyturn.errors import Cancelled, NotApproved, NotYetDecided, Paused, PolicyRejected, Rejected, TimedOut

Params = dict[str, Any]
"""A JSON object: str, bool, None, int, Decimal, list and dict."""

Rollback = dict[str, Any] | list[dict[str, Any]]
"""Undo data, `{"type": "file_restore", "path": …}`, or a list of it that is undone in reverse."""

T = TypeVar("T")


class Status(StrEnum):
    """Where a request stands: pending, then exactly one of the others, for good."""

    PENDING = "pending"
    APPROVED = "approved"
    MODIFIED = "modified"
    REJECTED = "rejected"
    TIMED_OUT = "timed_out"
    CANCELLED = "cancelled"


class Cause(StrEnum):
    """Why a decided request is what it is."""

    HUMAN = "human"
    POLICY_RULE = "policy_rule"
    RISK_THRESHOLD = "risk_threshold"
    GRANT = "grant"
    TIMEOUT = "timeout"
    NO_APPROVER = "no_approver"
    CANCELLED_BY_AGENT = "cancelled_by_agent"
    CANCELLED_BY_OPERATOR = "cancelled_by_operator"
    PAUSED = "paused"


class RiskLevel(StrEnum):
    """How dangerous the server finds an action."""

    NONE = "none"
    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    CRITICAL = "critical"


class ExecutionState(StrEnum):
    """What became of a decided action: a second axis beside `Status`."""

    NOT_STARTED = "not_started"
    CLAIMED = "claimed"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    ROLLED_BACK = "rolled_back"


Urgency = Literal["low", "normal", "high", "critical"]
Effect = Literal["approve", "reject", "review"]


class Model(BaseModel):
    """Base of the resource models."""

    model_config = ConfigDict(extra="ignore", frozen=True, populate_by_name=True)


class RiskFactor(Model):
    """One named reason for a score."""

    name: str
    points: Decimal
    detail: str = ""


class Risk(Model):
    """The server's assessment; `score` is 0..100."""

    level: RiskLevel
    score: Decimal
    factors: tuple[RiskFactor, ...] = ()
    recommendation: str = ""


class Policy(Model):
    """Which rule decided what, and a sentence that explains it."""

    name: str | None = None
    version: str | int | None = None
    rule: str
    effect: Effect
    explanation: str = ""


class ApproverGroup(Model):
    """Some of the people who may approve; `users` is null where the group is looked up at the click."""

    group: str | None = None
    source: str | None = None
    users: tuple[str, ...] | None = None


class Missing(Model):
    """What a quorum still lacks."""

    count: int = 0
    groups: tuple[str, ...] = ()


class Requirement(Model):
    """Who may approve, and how many must."""

    quorum: int
    one_from_each: bool = False
    approvers: tuple[ApproverGroup, ...] = ()
    missing: Missing | None = None


class Person(Model):
    """Somebody in Slack; `id` never changes, `name` may."""

    id: str
    name: str | None = None


def _worded(value: object) -> object:
    return {"text": value} if isinstance(value, str) else value


class Conditions(Model):
    """What a reviewer attached: words for the agent, and the window the claim must fall into."""

    text: str | None = None
    not_before: AwareDatetime | None = None
    not_after: AwareDatetime | None = None


GivenConditions = Annotated[Conditions | None, BeforeValidator(_worded)]


class Review(Model):
    """One person's verdict on one digest."""

    reviewer: Person
    verdict: Literal["approve", "reject", "modify"]
    digest: str
    reason: str | None = None
    conditions: GivenConditions = None
    voided: bool = False
    at: AwareDatetime


class Proposal(Model):
    """A reviewer's edit that waits for somebody else's agreement."""

    params: Params
    digest: str
    risk: Risk
    policy: Policy
    requirement: Requirement | None = None
    by: Person | None = None


class Decision(Model):
    """How it ended. `params`, digests and `expires_at` are null unless the action may run."""

    status: Status
    by: tuple[Person, ...] = ()
    reason: str | None = None
    conditions: GivenConditions = None
    params: Params | None = None
    digest: str | None = None
    preview_digest: str | None = None
    decided_at: AwareDatetime
    expires_at: AwareDatetime | None = None


class Execution(Model):
    """What became of the action."""

    state: ExecutionState = ExecutionState.NOT_STARTED
    claimed_at: AwareDatetime | None = None
    finished_at: AwareDatetime | None = None
    success: bool | None = None
    error: str | None = None
    rollback_id: str | None = None


class Message(Model):
    """A reviewer's question or the agent's answer."""

    sender: str = Field(alias="from")
    text: str
    at: AwareDatetime


class Links(Model):
    """Where to find the request; `slack` is the card, once it is posted."""

    self_: str | None = Field(default=None, alias="self")
    slack: str | None = None


class Alternative(Model):
    """Another action of the same type that the agent offers instead."""

    description: str
    params: Params


class Request(Model):
    """One ask for one action. Top-level fields are what was submitted; `decision` is what may run."""

    id: str
    agent: str
    type: str
    params: Params
    description: str = ""
    reason: str | None = None
    session_id: str | None = None
    on_behalf_of: str | None = None
    urgency: str = "normal"
    timeout_seconds: int | None = None
    escalate_to: str | None = None
    params_schema: dict[str, Any] | None = None
    preview: str | None = None
    alternatives: tuple[Alternative, ...] | None = None
    related: tuple[str, ...] | None = None
    rollback: Rollback | None = None
    callback_url: str | None = None
    metadata: dict[str, Any] | None = None
    digest: str
    preview_digest: str | None = None
    status: Status
    automatic: bool = False
    cause: Annotated[Cause | str | None, Field(union_mode="left_to_right")] = None
    risk: Risk
    policy: Policy
    requirement: Requirement | None = None
    reviews: tuple[Review, ...] = ()
    proposal: Proposal | None = None
    decision: Decision | None = None
    level: int = 0
    next_escalation_at: AwareDatetime | None = None
    deadline_at: AwareDatetime | None = None
    execution: Execution = Execution()
    messages: tuple[Message, ...] = ()
    links: Links = Links()
    created_at: AwareDatetime
    updated_at: AwareDatetime

    @property
    def decided(self) -> bool:
        """Whether the status is final."""
        return self.status is not Status.PENDING

    @property
    def approved(self) -> bool:
        """Whether the action may run, perhaps with changed params; it still has to be claimed."""
        return self.status in (Status.APPROVED, Status.MODIFIED)

    @property
    def settled(self) -> bool:
        """Whether nothing more can happen: refused, or run and reported."""
        ran = self.execution.state in (ExecutionState.SUCCEEDED, ExecutionState.FAILED)
        undone = self.execution.state is ExecutionState.ROLLED_BACK
        return ran or undone or (self.decided and not self.approved)

    def ensure_approved(self) -> Decision:
        """Return the decision if the action may run.

        Raises:
            NotApproved: the answer is no; the subclass and `.cause` say why.
            NotYetDecided: there is no answer yet.
        """
        if not self.decided:
            raise NotYetDecided(self)
        if self.approved and self.decision is not None:
            return self.decision
        raise _refusal(self)


def _refusal(request: Request) -> NotApproved:
    cause, decision = request.cause, request.decision
    why = (
        (decision.reason if decision is not None else None) or request.policy.explanation or "no reason given"
    )
    who = ", ".join(person.name or person.id for person in decision.by) if decision is not None else ""
    kind: type[NotApproved]
    match request.status:
        case Status.TIMED_OUT:
            kind, says = TimedOut, f"timed out ({cause})"
        case Status.CANCELLED:
            kind, says = Cancelled, f"cancelled ({cause})"
        case _ if cause == Cause.PAUSED:
            kind, says = Paused, "paused"
        case _ if cause == Cause.HUMAN:
            kind, says = Rejected, f"rejected by {who or 'a reviewer'}"
        case _:
            kind, says = PolicyRejected, f"rejected by policy rule {request.policy.rule!r}"
    return kind(f"{request.type} ({request.id}) {says}: {why}", request=request)


class Claim(Model):
    """The consumed approval: run exactly `params`, once. `receipt` is the signed proof for tool servers."""

    params: Params
    digest: str
    receipt: str
    expires_at: AwareDatetime


class Evaluation(Model):
    """What the server would do with an action; nothing was stored and nobody was asked."""

    digest: str
    risk: Risk
    policy: Policy
    effect: Effect
    requirement: Requirement | None = None


class Event(Model):
    """One change of a request. `seq` resumes a stream; `request` is as it stood when sent."""

    seq: str | None
    event: str
    request: Request


class Session(BaseModel):
    """One run of an agent, with its requests counted by status."""

    model_config = ConfigDict(extra="allow", frozen=True)

    id: str
    name: str | None = None
    metadata: dict[str, Any] | None = None
    summary: Any = None
    actor: Any = None
    started_at: AwareDatetime | None = None
    ended_at: AwareDatetime | None = None
    counts: Mapping[str, int] = Field(default_factory=dict)


class AuditEvent(BaseModel):
    """One entry of a session's timeline, as the audit holds it."""

    model_config = ConfigDict(extra="allow", frozen=True)

    seq: int
    at: AwareDatetime
    event: str
    actor: dict[str, Any] | None = None
    via: str | None = None
    agent: str | None = None
    request_id: str | None = None
    session_id: str | None = None
    body: dict[str, Any] | None = None


class Page(Model, Generic[T]):
    """Part of a list in its order; pass `next_cursor` on as `cursor` to read further, until it is null."""

    items: tuple[T, ...]
    next_cursor: str | None = None
