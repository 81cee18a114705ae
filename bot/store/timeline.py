"""A session's timeline: the thread under its first card in a channel, told of in batches.

`thread` names that card, and the place in the audit up to which its thread has been told. What is decided
and done asks for one piece of work for each thread, a moment later, so that a burst is one message.
A decision whose channel has no card of its session yet waits for the first: nothing is told to a
channel that the policy did not choose.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from bot.core.models import Outgoing, Transition
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
    request, session_id = transition.request, transition.request.submission.session_id
    if session_id is None or not any(event.name in TOLD for event in transition.events):
        return
    place = {"agent": request.agent, "session_id": session_id, "target": request.channel}
    if (thread := tx.fetch_one(_THREAD_OF, place)) is not None:
        _want_told(tx, thread["card_id"], transition.now)


def thread_begins(tx: Tx, card_id: int, now: datetime) -> None:
    """A card was posted: as its session's first in its channel it heads the thread, which hears what was."""
    if tx.execute(_BEGIN, {"id": card_id}) == 1 and tx.fetch_one(_BEFORE, {"id": card_id}) is not None:
        _want_told(tx, card_id, now)


def thread_ends(tx: Tx, card_id: int) -> None:
    """A card is gone, and its thread with it: the next card posted heads a new one."""
    tx.execute("DELETE FROM thread WHERE card_id = :id", {"id": card_id})


def _want_told(tx: Tx, card_id: int, now: datetime) -> None:
    """One unsent piece of work at most for each thread."""
    lane = f"timeline:{card_id}"
    work = Outgoing(KIND, {"card_id": card_id}, order=lane, coalesce=lane)
    enqueue(tx, (work,), now, after=BATCHED)


_TOLD = "UPDATE thread SET told_seq = :seq WHERE card_id = :id AND told_seq < :seq"
_THREAD_OF = """
    SELECT card_id FROM thread WHERE agent = :agent AND session_id = :session_id AND target = :target
"""
_BEGIN = """
    INSERT INTO thread (agent, session_id, target, card_id, told_seq)
    SELECT r.agent, r.session_id, c.channel_target, c.id, 0
    FROM card c JOIN request r ON r.id = c.request_id
    WHERE c.id = :id AND r.session_id IS NOT NULL AND r.channel = c.channel_target
    ON CONFLICT (agent, session_id, target) DO NOTHING
"""
_BEFORE = """
    SELECT 1 AS found FROM card c JOIN request r ON r.id = c.request_id
    JOIN request o ON o.agent = r.agent AND o.session_id = r.session_id
    WHERE c.id = :id AND o.channel = c.channel_target AND o.status <> 'pending' LIMIT 1
"""
