"""One changed byte of an export, or one changed cell of the database, is found and its row named."""

import io
import random
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import pytest

from bot.core.checkpoint import NoteKey
from bot.services.audit import export, verify, verify_export
from bot.services.checkpoints import Checkpoints, note_file, signing_key
from bot.services.exports import Format
from bot.store import Store
from bot.store.auditing import EVERYTHING
from bot.store.commands import CreateRequest, SaveTransition
from tests.store.conftest import HandClock
from tests.store.histories import approved, claimed, submitted

PLACES = 1000


@pytest.fixture
async def audit(tmp_path: Path) -> AsyncIterator[tuple[Store, NoteKey]]:
    """Two requests that ran, one that waits, and a checkpoint."""
    async with Store.open(f"sqlite:///{tmp_path}/k.db", clock=HandClock()) as store:
        for number in (1, 2):
            step = submitted(number, session_id=f"run{number}")
            decided = approved(step.request)
            await store.write(CreateRequest(step))
            await store.write(SaveTransition(decided))
            await store.write(SaveTransition(claimed(decided.request)))
        signer = Checkpoints(store, HandClock(), signing_key(tmp_path), note_file(tmp_path / "k.db"))
        await signer.sign()
        await store.write(CreateRequest(submitted(3)))
        yield store, signer.public


async def exported(store: Store, format: Format) -> str:
    through = (await store.reads.chain_head()).seq
    pieces = export(store.reads, EVERYTHING, format, after=0, through=through)
    return b"".join([piece async for piece in pieces]).decode()


@pytest.mark.parametrize("format", Format)
async def test_a_changed_byte_of_an_export_is_found_in_its_row(
    audit: tuple[Store, NoteKey], format: Format
) -> None:
    store, _ = audit
    text = await exported(store, format)
    assert verify_export(io.StringIO(text, newline="")).ok
    chance = random.Random(str(format))
    for _ in range(PLACES):
        place = chance.randrange(len(text))
        other = chance.choice([c for c in map(chr, range(32, 127)) if c != text[place]])
        changed = text[:place] + other + text[place + 1 :]
        problem = verify_export(io.StringIO(changed, newline="")).problem
        assert problem is not None, (text[:place][-40:], other)
        # A lost quotation mark or end of line draws the next row in; a changed seq is missing there.
        row = text.count("\n", 0, place) + (format is Format.JSONL)
        assert problem.seq in (max(row, 1), row + 1), (problem, text[:place][-40:], other)


@pytest.mark.parametrize("format", Format)
@pytest.mark.parametrize("partial", [False, True])
async def test_what_is_no_export_is_unreadable(
    audit: tuple[Store, NoteKey], format: Format, partial: bool
) -> None:
    store, _ = audit
    text = await exported(store, format)
    lines = text.splitlines(keepends=True)
    header = format is Format.CSV
    for strange in ('"', "{}", "null", "[1]", "1,2,3", "\ufffd", '{"seq": 3, "hash": 7, "prev_hash": "zz"}'):
        broken = "".join([*lines[: 4 + header], f"{strange}\n"])
        problem = verify_export(io.StringIO(broken, newline=""), partial=partial).problem
        assert problem is not None, strange
        assert (problem.seq, problem.kind) == (5, "unreadable")
        assert f"line {5 + header}" in problem.detail
    # An edit before it comes first.
    broken = "".join([*lines[: 4 + header], "}\n"]).replace("session_started", "session_ended")
    problem = verify_export(io.StringIO(broken, newline=""), partial=partial).problem
    assert problem is not None
    assert (problem.seq, problem.kind) == (1, "edited")


async def test_a_changed_cell_of_the_audit_is_found_in_its_row(
    audit: tuple[Store, NoteKey], tmp_path: Path
) -> None:
    store, key = audit
    with closing(sqlite3.connect(tmp_path / "k.db", isolation_level=None)) as raw:
        raw.row_factory = sqlite3.Row
        raw.execute("DROP TRIGGER audit_no_update")
        raw.execute("PRAGMA ignore_check_constraints = ON")
        for row in raw.execute("SELECT * FROM audit").fetchall():
            for column in row.keys():  # noqa: SIM118 # a Row iterates over its values
                if column == "seq":
                    continue
                raw.execute(
                    f"UPDATE audit SET {column} = ? WHERE seq = ?", (_other(column, row[column]), row["seq"])
                )
                problem = (await verify(store.reads, key=key)).problem
                assert problem is not None, (row["seq"], column)
                assert problem.seq == row["seq"], (column, problem)
                raw.execute(f"UPDATE audit SET {column} = ? WHERE seq = ?", (row[column], row["seq"]))
        assert (await verify(store.reads, key=key)).ok


def _other(column: str, value: object) -> object:
    """The value with its last byte changed, or one where there was none."""
    if isinstance(value, bytes):
        return value[:-1] + bytes([value[-1] ^ 1])
    if isinstance(value, int):
        return value + 1
    return 1 if column == "reversible" else f"{value or ''}x"
