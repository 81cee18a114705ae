"""Somebody covering a shift and the one covered are one person, however and whenever they approve."""

import itertools

import pytest

from bot.core import reviewing
from bot.core.authority import Candidates, fillable
from bot.core.models import ApproverSet, Digest, Requirement, Review, Reviewer, SlackId, Status, Verdict
from bot.core.quorum import Missing, missing
from tests.factories import ANA, BEN, CLEO, NOON, make_given, make_judged, make_request, make_requirement

DIGEST = Digest("sha256:0")


def approval(who: SlackId, *groups: str, covers: SlackId | None = None) -> Review:
    stands_for = () if covers is None else (covers,)
    return Review(Reviewer(who, who), Verdict.APPROVE, DIGEST, NOON, groups=groups, stands_for=stands_for)


def lacking(*reviews: Review, quorum: int = 2) -> Missing:
    return missing(make_requirement(quorum=quorum), reviews, DIGEST)


@pytest.mark.parametrize("order", [0, 1])
def test_the_two_fill_one_place_of_the_quorum_in_either_order(order: int) -> None:
    pair = [approval(BEN, covers=ANA), approval(ANA)]
    assert lacking(*(pair[::-1] if order else pair)).count == 1
    assert lacking(*pair, approval(CLEO)).count == 0


def test_a_chain_of_covers_is_one_person_however_it_comes_together() -> None:
    chain = [approval(ANA), approval(BEN, covers=ANA), approval(CLEO, covers=BEN)]
    for order in itertools.permutations(chain):
        assert lacking(*order, quorum=3).count == 2


def test_two_who_cover_the_same_one_are_one_person() -> None:
    assert lacking(approval(BEN, covers=ANA), approval(CLEO, covers=ANA)).count == 1


def test_the_two_fill_one_seat_with_the_groups_of_both() -> None:
    need = make_requirement("release", "sre", quorum=2, each=True)
    pair = [approval(ANA, "release"), approval(BEN, "sre", covers=ANA)]
    assert missing(need, pair, DIGEST).count == 1
    assert missing(need, [*pair, approval(CLEO, "sre")], DIGEST) == Missing(0, ())


def test_covering_somebody_who_does_not_approve_changes_nothing() -> None:
    assert lacking(approval(BEN, covers=ANA), approval(CLEO)).count == 0


def test_a_request_stays_open_until_somebody_else_agrees() -> None:
    request = make_request(judged=make_judged(requirement=make_requirement(quorum=2)))
    request = reviewing.approve(request, make_given(request, ANA), now=NOON).request
    request = reviewing.approve(request, make_given(request, BEN, stands_for=(ANA,)), now=NOON).request
    assert request.status is Status.PENDING
    request = reviewing.approve(request, make_given(request, CLEO), now=NOON).request
    assert request.status is Status.APPROVED


def test_a_quorum_that_only_the_two_could_fill_cannot_be_filled() -> None:
    sets = (ApproverSet("duty", "schedule:primary", None), ApproverSet("lead", "users", (ANA,)))
    members = {"schedule:primary": frozenset({BEN})}
    need = Requirement(2, False, sets)
    assert fillable(need, Candidates(sets, members, frozenset()))
    assert not fillable(need, Candidates(sets, members, frozenset(), {BEN: ANA}))
