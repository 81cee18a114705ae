"""Revoking a grant: no further use, and an end to what it approved and nobody has claimed."""

from dataclasses import dataclass, replace
from datetime import datetime

from bot.core.audited import changed
from bot.core.lifecycle import bumped
from bot.core.models import Actor, ApprovalRequest, Event, RequestId, Transition, Via
from bot.store import rows
from bot.store.codec import micros
from bot.store.commands import save
from bot.store.reads import REQUEST
from bot.store.transaction import Tx


@dataclass(frozen=True, slots=True)
class RevokeGrant:
    """End a grant and its unclaimed approvals, which expire at `now`; the requests that ended with it.

    None, and nothing written, when it was revoked before or there is none.
    """

    id: str
    actor: Actor
    via: Via
    now: datetime

    def apply(self, tx: Tx) -> list[RequestId] | None:
        at = {"id": self.id, "now": micros(self.now)}
        row = tx.fetch_one(_REVOKE, at)
        if row is None:
            return None
        open_ones = [rows.request_of(found) for found in tx.fetch_all(_UNCLAIMED, at)]
        ended = [request.id for request in open_ones if save(tx, self._ended(request))]
        body = {"grant": self.id, "used": row["used"], "uses": row["uses"], "ended": list(ended)}
        event = Event(
            "grant_revoked", self.actor, self.via, body, row["agent"], row["request_id"], row["session_id"]
        )
        tx.emit(event, self.now)
        return ended

    def _ended(self, request: ApprovalRequest) -> Transition:
        assert request.decision is not None, "what a grant approved is decided"
        after = bumped(request, self.now, decision=replace(request.decision, expires_at=self.now))
        event = changed("grant_revoked", request, after, self.actor, self.via, grant=self.id)
        return Transition(after, (event,), self.now)


_REVOKE = """
    UPDATE grants SET revoked_at = :now WHERE id = :id AND revoked_at IS NULL
    RETURNING agent, request_id, session_id, used, uses
"""
_UNCLAIMED = f"""{REQUEST}
    WHERE r.id IN (SELECT request_id FROM grant_use WHERE grant_id = :id)
        AND r.execution_state = 'not_started' AND r.expires_at > :now
"""
