"""Copies of a card: where each was posted, and which version of the request it shows.

`request_version` is what a card should show and `painted_version` what it shows. A change sets
the first and asks for a repaint of the posted cards; a card that is still on its way asks for
its own when it arrives, so no order of the two loses the last state.
"""

from dataclasses import dataclass
from datetime import datetime

from bot.store.codec import micros
from bot.store.mail import enqueue_paint, insert_card
from bot.store.timeline import thread_begins, thread_ends
from bot.store.transaction import Tx


@dataclass(frozen=True, slots=True)
class CreateCard:
    """A card that is wanted at `target`; returns its id. A `slack.post` in an outbox makes its own."""

    request_id: str
    target: str
    kind: str
    level: int
    now: datetime

    def apply(self, tx: Tx) -> int:
        return insert_card(tx, self.request_id, self.target, self.kind, self.level, self.now)


@dataclass(frozen=True, slots=True)
class CardPosted:
    """A card stands in `channel` as message `ts` and shows `version`.

    A second message for the same card (the first post's answer was lost) becomes a card of its
    own, so that it is repainted too. A repaint is asked for when the request has moved on.
    """

    card_id: int
    channel: str
    ts: str
    version: int
    now: datetime

    def apply(self, tx: Tx) -> None:
        message = {"channel": self.channel, "ts": self.ts, "version": self.version}
        known = tx.fetch_one(_LOCK_CARD, {"id": self.card_id})
        if known is None or (known["channel"], known["ts"]) == (self.channel, self.ts):
            return
        sql = _POSTED if known["ts"] is None else _POSTED_AGAIN
        card = tx.fetch_one(sql, message | {"id": self.card_id, "now": micros(self.now)})
        if card is None:
            return
        if card["request_version"] > self.version:
            enqueue_paint(tx, card["id"], known["request_id"], self.now)
        thread_begins(tx, card["id"], self.now)


@dataclass(frozen=True, slots=True)
class CardPainted:
    """A posted card shows `version`, or a later one already."""

    card_id: int
    version: int

    def apply(self, tx: Tx) -> None:
        tx.execute(_PAINTED, {"id": self.card_id, "version": self.version})


@dataclass(frozen=True, slots=True)
class CardFailed:
    """A card cannot be posted, or its message is gone; it is not painted again."""

    card_id: int
    error: str

    def apply(self, tx: Tx) -> None:
        tx.execute(_FAILED, {"id": self.card_id, "error": self.error})
        thread_ends(tx, self.card_id)


@dataclass(frozen=True, slots=True)
class RepaintCards:
    """Each posted card of a request is to be painted again, though the request has not changed.

    What a card offers may depend on the time and on the policies in force.
    """

    request_id: str
    now: datetime

    def apply(self, tx: Tx) -> None:
        for row in tx.fetch_all(_STANDING, {"request_id": self.request_id}):
            enqueue_paint(tx, row["id"], self.request_id, self.now)


@dataclass(frozen=True, slots=True)
class EndOffers:
    """Have the cards painted again that may have offered a rollback until now; how many requests had any.

    At most `limit`, so that no batch is held up. A request with a card still on its way is left until that
    has arrived: it may have been drawn with the offer a moment ago.
    """

    now: datetime
    limit: int = 200

    def apply(self, tx: Tx) -> int:
        over = tx.fetch_all(_END_OFFERS, {"now": micros(self.now), "limit": self.limit})
        for row in over:
            RepaintCards(row["id"], self.now).apply(tx)
        return len(over)


# An update that changes nothing: it locks the row on PostgreSQL against a change of the request.
_LOCK_CARD = "UPDATE card SET state = state WHERE id = :id RETURNING request_id, channel, ts"
_POSTED = """
    UPDATE card SET state = 'posted', channel = :channel, ts = :ts, posted_version = :version,
        painted_version = :version, error = NULL
    WHERE id = :id RETURNING id, request_version
"""
_POSTED_AGAIN = """
    INSERT INTO card (request_id, channel_target, kind, level, channel, ts, request_version, posted_version,
        painted_version, state, created_at)
    SELECT request_id, channel_target, kind, level, :channel, :ts, request_version, :version, :version,
        'posted', :now
    FROM card WHERE id = :id
    RETURNING id, request_version
"""
_PAINTED = """
    UPDATE card SET painted_version = :version
    WHERE id = :id AND (painted_version IS NULL OR painted_version < :version)
"""
_FAILED = "UPDATE card SET state = 'failed', error = :error WHERE id = :id"
_STANDING = "SELECT id FROM card WHERE request_id = :request_id AND state = 'posted' ORDER BY id"
# The condition stands outside too: another process may have ended it since the look inside.
_END_OFFERS = """
    UPDATE request SET undo_until = NULL
    WHERE undo_until <= :now AND id IN (
        SELECT r.id FROM request r WHERE r.undo_until <= :now AND NOT EXISTS (
            SELECT 1 FROM card c WHERE c.request_id = r.id AND c.state = 'wanted')
        ORDER BY r.undo_until LIMIT :limit)
    RETURNING id
"""
