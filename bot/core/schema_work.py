"""How much work a JSON Schema makes of a value, told before any of it is done.

Each of a few dozen references can double the work of the one before, and the engine cannot be
interrupted: one such schema would stop everything for years. So the steps are counted first, each
pair of a subschema and a value once. The count is an upper bound: it takes every branch.
"""

from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import unquote

MOST_STEPS = 500_000
"""About a tenth of a second; a pattern takes one step for each character it looks at, or more."""

_MOST_LOOKS = 150_000
"""Times that the count itself looks at a pair; a tenth of a second, too."""

_UNDER_WAY = -1
_MULTIPLE = 100
"""Steps of one `multipleOf`: a division of numbers with up to six hundred digits."""
_COMPARISON = 10
"""Steps of one comparison with an object or a list of an `enum`."""

_SAME_VALUE = ("not", "if", "then", "else")
_SAME_VALUE_LISTS = ("allOf", "anyOf", "oneOf")
_REFERENCES = ("$ref", "$dynamicRef")
_EACH_PROPERTY = ("additionalProperties", "unevaluatedProperties")
_EACH_ITEM = ("items", "unevaluatedItems", "contains")
_LOOKS_AGAIN = frozenset({"unevaluatedProperties", "unevaluatedItems"})


class Endless(ValueError):
    """The schema refers to itself for one and the same value."""


class NotFollowed(ValueError):
    """A reference does not begin with `#`, or leads nowhere."""


class TooMuchWork(Exception):
    """More than `MOST_STEPS`."""


def patterns(schema: Any) -> int:
    """How many regular expressions a schema holds, at most."""
    return sum(
        ("pattern" in node) + len(_mapping(node.get("patternProperties"))) for node in _objects(schema)
    )


def steps(schema: Any, value: Any, *, per_character: int) -> int:
    """The work of validating `value`, which a valid `schema` makes.

    Args:
        per_character: Steps that a pattern takes for one character.

    Raises:
        TooMuchWork, Endless, NotFollowed.
    """
    try:
        return _Count(schema, per_character).of(schema, value)
    except RecursionError:
        raise TooMuchWork from None


class _Count:
    def __init__(self, schema: Any, per_character: int) -> None:
        self._per_character = per_character
        self._looks = 0
        self._known: dict[tuple[int, str, int], int] = {}
        self._roots: list[Any] = [schema]
        self._anchors: dict[str, list[Any]] = {}
        for node in _objects(schema):
            if "$id" in node and node is not schema:
                self._roots.append(node)
            for keyword in ("$anchor", "$dynamicAnchor"):
                if isinstance(name := node.get(keyword), str):
                    self._anchors.setdefault(name, []).append(node)

    def of(self, schema: Any, value: Any) -> int:
        """Steps of one pair."""
        if not isinstance(schema, Mapping):
            return 1
        self._looks += 1
        if self._looks > _MOST_LOOKS:
            raise TooMuchWork
        pair = (id(schema), *_sort_of(value))
        known = self._known.get(pair)
        if known == _UNDER_WAY:
            raise Endless
        if known is None:
            self._known[pair] = _UNDER_WAY
            known = self._known[pair] = self._fresh(schema, value)
            if known > MOST_STEPS:
                raise TooMuchWork
        return known

    def _fresh(self, schema: Mapping[str, Any], value: Any) -> int:
        same = sum(self.of(inner, value) for inner in self._of_the_same(schema))
        if schema.keys() & _LOOKS_AGAIN:
            same *= 2  # once for the verdict, once for what it has evaluated
        below = sum(self.of(inner, part) for inner, part in _of_the_parts(schema, value))
        return 1 + len(schema) + same + below + self._own(schema, value)

    def _own(self, schema: Mapping[str, Any], value: Any) -> int:
        """Steps of the keywords that look at the value themselves and may take long."""
        found = 0
        if "multipleOf" in schema:
            found += _MULTIPLE
        if "pattern" in schema and isinstance(value, str):
            found += len(value) * self._per_character
        if any(isinstance(choice, Mapping | list) for choice in schema.get("enum", ())):
            found += len(schema["enum"]) * _COMPARISON
        if isinstance(value, list):
            found += len(value)
        elif isinstance(value, Mapping):
            keyed = len(schema.get("patternProperties", ())) * self._per_character
            found += len(value) + 2 * keyed * sum(map(len, value))
        return found

    def _of_the_same(self, schema: Mapping[str, Any]) -> Iterator[Any]:
        """Subschemas that are asked about the same value."""
        for keyword in _SAME_VALUE:
            if keyword in schema:
                yield schema[keyword]
        for keyword in _SAME_VALUE_LISTS:
            yield from schema.get(keyword, ())
        yield from schema.get("dependentSchemas", {}).values()
        for keyword in _REFERENCES:
            if keyword in schema:
                yield from self._targets(schema[keyword])

    def _targets(self, reference: str) -> list[Any]:
        """Everything that a reference may mean, for it may depend on the way to it."""
        name = unquote(reference.removeprefix("#"))
        if name and not name.startswith("/"):
            found = self._anchors.get(name, [])
        else:
            found = [node for root in self._roots for node in _pointed_at(root, name)]
        if not reference.startswith("#") or not found:
            raise NotFollowed(reference)
        return found


def _sort_of(value: Any) -> tuple[str, int]:
    """The same for values that make the same work."""
    if isinstance(value, str):
        return "text", len(value)
    return ("other", id(value)) if isinstance(value, Mapping | list) else ("scalar", 0)


def _of_the_parts(schema: Mapping[str, Any], value: Any) -> Iterator[tuple[Any, Any]]:
    """Subschemas and the parts of the value that each is asked about."""
    if isinstance(value, Mapping):
        for name, inner in schema.get("properties", {}).items():
            if name in value:
                yield inner, value[name]
        every = [*schema.get("patternProperties", {}).values()]
        every += [schema[keyword] for keyword in _EACH_PROPERTY if keyword in schema]
        for inner in every:
            yield from ((inner, part) for part in value.values())
        if "propertyNames" in schema:
            yield from ((schema["propertyNames"], name) for name in value)
    elif isinstance(value, list):
        yield from zip(schema.get("prefixItems", ()), value, strict=False)
        for inner in [schema[keyword] for keyword in _EACH_ITEM if keyword in schema]:
            yield from ((inner, part) for part in value)


def _pointed_at(root: Any, pointer: str) -> Iterator[Any]:
    node = root
    for step in pointer.split("/")[1:]:
        key = step.replace("~1", "/").replace("~0", "~")
        if isinstance(node, Mapping) and key in node:
            node = node[key]
        elif isinstance(node, list) and key.isdecimal() and len(key) < 6 and int(key) < len(node):
            node = node[int(key)]
        else:
            return
    yield node


def _objects(schema: Any) -> Iterator[Mapping[str, Any]]:
    """Every object in a schema, whatever it is there for."""
    left = [schema]
    while left:
        node = left.pop()
        if isinstance(node, Mapping):
            yield node
            left.extend(node.values())
        elif isinstance(node, list):
            left.extend(node)


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
