"""One member of a JSON text set or taken out, with every other byte left as it is."""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass

from keyturn.rollback.parts import UndoFailed

_SPACE = re.compile(r"[ \t\r\n]*")
_SCALAR = re.compile(r'"(?:[^"\\]|\\.)*"|[^\s,\]}]+', re.DOTALL)


@dataclass(frozen=True, slots=True)
class _Member:
    """A name (or place in a list) and where it, its value and the value's end stand in the text."""

    name: str
    start: int
    value: int
    end: int


def set_value(text: str, path: Sequence[str], value: str) -> str:
    """`text` with the member at `path` set to the JSON text `value`; a new one is added at the end.

    Raises:
        UndoFailed: there is no object that could hold it.
    """
    at, members = _holder(text, path)
    found = next((member for member in members if member.name == path[-1]), None)
    if found is not None:
        return text[: found.value] + value + text[found.end :]
    if text[at] != "{":
        raise UndoFailed(f"There is no {'/'.join(path)} in this file, and nothing that could hold it")
    space = "" if members and text[members[-1].value - 1] == ":" else " "
    entry = f"{json.dumps(path[-1], ensure_ascii=False)}:{space}{value}"
    if not members:
        return text[: at + 1] + entry + text[_skip(text, at + 1) :]
    before = members[-2].end + 1 if len(members) > 1 else at + 1
    gap = text[before : members[-1].start] or (space if len(members) == 1 else "")
    return text[: members[-1].end] + "," + gap + entry + text[members[-1].end :]


def deleted(text: str, path: Sequence[str]) -> str:
    """`text` without the member at `path`; one that is not there stays away."""
    at, members = _holder(text, path)
    place = next((n for n, member in enumerate(members) if member.name == path[-1]), None)
    if place is None:
        return text
    member = members[place]
    if place + 1 < len(members):
        return text[: member.start] + text[members[place + 1].start :]
    cut = members[place - 1].end if place else at + 1
    return text[:cut] + text[member.end :]


def _holder(text: str, path: Sequence[str]) -> tuple[int, list[_Member]]:
    """Where the object or list that holds the last name of `path` begins, and its members."""
    at = _skip(text, 0)
    for name in path[:-1]:
        found = next((member for member in _members(text, at)[0] if member.name == name), None)
        if found is None:
            raise UndoFailed(f"There is no {'/'.join(path[:-1])} in this file that could hold {path[-1]!r}")
        at = found.value
    return at, _members(text, at)[0]


def _members(text: str, at: int) -> tuple[list[_Member], int]:
    """Members of the object or list at `at`, and where it ends; none for a scalar."""
    opener = text[at : at + 1]
    if opener not in ("{", "["):
        match = _SCALAR.match(text, at)
        return [], match.end() if match else len(text)
    members: list[_Member] = []
    at = _skip(text, at + 1)
    while text[at] not in "}]":
        start, name = at, str(len(members))
        if opener == "{":
            name, at = json.JSONDecoder().raw_decode(text, at)
            at = _skip(text, _skip(text, at) + 1)
        value = at
        _, at = _members(text, at)
        members.append(_Member(name, start, value, at))
        at = _skip(text, at)
        if text[at] == ",":
            at = _skip(text, at + 1)
    return members, at + 1


def _skip(text: str, at: int) -> int:
    found = _SPACE.match(text, at)
    return at if found is None else found.end()
