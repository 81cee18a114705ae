"""What the store needs done to it that no change of a request brings with it."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from bot.store.codec import duration_micros, micros
from bot.store.transaction import Tx


@dataclass(frozen=True, slots=True)
class Probe:
    """A write for its own sake, which shows that storage takes writes again after trouble."""

    now: datetime

    def apply(self, tx: Tx) -> None:
        tx.execute(_PROBE, {"now": str(micros(self.now))})


@dataclass(frozen=True, slots=True)
class Prune:
    """Forget what ended `keep` before `now`: mail, idle lanes, keys of decided requests.

    At most `limit` rows of each, so that no batch is held up; returns how many went, 0 when done.
    """

    now: datetime
    keep: timedelta = timedelta(days=30)
    limit: int = 1000

    def apply(self, tx: Tx) -> int:
        params = {"before": micros(self.now - self.keep), "limit": self.limit}
        return sum(tx.execute(sql, params) for sql in (_PRUNE_OUTBOX, _PRUNE_PACE, _PRUNE_KEYS))


@dataclass(frozen=True, slots=True)
class SetBack:
    """The clock was set back: what waits for a moment soon after the old time waits by the new one.

    Without it a lane that was to rest for a second, or a lease of half a minute, would last an hour.
    Deadlines are what people were promised, and stay.
    """

    by: timedelta

    def apply(self, tx: Tx) -> None:
        for sql in (_SET_BACK_LANES, _SET_BACK_OUTBOX, _END_LEASES):
            tx.execute(sql, {"by": duration_micros(self.by)} if ":by" in sql else {})
        tx.outbox = True


# Another value each time: SQLite writes no page for a row that stays as it is.
_PROBE = """
    INSERT INTO meta (name, value) VALUES ('probed_at', :now)
    ON CONFLICT (name) DO UPDATE SET value = excluded.value
"""
_PRUNE_OUTBOX = """
    DELETE FROM outbox WHERE id IN (
        SELECT id FROM outbox WHERE (done_at IS NOT NULL OR failed_at IS NOT NULL)
        AND created_at < :before AND COALESCE(done_at, failed_at) < :before LIMIT :limit)
"""
_PRUNE_PACE = """
    DELETE FROM pace WHERE key IN (
        SELECT key FROM pace WHERE ready_at IS NULL AND free_at < :before LIMIT :limit)
"""
_PRUNE_KEYS = """
    DELETE FROM idempotency WHERE (agent, scope, key) IN (
        SELECT i.agent, i.scope, i.key FROM idempotency i JOIN request r ON r.id = i.request_id
        WHERE i.created_at < :before AND r.decided_at < :before LIMIT :limit)
"""
_SET_BACK_LANES = """
    UPDATE pace SET free_at = CASE WHEN free_at > :by THEN free_at - :by ELSE 0 END, ready_at = ready_at - :by
"""
_SET_BACK_OUTBOX = """
    UPDATE outbox SET next_at = next_at - :by, lease_until = lease_until - :by
    WHERE done_at IS NULL AND failed_at IS NULL
"""
_END_LEASES = """
    UPDATE request SET due_at = next_deadline_at WHERE status = 'pending' AND due_at > next_deadline_at
"""
