"""Everything about the store that is SQLite's: connecting, pragmas, the lock, checks, errors.

One process writes a file, through one connection in one thread; the others of that process only
read. Versions of SQLite that can lose committed writes when connections write and checkpoint at
once are refused, and so is a second process. After an unclean stop the file is checked before it
is used.
"""

import fcntl
import logging
import os
import re
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from functools import cache
from operator import itemgetter
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import quote

import sqlalchemy

from bot.store import schema
from bot.store.errors import CannotOpen

try:
    from pysqlite3 import dbapi2 as driver
except ImportError:  # no wheel for this platform: Python's own SQLite, if its version will do
    driver = sqlite3

log = logging.getLogger(__name__)

Params = Mapping[str, Any]


class Row(Protocol):
    """One row of an answer, by column name."""

    def __getitem__(self, name: str, /) -> Any: ...


driver_error: type[Exception] = driver.Error
"""What every error of the database is."""


def sqlite_version() -> str:
    """The version of the SQLite in use, `3.53.4`."""
    return str(driver.sqlite_version)


def sqlite_warning() -> str | None:
    """What to beware of with the SQLite in use; None when there is nothing."""
    return warning(driver.sqlite_version_info)


_CLEAN, _OPEN = b"clean\n", b"open\n"
BUSY_SECONDS = 2.0
"""How long to wait for another program that holds the file; Slack wants an answer within three."""

_STATEMENTS = 512
"""Prepared statements kept for each connection; there are fewer texts than that."""

_COMMITS_BETWEEN_LOOKS = 4096

_PRAGMAS = (
    "PRAGMA journal_mode = WAL",
    "PRAGMA foreign_keys = ON",
    "PRAGMA recursive_triggers = ON",  # else INSERT OR REPLACE would get past the triggers on DELETE
    "PRAGMA trusted_schema = OFF",
    "PRAGMA wal_autocheckpoint = 1000",
    "PRAGMA journal_size_limit = 67108864",
    "PRAGMA temp_store = MEMORY",
    "PRAGMA cache_size = -65536",
    "PRAGMA analysis_limit = 20000",  # entries of each index: a fraction of a second, whatever the size
)
_READER_PRAGMAS = (
    "PRAGMA query_only = ON",
    "PRAGMA trusted_schema = OFF",
    "PRAGMA wal_autocheckpoint = 0",
    "PRAGMA temp_store = MEMORY",
    "PRAGMA cache_size = -16384",
)


@cache
def positional(sql: str) -> tuple[str, Callable[[Params], tuple[Any, ...]]]:
    """A statement with `:name` parameters as one with `?`, and what puts a mapping in their order.

    The driver looks each name up anew for every row it binds; this is a fifth of a hot statement.
    """
    names: list[str] = _NAME.findall(sql)
    if len(names) > 1:
        return _NAME.sub("?", sql), itemgetter(*names)
    return _NAME.sub("?", sql), lambda params: tuple([params[name] for name in names])


_NAME = re.compile(r"(?<!:):([a-z_0-9]+)")

_ONE_STATEMENTS_FAULT = (
    driver.IntegrityError,
    driver.ProgrammingError,
    driver.InterfaceError,
    driver.DataError,
)


