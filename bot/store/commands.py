"""What each change writes: one frozen command for each.

A command is applied within one group commit (`transaction.run`), whole or not at all. All of them
are safe beside other processes that write the same database: changes of a request compare and
set its version, keys are claimed by INSERT … ON CONFLICT, work is taken under leases.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from bot.core.errors import HeldByPause, IdempotencyConflict, Paused, Unauthorized
from bot.core.models import (
    ApprovalRequest,
    Cause,
    Charge,
    Event,
    Outgoing,
    RequestId,
    Transition,
    Via,
)
from bot.core.pausing import HELD, Pause
from bot.store import budgets, grants, rows
from bot.store.cards import CardFailed, CardPainted, CardPosted, CreateCard
from bot.store.codec import micros
from bot.store.due import LeaseDue, Rearm, Wake
from bot.store.mail import enqueue, want_cards_painted
from bot.store.outbox import (
    CompleteOutbox,
    EnqueueOutbox,
    FailOutbox,
    LeaseOutbox,
    OutboxItem,
    PaceKey,
    RetryOutbox,
)
from bot.store.parties import (
    AddAgent,
    EndSession,
    RevokeAgent,
    RotateAgent,
    StartSession,
    refuse_ended,
    session_started,
)
from bot.store.pauses import stopping
from bot.store.timeline import tell_later
from bot.store.transaction import Changed, Tx
from bot.store.upkeep import Probe, Prune

__all__ = [
    "AddAgent",
    "CardFailed",
    "CardPainted",
    "CardPosted",
    "ClaimRequest",
    "CompleteOutbox",
    "CreateCard",
    "CreateRequest",
    "Created",
    "EndSession",
    "EnqueueOutbox",
    "FailOutbox",
    "Idempotency",
    "LeaseDue",
    "LeaseOutbox",
    "OutboxItem",
    "PaceKey",
    "Probe",
    "Prune",
    "Rearm",
    "RecordEvents",
    "RetryOutbox",
    "RevokeAgent",
    "RotateAgent",
    "SaveTransition",
    "StartSession",
    "Wake",
]


@dataclass(frozen=True, slots=True)
class Idempotency:
    """A key an agent gave to a call, and the digest of the body it came with.

    `scope` keeps calls apart: `request` for submissions, `claim:<request id>` for claims.
    """

    agent: str
    scope: str
    key: str
    body_digest: str


@dataclass(frozen=True, slots=True)
class Created:
    """What `CreateRequest` did: `created` is False when the key was known or a limit is used up."""

    request_id: RequestId
    created: bool
    over_limit: bool = False
    """Nothing was written, since a limit has no room left or the grant has ended; it must be judged again."""
    paused: Pause | None = None
    """Nothing was written, since this stands; the request must be rejected for it."""


@dataclass(frozen=True, slots=True)
class CreateRequest:
    """A new request; or, under a known idempotency key with the same body, the one there is.

    Args:
        credential: Hash of the token that authenticated the call, checked again at this moment;
            None to leave that out.
        charges: What the approval in `transition` uses up of limits.
        grant: The grant that approved it.

    Raises:
        IdempotencyConflict: the key came with another body before.
        Unauthorized: the credential was revoked or rotated meanwhile.
        SessionEnded: the request's session has ended.
    """

    transition: Transition
    idempotency: Idempotency | None = None
    credential: str | None = None
    charges: tuple[Charge, ...] = ()
    grant: str | None = None

    def apply(self, tx: Tx) -> Created:
        request = self.transition.request
        pause = None if request.cause is Cause.PAUSED else stopping(tx, request)
        if self.charges or self.grant is not None or pause is not None:
            if self.idempotency is not None and (earlier := known_key(tx, self.idempotency)) is not None:
                return Created(earlier["request_id"], False)
            if pause is not None:
                return Created(request.id, False, paused=pause)
            if not budgets.fits(tx, self.charges, self.transition.now):
                return Created(request.id, False, over_limit=True)
            if self.grant is not None and not grants.take(tx, self.grant, self.transition.now):
                return Created(request.id, False, over_limit=True)
        if self.idempotency is not None:
            known = claim_key(tx, self.idempotency, request.id, self.transition.now, None)
            if known is not None:
                return Created(known["request_id"], False)
        if self.credential is not None:
            _check_credential(tx, self.credential)
        _join_session(tx, self.transition)
        tx.execute(INSERT_REQUEST, rows.request_columns(request))
        if self.charges:
            budgets.spend(tx, request, self.charges, self.transition.now)
        if self.grant is not None:
            grants.used(tx, self.grant, request, self.transition.now)
        if request.reviews:
            tx.execute_many(_INSERT_REVIEW, rows.review_rows(request))
        _emit_all(tx, self.transition)
        enqueue(tx, self.transition.outbox, self.transition.now)
        return Created(request.id, True)


@dataclass(frozen=True, slots=True)
class SaveTransition:
    """A change of a request. False, and nothing written, when its version was not one below.

    Args:
        click: A person decides, which no one may while the agent or the type is paused.
        grant: What the same person approves in advance with it.

    Raises:
        HeldByPause: it is a click, and a pause stands.
        ValueError: it has no event; nothing changes unrecorded.
    """

    transition: Transition
    click: bool = False
    grant: grants.CreateGrant | None = None

    def apply(self, tx: Tx) -> bool:
        if not self.transition.events:
            raise ValueError(f"a change of {self.transition.request.id} without an event")
        if self.click and (pause := stopping(tx, self.transition.request)) is not None:
            raise HeldByPause(f"{pause.sentence}. {HELD}")
        saved = save(tx, self.transition)
        if saved and self.grant is not None:
            self.grant.apply(tx)
        return saved


@dataclass(frozen=True, slots=True)
class ClaimRequest:
    """A claim, and the answer that its idempotency key gets from then on.

    Returns the answer to give: the one stored under the key if the same call was answered before.
    None when the request was not at the version before; nothing is written then.

    Args:
        credential: As for `CreateRequest`.

    Raises:
        IdempotencyConflict: the key came with another body before.
        Unauthorized: the credential was revoked or rotated meanwhile.
        Paused: a pause stands.
    """

    transition: Transition
    idempotency: Idempotency | None
    answer: bytes
    credential: str | None = None

    def apply(self, tx: Tx) -> bytes | None:
        key = self.idempotency
        if self.credential is not None:
            _check_credential(tx, self.credential)
        if key is not None:
            known = known_key(tx, key)
            if known is not None:
                answer: bytes = known["answer"]
                return answer
        pause = stopping(tx, self.transition.request)
        if pause is not None:
            raise Paused(f"{pause.sentence}. Nothing runs until an operator resumes it.")
        if not save(tx, self.transition):
            return None
        if key is not None:
            # The request's row is ours by now, so nobody else can claim this key for it.
            claim_key(tx, key, self.transition.request.id, self.transition.now, self.answer)
        return self.answer


@dataclass(frozen=True, slots=True)
class RecordEvents:
    """Audit rows, and perhaps mail, that change no request."""

    events: tuple[Event, ...]
    now: datetime
    outbox: tuple[Outgoing, ...] = ()

    def apply(self, tx: Tx) -> None:
        for event in self.events:
            tx.emit(event, self.now)
        enqueue(tx, self.outbox, self.now)


def save(tx: Tx, transition: Transition) -> bool:
    """Write a change of a request; False when its version was not one below."""
    request = transition.request
    if tx.execute(_UPDATE_REQUEST, rows.changing_columns(request)) == 0:
        return False
    if request.reviews:
        tx.execute(_DELETE_REVIEWS, {"request_id": request.id})
        tx.execute_many(_INSERT_REVIEW, rows.review_rows(request))
    if request.messages:
        _append_messages(tx, request)
    _emit_all(tx, transition)
    enqueue(tx, transition.outbox, transition.now)
    card = want_cards_painted(tx, request.id, request.version, transition.now)
    tx.changed.append(Changed(request, card))
    return True


def _append_messages(tx: Tx, request: ApprovalRequest) -> None:
    known = tx.fetch_one(_COUNT_MESSAGES, {"request_id": request.id})
    fresh = rows.message_rows(request, after=0 if known is None else known["count"])
    tx.execute_many(_INSERT_MESSAGE, fresh)


def _emit_all(tx: Tx, transition: Transition) -> None:
    for event in transition.events:
        about = transition.request if event.request_id == transition.request.id else None
        tx.emit(event, transition.now, about)
    tell_later(tx, transition)


def claim_key(tx: Tx, key: Idempotency, request_id: str, now: datetime, answer: bytes | None) -> Any | None:
    """The row that holds `key` already; None when it is ours from this moment."""
    row = _key_params(key) | {
        "body_digest": key.body_digest,
        "request_id": request_id,
        "answer": answer,
        "created_at": micros(now),
    }
    return None if tx.execute(_INSERT_KEY, row) == 1 else known_key(tx, key)


def known_key(tx: Tx, key: Idempotency) -> Any | None:
    """The row of a key that was used before with the same body.

    Raises:
        IdempotencyConflict: it came with another body.
    """
    known = tx.fetch_one(_KNOWN_KEY, _key_params(key))
    if known is not None and known["body_digest"] != key.body_digest:
        raise IdempotencyConflict(first=known["body_digest"], request_id=known["request_id"])
    return known


def _key_params(key: Idempotency) -> dict[str, Any]:
    return {"agent": key.agent, "scope": key.scope, "key": key.key}


def _check_credential(tx: Tx, credential: str) -> None:
    if tx.fetch_one(_LIVE_CREDENTIAL, {"token_hash": credential}) is None:
        raise Unauthorized


def _join_session(tx: Tx, transition: Transition) -> None:
    """Start the request's session if nobody did."""
    request, session_id = transition.request, transition.request.submission.session_id
    if session_id is None:
        return
    started = {"agent": request.agent, "id": session_id, "started_at": micros(transition.now)}
    if tx.execute(_JOIN_SESSION, started) == 1:
        tx.emit(session_started(request.agent, session_id, None, Via.HTTP), transition.now, request)
    else:
        refuse_ended(tx, request.agent, session_id)


