"""Frozen dataclasses to JSON text and back.

Inside a JSON column a time is a whole number of microseconds since the epoch, a duration a
whole number of microseconds, an enum its value, a Decimal its exact digits. A field that a
stored text lacks takes the dataclass's default, so a new field needs no migration.
"""

import types
import typing
from collections.abc import Callable, Hashable, Mapping
from dataclasses import fields, is_dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from enum import Enum
from functools import cache
from typing import Any, NewType, TypeVar, cast, get_args, get_origin, get_type_hints

import orjson

from bot.core import jsontext

T = TypeVar("T")
_Decode = Callable[[Any], Any]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def micros(moment: datetime) -> int:
    """Microseconds since the epoch of an aware time."""
    return (moment - _EPOCH) // _MICROSECOND


def optional_micros(moment: datetime | None) -> int | None:
    """The same, None for None."""
    return None if moment is None else (moment - _EPOCH) // _MICROSECOND


def moment(number: int) -> datetime:
    """The aware UTC time of a number of microseconds since the epoch."""
    return _EPOCH + timedelta(microseconds=number)


def optional_moment(number: int | None) -> datetime | None:
    """The same, None for None."""
    return None if number is None else _EPOCH + timedelta(microseconds=number)


def duration_micros(duration: timedelta) -> int:
    """A duration as microseconds."""
    return duration // _MICROSECOND


def duration(number: int) -> timedelta:
    """The duration of a number of microseconds."""
    return timedelta(microseconds=number)


def encode(value: Any) -> str:
    """The JSON text of a dataclass, a tuple of them, or parsed JSON.

    Raises:
        TypeError: something in `value` has no JSON form, or a string is not valid Unicode.
    """
    return orjson.dumps(value, default=_plain, option=orjson.OPT_PASSTHROUGH_DATETIME).decode()


def optional_encode(value: Any) -> str | None:
    """The same, None for None."""
    return None if value is None else encode(value)


def decode(kind: type[T], text: str) -> T:
    """The value of type `kind` that `encode` wrote as `text`."""
    value: T = decoder(cast(Hashable, kind))(jsontext.reread(text))
    return value


@cache
def decoder(kind: Any) -> _Decode:
    """What turns parsed JSON into a value of `kind`: a class, or any type a model's field has."""
    if isinstance(kind, NewType):
        return decoder(kind.__supertype__)
    origin = get_origin(kind)
    if origin in (types.UnionType, typing.Union):
        return _optional(decoder(next(a for a in get_args(kind) if a is not types.NoneType)))
    if origin is tuple:
        return _tuple_of(decoder(get_args(kind)[0]))
    if origin is frozenset:
        return frozenset
    if is_dataclass(kind):
        return _object_of(kind)
    if isinstance(kind, type) and issubclass(kind, Enum | Decimal):
        return kind
    return {datetime: moment, timedelta: duration}.get(kind, _as_is)


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return micros(value)
    if isinstance(value, timedelta):
        return duration_micros(value)
    if isinstance(value, frozenset):
        return sorted(value)
    return jsontext.other(value)


def _as_is(value: Any) -> Any:
    return value


def _optional(inner: _Decode) -> _Decode:
    if inner is _as_is:
        return _as_is
    return lambda value: None if value is None else inner(value)


def _tuple_of(inner: _Decode) -> _Decode:
    if inner is _as_is:
        return tuple
    return lambda values: tuple([inner(value) for value in values])


def _object_of(kind: Any) -> _Decode:
    hints = get_type_hints(kind)
    parts = [(field.name, decoder(hints[field.name])) for field in fields(kind)]
    plain = [name for name, inner in parts if inner is _as_is]
    other = [(name, inner) for name, inner in parts if inner is not _as_is]

    def build(found: Mapping[str, Any]) -> Any:
        values = {name: found[name] for name in plain if name in found}
        for name, inner in other:
            if name in found:
                values[name] = inner(found[name])
        return kind(**values)

    return build
