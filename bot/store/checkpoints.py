"""Checkpoints of the audit; and the one way in which rows go: as a prefix that one of them signed."""

from dataclasses import dataclass
from datetime import datetime

from bot.core.chain import Place
from bot.core.checkpoint import Checkpoint
from bot.core.models import Actor, Event, Outgoing, Via
from bot.store.codec import micros
from bot.store.mail import enqueue
from bot.store.transaction import Tx

_SIGNER = Actor.system("checkpoints")


@dataclass(frozen=True, slots=True)
class AddCheckpoint:
    """A signed note of a place. False, and nothing written, when the place has one already."""

    signed: Checkpoint
    key: str
    now: datetime
    outbox: tuple[Outgoing, ...] = ()

    def apply(self, tx: Tx) -> bool:
        place = self.signed.place
        row = {"seq": place.seq, "at": micros(self.now), "hash": place.hash, "note": self.signed.note}
        if tx.execute(_INSERT, row) == 0:
            return False
        body = {"checkpoint": place.seq, "hash": place.hash.hex(), "key": self.key}
        tx.emit(Event("checkpoint_signed", _SIGNER, Via.SCHEDULER, body), self.now)
        enqueue(tx, self.outbox, self.now)
        return True


@dataclass(frozen=True, slots=True)
class PruneAudit:
    """Remove every row up to the newest checkpoint signed before a time, and record that it was done.

    Returns the place that the kept chain follows from now on; None when nothing was old enough.
    """

    before: datetime
    actor: Actor
    via: Via
    now: datetime

    def apply(self, tx: Tx) -> Place | None:
        found = tx.fetch_one(_NEWEST_BEFORE, {"before": micros(self.before)})
        if found is None:
            return None
        place = Place(found["seq"], bytes(found["hash"]))
        tx.execute(_MOVE_BASE, {"seq": place.seq, "hash": place.hash})
        removed = tx.execute(_DELETE, {"seq": place.seq})
        body = {"through": place.seq, "hash": place.hash.hex(), "rows": removed, "note": found["note"]}
        tx.emit(Event("audit_pruned", self.actor, self.via, body), self.now)
        return place


_INSERT = """
    INSERT INTO checkpoint (seq, at, hash, note) VALUES (:seq, :at, :hash, :note)
    ON CONFLICT (seq) DO NOTHING
"""
# By the time of the row that was signed, not of the signature: every row of the prefix is older.
_NEWEST_BEFORE = """
    SELECT c.seq, c.hash, c.note FROM checkpoint c JOIN audit a ON a.seq = c.seq
    WHERE a.at < :before AND a.hash = c.hash AND c.seq > (SELECT seq FROM audit_base WHERE id = 1)
    ORDER BY c.seq DESC LIMIT 1
"""
_MOVE_BASE = "UPDATE audit_base SET seq = :seq, hash = :hash WHERE id = 1"
_DELETE = "DELETE FROM audit WHERE seq <= :seq"
