"""A forced undo overwrites what was shown when people confirmed it, and nothing that came later."""

import sqlite3
from contextlib import closing
from hashlib import sha256

import pytest

from keyturn.rollback import Preview, Resources, journal
from keyturn.rollback.applying import apply, preview_outcome
from keyturn.rollback.journal import Entry, Journal


class World:
    """One thing of each kind that an undo can overwrite: as the action left it it is `left`."""

    def __init__(self, place):
        self.place = place.resolve()
        self.handled = []
        self.handler_state = "left"
        self.resources = Resources()
        self.resources.database("shop", lambda: sqlite3.connect(self.place / "shop.db"))
        self.resources.handler("rebuild", self.handled.append, self._shown)
        with closing(sqlite3.connect(self.place / "shop.db")) as database, database:
            database.execute("CREATE TABLE item (name)")
        for kind in ("file", "setting", "database"):
            self.put(kind, "left")

    def _shown(self, data):
        state = self.handler_state
        conflict = None if state == "left" else f"it is {state} now"
        return Preview("Rebuild it.", f"-{state}", (), conflict, state)

    def put(self, kind, value):
        """Change the thing, as somebody else would."""
        match kind:
            case "file":
                (self.place / "file").write_text(value)
            case "setting":
                (self.place / "a.json").write_text(f'{{"limit": "{value}"}}')
            case "database":
                with closing(sqlite3.connect(self.place / "shop.db")) as database, database:
                    database.execute("DELETE FROM item")
                    names = {"left": ["left"], "shown": [], "later": ["left", "left"]}[value]
                    database.executemany("INSERT INTO item VALUES (?)", [(name,) for name in names])
            case "handler":
                self.handler_state = value

    def everything(self):
        with closing(sqlite3.connect(self.place / "shop.db")) as database:
            rows = database.execute("SELECT * FROM item").fetchall()
        files = [(self.place / name).read_text() for name in ("file", "a.json")]
        return [*files, rows, list(self.handled)]

    def step(self, kind):
        left = sha256(b"left").hexdigest()
        return {
            "file": {"type": "file_restore", "path": str(self.place / "file"), "existed": True,
                     "original_content": "old", "after_sha256": left},
            "setting": {"type": "config_restore", "store": str(self.place / "a.json"), "key": "limit",
                        "had_value": True, "old_value": "old", "expected": "left"},
            "database": {"type": "database_restore", "database": "shop",
                         "statements": [{"sql": "UPDATE item SET name = 'old' WHERE name = 'left'"}]},
            "handler": {"type": "custom", "handler": "rebuild", "data": 1},
        }[kind]  # fmt: skip


KINDS = ["file", "setting", "database", "handler"]


@pytest.fixture
def world(tmp_path):
    (tmp_path / "world").mkdir()
    return World(tmp_path / "world")


@pytest.fixture
def notes(tmp_path):
    made = Journal(tmp_path / "journal")
    yield made
    made.close()


def work(data, *, force=True, id="rbk_1"):
    return {"id": id, "request_id": "req_1", "rollback": data, "force": force, "digest": "sha256:1"}


def applied(world, notes, given):
    entry = apply(world.resources, notes, Entry(id=given["id"], key="k", work=given))
    notes.forget(entry)
    return entry.outcome


@pytest.mark.parametrize("kind", KINDS)
def test_a_forced_undo_overwrites_the_state_that_was_shown(world, notes, kind):
    given = work(world.step(kind))
    world.put(kind, "shown")
    assert preview_outcome(world.resources, notes, given)["state"] == "conflict"
    before = world.everything()
    assert applied(world, notes, given)["state"] == "succeeded"
    assert world.everything() != before or kind == "database"


@pytest.mark.parametrize("kind", KINDS)
def test_a_forced_undo_refuses_what_came_after_it_was_shown_and_shows_the_difference(world, notes, kind):
    given = work(world.step(kind))
    world.put(kind, "shown")
    preview_outcome(world.resources, notes, given)
    world.put(kind, "later")
    before = world.everything()
    told = applied(world, notes, given)
    assert told["state"] == "conflict"
    assert "as it was when this undo was shown" in told["summary"]
    assert ("later" if kind != "database" else "-- 2 rows") in told["diff"]
    assert world.everything() == before


@pytest.mark.parametrize("kind", KINDS)
def test_a_forced_undo_changes_nothing_of_several_when_one_has_changed_again(world, notes, kind):
    given = work([world.step(each) for each in KINDS])
    for each in KINDS:
        world.put(each, "shown")
    preview_outcome(world.resources, notes, given)
    world.put(kind, "later")
    before = world.everything()
    assert applied(world, notes, given)["state"] == "conflict"
    assert world.everything() == before


@pytest.mark.parametrize("kind", ["file", "setting"])
def test_a_forced_undo_may_overwrite_what_is_back_as_the_action_left_it(world, notes, kind):
    given = work(world.step(kind))
    world.put(kind, "shown")
    preview_outcome(world.resources, notes, given)
    world.put(kind, "left")
    assert applied(world, notes, given)["state"] == "succeeded"


@pytest.mark.parametrize("kind", KINDS)
def test_a_forced_undo_of_which_no_note_is_left_overwrites_nothing(world, notes, kind):
    given = work(world.step(kind))
    world.put(kind, "shown")
    before = world.everything()
    told = applied(world, notes, given)
    assert (told["state"], "no note of what was shown" in told["summary"]) == ("conflict", True)
    assert world.everything() == before


@pytest.mark.parametrize("kind", ["file", "setting", "database"])
def test_where_nothing_says_what_the_action_left_what_was_shown_is_what_may_be_overwritten(
    world, notes, kind
):
    step = {name: value for name, value in world.step(kind).items() if name not in _RECORDS}
    given = work(step, force=False)
    assert preview_outcome(world.resources, notes, given)["state"] == "previewed"
    world.put(kind, "later")
    before = world.everything()
    told = applied(world, notes, given)
    assert (told["state"], "is not as it was when this undo was shown" in told["summary"]) == (
        "conflict",
        True,
    )
    assert world.everything() == before
    preview_outcome(world.resources, notes, given)
    assert applied(world, notes, given)["state"] == "succeeded"


_RECORDS = {"after_sha256", "expected"}


def test_a_step_of_a_session_is_not_held_to_what_newer_steps_changed_since(world, notes):
    step = {name: value for name, value in world.step("file").items() if name not in _RECORDS}
    given = work(step, force=False, id="rbk_1.2")
    preview_outcome(world.resources, notes, given)
    world.put("file", "later")
    assert applied(world, notes, given)["state"] == "succeeded"


def test_notes_of_undos_that_nobody_confirmed_do_not_pile_up(world, notes, monkeypatch):
    monkeypatch.setattr(journal, "MOST_SHOWN", 3)
    for number in range(9):
        preview_outcome(world.resources, notes, work(world.step("setting"), id=f"rbk_{number}"))
    assert sorted(path.name for path in notes.directory.glob("*.shown")) == [
        "rbk_6.shown",
        "rbk_7.shown",
        "rbk_8.shown",
    ]
    applied(world, notes, work(world.step("setting"), id="rbk_8"))
    assert not notes.shown("rbk_8")
    assert list(notes.entries()) == []


def test_a_preview_that_no_note_can_be_kept_of_is_told_as_failed(world, notes, monkeypatch):
    def full(*_given):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Journal, "_put", full)
    told = preview_outcome(world.resources, notes, work(world.step("setting")))
    assert told["state"] == "failed"
    assert "No space left on device" in told["summary"]
    assert "Nothing was changed" in told["summary"]
