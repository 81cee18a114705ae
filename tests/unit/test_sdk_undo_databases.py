"""database_restore on real SQLite databases, and inverses derived from statements."""

import sqlite3
from contextlib import closing
from decimal import Decimal

import pytest

from keyturn.rollback import NotDerivable, Resources, UndoConflict, UndoFailed, sql

SCHEMA = """
CREATE TABLE item (id INTEGER PRIMARY KEY, name TEXT, price REAL, note TEXT);
INSERT INTO item VALUES (1, 'lamp', 49.5, NULL), (2, 'chair', 120, 'x'), (3, 'vase', 18.25, NULL);
CREATE TABLE loose (a, b);
CREATE TABLE parent (id INTEGER PRIMARY KEY, n);
CREATE TABLE child (id INTEGER PRIMARY KEY, parent REFERENCES parent (id) ON DELETE CASCADE);
CREATE TABLE noisy (id INTEGER PRIMARY KEY, n);
CREATE TRIGGER t AFTER DELETE ON noisy BEGIN DELETE FROM loose; END;
"""


@pytest.fixture
def place(tmp_path):
    with closing(sqlite3.connect(tmp_path / "shop.db")) as connection:
        connection.executescript(SCHEMA)
    return tmp_path / "shop.db"


@pytest.fixture
def resources(place):
    made = Resources()
    made.database("shop", lambda: sqlite3.connect(place))
    return made


def rows(place, table="item"):
    with closing(sqlite3.connect(place)) as connection:
        return connection.execute(f"SELECT * FROM {table} ORDER BY 1").fetchall()


def restoring(*statements):
    listed = [{"sql": text, "params": list(params)} for text, *params in statements]
    return {"type": "database_restore", "database": "shop", "statements": listed}


def test_statements_run_in_one_transaction_and_the_preview_takes_them_back(place, resources):
    before = rows(place)
    step = restoring(
        ("UPDATE item SET price = ? WHERE id = ?", Decimal("50.25"), 1),
        ("DELETE FROM item WHERE id > ?", 1),
        ("CREATE TABLE extra (id)",),
    )
    shown = resources.preview(step)
    assert rows(place) == before
    assert [line.partition("-- ")[2] for line in shown.diff.splitlines()] == ["1 row", "2 rows", ""]
    assert "3 rows changed" in resources.kind(step).apply(step, force=False)
    assert rows(place) == [(1, "lamp", 50.25, None)]
    assert rows(place, "extra") == []


def test_one_statement_that_fails_takes_all_back_schema_changes_too(place, resources):
    step = restoring(("CREATE TABLE extra (id)",), ("DELETE FROM item",), ("INSERT INTO nowhere VALUES (1)",))
    with pytest.raises(UndoFailed, match=r"no such table: nowhere.*Nothing was changed"):
        resources.kind(step).apply(step, force=False)
    assert len(rows(place)) == 3
    with pytest.raises(sqlite3.OperationalError):
        rows(place, "extra")


@pytest.mark.parametrize("force", [False, True])
def test_a_statement_that_would_change_nothing_is_a_conflict_unless_forced(place, resources, force):
    step = restoring(("UPDATE item SET name = 'x' WHERE id = 1",), ("DELETE FROM item WHERE id = 9",))
    shown = resources.preview(step)
    assert "statement 2 would change nothing" in shown.conflict
    if force:
        said = resources.kind(step).apply(step, force=True, shown=shown.state)
        assert "1 of the statements changed nothing" in said
        assert rows(place)[0][1] == "x"
    else:
        with pytest.raises(UndoConflict):
            resources.kind(step).apply(step, force=False)
        assert rows(place)[0][1] == "lamp"


def test_a_database_that_nobody_registered_is_named(resources):
    with pytest.raises(UndoFailed, match=r"No database 'other' is registered.*known: shop"):
        resources.preview({**restoring(("SELECT 1",)), "database": "other"})


@pytest.mark.parametrize(
    ("statement", "params"),
    [
        ("UPDATE item SET price = price * 2, note = ? WHERE price > ?", ("dear", 20)),
        ("UPDATE item SET note = NULL", ()),
        ("DELETE FROM item WHERE name IN (?, 'vase')", ("lamp",)),
        ("DELETE FROM item", ()),
        ("INSERT INTO item (id, name, price) VALUES (?, 'rug', 7.5), (5, ?, ?)", (4, "bed", None)),
    ],
)
def test_a_derived_inverse_brings_the_rows_back_exactly(place, resources, statement, params):
    before = rows(place)
    with (
        closing(sqlite3.connect(place)) as connection,
        sql("shop", connection, statement, params) as captured,
    ):
        connection.execute(statement, params)
        connection.commit()
    assert rows(place) != before
    assert resources.preview(captured.data).conflict is None
    resources.kind(captured.data).apply(captured.data, force=False)
    assert rows(place) == before