class Connection:
    """The writing connection: transactions, savepoints and statements, all in one thread.

    Raises (every method): the driver's errors.
    """

    def __init__(self, raw: Any) -> None:
        self._raw = raw
        self._cursor = raw.cursor()
        self.run = self._cursor.execute
        self._commits = 0

    @staticmethod
    def broken(error: Exception) -> bool:
        """Whether a transaction cannot go on after `error`: disk full, I/O, locked, damaged."""
        return isinstance(error, driver.Error) and not isinstance(error, _ONE_STATEMENTS_FAULT)

    @property
    def changes(self) -> int:
        """How many rows were changed since the connection was opened."""
        count: int = self._raw.total_changes
        return count

    def begin(self) -> None:
        """Start a transaction that may write."""
        self.run("BEGIN IMMEDIATE")

    def commit(self) -> None:
        """Make it durable."""
        self.run("COMMIT")
        self._commits += 1
        if self._commits % _COMMITS_BETWEEN_LOOKS == 0:
            self._look_at_tables()

    def rollback(self) -> None:
        """Undo all since `begin`."""
        if self._raw.in_transaction:
            self.run("ROLLBACK")

    def savepoint(self) -> None:
        """Mark the place to which `undo` returns."""
        self.run("SAVEPOINT command")

    def keep(self) -> None:
        """Forget the savepoint and keep what was done since."""
        self.run("RELEASE command")

    def undo(self) -> None:
        """Undo what was done since the savepoint, and forget it."""
        self.run("ROLLBACK TO command")
        self.run("RELEASE command")

    def fetch_one(self, sql: str, params: Params = {}) -> Row | None:  # noqa: B006  # never written to
        """The first row, or None."""
        rows = self.fetch_all(sql, params)
        return rows[0] if rows else None

    def fetch_all(self, sql: str, params: Params = {}) -> Sequence[Row]:  # noqa: B006  # never written to
        """Every row."""
        text, values = positional(sql)
        rows: list[Row] = self.run(text, values(params)).fetchall()
        return rows

    def execute(self, sql: str, params: Params = {}) -> int:  # noqa: B006  # never written to
        """How many rows a statement wrote."""
        text, values = positional(sql)
        count: int = self.run(text, values(params)).rowcount
        return count

    def execute_many(self, sql: str, rows: Sequence[Params]) -> None:
        """One statement for each of `rows`."""
        text, values = positional(sql)
        self._cursor.executemany(text, [values(row) for row in rows])

    def _look_at_tables(self) -> None:
        """Tell the planner which index narrows most; tables that did not grow tenfold are left alone."""
        try:
            self.run("PRAGMA optimize = 0x10002")
        except driver.Error:  # the commit stands, and queries work without
            log.warning("the tables were not analysed", exc_info=True, extra={"event": "store.no_analysis"})

    def close(self) -> None:
        """Let the file go."""
        self._raw.close()


