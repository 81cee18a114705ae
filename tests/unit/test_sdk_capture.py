"""Undo data made while an agent works, and undone again."""

import json
import os
import shutil
import sqlite3
import stat
from contextlib import closing

import pytest

from keyturn.guard import Action
from keyturn.rollback import (
    CannotCapture,
    Resources,
    UndoFailed,
    capture,
    changed_file,
    command,
    config_value,
    custom,
    deleted_path,
    places,
    sql,
)
from keyturn.rollback.resources import in_order


@pytest.fixture
def place(tmp_path):
    return tmp_path.resolve()


def undo(captured):
    resources = Resources()
    assert resources.preview(captured.data).conflict is None
    for step in in_order(json.loads(json.dumps(captured.data))):
        resources.kind(step).apply(step, force=False)


def snapshot(directory):
    return {
        str(path.relative_to(directory)): (
            path.read_bytes() if path.is_file() else "directory",
            stat.S_IMODE(path.stat().st_mode),
        )
        for path in directory.rglob("*")
    }


@pytest.mark.parametrize("before", [b"text\r\n", b"", b"\xff\x00bytes", b"nul\x00", None])
@pytest.mark.parametrize("after", [b"changed", None])
def test_a_changed_file_comes_back_byte_for_byte(place, before, after):
    file = place / "file"
    if before is not None:
        file.write_bytes(before)
        file.chmod(0o600)
    present = snapshot(place)
    with changed_file(file) as captured:
        file.write_bytes(b"x") if after is not None else file.unlink(missing_ok=True)
    if snapshot(place) == present:
        assert captured.data is None
        return
    undo(captured)
    assert snapshot(place) == present


def test_what_did_not_change_needs_no_undo(place):
    (place / "file").write_text("same")
    with changed_file(place / "file") as captured:
        (place / "file").write_text("same")
    assert captured.data is None


def test_a_deleted_tree_comes_back_byte_for_byte(place):
    for name in ("a", "deep/er/b", "deep/c"):
        (place / "tree" / name).parent.mkdir(parents=True, exist_ok=True)
        (place / "tree" / name).write_bytes(os.urandom(100))
    (place / "tree" / "a").chmod(0o755)
    before = snapshot(place)
    with deleted_path(place / "tree") as captured:
        shutil.rmtree(place / "tree")
    assert snapshot(place) == {}
    undo(captured)
    assert snapshot(place) == before


def test_the_directories_of_a_tree_come_back_too_empty_ones_and_each_with_its_mode(place):
    for name, mode in {"empty": 0o2750, "deep/er": 0o700, "deep/closed": 0o555}.items():
        (place / "tree" / name).mkdir(parents=True)
        (place / "tree" / name).chmod(mode)
    (place / "tree" / "deep" / "er" / "file").write_text("x")
    (place / "tree").chmod(0o770)
    before = snapshot(place)
    with deleted_path(place / "tree") as captured:
        shutil.rmtree(place / "tree")
    assert {step["after_sha256"] for step in captured.steps} == {None}
    shown = Resources().preview(captured.data)
    assert f"Put back the directory {place}/tree/empty/ (mode 2750)." in shown.summary
    undo(captured)
    assert snapshot(place) == before
    again = Resources().preview(captured.data)
    assert again.summary.count("is as it was") == len(captured.steps)


def test_a_directory_that_is_there_again_keeps_what_is_in_it_and_gets_its_mode_back(place):
    (place / "tree").mkdir(mode=0o700)
    with deleted_path(place / "tree") as captured:
        (place / "tree").rmdir()
    (place / "tree").mkdir(mode=0o755)
    (place / "tree" / "mine").write_text("x")
    shown = Resources().preview(captured.data)
    assert shown.summary == f"Set the mode of the directory {place}/tree/ back to 700."
    assert shown.diff == f"{place}/tree/: mode 755 now, 700 restored"
    undo(captured)
    assert stat.S_IMODE((place / "tree").stat().st_mode) == 0o700
    assert (place / "tree" / "mine").read_text() == "x"