def test_a_derived_inverse_leaves_rows_alone_that_somebody_changed_since(place, resources):
    with closing(sqlite3.connect(place)) as connection:
        with sql("shop", connection, "UPDATE item SET price = 1 WHERE id < 3") as captured:
            connection.execute("UPDATE item SET price = 1 WHERE id < 3")
            connection.commit()
        connection.execute("UPDATE item SET name = 'sold' WHERE id = 2")
        connection.commit()
    with pytest.raises(UndoConflict):
        resources.kind(captured.data).apply(captured.data, force=False)
    assert rows(place)[:2] == [(1, "lamp", 1.0, None), (2, "sold", 1.0, "x")]


def test_a_given_inverse_is_taken_as_it_is(place):
    with closing(sqlite3.connect(place)) as connection:
        inverse = [{"sql": "DROP TABLE extra", "params": []}]
        with sql("shop", connection, "CREATE TABLE extra (id)", inverse=inverse) as captured:
            connection.execute("CREATE TABLE extra (id)")
    assert captured.data == {"type": "database_restore", "database": "shop", "statements": inverse}


@pytest.mark.parametrize(
    ("statement", "params", "said"),
    [
        ("DROP TABLE item", (), "Only INSERT, UPDATE and DELETE"),
        ("DELETE FROM loose", (), "no primary key"),
        ("DELETE FROM nothing", (), "no table"),
        ("DELETE FROM noisy", (), "triggers"),
        ("DELETE FROM parent", (), "Foreign keys"),
        ("UPDATE item SET id = id + 1", (), "changes the primary key"),
        ("UPDATE item SET name = (SELECT 'x')", (), "with a query"),
        ("INSERT INTO item (name) VALUES ('x')", (), "Give the primary key"),
        ("INSERT OR REPLACE INTO item (id, name) VALUES (1, 'x')", (), "without OR REPLACE"),
        ("INSERT INTO item SELECT * FROM item", (), "with a query"),
        ("DELETE FROM item WHERE id = ?", (), "one \\? for each"),
        ("DELETE FROM item; DELETE FROM loose", (), "one statement"),
        ("DELETE FROM item WHERE my_function(id)", (), "calls functions"),
        ("UPDATE item SET name = ? WHERE id = 1", (b"\x00",), "binary data"),
        ("UPDATE item SET name = X'00' WHERE id = 1", (), "binary data"),
        ("DELETE FROM", (), "cannot be read"),
    ],
)
def test_what_cannot_be_derived_safely_is_refused_before_anything_changes(place, statement, params, said):
    with (
        closing(sqlite3.connect(place)) as connection,
        pytest.raises(NotDerivable, match=said),
        sql("shop", connection, statement, params),
    ):
        raise AssertionError("the block must not run")


def test_two_changes_of_one_row_are_previewed_in_their_order(place, resources):
    with closing(sqlite3.connect(place, isolation_level=None)) as connection:
        with sql("shop", connection, "INSERT INTO item (id, name) VALUES (?, ?)", [9, "rug"]) as first:
            connection.execute("INSERT INTO item (id, name) VALUES (9, 'rug')")
        with sql("shop", connection, "UPDATE item SET name = ? WHERE id = 9", ["mat"]) as second:
            connection.execute("UPDATE item SET name = 'mat' WHERE id = 9")
    data = [*first.steps, *second.steps]
    shown = resources.preview(data)
    assert shown.conflict is None
    assert shown.diff.count("-- 1 row") == 2
    with closing(sqlite3.connect(place, isolation_level=None)) as connection:
        connection.execute("UPDATE item SET name = 'hers' WHERE id = 9")
    assert "not as the action left them" in resources.preview(data).conflict


@pytest.mark.parametrize(
    "statement", ["COMMIT", "  /* x */ end", "DELETE FROM item; commit", "-- x\nSAVEPOINT a", "ROLLBACK"]
)
def test_nothing_may_end_the_transaction_that_a_preview_takes_back(place, resources, statement):
    before = rows(place)
    step = restoring(("DELETE FROM item",), (statement,))
    with pytest.raises(UndoFailed, match="one transaction"):
        resources.preview(step)
    with pytest.raises(UndoFailed, match="one transaction"):
        resources.kind(step).apply(step, force=True)
    assert rows(place) == before


