"""Numbers keep their digits, and the digest is the one everybody else computes."""

from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from enum import IntEnum, StrEnum
from pathlib import PurePosixPath
from typing import Any
from uuid import UUID

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from keyturn import exact

TEXT = st.text(st.characters(exclude_categories=["Cs"]))
DECIMALS = st.decimals(allow_nan=False, allow_infinity=False)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | DECIMALS | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=12,
)


def shape(value: Any) -> Any:
    """A form in which 1, 1.0, True and Decimal('1.00') all differ."""
    match value:
        case dict():
            return {name: shape(item) for name, item in value.items()}
        case list():
            return [shape(item) for item in value]
        case Decimal():
            return ("decimal", value.as_tuple())
    return (type(value), value)


@given(VALUES)
def test_what_is_written_is_read_back_with_every_digit(value: Any) -> None:
    read = exact.loads(exact.dumps(value))
    # A Decimal without fraction or exponent is written as an integer, which is what it then is.
    assert exact.dumps(read) == exact.dumps(value)
    assert exact.same(read, value)


@pytest.mark.parametrize("text", ["2500.00", "0.1", "1E+2", "-0.00", "1e-7", "0.30000000000000004"])
def test_a_decimal_is_sent_as_it_is_written(text: str) -> None:
    assert exact.dumps({"amount": Decimal(text)}) == f'{{"amount":{Decimal(text)}}}'
    assert shape(exact.loads(text)) == ("decimal", Decimal(text).as_tuple())


def test_a_float_is_sent_as_its_repr() -> None:
    assert exact.dumps([0.1, 1e16, -2.5, 1e-7]) == "[0.1,1E+16,-2.5,1E-7]"


def test_integers_stay_integers_and_booleans_stay_booleans() -> None:
    assert exact.dumps([1, True, 10**30]) == "[1,true,1000000000000000000000000000000]"
    assert [type(item) for item in exact.loads("[1, true, 1.0]")] == [int, bool, Decimal]


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_the_canonical_number_is_that_of_the_reference_library(number: float) -> None:
    canonical = "".join(exact._written({"n": exact.plain(number)}, canonical=True))
    assert canonical.encode() == rfc8785.dumps({"n": number})


@given(st.dictionaries(TEXT, st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | TEXT))
def test_the_canonical_form_is_that_of_the_reference_library(value: dict[str, Any]) -> None:
    assert "".join(exact._written(value, canonical=True)).encode() == rfc8785.dumps(value)


def test_equal_amounts_share_a_digest_and_different_actions_do_not() -> None:
    two = exact.digest("transfer", {"amount": Decimal("2500.00")})
    assert two == exact.digest("transfer", {"amount": 2500})
    assert two == "sha256:4cce26e942a9cf46195ba9cdf2b37df40b0cf556042174f213dabdc4e97d508b"
    assert two != exact.digest("transfer", {"amount": "2500.00"})
    assert two != exact.digest("payment", {"amount": 2500})


class Colour(StrEnum):
    RED = "red"


class Level(IntEnum):
    HIGH = 3


@dataclass
class Point:
    x: Decimal


class Order(BaseModel):
    total: Decimal
    colour: Colour


def test_common_python_values_become_what_a_person_would_write() -> None:
    given = {
        "enum": Colour.RED,
        "number": Level.HIGH,
        "when": datetime(2026, 1, 2, 3, 4, tzinfo=UTC),
        "path": PurePosixPath("/tmp/x"),
        "id": UUID(int=7),
        "point": Point(Decimal("1.50")),
        "order": Order(total=Decimal("9.90"), colour=Colour.RED),
        "pair": (1, 2),
    }
    assert exact.plain(given) == {
        "enum": "red",
        "number": 3,
        "when": "2026-01-02T03:04:00+00:00",
        "path": "/tmp/x",
        "id": "00000000-0000-0000-0000-000000000007",
        "point": {"x": Decimal("1.50")},
        "order": {"total": Decimal("9.90"), "colour": "red"},
        "pair": [1, 2],
    }


@pytest.mark.parametrize(
    ("value", "complaint"),
    [
        ({"a": [{"b": {1, 2}}]}, r"params\.a\[0\]\.b is a set"),
        ({"a": b"x"}, r"params\.a is a bytes"),
        ({1: "x"}, "has the key 1; JSON keys are text"),
        ({"a": object()}, "is a object"),
    ],
)
def test_a_value_without_an_obvious_form_is_refused_by_place(value: Any, complaint: str) -> None:
    with pytest.raises(TypeError, match=complaint):
        exact.plain(value, "params")


@pytest.mark.parametrize("value", [float("nan"), Decimal("Infinity"), "\ud800", {"\udfff": 1}])
def test_what_json_cannot_carry_is_refused(value: Any) -> None:
    with pytest.raises(ValueError, match="cannot carry"):
        exact.dumps(value)


def test_a_value_that_contains_itself_is_refused() -> None:
    loop: list[Any] = []
    loop.append(loop)
    with pytest.raises(ValueError, match="contains itself"):
        exact.dumps(loop)


@pytest.mark.parametrize("text", ['{"a":1,"a":2}', "NaN", "[Infinity]", "{", b"\xff"])
def test_ambiguous_or_broken_json_is_refused(text: str | bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        exact.loads(text)


def test_values_written_differently_are_different() -> None:
    ones = [1, Decimal("1.0"), "1", True, None]
    assert [[exact.same(a, b) for b in ones] for a in ones] == [[a is b for b in ones] for a in ones]
    assert exact.same({"a": 1, "b": 2}, {"b": 2, "a": 1})