@pytest.mark.parametrize("there", ["link", "file"])
def test_what_stands_where_a_directory_was_is_neither_followed_nor_replaced(place, there):
    (place / "tree").mkdir()
    (place / "else").mkdir()
    with deleted_path(place / "tree") as captured:
        (place / "tree").rmdir()
    if there == "link":
        (place / "tree").symlink_to(place / "else")
    else:
        (place / "tree").write_text("mine")
    mode = (place / "else").stat().st_mode
    step = {**captured.data, "mode": 0o700}
    kind = Resources().kind(step)
    for look in (kind.preview, kind.in_place, lambda step: kind.apply(step, force=True)):
        with pytest.raises(UndoFailed, match="link or no directory now"):
            look(step)
    with pytest.raises(UndoFailed, match="link or no directory"):
        places.make_directory(str(place / "tree"), 0o700)
    assert (place / "else").stat().st_mode == mode
    assert (place / "tree").is_symlink() or (place / "tree").read_text() == "mine"


def test_no_undo_removes_a_directory(place):
    step = {"type": "file_restore", "path": f"{place}/", "existed": False}
    with pytest.raises(UndoFailed, match="which no undo removes"):
        Resources().preview(step)


def test_a_file_with_another_name_is_refused_before_it_is_deleted(place):
    (place / "tree").mkdir()
    (place / "tree" / "file").write_text("x")
    os.link(place / "tree" / "file", place / "other")
    for path in (place / "tree", place / "other"):
        with pytest.raises(CannotCapture, match="hard link"), deleted_path(path):
            raise AssertionError("the block must not run")


@pytest.mark.parametrize("kind", ["file", "directory"])
def test_what_belongs_to_another_user_is_refused_before_it_is_deleted(place, kind, monkeypatch):
    (place / "mine").mkdir() if kind == "directory" else (place / "mine").write_text("x")
    owner = (place / "mine").stat().st_uid
    monkeypatch.setattr(os, "geteuid", lambda: owner + 1)
    with pytest.raises(CannotCapture, match="belongs to another user"), deleted_path(place / "mine"):
        raise AssertionError("the block must not run")


def test_a_tree_of_too_many_empty_directories_is_refused_before_all_of_it_was_walked(place, monkeypatch):
    (place / "tree").mkdir()
    walked = 0

    def endless(top, onerror):
        nonlocal walked
        while True:
            walked += 1
            yield top, [], []

    monkeypatch.setattr(os, "walk", endless)
    with pytest.raises(CannotCapture, match="too large"), deleted_path(place / "tree"):
        raise AssertionError("the block must not run")
    assert walked < 1000


def test_what_the_block_left_of_a_tree_is_not_undone(place):
    (place / "tree").mkdir()
    for name in "ab":
        (place / "tree" / name).write_text(name)
    with deleted_path(place / "tree") as captured:
        (place / "tree" / "a").unlink()
    assert captured.data["path"] == str(place / "tree" / "a")


@pytest.mark.parametrize("capture", [changed_file, deleted_path])
def test_what_is_too_large_is_refused_before_the_block_runs(place, capture):
    (place / "big").write_bytes(b"x" * 5000)
    with (
        pytest.raises(CannotCapture, match="too large to be kept for an undo"),
        capture(place / "big", largest=4000),
    ):
        raise AssertionError("the block must not run")
    assert (place / "big").stat().st_size == 5000


def test_a_tree_with_a_link_in_it_is_refused_before_the_block_runs(place):
    (place / "tree" / "below").mkdir(parents=True)
    (place / "tree" / "link").symlink_to(place / "tree" / "below")
    with pytest.raises(CannotCapture, match="link or no regular file"), deleted_path(place / "tree"):
        raise AssertionError("the block must not run")


def test_a_file_behind_a_linked_directory_is_named_by_its_real_place(place):
    (place / "real").mkdir()
    (place / "through").symlink_to(place / "real")
    with changed_file(place / "through" / "file") as captured:
        (place / "real" / "file").write_text("x")
    assert captured.data["path"] == str(place / "real" / "file")
    undo(captured)
    assert not (place / "real" / "file").exists()


def test_a_changed_setting_comes_back(place):
    file = place / "settings.json"
    file.write_text('{"limit": 20, "price": 1.50}')
    with config_value(file, "limit") as captured:
        file.write_text('{"limit": 500, "price": 1.50}')
    assert captured.data["expected"] == 500
    undo(captured)
    assert file.read_text() == '{"limit": 20, "price": 1.50}'


BEFORE = {
    "a.json": '{"limit": 20, "price": 1.50, "deep": {"a": 1, "b": [1, 2]}}',
    "a.yaml": "limit: 20  # most\nprice: 1.50\nnone: .nan\nsince: 2026-01-01\ndeep: {a: 1, b: [1, 2]}\n",
    "a.toml": "limit = 20\nprice = 1.50\nsince = 2026-01-01\n[deep]\na = 1\nb = [1, 2]\n",
    "a.env": "limit=20\nprice=1.50\n",
}
"""Files of each format with the same settings."""


