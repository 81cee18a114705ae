"""A session's timeline: the thread under its first card in a channel, told of in batches.

`card.told_seq` is the place in the audit up to which a card's thread has been told. What is decided
and done asks for one piece of work for each thread, a moment later, so that a burst is one message.
A decision whose channel has no card of its session yet waits for the first: nothing is told to a
channel that the policy did not choose.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from bot.core.models import ApprovalRequest, Outgoing, Transition
from bot.store.mail import enqueue
from bot.store.transaction import Tx

KIND = "slack.timeline"
"""The outbox kind that tells a thread; its payload names the card that the thread is under."""

BATCHED = timedelta(seconds=2)
"""How long a thread's first news waits for more."""

TOLD: Final = frozenset(
    {
        "action_approved",
        "action_modified",
        "action_rejected",
        "action_timed_out",
        "action_cancelled",
        "action_executed",
        "action_failed",
        "action_rolled_back",
        "rollback_failed",
    }
)
"""Events that a timeline tells."""


@dataclass(frozen=True, slots=True)
class CardTold:
    """The thread under a card has been told everything up to `seq`."""

    card_id: int
    seq: int

    def apply(self, tx: Tx) -> None:
        tx.execute(_TOLD, {"id": self.card_id, "seq": self.seq})


def tell_later(tx: Tx, transition: Transition) -> None:
    """Let a session's thread hear of a change; nothing to do while there is none."""
    request = transition.request
    news = any(event.name in TOLD for event in transition.events)
    if not news or request.submission.session_id is None or request.channel is None:
        return
    first = tx.fetch_one(_FIRST_CARD, _session(request))
    if first is not None:
        want_told(tx, first["id"], transition.now)


def want_told(tx: Tx, card_id: int, now: datetime) -> None:
    """One unsent piece of work at most for each thread."""
    lane = f"timeline:{card_id}"
    work = Outgoing(KIND, {"card_id": card_id}, order=lane, coalesce=lane)
    enqueue(tx, (work,), now, after=BATCHED)


def thread_begins(tx: Tx, card_id: int, now: datetime) -> None:
    """A card was posted: when it is its session's first in its channel, tell what went before."""
    row = tx.fetch_one(_BEGUN, {"id": card_id})
    if row is not None:
        want_told(tx, card_id, now)


def _session(request: ApprovalRequest) -> dict[str, str | None]:
    return {
        "agent": request.agent,
        "session_id": request.submission.session_id,
        "target": request.channel,
    }


_TOLD = "UPDATE card SET told_seq = :seq WHERE id = :id AND (told_seq IS NULL OR told_seq < :seq)"
_FIRST_CARD = """
    SELECT c.id FROM request r JOIN card c ON c.request_id = r.id
    WHERE r.agent = :agent AND r.session_id = :session_id AND c.state = 'posted'
        AND c.channel_target = :target
    ORDER BY c.id LIMIT 1
"""
_BEGUN = """
    SELECT 1 AS found FROM card c JOIN request r ON r.id = c.request_id
    WHERE c.id = :id AND r.session_id IS NOT NULL AND r.channel = c.channel_target
        AND EXISTS (
            SELECT 1 FROM request o WHERE o.agent = r.agent AND o.session_id = r.session_id
                AND o.channel = c.channel_target AND o.status <> 'pending')
        AND NOT EXISTS (
            SELECT 1 FROM request o JOIN card e ON e.request_id = o.id
            WHERE o.agent = r.agent AND o.session_id = r.session_id AND e.state = 'posted'
                AND e.channel_target = c.channel_target AND e.id < c.id)
"""
