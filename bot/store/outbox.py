"""Taking work from the outbox under a lease, and saying what became of it.

Each message is sent at least once: a lease that runs out makes the row ready again, marked
unclear. Of a lane (`mail`) one row at most is leased, the oldest, so later ones wait even while
the first is put off. Paced kinds keep their lane shut for a while after each start.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta

from bot.core import jsontext
from bot.core.models import Event, JsonObject, Outgoing
from bot.store.cards import CardFailed, CardPainted, CardPosted
from bot.store.codec import duration_micros, micros, moment, optional_moment
from bot.store.dialect import Row
from bot.store.mail import enqueue
from bot.store.transaction import Tx

POSTING = frozenset(
    {"slack.post", "slack.thread", "slack.note", "slack.mention", "slack.nudge", "slack.alert"}
)
"""Kinds that Slack lets through once a second in each channel (docs.slack.dev, rate limits)."""


@dataclass(frozen=True, slots=True)
class OutboxItem:
    """A leased row.

    `attempts` counts this one. `unclear`: an earlier try may have arrived. `generation` rises
    when the same work is asked for again; `CompleteOutbox` takes it back.
    """

    id: int
    kind: str
    order_key: str
    coalesce_key: str | None
    request_id: str | None
    payload: JsonObject
    attempts: int
    generation: int
    unclear: bool
    first_attempt_at: datetime
    created_at: datetime
    lease_until: datetime
    last_error: str | None


@dataclass(frozen=True, slots=True)
class EnqueueOutbox:
    """Work that no change of a request brings with it."""

    outgoing: tuple[Outgoing, ...]
    now: datetime

    def apply(self, tx: Tx) -> None:
        enqueue(tx, self.outgoing, self.now)


@dataclass(frozen=True, slots=True)
class LeaseOutbox:
    """Rows that are due, for the caller alone until `now + lease`; the longest waiting lanes first.

    Args:
        kinds: What the caller can send.
        pace: After a kind in `paced` is leased, how long nothing of its lane is.
        owner: Who leases, for people who look into the table.
    """

    now: datetime
    limit: int
    lease: timedelta
    kinds: Collection[str]
    pace: timedelta = timedelta(seconds=1)
    paced: frozenset[str] = POSTING
    owner: str = ""

    def apply(self, tx: Tx) -> list[OutboxItem]:
        now, kinds = micros(self.now), sorted(self.kinds)
        names = [f"kind_{place}" for place in range(len(kinds))]
        if not kinds:
            return []
        sql = _DUE.format(kinds=", ".join(f":{name}" for name in names))
        due = tx.fetch_all(sql, dict(zip(names, kinds, strict=True), now=now, limit=self.limit))
        items = [self._take(tx, row, now) for row in due]
        return [item for item in items if item is not None]

    def _take(self, tx: Tx, row: Row, now: int) -> OutboxItem | None:
        until = now + duration_micros(self.lease)
        ready = max(row["next_at"], row["free_at"], row["lease_until"] or 0)
        lane = {"key": row["order_key"], "seen": row["ready_at"]}
        if ready > now:
            tx.execute(_MOVE_LANE, lane | {"ready_at": ready, "free_at": row["free_at"]})
            return None
        shut = now + duration_micros(self.pace) if row["kind"] in self.paced else row["free_at"]
        if tx.execute(_MOVE_LANE, lane | {"ready_at": until, "free_at": shut}) == 0:
            return None  # another process took the lane
        taken = {"id": row["id"], "now": now, "until": until, "owner": self.owner}
        if tx.execute(_LEASE, taken) == 0:
            _reopen(tx, row["order_key"])
            return None
        return _item(row, now, until)


@dataclass(frozen=True, slots=True)
class RenewLease:
    """The row stays its sender's until `until`; False when it is not any more.

    Args:
        attempts: The leased item's: of a later try the lease is another's.
    """

    id: int
    attempts: int
    until: datetime

    def apply(self, tx: Tx) -> bool:
        lane = _hold(tx, self.id)
        renewed = tx.execute(_RENEW, {"id": self.id, "attempts": self.attempts, "until": micros(self.until)})
        _reopen(tx, lane)
        return renewed == 1


@dataclass(frozen=True, slots=True)
class CompleteOutbox:
    """The row was sent. Asked for again meanwhile (its generation is another): it is sent again.

    Args:
        card: What became of the card it was about, stored with it.
    """

    id: int
    generation: int
    now: datetime
    events: tuple[Event, ...] = ()
    outbox: tuple[Outgoing, ...] = ()
    card: CardPosted | CardPainted | CardFailed | None = None

    def apply(self, tx: Tx) -> None:
        lane = _hold(tx, self.id)
        params = {"id": self.id, "now": micros(self.now)}
        if tx.execute(_DONE, params | {"generation": self.generation}) == 0:
            tx.execute(_AGAIN, params)
        _end(tx, lane, self.events, self.outbox, self.now)
        if self.card is not None:
            self.card.apply(tx)


@dataclass(frozen=True, slots=True)
class RetryOutbox:
    """The row was not sent, or nobody knows (`unclear`): it is due again at `next_at`.

    Args:
        attempts: The leased item's, so that a claimant whose lease ran out cannot end another's.
        wake: Its pending request is due at once, so that somebody else may be asked.
    """

    id: int
    now: datetime
    next_at: datetime
    error: str
    unclear: bool = False
    attempts: int | None = None
    events: tuple[Event, ...] = ()
    wake: bool = False

    def apply(self, tx: Tx) -> None:
        lane = _hold(tx, self.id)
        tx.execute(
            _RETRY,
            {
                "id": self.id,
                "next_at": micros(self.next_at),
                "error": self.error,
                "unclear": int(self.unclear),
                "attempts": self.attempts,
            },
        )
        if self.wake:
            tx.execute(_WAKE, {"id": self.id, "now": micros(self.now)})
        _end(tx, lane, self.events, (), self.now)


@dataclass(frozen=True, slots=True)
class FailOutbox:
    """The row can never be sent; it stays, with its error, until it is pruned.

    Args:
        wake: Its pending request is due at once, so that somebody else may be asked.
    """

    id: int
    now: datetime
    error: str
    events: tuple[Event, ...] = ()
    outbox: tuple[Outgoing, ...] = ()
    card: CardFailed | None = None
    wake: bool = False

    def apply(self, tx: Tx) -> None:
        lane = _hold(tx, self.id)
        tx.execute(_FAIL, {"id": self.id, "now": micros(self.now), "error": self.error})
        if self.wake:
            tx.execute(_WAKE, {"id": self.id, "now": micros(self.now)})
        _end(tx, lane, self.events, self.outbox, self.now)
        if self.card is not None:
            self.card.apply(tx)


@dataclass(frozen=True, slots=True)
class PaceKey:
    """Nothing of the lane `key` is leased before `free_at`, as a Retry-After asks."""

    key: str
    free_at: datetime

    def apply(self, tx: Tx) -> None:
        tx.execute(_SHUT_LANE, {"key": self.key, "free_at": micros(self.free_at)})


def _end(tx: Tx, lane: str, events: tuple[Event, ...], outgoing: tuple[Outgoing, ...], now: datetime) -> None:
    _reopen(tx, lane)
    for event in events:
        tx.emit(event, now)
    enqueue(tx, outgoing, now)


def _hold(tx: Tx, item_id: int) -> str:
    """The lane of a row, locked: on PostgreSQL nobody may add to it between the look and the write."""
    row = tx.fetch_one(_HOLD_LANE, {"id": item_id})
    return "" if row is None else row["key"]


def _reopen(tx: Tx, lane: str) -> None:
    """Say when the lane's first unsent row is to be looked at."""
    tx.execute(_REOPEN_LANE, {"key": lane})


