"""Settings in env files: `KEY=value` lines, `export` and comments included; every value is text.

What stands around a value stays as it is: blanks, quotes, a comment behind it.
"""

import json
import re
from collections.abc import Iterator
from typing import Any

from keyturn.rollback.parts import UndoFailed
from keyturn.rollback.settingpaths import MISSING, Format, Missing

_NAME = r"[A-Za-z_][A-Za-z0-9_.]*"
_LINE = re.compile(
    rf"(?P<lead>\s*(?:export\s+)?(?P<key>{_NAME})\s*=[ \t]*)"
    r"""(?P<value>'[^'\n]*'|"(?:[^"\\\n]|\\.)*"|[^\r\n]*?)(?P<rest>[ \t]*(?:[ \t]\#[^\r\n]*)?\r?\n?)$"""
)
_SINGLE, _DOUBLE = re.compile(r"'[^'\n]*'"), re.compile(r'"(?:[^"\\\n]|\\.)*"')
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t", '"': '"', "\\": "\\"}
_SAFE = re.compile(r"[A-Za-z0-9_./:@%+,=-]*")


class EnvFormat(Format):
    """`KEY=value` lines."""

    def value(self, text: str, key: str) -> Any:
        """As `Format.value`; a dot is a part of the name, and of several lines the last counts."""
        values = [found["value"] for found in _lines(text) if found["key"] == key]
        return _unquoted(values[-1], key) if values else MISSING

    def settings(self, text: str) -> dict[str, Any]:
        """As `Format.settings`."""
        return {found["key"]: found["value"] for found in _lines(text)}

    def changed(self, text: str, key: str, value: Any) -> str:
        """As `Format.changed`."""
        if not re.fullmatch(_NAME, key):
            raise UndoFailed(f"{key!r} cannot be the name of a variable")
        lines = text.splitlines(keepends=True)
        mine = [
            place for place, line in enumerate(lines) if (found := _LINE.match(line)) and found["key"] == key
        ]
        if isinstance(value, Missing):
            return "".join(line for place, line in enumerate(lines) if place not in mine)
        if not isinstance(value, str):
            raise UndoFailed(f"{key}: an env file holds text only, not {value!r}")
        if not mine:
            end = "\r\n" if text.endswith("\r\n") else "\n"
            last = end if text and not text.endswith("\n") else ""
            return f"{text}{last}{key}={_quoted(value, '', key)}{end}"
        found = _LINE.match(lines[mine[-1]])
        assert found is not None, "the line was matched a moment ago"
        lines[mine[-1]] = f"{found['lead']}{_quoted(value, found['value'], key)}{found['rest']}"
        return "".join(lines)


def _lines(text: str) -> Iterator[re.Match[str]]:
    for line in text.splitlines(keepends=True):
        if (found := _LINE.match(line)) is not None:
            yield found


def _unquoted(written: str, key: str) -> str:
    if _SINGLE.fullmatch(written):
        return written[1:-1]
    if _DOUBLE.fullmatch(written):
        unknown = set(_ESCAPE.findall(written)) - set(_ESCAPES)
        if unknown:
            raise UndoFailed(
                f"{key} holds the escape \\{min(unknown)}, which not everybody reads alike; keep the whole "
                "file instead, with changed_file(...)"
            )
        return _ESCAPE.sub(lambda escape: _ESCAPES[escape[1]], written[1:-1])
    if written[:1] in ("'", '"'):
        raise UndoFailed(
            f"{key} is quoted in a way that not everybody reads alike; keep the whole file instead, with "
            "changed_file(...)"
        )
    return written


def _quoted(value: str, present: str, key: str) -> str:
    """The value in the quotes in which the present one stands, else in those that it needs."""
    single, double = f"'{value}'", json.dumps(value, ensure_ascii=False)
    ways = [value, single, double] if _SAFE.fullmatch(value) else [single, double]
    same = {"'": single, '"': double}.get(present[:1], value if present else None)
    for way in [same, *ways]:
        if way is not None and _reads(way, value, key):
            return way
    raise UndoFailed(f"{key}: the value cannot be written in an env file")


def _reads(written: str, value: str, key: str) -> bool:
    """Whether `written` is read back as the value, as a whole."""
    line = _LINE.match(f"{key}={written}\n")
    try:
        return line is not None and line["value"] == written and _unquoted(written, key) == value
    except UndoFailed:
        return False
