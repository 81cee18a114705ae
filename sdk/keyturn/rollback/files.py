"""`file_restore`: a file as it was before the action: its content and mode, or its absence.

`after_sha256` is what the action left; null says that it left no file. Where the key is missing
nobody can tell whether somebody changed the file since, and the preview says so. A path that ends in a
slash is a directory.
"""

from collections.abc import Sequence

from keyturn.rollback import directories, places
from keyturn.rollback.foreseen import file_after, mode_of, original_of
from keyturn.rollback.parts import Preview, Step, UndoConflict, objection, text_diff
from keyturn.rollback.places import Found

_ABSENT = "no file"

_COMPARED = 1 << 20
"""Bytes of a present file that are compared line by line; of a larger one only the sizes are shown."""


class FileRestore:
    """Puts files back, or removes those that the action made."""

    def preview(self, step: Step, before: Sequence[Step] = ()) -> Preview:
        """As `Kind.preview`."""
        if directories.is_directory(step):
            return directories.preview(step)
        path = str(step["path"])
        present = file_after(path, before)
        if _is_in_place(step, present):
            told = f"{path} is as it was before the action; nothing will be changed."
            return Preview(told, None, (path,), None, _state(present))
        note = "" if "after_sha256" in step else " Whether it was changed since cannot be checked."
        told = f"{_words(step, present, *_FUTURE)}{note}"
        return Preview(told, _diff(step, present), (path,), _conflict(step, present), _state(present))

    def refusal(
        self, step: Step, before: Sequence[Step], *, force: bool, shown: str | None
    ) -> UndoConflict | None:
        """As `Kind.refusal`."""
        if directories.is_directory(step):
            directories.preview(step)
            return None
        return _refusal(step, file_after(str(step["path"]), before), force, shown)

    def apply(self, step: Step, *, force: bool, shown: str | None = None) -> str:
        """As `Kind.apply`."""
        if directories.is_directory(step):
            return directories.apply(step)
        path, wanted, present = str(step["path"]), original_of(step), places.read(str(step["path"]))
        if _is_in_place(step, present):
            return f"{path} is as it was before the action."
        if (refused := _refusal(step, present, force, shown)) is not None:
            raise refused
        if wanted is not None:
            places.replace(path, wanted, mode_of(step), present)
        elif present is not None:
            places.remove(path, present)
        return _words(step, present, *_PAST)

    def in_place(self, step: Step) -> bool | None:
        """As `Kind.in_place`."""
        if directories.is_directory(step):
            return directories.in_place(step)
        return _is_in_place(step, places.read(str(step["path"])))


_FUTURE = ("Remove", "Put back", "Set")
_PAST = ("Removed", "Put back", "Set")


def _is_in_place(step: Step, present: Found | None) -> bool:
    wanted, mode = original_of(step), mode_of(step)
    if wanted is None or present is None:
        return wanted is None and present is None
    return present.whole and present.content == wanted and mode in (None, present.mode)


def _words(step: Step, present: Found | None, remove: str, put_back: str, set_: str) -> str:
    path, wanted, mode = step["path"], original_of(step), mode_of(step)
    if wanted is None:
        return f"{remove} the file {path}."
    other_mode = mode is not None and present is not None and present.mode != mode
    if other_mode and present is not None and present.content == wanted:
        return f"{set_} the mode of {path} back to {mode:o}."
    and_mode = f" and its mode {mode:o}" if other_mode else ""
    return f"{put_back} {path} ({len(wanted):,} bytes){and_mode}."


def _state(present: Found | None) -> str:
    return _ABSENT if present is None else present.digest


def _refusal(step: Step, present: Found | None, force: bool, shown: str | None) -> UndoConflict | None:
    if _is_in_place(step, present):
        return None
    said = objection(
        str(step["path"]),
        _state(present),
        _conflict(step, present),
        recorded="after_sha256" in step,
        force=force,
        shown=shown,
    )
    return None if said is None else UndoConflict(said, _diff(step, present))


def _conflict(step: Step, present: Found | None) -> str | None:
    if "after_sha256" not in step:
        return None
    left, found = step["after_sha256"], None if present is None else present.digest
    if left == found:
        return None
    said = [_ABSENT if digest is None else f"sha256 {digest[:12]}…" for digest in (left, found)]
    return f"{step['path']} has changed since the action: it left {said[0]}, there is {said[1]} now."


def _diff(step: Step, present: Found | None) -> str:
    path, mode = str(step["path"]), mode_of(step)
    now, then = (b"" if present is None else present.content), original_of(step) or b""
    modes = []
    if present is not None and step["existed"] and mode not in (None, present.mode):
        modes = [f"{path}: mode {present.mode:o} now, {mode:o} restored"]
    if now == then:
        return "\n".join(modes)
    size = 0 if present is None else present.size
    there = f"{_ABSENT} now" if present is None else f"{size:,} bytes now"
    sizes = f"{there}, {len(then):,} bytes restored"
    if size > _COMPARED:
        return "\n".join([*modes, f"{path}: too large to be compared, {sizes}"])
    try:
        shown = text_diff(now.decode("utf-8"), then.decode("utf-8"), path)
    except UnicodeDecodeError:
        shown = f"{path}: binary, {sizes}"
    return "\n".join([*modes, shown])
