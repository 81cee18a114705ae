"""Verdicts: what counts, what is refused, and what an edit does."""

from dataclasses import replace
from datetime import timedelta

import pytest

from bot.core import reviewing
from bot.core.describe import target
from bot.core.errors import (
    AlreadyReviewed,
    AlreadySettled,
    EditRefused,
    InvalidFields,
    StaleReview,
)
from bot.core.models import Action, Cause, Conditions, Digest, Effect, Status
from tests.factories import (
    ANA,
    BEN,
    CLEO,
    NOON,
    make_action,
    make_given,
    make_judged,
    make_request,
    make_requirement,
)

LATER = NOON + timedelta(minutes=1)


def test_one_approval_settles_a_quorum_of_one():
    request = make_request()
    step = reviewing.approve(request, make_given(request), now=LATER)
    decision = step.request.decision
    assert step.request.status is Status.APPROVED
    assert step.request.cause is Cause.HUMAN
    assert [r.id for r in decision.by] == [ANA]
    assert decision.params == request.action.params
    assert decision.expires_at == LATER + timedelta(minutes=15)
    assert [e.name for e in step.events] == ["review_recorded", "action_approved"]
    assert step.request.version == request.version + 1


def test_two_distinct_people_fill_a_quorum_of_two():
    request = make_request(judged=make_judged(requirement=make_requirement(quorum=2)))
    first = reviewing.approve(request, make_given(request), now=LATER).request
    assert first.status is Status.PENDING
    with pytest.raises(AlreadyReviewed):
        reviewing.approve(first, make_given(first), now=LATER)
    second = reviewing.approve(first, make_given(first, BEN), now=LATER).request
    assert [r.id for r in second.decision.by] == [ANA, BEN]


def test_each_group_needs_somebody_of_its_own():
    need = make_requirement("release", "sre", quorum=2, each=True)
    request = make_request(judged=make_judged(requirement=need))
    one = reviewing.approve(request, make_given(request, groups=("release",)), now=LATER).request
    two = reviewing.approve(one, make_given(one, BEN, groups=("release",)), now=LATER).request
    assert two.status is Status.PENDING
    three = reviewing.approve(two, make_given(two, CLEO, groups=("sre",)), now=LATER).request
    assert three.status is Status.APPROVED


def test_one_person_in_two_groups_leaves_the_other_seat_to_somebody_else():
    need = make_requirement("release", "sre", quorum=2, each=True)
    request = make_request(judged=make_judged(requirement=need))
    one = reviewing.approve(request, make_given(request, groups=("release", "sre")), now=LATER).request
    two = reviewing.approve(one, make_given(one, BEN, groups=("release",)), now=LATER).request
    assert two.status is Status.APPROVED


def test_one_rejection_rejects_and_replaces_the_own_approval():
    request = make_request(judged=make_judged(requirement=make_requirement(quorum=2)))
    one = reviewing.approve(request, make_given(request), now=LATER).request
    step = reviewing.reject(one, make_given(one, reason="Wrong table."), now=LATER)
    assert step.request.status is Status.REJECTED
    assert step.request.decision.reason == "Wrong table."
    assert [(r.verdict.value, r.voided) for r in step.request.reviews] == [
        ("approve", True),
        ("reject", False),
    ]


@pytest.mark.parametrize("reason", [None, "", "  "])
def test_a_rejection_needs_a_reason(reason):
    request = make_request()
    with pytest.raises(InvalidFields) as fault:
        reviewing.reject(request, make_given(request, reason=reason), now=LATER)
    assert set(fault.value.fields) == {"reason"}


def test_a_verdict_on_a_settled_request_is_refused():
    request = make_request()
    settled = reviewing.approve(request, make_given(request), now=LATER).request
    for verdict in (reviewing.approve, reviewing.reject):
        with pytest.raises(AlreadySettled):
            verdict(settled, make_given(settled, BEN, reason="no"), now=LATER)


def test_a_verdict_on_another_digest_is_stale():
    request = make_request()
    with pytest.raises(StaleReview):
        reviewing.approve(request, make_given(request, digest=Digest("sha256:00")), now=LATER)


def test_from_the_deadline_on_a_click_ends_the_request_as_the_clock_would():
    request = make_request()
    just_before = request.deadline_at - timedelta(microseconds=1)
    on_time = reviewing.approve(request, make_given(request), now=just_before).request
    late = reviewing.approve(request, make_given(request), now=request.deadline_at).request
    assert (on_time.status, late.status) == (Status.APPROVED, Status.TIMED_OUT)
    assert late.reviews == ()


def test_a_critical_action_needs_a_reason_and_its_target_typed():
    request = make_request(judged=make_judged(level="critical"))
    with pytest.raises(InvalidFields) as fault:
        reviewing.approve(request, make_given(request), now=LATER)
    assert set(fault.value.fields) == {"reason", "target"}
    typed = make_given(request, reason="Agreed with Dana.", target=f" {target(request.action)} ")
    assert reviewing.approve(request, typed, now=LATER).request.status is Status.APPROVED


def test_conditions_reach_the_agent_and_bound_the_approval():
    request = make_request()
    window = Conditions("after the backup", LATER + timedelta(hours=1), LATER + timedelta(hours=1, minutes=5))
    decision = reviewing.approve(request, make_given(request, conditions=window), now=LATER).request.decision
    assert decision.conditions == window
    assert decision.expires_at == window.not_after


def test_conditions_of_several_approvers_all_hold():
    request = make_request(judged=make_judged(requirement=make_requirement(quorum=2)))
    hour = timedelta(hours=1)
    first = Conditions("one", LATER + hour, LATER + 5 * hour)
    second = Conditions("two", LATER + 2 * hour, LATER + 9 * hour)
    one = reviewing.approve(request, make_given(request, conditions=first), now=LATER).request
    two = reviewing.approve(one, make_given(one, BEN, conditions=second), now=LATER).request
    assert two.decision.conditions == Conditions("one\ntwo", LATER + 2 * hour, LATER + 5 * hour)


