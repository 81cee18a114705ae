"""The agent's JSON Schema of its params: what a reviewer may edit, and how.

Draft 2020-12 only. Numbers are compared as exact decimals, and patterns run on a linear-time
engine, so a hostile schema can neither blur a price nor hang the bot: what would take long is
refused before it begins. Nothing is ever fetched: a `$ref` reaches the schema itself or fails.
"""

from collections.abc import Sequence
from functools import lru_cache

import jsonschema_rs

from bot.core import jsontext, schema_work
from bot.core.models import JsonObject

LARGEST = 32 * 1024
"""Bytes of a schema as compact JSON."""

DIALECT = "https://json-schema.org/draft/2020-12/schema"

Fault = tuple[str, str]
"""A JSON Pointer and a sentence."""

_KEPT = 64
_TOLD = 20
_LONGEST_TEXT = 300

_PROGRAMS = (8 * 1024, 64 * 1024, 1024 * 1024)
"""Bytes that a compiled pattern may take, tried in turn: a character costs a step for each 8 KiB."""
_ALL_PROGRAMS = 8 * 1024 * 1024
"""Bytes of a schema's patterns together."""

_SPOKEN_LOOKS = 2000
_SPOKEN_BYTES = 20_000_000
"""Up to which each fault is told: the engine copies the whole value into every one, on every way to it."""


class UnusableSchema(ValueError):
    """The schema itself is wrong; `pointer` says where in it."""

    def __init__(self, pointer: str, text: str) -> None:
        super().__init__(text)
        self.pointer = pointer


def faults(schema: JsonObject, params: JsonObject) -> Sequence[Fault]:
    """Where `params` break `schema`; pointers are into `params`.

    Raises:
        UnusableSchema: too large, not draft 2020-12, with a `$ref` that leads nowhere or a pattern
            that a linear-time engine does not take; its pointer is into `schema`.
    """
    text = jsontext.dumps(schema)
    if len(text) > LARGEST:
        raise UnusableSchema("", f"a schema may take {LARGEST} bytes, this one takes {len(text)}")
    if schema.get("$schema", DIALECT) not in (DIALECT, DIALECT + "#"):
        raise UnusableSchema("/$schema", f"must be {DIALECT}, or left out")
    validator, per_character = _compiled(text)
    try:
        schema_work.steps(schema, params, per_character=per_character)
    except schema_work.TooMuchWork:
        return [("", "take too long to check against params_schema; send a simpler schema or less")]
    except schema_work.Endless:
        return [("", "cannot be checked: params_schema refers to itself for one and the same value")]
    except schema_work.NotFollowed as error:
        return [("", f"cannot be checked: params_schema has a $ref to elsewhere, {_short(str(error))}")]
    if validator.is_valid(params):
        return []
    looks = schema_work.steps(schema, params, per_character=0)
    if looks > _SPOKEN_LOOKS or looks * len(jsontext.dumps(params)) > _SPOKEN_BYTES:
        return [("", "do not satisfy params_schema")]
    found = validator.iter_errors(params)
    return [(_pointer(error.instance_path), _short(error.message)) for error in list(found)[:_TOLD]]


@lru_cache(maxsize=_KEPT)
def _compiled(text: bytes) -> tuple[jsonschema_rs.Draft202012Validator, int]:
    """The compiled schema, for an agent sends the same one with every request; and its steps a character."""
    schema = jsontext.reread(text)
    share = _ALL_PROGRAMS // max(1, schema_work.patterns(schema))
    for most in _PROGRAMS:
        size = max(_PROGRAMS[0], min(most, share))
        options = jsonschema_rs.RegexOptions(size_limit=size, dfa_size_limit=size)
        try:
            validator = jsonschema_rs.Draft202012Validator(schema, pattern_options=options, offline=True)
        except jsonschema_rs.ValidationError as error:
            refused = error
        else:
            return validator, size // _PROGRAMS[0]
    raise UnusableSchema(_pointer(refused.instance_path), _reason(refused)) from None


def _reason(error: jsonschema_rs.ValidationError) -> str:
    if error.message.endswith('is not a "regex"'):
        return (
            "must be a regular expression that a linear-time engine takes: without look-around and "
            "back-references, and no longer than a megabyte with its repetitions written out"
        )
    return _short(error.message)


def _pointer(path: Sequence[str | int]) -> str:
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in path)


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST_TEXT else text[: _LONGEST_TEXT - 1] + "…"
