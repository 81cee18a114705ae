"""The SHA-256 chain over the audit: how a row is linked, and how a broken link is found.

A row's hash covers the hash before it and the row's canonical bytes, as stored; nothing is
serialised again to check it. An edit, deletion, insertion or reorder shows at the first row it
touches. Rows cut off the end show only to somebody who kept a later hash.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

GENESIS = bytes(32)
"""The hash before the first row."""


class Link(NamedTuple):
    """One stored row as far as the chain goes. A tuple, since a million of them are made in seconds."""

    seq: int
    canonical: bytes
    prev_hash: bytes
    hash: bytes


@dataclass(frozen=True, slots=True)
class Place:
    """A row's place in the chain, and its hash: what must not change any more."""

    seq: int
    hash: bytes


START = Place(0, GENESIS)
"""Before the first row."""


@dataclass(frozen=True, slots=True)
class Problem:
    """The first row at which the chain breaks.

    `kind` is `missing` (a seq is skipped), `reordered` (a seq comes again or too early), `relinked`
    (its prev is not the hash before it) or `edited` (its hash is not that of its bytes). Beyond the
    chain itself it is `inserted` (rows stand outside its two ends), `rewritten` or `truncated` (a
    checkpoint signed other rows, or more), `forged` (a checkpoint is not signed by the key), `miscopied`
    (a searchable column differs from the bytes), `contradicted` (a request is not as the row says) or
    `unreadable` (a line of an export).
    """

    seq: int
    kind: str
    detail: str


def link(prev: bytes, canonical: bytes) -> bytes:
    """The hash of the row `canonical` after the row with hash `prev`: 32 raw bytes."""
    return hashlib.sha256(prev + canonical).digest()


def verify(rows: Iterable[Link], *, seq: int = 0, prev: bytes = GENESIS) -> Problem | None:
    """The first problem in `rows`, which must follow the row `seq` with hash `prev`; None when whole."""
    sha256 = hashlib.sha256
    for found, canonical, before, hashed in rows:
        if found != seq + 1:
            return _misplaced(found, seq + 1)
        if before != prev:
            return Problem(found, "relinked", "it does not name the hash of the row before it")
        if hashed != sha256(before + canonical).digest():
            return Problem(found, "edited", "its hash is not the hash of its bytes")
        seq, prev = found, hashed
    return None


def _misplaced(found: int, expected: int) -> Problem:
    if found > expected:
        return Problem(expected, "missing", f"row {expected} is missing; row {found} follows")
    return Problem(found, "reordered", f"row {found} stands where row {expected} belongs")
