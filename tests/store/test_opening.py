"""Opening a store: what is refused, what is checked, and that the schema is the one declared."""

import os
import re
import stat
import sys
from asyncio.subprocess import PIPE, create_subprocess_exec
from contextlib import closing
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import NullPool, create_engine
from sqlalchemy.dialects import sqlite
from sqlalchemy.schema import CreateIndex, CreateTable

from bot.core.errors import Unavailable
from bot.store import CannotOpen, Store, dialect, schema
from bot.store.commands import CreateRequest
from bot.store.tables import metadata
from tests.store.histories import submitted


@pytest.fixture
def path(url):
    return Path(url.removeprefix("sqlite:///"))


async def filled(url, clock, count=3):
    async with Store.open(url, clock=clock) as store:
        for number in range(count):
            await store.write(CreateRequest(submitted(number)))


def crashed(path):
    """What a killed process leaves in the lock file."""
    path.with_name(path.name + ".lock").write_bytes(b"open\n")


async def test_what_was_written_is_there_after_reopening(url, clock):
    await filled(url, clock)
    async with Store.open(url, clock=clock) as store:
        assert await store.reads.request(submitted(1).request.id) == submitted(1).request
        assert (await store.reads.chain_head()).seq == 6


async def test_database_and_lock_are_for_their_owner_only(url, clock, path):
    await filled(url, clock)
    for file in path.parent.iterdir():
        assert stat.S_IMODE(file.stat().st_mode) == 0o600, file


async def test_commits_are_synced_in_full(store, url):
    with closing(dialect.of(url)._writing()) as raw:
        pragmas = {
            name: raw.execute(f"PRAGMA {name}").fetchone()[0] for name in ("synchronous", "journal_mode")
        }
    assert pragmas == {"synchronous": 2, "journal_mode": "wal"}


async def test_readers_cannot_write(store, url):
    with (
        closing(dialect.of(url).connect_reader()) as raw,
        pytest.raises(dialect.driver.OperationalError, match="readonly"),
    ):
        raw.execute("DELETE FROM meta")


async def test_a_second_process_is_refused_while_the_first_runs(url, clock, path):
    code = (
        "import asyncio, sys\n"
        "from bot.store import CannotOpen, Store\n"
        "async def main():\n"
        "    async with Store.open(sys.argv[1], clock=None): print('open')\n"
        "try: asyncio.run(main())\n"
        "except CannotOpen as error: print(error)\n"
    )

    async def other():
        process = await create_subprocess_exec(sys.executable, "-c", code, url, stdout=PIPE)
        return (await process.communicate())[0].decode()

    async with Store.open(url, clock=clock):
        assert "Another process uses" in await other()
    assert await other() == "open\n"


async def test_an_unclean_stop_is_checked_and_a_sound_file_opens(url, clock, path, monkeypatch):
    checked = []
    check = dialect.SQLite._check
    monkeypatch.setattr(dialect.SQLite, "_check", lambda self: (checked.append(1), check(self)))
    await filled(url, clock)
    await filled(url, clock, 0)
    assert checked == []
    crashed(path)
    await filled(url, clock, 0)
    assert checked == [1]
    await filled(url, clock, 0)
    assert checked == [1]


async def test_a_file_without_its_lock_file_is_checked(url, clock, path, monkeypatch):
    checked = []
    monkeypatch.setattr(dialect.SQLite, "_check", lambda self: checked.append(1))
    await filled(url, clock)
    path.with_name(path.name + ".lock").unlink()
    await filled(url, clock, 0)
    assert checked == [1]


async def test_a_damaged_file_is_refused_again_and_again(url, clock, path):
    await filled(url, clock, 50)
    crashed(path)
    with path.open("r+b") as file:
        file.seek(4096 * 3)
        file.write(os.urandom(4096 * 4))
    for _ in range(2):
        with pytest.raises(CannotOpen, match="damaged"):
            await filled(url, clock, 0)


