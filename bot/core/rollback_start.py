"""How a rollback begins: what is chosen to be undone, what is left out and why. Pure."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from bot.core import undo
from bot.core.describe import action_line
from bot.core.digest import canonical, sha256
from bot.core.errors import InvalidFields, NotRollbackable
from bot.core.lifecycle import callback
from bot.core.models import ApprovalRequest, Digest, ExecutionState, RollbackState
from bot.core.rollback_models import Asked, Item, LeftOut, Rollback, RollbackId, Step
from bot.core.rollback_steps import step_of
from bot.core.undo_judging import Judge, judged, required
from bot.core.undo_prospect import prospect

UNCLAIMED = timedelta(minutes=15)
"""How long a rollback waits for its next step: the preview, the confirmation, the claim."""


def start(
    requests: Sequence[ApprovalRequest],
    asked: Asked,
    *,
    id: str,
    session_id: str | None = None,
    judge: Judge,
    now: datetime,
) -> Step:
    """Ask for an undo. Nothing is changed but the records: the agent is asked for a preview.

    Args:
        requests: The one request; of a session every request, in any order. Those of a session that
            cannot be undone are left out, by name and reason.

    Raises:
        NotRollbackable: nothing can be undone; the sentence says why.
        InvalidFields: no reason was given.
    """
    if not asked.reason.strip():
        raise InvalidFields({"reason": "Say why, for the people who confirm it and for the audit."})
    chosen, left_out = _chosen(requests, judge, now)
    if not chosen:
        raise NotRollbackable(_nothing(requests, left_out, session_id))
    fresh = _fresh(chosen, asked, id=id, session_id=session_id, judge=judge, now=now)
    fresh = replace(fresh, left_out=left_out)
    step = step_of(
        fresh,
        {request.id: request for request in chosen},
        fresh.items,
        "rollback_requested",
        asked.actor,
        asked.via,
        now,
        _facts(fresh),
    )
    told = tuple(callback(r, "rollback.requested") for r in chosen if r.submission.callback_url is not None)
    return replace(step, outbox=told)


def _fresh(
    chosen: Sequence[ApprovalRequest],
    asked: Asked,
    *,
    id: str,
    session_id: str | None,
    judge: Judge,
    now: datetime,
) -> Rollback:
    """The undo of these, as dangerous as the most dangerous of them."""
    items = tuple(_item(id, place, request, session_id) for place, request in enumerate(chosen, start=1))
    worst = max((judged(request, judge) for request in chosen), key=lambda found: found.risk.score)
    return Rollback(
        id=RollbackId(id),
        agent=chosen[0].agent,
        session_id=session_id,
        items=items,
        digest=whole_digest(items, session_id),
        reason=asked.reason,
        force=asked.force,
        started_by=asked.actor,
        via=asked.via,
        state=RollbackState.REQUESTED,
        risk=worst.risk,
        policy=worst.ruling.policy,
        requirement=required(chosen, items, judge),
        created_at=now,
        updated_at=now,
        due_at=now + UNCLAIMED,
        version=1,
    )


def _facts(fresh: Rollback) -> dict[str, object]:
    return {
        "reason": fresh.reason,
        "force": fresh.force,
        "digest": fresh.digest,
        "risk": fresh.risk.level.value,
        "policy": fresh.policy.name,
        "rule": fresh.policy.rule,
        "left_out": {entry.request_id: entry.why for entry in fresh.left_out},
    }


def _chosen(
    requests: Sequence[ApprovalRequest], judge: Judge, now: datetime
) -> tuple[list[ApprovalRequest], tuple[LeftOut, ...]]:
    """What can be undone, newest first, and what ran and cannot be."""
    chosen, left_out = [], []
    for request in sorted(requests, key=_ran_at, reverse=True):
        if len(requests) > 1 and request.execution.state in _UNCHANGED:
            continue
        found = prospect(request, judge=judge, now=now)
        if not found.why_not:
            chosen.append(request)
        else:
            left_out.append(LeftOut(request.id, action_line(undo.approved_action(request)), found.why_not))
    return chosen, tuple(left_out)


_UNCHANGED = (ExecutionState.NOT_STARTED, ExecutionState.ROLLED_BACK)
"""Of a session's actions, those that need no word: nothing of them is there. One that is still running, that
was never reported or that failed may have changed something, and is named."""


def _ran_at(request: ApprovalRequest) -> tuple[datetime, str]:
    return (request.execution.finished_at or request.created_at, request.id)


def _nothing(requests: Sequence[ApprovalRequest], left_out: Sequence[LeftOut], session_id: str | None) -> str:
    if session_id is None and left_out:
        return left_out[0].why
    said = ["Nothing of this session can be rolled back."]
    said += [f"{entry.request_id}: {entry.why}" for entry in left_out[:5]]
    if any(request.execution.state is ExecutionState.ROLLED_BACK for request in requests):
        said.append("Whatever else it did was rolled back before.")
    return " ".join(said)


def _item(id: str, place: int, request: ApprovalRequest, session_id: str | None) -> Item:
    data = undo.data_of(request)
    return Item(
        id=RollbackId(id if session_id is None else f"{id}.{place}"),
        request_id=request.id,
        data=data,
        digest=undo.undo_digest(data),
        beyond=undo.beyond_approval(request, data),
    )


def whole_digest(items: Sequence[Item], session_id: str | None) -> Digest:
    """What confirmations of these steps are bound to."""
    if session_id is None:
        return items[0].digest
    return Digest(sha256(canonical([[item.request_id, item.digest] for item in items])))
