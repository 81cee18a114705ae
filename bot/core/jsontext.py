"""JSON text in and out, with every number exact.

`loads` reads what strangers send and refuses whatever two readers could read differently:
duplicate keys, NaN and Infinity, lone surrogates, NUL, a byte order mark, nesting beyond 32,
and numbers that a double cannot hold. `dumps` writes values back with their decimals as they
came, trailing zeros included. `reread` reads what `dumps` wrote.

In memory JSON is str, bool, None, int, Decimal (never float), list and dict.
"""

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from decimal import Decimal, InvalidOperation
from typing import Any, Never

import orjson

from bot.core.digest import LARGEST_INTEGER, exact
from bot.core.errors import InexactNumber, InvalidJson

DEEPEST = 32
"""How many arrays and objects may stand inside each other."""

_LONGEST_INTEGER = len(str(-LARGEST_INTEGER))
_LONGEST_PLAIN = 40
"""Characters up to which a small number is written without an exponent."""


def loads(data: bytes) -> Any:
    """The value of one JSON text in UTF-8.

    Raises:
        InvalidJson: not JSON, or JSON that readers disagree about.
        InexactNumber: a number has no exact double, so its canonical form would be another number.
    """
    try:
        text = data.decode()
        value = _parse(text)
    except UnicodeDecodeError as error:
        raise InvalidJson(f"The body is not UTF-8: byte {error.start} cannot be read.") from None
    except json.JSONDecodeError as error:
        raise InvalidJson(f"The body is not valid JSON: {error}.") from None
    except RecursionError:
        raise InvalidJson(_TOO_DEEP) from None
    if "\\u" in text:
        _refuse_odd_characters(value)
    if text.count("[") + text.count("{") > DEEPEST:
        _refuse_depth(value)
    return value


def reread(text: str | bytes) -> Any:
    """The value of a text that `dumps` wrote; nothing is checked again."""
    return _trusting(text if isinstance(text, str) else text.decode())


def dumps(value: Any) -> bytes:
    """Compact UTF-8 JSON; objects keep their order, Decimals their digits and trailing zeros.

    Raises:
        TypeError: the value is not JSON in memory, or a string is not valid Unicode.
    """
    return orjson.dumps(value, default=other)


_TOO_DEEP = f"The body is nested more than {DEEPEST} levels deep."


def other(value: Any) -> Any:
    """The JSON form of a value orjson does not know; for its `default`."""
    if isinstance(value, Decimal):
        return orjson.Fragment(_decimal_text(value))
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{type(value).__name__} has no JSON form")


def _decimal_text(number: Decimal) -> str:
    """Digits as they came. A Decimal forgets how its exponent was written, so small numbers are plain."""
    if not number.is_finite():
        raise TypeError(f"{number} has no JSON form")
    text = str(number)
    if "E-" in text and len(plain := format(number, "f")) <= _LONGEST_PLAIN:
        return plain
    if len(text) >= _LONGEST_INTEGER - 1 and text.lstrip("-").isdigit():
        return f"{text}E+0"  # without a sign of being a decimal it would be read as too long an integer
    return text


def _integer(text: str) -> int:
    # The length first: Python refuses, and takes quadratic time over, very long integers.
    if len(text) > _LONGEST_INTEGER or abs(number := int(text)) > LARGEST_INTEGER:
        raise InexactNumber(f"The number {_short(text)} cannot be held exactly; send it as a string.")
    return number


def _decimal(text: str) -> Decimal:
    try:
        number = Decimal(text)
    except InvalidOperation:
        number = Decimal("Infinity")
    if not exact(number):
        raise InexactNumber(f"The number {_short(text)} cannot be held exactly; send it as a string.")
    return number


def _constant(text: str) -> Never:
    raise InvalidJson(f"{text} is not JSON.")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        twice = next(key for key, times in Counter(key for key, _ in pairs).items() if times > 1)
        raise InvalidJson(f"The key {_short(twice)!r} stands twice in one object.")
    return found


_parse = json.JSONDecoder(
    object_pairs_hook=_object, parse_float=_decimal, parse_int=_integer, parse_constant=_constant
).decode
_trusting = json.JSONDecoder(parse_float=Decimal).decode


def _short(text: str) -> str:
    return text if len(text) <= 40 else f"{text[:37]}..."


def _refuse_odd_characters(value: Any) -> None:
    for text in _strings(value):
        if "\0" in text:
            raise InvalidJson("A string holds \\u0000, which Keyturn does not store.")
        try:
            text.encode()
        except UnicodeEncodeError:
            raise InvalidJson("A string holds half of a surrogate pair.") from None


def _strings(value: Any) -> Iterator[str]:
    left = [value]
    while left:
        item = left.pop()
        if isinstance(item, str):
            yield item
        elif isinstance(item, list):
            left.extend(item)
        elif isinstance(item, dict):
            left.extend(item)
            left.extend(item.values())


def _refuse_depth(value: Any) -> None:
    layer = [value]
    for _ in range(DEEPEST + 1):
        containers = [item for item in layer if isinstance(item, list | dict)]
        if not containers:
            return
        layer = [
            inner
            for container in containers
            for inner in (container.values() if isinstance(container, dict) else container)
        ]
    raise InvalidJson(_TOO_DEEP)
