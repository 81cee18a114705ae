"""Taking requests whose time has come, under a lease in the row.

`due_at` is when the scheduler looks again: the deadline, or the end of the lease of whoever is
looking. Any process may take what is due; the request's version keeps each step single.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from bot.core.models import RequestId
from bot.store.codec import duration_micros, micros, optional_micros
from bot.store.transaction import Tx


@dataclass(frozen=True, slots=True)
class LeaseDue:
    """Pending requests whose deadline has passed, for the caller alone until `now + lease`.

    The lease ends early when the request changes. At most `limit`, the longest overdue first.
    """

    now: datetime
    limit: int = 200
    lease: timedelta = timedelta(seconds=30)

    def apply(self, tx: Tx) -> list[RequestId]:
        now = micros(self.now)
        leased = tx.fetch_all(
            _LEASE_DUE, {"now": now, "until": now + duration_micros(self.lease), "limit": self.limit}
        )
        return [row["id"] for row in sorted(leased, key=lambda row: row["next_deadline_at"])]


@dataclass(frozen=True, slots=True)
class Rearm:
    """End a lease without a change: the request is looked at again `at` then.

    Nothing happens when the lease is over, or somebody has woken the request meanwhile.

    Args:
        leased_until: The end of the caller's lease.
        at: None for the request's deadline.
    """

    request_id: RequestId
    leased_until: datetime
    at: datetime | None = None

    def apply(self, tx: Tx) -> None:
        until, at = micros(self.leased_until), optional_micros(self.at)
        tx.execute(_REARM, {"id": self.request_id, "until": until, "at": at})


@dataclass(frozen=True, slots=True)
class Wake:
    """A pending request is to be looked at now, whatever its deadline."""

    request_id: RequestId
    now: datetime

    def apply(self, tx: Tx) -> None:
        tx.execute(_WAKE, {"id": self.request_id, "now": micros(self.now)})


_LEASE_DUE = """
    UPDATE request SET due_at = :until
    WHERE status = 'pending' AND due_at <= :now AND id IN (
        SELECT id FROM request WHERE status = 'pending' AND due_at <= :now ORDER BY due_at LIMIT :limit)
    RETURNING id, next_deadline_at
"""
_REARM = """
    UPDATE request SET due_at = COALESCE(:at, next_deadline_at)
    WHERE id = :id AND due_at = :until AND status = 'pending'
"""
_WAKE = "UPDATE request SET due_at = :now WHERE id = :id AND status = 'pending' AND due_at > :now"
