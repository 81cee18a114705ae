"""Rollbacks as JSON in memory; conventions as in `wire`."""

from bot.core.rollback import Item, Report, Rollback
from bot.core.times import optional_rfc3339, rfc3339
from bot.http import wire
from bot.http.wire import Json


def resource(rollback: Rollback, id: str) -> Json:
    """A rollback as agents and operators see it; by a step's own id, that step of it."""
    whole = id == rollback.id
    items = [item for item in rollback.items if whole or item.id == id]
    alone = items[0] if len(items) == 1 else None
    return {
        "id": id,
        "agent": rollback.agent,
        "request_id": None if alone is None else alone.request_id,
        "session_id": rollback.session_id,
        "state": rollback.state.value if whole or alone is None else alone.state.value,
        "partial": rollback.partial,
        "confirmed": rollback.confirmed_at is not None,
        "force": rollback.force,
        "reason": rollback.reason,
        "digest": rollback.digest if whole or alone is None else alone.digest,
        "requested_by": {
            "type": rollback.started_by.type.value,
            "id": rollback.started_by.id,
            "name": rollback.started_by.name,
        },
        "risk": wire.risk(rollback.risk),
        "policy": wire.policy(rollback.policy),
        "requirement": wire.requirement(rollback.requirement, rollback.reviews, rollback.digest),
        "confirmations": [
            {
                "by": {"id": given.review.reviewer.id, "name": given.review.reviewer.name},
                "reason": given.review.reason,
                "force_reason": given.force_reason,
                "at": rfc3339(given.review.at),
            }
            for given in rollback.confirmations
        ],
        "items": [_item(item) for item in items],
        "left_out": [
            {"request_id": left.request_id, "action": left.action, "why": left.why}
            for left in rollback.left_out
        ],
        "message": rollback.message,
        "expires_at": optional_rfc3339(rollback.due_at),
        "created_at": rfc3339(rollback.created_at),
        "updated_at": rfc3339(rollback.updated_at),
    }


def _item(item: Item) -> Json:
    return {
        "id": item.id,
        "request_id": item.request_id,
        "state": item.state.value,
        "rollback": item.data,
        "digest": item.digest,
        "beyond_approval": item.beyond,
        "preview": _report(item.preview),
        "result": _report(item.result),
    }


def _report(said: Report | None) -> Json | None:
    if said is None:
        return None
    return {
        "state": said.state.value,
        "summary": said.summary,
        "diff": said.diff,
        "affected": list(said.affected),
        "message": said.message,
    }
