"""The params of the known action types, as OpenAPI says them. The rule itself is in `core.params`."""

from collections.abc import Iterator, Mapping
from typing import Any

from bot.core.models import JsonObject
from bot.core.params import KNOWN, Kind, check_params
from bot.http.fields import JSON_VALUE, NO_NUL, Fault, pointer

_TEXT: Mapping[str, Any] = {"type": "string", "pattern": NO_NUL}

_SCHEMAS: Mapping[Kind, Mapping[str, Any]] = {
    Kind.TEXT: _TEXT,
    Kind.TRUTH: {"type": "boolean"},
    Kind.OBJECT: {"type": "object", "additionalProperties": JSON_VALUE},
    Kind.LIST: {"type": "array", "items": JSON_VALUE},
    Kind.TEXTS: {"type": "array", "items": _TEXT},
    Kind.AMOUNT: {"anyOf": [_TEXT, {"type": "number", "minimum": -(2**53) + 1, "maximum": 2**53 - 1}]},
}


def faults(action_type: str, params: JsonObject, place: tuple[str | int, ...]) -> Iterator[Fault]:
    """The known keys of `params` whose values have the wrong type; `place` is where `params` stand."""
    for fault, text in check_params(action_type, params, None):
        yield pointer(place) + fault, text


def conditional_schemas() -> list[dict[str, Any]]:
    """The same as JSON Schema: an `if type … then params …` for each known type."""
    return [
        {
            "if": {"properties": {"type": {"const": name}}, "required": ["type"]},
            "then": {
                "properties": {"params": {"properties": {k: dict(_SCHEMAS[v]) for k, v in keys.items()}}}
            },
        }
        for name, keys in KNOWN.items()
    ]
