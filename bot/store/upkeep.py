"""What the store needs done to it that no change of a request brings with it."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from bot.store.codec import micros
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
