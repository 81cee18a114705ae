"""The nouns of an approval, as frozen values.

Everything here is data: no I/O, no clock, no behaviour beyond what a value knows of
itself. A change makes a new value (`dataclasses.replace`); the rules that make one
live in `lifecycle`, `authority`, `policy` and `risk`. Every datetime is aware UTC.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Any, NewType

from bot.core.oncall import Window

RequestId = NewType("RequestId", str)
"""`req_` and a time-ordered id."""

SlackId = NewType("SlackId", str)
"""A person in Slack: `U…` or `W…`."""

Digest = NewType("Digest", str)
"""`sha256:` and the hex of the canonical JSON of `{"params": …, "type": …}`."""

ACTION_TYPE = r"^[a-z][a-z0-9_.:-]{0,63}$"
"""What an action's `type` looks like."""

MONEY_TYPES = frozenset({"transaction", "transfer", "payment", "refund", "withdrawal", "payout"})
"""Types of actions that move money."""

JsonObject = Mapping[str, Any]
"""Parsed JSON: str, bool, None, int, Decimal (never float), list and dict."""


class Status(StrEnum):
    """Where a request stands. PENDING, then exactly one of the others, for good."""

    PENDING = "pending"
    APPROVED = "approved"
    MODIFIED = "modified"
    REJECTED = "rejected"
    TIMED_OUT = "timed_out"
    CANCELLED = "cancelled"

    @property
    def runnable(self) -> bool:
        """Whether the agent may claim and run what was decided."""
        return self in (Status.APPROVED, Status.MODIFIED)


class Cause(StrEnum):
    """Why a decided request is what it is. A delivery failure is never a cause."""

    HUMAN = "human"
    POLICY_RULE = "policy_rule"
    RISK_THRESHOLD = "risk_threshold"
    GRANT = "grant"
    TIMEOUT = "timeout"
    NO_APPROVER = "no_approver"
    CANCELLED_BY_AGENT = "cancelled_by_agent"
    CANCELLED_BY_OPERATOR = "cancelled_by_operator"
    PAUSED = "paused"

    @property
    def automatic(self) -> bool:
        """True when no person was asked."""
        return self in (Cause.POLICY_RULE, Cause.RISK_THRESHOLD, Cause.GRANT, Cause.PAUSED)


class RiskLevel(StrEnum):
    """How dangerous an action is; ordered, `NONE < LOW < MEDIUM < HIGH < CRITICAL`."""

    NONE = "none"
    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    CRITICAL = "critical"

    @property
    def rank(self) -> int:
        """0 for NONE to 4 for CRITICAL."""
        return _RANKS[self.value]

    def __lt__(self, other: str) -> bool:
        return self.rank < RiskLevel(other).rank

    def __le__(self, other: str) -> bool:
        return self.rank <= RiskLevel(other).rank

    def __gt__(self, other: str) -> bool:
        return self.rank > RiskLevel(other).rank

    def __ge__(self, other: str) -> bool:
        return self.rank >= RiskLevel(other).rank


_RANKS = {"none": 0, "low": 1, "medium": 2, "high": 3, "critical": 4}


class Effect(StrEnum):
    """What a policy does with an action."""

    APPROVE = "approve"
    REJECT = "reject"
    REVIEW = "review"


class Verdict(StrEnum):
    """What one person says."""

    APPROVE = "approve"
    REJECT = "reject"
    MODIFY = "modify"


class Urgency(StrEnum):
    """The agent's plea for attention: ordering, mention and reminders, never authority."""

    LOW = "low"
    NORMAL = "normal"
    HIGH = "high"
    CRITICAL = "critical"


class ExecutionState(StrEnum):
    """What became of a decided action; a second axis beside `Status`."""

    NOT_STARTED = "not_started"
    CLAIMED = "claimed"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    ROLLED_BACK = "rolled_back"


class RollbackState(StrEnum):
    """Where an undo stands: asked for, shown, taken by the agent, and then exactly one of the ends."""

    REQUESTED = "requested"
    PREVIEWED = "previewed"
    CLAIMED = "claimed"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CONFLICT = "conflict"
    EXPIRED = "expired"

    @property
    def open(self) -> bool:
        """Whether something may still come of it."""
        return self in (RollbackState.REQUESTED, RollbackState.PREVIEWED, RollbackState.CLAIMED)


@dataclass(frozen=True, slots=True)
class Action:
    """Exactly what the agent wants to run."""

    type: str
    params: JsonObject