def changes(file, old, new):
    assert old in file.read_text()
    file.write_text(file.read_text().replace(old, new))


@pytest.mark.parametrize("name", BEFORE)
@pytest.mark.parametrize("named", ["20", "21"])
def test_a_change_of_a_setting_that_was_not_named_is_told_to_the_author(place, caplog, name, named):
    file = place / name
    file.write_text(BEFORE[name])
    with config_value(file, "limit") as captured:
        changes(file, "1.50", "9.75")
        file.write_text(file.read_text().replace("20", named, 1))
    assert (captured.data is None) is (named == "20")
    [told] = caplog.records
    assert (told.levelname, told.event) == ("WARNING", "undo_incomplete")
    assert "price" in told.getMessage()
    assert "limit" not in told.getMessage()
    assert "9.75" not in caplog.text


@pytest.mark.parametrize("name", BEFORE)
def test_nothing_is_told_where_every_setting_that_changed_was_named(place, caplog, name):
    file = place / name
    file.write_text(BEFORE[name])
    with config_value(file, "limit"), config_value(file, "price"):
        changes(file, "1.50", "9.75")
    with config_value(file, "limit"):
        with config_value(file, "price"):
            changes(file, "9.75", "1.50")
        with changed_file(place / "other"):
            (place / "other").write_text("x")
    with config_value(file, "limit"), changed_file(file):
        changes(file, "1.50", "3.25")
    with config_value(file, "added"):
        text = file.read_text()
        file.write_text(text.replace("{", '{"added": 1, ', 1) if name == "a.json" else _added_to(text, name))
    if name != "a.env":
        with config_value(file, "deep.a"), config_value(file, "/deep/b/1"):
            changes(file, "1, 2", "1, 5")
    assert not caplog.records


def _added_to(text, name):
    return {"a.yaml": "added: 1\n", "a.toml": "added = 1\n", "a.env": "added=1\n"}[name] + text


def test_nothing_is_told_of_what_changed_before_or_is_written_in_another_layout(place, caplog):
    file = place / "a.json"
    file.write_text(BEFORE["a.json"])
    with config_value(file, "limit") as captured:
        file.write_text(json.dumps({**json.loads(file.read_text()), "limit": 500}, indent=4))
    assert captured.data["expected"] == 500
    assert not caplog.records


def test_a_command_and_a_handler_name_their_undo(place):
    with command(undo=["git", "revert", "HEAD"], cwd=place) as captured:
        pass
    assert captured.data == {"type": "command_undo", "argv": ["git", "revert", "HEAD"], "cwd": str(place)}
    with custom("rebuild", {"table": "t"}) as captured:
        pass
    assert captured.data == {"type": "custom", "handler": "rebuild", "data": {"table": "t"}}


def test_a_file_that_was_changed_twice_goes_back_both_steps(place):
    file = place / "file"
    file.write_text("1\n")
    with changed_file(file) as first:
        file.write_text("2\n")
    with changed_file(file) as second:
        file.write_text("3\n")
    data = [*first.steps, *second.steps]
    shown = Resources().preview(data)
    assert shown.conflict is None
    assert [line for line in shown.diff.splitlines() if line[:1] in "-+" and line[1:2].isdigit()] == [
        "-3",
        "+2",
        "-2",
        "+1",
    ]
    file.write_text("somebody else's\n")
    assert "has changed since the action" in Resources().preview(data).conflict


def test_a_setting_and_then_its_whole_file_go_back(place):
    file = place / "settings.json"
    file.write_text('{"limit": 20}')
    with config_value(file, "limit") as first:
        file.write_text('{"limit": 500}')
    with changed_file(file) as second:
        file.write_text("{}")
    assert Resources().preview([*first.steps, *second.steps]).conflict is None
    with config_value(file, "limit") as third:
        file.write_text('{"limit": 1}')
    assert Resources().preview([*first.steps, *second.steps, *third.steps]).conflict is None


@pytest.fixture
def running(monkeypatch):
    """A guarded action that keeps undo data."""
    action = Action(request=None, claim=None)
    monkeypatch.setattr(capture, "running_action", lambda: action)
    return action


