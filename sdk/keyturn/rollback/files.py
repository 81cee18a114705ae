"""`file_restore`: a file as it was before the action: its content and mode, or its absence.

`after_sha256` is what the action left; null says that it left no file. Where the key is missing
nobody can tell whether somebody changed the file since, and the preview says so.
"""

import base64
import binascii
from hashlib import sha256

from keyturn.rollback import places
from keyturn.rollback.parts import Preview, Step, UndoConflict, UndoFailed, text_diff
from keyturn.rollback.places import Found

_ABSENT = "no file"


class FileRestore:
    """Puts files back, or removes those that the action made."""

    def preview(self, step: Step) -> Preview:
        """As `Kind.preview`."""
        path, present = str(step["path"]), places.read(str(step["path"]))
        if self._is_in_place(step, present):
            return Preview(f"{path} is as it was before the action; nothing will be changed.", None, (path,))
        wanted = _original(step)
        does = f"Remove the file {path}" if wanted is None else f"Put back {path} ({len(wanted):,} bytes)"
        conflict = _conflict(step, present)
        note = "" if "after_sha256" in step else " Whether it was changed since cannot be checked."
        return Preview(f"{does}.{note}", _diff(path, present, wanted), (path,), conflict)

    def apply(self, step: Step, *, force: bool) -> str:
        """As `Kind.apply`."""
        path, present = str(step["path"]), places.read(str(step["path"]))
        if self._is_in_place(step, present):
            return f"{path} is as it was before the action."
        wanted, conflict = _original(step), _conflict(step, present)
        if conflict is not None and not force:
            raise UndoConflict(conflict, _diff(path, present, wanted))
        if wanted is None:
            places.remove(path)
            return f"Removed {path}."
        places.replace(path, wanted, _mode(step))
        return f"Put back {path} ({len(wanted):,} bytes)."

    def in_place(self, step: Step) -> bool | None:
        """As `Kind.in_place`."""
        return self._is_in_place(step, places.read(str(step["path"])))

    def _is_in_place(self, step: Step, present: Found | None) -> bool:
        wanted, mode = _original(step), _mode(step)
        if wanted is None or present is None:
            return wanted is None and present is None
        return present.content == wanted and mode in (None, present.mode)


def _original(step: Step) -> bytes | None:
    """The bytes to put back; None when there was no file."""
    if not step["existed"]:
        return None
    text, encoded = step.get("original_content"), step.get("original_base64")
    if isinstance(text, str):
        return text.encode("utf-8")
    try:
        return base64.b64decode(str(encoded), validate=True)
    except binascii.Error as error:
        raise UndoFailed(f"The rollback data of {step['path']} is not base64: {error}") from error


def _mode(step: Step) -> int | None:
    mode = step.get("mode")
    return None if mode is None else int(mode)


def _conflict(step: Step, present: Found | None) -> str | None:
    if "after_sha256" not in step:
        return None
    left, found = step["after_sha256"], None if present is None else sha256(present.content).hexdigest()
    if left == found:
        return None
    said = [_ABSENT if digest is None else f"sha256 {digest[:12]}…" for digest in (left, found)]
    return f"{step['path']} has changed since the action: it left {said[0]}, there is {said[1]} now."


def _diff(path: str, present: Found | None, wanted: bytes | None) -> str:
    now, then = (b"" if present is None else present.content), wanted or b""
    try:
        before, after = now.decode("utf-8"), then.decode("utf-8")
    except UnicodeDecodeError:
        return f"{path}: binary, {len(now):,} bytes now, {len(then):,} bytes restored"
    return text_diff(before, after, path)
