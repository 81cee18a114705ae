"""The audit as auditors use it: pages, verification, exports.

Everything works on the queries alone, so the command line does the same beside a running server, or
with none. An export begins with its own entry in the audit.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from itertools import chain, islice
from typing import Any

from bot.core.chain import START, Link, Place, Problem, link
from bot.core.checkpoint import NoteKey
from bot.core.clock import Clock
from bot.core.errors import InvalidRequest, Unavailable
from bot.core.models import Actor, Event, Via
from bot.core.times import read_rfc3339, rfc3339
from bot.core.verifying import Verification, Verifier, body_of, miscopied, unlike_notes
from bot.services import exports
from bot.services.approvals import Page
from bot.services.checkpoints import NoteFile
from bot.services.comparing import contradiction
from bot.services.exports import Format, Unreadable
from bot.services.standing import unlike_the_log
from bot.store import Store
from bot.store.audit_reads import Head
from bot.store.auditing import AuditFilter
from bot.store.codec import micros
from bot.store.commands import RecordEvents
from bot.store.reads import Reads

Progress = Callable[[int], None]
"""Told now and then how far it is: the place of the last row."""

_AT_ONCE = 10_000
_ALWAYS = -(2**63)
_PRUNED = b'"event":"audit_pruned"'


def silent(_rows: int) -> None:
    """For whoever needs no progress."""


class Audit:
    """The audit of a store, its checkpoints and their second place."""

    def __init__(self, store: Store, clock: Clock, key: NoteKey | None, kept: NoteFile) -> None:
        self._store = store
        self._clock = clock
        self._key = key
        self._kept = kept

    async def page(self, wanted: AuditFilter, *, cursor: str | None, limit: int) -> Page[bytes]:
        """Events as JSON, newest first.

        Raises:
            InvalidRequest: the cursor is not one of ours.
        """
        found = await self._store.reads.audit_links(wanted, before_seq=_place(cursor), limit=limit + 1)
        more = len(found) > limit
        items = tuple(exports.json_of(row) for row in found[:limit])
        return Page(items, str(found[limit - 1].seq) if more else None)

    async def verify(self, *, full: bool = True) -> Verification:
        """Whether the audit is whole, by the chain and by every checkpoint that is known."""
        try:
            notes = await asyncio.to_thread(self._kept.notes)
        except OSError as trouble:
            raise Unavailable(f"The checkpoints cannot be read: {trouble.strerror}.") from trouble
        return await verify(self._store.reads, notes=notes, key=self._key, full=full)

    async def export(
        self, wanted: AuditFilter, format: Format, *, after: int, actor: Actor, via: Via
    ) -> AsyncIterator[bytes]:
        """Rows up to now as text, oldest first, in pieces; recorded before the first piece.

        Args:
            after: The place after which to begin: that of the last row of an export that broke off.
        """
        through = (await self._store.reads.chain_head()).seq
        await self.record_export(wanted, format, after=after, through=through, actor=actor, via=via)
        return export(self._store.reads, wanted, format, after=after, through=through)

    async def record_export(
        self, wanted: AuditFilter, format: Format, *, after: int, through: int, actor: Actor, via: Via
    ) -> None:
        """Enter into the audit that somebody takes a copy of it."""
        body = {"format": format.value, "filters": filters_json(wanted), "after": after, "through": through}
        event = Event("audit_exported", actor, via, body)
        await self._store.write(RecordEvents((event,), self._clock.now()))


async def verify(
    reads: Reads,
    *,
    notes: Sequence[str] = (),
    key: NoteKey | None = None,
    full: bool = True,
    progress: Progress = silent,
) -> Verification:
    """Whether a store's audit is whole. Rows written meanwhile are left to the next look.

    Args:
        notes: Checkpoints kept elsewhere; the store's own are looked at in any case.
        full: Compare whatever repeats the signed bytes with them: columns, the head, checkpoints, requests,
            and all else that gives authority.
    """
    # Before the end of the chain: a checkpoint that is signed meanwhile lies behind it.
    notes = [*notes, *await reads.checkpoints()]
    removed = [body_of(row).get("note") for row in await reads.bytes_of("audit_pruned")]
    first, last = await reads.ends()
    base, end = await reads.chain_base(), await reads.chain_head()
    verifier = Verifier(base, notes, key)
    for note in removed:
        verifier.removed(note)
    look = _whole if full else _fast
    while verifier.head.seq < end.seq and await look(reads, verifier, end.seq):
        progress(verifier.head.seq)
    if full:
        for problem in await _copies(reads, end):
            verifier.note(problem)
    if first <= base.seq:
        verifier.note(Problem(first, "inserted", f"row {first} stands before row {base.seq + 1}, the first"))
    if last > end.seq:
        behind = f"row {last} stands" if last == end.seq + 1 else f"rows {end.seq + 1} to {last} stand"
        verifier.note(Problem(end.seq + 1, "inserted", f"{behind} behind the end"))
    found = verifier.finish(Place(end.seq, bytes.fromhex(end.hash)))
    if not (full and found.ok):
        return found
    kept_since = _ALWAYS if base == START else await _time_of_first(reads, base)
    problems = [
        await contradiction(reads, end=end.seq, kept_since=kept_since),
        await unlike_the_log(reads, end=end.seq, kept_since=kept_since),
    ]
    return replace(found, problem=min(filter(None, problems), key=lambda one: one.seq, default=None))


async def _time_of_first(reads: Reads, base: Place) -> int:
    [(_, (at, *_))] = await reads.columns(base.seq, limit=1)  # at least the removal itself is on record
    return int(at)


async def _copies(reads: Reads, end: Head) -> list[Problem | None]:
    """What is stored beside the rows and repeats something that is signed."""
    recorded = await reads.bytes_of("checkpoint_signed")
    [*last] = await reads.columns(end.seq - 1, limit=1)
    stamped = Problem(end.seq, "miscopied", "the chain's head does not say when its last row was written")
    return [
        await reads.misfiled(),
        unlike_notes(await reads.checkpoint_rows(), recorded),
        stamped if last and last[0][0].seq == end.seq and last[0][1][0] != micros(end.at) else None,
    ]


def verify_export(
    file: Iterable[str],
    *,
    notes: Sequence[str] = (),
    key: NoteKey | None = None,
    partial: bool = False,
    progress: Progress = silent,
) -> Verification:
    """Whether an export is whole. It must begin with the first row that retention left.

    Args:
        file: Its lines.
        partial: Rows may be left out, as filters do: then each row is checked alone.
    """
    faults: list[Unreadable] = []
    rows = _links_of(file, faults)
    first = next(rows, None)
    if partial:
        return _verify_each(() if first is None else chain([first], rows), faults)
    verifier = Verifier(START if first is None else _base_of(first), notes, key)
    source = () if first is None else chain([first], rows)
    while (some := list(islice(source, _AT_ONCE))) and verifier.add(some):
        for row in some:
            if _PRUNED in row.canonical:
                verifier.removed(body_of(row.canonical).get("note"))
        progress(verifier.head.seq)
    for fault in faults:
        verifier.note(Problem(verifier.head.seq + 1, "unreadable", str(fault)))
    return verifier.finish()


def _links_of(file: Iterable[str], faults: list[Unreadable]) -> Iterator[Link]:
    """The rows up to the first line that is none, which goes to `faults`."""
    try:
        yield from exports.links(file)
    except Unreadable as fault:
        faults.append(fault)


def _base_of(first: Link) -> Place:
    """What the first row says that it follows; the verifier asks for a proof that all before was removed."""
    return Place(first.seq - 1, first.prev_hash) if first.seq > 1 else START


def _verify_each(rows: Iterable[Link], faults: Sequence[Unreadable]) -> Verification:
    checked, head = 0, START
    for row in rows:
        problem = None
        if row.seq <= head.seq:
            problem = Problem(row.seq, "reordered", f"row {row.seq} stands after row {head.seq}")
        elif row.seq == head.seq + 1 and checked and row.prev_hash != head.hash:
            problem = Problem(row.seq, "relinked", "it does not name the hash of the row before it")
        elif row.hash != link(row.prev_hash, row.canonical):
            problem = Problem(row.seq, "edited", "its hash is not the hash of its bytes")
        if problem is not None:
            return Verification(checked, head, None, problem)
        checked, head = checked + 1, Place(row.seq, row.hash)
    unread = Problem(head.seq + 1, "unreadable", str(faults[0])) if faults else None
    return Verification(checked, head, None, unread)


async def export(
    reads: Reads,
    wanted: AuditFilter,
    format: Format,
    *,
    after: int,
    through: int,
    progress: Progress = silent,
) -> AsyncIterator[bytes]:
    """Rows after one place up to another as text, oldest first, in pieces."""
    if after == 0:
        yield exports.header(format)
    while rows := await reads.audit_rows(wanted, after_seq=after, through_seq=through):
        after = rows[-1].seq
        yield exports.lines(rows, format)
        progress(after)


def filters_json(wanted: AuditFilter) -> dict[str, Any]:
    """The filters that are set, as JSON."""
    times = {"since": wanted.since, "until": wanted.until}
    given = asdict(wanted) | {name: None if at is None else rfc3339(at) for name, at in times.items()}
    return {name: value for name, value in given.items() if value is not None}


def filter_of(given: Mapping[str, Any]) -> AuditFilter:
    """The reverse of `filters_json`.

    Raises:
        ValueError: a time is none.
        TypeError: there is no such filter.
    """
    times = {name: read_rfc3339(given[name]) for name in ("since", "until") if name in given}
    return AuditFilter(**{**given, **times})


async def _fast(reads: Reads, verifier: Verifier, end: int) -> bool:
    rows = await reads.links(verifier.head.seq, through=end)
    return bool(rows) and await asyncio.to_thread(verifier.add, rows)


async def _whole(reads: Reads, verifier: Verifier, end: int) -> bool:
    rows = await reads.columns(verifier.head.seq, through=end)

    def look() -> bool:
        verifier.add([row for row, _ in rows])
        return verifier.note(next(filter(None, (miscopied(*row) for row in rows)), None))

    return bool(rows) and await asyncio.to_thread(look)


def _place(cursor: str | None) -> int | None:
    if cursor is None:
        return None
    if not (cursor.isascii() and cursor.isdigit() and len(cursor) <= 18):
        raise InvalidRequest(errors=[("cursor", "use a next_cursor of an earlier page as it came")])
    return int(cursor)