class SQLite:
    """One database file.

    Args:
        path: The file; made, with mode 0600, when there is none.
        synchronous: `FULL`: a commit is on disk. Anything less is for benchmarks.
    """

    def __init__(self, path: Path, *, synchronous: str = "FULL") -> None:
        self.path = path
        self._synchronous = synchronous
        self._lock: int | None = None

    def prepare(self) -> None:
        """Take the lock, check the file if it was left open, bring its schema up to date.

        Raises:
            CannotOpen: see the message.
        """
        refuse_too_old(driver.sqlite_version_info)
        if (beware := sqlite_warning()) is not None:
            log.warning(beware, extra={"event": "store.faulty_sqlite"})
        sound = not self._take_lock()
        try:
            sound = self._make_file() or sound
            if not sound:
                self._check()
                sound = True
            self._upgrade()
        except driver.Error as error:
            self.release(clean=sound)
            raise CannotOpen(f"{self.path} cannot be opened: {error}.") from error
        except BaseException:
            self.release(clean=sound)
            raise

    def check_readable(self) -> None:
        """Refuse a file that is not there or whose schema is another; takes no lock, changes nothing.

        Raises:
            CannotOpen: see the message.
        """
        if not self.path.exists():
            raise CannotOpen(f"There is no database {self.path}.")
        try:
            with closing(self.connect_reader()) as raw:
                found = _schema_version(raw)
        except driver.Error as error:
            raise CannotOpen(f"{self.path} cannot be read: {error}.") from error
        if found != schema.HEAD:
            raise CannotOpen(
                f"{self.path} has schema {found or 'none'}, this Keyturn reads {schema.HEAD}."
                " Start the Keyturn that belongs to it, or upgrade it with `keyturn serve`."
            )

    def release(self, *, clean: bool) -> None:
        """Give the lock back, saying whether the file was left in order."""
        if self._lock is None:
            return
        if clean:
            _write(self._lock, _CLEAN)
        os.close(self._lock)
        self._lock = None

    def connect(self) -> Connection:
        """The writing connection. Call it, and use what it returns, in one thread."""
        return Connection(self._writing())

    def connect_reader(self) -> Any:
        """A connection that can only read, as the driver made it."""
        raw = driver.connect(
            f"file:{quote(str(self.path))}?mode=ro",
            uri=True,
            isolation_level=None,
            timeout=BUSY_SECONDS,
            cached_statements=_STATEMENTS,
        )
        return _prepared(raw, _READER_PRAGMAS)

    def _writing(self) -> Any:
        raw = driver.connect(
            str(self.path),
            isolation_level=None,
            timeout=BUSY_SECONDS,
            cached_statements=_STATEMENTS,
        )
        return _prepared(raw, (*_PRAGMAS, f"PRAGMA synchronous = {self._synchronous}"))

    def _take_lock(self) -> bool:
        """Whether the last process with this lock left without saying goodbye."""
        place = self.path.with_name(self.path.name + ".lock")
        try:
            lock = os.open(place, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise CannotOpen(f"The lock {place} cannot be opened: {error.strerror}.") from error
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            raise CannotOpen(
                f"Another process uses {self.path} (lock {place})."
                " Stop it first; one server at a time has a database file."
            ) from None
        self._lock = lock
        unclean = os.pread(lock, 16, 0) != _CLEAN
        _write(lock, _OPEN)
        return unclean

    def _make_file(self) -> bool:
        """Whether the file is new. Made by hand, since SQLite would make it readable by all."""
        try:
            os.close(os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        except FileExistsError:
            return False
        except OSError as error:
            raise CannotOpen(f"{self.path} cannot be made: {error.strerror}.") from error
        return True

    def _check(self) -> None:
        try:
            with closing(self._writing()) as raw:
                found = [row[0] for row in raw.execute("PRAGMA quick_check(5)")]
        except driver.DatabaseError as error:
            found = [str(error)]
        if found != ["ok"]:
            raise CannotOpen(
                f"{self.path} was not closed properly and is damaged: {'; '.join(found)}."
                " Restore a backup; `keyturn audit verify` tells what a copy still holds."
            )

    def _upgrade(self) -> None:
        with closing(self._writing()) as raw:
            found = _schema_version(raw)
        if found == schema.HEAD:
            return
        engine = sqlalchemy.create_engine(
            "sqlite://", creator=self._writing, module=driver, poolclass=sqlalchemy.NullPool
        )
        with engine.connect() as connection:
            # By hand: the driver begins no transaction before DDL, and half a schema is worse than none.
            connection.exec_driver_sql("BEGIN IMMEDIATE")
            schema.upgrade(connection, found, str(self.path))
            connection.exec_driver_sql("COMMIT")


def of(url: str, *, synchronous: str = "FULL") -> SQLite:
    """The database that `url` names: `sqlite:///relative.db` or `sqlite:////absolute.db`.

    Raises:
        CannotOpen: the URL names nothing that Keyturn can store in.
    """
    found = re.fullmatch(r"sqlite:///(?P<path>[^?#]+)", url)
    if found is None or found["path"] == ":memory:":
        raise CannotOpen(
            "The database URL must look like sqlite:///keyturn.db or sqlite:////var/lib/keyturn.db."
        )
    return SQLite(Path(found["path"]), synchronous=synchronous)


def refuse_too_old(version: tuple[int, ...]) -> None:
    """Refuse a SQLite that cannot read what we write: aggregates with an order came with 3.44.

    Raises:
        CannotOpen: `version` is older.
    """
    if version < (3, 44):
        raise CannotOpen(f"SQLite {'.'.join(map(str, version))} is older than 3.44. {_WAY_OUT}")


def warning(version: tuple[int, ...]) -> str | None:
    """What to beware of with a SQLite that has the WAL-reset bug (sqlite.org/wal.html); None when it has not.

    Two connections must write or checkpoint at the same moment for it. Keyturn has one that does, and a lock
    against a second process of its own; against another program it has none.
    """
    repaired = version >= (3, 51, 3) or (3, 50, 7) <= version < (3, 51) or (3, 44, 6) <= version < (3, 45)
    if repaired:
        return None
    return (
        f"SQLite {'.'.join(map(str, version))} can lose committed writes (the WAL-reset bug, fixed in 3.51.3,"
        " 3.50.7 and 3.44.6) when another program writes or checkpoints the database while Keyturn runs: let"
        f" none do so, neither a shell nor a replication tool. {_WAY_OUT}"
    )


_WAY_OUT = (
    "`pip install pysqlite3` brings a repaired one on Linux (x86_64) and macOS (arm64); elsewhere use a"
    " Python that is built with one."
)


def _prepared(raw: Any, pragmas: Sequence[str]) -> Any:
    raw.row_factory = driver.Row
    try:
        for pragma in pragmas:
            raw.execute(pragma).fetchall()
    except BaseException:
        raw.close()
        raise
    return raw


def _schema_version(raw: Any) -> str | None:
    """The migration the file stands at; None for an empty file."""
    tables = raw.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
    names = {row["name"] for row in tables}
    if not names:
        return None
    if "alembic_version" not in names:
        raise CannotOpen("The file is a SQLite database of something else; name another file.")
    row = raw.execute("SELECT version_num FROM alembic_version").fetchone()
    version: str | None = row and row["version_num"]
    return version


def _write(descriptor: int, text: bytes) -> None:
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, text, 0)
    os.fsync(descriptor)
