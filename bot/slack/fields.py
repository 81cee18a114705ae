"""The params of an action as fields of the edit form, and what came back in them.

Pure. A nested object is opened, so that each of its leaves is a field of its own: a text as text, all
else as JSON, a list whole, since its items may be added and taken away. What the agent's schema allows
and its params leave out is an empty field, as far as there is room. What comes back as it was shown keeps
its exact value; what cannot be shown exactly, or does not fit, is no field and is kept.
"""

from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from bot.core import jsontext, redaction
from bot.core.errors import InexactNumber, InvalidFields, InvalidJson
from bot.core.models import ApprovalRequest, JsonObject
from bot.core.visible import visible
from bot.slack import ids
from bot.slack.exact import pretty

Values = Mapping[str, Mapping[str, Mapping[str, Any]]]
"""`view.state.values`: by block id, then action id."""

LONGEST_INPUT = 3000
"""Slack's limit for the text of an input."""

LONGEST_CHOICE = 75
"""Slack's limit for the text of one option of a menu."""

_MOST_INPUTS = 80
_MOST_CHOICES = 100
"""A view ends at 100 blocks, a menu at 100 options."""

_MOST_TEXT = 20_000
"""Characters of initial values in one view; twelve bytes each at worst, and a view ends at 250 KB."""

_MOST_REFERENCES = 8
"""A `$ref` to a `$ref` and so on; a schema may run in circles."""


@dataclass(frozen=True, slots=True)
class Field:
    """One param, or one leaf of a nested one, as the form shows it."""

    pointer: str
    """The JSON Pointer into the params."""
    path: tuple[str, ...]
    kind: str
    """The JSON type that it keeps, in words."""
    shown: str
    editable: bool
    given: bool
    """False for what the agent left out and its schema allows."""
    said: JsonObject
    """What the agent's schema says of it."""
    choices: tuple[str, ...] = ()
    """What it may become, when the agent's schema or its type leaves a few values only."""

    @property
    def block_id(self) -> str:
        """Of its input block."""
        return ids.param_block(self.pointer)

    @property
    def label(self) -> str:
        """Its name, below the names of the objects around it; each written so that no two are alike."""
        return self.pointer.removeprefix("/") or "(empty name)"

    @property
    def is_text(self) -> bool:
        """Whether it is typed as it is, and not as JSON."""
        return self.kind == _TEXT

    @property
    def how(self) -> str:
        """How it is written, in words."""
        if self.kind in (_NUMBER, _TRUTH, _TEXT):
            return self.kind
        return "JSON (it is null)" if self.kind == _NULL else f"JSON, {self.kind}"

    @property
    def is_compound(self) -> bool:
        """Whether its JSON may take several lines."""
        return self.kind in (_LIST, _OBJECT)

    def read(self, text: str) -> Any:
        """The value of `text`, of the same JSON type as before.

        Raises:
            ValueError: with a sentence for the person.
        """
        if self.is_text:
            return text
        try:
            value = jsontext.loads(text.encode())
        except InexactNumber:
            raise ValueError("This number cannot be kept exactly; use fewer digits.") from None
        except (InvalidJson, UnicodeEncodeError):
            raise ValueError(f"Write this as {self.how}.") from None
        if self.kind not in (_NULL, _kind(value)):
            raise ValueError(f"This must stay {self.kind}.")
        return value


def fields_of(request: ApprovalRequest) -> list[Field]:
    """Every param in order, opened as far as a view can hold its leaves."""
    params = request.current_action.params
    schema = request.submission.params_schema or {}
    root = _Part((), params, redaction.own().value(params), schema, True)
    _open(root, schema)
    leaves = list(_leaves(root))
    room, inputs, editable = _MOST_TEXT, 0, set[tuple[str, ...]]()
    # What is there goes before what could be, and what stands at the top before what is inside.
    for part in sorted(leaves, key=lambda part: (part.value is _ABSENT, len(part.path))):
        if part.exact and len(part.shown) <= min(LONGEST_INPUT, room) and inputs < _MOST_INPUTS:
            room, inputs = room - len(part.shown), inputs + 1
            editable.add(part.path)
    fields = (_field(part, part.path in editable) for part in leaves)
    return [one for one in fields if one.given or one.editable]


def edited_params(request: ApprovalRequest, values: Values) -> JsonObject:
    """The params as the form came back, in their own order.

    Raises:
        InvalidFields: by block id, when a value is not JSON or of another type than before.
    """
    faults: dict[str, str] = {}
    params = request.current_action.params
    for one in fields_of(request):
        if not one.editable or one.block_id not in values:
            continue
        text = text_in(values, one.block_id)
        if text == one.shown or (not text and one.choices):  # a menu cannot be emptied
            continue
        try:
            params = _with(params, one.path, one.read(text))
        except ValueError as fault:
            faults[one.block_id] = str(fault)
    if faults:
        raise InvalidFields(faults)
    return params


def text_in(values: Values, block_id: str) -> str:
    """What was typed or chosen in a block; empty when nothing was."""
    state = values.get(block_id, {}).get(ids.VALUE, {})
    chosen = state.get("selected_option")
    value = chosen.get("value") if isinstance(chosen, Mapping) else state.get("value")
    return value if isinstance(value, str) else ""


