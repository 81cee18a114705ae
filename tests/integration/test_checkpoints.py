"""When checkpoints are signed, and how they reach their file in spite of trouble."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from bot.core.chain import Place
from bot.core.checkpoint import read, sign
from bot.services import checkpoints as signing
from bot.services import scheduler as scheduling
from bot.services.audit import Audit
from bot.services.checkpoints import Checkpoints, NoteFile, note_file, signing_key
from bot.services.scheduler import Scheduler
from bot.store import Store
from bot.store.commands import CreateRequest
from bot.system import SystemClock
from tests.store.conftest import HandClock
from tests.store.histories import submitted


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    async with Store.open(f"sqlite:///{tmp_path}/k.db", clock=HandClock()) as opened:
        yield opened


@pytest.fixture
def kept(tmp_path: Path) -> NoteFile:
    return note_file(tmp_path / "k.db")


@pytest.fixture
def scheduler(store: Store) -> Scheduler:
    return Scheduler(store, lambda _name: None, SystemClock())


@pytest.fixture
def signer(store: Store, kept: NoteFile, tmp_path: Path, scheduler: Scheduler) -> Checkpoints:
    hurry = scheduler.checkpoint_now
    return Checkpoints(store, HandClock(), signing_key(tmp_path), kept, hurry=hurry)


async def asked(store: Store, number: int) -> int:
    """One more request; the last row."""
    await store.write(CreateRequest(submitted(number)))
    return (await store.reads.chain_head()).seq


async def until_signed(store: Store, place: int) -> None:
    committed = asyncio.Event()
    store.on_commit(lambda _changes: committed.set())
    async with asyncio.timeout(20):
        while True:
            committed.clear()  # before the look, so that nothing is missed after it
            note = await store.reads.last_checkpoint()
            if note is not None and read(note).place.seq >= place:
                return
            await committed.wait()


@asynccontextmanager
async def run(scheduler: Scheduler, signer: Checkpoints) -> AsyncIterator[None]:
    await scheduler.start(due=nothing, notice=nothing, checkpoint=signer.run_once, prune=nothing)
    try:
        yield
    finally:
        scheduler.stop()


async def nothing() -> None:
    """A pass with nothing to do."""


def places(notes: list[str]) -> list[int]:
    return [read(note).place.seq for note in notes]


async def test_enough_rows_are_signed_without_waiting_for_the_minute(
    store: Store,
    signer: Checkpoints,
    scheduler: Scheduler,
    kept: NoteFile,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(signing, "ROWS", 3)
    async with run(scheduler, signer):
        first = await asked(store, 1)
        await asked(store, 2)
        await until_signed(store, first)
        last = await asked(store, 3)
    await signer.run_once()
    assert places(kept.notes())[-1] >= last
    assert places(kept.notes()) == places(list(await store.reads.checkpoints()))


async def test_time_signs_too_and_idle_time_signs_nothing(
    store: Store,
    signer: Checkpoints,
    scheduler: Scheduler,
    kept: NoteFile,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(scheduling, "_CHECKPOINT", timedelta(milliseconds=10))
    last = await asked(store, 1)
    async with run(scheduler, signer):
        await until_signed(store, last)
        assert await signer.sign() is None
    await signer.run_once()
    assert places(kept.notes()) == [last]


async def test_notes_that_did_not_reach_the_file_are_appended_later(
    store: Store, signer: Checkpoints, kept: NoteFile, tmp_path: Path
) -> None:
    file = tmp_path / "k.db.checkpoints"
    signed = []
    for number in (1, 2, 3):
        signed.append(await asked(store, number))
        await signer.sign()
        if number == 1:
            await signer.keep()
            file.write_bytes(file.read_bytes() + b'{"seq": 9, "no')  # the power went
    await signer.keep()
    await signer.keep()
    assert places([note for note in kept.notes() if note.startswith("keyturn")]) == signed


async def test_a_strange_line_in_the_file_is_named_and_stops_no_later_note(
    store: Store, signer: Checkpoints, kept: NoteFile, tmp_path: Path
) -> None:
    file = tmp_path / "k.db.checkpoints"
    file.write_text("what is this\n")
    place = await asked(store, 1)
    await signer.sign()
    await signer.keep()
    assert places(kept.notes()[1:]) == [place]
    found = await Audit(store, HandClock(), signer.public, kept).verify()
    assert found.problem is not None
    assert (found.problem.kind, found.problem.seq) == ("forged", 0)


async def test_a_file_that_cannot_be_written_is_tried_again(
    store: Store, signer: Checkpoints, kept: NoteFile, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "k.db.checkpoints"
    file.mkdir()
    place = await asked(store, 1)
    await signer.run_once()
    assert "no checkpoint" in caplog.text
    file.rmdir()
    await signer.run_once()
    assert places(kept.notes()) == [place]


async def test_rows_are_counted_anew_once_they_hurried_a_checkpoint(
    store: Store, kept: NoteFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hurried: list[None] = []
    Checkpoints(store, HandClock(), signing_key(tmp_path), kept, hurry=lambda: hurried.append(None))
    each = await asked(store, 1)
    monkeypatch.setattr(signing, "ROWS", 3 * each)
    seen = []
    for number in range(2, 8):
        await asked(store, number)
        seen.append(len(hurried))
    assert seen == [0, 1, 1, 1, 2, 2]


async def test_notes_of_rows_that_a_backup_does_not_hold_stop_no_later_note(
    store: Store, signer: Checkpoints, kept: NoteFile, tmp_path: Path
) -> None:
    await asked(store, 1)
    signed = await signer.sign()
    assert signed is not None
    ahead = sign(signing_key(tmp_path), log=signed.log, place=Place(9000, signed.place.hash), at=signed.at)
    kept.append([ahead], signer.public)
    await signer.keep()
    assert places(kept.notes()) == [9000, signed.place.seq]