@dataclass(frozen=True, slots=True)
class RiskFactor:
    """One reason for a score: a name of the weights table, its points, a sentence for people."""

    name: str
    points: Decimal
    detail: str


@dataclass(frozen=True, slots=True)
class RiskAssessment:
    """How dangerous an action is and why. `score` is 0..100, the clamped sum of the points."""

    level: RiskLevel
    score: Decimal
    factors: tuple[RiskFactor, ...]
    recommendation: str
    """`auto_approve`, `require_approval` or `block`; advice, the policy decides."""


@dataclass(frozen=True, slots=True)
class ApproverSet:
    """One named set of people who may approve.

    `source` says where membership comes from: `users` (then `users` lists Slack ids or
    e-mail addresses), `slack_usergroup:S…` or `schedule:NAME` (then `users` is None and
    membership is looked up at the click).
    """

    group: str | None
    source: str
    users: tuple[str, ...] | None = None
    seat: bool = True
    """False for people added by an escalation: they count for the quorum, never for a group's seat."""


@dataclass(frozen=True, slots=True)
class Requirement:
    """Who may approve and how many must; a snapshot, made stricter by edits, never looser."""

    quorum: int
    one_from_each: bool
    approvers: tuple[ApproverSet, ...]

    @property
    def mandatory(self) -> tuple[str, ...]:
        """Groups of which each must give one approver."""
        if not self.one_from_each:
            return ()
        return tuple(a.group for a in self.approvers if a.group is not None and a.seat)

    @property
    def needed(self) -> int:
        """How many distinct people must approve: the quorum, at least one for each mandatory group."""
        return max(self.quorum, len(self.mandatory), 1)


@dataclass(frozen=True, slots=True)
class PolicyDecision:
    """What a policy said of an action, as the agent and the card read it."""

    name: str | None
    version: str
    rule: str
    effect: Effect
    explanation: str
    rollback_until: timedelta = timedelta(hours=24)
    """How long after it ran an action may be rolled back."""
    grantable_up_to: RiskLevel | None = None
    """The highest risk of similar ones that whoever approves it may approve in advance; None: none."""


@dataclass(frozen=True, slots=True)
class Target:
    """Where an escalation knocks: `kind` of `notify` (`slack`, `slack_dm`, `email`, …) and its address."""

    kind: str
    address: str


@dataclass(frozen=True, slots=True)
class Hours:
    """Business hours, by the clock of whoever is asked."""

    name: str
    windows: tuple[Window, ...]
    zone: str
    """IANA zone of recipients that have none of their own, such as channels."""
    hold: bool
    """Outside of them a level waits for them; else it is passed over."""


@dataclass(frozen=True, slots=True)
class Remind:
    """How often people are reminded while a level waits."""

    every: timedelta
    """Until the first reminder; the time to each further one is twice as long as to the one before."""
    times: int


@dataclass(frozen=True, slots=True)
class Level:
    """One rung of the ladder, fixed at submission. Level 0 opens with the request."""

    opens_at: datetime
    ends_at: datetime
    rule: str | None = None
    escalate_to: str | None = None
    entitles: tuple[ApproverSet, ...] = ()
    notify: tuple[Target, ...] = ()
    remind: Remind | None = None
    during: Hours | None = None
    triggers: tuple[str, ...] = ()
    """Rules that acted at once and widened level 0."""


@dataclass(frozen=True, slots=True)
class Charge:
    """What one automatic approval uses up of a limit of its policy."""

    limit: str
    """`<policy>/<limit>`."""
    agent: str | None
    """Whose use counts; None when every agent's does."""
    per: timedelta
    """Length of the window, which ends at the approval."""
    amount: Decimal | None
    """In the policy's base currency, not negative; None when only approvals are counted."""
    most: int | None
    """Approvals that the window may hold, this one included."""
    most_amount: Decimal | None


@dataclass(frozen=True, slots=True)
class Used:
    """What the approvals in a limit's window use up."""

    count: int = 0
    amount: Decimal = Decimal(0)

    def leaves_room_for(self, charge: Charge) -> bool:
        """Whether the limit holds with `charge` on top."""
        if charge.most is not None and self.count + 1 > charge.most:
            return False
        if charge.amount is None or charge.most_amount is None:
            return True
        return self.amount + charge.amount <= charge.most_amount


