"""What grants write: they are given, used inside the transaction of what they approve, and revoked."""

from dataclasses import dataclass
from datetime import datetime

from bot.core.audited import noted
from bot.core.grants import Grant
from bot.core.models import Actor, ActorType, ApprovalRequest, Event, Outgoing, Via
from bot.core.times import rfc3339
from bot.store import rows
from bot.store.codec import micros
from bot.store.mail import enqueue
from bot.store.transaction import Tx


@dataclass(frozen=True, slots=True)
class CreateGrant:
    """A new grant, on record, and who is told of it."""

    grant: Grant
    outbox: tuple[Outgoing, ...] = ()

    def apply(self, tx: Tx) -> None:
        columns = rows.grant_columns(self.grant)
        names = ", ".join(columns)
        tx.execute(f"INSERT INTO grants ({names}) VALUES ({', '.join(f':{n}' for n in columns)})", columns)
        tx.emit(_created(self.grant), self.grant.created_at)
        enqueue(tx, self.outbox, self.grant.created_at)


def take(tx: Tx, id: str, now: datetime) -> bool:
    """Use a grant once; False when it is used up, expired or revoked."""
    return tx.execute(_TAKE, {"id": id, "now": micros(now)}) == 1


def used(tx: Tx, id: str, request: ApprovalRequest, now: datetime) -> None:
    """Record what a grant that was taken has approved; the request is stored by now."""
    tx.execute(_USED, {"grant_id": id, "request_id": request.id})
    row = tx.fetch_one("SELECT used, uses, giver_id FROM grants WHERE id = :id", {"id": id})
    assert row is not None, "a grant that was taken is there"
    name = request.policy.name or "none"
    facts = {"grant": id, "used": row["used"], "uses": row["uses"], "giver": row["giver_id"]}
    tx.emit(
        noted("grant_used", request, Actor(ActorType.POLICY, name, name), Via.HTTP, **facts), now, request
    )


def _created(grant: Grant) -> Event:
    return Event(
        name="grant_created",
        actor=Actor.human(grant.giver),
        via=Via.SLACK,
        body={
            "grant": grant.id,
            "type": grant.type,
            "rule": grant.rule,
            "policy": grant.policy,
            "policy_version": grant.policy_version,
            "directory": grant.directory,
            "session_id": grant.session_id,
            "highest": grant.highest.value,
            "uses": grant.uses,
            "expires_at": rfc3339(grant.expires_at),
        },
        agent=grant.agent,
        request_id=grant.request_id,
        session_id=grant.session_id,
    )


_TAKE = """
    UPDATE grants SET used = used + 1
    WHERE id = :id AND revoked_at IS NULL AND expires_at > :now AND used < uses
"""
_USED = "INSERT INTO grant_use (grant_id, request_id) VALUES (:grant_id, :request_id)"
