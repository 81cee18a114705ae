"""Params as people read them: exact JSON, and long texts a second time as lines.

The JSON parses back to the same value, and numbers keep their digits. A text of several lines is one
unreadable line in JSON, so it is shown beside it. Nothing here is made visible yet: whoever shows it
cuts first, since what is not shown need not be escaped.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from bot.core.describe import json_text
from bot.core.models import JsonObject

_WIDTH = 80
"""A list or object up to this long stays on one line."""


def pretty(value: Any) -> str:
    """Indented JSON text of `value`."""
    return "".join(_pieces(value, ""))


def _pieces(value: Any, indent: str) -> Iterator[str]:
    short = json_text(value)
    if not isinstance(value, Mapping | list) or not value or (indent and len(short) <= _WIDTH):
        yield short
        return
    inner = f"{indent}  "
    opening, closing = "{}" if isinstance(value, Mapping) else "[]"
    yield opening
    for index, item in enumerate(value):
        yield f"{',' if index else ''}\n{inner}"
        if isinstance(value, Mapping):
            yield f"{json_text(item)}: "
            item = value[item]
        yield from _pieces(item, inner)
    yield f"\n{indent}{closing}"


def texts(params: JsonObject) -> dict[str, str]:
    """The params that are texts of several lines, by name."""
    return {key: value for key, value in params.items() if isinstance(value, str) and "\n" in value}


def differences(old: JsonObject, new: JsonObject) -> list[tuple[str, str | None, str | None]]:
    """`(name, old JSON, new JSON)` for every param that differs; None where there is none."""
    if old is new:
        return []
    names = list(dict.fromkeys([*old, *new]))
    pairs = ((name, _json(old, name), _json(new, name)) for name in names)
    return [pair for pair in pairs if pair[1] != pair[2]]


def _json(params: JsonObject, name: str) -> str | None:
    return json_text(params[name]) if name in params else None


def around_difference(old: str, new: str, *, width: int) -> tuple[str, str]:
    """Both texts, each cut to `width` characters that hold the place where they first differ."""
    if max(len(old), len(new)) <= width:
        return old, new
    pairs = enumerate(zip(old, new, strict=False))
    first = next((place for place, (a, b) in pairs if a != b), min(len(old), len(new)))
    start = max(first - width // 4, 0)
    return _window(old, start, width), _window(new, start, width)


def _window(text: str, start: int, width: int) -> str:
    end = start + width
    return f"{'…' if start else ''}{text[start:end]}{'…' if end < len(text) else ''}"
