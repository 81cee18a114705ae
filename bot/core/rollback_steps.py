"""How a change of a rollback is written: on the rollback, and on each request that it concerns. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from bot.core.audited import changed
from bot.core.lifecycle import bumped
from bot.core.models import (
    Actor,
    ActorType,
    ApprovalRequest,
    ExecutionState,
    Outgoing,
    RequestId,
    RollbackState,
    Undo,
    Via,
)
from bot.core.rollback_models import Item, Report, Rollback, Step

Requests = Mapping[RequestId, ApprovalRequest]
"""The requests that a rollback concerns."""


def ended(
    rollback: Rollback, requests: Requests, item: Item, said: Report, now: datetime, *, via: Via = Via.HTTP
) -> Step:
    """The rollback stops at `item`; what comes after it is not attempted."""
    after = with_item(rollback, item, now)
    spared = Report(RollbackState.EXPIRED, "Not attempted: the rollback stopped before it.")
    rest = tuple(replace(i, state=RollbackState.EXPIRED, result=spared) for i in after.items if i.state.open)
    for other in rest:
        after = replaced(after, other)
    after = replace(after, state=said.state, due_at=None)
    after = replace(after, message=summed(after, said.said))
    agent = Actor.agent(rollback.agent) if via is Via.HTTP else Actor.system("rollbacks")
    step = step_of(after, requests, (item,), "rollback_failed", agent, via, now, said.as_json())
    if not rest:
        return step
    facts = {"why": "stopped", "stopped_at": item.request_id}
    others = step_of(after, requests, rest, "rollback_expired", agent, via, now, facts)
    return replace(step, requests=(*step.requests, *others.requests), events=(*step.events, *others.events))


def summed(rollback: Rollback, said: str | None) -> str | None:
    """What became of it in one sentence; of a session with counts."""
    if rollback.session_id is None:
        return said
    parts = [f"{rollback.undone} of {len(rollback.items)} actions undone"]
    if rollback.left_out:
        parts.append(f"{len(rollback.left_out)} more could not be included")
    return ". ".join([", ".join(parts), *([said] if said else [])])


def next_version(rollback: Rollback, now: datetime) -> Rollback:
    """`rollback`, one version on."""
    return replace(rollback, version=rollback.version + 1, updated_at=now)


def replaced(rollback: Rollback, item: Item) -> Rollback:
    """`rollback` with one of its steps as it now stands."""
    items = tuple(item if other.id == item.id else other for other in rollback.items)
    return replace(rollback, items=items)


def with_item(rollback: Rollback, item: Item, now: datetime) -> Rollback:
    """`rollback` one version on, with one of its steps as it now stands."""
    return next_version(replaced(rollback, item), now)


def step_of(
    after: Rollback,
    requests: Requests,
    items: Sequence[Item],
    event: str,
    actor: Actor,
    via: Via,
    now: datetime,
    facts: Mapping[str, object],
) -> Step:
    """The change written on each request that it concerns, in one event each."""
    moved, events = [], []
    for item in items:
        before = requests[item.request_id]
        request = _marked(before, after, item, now)
        moved.append(request)
        about = {"rollback_id": item.id, "whole": after.id, **facts, **_whole(after)}
        events.append(changed(event, before, request, actor, via, **about))
    return Step(after, tuple(moved), tuple(events), now, _told_of_the_end(after, moved))


def _told_of_the_end(after: Rollback, requests: Sequence[ApprovalRequest]) -> tuple[Outgoing, ...]:
    """A private word to whoever asked and whoever confirmed, where no card says how it ended."""
    if after.state.open or (after.session_id is None and not requests[0].automatic):
        return ()
    asked = [after.started_by.id] if after.started_by.type is ActorType.HUMAN else []
    people = dict.fromkeys([*asked, *(review.reviewer.id for review in after.reviews)])
    return tuple(
        Outgoing(
            kind="slack.dm",
            payload={"user": person, "why": "rollback_ended", "rollback": after.id},
            order=f"dm:{person}",
            request_id=requests[0].id,
        )
        for person in people
    )


def _whole(rollback: Rollback) -> Mapping[str, object]:
    """What became of a session's rollback, once it has ended."""
    if rollback.session_id is None or rollback.state.open:
        return {}
    return {"partial": rollback.partial, "undone": rollback.undone, "of": len(rollback.items)}


def _marked(request: ApprovalRequest, after: Rollback, item: Item, now: datetime) -> ApprovalRequest:
    said = item.result
    mark = Undo(
        state=item.state,
        at=now,
        digest=after.digest,
        confirmed=after.confirmed_at is not None,
        missing=after.missing.count,
        message=None if said is None else said.said,
        session=after.session_id is not None,
        partial=after.message if after.session_id is not None and after.partial else None,
        by=tuple(review.reviewer.name for review in after.reviews),
    )
    state = request.execution.state
    if item.state is RollbackState.SUCCEEDED:
        state = ExecutionState.ROLLED_BACK
    return bumped(
        request, now, execution=replace(request.execution, state=state, rollback_id=item.id, undo=mark)
    )
