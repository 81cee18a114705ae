"""The nouns of a rollback, as frozen values; the rules that change them are in `rollback`."""

from dataclasses import dataclass
from datetime import datetime
from typing import NewType

from bot.core.digest import sha256
from bot.core.models import (
    Actor,
    ApprovalRequest,
    Digest,
    Event,
    JsonObject,
    Outgoing,
    PolicyDecision,
    RequestId,
    Requirement,
    Review,
    Reviewer,
    RiskAssessment,
    RollbackState,
    Via,
)
from bot.core.quorum import Missing, missing

RollbackId = NewType("RollbackId", str)
"""`rbk_` and a time-ordered id; a step of a session's rollback adds a dot and its place."""


@dataclass(frozen=True, slots=True)
class Report:
    """What the agent said of a step: its preview, or what came of it."""

    state: RollbackState
    summary: str
    diff: str | None = None
    affected: tuple[str, ...] = ()
    message: str | None = None

    @property
    def said(self) -> str:
        """What people are told of it: the message, else the summary."""
        return self.message or self.summary

    def as_json(self) -> JsonObject:
        """As the audit keeps it; the diff may hold secrets and is kept by its digest."""
        return {
            "state": self.state.value,
            "summary": self.summary,
            "diff": None if self.diff is None else sha256(self.diff.encode()),
            "affected": list(self.affected),
            "message": self.message,
        }


@dataclass(frozen=True, slots=True)
class Item:
    """One action to undo."""

    id: RollbackId
    request_id: RequestId
    data: JsonObject | list[JsonObject]
    digest: Digest
    state: RollbackState = RollbackState.REQUESTED
    beyond: str | None = None
    """Why it needs its own full approval; None when it stays within what was approved."""
    preview: Report | None = None
    result: Report | None = None
    unreported: bool = False
    """True while a claimed step counts as failed only because nothing was heard of it."""


@dataclass(frozen=True, slots=True)
class LeftOut:
    """An action of a session that cannot be undone, in one line, and why."""

    request_id: RequestId
    action: str
    why: str


@dataclass(frozen=True, slots=True)
class Confirmation:
    """One person's yes; the review holds who, when, why and to which digest."""

    review: Review
    force_reason: str | None = None


@dataclass(frozen=True, slots=True)
class Rollback:
    """One undo: of one request, or with `session_id` of a session."""

    id: RollbackId
    agent: str
    session_id: str | None
    items: tuple[Item, ...]
    """In the order in which they are undone: newest first."""
    digest: Digest
    reason: str
    force: bool
    started_by: Actor
    via: Via
    state: RollbackState
    risk: RiskAssessment
    policy: PolicyDecision
    requirement: Requirement
    created_at: datetime
    updated_at: datetime
    due_at: datetime | None
    version: int
    confirmations: tuple[Confirmation, ...] = ()
    confirmed_at: datetime | None = None
    left_out: tuple[LeftOut, ...] = ()
    message: str | None = None

    @property
    def reviews(self) -> tuple[Review, ...]:
        """The confirmations as reviews of the digest."""
        return tuple(given.review for given in self.confirmations)

    @property
    def missing(self) -> Missing:
        """What the requirement still lacks."""
        return missing(self.requirement, self.reviews, self.digest)

    @property
    def partial(self) -> bool:
        """Whether it has ended with some of it undone, and some not."""
        if self.state.open or not self.undone:
            return False
        return self.undone < len(self.items) or bool(self.left_out)

    @property
    def undone(self) -> int:
        """How many of its actions are undone."""
        return sum(1 for item in self.items if item.state is RollbackState.SUCCEEDED)

    @property
    def beyond(self) -> tuple[str, ...]:
        """Why it needs its own full approval, for each step that does."""
        return tuple(item.beyond for item in self.items if item.beyond is not None)

    def item(self, id: str) -> Item:
        """One step, by its own id."""
        return next(item for item in self.items if item.id == id)


@dataclass(frozen=True, slots=True)
class Step:
    """One change: the rollback and the requests as they now stand, what happened, what must be told."""

    rollback: Rollback
    requests: tuple[ApprovalRequest, ...]
    events: tuple[Event, ...]
    now: datetime
    outbox: tuple[Outgoing, ...] = ()


@dataclass(frozen=True, slots=True)
class Asked:
    """Who wants an undo, why and how."""

    reason: str
    actor: Actor
    via: Via
    force: bool = False


@dataclass(frozen=True, slots=True)
class Given:
    """A confirmation as it was given; its author is known to be entitled."""

    reviewer: Reviewer
    digest: str
    reason: str | None
    force_reason: str | None = None
    groups: tuple[str, ...] = ()
