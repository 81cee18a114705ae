"""Is the audit whole? Rows come in order, checkpoints from wherever they were kept.

The chain finds an edit, an insertion, a deletion and a reorder at the first row they touch, as long as
not all later rows were hashed again. Checkpoints find what the chain cannot: rows rewritten with
fresh hashes, another audit put in its place, rows cut off at the end. Rows may be missing in front only
if an event among the others says so, with the checkpoint up to which they went. What happened after the last
checkpoint that is kept out of an attacker's reach cannot be found by anybody.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson

from bot.core import chain, checkpoint
from bot.core.chain import START, Link, Place, Problem
from bot.core.checkpoint import BadNote, Checkpoint, NoteKey


@dataclass(frozen=True, slots=True)
class Verification:
    """What came of it. `problem` is the first one, None when the audit is whole."""

    checked: int
    head: Place
    """The last row that was checked."""
    checkpoint: Checkpoint | None
    """The newest one that the rows agree with."""
    problem: Problem | None

    @property
    def ok(self) -> bool:
        """Whether nothing was found."""
        return self.problem is None

    def as_json(self) -> dict[str, Any]:
        """`{ok, checked, head, checkpoint, problem}`: `head` is the last hash, `checkpoint` its seq."""
        found = self.problem
        return {
            "ok": self.ok,
            "checked": self.checked,
            "head": self.head.hash.hex(),
            "checkpoint": None if self.checkpoint is None else self.checkpoint.place.seq,
            "problem": None
            if found is None
            else {"seq": found.seq, "kind": found.kind, "detail": found.detail},
        }


class Verifier:
    """Takes rows in order and says the first problem. Make one for each look.

    Args:
        base: The place that the first row follows.
        notes: Signed notes of checkpoints, from any number of places, in any order.
        key: Whose signature counts; None believes the notes as they are.
    """

    def __init__(self, base: Place = START, notes: Iterable[str] = (), key: NoteKey | None = None) -> None:
        known, self._forged = _signed(notes, key)
        ahead = [said for said in known if said.place.seq >= max(base.seq, 1)]
        self._ahead = sorted(ahead, key=lambda said: said.place.seq, reverse=True)
        self._base = self.head = base
        self._key = key
        self._removed: set[Place] = set()
        self._checked = 0
        self._agreed: Checkpoint | None = None
        self._problem: Problem | None = None
        self._meet(base)

    def add(self, rows: Sequence[Link]) -> bool:
        """Check the next rows. False once there is a problem; further rows are then of no use."""
        first = self.head.seq
        for last in self._stops(len(rows)):
            if self._problem is not None:
                break
            self._follow(rows[self.head.seq - first : last - first])
        return self._problem is None

    def removed(self, note: object) -> None:
        """Take the checkpoint up to which an `audit_pruned` event among the rows says that rows went."""
        places, _ = _signed([note] if isinstance(note, str) else [], self._key)
        self._removed.update(said.place for said in places)

    def note(self, problem: Problem | None) -> bool:
        """Take a problem that was found in another way; False if there is one. The first row counts."""
        if problem is not None and (self._problem is None or problem.seq < self._problem.seq):
            self._problem = problem
        return self._problem is None

    def finish(self, end: Place | None = None) -> Verification:
        """All rows were added.

        Args:
            end: Where the store says that the chain ends; None when nobody says (an export).
        """
        problem = self._problem or self._cut_in_front() or self._cut_off(end) or self._forged
        return Verification(self._checked, self.head, self._agreed, problem)

    def _stops(self, count: int) -> Iterable[int]:
        """The places among the next rows at which a checkpoint is met, then their end."""
        last = self.head.seq + count
        places = {said.place.seq for said in self._ahead if self.head.seq < said.place.seq < last}
        return (*sorted(places), last)

    def _follow(self, rows: Sequence[Link]) -> None:
        self._problem = chain.verify(rows, seq=self.head.seq, prev=self.head.hash)
        if self._problem is not None:
            self._checked += sum(row.seq < self._problem.seq for row in rows)
        elif rows:
            self._checked += len(rows)
            self.head = Place(rows[-1].seq, rows[-1].hash)
            self._meet(self.head)

    def _meet(self, reached: Place) -> None:
        """Compare a place with the checkpoints that were signed there."""
        first = (self._base.seq if self._agreed is None else self._agreed.place.seq) + 1
        while self._ahead and self._ahead[-1].place.seq <= reached.seq:
            said = self._ahead.pop()
            if said.place != reached:
                detail = f"rows {first} to {reached.seq} are not those that were signed at {said.at}"
                self._problem = Problem(min(first, reached.seq), "rewritten", detail)
                return
            self._agreed = said

    def _cut_in_front(self) -> Problem | None:
        """Rows go from the front only as retention removes them: up to a checkpoint, and on record."""
        if self._base.seq < 1 or self._base in self._removed:
            return None
        detail = (
            f"rows 1 to {self._base.seq} are missing, and no audit_pruned says that retention removed them"
        )
        return Problem(1, "missing", detail)

    def _cut_off(self, end: Place | None) -> Problem | None:
        missing = self.head.seq + 1
        if self._ahead:
            last = self._ahead[0]
            detail = f"{_rows(missing, last.place.seq)} missing; signed at {last.at}"
            return Problem(missing, "truncated", detail)
        if end is None or end == self.head:
            return None
        if end.seq > self.head.seq:
            return Problem(missing, "truncated", f"{_rows(missing, end.seq)} missing")
        return Problem(self.head.seq, "relinked", "the chain's head is not its last row")


def _rows(first: int, last: int) -> str:
    return f"row {first} is" if first == last else f"rows {first} to {last} are"


def _signed(notes: Iterable[str], key: NoteKey | None) -> tuple[list[Checkpoint], Problem | None]:
    """The checkpoints that count, and the first that does not."""
    found: list[Checkpoint] = []
    forged: Problem | None = None
    for note in dict.fromkeys(notes):
        try:
            found.append(checkpoint.read(note) if key is None else checkpoint.check(note, key))
        except BadNote as fault:
            seq = _claimed(note)
            if forged is None or seq < forged.seq:
                forged = Problem(seq, "forged", f"a checkpoint does not count: {fault}")
    return found, forged


def _claimed(note: str) -> int:
    try:
        return checkpoint.read(note).place.seq
    except BadNote:
        return 0


COPIED = ("at", "event", "actor_id", "agent", "request_id", "session_id", "reversible")
"""Columns of a row that repeat what its bytes say; `at` in microseconds since 1970."""


def miscopied(link: Link, columns: tuple[Any, ...]) -> Problem | None:
    """The first searchable column of a row that does not say what the row's bytes say.

    Args:
        columns: The values of `COPIED`, in that order.
    """
    try:
        said = orjson.loads(link.canonical)
        place, reversible = said["seq"], said["body"].get("reversible")
        expected = (
            (datetime.fromisoformat(said["at"]) - _EPOCH) // _MICROSECOND,
            said["event"],
            said["actor"]["id"],
            said["agent"],
            said["request_id"],
            said["session_id"],
            None if reversible is None else int(reversible),
        )
    except (KeyError, TypeError, ValueError, AttributeError):
        return Problem(link.seq, "edited", "its bytes are no audit event")
    if place != link.seq:
        return Problem(link.seq, "miscopied", f"its bytes say that it is row {place}")
    if expected == columns:
        return None
    named = zip(COPIED, expected, columns, strict=True)
    wrong = next(name for name, one, other in named if one != other)
    return Problem(link.seq, "miscopied", f"its column {wrong} does not say what its bytes say")


def body_of(canonical: bytes) -> Mapping[str, Any]:
    """The body of a row; empty when the bytes are no event, which is found elsewhere."""
    try:
        body = orjson.loads(canonical)["body"]
    except (KeyError, TypeError, ValueError):
        return {}
    return body if isinstance(body, dict) else {}


def unlike_notes(kept: Sequence[Mapping[str, Any]], recorded: Iterable[bytes]) -> Problem | None:
    """The first stored checkpoint that does not say what its note says, or is on record and not stored.

    Args:
        kept: `{seq, hash, note}` of each one stored.
        recorded: The bytes of the `checkpoint_signed` events.
    """
    for row in kept:
        try:
            same = checkpoint.read(row["note"]).place == Place(row["seq"], row["hash"])
        except BadNote:
            continue  # it does not count, which is a problem of its own
        if not same:
            return Problem(row["seq"], "miscopied", "the checkpoint there does not say what was signed")
    places = {row["seq"] for row in kept}
    said = (body_of(row).get("checkpoint") for row in recorded)
    lost = min((seq for seq in said if isinstance(seq, int) and seq not in places), default=None)
    return None if lost is None else Problem(lost, "missing", f"the checkpoint of row {lost} was removed")


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
