"""file_restore on real files: content, mode, absence, links, conflicts."""

import base64
import os
import stat
from hashlib import sha256

import pytest

from keyturn.rollback import UndoConflict, UndoFailed, places
from keyturn.rollback.files import FileRestore

FILES = FileRestore()


GROWN = places.LONGEST + 1


@pytest.fixture
def place(tmp_path):
    """A directory without links above it."""
    return tmp_path.resolve()


def digest(content: bytes) -> str:
    return sha256(content).hexdigest()


def restore(path, original="old\n", after=b"new\n", **changes):
    step = {
        "type": "file_restore",
        "path": str(path),
        "existed": True,
        "original_content": original,
        "mode": 0o640,
    }
    return {**step, "after_sha256": None if after is None else digest(after), **changes}


def test_content_and_mode_come_back(place):
    file = place / "settings"
    file.write_bytes(b"new\n")
    file.chmod(0o600)
    step = restore(file)
    shown = FILES.preview(step)
    assert "-new\n+old" in shown.diff
    assert shown.conflict is None
    assert file.read_bytes() == b"new\n"
    FILES.apply(step, force=False)
    assert file.read_bytes() == b"old\n"
    assert stat.S_IMODE(file.stat().st_mode) == 0o640


def test_bytes_that_are_no_text_come_back(place):
    file, original = place / "picture", bytes(range(256))
    file.write_bytes(b"x")
    step = restore(file, None, b"x", original_base64=base64.b64encode(original).decode())
    assert "binary, 1 bytes now, 256 bytes restored" in FILES.preview(step).diff
    file.unlink()
    assert "binary, no file now, 256 bytes restored" in FILES.preview(step).diff
    file.write_bytes(b"x")
    FILES.apply(step, force=False)
    assert file.read_bytes() == original


def test_a_deleted_file_comes_back_with_the_directories_above_it(place):
    file = place / "a" / "b" / "file"
    FILES.apply(restore(file, after=None), force=False)
    assert file.read_text() == "old\n"


def test_a_file_that_the_action_made_is_removed_once(place):
    file = place / "made"
    file.write_bytes(b"new\n")
    step = {"type": "file_restore", "path": str(file), "existed": False, "after_sha256": digest(b"new\n")}
    FILES.apply(step, force=False)
    assert not file.exists()
    assert FILES.in_place(step)
    assert "as it was" in FILES.apply(step, force=False)


@pytest.mark.parametrize("force", [False, True])
def test_what_somebody_changed_since_stops_it_unless_forced(place, force):
    file = place / "settings"
    file.write_bytes(b"somebody else's\n")
    step = restore(file)
    assert "has changed since the action" in FILES.preview(step).conflict
    if force:
        FILES.apply(step, force=True, shown=FILES.preview(step).state)
        assert file.read_bytes() == b"old\n"
        return
    with pytest.raises(UndoConflict) as caught:
        FILES.apply(step, force=False)
    assert "-somebody else's" in caught.value.diff
    assert file.read_bytes() == b"somebody else's\n"


def test_a_file_made_where_the_action_left_none_is_a_conflict(place):
    file = place / "again"
    file.write_bytes(b"mine\n")
    with pytest.raises(UndoConflict):
        FILES.apply(restore(file, after=None), force=False)


def test_without_a_digest_the_preview_says_that_nothing_could_be_checked(place):
    file = place / "settings"
    file.write_bytes(b"whatever\n")
    step = restore(file)
    del step["after_sha256"]
    assert "cannot be checked" in FILES.preview(step).summary
    FILES.apply(step, force=False)
    assert file.read_bytes() == b"old\n"


@pytest.mark.parametrize("force", [False, True])
def test_a_link_in_the_files_place_is_never_followed(place, force):
    secret, file = place / "secret", place / "settings"
    secret.write_bytes(b"new\n")
    file.symlink_to(secret)
    with pytest.raises(UndoFailed, match="nothing was followed and nothing was changed"):
        FILES.apply(restore(file), force=force)
    assert secret.read_bytes() == b"new\n"
    assert file.is_symlink()


LOOKED_AT = places.Found.of(b"new\n", 0o644)
CHANGES = [lambda path: places.replace(path, b"old\n", None, LOOKED_AT),
           lambda path: places.remove(path, LOOKED_AT)]  # fmt: skip


@pytest.mark.parametrize("change", CHANGES)
def test_a_link_that_came_after_the_look_is_left_where_it_is(place, change):
    file = place / "settings"
    file.symlink_to(place / "secret")
    with pytest.raises(UndoFailed, match="nothing was followed and nothing was changed"):
        change(str(file))
    assert file.is_symlink()


@pytest.mark.parametrize("change", CHANGES)
def test_what_somebody_wrote_after_the_look_is_left_as_it_is(place, change):
    file = place / "settings"
    file.write_bytes(b"somebody else's\n")
    with pytest.raises(UndoConflict, match="changed at this very moment; nothing was changed"):
        change(str(file))
    assert [(entry.name, entry.read_bytes()) for entry in place.iterdir()] == [
        ("settings", b"somebody else's\n")
    ]


def test_a_directory_that_became_a_link_is_never_followed(place):
    real, through = place / "real", place / "through"
    real.mkdir()
    (real / "settings").write_bytes(b"new\n")
    through.symlink_to(real)
    with pytest.raises(UndoFailed, match="is a link or no directory"):
        FILES.apply(restore(through / "settings"), force=True)
    assert (real / "settings").read_bytes() == b"new\n"


