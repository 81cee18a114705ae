"""Every refusal has words of its own, and a heading that fits Slack's titles."""

from dataclasses import replace
from datetime import timedelta

from bot.core import errors
from bot.core.errors import AlreadySettled, KeyturnError, ReviewRefused, Unavailable
from bot.core.models import Cause, Decision, Reviewer, SlackId, Status
from bot.slack.answers import TITLES, refusal
from bot.slack.forms import notice
from tests.cards import NOON, make_request

RAFAEL = Reviewer(SlackId("U0REL0001"), "Rafael *Ito* <!channel>")
SAM = SlackId("U0SRE0001")


def refusals(kind: type[KeyturnError]) -> set[type[KeyturnError]]:
    found = {kind}
    for subclass in kind.__subclasses__():
        found |= refusals(subclass)
    return found


def test_the_table_is_complete() -> None:
    assert errors.ReviewRefused is ReviewRefused
    assert {kind.code for kind in refusals(ReviewRefused) | {Unavailable}} == set(TITLES)


def test_every_heading_fits_a_view_and_every_refusal_says_something_else() -> None:
    told = {kind: refusal(kind(), SAM) for kind in refusals(ReviewRefused)}
    assert len(set(told.values())) == len(told)
    for kind, words in told.items():
        view = notice(TITLES[kind.code], words)
        assert view["title"]["text"] == TITLES[kind.code]
        assert len(TITLES[kind.code]) <= 24


def settled(by: tuple[Reviewer, ...], status: Status = Status.APPROVED) -> AlreadySettled:
    decision = Decision(status, by, None, NOON + timedelta(minutes=1))
    request = replace(make_request(), status=status, cause=Cause.HUMAN, decision=decision)
    return AlreadySettled(request=request)


def test_whoever_was_too_late_reads_who_was_first_and_when() -> None:
    words = refusal(settled((RAFAEL,)), SAM)
    assert "already approved by" in words
    assert "<!date^1795348860^" in words
    assert "<!channel>" not in words
    assert "changed nothing" in words


def test_whoever_decided_already_reads_that_it_was_them() -> None:
    assert "already approved by you" in refusal(settled((Reviewer(SAM, "Sam"),)), SAM)
    assert "by you and" in refusal(settled((RAFAEL, Reviewer(SAM, "Sam"))), SAM)


def test_what_nobody_decided_is_said_so() -> None:
    assert "this request timed out, " in refusal(settled((), Status.TIMED_OUT), SAM)
