"""`file_restore` of a directory, whose path ends in a slash: it is made again, with its mode.

What it held has steps of its own, which come first: a directory that nobody may write to could not be
filled afterwards. So one that is there already is no conflict, and nothing in it is touched.
"""

from keyturn.rollback import places
from keyturn.rollback.foreseen import mode_of
from keyturn.rollback.parts import Preview, Step, UndoFailed


def is_directory(step: Step) -> bool:
    """Whether a `file_restore` is about a directory."""
    return str(step["path"]).endswith("/")


def preview(step: Step) -> Preview:
    """As `Kind.preview`."""
    path, present, mode = str(step["path"]), _present(step), mode_of(step)
    if present is None:
        and_mode = "" if mode is None else f", mode {mode:o}"
        return Preview(_words(step, present), f"{path}: no directory now{and_mode}", (path,))
    if mode in (None, present):
        return Preview(f"{path} is as it was before the action; nothing will be changed.", None, (path,))
    return Preview(_words(step, present), f"{path}: mode {present:o} now, {mode:o} restored", (path,))


def apply(step: Step) -> str:
    """As `Kind.apply`."""
    present = _present(step)
    if in_place(step):
        return f"{step['path']} is as it was before the action."
    places.make_directory(str(step["path"]), mode_of(step))
    return _words(step, present)


def in_place(step: Step) -> bool:
    """As `Kind.in_place`."""
    present, mode = _present(step), mode_of(step)
    return present is not None and mode in (None, present)


def _present(step: Step) -> int | None:
    path = str(step["path"])
    if not step["existed"]:
        raise UndoFailed(f"{path} is a directory, which no undo removes. Nothing was changed.")
    return places.directory_mode(path)


def _words(step: Step, present: int | None) -> str:
    path, mode = step["path"], mode_of(step)
    and_mode = "" if mode is None else f" (mode {mode:o})"
    if present is None:
        return f"Put back the directory {path}{and_mode}."
    return f"Set the mode of the directory {path} back to {mode:o}."