def _insert(table: str, columns: Iterable[str]) -> str:
    names = list(columns)
    return f"INSERT INTO {table} ({', '.join(names)}) VALUES ({', '.join(f':{n}' for n in names)})"


_CHANGING = (
    "status",
    "cause",
    "version",
    "level",
    "channel",
    "next_deadline_at",
    "decided_at",
    "decided_digest",
    "expires_at",
    "execution_state",
    "claimed_at",
    "requirement",
    "plan",
    "watch",
    "proposal",
    "decision",
    "execution",
    "undo_until",
    "updated_at",
)
_FIXED = (
    "agent",
    "owner",
    "session_id",
    "action_type",
    "digest",
    "preview_digest",
    "risk_level",
    "approval_valid_for",
    "submission",
    "risk",
    "policy",
    "created_at",
)
INSERT_REQUEST = (
    f"INSERT INTO request (id, due_at, {', '.join((*_FIXED, *_CHANGING))})"
    f" VALUES (:id, :next_deadline_at, {', '.join(f':{n}' for n in (*_FIXED, *_CHANGING))})"
)
# A change ends the lease of whoever handles the deadline: `due_at` is the deadline again.
_UPDATE_REQUEST = (
    f"UPDATE request SET {', '.join(f'{n} = :{n}' for n in _CHANGING)}, due_at = :next_deadline_at"
    " WHERE id = :id AND version = :version - 1"
)
_INSERT_REVIEW = _insert(
    "review", ("request_id", "position", "reviewer_id", "verdict", "digest", "voided", "at", "body")
)
_DELETE_REVIEWS = "DELETE FROM review WHERE request_id = :request_id"
_COUNT_MESSAGES = "SELECT COUNT(*) AS count FROM message WHERE request_id = :request_id"
_INSERT_MESSAGE = _insert("message", ("request_id", "position", "at", "body"))
_INSERT_KEY = (
    _insert("idempotency", ("agent", "scope", "key", "body_digest", "request_id", "answer", "created_at"))
    + " ON CONFLICT (agent, scope, key) DO NOTHING"
)
_KNOWN_KEY = """
    SELECT body_digest, request_id, answer FROM idempotency
    WHERE agent = :agent AND scope = :scope AND key = :key
"""
_LIVE_CREDENTIAL = "SELECT name FROM agent WHERE token_hash = :token_hash AND revoked_at IS NULL"
_JOIN_SESSION = """
    INSERT INTO session (agent, id, started_at) VALUES (:agent, :id, :started_at)
    ON CONFLICT (agent, id) DO NOTHING
"""
