"""`database_restore`: parameterised statements in one transaction, on a database the agent registered.

On SQLite and PostgreSQL a preview really runs the statements and takes them back, so it can say how
many rows each would change. A statement that would change no row says that the state is not the one
the action left.
"""

import asyncio
import inspect
import re
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from keyturn import exact
from keyturn.rollback.parts import Preview, Step, UndoConflict, UndoFailed, objection

Connect = Callable[[], Any]
"""Makes a DB-API connection, or a coroutine function that makes an asyncpg one; it is closed after use."""

_TAKES_BACK_ANYTHING = ("sqlite3", "pysqlite3", "psycopg", "psycopg2", "asyncpg", "pg8000")
"""Drivers of databases whose transactions take back schema changes too; others are not tried out."""

_UNTRIED = "untried"
"""The state of rows that a preview could not look at."""

_CONTROL = frozenset(
    {"BEGIN", "START", "COMMIT", "END", "ROLLBACK", "ABORT", "SAVEPOINT", "RELEASE", "PREPARE"}
)
"""First words of statements that begin or end a transaction."""

_BLOCKS = frozenset({"BEGIN", "END"})

_COMMENT = re.compile(r"--[^\n]*|/\*.*?\*/", re.DOTALL)

_CHANGES = ("insert", "update", "delete", "replace", "merge")


@dataclass(frozen=True, slots=True)
class _Ran:
    """How many rows each statement changed; None where the driver does not say."""

    counts: tuple[int | None, ...]

    @property
    def state(self) -> str:
        """What was seen of the rows: how many each statement finds."""
        return ", ".join("?" if count is None else str(count) for count in self.counts)

    def idle(self, statements: Sequence[Step]) -> list[int]:
        """Places of the statements that should have changed a row and did not."""
        return [
            place
            for place, (statement, count) in enumerate(zip(statements, self.counts, strict=True), start=1)
            if count == 0 and str(statement["sql"]).lstrip().lower().startswith(_CHANGES)
        ]


Refuse = Callable[[_Ran], UndoConflict | None]
"""Why statements that ran, and can still be taken back, may not be kept; None when they may."""


class DatabaseRestore:
    """Runs statements on registered databases."""

    def __init__(self) -> None:
        self._connects: dict[str, Connect] = {}

    def register(self, name: str, connect: Connect) -> None:
        """Say how to reach the database that rollback data calls `name`."""
        self._connects[name] = connect

    def preview(self, step: Step, before: Sequence[Step] = ()) -> Preview:
        """As `Kind.preview`."""
        statements, name = step["statements"], str(step["database"])
        ran = self._run(step, keep=False, first=before)
        summary = f"Run {_counted(len(statements), 'statement')} on {name} in one transaction."
        if ran is None:
            summary += " They cannot be tried out on this database, so nothing was checked."
        conflict = _conflict(name, [] if ran is None else ran.idle(statements))
        state = _UNTRIED if ran is None else ran.state
        return Preview(summary, _listed(statements, ran), (name,), conflict, state)

    def refusal(
        self, step: Step, before: Sequence[Step], *, force: bool, shown: str | None
    ) -> UndoConflict | None:
        """As `Kind.refusal`."""
        ran = self._run(step, keep=False, first=before)
        return None if ran is None else _refusal(step, ran, force, shown)

    def apply(self, step: Step, *, force: bool, shown: str | None = None) -> str:
        """As `Kind.apply`."""
        statements, name = step["statements"], str(step["database"])
        ran = self._run(step, refuse=lambda ran: _refusal(step, ran, force, shown), keep=True)
        assert ran is not None, "statements that are kept are run"
        changed = sum(count or 0 for count in ran.counts if count is not None and count > 0)
        idle = len(ran.idle(statements))
        note = f" {idle} of the statements changed nothing." if idle else ""
        told = f"Ran {_counted(len(statements), 'statement')} on {name}, {_counted(changed, 'row')} changed."
        return f"{told}{note}"

    def in_place(self, step: Step) -> bool | None:
        """As `Kind.in_place`: a transaction leaves no trace by which it could be told."""
        return None

    def _run(
        self, step: Step, *, keep: bool, refuse: Refuse = lambda ran: None, first: Sequence[Step] = ()
    ) -> _Ran | None:
        """Run the statements; what `refuse` finds in what they did takes all of them back.

        `first` are steps whose statements run before, in the same transaction, and are not counted.

        None when they were not tried, since this database could not take them back.
        """
        name = str(step["database"])
        connect = self._connects.get(name)
        if connect is None:
            known = ", ".join(sorted(self._connects)) or "none"
            raise UndoFailed(f"No database {name!r} is registered with this agent's worker; known: {known}")
        run = _Run([each for other in first for each in other["statements"]], step, keep=keep, refuse=refuse)
        try:
            connection = connect()
            if inspect.isawaitable(connection):
                return asyncio.run(_run_async(connection, run))
            return _run_dbapi(connection, run)
        except UndoFailed:
            raise
        except Exception as error:  # every driver has errors of its own
            raise UndoFailed(f"{name}: {type(error).__name__}: {error}. Nothing was changed.") from error


