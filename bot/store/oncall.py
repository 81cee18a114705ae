"""Covers of on-call shifts, as rows."""

from dataclasses import dataclass, replace
from datetime import datetime

from bot.core.covering import CoverOffer, CoverState, overridden
from bot.core.models import Outgoing, Person, SlackId
from bot.core.oncall import Cover
from bot.store.codec import micros, moment, optional_moment
from bot.store.dialect import Row
from bot.store.mail import enqueue
from bot.store.transaction import Tx


@dataclass(frozen=True, slots=True)
class OfferCover:
    """A new offer, and the word to the one who must accept it."""

    offer: CoverOffer
    outbox: tuple[Outgoing, ...]

    def apply(self, tx: Tx) -> None:
        offer, cover = self.offer, self.offer.cover
        row = {
            "id": offer.id,
            "schedule": offer.schedule,
            "covering": cover.by,
            "covered": cover.of,
            "starts_at": micros(cover.starts_at),
            "ends_at": micros(cover.ends_at),
            "offered_by": offer.offered_by,
            "offered_to": offer.offered_to,
            "takes": int(offer.takes),
            "offered_at": micros(offer.offered_at),
            "state": offer.state.value,
        }
        tx.execute(_INSERT, row)
        enqueue(tx, self.outbox, offer.offered_at)


@dataclass(frozen=True, slots=True)
class AcceptCover:
    """The offer as it stands once accepted; None when another accepted cover holds in its time.

    Accepting twice changes nothing, is audited once, and the proposer is told once.
    """

    offer: CoverOffer
    by: Person
    now: datetime
    outbox: tuple[Outgoing, ...] = ()

    def apply(self, tx: Tx) -> CoverOffer | None:
        if tx.execute(_ACCEPT, {"id": self.offer.id, "now": micros(self.now)}) == 0:
            row = tx.fetch_one(_ONE, {"id": self.offer.id})
            present = None if row is None else offer_of(row)
            return present if present is not None and present.state is CoverState.ACCEPTED else None
        accepted = replace(self.offer, state=CoverState.ACCEPTED, decided_at=self.now)
        tx.emit(overridden(accepted, self.by), self.now)
        enqueue(tx, self.outbox, self.now)
        return accepted


@dataclass(frozen=True, slots=True)
class WithdrawCover:
    """End an offer or a cover; False when it had ended before. The end of a cover is audited."""

    offer: CoverOffer
    by: Person
    now: datetime
    outbox: tuple[Outgoing, ...] = ()

    def apply(self, tx: Tx) -> bool:
        row = tx.fetch_one(_WITHDRAW, {"id": self.offer.id, "now": micros(self.now)})
        if row is None:
            return False
        if self.offer.state is CoverState.ACCEPTED:
            ended = replace(self.offer, state=CoverState.WITHDRAWN, decided_at=self.now)
            tx.emit(overridden(ended, self.by), self.now)
        enqueue(tx, self.outbox, self.now)
        return True


def offer_of(row: Row) -> CoverOffer:
    """An offer from its row."""
    return CoverOffer(
        id=row["id"],
        schedule=row["schedule"],
        cover=Cover(row["covering"], row["covered"], moment(row["starts_at"]), moment(row["ends_at"])),
        offered_by=SlackId(row["offered_by"]),
        offered_to=SlackId(row["offered_to"]),
        takes=bool(row["takes"]),
        offered_at=moment(row["offered_at"]),
        state=CoverState(row["state"]),
        decided_at=optional_moment(row["decided_at"]),
    )


_COLUMNS = (
    "id, schedule, covering, covered, starts_at, ends_at, offered_by, offered_to, takes, offered_at, state"
)
_INSERT = f"""
    INSERT INTO oncall_cover ({_COLUMNS}) VALUES (:id, :schedule, :covering, :covered, :starts_at, :ends_at,
        :offered_by, :offered_to, :takes, :offered_at, :state)
"""
_ONE = "SELECT * FROM oncall_cover WHERE id = :id"
_ACCEPT = """
    UPDATE oncall_cover SET state = 'accepted', decided_at = :now
    WHERE id = :id AND state = 'offered' AND NOT EXISTS (
        SELECT 1 FROM oncall_cover other WHERE other.state = 'accepted'
        AND other.schedule = oncall_cover.schedule AND other.covered = oncall_cover.covered
        AND other.starts_at < oncall_cover.ends_at AND other.ends_at > oncall_cover.starts_at)
"""
_WITHDRAW = """
    UPDATE oncall_cover SET state = 'withdrawn', decided_at = :now
    WHERE id = :id AND state <> 'withdrawn' RETURNING id
"""
COVERS = """
    SELECT * FROM oncall_cover
    WHERE schedule = :schedule AND state = 'accepted' AND ends_at > :start AND starts_at < :end
    ORDER BY decided_at, id
"""
"""Accepted covers that touch a stretch of time, in the order in which they were agreed."""

COVER = _ONE
"""One offer by its id."""