def test_a_directory_in_the_files_place_is_left_alone(place):
    (place / "settings").mkdir()
    with pytest.raises(UndoFailed, match="no regular file"):
        FILES.apply(restore(place / "settings"), force=True)


@pytest.mark.parametrize("path", ["relative", "/a/../b"])
def test_a_path_that_is_not_exact_is_refused(path):
    with pytest.raises(UndoFailed, match="not an absolute path"):
        FILES.apply(restore(path), force=True)


def test_nothing_is_left_behind_when_it_cannot_be_written(place, monkeypatch):
    file = place / "settings"
    file.write_bytes(b"new\n")

    def full(*_args, **_kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "rename", full)
    with pytest.raises(UndoFailed, match=r"No space left on device\. It is as it was\."):
        FILES.apply(restore(file), force=False)
    assert [entry.name for entry in place.iterdir()] == ["settings"]
    assert file.read_bytes() == b"new\n"


@pytest.mark.parametrize(
    ("now", "then", "shown"),
    [("a\n", "a", "-a\n+a\n\\ No newline at end of file"), ("a\r\n", "a\n", "-a\r\n+a"), ("a\n", "", "-a")],
)
def test_the_diff_shows_a_difference_of_line_ends(place, now, then, shown):
    (place / "file").write_bytes(now.encode())
    assert FILES.preview(restore(place / "file", then, now.encode(), mode=None)).diff.endswith(shown)


def test_a_change_of_mode_alone_is_told_before_and_afterwards(place):
    file = place / "file"
    file.write_bytes(b"old\n")
    file.chmod(0o755)
    step = restore(file, after=b"old\n")
    shown = FILES.preview(step)
    assert shown.summary == f"Set the mode of {file} back to 640."
    assert shown.diff == f"{file}: mode 755 now, 640 restored"
    assert FILES.apply(step, force=False) == shown.summary
    assert stat.S_IMODE(file.stat().st_mode) == 0o640


def test_a_file_that_has_grown_huge_since_is_not_held_in_memory_and_only_its_size_is_shown(place):
    file = place / "log"
    file.write_bytes(b"new\n")
    os.truncate(file, GROWN)
    found = places.read(str(file))
    assert (found.size, len(found.content), found.whole) == (GROWN, places.LONGEST, False)
    assert found.digest == digest(b"new\n" + bytes(GROWN - 4))
    shown = FILES.preview(restore(file))
    assert "has changed since the action" in shown.conflict
    assert f"too large to be compared, {GROWN:,} bytes now, 4 bytes restored" in shown.diff
    with pytest.raises(UndoConflict):
        FILES.apply(restore(file), force=False)
    FILES.apply(restore(file), force=True, shown=shown.state)
    assert file.read_bytes() == b"old\n"


@pytest.mark.parametrize("name", ["settings", "\U0001f511" * 60, "é" * 127])
def test_what_a_try_that_was_killed_left_behind_is_gone_after_the_next_one(place, name, monkeypatch):
    file = place / name
    file.write_bytes(b"new\n")

    class Killed(BaseException):
        """Nothing is tidied up after it."""

    def killed(*_given, **_options):
        monkeypatch.setattr(os, "unlink", kept)
        raise Killed

    def kept(*_given, **_options):
        pass

    with monkeypatch.context() as patched:
        patched.setattr(os, "rename", killed)
        with pytest.raises(Killed):
            FILES.apply(restore(file), force=False)
    monkeypatch.undo()
    assert len(list(place.iterdir())) == 2
    FILES.apply(restore(file), force=False)
    assert [entry.name for entry in place.iterdir()] == [name]
    assert file.read_bytes() == b"old\n"


def test_a_file_that_is_put_back_keeps_its_owner(place, monkeypatch):
    file, given = place / "settings", []
    file.write_bytes(b"new\n")
    there = file.stat()
    monkeypatch.setattr(os, "fchown", lambda opened, owner, group: given.append((owner, group)))
    FILES.apply(restore(file), force=False)
    assert given == [(there.st_uid, there.st_gid)]


def test_what_takes_the_place_of_a_file_is_on_disk_before(place, monkeypatch):
    file, seen = place / "settings", []
    file.write_bytes(b"new\n")
    for name in ("fsync", "rename"):
        real = getattr(os, name)

        def noted(*given, _name=name, _real=real, **options):
            seen.append(_name)
            return _real(*given, **options)

        monkeypatch.setattr(os, name, noted)
    FILES.apply(restore(file), force=False)
    assert seen == ["fsync", "rename", "fsync"], "the content, the name, the directory"


def test_a_link_that_comes_between_the_look_and_the_reading_is_not_followed(place, monkeypatch):
    secret, file = place / "secret", place / "settings"
    secret.write_bytes(b"new\n")
    file.symlink_to(secret)
    monkeypatch.setattr(places, "_look", lambda *_given: secret.stat())
    with pytest.raises(UndoFailed, match="cannot be read"):
        FILES.preview(restore(file))


@pytest.mark.parametrize("existed", [True, False])
def test_a_change_that_the_disk_does_not_confirm_is_not_told_as_none(place, monkeypatch, existed):
    file, real = place / "settings", os.fsync
    file.write_bytes(b"new\n")

    def broken(opened):
        if stat.S_ISDIR(os.fstat(opened).st_mode):
            raise OSError(5, "Input/output error")
        real(opened)

    monkeypatch.setattr(os, "fsync", broken)
    step = restore(file) if existed else {**restore(file, None), "existed": False}
    said = "is put back, but the disk does not" if existed else "is removed, but the disk does not"
    with pytest.raises(UndoFailed, match=said):
        FILES.apply(step, force=False)
    assert file.exists() is existed
