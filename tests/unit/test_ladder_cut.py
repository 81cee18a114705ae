"""A request that brings its own end: nothing of its ladder lasts beyond it."""

from datetime import timedelta

from bot.core.escalation import plan
from tests.factories import NOON, make_rule, make_ruling, make_submission

LADDER = (make_rule("first", after=timedelta(minutes=5)), make_rule("second", after=timedelta(minutes=20)))


def ends(minutes: float) -> list[float]:
    """When each level ends, in minutes, if the request ends after `minutes`."""
    until = NOON + timedelta(minutes=minutes)
    levels = plan(make_ruling(ladder=LADDER), make_submission(until=until), now=NOON)
    return [(level.ends_at - NOON).total_seconds() / 60 for level in levels]


def test_levels_that_would_open_later_do_not_exist() -> None:
    assert ends(60) == [5, 20, 30]
    assert ends(25) == [5, 20, 25]
    assert ends(20) == [5, 20]
    assert ends(12) == [5, 12]
    assert ends(5) == [5]
    assert ends(1) == [1]


def test_an_end_that_has_passed_ends_the_first_level_at_once() -> None:
    assert ends(-1) == [0]
