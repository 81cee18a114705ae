"""Models as stored text: whole, exact, and readable after a field was added."""

from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.core.models import Conditions, Execution, ExecutionState, Level, RiskFactor, Target
from bot.store.codec import decode, decoder, encode, micros, moment


@given(st.datetimes(min_value=datetime(1970, 1, 1), max_value=datetime(9999, 1, 1), timezones=st.just(UTC)))  # noqa: DTZ001  # Hypothesis wants naive bounds
def test_a_time_comes_back_to_the_microsecond(when):
    assert moment(micros(when)) == when


def test_a_time_of_another_zone_is_the_same_moment():
    there = datetime(2026, 11, 22, 14, 0, tzinfo=timezone(timedelta(hours=2)))
    assert moment(micros(there)) == datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


def test_a_naive_time_is_not_stored():
    with pytest.raises(TypeError):
        micros(datetime(2026, 11, 22))  # noqa: DTZ001  # what is refused here


def test_decimals_keep_their_digits():
    factor = decode(RiskFactor, encode(RiskFactor("x", Decimal("7.50"), "y")))
    assert str(factor.points) == "7.50"
    whole = decode(RiskFactor, encode(RiskFactor("x", Decimal(30), "y")))
    assert isinstance(whole.points, Decimal)


def test_nested_values_keep_their_types():
    level = Level(
        opens_at=datetime(2026, 1, 1, tzinfo=UTC),
        ends_at=datetime(2026, 1, 2, tzinfo=UTC),
        notify=(Target("slack", "C1"),),
    )
    assert decoder(tuple[Level, ...])([]) == ()
    assert decode(Level, encode(level)) == level


def test_a_text_from_before_a_field_existed_takes_its_default():
    assert decode(Execution, "{}") == Execution()
    assert decode(Execution, '{"state":"claimed"}').state is ExecutionState.CLAIMED
    assert decode(Conditions, "{}") == Conditions()


def test_what_has_no_stored_form_is_refused():
    with pytest.raises(TypeError):
        encode({"x": object()})
    with pytest.raises(TypeError):
        encode("\ud800")