@dataclass(frozen=True, slots=True)
class Terms:
    """What a policy lays down alike for all actions that it rules on."""

    channel: str | None
    """Slack channel of the card: an id, or `#name`."""
    level_wait: timedelta
    """`default_timeout`: how long a level waits when nothing else says."""
    approval_valid_for: timedelta
    agent_may_escalate_to: tuple[ApproverSet, ...] = ()
    grant_max_risk: RiskLevel | None = None
    """The highest level that a grant may cover; None: the policy allows no grants."""
    standing: Requirement | None = None
    """Whom the policy asks when nothing more special applies; None when no policy ruled."""
    remind: Remind | None = None
    """How level 0, and each level whose rule says nothing else, reminds."""
    ack_for: timedelta = timedelta(minutes=10)
    """By how much an acknowledgement moves what is still to come."""


@dataclass(frozen=True, slots=True)
class Ruling:
    """Everything a policy lays down for one action: the verdict and, when people must be asked, how."""

    policy: PolicyDecision
    cause: Cause | None
    """Why the action was decided; None when people must be asked."""
    requirement: Requirement | None
    """None unless the effect is `review`."""
    terms: Terms
    ladder: tuple["LadderRule", ...] = ()
    never_approve: bool = False
    """True at or above `auto_reject_threshold` or in a block rule: an edit to this action is refused."""
    charges: tuple[Charge, ...] = ()
    """What an automatic approval uses up; checked again in the transaction that stores it."""
    grantable: bool = False
    """Whether people are asked in such a way that one of them may approve similar actions in advance."""
    grant: str | None = None
    """The grant that approved it."""
    immediate: tuple["LadderRule", ...] = ()
    """Matching rules without `after`: they widen level 0."""

    @property
    def effect_is_review(self) -> bool:
        """Whether people must be asked."""
        return self.policy.effect is Effect.REVIEW


@dataclass(frozen=True, slots=True)
class LadderRule:
    """A matching rule of the policy: when it acts, whom it asks, how long its level lasts."""

    name: str
    after: timedelta | None
    """None for a rule that acts at once."""
    wait: timedelta | None
    escalate_to: ApproverSet
    may_approve: bool
    notify: tuple[Target, ...]
    remind: Remind | None = None
    during: Hours | None = None


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody in Slack as the directory knows them at this moment."""

    id: SlackId
    team_id: str
    name: str
    email: str | None = None
    tz: str | None = None
    is_bot: bool = False
    is_guest: bool = False
    is_deleted: bool = False

    @property
    def may_decide(self) -> bool:
        """Whether anything may be theirs to decide: not a bot's, a guest's, or of one who has left."""
        return not (self.is_bot or self.is_guest or self.is_deleted)

    def is_named(self, name: str) -> bool:
        """Whether `name`, a Slack id or an e-mail address, is this person's."""
        if "@" in name:
            return self.email is not None and self.email.casefold() == name.casefold()
        return self.id == name


@dataclass(frozen=True, slots=True)
class Reviewer:
    """Who gave a verdict: the immutable Slack id, and the name to show."""

    id: SlackId
    name: str


@dataclass(frozen=True, slots=True)
class Conditions:
    """What an approver attached: free text for the agent, and a window the claim must fall in."""

    text: str | None = None
    not_before: datetime | None = None
    not_after: datetime | None = None


@dataclass(frozen=True, slots=True)
class Review:
    """One person's verdict on one digest."""

    reviewer: Reviewer
    verdict: Verdict
    digest: Digest
    at: datetime
    reason: str | None = None
    conditions: Conditions | None = None
    groups: tuple[str, ...] = ()
    """Groups with a seat that this person belonged to at the click."""
    stands_for: tuple[SlackId, ...] = ()
    """People whose on-call shift this person covered at the click: with them it is one person."""
    voided: bool = False
    counts: bool = True
    """False for an edit that its author may not approve as well."""


@dataclass(frozen=True, slots=True)
class Proposal:
    """An edit waiting for agreement: what would run instead, judged anew."""

    params: JsonObject
    digest: Digest
    risk: RiskAssessment
    policy: PolicyDecision
    requirement: Requirement
    by: Reviewer


@dataclass(frozen=True, slots=True)
class Decision:
    """How a request ended. Params, digests and expiry are None unless it may run."""

    status: Status
    by: tuple[Reviewer, ...]
    reason: str | None
    decided_at: datetime
    conditions: Conditions | None = None
    params: JsonObject | None = None
    digest: Digest | None = None
    preview_digest: Digest | None = None
    expires_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Undo:
    """How the latest rollback of an action stands, as its card tells it."""

    state: RollbackState
    at: datetime
    digest: Digest
    """Of the rollback; what a confirmation names."""
    confirmed: bool = False
    """Whether enough people have confirmed it, so that the agent may apply it."""
    missing: int = 0
    """Confirmations that it still needs."""
    message: str | None = None
    """What came of it, and what remains to be done by hand."""
    session: bool = False
    """Whether it is a step of a whole session's rollback."""
    partial: str | None = None
    """What became of that rollback, when it has undone only a part of the session."""
    by: tuple[str, ...] = ()
    """Names of those who have confirmed it."""


