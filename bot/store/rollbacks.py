"""What the changes of a rollback write: its row, its steps, and the requests they concern, at once."""

from dataclasses import dataclass

from bot.core.errors import NotRollbackable, Unavailable
from bot.core.models import Event, Transition
from bot.core.rollback import Step
from bot.store.cards import RepaintCards
from bot.store.commands import Idempotency, SaveTransition, claim_key, known_key
from bot.store.mail import enqueue
from bot.store.rollback_rows import item_columns, rollback_columns
from bot.store.transaction import Tx


@dataclass(frozen=True, slots=True)
class StartRollback:
    """A new rollback. False, and nothing written, when one of its requests has moved on.

    Raises:
        NotRollbackable: an undo of one of the requests is under way or has succeeded.
    """

    step: Step

    def apply(self, tx: Tx) -> bool:
        rollback = self.step.rollback
        if not _present(tx, self.step):
            return False
        for item in rollback.items:
            if tx.fetch_one(_LIVE, {"request_id": item.request_id}) is not None:
                raise NotRollbackable(f"A rollback of {item.request_id} is under way, or has succeeded.")
        tx.execute(_INSERT, rollback_columns(rollback))
        tx.execute_many(
            _INSERT_ITEM, [item_columns(rollback, place, item) for place, item in enumerate(rollback.items)]
        )
        _save_requests(tx, self.step)
        return True


@dataclass(frozen=True, slots=True)
class SaveRollback:
    """A change of a rollback. False, and nothing written, when it or a request has moved on."""

    step: Step

    def apply(self, tx: Tx) -> bool:
        return _save(tx, self.step)


@dataclass(frozen=True, slots=True)
class ClaimRollback:
    """A claim of a step, and the answer that its idempotency key gets from then on.

    Returns the answer to give; None, and nothing written, when something has moved on.

    Raises:
        IdempotencyConflict: the key came with another body before.
    """

    step: Step
    idempotency: Idempotency | None
    answer: bytes

    def apply(self, tx: Tx) -> bytes | None:
        key = self.idempotency
        if key is not None and (known := known_key(tx, key)) is not None:
            answer: bytes = known["answer"]
            return answer
        if not _save(tx, self.step):
            return None
        if key is not None:
            claim_key(tx, key, self.step.requests[0].id, self.step.now, self.answer)
        return self.answer


def _save(tx: Tx, step: Step) -> bool:
    rollback = step.rollback
    if not _present(tx, step) or tx.execute(_UPDATE, rollback_columns(rollback)) == 0:
        return False
    for place, item in enumerate(rollback.items):
        tx.execute(_UPDATE_ITEM, item_columns(rollback, place, item))
    _save_requests(tx, step)
    if not rollback.state.open:
        _tell_the_others(tx, step)
    return True


def _tell_the_others(tx: Tx, step: Step) -> None:
    """Cards of the steps that ended before are painted again: they say it when the whole is partial."""
    moved = {request.id for request in step.requests}
    for item in step.rollback.items:
        if item.request_id not in moved:
            RepaintCards(item.request_id, step.now).apply(tx)


def _present(tx: Tx, step: Step) -> bool:
    """Whether every request is still at the version that the step was made from."""
    for request in step.requests:
        row = tx.fetch_one(_VERSION, {"id": request.id})
        if row is None or row["version"] != request.version - 1:
            return False
    return True


def _save_requests(tx: Tx, step: Step) -> None:
    by_request: dict[str | None, list[Event]] = {}
    for event in step.events:
        by_request.setdefault(event.request_id, []).append(event)
    for request in step.requests:
        transition = Transition(request, tuple(by_request.get(request.id, ())), step.now)
        if not SaveTransition(transition).apply(tx):
            raise Unavailable("Somebody else changed this request at the same moment; try again.")
    enqueue(tx, step.outbox, step.now)


_VERSION = "SELECT version FROM request WHERE id = :id"
_LIVE = """
    SELECT id FROM rollback_item WHERE request_id = :request_id
    AND state IN ('requested', 'previewed', 'claimed', 'succeeded')
"""
_INSERT = """
    INSERT INTO rollback (id, agent, session_id, state, version, due_at, body, created_at, updated_at)
    VALUES (:id, :agent, :session_id, :state, :version, :due_at, :body, :created_at, :updated_at)
"""
_UPDATE = """
    UPDATE rollback SET state = :state, version = :version, due_at = :due_at, body = :body,
        updated_at = :updated_at
    WHERE id = :id AND version = :version - 1
"""
_INSERT_ITEM = """
    INSERT INTO rollback_item (id, rollback_id, position, request_id, state, body)
    VALUES (:id, :rollback_id, :position, :request_id, :state, :body)
"""
_UPDATE_ITEM = "UPDATE rollback_item SET state = :state, body = :body WHERE id = :id"
