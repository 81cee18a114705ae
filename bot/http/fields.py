"""The types that bodies are made of, and how a fault in one reads.

Strict: `"5"` is no number and `1` no truth value. A number that was written `300.0` is a whole
number, as JSON Schema says.
"""

import re
from collections.abc import Sequence
from decimal import Decimal
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails, PydanticCustomError

from bot.core.errors import InvalidRequest
from bot.core.models import ACTION_TYPE

Fault = tuple[str, str]
"""A JSON Pointer into the body, and a sentence."""

M = TypeVar("M", bound="Body")


class Body(BaseModel):
    """Base of what agents send: fields nobody defined are refused, nothing is converted."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, hide_input_in_errors=True)


def _whole(value: object) -> object:
    if isinstance(value, Decimal) and value == value.to_integral_value():
        return int(value)
    return value


def _not_blank(value: str) -> str:
    if not value.strip():
        raise PydanticCustomError("blank", "must say something")
    return value


def _duration(value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        raise PydanticCustomError("number", "must be a number")
    if not 0 <= value <= LARGEST_NUMBER:
        raise PydanticCustomError("number", "must be at least 0 and no larger than a double holds exactly")
    return value


def _event_id(value: Any) -> Any:
    whole = isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= LARGEST_NUMBER
    if not whole and not (isinstance(value, str) and re.fullmatch(r"[\x20-\x7e]{1,128}", value)):
        raise PydanticCustomError("event_id", "must be an event's id")
    return str(value)


LARGEST_NUMBER = 2**53 - 1

EventId = Annotated[
    Any,
    BeforeValidator(_whole),
    AfterValidator(_event_id),
    Field(
        json_schema_extra={
            "anyOf": [
                {"type": "string", "pattern": r"^[\x20-\x7e]{1,128}$"},
                {"type": "integer", "minimum": 0, "maximum": LARGEST_NUMBER},
            ]
        }
    ),
]
"""An audit event's seq, as text (as SSE gives it) or as a number; kept as text."""

Whole = Annotated[int, BeforeValidator(_whole)]
"""A whole number."""

Duration = Annotated[
    Any,
    AfterValidator(_duration),
    Field(json_schema_extra={"type": "number", "minimum": 0, "maximum": LARGEST_NUMBER}),
]
"""A number from 0 on, kept exactly."""

NO_NUL = r"^[^\x00]*$"
"""Text as OpenAPI can say it; the parser has refused NUL before a field is looked at."""

Text = Annotated[str, Field(json_schema_extra={"pattern": NO_NUL})]

REFERENCE = "x-reference"
"""Marks a schema that `documents` replaces by a `$ref` to the component it names."""

JSON_VALUE: dict[str, Any] = {REFERENCE: "JsonValue"}
"""Any JSON that Keyturn holds exactly."""

JsonObjectField = Annotated[
    dict[str, Any],
    Field(
        json_schema_extra={
            "type": "object",
            "propertyNames": {"pattern": NO_NUL},
            "additionalProperties": JSON_VALUE,
        }
    ),
]
AnyJson = Annotated[Any, Field(json_schema_extra=JSON_VALUE)]

ActionType = Annotated[str, Field(pattern=ACTION_TYPE, description="What kind of action this is.")]
Description = Annotated[str, Field(min_length=1, max_length=3000, json_schema_extra={"pattern": NO_NUL})]
SessionId = Annotated[
    str,
    Field(
        pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.:@+=~-]{0,127}$",
        description="One run of the agent; unique within the agent.",
    ),
]
RequestIdField = Annotated[str, Field(pattern=r"^req_[A-Za-z0-9_-]{1,64}$")]
DigestField = Annotated[str, Field(max_length=255, pattern=NO_NUL)]
"""A digest as its sender has it. One that is none at all is not the approved one: the claim says so."""

Spoken = Annotated[
    str,
    Field(min_length=1, max_length=3000, json_schema_extra={"pattern": r"^[^\x00]*[^\s\x00][^\x00]*$"}),
    AfterValidator(_not_blank),
]
"""Words for people: not blank."""


def read(model: type[M], value: Any) -> M:
    """`value` as a `model`.

    Raises:
        InvalidRequest: with every fault found.
    """
    try:
        return model.model_validate(value)
    except ValidationError as error:
        raise InvalidRequest(errors=faults_of(error)) from None


def faults_of(error: ValidationError) -> Sequence[Fault]:
    """Each fault once, where it is and what would be right."""
    found = [(pointer(_place(e)), _sentence(e)) for e in error.errors(include_url=False, include_input=False)]
    return list(dict.fromkeys(found))


def pointer(path: Sequence[str | int]) -> str:
    """A path as a JSON Pointer (RFC 6901)."""
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in path)


def _place(error: ErrorDetails) -> Sequence[str | int]:
    """Pydantic names the branches of a union in the path; a JSON Pointer does not."""
    return [part for part in error["loc"] if not (isinstance(part, str) and part.startswith("as:"))]


def _sentence(error: ErrorDetails) -> str:
    context = error.get("ctx", {})
    match error["type"]:
        case "missing":
            return "is required"
        case "extra_forbidden":
            return "is not a field that Keyturn knows"
        case "string_type":
            return "must be text"
        case "bool_type":
            return "must be true or false"
        case "int_type":
            return "must be a whole number"
        case "dict_type" | "model_type" | "model_attributes_type":
            return "must be an object"
        case "list_type" | "tuple_type":
            return "must be a list"
        case "string_too_short" | "too_short":
            return f"must have at least {_counted(error, context.get('min_length'))}"
        case "string_too_long" | "too_long":
            return f"must have at most {_counted(error, context.get('max_length'))}"
        case "string_pattern_mismatch":
            return f"must match {context.get('pattern')}"
        case "literal_error" | "enum":
            return f"must be {context.get('expected')}"
        case "greater_than_equal":
            return f"must be at least {context.get('ge')}"
        case "less_than_equal":
            return f"must be at most {context.get('le')}"
    return error["msg"][:1].lower() + error["msg"][1:]


def _counted(error: ErrorDetails, count: object) -> str:
    unit = "character" if error["type"].startswith("string") else "item"
    return f"{count} {unit}" + ("" if count == 1 else "s")
