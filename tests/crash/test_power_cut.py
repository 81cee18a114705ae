"""The power goes: what the system had not been told to write through is gone, and nothing acknowledged is.

SIGKILL leaves the page cache alone, so it cannot show this. Here the product's own transactions run on a
SQLite whose files keep writes to themselves until they are synced; a cut drops the rest, the last one torn.
The same rounds with `synchronous=NORMAL` must lose something, or the test could not fail.
KEYTURN_POWER_CUTS sets the number of cuts.
"""

import os
import random
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import apsw
import pytest

from bot.core.audited import audited_state
from bot.core.chain import verify
from bot.core.models import ApprovalRequest, Transition
from bot.core.replay import replay
from bot.store import Store, dialect, transaction
from bot.store.commands import CreateRequest, SaveTransition
from tests.store.conftest import HandClock
from tests.store.histories import random_history

CUTS = int(os.environ.get("KEYTURN_POWER_CUTS", "8"))


class Disk(apsw.VFS):
    """Files whose writes reach the real ones when they are synced; its power goes after `left` of both."""

    def __init__(self, name: str) -> None:
        super().__init__(name, "")
        self.name = name
        self.unsynced: dict[str, list[tuple[int, bytes]]] = {}
        self.left = 0
        self.chance = random.Random()
        self.after = Path()

    def xOpen(self, name: Any, flags: Any) -> "File":
        return File(self, name, flags)

    def lives(self, chance: random.Random, left: int, after: Path) -> None:
        """Begin anew. What a disk would hold when the power goes is then found at `after`."""
        self.unsynced.clear()
        self.chance, self.left, self.after = chance, left, after

    def tick(self) -> None:
        """One more write or sync; those that come after the cut are a dead machine's dreams."""
        self.left -= 1
        if self.left == 0:
            for suffix in ("", "-wal"):
                self._keep(
                    Path(f"{self.after.with_name('keyturn.db')}{suffix}"), Path(f"{self.after}{suffix}")
                )

    def _keep(self, path: Path, kept: Path) -> None:
        """Of the unsynced writes some reached the disk, in their order, and some of those by half."""
        kept.write_bytes(path.read_bytes() if path.exists() else b"")
        writes = self.unsynced.get(str(path), [])
        with kept.open("r+b") as file:
            for offset, data in writes[: self.chance.randrange(len(writes) + 1)]:
                file.seek(offset)
                file.write(data[: self.chance.randrange(len(data))] if self.chance.random() < 0.2 else data)


class File(apsw.VFSFile):
    def __init__(self, disk: Disk, name: Any, flags: Any) -> None:
        self._disk = disk
        self._path = name.filename() if isinstance(name, apsw.URIFilename) else str(name)
        super().__init__("", name, flags)

    @property
    def _unsynced(self) -> list[tuple[int, bytes]]:
        return self._disk.unsynced.get(self._path, [])

    def xWrite(self, data: bytes, offset: int) -> None:
        self._disk.unsynced.setdefault(self._path, []).append((offset, bytes(data)))
        self._disk.tick()

    def xRead(self, amount: int, offset: int) -> bytes:
        size = super().xFileSize()
        there = super().xRead(min(amount, size - offset), offset) if size > offset else b""
        found = bytearray(there.ljust(amount, b"\0"))
        for start, data in self._unsynced:
            low, high = max(offset, start), min(offset + amount, start + len(data))
            if low < high:
                found[low - offset : high - offset] = data[low - start : high - start]
        return bytes(found)

    def xFileSize(self) -> int:
        return max([super().xFileSize(), *(start + len(data) for start, data in self._unsynced)])

    def xTruncate(self, size: int) -> None:
        kept = [(start, data[: size - start]) for start, data in self._unsynced if start < size]
        self._disk.unsynced[self._path] = kept
        super().xTruncate(min(size, super().xFileSize()))

    def xSync(self, flags: int) -> None:
        self._disk.tick()
        for offset, data in self._disk.unsynced.pop(self._path, []):
            super().xWrite(data, offset)
        super().xSync(flags)