@pytest.mark.parametrize(
    "window",
    [
        Conditions(not_after=NOON),
        Conditions(not_before=LATER + timedelta(hours=2), not_after=LATER + timedelta(hours=1)),
    ],
)
def test_a_window_that_cannot_be_met_is_a_fault_of_the_form(window):
    request = make_request()
    with pytest.raises(InvalidFields) as fault:
        reviewing.approve(request, make_given(request, conditions=window), now=LATER)
    assert set(fault.value.fields) == {"not_after"}


def edit(**changes):
    params = {"query": "DELETE FROM t WHERE id = 2", "database": "shop"}
    return make_judged(make_action(**params), **changes)


def test_an_edit_that_is_no_riskier_is_its_authors_approval():
    request = make_request()
    step = reviewing.modify(request, make_given(request), edit(), now=LATER)
    decision = step.request.decision
    assert step.request.status is Status.MODIFIED
    assert decision.params["query"].endswith("2")
    assert decision.digest != request.digest
    assert [e.name for e in step.events] == ["review_recorded", "action_modified"]


def test_a_riskier_edit_waits_for_somebody_else():
    request = make_request()
    step = reviewing.modify(request, make_given(request), edit(level="high"), now=LATER)
    waiting = step.request
    assert waiting.status is Status.PENDING
    assert waiting.proposal.by.id == ANA
    with pytest.raises(AlreadyReviewed):
        reviewing.approve(waiting, make_given(waiting), now=LATER)
    agreed = reviewing.approve(waiting, make_given(waiting, BEN), now=LATER).request
    assert agreed.status is Status.MODIFIED
    assert [r.id for r in agreed.decision.by] == [BEN]


@pytest.mark.parametrize("kind", ["deployment", "transfer"])
def test_an_edit_of_money_or_a_deployment_always_needs_somebody_else(kind):
    request = make_request(judged=make_judged(Action(kind, {"amount": "10"})))
    edited = make_judged(Action(kind, {"amount": "9"}), level="none")
    assert reviewing.modify(request, make_given(request), edited, now=LATER).request.status is Status.PENDING


def test_an_edit_voids_earlier_approvals_and_tells_those_people():
    request = make_request(judged=make_judged(requirement=make_requirement(quorum=2)))
    one = reviewing.approve(request, make_given(request, BEN), now=LATER).request
    step = reviewing.modify(one, make_given(one), edit(), now=LATER)
    assert [(r.reviewer.id, r.voided) for r in step.request.reviews] == [(BEN, True), (ANA, False)]
    assert step.request.status is Status.PENDING
    assert [(o.kind, o.payload["user"]) for o in step.outbox] == [("slack.dm", BEN)]


def test_after_an_edit_a_click_on_the_old_card_is_stale():
    request = make_request()
    edited = reviewing.modify(request, make_given(request), edit(level="high"), now=LATER).request
    with pytest.raises(StaleReview):
        reviewing.approve(edited, make_given(request, BEN), now=LATER)


def test_the_stricter_requirement_applies_after_an_edit():
    request = make_request(judged=make_judged(requirement=make_requirement("sre")))
    wanted = make_requirement("release", quorum=2, each=True)
    edited = reviewing.modify(request, make_given(request), edit(requirement=wanted), now=LATER).request
    need = edited.current_requirement
    assert need.quorum == 2
    assert set(need.mandatory) == {"sre", "release"}


def test_an_edit_that_policy_blocks_is_refused():
    request = make_request()
    for blocked in (edit(effect=Effect.REJECT), edit(never_approve=True)):
        with pytest.raises(EditRefused):
            reviewing.modify(request, make_given(request), blocked, now=LATER)


def test_an_edit_that_changes_nothing_is_an_approval():
    request = make_request()
    step = reviewing.modify(request, make_given(request), make_judged(request.action), now=LATER)
    assert step.request.status is Status.APPROVED


def test_an_edit_back_to_what_was_asked_ends_as_approved():
    request = make_request()
    away = reviewing.modify(request, make_given(request), edit(level="high"), now=LATER).request
    back = reviewing.modify(away, make_given(away, BEN), make_judged(request.action), now=LATER).request
    assert back.status is Status.APPROVED
    assert back.decision.digest == request.digest


def test_an_edit_drops_the_preview():
    request = make_request(preview="-1 row")
    kept = reviewing.approve(request, make_given(request), now=LATER).request
    dropped = reviewing.modify(request, make_given(request), edit(), now=LATER).request
    assert kept.decision.preview_digest == request.preview_digest is not None
    assert dropped.decision.preview_digest is None


def test_a_critical_edit_needs_the_same_ceremony_as_a_critical_approval():
    request = make_request(judged=make_judged(level="critical"))
    edited = replace(edit(level="critical"))
    with pytest.raises(InvalidFields):
        reviewing.modify(request, make_given(request), edited, now=LATER)


def test_a_critical_edit_wants_the_target_of_what_would_run():
    request = make_request(judged=make_judged(level="critical"))
    edited = make_judged(
        make_action(query="DELETE FROM t WHERE id = 1", database="archive"), level="critical"
    )
    with pytest.raises(InvalidFields) as fault:
        reviewing.modify(request, make_given(request, reason="ok", target="shop"), edited, now=LATER)
    assert fault.value.fields == {"target": "Type exactly: archive"}
    typed = make_given(request, reason="ok", target="archive")
    assert reviewing.modify(request, typed, edited, now=LATER).request.status is Status.MODIFIED