def _item(row: Row, now: int, until: int) -> OutboxItem:
    first: int | None = row["first_attempt_at"]
    return OutboxItem(
        id=row["id"],
        kind=row["kind"],
        order_key=row["order_key"],
        coalesce_key=row["coalesce_key"],
        request_id=row["request_id"],
        payload=jsontext.reread(row["payload"]),
        attempts=row["attempts"] + 1,
        generation=row["generation"],
        unclear=bool(row["unclear"]) or row["lease_until"] is not None,
        first_attempt_at=optional_moment(first) or moment(now),
        created_at=moment(row["created_at"]),
        lease_until=moment(until),
        last_error=row["last_error"],
    )


_OPEN = "done_at IS NULL AND failed_at IS NULL"

_DUE = f"""
    SELECT p.free_at, p.ready_at, o.id, o.kind, o.order_key, o.coalesce_key, o.request_id, o.payload,
        o.attempts, o.generation, o.unclear, o.next_at, o.lease_until, o.first_attempt_at, o.created_at,
        o.last_error
    FROM pace p JOIN outbox o
        ON o.id = (SELECT MIN(id) FROM outbox WHERE order_key = p.key AND {_OPEN})
    WHERE p.ready_at <= :now AND o.kind IN ({{kinds}})
    ORDER BY p.ready_at LIMIT :limit
"""
_MOVE_LANE = "UPDATE pace SET ready_at = :ready_at, free_at = :free_at WHERE key = :key AND ready_at = :seen"
_LEASE = f"""
    UPDATE outbox SET attempts = attempts + 1, lease_until = :until, lease_owner = :owner,
        unclear = CASE WHEN lease_until IS NULL THEN unclear ELSE 1 END,
        first_attempt_at = COALESCE(first_attempt_at, :now)
    WHERE id = :id AND {_OPEN} AND (lease_until IS NULL OR lease_until <= :now)
"""
_RENEW = f"""
    UPDATE outbox SET lease_until = :until
    WHERE id = :id AND attempts = :attempts AND lease_until < :until AND {_OPEN}
"""
_HOLD_LANE = """
    UPDATE pace SET ready_at = ready_at WHERE key = (SELECT order_key FROM outbox WHERE id = :id)
    RETURNING key
"""
_REOPEN_LANE = f"""
    UPDATE pace SET ready_at = (
        SELECT CASE WHEN COALESCE(o.lease_until, o.next_at) > pace.free_at
            THEN COALESCE(o.lease_until, o.next_at) ELSE pace.free_at END
        FROM outbox o WHERE o.order_key = pace.key AND {_OPEN} ORDER BY o.id LIMIT 1)
    WHERE key = :key
"""
_SHUT_LANE = """
    INSERT INTO pace (key, free_at) VALUES (:key, :free_at)
    ON CONFLICT (key) DO UPDATE SET
        free_at = CASE WHEN pace.free_at > excluded.free_at THEN pace.free_at ELSE excluded.free_at END,
        ready_at = CASE WHEN pace.ready_at < excluded.free_at THEN excluded.free_at ELSE pace.ready_at END
"""
_DONE = f"""
    UPDATE outbox SET done_at = :now, lease_until = NULL, lease_owner = NULL, unclear = 0
    WHERE id = :id AND generation = :generation AND {_OPEN}
"""
# What was asked for again starts afresh: its attempts are its own.
_AGAIN = f"""
    UPDATE outbox SET lease_until = NULL, lease_owner = NULL, next_at = :now, attempts = 0, unclear = 0,
        first_attempt_at = NULL, last_error = NULL
    WHERE id = :id AND {_OPEN}
"""
_RETRY = f"""
    UPDATE outbox SET lease_until = NULL, lease_owner = NULL, next_at = :next_at, last_error = :error,
        unclear = CASE WHEN :unclear = 1 THEN 1 ELSE unclear END
    WHERE id = :id AND {_OPEN} AND attempts = COALESCE(:attempts, attempts)
"""
_WAKE = """
    UPDATE request SET due_at = :now
    WHERE id = (SELECT request_id FROM outbox WHERE id = :id) AND status = 'pending' AND due_at > :now
"""
_FAIL = f"""
    UPDATE outbox SET failed_at = :now, last_error = :error, lease_until = NULL, lease_owner = NULL
    WHERE id = :id AND {_OPEN}
"""
