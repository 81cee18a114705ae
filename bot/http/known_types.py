"""What the params of the known action types must look like. Keys nobody defined here are kept.

Any other action type is allowed, and its params are any object.
"""

from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from typing import Any, NamedTuple

from bot.core.models import JsonObject
from bot.http.fields import JSON_VALUE, NO_NUL, Fault, pointer


class _Kind(NamedTuple):
    """A check, its words, and how OpenAPI says it."""

    holds: Callable[[Any], bool]
    words: str
    schema: Mapping[str, Any]


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | Decimal) and not isinstance(value, bool)


_TEXT = _Kind(_is_text, "must be text", {"type": "string", "pattern": NO_NUL})
_TRUTH = _Kind(lambda v: isinstance(v, bool), "must be true or false", {"type": "boolean"})
_OBJECT = _Kind(
    lambda v: isinstance(v, dict), "must be an object", {"type": "object", "additionalProperties": JSON_VALUE}
)
_LIST = _Kind(lambda v: isinstance(v, list), "must be a list", {"type": "array", "items": JSON_VALUE})
_TEXTS = _Kind(
    lambda v: isinstance(v, list) and all(map(_is_text, v)),
    "must be a list of texts",
    {"type": "array", "items": _TEXT.schema},
)
_AMOUNT = _Kind(
    lambda v: _is_text(v) or _is_number(v),
    "must be a number, or a number as text",
    {"anyOf": [_TEXT.schema, {"type": "number", "minimum": -(2**53) + 1, "maximum": 2**53 - 1}]},
)

MONEY_TYPES = ("transaction", "transfer", "payment", "refund", "withdrawal", "payout")

KNOWN: Mapping[str, Mapping[str, _Kind]] = {
    "file_write": {"path": _TEXT, "content": _TEXT, "overwrite": _TRUTH},
    "file_delete": {"path": _TEXT, "recursive": _TRUTH},
    "command_execute": {"command": _TEXT, "args": _TEXTS, "cwd": _TEXT},
    "network_request": {"url": _TEXT, "method": _TEXT, "headers": _OBJECT},
    "database_modify": {"query": _TEXT, "params": _LIST, "database": _TEXT},
    "config_change": {"key": _TEXT},
    "deployment": {"environment": _TEXT, "version": _TEXT, "services": _TEXTS},
    "user_data_access": {"user_id": _TEXT, "data_type": _TEXT, "purpose": _TEXT},
    "external_api_call": {"service": _TEXT, "endpoint": _TEXT},
    "system_modification": {"target": _TEXT, "operation": _TEXT},
    **{name: {"amount": _AMOUNT, "currency": _TEXT} for name in MONEY_TYPES},
}
"""The typed keys of each known action type. `old_value`, `new_value`, `data`, `details` are any JSON."""


def faults(action_type: str, params: JsonObject, place: tuple[str | int, ...]) -> Iterator[Fault]:
    """The known keys of `params` whose values have the wrong type; `place` is where `params` stand."""
    for key, kind in KNOWN.get(action_type, {}).items():
        if key in params and not kind.holds(params[key]):
            yield pointer((*place, key)), f"{kind.words} in a {action_type}"


def conditional_schemas() -> list[dict[str, Any]]:
    """The same as JSON Schema: an `if type … then params …` for each known type."""
    return [
        {
            "if": {"properties": {"type": {"const": name}}, "required": ["type"]},
            "then": {"properties": {"params": {"properties": {k: dict(v.schema) for k, v in keys.items()}}}},
        }
        for name, keys in KNOWN.items()
    ]