class Raw:
    """An apsw connection in the shape that `dialect.Connection` expects of the driver's."""

    def __init__(self, path: Path, disk: str, synchronous: str) -> None:
        self._raw = apsw.Connection(str(path), vfs=disk)
        self._raw.row_trace = _named
        self.rowcount = 0
        for pragma in (
            "PRAGMA locking_mode = EXCLUSIVE",  # no shared memory, which no disk keeps
            *dialect._PRAGMAS,
            f"PRAGMA synchronous = {synchronous}",
            "PRAGMA wal_autocheckpoint = 60",  # so that cuts fall into checkpoints, too
        ):
            self._raw.execute(pragma).fetchall()

    def cursor(self) -> "Raw":
        return self

    def execute(self, sql: str, values: Any = ()) -> "Raw":
        before = self._raw.total_changes()
        self._rows = self._raw.execute(sql, values).fetchall()
        self.rowcount = self._raw.total_changes() - before
        return self

    def executemany(self, sql: str, rows: Any) -> None:
        self._raw.executemany(sql, rows).fetchall()

    def fetchall(self) -> list[dict[str, Any]]:
        return self._rows

    @property
    def in_transaction(self) -> bool:
        return self._raw.in_transaction

    @property
    def total_changes(self) -> int:
        return self._raw.total_changes()

    def close(self) -> None:
        self._raw.close()


def _named(cursor: apsw.Cursor, row: tuple[Any, ...]) -> dict[str, Any]:
    return {column[0]: value for column, value in zip(cursor.get_description(), row, strict=True)}


@pytest.fixture
def disk(request: pytest.FixtureRequest) -> Iterator[Disk]:
    made = Disk(f"cut-{request.node.name}")
    yield made
    made.unregister()


def live_until_the_cut(path: Path, disk: Disk, synchronous: str) -> list[ApprovalRequest]:
    """Each request as it was last acknowledged before the power went."""
    acknowledged: dict[str, ApprovalRequest] = {}
    chance = disk.chance
    histories = [random_history(chance.randrange(2**32), number) for number in range(120)]
    with closing(dialect.Connection(Raw(path, disk.name, synchronous))) as connection:
        while disk.left > 0:
            living = [history for history in histories if history]
            steps = [history.pop(0) for history in chance.sample(living, min(len(living), 8))]
            done = transaction.run(connection, [_command(step) for step in steps])
            assert all(done.outcomes)
            if disk.left > 0:
                acknowledged |= {step.request.id: step.request for step in steps}
    return list(acknowledged.values())


def _command(step: Transition) -> CreateRequest | SaveTransition:
    return CreateRequest(step) if step.request.version == 1 else SaveTransition(step)


async def lost(path: Path, acknowledged: list[ApprovalRequest]) -> int:
    """How many acknowledged changes are not there; all the rest must be whole."""
    async with Store.open(f"sqlite:///{path}", clock=HandClock()) as store:
        links = await store.reads.links(0, limit=1_000_000)
        assert verify(links) is None
        head = await store.reads.chain_head()
        assert head.seq == (links[-1].seq if links else 0)
        missing = 0
        for before in acknowledged:
            found = await store.reads.request(before.id)
            # A change that was never acknowledged may be there all the same.
            missing += found is None or found.version < before.version
            if found is not None:
                assert found == before or found.version != before.version
                events = await store.reads.events(before.id, 0)
                assert replay(event.body for event in events) == audited_state(found)
    return missing


async def cut_again_and_again(directory: Path, disk: Disk, synchronous: str) -> list[int]:
    losses = []
    for number in range(CUTS):
        place = directory / str(number)
        place.mkdir()
        async with Store.open(f"sqlite:///{place}/keyturn.db", clock=HandClock()):
            pass  # a database as it is after a clean stop
        chance = random.Random(number)
        disk.lives(chance, chance.randrange(1, 900), place / "after.db")
        acknowledged = live_until_the_cut(place / "keyturn.db", disk, synchronous)
        losses.append(await lost(place / "after.db", acknowledged))
    return losses


async def test_a_power_cut_loses_nothing_that_was_acknowledged(tmp_path: Path, disk: Disk) -> None:
    assert await cut_again_and_again(tmp_path, disk, "FULL") == [0] * CUTS


async def test_the_same_cuts_lose_something_when_commits_are_not_synced(tmp_path: Path, disk: Disk) -> None:
    assert sum(await cut_again_and_again(tmp_path, disk, "NORMAL")) > 0