async def test_a_file_that_is_no_database_is_refused(url, clock, path):
    path.write_bytes(b"dear diary, " * 100)
    with pytest.raises(CannotOpen):
        await filled(url, clock, 0)


async def test_another_programs_database_is_refused_and_left_alone(url, clock, path):
    with closing(dialect.driver.connect(path)) as raw:
        raw.execute("CREATE TABLE recipe (name TEXT)")
    with pytest.raises(CannotOpen, match="something else"):
        await filled(url, clock, 0)
    with closing(dialect.driver.connect(path)) as raw:
        assert raw.execute("SELECT name FROM sqlite_master").fetchall() == [("recipe",)]


async def test_a_newer_schema_is_refused_with_both_versions_named(url, clock, path):
    await filled(url, clock)
    with closing(dialect.driver.connect(path, isolation_level=None)) as raw:
        raw.execute("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(CannotOpen, match=rf"9999.*newer.*{schema.HEAD}"):
        await filled(url, clock, 0)


async def test_a_folder_that_is_not_there_is_named(clock, tmp_path):
    with pytest.raises(CannotOpen, match="missing"):
        await filled(f"sqlite:///{tmp_path}/missing/keyturn.db", clock, 0)


@pytest.mark.parametrize(
    "url", ["", "keyturn.db", "sqlite://", "sqlite:///", "sqlite:///:memory:", "mysql://h/d"]
)
async def test_a_url_that_names_no_database_is_refused(url, clock):
    with pytest.raises(CannotOpen, match="URL"):
        await filled(url, clock, 0)


@pytest.mark.parametrize("version", [(3, 44, 0), (3, 44, 5), (3, 45, 0), (3, 50, 6), (3, 51, 2)])
def test_a_sqlite_that_can_lose_writes_is_warned_of_with_the_way_out(version):
    dialect.refuse_too_old(version)
    said = dialect.warning(version)
    assert "another program" in said
    assert "pip install pysqlite3" in said


@pytest.mark.parametrize("version", [(3, 44, 6), (3, 50, 7), (3, 51, 3), (3, 53, 4), (4, 0, 0)])
def test_a_repaired_sqlite_is_taken_without_a_word(version):
    dialect.refuse_too_old(version)
    assert dialect.warning(version) is None


@pytest.mark.parametrize("version", [(3, 6, 0), (3, 40, 1), (3, 43, 2)])
def test_a_sqlite_too_old_for_our_statements_is_refused_with_the_way_out(version):
    with pytest.raises(CannotOpen, match="pip install pysqlite3"):
        dialect.refuse_too_old(version)


async def test_a_start_with_a_faulty_sqlite_says_so_in_the_log(url, clock, monkeypatch, caplog):
    monkeypatch.setattr(dialect, "sqlite_warning", lambda: "Beware.")
    await filled(url, clock, 1)
    assert [record.message for record in caplog.records if record.levelname == "WARNING"] == ["Beware."]


async def test_the_migrated_schema_is_the_declared_one(store, url):
    engine = create_engine(
        "sqlite://", creator=dialect.of(url)._writing, module=dialect.driver, poolclass=NullPool
    )
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_server_default": True})
        assert compare_metadata(context, metadata) == []
        script = ScriptDirectory.from_config(schema.config(connection))
        assert script.get_heads() == [schema.HEAD]
        assert {revision.revision for revision in script.walk_revisions()} == schema.KNOWN
        found = dict(
            connection.exec_driver_sql("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL").all()
        )
    for table in metadata.sorted_tables:
        assert words(found[table.name]) == words(CreateTable(table).compile(dialect=sqlite.dialect()))
        for index in table.indexes:
            assert words(found[index.name]) == words(CreateIndex(index).compile(dialect=sqlite.dialect()))


def words(sql):
    return re.findall(r"[\w.']+|[^\s\w]", str(sql).replace('"', ""))


async def test_a_read_that_fails_says_unavailable_and_the_next_one_works(store):
    with pytest.raises(Unavailable):
        await store.reads._all("SELECT * FROM nowhere", {})
    assert (await store.reads.chain_head()).seq == 0
