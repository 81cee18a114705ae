"""Rows go as a prefix that a checkpoint signed, up to the newest whose rows are all old enough."""

import sqlite3
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from bot.core import checkpoint
from bot.core.chain import START, Place
from bot.core.models import Actor, Event, Via
from bot.core.times import rfc3339
from bot.services.audit import verify
from bot.store import Store
from bot.store.checkpoints import AddCheckpoint, PruneAudit
from bot.store.commands import RecordEvents
from tests.factories import NOON
from tests.store.conftest import HandClock

KEY = Ed25519PrivateKey.generate()
OPERATOR = Actor.system("cli")
HOUR = timedelta(hours=1)


@pytest.fixture
async def store(tmp_path: Path):
    """Rows 1, 3 and 5 of noon, one and two o'clock, each signed by the row after it."""
    async with Store.open(f"sqlite:///{tmp_path}/k.db", clock=HandClock()) as opened:
        for hours in range(3):
            await happens(opened, NOON + hours * HOUR)
            await sign(opened, NOON + hours * HOUR)
        yield opened


async def happens(store: Store, now: datetime) -> None:
    await store.write(RecordEvents((Event("policy_loaded", OPERATOR, Via.CLI, {"version": "1"}),), now))


async def sign(store: Store, now: datetime) -> None:
    head = await store.reads.chain_head()
    place = Place(head.seq, bytes.fromhex(head.hash))
    assert await store.write(
        AddCheckpoint(
            checkpoint.sign(KEY, log=checkpoint.log_name(b"1" * 32), place=place, at=rfc3339(now)), "k", now
        )
    )


async def prune(store: Store, before: datetime) -> Place | None:
    return await store.write(PruneAudit(before, OPERATOR, Via.CLI, NOON + timedelta(days=1)))


async def left(store: Store) -> list[int]:
    return [seq for seq, _, _ in await store.reads.written(0)]


async def test_rows_go_up_to_the_newest_checkpoint_whose_rows_are_all_older(store: Store) -> None:
    place = await prune(store, NOON + HOUR + timedelta(microseconds=1))
    assert place is not None
    assert place.seq == 3
    assert place == await store.reads.chain_base()
    assert await left(store) == [4, 5, 6, 7]
    assert (await verify(store.reads)).ok


async def test_a_row_of_the_very_time_is_kept(store: Store) -> None:
    place = await prune(store, NOON + HOUR)
    assert place is not None
    assert place.seq == 1


@pytest.mark.parametrize("before", [NOON - HOUR, NOON])
async def test_where_no_checkpoint_is_old_enough_nothing_goes_and_nothing_is_said(
    store: Store, before: datetime
) -> None:
    assert await prune(store, before) is None
    assert await left(store) == [1, 2, 3, 4, 5, 6]
    assert await store.reads.chain_base() == START


async def test_a_second_removal_goes_on_from_the_first_and_says_how_many_rows_went(store: Store) -> None:
    await prune(store, NOON + timedelta(minutes=1))
    again = await prune(store, NOON + timedelta(minutes=2))
    assert again is None, "nothing more is that old"
    await prune(store, NOON + 3 * HOUR)
    assert await left(store) == [6, 7, 8]
    [first, second] = reversed(await store.reads.audit_page(event="audit_pruned"))
    assert (first.body["through"], first.body["rows"]) == (1, 1)
    assert (second.body["through"], second.body["rows"]) == (5, 4)
    assert (await verify(store.reads)).ok


async def test_a_checkpoint_that_signed_another_row_removes_nothing(store: Store, tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "k.db")) as raw, raw:
        raw.execute("DROP TRIGGER checkpoint_no_update")
        raw.execute("UPDATE checkpoint SET hash = (SELECT hash FROM checkpoint WHERE seq = 1) WHERE seq > 1")
    place = await prune(store, NOON + 3 * HOUR)
    assert place is not None
    assert place.seq == 1


async def test_rows_behind_the_signed_place_cannot_be_deleted_by_hand(store: Store, tmp_path: Path) -> None:
    await prune(store, NOON + timedelta(minutes=1))
    with closing(sqlite3.connect(tmp_path / "k.db")) as raw:
        for statement in (
            "DELETE FROM audit WHERE seq = 2",
            "UPDATE audit_base SET seq = 0",
            "DELETE FROM audit_base",
        ):
            with pytest.raises(sqlite3.IntegrityError):
                raw.execute(statement)
