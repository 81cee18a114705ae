"""What a file will hold once earlier steps of the same undo are applied; nothing is changed.

An action may change one file twice. The preview of its second undo step then has to start from what
the first one will leave, or it would show, and refuse, what is only a step on the way.
"""

import base64
import binascii
from collections.abc import Sequence

from keyturn.rollback import places
from keyturn.rollback.formats import MISSING, format_of
from keyturn.rollback.parts import Step, UndoFailed
from keyturn.rollback.places import Found

_DEFAULT_MODE = 0o644


def things_of(step: Step) -> frozenset[tuple[str, str]]:
    """What a step changes, so that two steps on one thing can be told; empty where nobody can tell."""
    match step.get("type"):
        case "file_restore":
            return frozenset({("file", str(step["path"]))})
        case "config_restore":
            # A store that is no file has a name, which no path can be: a path is absolute.
            return frozenset({("file", str(step["store"]))})
        case "database_restore":
            return frozenset({("database", str(step["database"]))})
    return frozenset()


def file_after(path: str, before: Sequence[Step]) -> Found | None:
    """The file as `before` will leave it; None when there will be none.

    Raises:
        UndoFailed: it cannot be read, or one of the steps could not be applied.
    """
    found = places.read(path)
    for step in before:
        found = _restored(step, found) if step["type"] == "file_restore" else _set(path, step, found)
    return found


def original_of(step: Step) -> bytes | None:
    """The bytes that a `file_restore` puts back; None when there was no file."""
    if not step["existed"]:
        return None
    text, encoded = step.get("original_content"), step.get("original_base64")
    if isinstance(text, str):
        return text.encode("utf-8")
    try:
        return base64.b64decode(str(encoded), validate=True)
    except binascii.Error as error:
        raise UndoFailed(f"The rollback data of {step['path']} is not base64: {error}") from error


def mode_of(step: Step) -> int | None:
    """The mode that a `file_restore` puts back; None when it says nothing of it."""
    mode = step.get("mode")
    return None if mode is None else int(mode)


def _restored(step: Step, present: Found | None) -> Found | None:
    content, mode = original_of(step), mode_of(step)
    if content is None:
        return None
    kept = _DEFAULT_MODE if present is None else present.mode
    return Found.of(content, kept if mode is None else mode)


def _set(path: str, step: Step, present: Found | None) -> Found:
    if present is None:
        raise UndoFailed(f"{path} is gone; put it back first. Nothing was changed.")
    value = step.get("old_value") if step["had_value"] else MISSING
    text = format_of(path).changed(present.content.decode("utf-8"), str(step["key"]), value)
    return Found.of(text.encode("utf-8"), present.mode)