def test_a_trigger_with_a_block_of_its_own_comes_back(place, resources):
    trigger = "CREATE TRIGGER again AFTER DELETE ON item BEGIN DELETE FROM loose; END"
    step = restoring((trigger,))
    assert resources.preview(step).conflict is None
    resources.kind(step).apply(step, force=False)
    with closing(sqlite3.connect(place)) as connection:
        found = connection.execute("SELECT sql FROM sqlite_schema WHERE name = 'again'").fetchone()
    assert found == (trigger,)


class Breaking(sqlite3.Connection):
    """Loses its connection after the commit has reached the database."""

    def commit(self):
        super().commit()
        raise OSError("connection reset")


def test_a_commit_that_fails_is_not_called_nothing_changed(place):
    resources = Resources()
    resources.database("shop", lambda: sqlite3.connect(place, factory=Breaking))
    step = restoring(("DELETE FROM item WHERE id = 1",))
    with pytest.raises(UndoFailed) as caught:
        resources.kind(step).apply(step, force=False)
    assert "nobody can tell whether the undo was done" in str(caught.value)
    assert "Nothing was changed" not in str(caught.value)


class Own(sqlite3.Connection):
    """An agent's own kind of connection."""


def test_a_connection_of_the_agents_own_class_is_known_by_what_it_derives_from(place):
    resources = Resources()
    resources.database("shop", lambda: sqlite3.connect(place, factory=Own))
    before = rows(place)
    with (
        closing(sqlite3.connect(place, factory=Own)) as connection,
        sql("shop", connection, "DELETE FROM item WHERE id = 1") as captured,
    ):
        connection.execute("DELETE FROM item WHERE id = 1")
        connection.commit()
    assert "-- 1 row" in resources.preview(captured.data).diff
    resources.kind(captured.data).apply(captured.data, force=False)
    assert rows(place) == before


class Plain:
    """A connection of a driver that nobody knows; each statement tells the next of the given counts."""

    autocommit = False

    def __init__(self, *counts):
        self.counts = list(counts)
        self.did = []

    def cursor(self):
        return self

    def execute(self, sql, params=()):
        self.did.append(sql)
        self.rowcount = self.counts.pop(0)

    def commit(self):
        self.did.append("commit")

    def rollback(self):
        self.did.append("rollback")

    def close(self):
        pass


def plain(*counts):
    """Resources whose database is such a connection, and the connection."""
    made, connection = Resources(), Plain(*counts)
    made.database("shop", lambda: connection)
    return made, connection


def test_a_database_that_may_not_take_everything_back_is_not_tried_out():
    resources, connection = plain()
    step = restoring(("DELETE FROM item",))
    shown = resources.preview(step)
    assert "cannot be tried out on this database, so nothing was checked" in shown.summary
    assert resources.kind(step).refusal(step, (), force=False, shown=shown.state) is None
    assert connection.did == []


@pytest.mark.parametrize("force", [False, True])
def test_what_was_not_tried_out_is_checked_when_it_is_applied_unless_forced(force):
    resources, connection = plain(0)
    step = restoring(("DELETE FROM item",))
    shown = resources.preview(step)
    if force:
        resources.kind(step).apply(step, force=True, shown=shown.state)
        assert connection.did == ["DELETE FROM item", "commit"]
        return
    with pytest.raises(UndoConflict, match="statement 1 would change nothing"):
        resources.kind(step).apply(step, force=False, shown=shown.state)
    assert connection.did == ["DELETE FROM item", "rollback"]


def test_a_statement_that_changes_no_rows_by_its_nature_is_no_conflict():
    resources, connection = plain(0, 1)
    step = restoring(("ALTER TABLE item ADD x",), ("UPDATE item SET x = 1",))
    resources.kind(step).apply(step, force=False)
    assert connection.did[-1] == "commit"


def test_a_connection_that_commits_each_statement_is_refused():
    resources, connection = plain(1)
    connection.autocommit = True
    step = restoring(("DELETE FROM item",))
    with pytest.raises(UndoFailed, match=r"autocommit mode.*Nothing was changed"):
        resources.kind(step).apply(step, force=False)
    assert connection.did == []


def test_a_row_that_was_not_deleted_after_all_is_not_put_in_again(place):
    with (
        closing(sqlite3.connect(place)) as connection,
        sql("shop", connection, "DELETE FROM item WHERE id < 3") as captured,
    ):
        connection.execute("DELETE FROM item WHERE id = 1")
        connection.commit()
    assert [statement["params"][0] for statement in captured.data["statements"]] == [1]