@dataclass(frozen=True, slots=True)
class Execution:
    """What became of the decided action. `outcome` is the agent's report as it was sent."""

    state: ExecutionState = ExecutionState.NOT_STARTED
    claimed_at: datetime | None = None
    finished_at: datetime | None = None
    success: bool | None = None
    error: str | None = None
    rollback_id: str | None = None
    outcome: JsonObject | None = None
    rollback_until: datetime | None = None
    """Until when it may be rolled back; None when it reported nothing that could undo it."""
    rollback_digest: Digest | None = None
    """Of the data that undoes it."""
    undo: Undo | None = None
    """The latest rollback, if there was one."""

    @property
    def final(self) -> bool:
        """Whether nothing more is expected of the agent."""
        return self.state not in (ExecutionState.NOT_STARTED, ExecutionState.CLAIMED)


@dataclass(frozen=True, slots=True)
class Acknowledgement:
    """Somebody who may decide has said "I'm on it"."""

    by: Reviewer
    at: datetime


@dataclass(frozen=True, slots=True)
class Watch:
    """How a request's waiting goes: who took it, when people are reminded, how late Keyturn was."""

    ack_for: timedelta = timedelta(minutes=10)
    acks: tuple[Acknowledgement, ...] = ()
    reminded: int = 0
    """Reminders of the present level."""
    remind_at: datetime | None = None
    """When the next one is due; None when no more will come."""
    late: timedelta = timedelta(0)
    """How long after its time the latest step was taken."""


@dataclass(frozen=True, slots=True)
class Message:
    """A line of the talk between reviewers and the agent. `sender` is a Slack id or the agent's name."""

    sender: str
    text: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Alternative:
    """Another action of the same type that the agent offers instead."""

    description: str
    params: JsonObject


@dataclass(frozen=True, slots=True)
class Submission:
    """What an agent sent, validated: its callback host is allowed, `params_schema` holds for `params`."""

    action: Action
    description: str
    reason: str | None = None
    session_id: str | None = None
    on_behalf_of: str | None = None
    urgency: Urgency = Urgency.NORMAL
    timeout: timedelta | None = None
    until: datetime | None = None
    """The whole ladder ends by then; None when only the policy says."""
    escalate_to: str | None = None
    params_schema: JsonObject | None = None
    preview: str | None = None
    alternatives: tuple[Alternative, ...] = ()
    related: tuple[str, ...] = ()
    rollback: Any = None
    """Planned undo: an object, a list of them, or None."""
    callback_url: str | None = None
    metadata: JsonObject | None = None


@dataclass(frozen=True, slots=True)
class ApprovalRequest:
    """One ask for one action, and everything that has happened to it."""

    id: RequestId
    agent: str
    owner: SlackId | None
    """The person behind the agent's token when it asked; may never approve it."""
    submission: Submission
    digest: Digest
    preview_digest: Digest | None
    risk: RiskAssessment
    policy: PolicyDecision
    requirement: Requirement | None
    status: Status
    cause: Cause | None
    decision: Decision | None
    created_at: datetime
    updated_at: datetime
    version: int
    """1 at submission, one more with each change; an update names the version it read."""
    level: int = 0
    plan: tuple[Level, ...] = ()
    """The ladder; empty when nobody is asked."""
    approval_valid_for: timedelta = timedelta(0)
    channel: str | None = None
    reviews: tuple[Review, ...] = ()
    proposal: Proposal | None = None
    execution: Execution = field(default_factory=Execution)
    messages: tuple[Message, ...] = ()
    watch: Watch = field(default_factory=Watch)

    @property
    def action(self) -> Action:
        """What was submitted."""
        return self.submission.action

    @property
    def automatic(self) -> bool:
        """True when no person was asked."""
        return self.cause is not None and self.cause.automatic

    @property
    def current_action(self) -> Action:
        """What an approval would let run: the proposal when there is one, else what was submitted."""
        if self.proposal is None:
            return self.action
        return Action(self.action.type, self.proposal.params)

    @property
    def current_digest(self) -> Digest:
        """Digest of `current_action`; a click that names another is stale."""
        return self.digest if self.proposal is None else self.proposal.digest

    @property
    def current_risk(self) -> RiskAssessment:
        """Risk of `current_action`."""
        return self.risk if self.proposal is None else self.proposal.risk

    @property
    def current_requirement(self) -> Requirement | None:
        """Who must agree to `current_action`."""
        return self.requirement if self.proposal is None else self.proposal.requirement

    @property
    def deadline_at(self) -> datetime | None:
        """End of the last level; from then on the request is timed out."""
        return self.plan[-1].ends_at if self.plan else None

    @property
    def next_deadline_at(self) -> datetime | None:
        """When the scheduler must look again: a reminder, or the level's end; None once decided."""
        if self.status is not Status.PENDING:
            return None
        ends_at, remind_at = self.plan[self.level].ends_at, self.watch.remind_at
        return ends_at if remind_at is None else min(ends_at, remind_at)

    @property
    def next_escalation_at(self) -> datetime | None:
        """When the next level opens; None when there is none or the request is decided."""
        if self.status is not Status.PENDING or self.level + 1 >= len(self.plan):
            return None
        return self.plan[self.level].ends_at

    @property
    def effective_preview_digest(self) -> Digest | None:
        """The preview an approval would bind; an edit drops it."""
        return self.preview_digest if self.proposal is None else None


