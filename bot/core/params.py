"""What the params of an action must look like: the known types' keys, and the agent's own schema.

Asked of a submission and again of an edit, so that what a reviewer changes is held to the same
rules as what an agent sends. Keys that no known type defines are kept; any other type is free.
"""

from collections.abc import Mapping
from decimal import Decimal
from enum import StrEnum
from typing import Any

from bot.core import params_schema
from bot.core.models import MONEY_TYPES, JsonObject

Fault = tuple[str, str]
"""A JSON Pointer into the params, and a sentence."""


class Kind(StrEnum):
    """What a known key may hold; the value is how to say it."""

    TEXT = "must be text"
    TRUTH = "must be true or false"
    OBJECT = "must be an object"
    LIST = "must be a list"
    TEXTS = "must be a list of texts"
    AMOUNT = "must be a number, or a number as text"

    def holds(self, value: Any) -> bool:
        """Whether `value` is of this kind."""
        match self:
            case Kind.TEXT:
                return isinstance(value, str)
            case Kind.TRUTH:
                return isinstance(value, bool)
            case Kind.OBJECT:
                return isinstance(value, dict)
            case Kind.LIST:
                return isinstance(value, list)
            case Kind.TEXTS:
                return isinstance(value, list) and all(isinstance(item, str) for item in value)
            case Kind.AMOUNT:
                return isinstance(value, str | int | Decimal) and not isinstance(value, bool)


KNOWN: Mapping[str, Mapping[str, Kind]] = {
    "file_write": {"path": Kind.TEXT, "content": Kind.TEXT, "overwrite": Kind.TRUTH},
    "file_delete": {"path": Kind.TEXT, "recursive": Kind.TRUTH},
    "command_execute": {"command": Kind.TEXT, "args": Kind.TEXTS, "cwd": Kind.TEXT},
    "network_request": {"url": Kind.TEXT, "method": Kind.TEXT, "headers": Kind.OBJECT},
    "database_modify": {"query": Kind.TEXT, "params": Kind.LIST, "database": Kind.TEXT},
    "config_change": {"key": Kind.TEXT},
    "deployment": {"environment": Kind.TEXT, "version": Kind.TEXT, "services": Kind.TEXTS},
    "user_data_access": {"user_id": Kind.TEXT, "data_type": Kind.TEXT, "purpose": Kind.TEXT},
    "external_api_call": {"service": Kind.TEXT, "endpoint": Kind.TEXT},
    "system_modification": {"target": Kind.TEXT, "operation": Kind.TEXT},
    **{name: {"amount": Kind.AMOUNT, "currency": Kind.TEXT} for name in sorted(MONEY_TYPES)},
}
"""The typed keys of each known type. `old_value`, `new_value`, `data`, `details` are any JSON."""


def check_params(action_type: str, params: JsonObject, schema: JsonObject | None) -> list[Fault]:
    """Everything that is wrong with `params`; pointers are into them.

    Raises:
        params_schema.UnusableSchema: the schema itself is wrong.
    """
    found = [
        ("/" + key, f"{kind.value} in a {action_type}")
        for key, kind in KNOWN.get(action_type, {}).items()
        if key in params and not kind.holds(params[key])
    ]
    return found + (list(params_schema.faults(schema, params)) if schema is not None else [])
