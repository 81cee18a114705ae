"""One transaction for a batch of commands, and the audit rows that end it.

A command that is refused leaves nothing behind, not even the events it emitted, and harms no
other: the batch is run again with a savepoint around each command, which is safe since a command
depends on nothing but itself and the database. The events of the whole batch take their places in
the chain at the very end, so that writers of a shared database hold its head for the shortest
time. State, outbox, audit and head commit together or not at all.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol, TypeVar

from bot.core import chain, jsontext, redaction
from bot.core.digest import canonical
from bot.core.errors import KeyturnError, Unavailable
from bot.core.models import ApprovalRequest, Event
from bot.core.times import rfc3339
from bot.store.codec import micros, moment
from bot.store.dialect import Connection, Params, Row

log = logging.getLogger(__name__)

R_co = TypeVar("R_co", covariant=True)


class Command(Protocol[R_co]):
    """A change: a frozen value whose effect depends on the database and itself alone."""

    def apply(self, tx: "Tx", /) -> R_co:
        """Make the change; a raised `KeyturnError` undoes it and goes to the caller."""
        ...


Place = tuple[str, str]
"""A message in Slack: its channel and its `ts`."""


@dataclass(frozen=True, slots=True)
class Changed:
    """A request as one commit left it, and where its first card stands, if one does."""

    request: ApprovalRequest
    card: Place | None


@dataclass(frozen=True, slots=True)
class Committed:
    """One audit row that is on disk."""

    seq: int
    event: str
    request_id: str | None
    session_id: str | None
    agent: str | None
    change: Changed | None = None
    """What the same commit made of the request that the row is about, if it changed it."""


@dataclass(frozen=True, slots=True)
class Refused:
    """What a command raised."""

    error: Exception


@dataclass(frozen=True, slots=True)
class Batch:
    """A committed transaction: one result or refusal for each command, the audit rows, whether mail waits.

    `wrote` is False when no row was changed, so that nothing had to reach the disk.
    """

    outcomes: list[Any]
    committed: list[Committed]
    outbox: bool
    wrote: bool


@dataclass(frozen=True, slots=True)
class _Emitted:
    """An event with its canonical bytes, save the time and the seq that belong between the parts."""

    event: Event
    at: int
    about: ApprovalRequest | None
    parts: tuple[bytes, bytes, bytes]


class Tx:
    """What a command may do: SQL with `:name` parameters, and emit audit events."""

    def __init__(self, connection: Connection) -> None:
        self._emitted: list[_Emitted] = []
        self.changed: list[Changed] = []
        """The requests that were changed, in order."""
        self.outbox = False
        """Set when something was put into the outbox."""
        self.fetch_one: Callable[[str, Params], Row | None] = connection.fetch_one
        self.fetch_all: Callable[[str, Params], Sequence[Row]] = connection.fetch_all
        self.execute: Callable[[str, Params], int] = connection.execute
        self.execute_many: Callable[[str, Sequence[Params]], None] = connection.execute_many

    def emit(self, event: Event, at: datetime, about: ApprovalRequest | None = None) -> None:
        """Record `event` of the time `at`. `about` saves a look-up of the request's type and risk.

        Raises:
            ValueError: the event has no canonical form.
        """
        # Serialised here, where it is this command's fault: what has no canonical form harms no other.
        self._emitted.append(_Emitted(event, micros(at), about, _parts(event)))

    def marked(self) -> tuple[int, int]:
        """How many events and changes there are; what `forget` takes to drop later ones."""
        return len(self._emitted), len(self.changed)

    def forget(self, mark: tuple[int, int]) -> None:
        """Drop what was emitted and changed since `mark`."""
        events, changes = mark
        del self._emitted[events:], self.changed[changes:]

    def chain(self) -> list[Committed]:
        """Give every event its place in the chain and write it."""
        if not self._emitted:
            return []
        head = self.fetch_one(_TAKE_PLACES, {"count": len(self._emitted)})
        if head is None:
            raise Unavailable("The audit chain has no head; the database is damaged. Restore a backup.")
        seq, at, prev = head["seq"] - len(self._emitted), head["at"], head["hash"]
        rows: list[Params] = []
        stamp = _stamp(at)
        for emitted in self._emitted:
            seq += 1
            if emitted.at > at:
                at, stamp = emitted.at, _stamp(emitted.at)
            row = _audit_row(emitted, seq, at, stamp, prev)
            rows.append(row)
            prev = row["hash"]
        self.execute_many(_INSERT_AUDIT, rows)
        self.execute(_MOVE_HEAD, {"at": at, "hash": prev})
        changed = {change.request.id: change for change in self.changed}
        return [
            Committed(
                row["seq"],
                row["event"],
                row["request_id"],
                row["session_id"],
                row["agent"],
                changed.get(row["request_id"]),
            )
            for row in rows
        ]


def run(connection: Connection, commands: Sequence[Command[Any]]) -> Batch:
    """Apply `commands` in one transaction and commit it.

    Raises:
        Exception: storage trouble; nothing of the batch is to be relied on.
    """
    try:
        return _attempt(connection, commands, _apply)
    except Exception as error:
        if connection.broken(error):
            raise
        # Nearly every batch is without a refusal, and a savepoint for each command costs a tenth of it.
        connection.rollback()
    return _attempt(connection, commands, _apply_apart)


def _attempt(
    connection: Connection,
    commands: Sequence[Command[Any]],
    apply: Callable[[Connection, Tx, Command[Any]], Any],
) -> Batch:
    connection.begin()
    before, tx = connection.changes, Tx(connection)
    outcomes = [apply(connection, tx, command) for command in commands]
    committed = tx.chain()
    connection.commit()
    return Batch(outcomes, committed, tx.outbox, connection.changes > before)


def _apply(_connection: Connection, tx: Tx, command: Command[Any]) -> Any:
    return command.apply(tx)


def _apply_apart(connection: Connection, tx: Tx, command: Command[Any]) -> Any:
    """The result of a command, or why it was refused and undone."""
    mark = tx.marked()
    connection.savepoint()
    try:
        result = command.apply(tx)
    except KeyturnError as error:
        refused: Exception = error
    except Exception as error:
        if connection.broken(error):
            raise
        log.exception("%s failed", type(command).__name__, extra={"event": "store.command_failed"})
        refused = error
    else:
        connection.keep()
        return result
    connection.undo()
    tx.forget(mark)
    return Refused(refused)


def _parts(event: Event) -> tuple[bytes, bytes, bytes]:
    """The canonical object in three pieces: `at` stands between the first two, `seq` before the last."""
    actor = {"id": event.actor.id, "name": event.actor.name, "type": event.actor.type.value}
    # Text and None under keys in order: nothing here for which JSON and its canonical form differ.
    first = jsontext.dumps({"actor": actor, "agent": event.agent})
    said = {"body": event.body, "event": event.name, "request_id": event.request_id}
    middle = canonical(said)
    if redaction.may_hold_secrets(middle):
        middle = canonical(said | {"body": redaction.own().value(event.body)})
    last = jsontext.dumps({"session_id": event.session_id, "via": event.via.value})
    return first[:-1], middle[1:-1], last[1:]


def _stamp(at: int) -> bytes:
    return rfc3339(moment(at)).encode()


def _audit_row(emitted: _Emitted, seq: int, at: int, stamp: bytes, prev: bytes) -> dict[str, Any]:
    event = emitted.event
    about = None if event.request_id is None else emitted.about
    first, middle, last = emitted.parts
    reversible = event.body.get("reversible")
    text = b'%b,"at":"%b",%b,"seq":%d,%b' % (first, stamp, middle, seq, last)
    return {
        "seq": seq,
        "at": at,
        "event": event.name,
        "actor_id": event.actor.id,
        "agent": event.agent,
        "request_id": event.request_id,
        "session_id": event.session_id,
        "action_type": None if about is None else about.action.type,
        "risk_level": None if about is None else about.risk.level.value,
        "reversible": None if reversible is None else int(reversible),
        "canonical": text,
        "prev_hash": prev,
        "hash": chain.link(prev, text),
    }


# The update comes first: on PostgreSQL it locks the head against the other writers' batches.
_TAKE_PLACES = "UPDATE chain_head SET seq = seq + :count WHERE id = 1 RETURNING seq, at, hash"
_MOVE_HEAD = "UPDATE chain_head SET at = :at, hash = :hash WHERE id = 1"
_INSERT_AUDIT = """
    INSERT INTO audit (seq, at, event, actor_id, agent, request_id, session_id, action_type, risk_level,
        reversible, canonical, prev_hash, hash)
    VALUES (:seq, :at, :event, :actor_id, :agent, :request_id, :session_id,
        COALESCE(:action_type, (SELECT action_type FROM request WHERE id = :request_id)),
        COALESCE(:risk_level, (SELECT risk_level FROM request WHERE id = :request_id)),
        :reversible, :canonical, :prev_hash, :hash)
"""