def test_what_changed_within_a_change_is_undone_before_it_and_once(place, running):
    file = place / "settings.json"
    file.write_text('{"limit": 1, "price": 2}')
    with changed_file(place / "made"):
        (place / "made").write_text("made")
    with changed_file(file):
        file.write_text('{"limit": 2, "price": 3}')
        with config_value(file, "limit"), custom("rebuild-cache"):
            file.write_text('{"limit": 500, "price": 3}')
    assert [(step["type"], step.get("path")) for step in running.rollback] == [
        ("file_restore", str(place / "made")),
        ("file_restore", str(file)),
        ("custom", None),
    ]
    undo(capture.Captured(running.rollback[:2]))
    assert file.read_text() == '{"limit": 1, "price": 2}'
    assert not (place / "made").exists()


def test_what_an_action_keeps_in_all_has_to_fit_one_report(place, running):
    for name in ("a", "b", "c"):
        (place / name).write_bytes(b"x" * 80_000)
    with changed_file(place / "a"):
        (place / "a").write_text("")
        with changed_file(place / "b"):
            (place / "b").write_text("")
            with pytest.raises(CannotCapture, match="too large"), changed_file(place / "c"):
                pass
    with pytest.raises(CannotCapture, match="too large"), changed_file(place / "c"):
        pass
    assert len(running.rollback) == 2
    assert (place / "c").stat().st_size == 80_000


def test_a_huge_file_is_refused_before_it_is_read(place, monkeypatch):
    with (place / "huge").open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(CannotCapture, match="too large"), changed_file(place / "huge"):
        pass


def test_a_name_that_no_report_can_say_is_refused_before_anything_is_deleted(place):
    (place / "tree").mkdir()
    with open(os.fsencode(place / "tree") + b"/\xff", "w") as file:
        file.write("x")
    with pytest.raises(CannotCapture, match="not UTF-8"), deleted_path(place / "tree"):
        pass


def test_a_directory_that_cannot_be_looked_into_is_refused(place, monkeypatch):
    (place / "tree" / "closed").mkdir(parents=True)
    real = os.scandir

    def scandir(path):
        if str(path).endswith("closed"):
            raise PermissionError(13, "Permission denied", str(path))
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)
    with pytest.raises(CannotCapture, match="Permission denied"), deleted_path(place / "tree"):
        pass


def test_a_setting_of_a_file_that_is_not_there_yet_is_refused(place):
    with (
        pytest.raises(CannotCapture, match=r"settings\.json yet"),
        config_value(place / "settings.json", "a"),
    ):
        pass


@pytest.mark.parametrize("number", ["9007199254740992", "0.12345678901234567890123", "1e999"])
def test_a_number_that_no_report_can_hold_is_refused_before_it_is_changed(place, number):
    (place / "a.json").write_text(f'{{"n": [{number}]}}')
    with pytest.raises(CannotCapture, match=r"[Nn]o report can hold"), config_value(place / "a.json", "n"):
        pass
    with (
        closing(sqlite3.connect(":memory:")) as connection,
        pytest.raises(CannotCapture, match="no report can hold"),
        sql("shop", connection, "DELETE", inverse=[{"sql": "INSERT", "params": [2**60]}]),
    ):
        pass


@pytest.mark.parametrize("existed", [True, False])
@pytest.mark.parametrize("leave", ["link", "directory"])
def test_an_action_that_left_a_link_or_a_directory_succeeds_and_its_undo_says_what_is_in_the_way(
    place, existed, leave
):
    file = place / "file"
    if existed:
        file.write_text("old")
    with changed_file(file) as captured:
        file.unlink(missing_ok=True)
        file.symlink_to(place) if leave == "link" else file.mkdir()
    assert captured.data["existed"] is existed
    assert "after_sha256" not in captured.data
    with pytest.raises(UndoFailed, match="symbolic link" if leave == "link" else "no regular file"):
        Resources().preview(captured.data)


@pytest.mark.parametrize("content", [None, "{", "\udc00"])
def test_an_action_that_broke_the_settings_succeeds_and_its_undo_is_kept(place, content):
    file = place / "settings.json"
    file.write_text('{"limit": 1}')
    with config_value(file, "limit") as captured:
        if content is None:
            file.unlink()
        else:
            file.write_bytes(content.encode("utf-8", "surrogatepass"))
    assert (captured.data["old_value"], "expected" in captured.data) == (1, False)
    with pytest.raises(UndoFailed, match=r"is gone|cannot be read"):
        Resources().preview(captured.data)
    file.write_text('{"limit": 500}')
    undo(captured)
    assert file.read_text() == '{"limit": 1}'
