"""Who may decide: ids only, and an empty set means nobody."""

from dataclasses import replace

import pytest

from bot.core.authority import Candidates, authorise, entitled_sets, fillable
from bot.core.errors import ActsForYou, NotAnApprover, NotAPerson, OtherWorkspace, OwnRequest
from bot.core.models import ApproverSet, Person, Requirement, SlackId
from tests.factories import ANA, BEN, OWNER, make_judged, make_request, make_requirement

HOME = "T0HOME"


def person(id=ANA, **changes):
    return replace(Person(id, HOME, "Ana", email="ana@example.com"), **changes)


def ask(request, who, members=None):
    return authorise(request, who, home_team=HOME, members=members or {})


def request_with(*sets, quorum=1, **submission):
    need = Requirement(quorum, False, sets)
    return make_request(judged=make_judged(requirement=need), **submission)


def test_a_named_approver_may_decide_and_fills_the_groups_seat():
    request = make_request(judged=make_judged(requirement=make_requirement("sre", "release")))
    assert ask(request, person()) == ("sre", "release")


@pytest.mark.parametrize(
    ("who", "refusal"),
    [
        (person(team_id="T0OTHER"), OtherWorkspace),
        (person(is_bot=True), NotAPerson),
        (person(is_guest=True), NotAPerson),
        (person(is_deleted=True), NotAPerson),
        (person(SlackId("U0NOBODY1")), NotAnApprover),
    ],
)
def test_everybody_else_is_refused_for_their_own_reason(who, refusal):
    with pytest.raises(refusal):
        ask(make_request(), who)


def test_the_agents_owner_may_not_decide_even_when_named():
    request = request_with(ApproverSet("sre", "users", (OWNER, ANA)))
    with pytest.raises(OwnRequest):
        ask(request, person(OWNER))


@pytest.mark.parametrize("human", [ANA, "Ana@Example.com"])
def test_the_human_the_agent_acts_for_may_not_decide(human):
    with pytest.raises(ActsForYou):
        ask(make_request(on_behalf_of=human), person())


def test_membership_of_a_user_group_is_what_was_looked_up():
    request = request_with(ApproverSet("security", "slack_usergroup:S1"))
    members = {"slack_usergroup:S1": frozenset({ANA})}
    assert ask(request, person(), members) == ("security",)
    with pytest.raises(NotAnApprover):
        ask(request, person(BEN), members)
    with pytest.raises(NotAnApprover):
        ask(request, person(), {})


def test_an_address_is_matched_to_the_address_slack_gives_for_the_id():
    request = request_with(ApproverSet("manager", "users", ("ANA@example.com",)))
    assert ask(request, person()) == ("manager",)
    with pytest.raises(NotAnApprover):
        ask(request, person(email="ana@example.org"))


def test_an_empty_set_means_nobody():
    with pytest.raises(NotAnApprover):
        ask(request_with(), person())


def could(request, members=None, excluded=()):
    candidates = Candidates(entitled_sets(request), members or {}, frozenset(excluded))
    return fillable(request.current_requirement, candidates)


def test_too_few_people_after_exclusions_cannot_meet_a_requirement():
    request = request_with(ApproverSet("sre", "users", (ANA, BEN)), quorum=2)
    assert could(request)
    assert not could(request, excluded=[BEN])
    assert not could(request_with(ApproverSet("sre", "users", ())))


def test_a_group_that_was_not_looked_up_could_hold_anybody():
    request = request_with(ApproverSet("security", "slack_usergroup:S1"))
    assert could(request)
    assert not could(request, {"slack_usergroup:S1": frozenset()})


def test_one_person_alone_cannot_fill_two_mandatory_seats():
    sets = (ApproverSet("a", "users", (ANA,)), ApproverSet("b", "users", (ANA,)))
    request = make_request(judged=make_judged(requirement=Requirement(1, True, sets)))
    assert not could(request)
