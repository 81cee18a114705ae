"""database_restore on a real PostgreSQL, over asyncpg."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from keyturn.rollback import Resources, UndoConflict, UndoFailed
from tests.postgres import running_postgres


@pytest.fixture(scope="module")
def server() -> Iterator[Path]:
    """The socket directory of a PostgreSQL of our own."""
    with running_postgres() as directory:
        yield directory


@pytest.fixture
def resources(server: Path) -> Resources:
    async def prepare() -> None:
        connection = await connect()
        await connection.execute("DROP TABLE IF EXISTS item, extra")
        await connection.execute("CREATE TABLE item (id int PRIMARY KEY, name text)")
        await connection.execute("INSERT INTO item VALUES (1, 'lamp'), (2, 'vase')")
        await connection.close()

    async def connect() -> Any:
        return await asyncpg.connect(host=str(server), user="postgres", database="postgres")

    asyncio.run(prepare())
    made = Resources()
    made.database("shop", connect)
    return made


def rows(server: Path) -> list[tuple[int, str]]:
    async def read() -> list[tuple[int, str]]:
        connection = await asyncpg.connect(host=str(server), user="postgres", database="postgres")
        try:
            return [tuple(row) for row in await connection.fetch("SELECT * FROM item ORDER BY id")]
        finally:
            await connection.close()

    return asyncio.run(read())


def restoring(*statements: tuple[Any, ...]) -> dict[str, Any]:
    listed = [{"sql": text, "params": list(params)} for text, *params in statements]
    return {"type": "database_restore", "database": "shop", "statements": listed}


def test_statements_run_in_one_transaction_and_the_preview_takes_them_back(
    server: Path, resources: Resources
) -> None:
    step = restoring(("UPDATE item SET name = $1 WHERE id = $2", "rug", 1), ("CREATE TABLE extra (id int)",))
    shown = resources.preview(step)
    assert (shown.conflict, rows(server)) == (None, [(1, "lamp"), (2, "vase")])
    assert "-- 1 row" in str(shown.diff)
    resources.kind(step).apply(step, force=False)
    assert rows(server) == [(1, "rug"), (2, "vase")]


def test_one_statement_that_fails_takes_all_back(server: Path, resources: Resources) -> None:
    step = restoring(("DELETE FROM item",), ("SELECT nowhere",))
    with pytest.raises(UndoFailed, match="Nothing was changed"):
        resources.kind(step).apply(step, force=False)
    assert len(rows(server)) == 2


def test_a_statement_that_would_change_nothing_is_a_conflict(server: Path, resources: Resources) -> None:
    step = restoring(("DELETE FROM item WHERE id = 1",), ("DELETE FROM item WHERE id = 9",))
    with pytest.raises(UndoConflict):
        resources.kind(step).apply(step, force=False)
    assert len(rows(server)) == 2
