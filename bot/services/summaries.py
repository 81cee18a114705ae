"""What the events of a session or of some days add up to: outcomes, times, escalations, who decided.

Everything is counted from the audit alone, so the figures are those that an auditor can check.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from statistics import median, quantiles
from typing import Any

from bot.core.models import ActorType
from bot.core.times import read_rfc3339
from bot.store.audit_reads import AuditEvent

DECIDED = {
    "action_approved": "approved",
    "action_modified": "modified",
    "action_rejected": "rejected",
    "action_timed_out": "timed out",
    "action_cancelled": "cancelled",
}
"""How each deciding event is called."""

_QUICK = timedelta(seconds=5)


@dataclass(slots=True)
class Story:
    """What happened to one request, as far as the events say."""

    agent: str
    type: str = "unknown"
    risk: str = "none"
    asked_at: datetime | None = None
    decided_at: datetime | None = None
    outcome: str = "pending"
    automatic: bool = False
    by: tuple[str, ...] = ()
    acknowledged_at: datetime | None = None
    ran: str | None = None

    @property
    def took(self) -> timedelta | None:
        """From the ask to a person's decision; unknown if the clock was set back in between."""
        if self.asked_at is None or self.decided_at is None or not self.by or self.decided_at < self.asked_at:
            return None
        return self.decided_at - self.asked_at

    @property
    def acknowledged_after(self) -> timedelta | None:
        """From the ask to "I'm on it"."""
        if self.asked_at is None or self.acknowledged_at is None:
            return None
        return self.acknowledged_at - self.asked_at


@dataclass(frozen=True, slots=True)
class Spread:
    """Typical and slow: the median and the 90th percentile of some durations."""

    count: int
    median: timedelta
    p90: timedelta


@dataclass(slots=True)
class Summary:
    """Figures over some events."""

    stories: dict[str, Story] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)
    """Names of people by their ids."""
    reviews: Counter[tuple[str, str]] = field(default_factory=Counter)
    """How often a person gave a verdict."""
    events: Counter[str] = field(default_factory=Counter)
    escalations: Counter[int] = field(default_factory=Counter)
    """How often each level opened."""
    partial: set[str] = field(default_factory=set)
    """Rollbacks of sessions that have undone only a part."""

    @property
    def asked(self) -> list[Story]:
        """The requests that were made in this time; of older ones only the end of the story is known."""
        return [story for story in self.stories.values() if story.asked_at is not None]

    @property
    def outcomes(self) -> Counter[str]:
        """Requests by how they ended."""
        return Counter(story.outcome for story in self.asked)

    @property
    def deciding(self) -> Spread | None:
        """How long people took to decide."""
        return spread(story.took for story in self.stories.values())

    @property
    def acknowledging(self) -> Spread | None:
        """How long it took until somebody was on it."""
        return spread(story.acknowledged_after for story in self.stories.values())

    @property
    def quick(self) -> int:
        """Decisions by people in less than five seconds: perhaps nobody read the card."""
        return sum(story.took is not None and story.took < _QUICK for story in self.stories.values())

    @property
    def automatic(self) -> int:
        """Requests that no person was asked about."""
        return sum(story.automatic for story in self.asked)

    @property
    def grants_used(self) -> int:
        """Requests that a standing approval covered."""
        return self.events["grant_used"]

    @property
    def rolled_back(self) -> int:
        """Actions that were undone."""
        return self.events["action_rolled_back"]

    def add(self, event: AuditEvent) -> None:
        """Count one more event. It does not matter in which order they come."""
        self.events[event.event] += 1
        if event.actor.type is ActorType.HUMAN and event.actor.name != event.actor.id:
            self.names.setdefault(event.actor.id, event.actor.name)
        if event.request_id is not None:
            story = self.stories.setdefault(event.request_id, Story(event.agent or "unknown"))
            _tell(self, story, event)

    def name(self, id: str) -> str:
        """A person by name."""
        return self.names.get(id, id)


def spread(durations: Iterable[timedelta | None]) -> Spread | None:
    """Median and 90th percentile of the durations that are known; None when none is."""
    known = sorted(duration.total_seconds() for duration in durations if duration is not None)
    if not known:
        return None
    slow = known[-1] if len(known) < 2 else quantiles(known, n=10, method="inclusive")[8]
    return Spread(len(known), timedelta(seconds=median(known)), timedelta(seconds=slow))


def span(length: timedelta) -> str:
    """`4.2 s`, `95 s`, `12 min`, `3.5 h`: enough for a figure."""
    seconds = length.total_seconds()
    if seconds < 120:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def summarise(events: Iterable[AuditEvent]) -> Summary:
    """Figures over events."""
    summary = Summary()
    for event in events:
        summary.add(event)
    return summary


def _tell(summary: Summary, story: Story, event: AuditEvent) -> None:
    at, body = read_rfc3339(event.at), event.body
    match event.event:
        case "action_requested":
            story.asked_at, story.type = at, body["type"]
        case "policy_applied":
            story.risk = body["risk"]
        case "review_recorded":
            summary.reviews[event.actor.id, _verdict(body)] += 1
        case "escalation_triggered":
            summary.escalations[(body.get("after") or {}).get("level", 0)] += 1
        case "action_acknowledged":
            story.acknowledged_at = at if story.acknowledged_at is None else min(at, story.acknowledged_at)
        case "action_executed":
            story.ran = "succeeded"
        case "action_failed":
            story.ran = "failed"
    if body.get("partial") is True:
        summary.partial.add(body["whole"])
    if event.event in DECIDED:
        _decide(story, event, at)


def _decide(story: Story, event: AuditEvent, at: datetime) -> None:
    after: Mapping[str, Any] = event.body.get("after") or {}
    decision = after.get("decision") or {}
    people: Sequence[str] = decision.get("by") or ()
    decided = decision.get("decided_at")
    story.outcome, story.by = DECIDED[event.event], tuple(people)
    story.decided_at = at if decided is None else read_rfc3339(decided)
    story.automatic = after.get("cause") in ("policy_rule", "risk_threshold", "grant", "paused")


def _verdict(body: Mapping[str, Any]) -> str:
    reviews = (body.get("after") or {}).get("reviews") or []
    return str(reviews[-1]["verdict"]) if reviews else "approve"