class _Run:
    """Statements for one transaction: those of earlier steps, which are not counted, then the step's.

    Raises:
        UndoFailed: one of them would end the transaction, so that a preview could not be taken back.
    """

    def __init__(self, first: Sequence[Step], step: Step, *, keep: bool, refuse: "Refuse") -> None:
        self.statements = [*first, *step["statements"]]
        self.keep = keep
        self._first, self._refuse = len(first), refuse
        for statement in self.statements:
            if (word := _ends_transaction(str(statement["sql"]))) is not None:
                raise UndoFailed(
                    f"{step['database']}: {word} cannot be a part of an undo, which is one transaction. "
                    "Nothing was changed."
                )

    def ran(self, counts: Sequence[int | None]) -> _Ran:
        """What was done.

        Raises:
            UndoConflict: it may not be done to the rows as they are.
        """
        ran = _Ran(tuple(counts[self._first :]))
        if (refused := self._refuse(ran)) is not None:
            raise refused
        return ran


def driver_of(connection: Any) -> str:
    """The known driver of a connection, whose class may be one of the agent's own; else empty."""
    modules = (kind.__module__.partition(".")[0] for kind in type(connection).__mro__)
    return next((name for name in modules if name in _TAKES_BACK_ANYTHING), "")


def _ends_transaction(sql: str) -> str | None:
    """The word that begins or ends a transaction in `sql`, if there is one."""
    bare = _COMMENT.sub(" ", sql)
    words = [part.split(None, 1)[0].upper() for part in bare.split(";") if part.strip()]
    # Triggers and functions have blocks of their own.
    own = _BLOCKS if words[:1] in (["CREATE"], ["DO"]) else frozenset()
    return next((word for word in words if word in _CONTROL - own), None)


def _run_dbapi(connection: Any, run: _Run) -> _Ran | None:
    driver = driver_of(connection)
    try:
        if not run.keep and driver not in _TAKES_BACK_ANYTHING:
            return None
        _begin(connection, driver)
        try:
            ran = run.ran([_count(connection, statement, driver) for statement in run.statements])
        except BaseException:
            connection.rollback()
            raise
        if run.keep:
            with _told_if_unsure():
                connection.commit()
        else:
            connection.rollback()
        return ran
    finally:
        connection.close()


def _count(connection: Any, statement: Step, driver: str) -> int | None:
    """Run one statement; how many rows it changed, where the driver says."""
    cursor = connection.cursor()
    params = _bound(statement.get("params") or (), driver)
    # Without parameters none are passed: some drivers would then read a % in the text as one.
    cursor.execute(str(statement["sql"]), *((params,) if params else ()))
    count = cursor.rowcount if cursor.rowcount >= 0 else None
    cursor.close()
    return count


def _begin(connection: Any, driver: str) -> None:
    """A transaction around everything, schema changes too."""
    if driver in ("sqlite3", "pysqlite3"):
        # sqlite3 begins none by itself before DDL, and none at all when its isolation level is None.
        connection.isolation_level = None
        connection.execute("BEGIN IMMEDIATE")
    elif getattr(connection, "autocommit", False) is True:
        raise UndoFailed(
            "The connection is in autocommit mode; register one that is not. Nothing was changed."
        )


async def _run_async(connecting: Awaitable[Any], run: _Run) -> _Ran:
    connection = await connecting
    try:
        transaction = connection.transaction()
        await transaction.start()
        try:
            counts = []
            for statement in run.statements:
                said = await connection.execute(str(statement["sql"]), *(statement.get("params") or ()))
                last = str(said).split()[-1]
                counts.append(int(last) if last.isdigit() else None)
            ran = run.ran(counts)
        except BaseException:
            await transaction.rollback()
            raise
        if run.keep:
            with _told_if_unsure():
                await transaction.commit()
        else:
            await transaction.rollback()
        return ran
    finally:
        await connection.close()


@contextmanager
def _told_if_unsure() -> Iterator[None]:
    """A commit that fails, with the connection for instance, may have happened all the same."""
    try:
        yield
    except Exception as error:
        raise UndoFailed(
            f"The commit failed ({type(error).__name__}: {error}), so nobody can tell whether the undo was "
            "done. Look at the rows, and finish it by hand."
        ) from error


def _refusal(step: Step, ran: _Ran, force: bool, shown: str | None) -> UndoConflict | None:
    statements, name = step["statements"], str(step["database"])
    conflict = _conflict(name, ran.idle(statements))
    if shown == _UNTRIED:
        said = None if force else conflict
    else:
        what = f"What the statements on {name} change"
        said = objection(what, ran.state, conflict, recorded=False, force=force, shown=shown)
    return None if said is None else UndoConflict(said, _listed(statements, ran))


def _conflict(name: str, idle: Sequence[int]) -> str | None:
    if not idle:
        return None
    places = ", ".join(map(str, idle))
    return f"The rows of {name} are not as the action left them: statement {places} would change nothing."


def _counted(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"


def _bound(params: Sequence[Any], driver: str) -> tuple[Any, ...]:
    """Parameters as the driver takes them: SQLite knows no Decimal."""
    if driver not in ("sqlite3", "pysqlite3"):
        return tuple(params)
    return tuple(float(value) if isinstance(value, Decimal) else value for value in params)


def _listed(statements: Sequence[Step], ran: _Ran | None) -> str:
    lines = []
    for place, statement in enumerate(statements, start=1):
        count = None if ran is None else ran.counts[place - 1]
        rows = "" if count is None else f"  -- {_counted(count, 'row')}"
        params = statement.get("params") or []
        values = f"  {exact.dumps(exact.plain(params))}" if params else ""
        lines.append(f"{place}. {statement['sql']}{values}{rows}")
    return "\n".join(lines)
