"""What is wrong with a text that is not YAML: where, what, and how it is mended."""

import re
from dataclasses import dataclass

from ruamel.yaml.error import MarkedYAMLError
from ruamel.yaml.reader import ReaderError


@dataclass(frozen=True, slots=True)
class Slip:
    """One slip. Lines and columns count from 1."""

    line: int
    column: int
    wrong: str
    instead: str = "correct it"


_MENDED = {
    "\\t": "indent with spaces instead of tabs",
    "alias": "put text that starts with * in quotes",
    "alphabetic or numeric": "put text that starts with * or & in quotes",
    "escape": "put text with backslashes in single quotes",
    "expected ','": "close the bracket before it, or put a comma between",
    "mapping values": "put text with a colon in quotes; begin each key on a line of its own, in line with the"
    " others, and put a space after its colon",
    "any token": "put text that starts with it in quotes",
    "another document": "keep one document in each file, without ---",
    "'<scalar>'": "put the whole text in quotes, or a colon and a space after a key",
    "<block end>": "put it in line with the other keys of its mapping, or the other items of its list",
    "expected ':'": "put a colon and a space after the key",
}
"""What the parser says of the slips that are made most, and how they are mended."""

_ODD_SPACE = re.compile(r"^ *([^\S \t\r\n\x0b\x0c\x1c-\x1f\x85\u2028\u2029])", re.MULTILINE)
"""White space at the start of a line that only looks like the plain one, as pages have it."""


def unreadable(text: str, error: ReaderError) -> Slip:
    """The slip of a text with a character that YAML does not allow."""
    found = error.character
    code = found if isinstance(found, int) else ord(found)
    return Slip(*place(text, error.position), f"is not YAML: holds the character U+{code:04X}", "remove it")


def slip(text: str, error: MarkedYAMLError) -> Slip:
    """The slip that made the parser stop."""
    said = str(error.problem)
    odd = _ODD_SPACE.search(text)
    if odd is not None:
        wrong = f"is not YAML: the line is indented with U+{ord(odd[1]):04X}, which is no plain space"
        return Slip(*place(text, odd.start(1)), wrong, "type the spaces anew")
    if "quoted scalar" in str(error.context) and "unexpected" in said:
        opened = error.context_mark
        return Slip(opened.line + 1, opened.column + 1, "is not YAML: the quote is never closed", "close it")
    mark = error.problem_mark or error.context_mark
    line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
    mended = (instead for part, instead in _MENDED.items() if part in said)
    return Slip(line, column, f"is not YAML: {said}", next(mended, "correct it"))


def place(text: str, position: int) -> tuple[int, int]:
    """Line and column of a position in a text."""
    before = text[:position]
    return before.count("\n") + 1, len(before) - (before.rfind("\n") + 1) + 1
