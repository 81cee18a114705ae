"""The inverse of one SQL statement on SQLite, where it can be told without guessing.

Rows are known by their primary key. What the statement changes is read before and after it, so the
inverse names the very rows, and changes back only those that are still as the statement left them.
sqlglot, which reads the statement, is an extra of this package.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from keyturn.errors import KeyturnError
from keyturn.rollback.databases import driver_of

MOST_ROWS = 500
"""Rows that a derived inverse may name."""

Statement = Mapping[str, Any]
"""`{"sql": …, "params": […]}`."""

Row = dict[str, Any]


class NotDerivable(KeyturnError):
    """The inverse cannot be derived safely; give it yourself with `inverse=`. Nothing was changed yet."""


@dataclass(frozen=True, slots=True)
class Inverse:
    """What was seen before the statement ran."""

    kind: str
    table: str
    key: tuple[str, ...]
    columns: tuple[str, ...]
    before: tuple[Row, ...]

    @classmethod
    def of(cls, connection: Any, statement: str, params: Sequence[Any]) -> "Inverse":
        """Look at the rows that the statement is about to change.

        Raises:
            NotDerivable: the message says why.
        """
        if driver_of(connection) not in ("sqlite3", "pysqlite3"):
            raise NotDerivable("An inverse is derived on SQLite only; give inverse=")
        read = _Read.of(statement, params)
        columns, key = _columns(connection, read.table)
        if not key:
            raise NotDerivable(f"The table {read.table} has no primary key by which its rows could be told")
        if read.changes & set(key):
            raise NotDerivable(f"The statement changes the primary key of {read.table}")
        if _has_triggers(connection, read.table):
            raise NotDerivable(f"The table {read.table} has triggers, which may change other rows")
        if read.kind != "insert" and _cascades(connection, read.table):
            raise NotDerivable(f"Foreign keys on {read.table} change other rows along with it")
        if read.kind == "insert":
            before = tuple(read.inserted(key))
        else:
            before = tuple(_rows(connection, read.table, columns, read.where, read.where_params))
        if len(before) > MOST_ROWS:
            raise NotDerivable(f"The statement changes {len(before):,} rows; at most {MOST_ROWS} are kept")
        return cls(read.kind, read.table, key, columns, before)

    def statements(self, connection: Any) -> list[Statement]:
        """The inverse, given the rows as they are after the statement."""
        made = [self._one(connection, row) for row in self.before]
        return [statement for statement in made if statement is not None]

    def _one(self, connection: Any, row: Row) -> Statement | None:
        table, where = _quoted(self.table), " AND ".join(f"{_quoted(name)} = ?" for name in self.key)
        at = [row[name] for name in self.key]
        now = _rows(connection, self.table, self.columns, where, at)
        if self.kind == "delete":
            if now:
                return None
            names = ", ".join(map(_quoted, self.columns))
            places = ", ".join("?" for _ in self.columns)
            return _statement(
                f"INSERT INTO {table} ({names}) VALUES ({places})", [row[n] for n in self.columns]
            )
        if not now:
            return None
        rest = [name for name in self.columns if name not in self.key]
        guard = " AND ".join([where, *(f"{_quoted(name)} IS ?" for name in rest)])
        left = [*at, *(now[0][name] for name in rest)]
        if self.kind == "insert":
            return _statement(f"DELETE FROM {table} WHERE {guard}", left)
        changed = [name for name in rest if now[0][name] != row[name]]
        if not changed:
            return None
        assignments = ", ".join(f"{_quoted(name)} = ?" for name in changed)
        return _statement(
            f"UPDATE {table} SET {assignments} WHERE {guard}", [*(row[n] for n in changed), *left]
        )


@dataclass(frozen=True, slots=True)
class _Read:
    """A statement as sqlglot reads it."""

    kind: str
    table: str
    changes: frozenset[str]
    where: str
    where_params: tuple[Any, ...]
    rows: tuple[Row, ...] = ()

    @classmethod
    def of(cls, statement: str, params: Sequence[Any]) -> "_Read":
        try:
            import sqlglot
            from sqlglot import exp
        except ImportError as error:
            raise NotDerivable(
                "Deriving an inverse needs an extra: pip install 'keyturn-sdk[sql]'"
            ) from error
        try:
            parsed = sqlglot.parse(statement, read="sqlite")
        except sqlglot.ParseError as error:
            raise NotDerivable(f"The statement cannot be read: {error}") from error
        if len(parsed) != 1 or parsed[0] is None:
            raise NotDerivable("Give one statement")
        tree: Any = parsed[0]
        queries = (exp.Subquery, exp.Select, exp.With, exp.Join, exp.From, exp.OnConflict, exp.Returning)
        if tree.find(*queries, exp.Order, exp.Limit):
            raise NotDerivable(
                "A statement with a query, a join, ON CONFLICT, RETURNING or LIMIT is not derived"
            )
        if tree.find(exp.Anonymous, exp.Rand, exp.CurrentTimestamp, exp.CurrentDate, exp.CurrentTime):
            raise NotDerivable("A statement that calls functions may mean other rows when it runs")
        if len(list(tree.find_all(exp.Placeholder))) != len(params):
            raise NotDerivable("Use one ? for each parameter")
        if tree.find(exp.HexString) or any(isinstance(one, bytes | bytearray | memoryview) for one in params):
            raise NotDerivable("The statement writes binary data, which the undo cannot carry")
        if isinstance(tree, exp.Insert):
            return cls._insert(tree, params, exp)
        if isinstance(tree, exp.Update | exp.Delete):
            return cls._where(tree, params, exp)
        raise NotDerivable("Only INSERT, UPDATE and DELETE are derived")

    @classmethod
    def _where(cls, tree: Any, params: Sequence[Any], exp: Any) -> "_Read":
        where = tree.args.get("where")
        count = 0 if where is None else len(list(where.find_all(exp.Placeholder)))
        sets = tree.args.get("expressions") or [] if isinstance(tree, exp.Update) else []
        return cls(
            kind="update" if isinstance(tree, exp.Update) else "delete",
            table=_table_of(tree.this, exp),
            changes=frozenset(assignment.this.name for assignment in sets),
            where="1" if where is None else where.this.sql(dialect="sqlite"),
            where_params=tuple(params[len(params) - count :]) if count else (),
        )

    @classmethod
    def _insert(cls, tree: Any, params: Sequence[Any], exp: Any) -> "_Read":
        if tree.args.get("alternative") or not isinstance(tree.this, exp.Schema):
            raise NotDerivable("Name the columns of the INSERT, without OR REPLACE or OR IGNORE")
        names = [column.name for column in tree.this.expressions]
        values = iter(params)
        rows = []
        for given in tree.expression.expressions:
            cells = [_value(cell, values, exp) for cell in given.expressions]
            rows.append(dict(zip(names, cells, strict=True)))
        return cls("insert", _table_of(tree.this.this, exp), frozenset(), "", (), tuple(rows))

    def inserted(self, key: Sequence[str]) -> list[Row]:
        """The keys of the rows that an INSERT makes."""
        for row in self.rows:
            if any(row.get(name, _UNKNOWN) in (_UNKNOWN, None) for name in key):
                raise NotDerivable(f"Give the primary key ({', '.join(key)}) in the INSERT")
        return [{name: row[name] for name in key} for row in self.rows]


_UNKNOWN = object()


def _value(cell: Any, values: Any, exp: Any) -> Any:
    if isinstance(cell, exp.Placeholder):
        return next(values)
    if isinstance(cell, exp.Literal):
        return (
            cell.this if cell.is_string else (int(cell.this) if cell.this.isdecimal() else Decimal(cell.this))
        )
    return None if isinstance(cell, exp.Null) else _UNKNOWN


def _table_of(table: Any, exp: Any) -> str:
    if not isinstance(table, exp.Table) or table.args.get("db") or table.args.get("alias"):
        raise NotDerivable("The statement must be about one table by its own name")
    return str(table.name)


def _columns(connection: Any, table: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    found = connection.execute(f"PRAGMA table_info({_quoted(table)})").fetchall()
    if not found:
        raise NotDerivable(f"There is no table {table}")
    key = sorted((row[5], row[1]) for row in found if row[5])
    return tuple(row[1] for row in found), tuple(name for _, name in key)


def _has_triggers(connection: Any, table: str) -> bool:
    sql = "SELECT 1 FROM sqlite_schema WHERE type = 'trigger' AND lower(tbl_name) = lower(?)"
    return connection.execute(sql, (table,)).fetchone() is not None


def _cascades(connection: Any, table: str) -> bool:
    """Whether another table's foreign key changes its rows when those of `table` change."""
    tables = connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'").fetchall()
    for (other,) in tables:
        for key in connection.execute(f"PRAGMA foreign_key_list({_quoted(other)})").fetchall():
            if str(key[2]).lower() == table.lower() and {key[5], key[6]} - {"NO ACTION", "RESTRICT"}:
                return True
    return False


def _rows(
    connection: Any, table: str, columns: Sequence[str], where: str, params: Sequence[Any]
) -> list[Row]:
    names = ", ".join(map(_quoted, columns))
    cursor = connection.cursor()
    cursor.row_factory = None
    found = cursor.execute(f"SELECT {names} FROM {_quoted(table)} WHERE {where}", tuple(params)).fetchall()
    for row in found:
        if any(isinstance(value, bytes) for value in row):
            raise NotDerivable(f"The rows of {table} hold binary data, which the undo cannot carry")
    return [dict(zip(columns, row, strict=True)) for row in found]


def _statement(sql: str, params: Sequence[Any]) -> Statement:
    return {"sql": sql, "params": list(params)}


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
