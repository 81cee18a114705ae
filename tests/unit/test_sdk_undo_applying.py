"""One undo from its preview to its report: what was shown, done, left and told."""

import os
import shutil
import sqlite3
from contextlib import closing
from decimal import Decimal
from pathlib import Path

import pytest

from keyturn import exact
from keyturn.rollback import Preview, Resources, changed_file, deleted_path, places
from keyturn.rollback.applying import LARGEST_REPORT, apply, preview_outcome
from keyturn.rollback.journal import Entry, Journal

STEPS = [
    {"type": "custom", "handler": "mail", "data": 1},
    {"type": "database_restore", "database": "shop", "statements": [{"sql": "DELETE FROM item"}]},
]


@pytest.fixture
def journal(tmp_path):
    made = Journal(tmp_path / "journal")
    yield made
    made.close()


def work(data, **changes):
    given = {"id": "rbk_1", "request_id": "req_1", "rollback": data, "force": False, "digest": "sha256:1"}
    return {**given, **changes}


def applied(resources, journal, data):
    entry = apply(resources, journal, Entry(id="rbk_1", key="k", work=work(data)))
    journal.forget(entry)
    return entry.outcome


def test_a_second_try_shows_and_does_only_what_the_first_left(tmp_path, journal):
    with closing(sqlite3.connect(tmp_path / "shop.db")) as connection:
        connection.executescript("CREATE TABLE item (id); INSERT INTO item VALUES (1)")
    sent, broken = [], [True]

    def mail(data):
        if broken:
            raise OSError("no network")
        sent.append(data)

    resources = Resources()
    resources.database("shop", lambda: sqlite3.connect(tmp_path / "shop.db"))
    resources.handler("mail", mail)
    failed = applied(resources, journal, STEPS)
    assert failed["state"] == "failed"
    assert failed["message"].startswith("1 of 2 steps are undone")
    assert failed["affected"] == ["shop"]
    broken.clear()
    shown = preview_outcome(resources, journal, work(STEPS))
    assert shown["state"] == "previewed"
    assert shown["summary"].startswith(
        "1 of 2 steps were undone by an earlier try and stay so. Call the agent's"
    )
    assert "statement" not in shown["summary"]
    assert applied(resources, journal, STEPS)["state"] == "succeeded"
    assert sent == [1]


def test_a_report_fits_however_much_there_is_to_tell(journal):
    resources = Resources()
    names = tuple(f"{number:04}\x01{'ü' * 1000}" for number in range(500))
    resources.handler("big", print, lambda data: Preview("x" * 9000, "\x01" * 300_000, names, "y" * 9000))
    told = preview_outcome(resources, journal, work({"type": "custom", "handler": "big"}))
    assert len(exact.dumps(told).encode()) < LARGEST_REPORT + 100
    assert "more characters" in told["diff"]
    assert told["affected"]
    assert len(told["summary"]) < 3000


class Died(BaseException):
    """Stands for the end of the process: nothing catches it."""


@pytest.mark.parametrize("die_at", [1, 7, 30, 60])
def test_a_tree_that_was_put_back_in_part_when_the_process_died_is_put_back_whole(
    tmp_path, journal, monkeypatch, die_at
):
    tree = tmp_path.resolve() / "tree"
    tree.mkdir()
    for number in range(60):
        (tree / f"{number:02}").write_bytes(bytes([number]))
    with deleted_path(tree) as captured:
        shutil.rmtree(tree)
    left, real = [die_at], places.replace

    def dying(*given):
        left[0] -= 1
        if left[0] == 0:
            raise Died
        real(*given)

    monkeypatch.setattr(places, "replace", dying)
    begun = journal.write(Entry(id="rbk_1", key="k", work=work(captured.data)))
    with pytest.raises(Died):
        apply(Resources(), journal, begun)
    (found,) = journal.entries()
    assert found.done <= die_at
    ended = apply(Resources(), journal, found)
    assert ended.outcome["state"] == "succeeded"
    assert ended.outcome["summary"].endswith("and 41 more steps.")
    assert {path.name: path.read_bytes() for path in tree.iterdir()} == {
        f"{number:02}": bytes([number]) for number in range(60)
    }


def test_what_is_told_of_several_steps_reads_as_sentences(tmp_path, journal):
    resources = Resources()
    resources.handler("mail", lambda data: f"told {data}")
    resources.database("shop", lambda: sqlite3.connect(":memory:"))
    two = [{"type": "custom", "handler": "mail", "data": who} for who in ("ops", "dana!")]
    assert applied(resources, journal, two)["summary"] == "told dana! told ops."
    row = {"sql": "SELECT ?, ?", "params": [Decimal("2.50"), "x"]}
    shown = resources.preview({"type": "database_restore", "database": "shop", "statements": [row]})
    assert shown.diff == '1. SELECT ?, ?  [2.50,"x"]'


@pytest.mark.parametrize("step", STEPS, ids=lambda step: step["type"])
def test_a_step_that_was_begun_and_that_nobody_can_tell_is_not_done_again(tmp_path, journal, step):
    with closing(sqlite3.connect(tmp_path / "shop.db")) as connection:
        connection.executescript("CREATE TABLE item (id)")  # as it is once the statement has run
    sent, resources = [], Resources()
    resources.database("shop", lambda: sqlite3.connect(tmp_path / "shop.db"))
    resources.handler("mail", sent.append)
    ended = apply(resources, journal, Entry(id="rbk_1", key="k", work=work(step), begun=True)).outcome
    assert ended["state"] == "failed"
    assert "nobody can tell whether it was done. Look at what it changes" in ended["summary"]
    assert sent == []


def test_a_file_of_two_steps_is_in_place_when_the_process_died_after_the_second(
    tmp_path, journal, monkeypatch
):
    file, calls, real = tmp_path.resolve() / "file", [], places.replace
    file.write_text("1")
    with changed_file(file) as first:
        file.write_text("2")
    with changed_file(file) as second:
        file.write_text("3")

    def dying(*given):
        real(*given)
        calls.append(given)
        if len(calls) == 2:
            raise Died

    monkeypatch.setattr(places, "replace", dying)
    begun = journal.write(Entry(id="rbk_1", key="k", work=work([*first.steps, *second.steps])))
    with pytest.raises(Died):
        apply(Resources(), journal, begun)
    (found,) = journal.entries()
    assert apply(Resources(), journal, found).outcome["state"] == "succeeded"
    assert file.read_text() == "1"
    assert len(calls) == 2


def test_what_was_done_of_another_undo_of_the_same_request_counts_for_nothing(tmp_path, journal):
    done = Entry(id="rbk_1", key="k", work=work(STEPS), done=1, outcome={"state": "failed"})
    journal.forget(done)
    assert journal.done_before(work(STEPS))[0] == 1
    assert journal.done_before(work(STEPS, digest="sha256:2")) == (0, ())


def test_what_is_begun_is_on_disk_before_it_is_done(journal, monkeypatch):
    seen = []
    for owner, name in ((os, "fsync"), (Path, "replace")):
        real = getattr(owner, name)

        def noted(*given, _name=name, _real=real):
            seen.append(_name)
            return _real(*given)

        monkeypatch.setattr(owner, name, noted)
    journal.write(Entry(id="rbk_1", key="k"))
    assert seen == ["fsync", "replace", "fsync"], "the content, the name, the directory"