class ActorType(StrEnum):
    """Who does things."""

    HUMAN = "human"
    AGENT = "agent"
    SYSTEM = "system"
    POLICY = "policy"


@dataclass(frozen=True, slots=True)
class Actor:
    """Who did it: a Slack id, an agent's name, a policy's name or a part of the system."""

    type: ActorType
    id: str
    name: str

    @classmethod
    def system(cls, part: str) -> "Actor":
        """Keyturn itself, naming the part that acted."""
        return cls(ActorType.SYSTEM, part, part)

    @classmethod
    def agent(cls, name: str) -> "Actor":
        """An agent, by the name its token was made for."""
        return cls(ActorType.AGENT, name, name)

    @classmethod
    def human(cls, person: Person | Reviewer) -> "Actor":
        """Somebody in Slack."""
        return cls(ActorType.HUMAN, person.id, person.name)


class Via(StrEnum):
    """The face through which a change came."""

    SLACK = "slack"
    HTTP = "http"
    CLI = "cli"
    SCHEDULER = "scheduler"


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened, before it has its place in the chain."""

    name: str
    actor: Actor
    via: Via
    body: JsonObject
    agent: str | None = None
    request_id: str | None = None
    session_id: str | None = None


@dataclass(frozen=True, slots=True)
class Transition:
    """One change: the request as it now stands, what happened, and what must be told to whom.

    `now` is the one time that every row of the change carries. `request.version` is one more
    than the version the change was made from.
    """

    request: ApprovalRequest
    events: tuple[Event, ...]
    now: datetime
    outbox: tuple["Outgoing", ...] = ()


@dataclass(frozen=True, slots=True)
class Outgoing:
    """Something to be sent once the change is on disk.

    `kind` names the sender's work (`slack.post`, `slack.paint`, `slack.ephemeral`, `slack.thread`,
    `callback`, …). Work with the same `coalesce` key that is still unsent is one piece of work;
    work with the same `order` key is sent one at a time, in order.
    """

    kind: str
    payload: JsonObject
    order: str
    coalesce: str | None = None
    request_id: str | None = None


@dataclass(frozen=True, slots=True)
class Agent:
    """A credential and what it may do."""

    name: str
    scopes: frozenset[str]
    owner: SlackId | None
    rate: int
    """POSTs of requests and evaluate per minute; 0 for no limit."""
    callback_hosts: tuple[str, ...]
    created_at: datetime
    revoked_at: datetime | None = None
    credential: str | None = field(default=None, repr=False)
    """Hash of the token in force, so that a write can check at its own moment that it still is."""

    @property
    def reads_all(self) -> bool:
        """Whether this credential sees every agent's requests."""
        return bool(self.scopes & {"auditor", "operator"})


@dataclass(frozen=True, slots=True)
class Session:
    """One run of an agent. `id` is unique within the agent."""

    agent: str
    id: str
    name: str | None
    metadata: JsonObject | None
    started_at: datetime
    ended_at: datetime | None = None
    summary: str | None = None
    counts: Mapping[str, int] = field(default_factory=dict)
    """Requests by status."""
