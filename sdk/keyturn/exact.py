"""JSON that keeps numbers exactly as they were written.

`Decimal("2500.00")` is sent as `2500.00` and comes back as `Decimal("2500.00")`; nothing passes
through a binary float. A float is sent as its `repr`. NaN, Infinity, lone surrogates and keys
that are not strings are refused here, before anything is sent.
"""

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import fields, is_dataclass
from datetime import date, datetime, time
from decimal import Decimal
from enum import Enum
from hashlib import sha256
from pathlib import PurePath
from typing import Any
from uuid import UUID

from pydantic import BaseModel

CANNOT_SEND = "{where} is a {kind}, which JSON cannot carry; convert it to text, a number, a list or a dict"
DEEPEST = 64  # twice what the server accepts; its real use is to stop a value that contains itself


def loads(text: bytes | str) -> Any:
    """Parse JSON: integers become int, all other numbers Decimal.

    Raises:
        ValueError: not JSON or not UTF-8, a duplicate key, NaN or Infinity.
    """
    if isinstance(text, bytes):
        text = text.decode("utf-8")
    return json.loads(text, parse_float=Decimal, parse_constant=_refuse, object_pairs_hook=_unique)


def dumps(value: object) -> str:
    """Write compact JSON in the order given, after `plain`."""
    return "".join(_written(plain(value)))


def plain(value: object, where: str = "value") -> Any:
    """Return `value` as JSON's own types, numbers as int or Decimal.

    Enums, dates, UUIDs, paths, dataclasses and pydantic models become what a person would write
    for them. The result shares no list or dict with `value`.

    Raises:
        TypeError: a type that has no obvious form (bytes, sets, objects); names the place.
        ValueError: NaN, Infinity, a lone surrogate, or a value that contains itself.
    """
    return _plain(value, where, DEEPEST)


def digest(action_type: str, params: Mapping[str, Any]) -> str:
    """Return what an approval is bound to: `sha256:` + hex of the action's RFC 8785 canonical form."""
    canonical = "".join(_written({"params": plain(params), "type": action_type}, canonical=True))
    return "sha256:" + sha256(canonical.encode("utf-8")).hexdigest()


def same(one: object, other: object) -> bool:
    """Whether two values are written alike: `1`, `1.0`, `"1"` and `true` are four different values."""
    return "".join(_written(plain(one), ordered=True)) == "".join(_written(plain(other), ordered=True))


def _plain(value: Any, where: str, depth: int) -> Any:
    if depth == 0:
        raise ValueError(f"{where} is nested too deeply, or contains itself")
    match value:
        case Enum():
            return _plain(value.value, where, depth - 1)
        case None | bool():
            return value
        case str():
            return _text(value, where)
        case int():
            return int(value)
        case float() | Decimal():
            return _number(value, where)
        case datetime() | date() | time():
            return value.isoformat()
        case UUID() | PurePath():
            return _text(str(value), where)
        case BaseModel():
            return _object(((name, getattr(value, name)) for name in type(value).model_fields), where, depth)
        case Mapping():
            return _object(value.items(), where, depth)
        case list() | tuple():
            return [_plain(item, f"{where}[{at}]", depth - 1) for at, item in enumerate(value)]
    if is_dataclass(value) and not isinstance(value, type):
        return _object(((field.name, getattr(value, field.name)) for field in fields(value)), where, depth)
    raise TypeError(CANNOT_SEND.format(where=where, kind=type(value).__name__))


def _object(items: Iterable[tuple[Any, Any]], where: str, depth: int) -> dict[str, Any]:
    result = {}
    for key, item in items:
        if not isinstance(key, str):
            raise TypeError(f"{where} has the key {key!r}; JSON keys are text")
        result[_text(key, where)] = _plain(item, f"{where}.{key}", depth - 1)
    return result


def _text(value: str, where: str) -> str:
    try:
        value.encode("utf-8")
    except UnicodeEncodeError as error:
        raise ValueError(f"{where} holds a lone surrogate, which UTF-8 cannot carry") from error
    return str(value)


def _number(value: float | Decimal, where: str) -> Decimal:
    if not math.isfinite(value):
        raise ValueError(f"{where} is {value}, which JSON cannot carry")
    return value if isinstance(value, Decimal) else Decimal(float.__repr__(value))


def _written(value: Any, *, canonical: bool = False, ordered: bool = False) -> Iterable[str]:
    match value:
        case bool() | None | str():
            yield json.dumps(value, ensure_ascii=False)
        case int() | Decimal():
            yield _ecmascript(float(value)) if canonical else str(value)
        case list():
            yield "["
            for at, item in enumerate(value):
                yield "," if at else ""
                yield from _written(item, canonical=canonical, ordered=ordered)
            yield "]"
        case dict():
            # RFC 8785 section 3.2.3: names sort by their UTF-16 code units.
            names = sorted(value, key=_utf16) if canonical or ordered else value
            yield "{"
            for at, name in enumerate(names):
                yield f"{',' if at else ''}{json.dumps(name, ensure_ascii=False)}:"
                yield from _written(value[name], canonical=canonical, ordered=ordered)
            yield "}"


def _utf16(name: str) -> bytes:
    return name.encode("utf-16-be")


def _ecmascript(number: float) -> str:
    """Format as ECMAScript's Number::toString does, which RFC 8785 prescribes.

    Python's repr finds the same shortest digits; only their layout differs.
    """
    if number == 0:
        return "0"
    parts = Decimal(float.__repr__(abs(number))).normalize().as_tuple()
    digits, point = "".join(map(str, parts.digits)), len(parts.digits) + int(parts.exponent)
    if 0 < point <= 21:
        text = digits.ljust(point, "0") if len(digits) <= point else f"{digits[:point]}.{digits[point:]}"
    elif -6 < point <= 0:
        text = f"0.{'0' * -point}{digits}"
    else:
        mantissa = digits[0] + (f".{digits[1:]}" if len(digits) > 1 else "")
        text = f"{mantissa}e{point - 1:+d}"
    return f"-{text}" if number < 0 else text


def _refuse(constant: str) -> Any:
    raise ValueError(f"{constant} is not JSON")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ValueError("the same key appears twice in one object")
    return result
