"""The agent's JSON Schema of its params: what a reviewer may edit, and how.

Draft 2020-12 only. Numbers are compared as exact decimals, and patterns run on a linear-time
engine, so a hostile schema can neither blur a price nor hang the bot. Nothing is ever fetched:
a `$ref` reaches the schema itself or fails.
"""

from collections.abc import Sequence
from functools import lru_cache
from itertools import islice

import jsonschema_rs

from bot.core import jsontext
from bot.core.models import JsonObject

LARGEST = 32 * 1024
"""Bytes of a schema as compact JSON."""

DIALECT = "https://json-schema.org/draft/2020-12/schema"

Fault = tuple[str, str]
"""A JSON Pointer and a sentence."""

_LINEAR = jsonschema_rs.RegexOptions()
_KEPT = 256
_TOLD = 20
_LONGEST_TEXT = 300


class UnusableSchema(ValueError):
    """The schema itself is wrong; `pointer` says where in it."""

    def __init__(self, pointer: str, text: str) -> None:
        super().__init__(text)
        self.pointer = pointer


def faults(schema: JsonObject, params: JsonObject) -> Sequence[Fault]:
    """Where `params` break `schema`; pointers are into `params`.

    Raises:
        UnusableSchema: too large, not draft 2020-12, with a remote `$ref` or a pattern that a
            linear-time engine does not take; its pointer is into `schema`.
    """
    text = jsontext.dumps(schema)
    if len(text) > LARGEST:
        raise UnusableSchema("", f"a schema may take {LARGEST} bytes, this one takes {len(text)}")
    if schema.get("$schema", DIALECT) not in (DIALECT, DIALECT + "#"):
        raise UnusableSchema("/$schema", f"must be {DIALECT}, or left out")
    found = islice(_validator(text).iter_errors(params), _TOLD)
    return [(_pointer(error.instance_path), _short(error.message)) for error in found]


@lru_cache(maxsize=_KEPT)
def _validator(text: bytes) -> jsonschema_rs.Draft202012Validator:
    """The compiled schema; an agent sends the same one with every request."""
    try:
        return jsonschema_rs.Draft202012Validator(
            jsontext.reread(text), pattern_options=_LINEAR, offline=True
        )
    except jsonschema_rs.ValidationError as error:
        raise UnusableSchema(_pointer(error.instance_path), _short(error.message)) from None


def _pointer(path: Sequence[str | int]) -> str:
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in path)


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST_TEXT else text[: _LONGEST_TEXT - 1] + "…"