@dataclass(slots=True)
class _Part:
    """A value somewhere in the params, beside what of it may be shown."""

    path: tuple[str, ...]
    value: Any
    masked: Any
    said: JsonObject
    named: bool
    """Whether the names on the way to it can be shown as they are, and the agent lets it be edited."""
    inside: "list[_Part]" = field(default_factory=list)
    """Its values, once it is opened."""

    @property
    def shown(self) -> str:
        if self.value is _ABSENT:
            return ""
        return self.masked if isinstance(self.masked, str) else pretty(self.masked)

    @property
    def exact(self) -> bool:
        """Whether what is shown is the value, so that it can be edited."""
        return self.named and self.masked == self.value and visible(self.shown, lines=True) == self.shown


def _open(root: _Part, schema: JsonObject) -> None:
    """Open objects, the outer ones first, while there is room for an input for each of their values.

    What no single input holds is opened in any case: some of it may be edited.
    """
    room, waiting = _MOST_INPUTS, deque([root])
    while waiting:
        part = waiting.popleft()
        inside = list(_inside(part, schema)) if isinstance(part.masked, Mapping) else []
        whole = part is not root and part.exact and len(part.shown) <= LONGEST_INPUT
        if inside and (not whole or len(inside) <= room + 1):
            part.inside, room = [*inside, *_left_out(part, schema)], room + 1 - len(inside)
            waiting.extend(inside)


def _inside(part: _Part, schema: JsonObject) -> Iterator[_Part]:
    for (name, value), (label, masked) in zip(part.value.items(), part.masked.items(), strict=True):
        said = _followed(_object(_object(part.said.get("properties")).get(name)), schema)
        named = part.named and visible(label) == name and said.get("readOnly") is not True
        yield _Part((*part.path, name), value, masked, said, named)


def _left_out(part: _Part, schema: JsonObject) -> Iterator[_Part]:
    """What the schema says could stand in an object and does not, where a field can take it."""
    for name, under in _object(part.said.get("properties")).items():
        said = _followed(_object(under), schema)
        named = part.named and visible(name) == name and said.get("readOnly") is not True
        if name not in part.value and named and _kind_said(said) is not None:
            yield _Part((*part.path, name), _ABSENT, _ABSENT, said, named)


def _leaves(part: _Part) -> Iterator[_Part]:
    if not part.inside and part.path:
        yield part
    for inner in part.inside:
        yield from _leaves(inner)


def _followed(said: JsonObject, schema: JsonObject) -> JsonObject:
    """What stands where a `$ref` within the schema leads, below what stands beside it."""
    for _ in range(_MOST_REFERENCES):
        target = said.get("$ref")
        if not isinstance(target, str) or not target.startswith("#/"):
            break
        found: Any = schema
        for name in target[2:].split("/"):
            found = _object(found).get(name.replace("~1", "/").replace("~0", "~"))
        said = {**_object(found), **{name: value for name, value in said.items() if name != "$ref"}}
    return said


def _object(value: Any) -> JsonObject:
    return value if isinstance(value, Mapping) else {}


def _field(part: _Part, editable: bool) -> Field:
    given, shown = part.value is not _ABSENT, part.shown
    kind = (None if given else _kind_said(part.said)) or _kind(part.value)
    choices = _choices(kind, part.said) if editable else ()
    return Field(
        pointer=ids.pointer(*part.path),
        path=part.path,
        kind=kind,
        shown=shown,
        editable=editable,
        given=given,
        said=part.said,
        choices=choices if shown in choices or not given else (),
    )


def _choices(kind: str, said: JsonObject) -> tuple[str, ...]:
    """The values of a schema's `enum`, or of a boolean, as a menu can show them; else none."""
    if kind == _TRUTH:
        return ("true", "false")
    listed = said.get("enum")
    if not isinstance(listed, list) or not 1 <= len(listed) <= _MOST_CHOICES:
        return ()
    alike = [one for one in listed if _kind(one) == kind]
    texts = [one if isinstance(one, str) else jsontext.dumps(one).decode() for one in alike]
    fits = all(0 < len(text) <= LONGEST_CHOICE and visible(text) == text.strip() == text for text in texts)
    return tuple(dict.fromkeys(texts)) if fits else ()


def _with(params: JsonObject, path: tuple[str, ...], value: Any) -> JsonObject:
    """`params` with another value at `path`; everything beside it is the same."""
    name, *rest = path
    return {**params, name: _with(params[name], tuple(rest), value) if rest else value}


_ABSENT = object()
"""Stands for what the agent left out."""

_TRUTH, _NUMBER, _TEXT, _NULL = "true or false", "a number", "a text in quotes", "null"
_LIST, _OBJECT = "a list", "an object"
_SAID = {"boolean": _TRUTH, "number": _NUMBER, "integer": _NUMBER, "string": _TEXT, "array": _LIST}


def _kind(value: Any) -> str:
    if isinstance(value, bool):
        return _TRUTH
    if isinstance(value, int | Decimal):
        return _NUMBER
    if isinstance(value, str):
        return _TEXT
    if isinstance(value, list):
        return _LIST
    return _NULL if value is None else _OBJECT


def _kind_said(said: JsonObject) -> str | None:
    """The type that a schema wants for a value, where it wants one that a single field can take."""
    named, listed = said.get("type"), said.get("enum")
    if named is None and isinstance(listed, list):
        kinds = {_kind(one) if _kind(one) in _SAID.values() else None for one in listed}
    else:
        names = named if isinstance(named, list) else [named]
        kinds = {_SAID.get(str(name)) for name in names if name != "null"}
    return kinds.pop() if len(kinds) == 1 else None
