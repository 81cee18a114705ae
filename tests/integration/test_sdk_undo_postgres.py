"""database_restore on a real PostgreSQL, over asyncpg."""

import asyncio
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from keyturn.rollback import Resources, UndoConflict, UndoFailed

NAMES = ("initdb", "pg_ctl")


@pytest.fixture(scope="module")
def server() -> Iterator[Path]:
    """The socket directory of a PostgreSQL of our own; it refuses to run as root."""
    if not all(map(shutil.which, NAMES)):
        pytest.skip("PostgreSQL is not installed (initdb, pg_ctl)")
    home = Path(tempfile.mkdtemp(prefix="kt-pg-"))
    user = pwd.getpwnam("nobody") if os.geteuid() == 0 else None
    as_user: dict[str, Any] = (
        {} if user is None else {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
    )
    if user is not None:
        os.chown(home, user.pw_uid, user.pw_gid)
    data, log = home / "data", home / "log"

    def run(*words: str) -> None:
        done = subprocess.run(
            words, **as_user, cwd=home, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        assert done.returncode == 0, done.stdout

    run("initdb", "-D", str(data), "-A", "trust", "-U", "postgres", "--no-sync")
    start = ["-o", f"-c listen_addresses='' -c unix_socket_directories={home} -c fsync=off"]
    # Its output must go to a file: a pipe would stay open for as long as the server runs.
    with log.open("wb") as out:
        words = ["pg_ctl", "-D", str(data), "-w", *start, "start"]
        subprocess.run(words, **as_user, cwd=home, stdout=out, stderr=out, check=True)
    try:
        yield home
    finally:
        run("pg_ctl", "-D", str(data), "-m", "immediate", "stop")
        shutil.rmtree(home)


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
