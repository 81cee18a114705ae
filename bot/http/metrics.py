"""Prometheus metrics, in a registry of their own.

What happens is counted as it is committed or answered; what stands in a queue is read when
somebody asks.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import cache

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest

from bot.core.clock import Clock
from bot.store import Committed

METRICS_TYPE = CONTENT_TYPE_PLAIN_0_0_4

_DECIDED = {
    "action_approved": "approved",
    "action_modified": "modified",
    "action_rejected": "rejected",
    "action_timed_out": "timed_out",
    "action_cancelled": "cancelled",
}
_DECISION_SECONDS = (1, 5, 15, 30, 60, 120, 300, 600, 1800, 3600, 14_400, 86_400)
_LATE_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5, 30, 300, 3600)
_COMMIT_EVENTS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)


@dataclass(frozen=True, slots=True)
class Standing:
    """What stands where at this moment."""

    waiters: int = 0
    """Agents that wait for a decision or follow a stream."""
    write_queue: int = 0
    """Changes that wait to be committed."""
    outbox: int = 0
    """Messages that wait to be sent."""
    pending: int = 0
    """Requests that wait for people."""


class Metrics:
    """Keyturn's metrics. Give `committed` to `Store.on_commit`."""

    def __init__(self, clock: Clock, standing: Callable[[], Awaitable[Standing]]) -> None:
        self._clock = clock
        self._standing = standing
        self._registry = registry = CollectorRegistry()
        self._events = Counter(
            "keyturn_audit_events", "Audit events committed here.", ["event"], registry=registry
        )
        self._decisions = Histogram(
            "keyturn_decision_seconds",
            "From the ask to the decision.",
            ["status"],
            buckets=_DECISION_SECONDS,
            registry=registry,
        )
        self._batches = Histogram(
            "keyturn_commit_events",
            "Audit events in one commit.",
            buckets=_COMMIT_EVENTS,
            registry=registry,
        )
        self._late = Histogram(
            "keyturn_deadline_lateness_seconds",
            "How long after its time a deadline was handled.",
            buckets=_LATE_SECONDS,
            registry=registry,
        )
        self._answers = Counter(
            "keyturn_http_answers", "Answers by status.", ["method", "route", "status"], registry=registry
        )
        # Looking a label up costs more than counting; few labels are ever used.
        self._event = cache(self._events.labels)
        self._answer = cache(self._answers.labels)
        self._waiters = Gauge("keyturn_waiters", "Agents that wait or follow a stream.", registry=registry)
        self._write_queue = Gauge(
            "keyturn_write_queue", "Changes that wait to be committed.", registry=registry
        )
        self._outbox = Gauge("keyturn_outbox", "Messages that wait to be sent.", registry=registry)
        self._pending = Gauge("keyturn_pending", "Requests that wait for people.", registry=registry)

    def committed(self, changes: Sequence[Committed]) -> None:
        """Count what one commit wrote."""
        if changes:
            self._batches.observe(len(changes))
        for change in changes:
            self._event(change.event).inc()
            status = _DECIDED.get(change.event)
            if status is not None and change.request_id is not None:
                self._decisions.labels(status).observe(self._age(change.request_id))

    def late(self, by: timedelta) -> None:
        """Count one deadline that was handled so long after its time."""
        self._late.observe(by.total_seconds())

    def answered(self, method: str, route: str, status: int) -> None:
        """Count one answer."""
        self._answer(method, route, status).inc()

    async def text(self) -> bytes:
        """Everything, as Prometheus reads it."""
        now = await self._standing()
        self._waiters.set(now.waiters)
        self._write_queue.set(now.write_queue)
        self._outbox.set(now.outbox)
        self._pending.set(now.pending)
        return generate_latest(self._registry)

    def _age(self, request_id: str) -> float:
        """Seconds since the request was made. Its id is a UUIDv7, which begins with that time in ms."""
        made = int(request_id.removeprefix("req_")[:12], 16) / 1000
        return max(0.0, self._clock.now().timestamp() - made)
