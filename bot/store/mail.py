"""Putting work into the outbox, inside the transaction of the change that wants it.

Rows with the same order key form a lane and are sent one at a time, oldest first. `pace` has a
row for each lane: `free_at`, before which nothing of it may be sent, and `ready_at`, when its
first unsent row should be looked at. Finding what can be sent is then one look into an index of
lanes, however long a lane has grown.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from bot.core.models import Outgoing
from bot.store.codec import encode, micros
from bot.store.transaction import Place, Tx


def enqueue(tx: Tx, outgoing: Sequence[Outgoing], now: datetime, *, after: timedelta = timedelta(0)) -> None:
    """Put work into the outbox, to be sent `after` a while; a `slack.post` gets its card row first."""
    for work in outgoing:
        payload = work.payload
        if work.kind == "slack.post":
            target, kind, level = payload["channel"], payload["kind"], payload["level"]
            card_id = insert_card(tx, work.request_id, target, kind, level, now)
            payload = {**payload, "card_id": card_id}
        _put(tx, work, encode(payload), micros(now), micros(now + after))


def want_cards_painted(tx: Tx, request_id: str, version: int, now: datetime) -> Place | None:
    """Say that each card of the request should show `version`; the posted ones get work to do so.

    A card that is being posted gets its work in `CardPosted`, which sees the version set here.
    Returns where the first of the posted ones stands.
    """
    cards = tx.fetch_all(_WANT_VERSION, {"request_id": request_id, "version": version})
    posted = sorted((row for row in cards if row["state"] == "posted"), key=lambda row: row["id"])
    for row in posted:
        enqueue_paint(tx, row["id"], request_id, now)
    return (posted[0]["channel"], posted[0]["ts"]) if posted else None


def enqueue_paint(tx: Tx, card_id: int, request_id: str, now: datetime) -> None:
    """One unsent repaint of a card at most; each card is a lane of its own."""
    lane = f"card:{card_id}"
    work = Outgoing(
        "slack.paint", {"card_id": card_id}, order=lane, coalesce=f"paint:{card_id}", request_id=request_id
    )
    enqueue(tx, (work,), now)


def insert_card(tx: Tx, request_id: str | None, target: str, kind: str, level: int, now: datetime) -> int:
    """The row of a card that is wanted and should show the request's present version; its id."""
    row = tx.fetch_one(
        _INSERT_CARD,
        {
            "request_id": request_id,
            "channel_target": target,
            "kind": kind,
            "level": level,
            "created_at": micros(now),
        },
    )
    assert row is not None, "INSERT … RETURNING has a row"
    card_id: int = row["id"]
    return card_id


def _put(tx: Tx, work: Outgoing, payload: str, now: int, next_at: int) -> None:
    row: dict[str, Any] = {
        "kind": work.kind,
        "order_key": work.order,
        "coalesce_key": work.coalesce,
        "request_id": work.request_id,
        "payload": payload,
        "now": now,
        "next_at": next_at,
    }
    tx.execute(_PUT if work.coalesce is None else _PUT_COALESCED, row)
    tx.execute(_OPEN_LANE if work.coalesce is None else _HURRY_LANE, {"key": work.order, "now": now})
    tx.outbox = True


_INSERT_CARD = """
    INSERT INTO card (request_id, channel_target, kind, level, request_version, state, created_at)
    VALUES (:request_id, :channel_target, :kind, :level,
        (SELECT version FROM request WHERE id = :request_id), 'wanted', :created_at)
    RETURNING id
"""
_WANT_VERSION = """
    UPDATE card SET request_version = :version WHERE request_id = :request_id AND state <> 'failed'
    RETURNING id, state, channel, ts
"""
_PUT = """
    INSERT INTO outbox (kind, order_key, coalesce_key, request_id, payload, next_at, created_at)
    VALUES (:kind, :order_key, :coalesce_key, :request_id, :payload, :next_at, :now)
"""
_PUT_COALESCED = (
    _PUT
    + """
    ON CONFLICT (coalesce_key) WHERE coalesce_key IS NOT NULL AND done_at IS NULL AND failed_at IS NULL
    DO UPDATE SET
        generation = outbox.generation + 1,
        payload = excluded.payload,
        next_at = CASE WHEN excluded.next_at < outbox.next_at THEN excluded.next_at ELSE outbox.next_at END
"""
)
_OPEN_LANE = """
    INSERT INTO pace (key, free_at, ready_at) VALUES (:key, 0, :now)
    ON CONFLICT (key) DO UPDATE SET
        ready_at = CASE WHEN pace.free_at > :now THEN pace.free_at ELSE :now END
    WHERE pace.ready_at IS NULL
"""
# The row that was hurried may be the lane's first. Looking too early is harmless: the lease looks at all.
_HURRY_LANE = """
    INSERT INTO pace (key, free_at, ready_at) VALUES (:key, 0, :now)
    ON CONFLICT (key) DO UPDATE SET
        ready_at = CASE WHEN pace.free_at > :now THEN pace.free_at ELSE :now END
    WHERE pace.ready_at IS NULL OR pace.ready_at > :now
"""
