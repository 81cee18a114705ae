"""JSON text: numbers stay exact, and whatever two readers could read differently is refused."""

import json
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.core.errors import InexactNumber, InvalidJson
from bot.core.jsontext import dumps, loads, reread


@pytest.mark.parametrize(
    "body",
    [
        b'{"a": 1, "a": 1}',
        b'{"a": {"b": 1, "c": 2, "b": 3}}',
        b"NaN",
        b"[Infinity]",
        b"[-Infinity]",
        b'"\\ud800"',
        b'{"\\udc00": 1}',
        b'"\\ude00\\ud83d"',
        b'"\\u0000"',
        b'{"a\\u0000b": 1}',
        b'"\x00"',
        b'"\n"',
        b"\xff",
        b'"\xed\xa0\x80"',
        b"\xef\xbb\xbf{}",
        b"[" * 33 + b"]" * 33,
        b'{"a":' * 33 + b"1" + b"}" * 33,
        b"[" * 32 + b"{}" + b"]" * 32,
        b"[" * 100_000,
        b"",
        b"{} {}",
        b"{'a': 1}",
        b"[1,]",
        b"01",
        b"+1",
        b"1.",
        b".5",
        b"// no\n1",
        "{}".encode("utf-16"),
    ],
)
def test_what_readers_disagree_about_is_not_json(body):
    with pytest.raises(InvalidJson):
        loads(body)


@pytest.mark.parametrize(
    "text",
    [
        "9007199254740992",
        "-9007199254740992",
        "9" * 5000,
        "1e400",
        "-1e400",
        "1e-400",
        "1e99999999999999999999",
        "0.1000000000000000055511151231257827",
        "9007199254740993.0",
        "123456789.1234567891",
        "0e-999999999",
        "0e999999999",
    ],
)
def test_a_number_that_a_double_cannot_hold_is_refused(text):
    with pytest.raises(InexactNumber):
        loads(f'{{"amount": {text}}}'.encode())


@pytest.mark.parametrize(
    "text", ["2500.00", "0.10", "-0.50", "1.000", "0.00000001", "9007199254740991", "-0.0"]
)
def test_digits_and_trailing_zeros_are_kept(text):
    assert dumps(loads(text.encode())) == text.encode()


def test_numbers_are_integers_or_decimals_and_never_floats():
    value = loads(b"[1, 1.0, 1e2, 0.1]")
    assert [type(number) for number in value] == [int, Decimal, Decimal, Decimal]
    assert value == [1, 1, 100, Decimal("0.1")]


def test_thirty_two_levels_are_allowed():
    text = b"[" * 32 + b"]" * 32
    assert dumps(loads(text)) == text


def test_many_brackets_side_by_side_are_not_deep():
    text = b"[" + b"[]," * 100 + b"[]]"
    assert dumps(loads(text)) == text


def test_an_escaped_backslash_before_u0000_is_text():
    assert loads(b'"\\\\u0000"') == "\\u0000"


def test_a_surrogate_pair_is_one_character():
    assert loads(b'"\\uD83D\\uDE00"') == "😀"


def test_what_is_not_json_is_never_written():
    with pytest.raises(TypeError):
        dumps("\ud800")
    with pytest.raises(TypeError):
        dumps(Decimal("NaN"))
    with pytest.raises(TypeError):
        dumps(object())


def test_a_duplicate_key_is_found_quickly_in_a_large_object():
    keys = ",".join(f'"{number}":0' for number in range(50_000))
    with pytest.raises(InvalidJson, match="stands twice"):
        loads(f'{{{keys},"49999":1}}'.encode())


_numbers = st.integers(-(2**53) + 1, 2**53 - 1) | st.floats(allow_nan=False, allow_infinity=False).map(
    lambda number: Decimal(repr(number))
)
_values = st.recursive(
    st.none() | st.booleans() | _numbers | st.text(st.characters(exclude_characters="\0", codec="utf-8")),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(st.characters(exclude_characters="\0", codec="utf-8")), inner, max_size=4)
    ),
    max_leaves=20,
)


@given(_values)
def test_what_is_written_is_read_back_by_both_readers(value):
    text = dumps(value)
    assert loads(text) == reread(text) == value
    assert json.loads(text, parse_float=Decimal) == value
