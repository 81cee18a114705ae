"""`where`: typed comparisons on the params of an action.

A key is the name of a param, a dotted path into nested objects, or a JSON Pointer. Numbers
compare exactly, whether sent as numbers or as decimal strings. A param that is absent never
matches, except for `exists: false`.
"""

import fnmatch
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any

from bot.core.policy.subject import Match, Subject
from bot.core.risk.money import amount_of

OPERATORS = ("eq", "ne", "gt", "gte", "lt", "lte", "in", "glob", "exists")

ABSENT = object()
"""What `look` gives for a param that is not there."""

_NO, _YES, _UNREADABLE = Match.NO, Match.YES, Match.UNREADABLE

Test = Callable[[Any], Match]


def compile_where(key: str, comparisons: Mapping[str, Any]) -> Callable[[Subject], Match]:
    """A test of one param. `comparisons` are ANDed."""
    exists = comparisons.get("exists")
    tests = [_TESTS[name](operand) for name, operand in comparisons.items() if name != "exists"]
    find = look(key)

    def test(subject: Subject) -> Match:
        value = find(subject.facts.params)
        if value is ABSENT:
            return _YES if exists is False else _NO
        if exists is False:
            return _NO
        worst = _YES
        for one in tests:
            outcome = one(value)
            if outcome is _NO:
                return _NO
            worst = max(worst, outcome)
        return worst

    return test


def contradict(comparisons: Mapping[str, Any]) -> bool:
    """Whether no value can meet all of them, as far as equal values and bounds tell."""
    operands = comparisons.get("in", [comparisons["eq"]] if "eq" in comparisons else None)
    tests = [_TESTS[name](operand) for name, operand in comparisons.items() if name != "exists"]
    if operands is not None:
        return all(any(test(value) is _NO for test in tests) for value in operands)
    lows = [(amount_of(comparisons[name]), name == "gt") for name in ("gt", "gte") if name in comparisons]
    highs = [(amount_of(comparisons[name]), name == "lt") for name in ("lt", "lte") if name in comparisons]
    return any(
        low is not None and high is not None and (low > high or (low == high and (above or below)))
        for low, above in lows
        for high, below in highs
    )


def look(key: str) -> Callable[[Mapping[str, Any]], Any]:
    """What finds a param by its name, dotted path or JSON Pointer."""
    if key.startswith("/"):
        steps = [part.replace("~1", "/").replace("~0", "~") for part in key[1:].split("/")]
    else:
        steps = key.split(".")

    def find(params: Mapping[str, Any]) -> Any:
        if key in params:
            return params[key]
        value: Any = params
        for step in steps:
            if isinstance(value, Mapping) and step in value:
                value = value[step]
            elif isinstance(value, list) and step.isdecimal() and len(step) < 7 and int(step) < len(value):
                value = value[int(step)]
            else:
                return ABSENT
        return value

    return find


def _said(condition: bool) -> Match:
    return _YES if condition else _NO


def _same(value: Any, operand: Any) -> bool:
    if isinstance(value, bool) or isinstance(operand, bool):
        return isinstance(value, bool) and isinstance(operand, bool) and value == operand
    number = amount_of(operand)
    if number is not None and not isinstance(operand, str):
        return amount_of(value) == number
    if isinstance(value, int | Decimal) and number is not None:
        return amount_of(value) == number
    return bool(value == operand)


def _eq(operand: Any) -> Test:
    return lambda value: _said(_same(value, operand))


def _ne(operand: Any) -> Test:
    return lambda value: _said(not _same(value, operand))


def _in(operands: Sequence[Any]) -> Test:
    return lambda value: _said(any(_same(value, operand) for operand in operands))


def _glob(pattern: str) -> Test:
    def test(value: Any) -> Match:
        if not isinstance(value, str):
            return _UNREADABLE
        return _said(fnmatch.fnmatchcase(value, pattern))

    return test


def _ordered(compare: Callable[[Decimal, Decimal], bool]) -> Callable[[Any], Test]:
    def build(operand: Any) -> Test:
        limit = amount_of(operand)
        assert limit is not None  # the format admits only numbers here

        def test(value: Any) -> Match:
            number = amount_of(value)
            # An amount that cannot be read is not a small one.
            return _UNREADABLE if number is None else _said(compare(number, limit))

        return test

    return build


_TESTS: dict[str, Callable[[Any], Test]] = {
    "eq": _eq,
    "ne": _ne,
    "in": _in,
    "glob": _glob,
    "gt": _ordered(lambda a, b: a > b),
    "gte": _ordered(lambda a, b: a >= b),
    "lt": _ordered(lambda a, b: a < b),
    "lte": _ordered(lambda a, b: a <= b),
}
