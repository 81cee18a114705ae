"""A small vocabulary for writing down what a JSON value may be, in the words Slack refuses it with.

A `Rule` looks at one value and returns what is wrong with it, each as `(json_pointer, reason)`. Rules are
built from data by the functions below, so that a table of limits reads like Slack's reference pages.
"""

from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

Problem = tuple[str, str]
Rule = Callable[[Any, str], Iterator[Problem]]


def string(maximum: int | None = None, minimum: int = 0) -> Rule:
    """A string of `minimum` to `maximum` Unicode code points."""

    def check(value: Any, at: str) -> Iterator[Problem]:
        if not isinstance(value, str):
            yield at, "must provide a string"
        elif len(value) < minimum:
            yield at, f"must be more than {minimum - 1} characters"
        elif maximum is not None and len(value) > maximum:
            yield at, f"must be less than {maximum + 1} characters"

    return check


def number_in_text(value: Any, at: str) -> Iterator[Problem]:
    """A number written as a string."""
    try:
        finite = isinstance(value, str) and Decimal(value).is_finite()
    except InvalidOperation:
        finite = False
    if not finite:
        yield at, "must provide a number, as a string"


def flag(value: Any, at: str) -> Iterator[Problem]:
    """`true` or `false`."""
    if not isinstance(value, bool):
        yield at, "must provide a boolean"


def whole(minimum: int | None = None, maximum: int | None = None) -> Rule:
    """A whole number from `minimum` to `maximum`."""

    def check(value: Any, at: str) -> Iterator[Problem]:
        if not isinstance(value, int) or isinstance(value, bool):
            yield at, "must provide an integer"
        elif minimum is not None and value < minimum:
            yield at, f"must be greater than or equal to {minimum}"
        elif maximum is not None and value > maximum:
            yield at, f"must be less than or equal to {maximum}"

    return check


def choice(*allowed: str) -> Rule:
    """One of the given words."""

    def check(value: Any, at: str) -> Iterator[Problem]:
        if value not in allowed:
            yield at, f"must be a valid enum value: {', '.join(allowed)}"

    return check


def anything(value: Any, at: str) -> Iterator[Problem]:
    """No rule: Slack documents no limit for it."""
    yield from ()


def items(each: Rule, maximum: int | None = None, minimum: int = 0) -> Rule:
    """A list of `minimum` to `maximum` values, each of which keeps a rule."""

    def check(value: Any, at: str) -> Iterator[Problem]:
        if not isinstance(value, list):
            yield at, "must provide an array"
            return
        if len(value) < minimum:
            yield at, f"no fewer than {minimum} items allowed"
        if maximum is not None and len(value) > maximum:
            yield at, f"no more than {maximum} items allowed"
        for index, item in enumerate(value):
            yield from each(item, f"{at}/{index}")

    return check


def record(
    fields: Mapping[str, Rule], *, required: tuple[str, ...] = (), closed: bool = True, also: Rule = anything
) -> Rule:
    """An object with these fields.

    Args:
        required: Fields that must be there.
        closed: Whether other fields are refused, as Slack does for its long-standing objects.
        also: A rule for the object as a whole, asked when every field is right.
    """

    def check(value: Any, at: str) -> Iterator[Problem]:
        if not isinstance(value, dict):
            yield at, "must provide an object"
            return
        problems = list(_fields(value, at, fields, required, closed))
        yield from problems or also(value, at)

    return check


def _fields(
    value: dict[str, Any], at: str, fields: Mapping[str, Rule], required: tuple[str, ...], closed: bool
) -> Iterator[Problem]:
    for name in required:
        if value.get(name) is None:
            yield at, f"missing required field: {name}"
    for name, content in value.items():
        rule = fields.get(name)
        if rule is None:
            if closed and name != "type":
                yield at, f"invalid additional property: {name}"
        elif content is not None:
            yield from rule(content, f"{at}/{name}")


def by_type(table: Mapping[str, Rule], *allowed: str) -> Rule:
    """An object whose `type` names the rule; only `allowed` types, or the whole table when none is named.

    The table is read when a value is checked, so rules may refer to each other.
    """

    def check(value: Any, at: str) -> Iterator[Problem]:
        if not isinstance(value, dict):
            yield at, "must provide an object"
            return
        kind = value.get("type")
        if not isinstance(kind, str):
            yield at, "missing required field: type"
        elif kind not in table or (allowed and kind not in allowed):
            yield f"{at}/type", f"unsupported type: {kind}"
        else:
            yield from table[kind](value, at)

    return check


def both(*rules: Rule) -> Rule:
    """Every one of these rules."""

    def check(value: Any, at: str) -> Iterator[Problem]:
        for rule in rules:
            yield from rule(value, at)

    return check
