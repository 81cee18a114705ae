"""The canonical form: the fast way and the library of RFC 8785 agree on every value."""

from decimal import Decimal

import pytest
import rfc8785
from hypothesis import example, given
from hypothesis import strategies as st

from bot.core.digest import canonical

_text = st.text(max_size=8) | st.sampled_from(
    ["€", "\ud83d\ude00".encode("utf-16", "surrogatepass").decode("utf-16")]
)
_scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**53) + 1, 2**53 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | _text
)
_values = st.recursive(
    _scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_text, inner, max_size=5),
    max_leaves=25,
)


@given(_values)
@example({"\ue000": 1, "\U00010000": 2})
@example({"a": "\x7f\u2028\u0001/<>&"})
@example({"z": 1.0, "a": [1e21, -0.0, 5e-324]})
@example({"é": "ü", "b": True})
def test_the_canonical_form_is_that_of_rfc_8785(value):
    assert canonical(value) == rfc8785.dumps(value)


@pytest.mark.parametrize(
    "value",
    [2**53, [-(2**53)], float("nan"), [float("inf")], "\ud800", {"\udfff": 1}, {1: 2}, Decimal("NaN")],
)
def test_what_has_no_canonical_form_is_refused(value):
    with pytest.raises(ValueError, match=r"."):
        canonical(value)


def test_a_decimal_has_the_form_of_its_double():
    assert canonical({"a": Decimal("2500.00"), "b": Decimal("1E+2")}) == b'{"a":2500,"b":100}'
