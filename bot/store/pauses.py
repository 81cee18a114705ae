"""What is paused, as rows; looked at in the very transaction that a pause must stop."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from bot.core import pausing
from bot.core.models import ApprovalRequest, Reviewer, SlackId, Via
from bot.core.pausing import Pause
from bot.store.codec import micros, moment
from bot.store.dialect import Row
from bot.store.mail import enqueue
from bot.store.transaction import Tx

PAUSES = "SELECT what, reason, by_id, by_name, at FROM pause ORDER BY what"
COVERING = """
    SELECT what, reason, by_id, by_name, at FROM pause WHERE what IN (:all, :agent, :type)
    ORDER BY CASE what WHEN :all THEN 0 WHEN :agent THEN 1 ELSE 2 END LIMIT 1
"""
"""The widest pause that stops an agent's actions of a type."""


@dataclass(frozen=True, slots=True)
class SetPause:
    """Pause something, and have the cards say so; what is paused already gets the new reason."""

    pause: Pause
    cancel: bool
    via: Via

    def apply(self, tx: Tx) -> None:
        pause = self.pause
        row = {"what": pause.what, "reason": pause.reason, "by_id": pause.by.id, "by_name": pause.by.name}
        before = tx.fetch_one(_ONE, {"what": pause.what})
        tx.execute(_SET, row | {"at": micros(pause.at)})
        earlier = None if before is None else pause_of(before)
        tx.emit(pausing.paused(earlier, pause, cancel=self.cancel, via=self.via), pause.at)
        enqueue(tx, (pausing.to_show(pause.what),), pause.at)


@dataclass(frozen=True, slots=True)
class LiftPause:
    """Let it run again. None, and nothing written, when it was not paused."""

    what: str
    by: Reviewer
    via: Via
    now: datetime

    def apply(self, tx: Tx) -> Pause | None:
        row = tx.fetch_one(_ONE, {"what": self.what})
        if row is None:
            return None
        pause = pause_of(row)
        tx.execute(_LIFT, {"what": self.what})
        tx.emit(pausing.resumed(pause, by=self.by, via=self.via), self.now)
        enqueue(tx, (pausing.to_show(pause.what),), self.now)
        return pause


def stopping(tx: Tx, request: ApprovalRequest) -> Pause | None:
    """The pause that stops this request at this moment."""
    row = tx.fetch_one(COVERING, covering_params(request.agent, request.action.type))
    return None if row is None else pause_of(row)


def covering_params(agent: str, action_type: str) -> Mapping[str, Any]:
    """Parameters of `COVERING`."""
    return dict(zip(("all", "agent", "type"), pausing.covering(agent, action_type), strict=True))


def pause_of(row: Row) -> Pause:
    """A row as a pause."""
    by = Reviewer(SlackId(row["by_id"]), row["by_name"])
    return Pause(row["what"], row["reason"], by, moment(row["at"]))


_SET = """
    INSERT INTO pause (what, reason, by_id, by_name, at) VALUES (:what, :reason, :by_id, :by_name, :at)
    ON CONFLICT (what) DO UPDATE SET reason = excluded.reason, by_id = excluded.by_id,
        by_name = excluded.by_name, at = excluded.at
"""
_ONE = "SELECT what, reason, by_id, by_name, at FROM pause WHERE what = :what"
_LIFT = "DELETE FROM pause WHERE what = :what"
