"""A request is born, waits, and settles once."""

from datetime import timedelta

import pytest

from bot.core import climbing, lifecycle
from bot.core.climbing import Summons
from bot.core.errors import AlreadyDecided
from bot.core.models import Actor, Cause, Effect, RequestId, Status, Target, Via
from tests.factories import (
    NOON,
    make_agent,
    make_judged,
    make_request,
    make_rule,
    make_submission,
)

FIVE = timedelta(minutes=5)


def submit(**ruling):
    judged = make_judged(**ruling)
    return lifecycle.submit(make_submission(), judged, id=RequestId("req_1"), agent=make_agent(), now=NOON)


def names(step):
    return [event.name for event in step.events]


def test_what_people_must_decide_is_pending_with_a_card():
    step = submit()
    assert step.request.status is Status.PENDING
    assert step.request.next_deadline_at == NOON + FIVE
    assert names(step) == ["action_requested", "policy_applied"]
    assert [(o.kind, o.payload["channel"]) for o in step.outbox] == [("slack.post", "C0APPROVE")]


def test_an_automatic_approval_may_run_at_once_and_posts_no_card():
    step = submit(effect=Effect.APPROVE, cause=Cause.RISK_THRESHOLD)
    decision = step.request.decision
    assert step.request.status is Status.APPROVED
    assert step.request.automatic
    assert decision.by == ()
    assert decision.digest == step.request.digest
    assert decision.expires_at == NOON + timedelta(minutes=15)
    assert names(step) == ["action_requested", "policy_applied", "action_approved"]
    assert step.outbox == ()


def test_an_automatic_rejection_says_why_and_carries_nothing_to_run():
    decision = submit(effect=Effect.REJECT).request.decision
    assert decision.reason == "Nothing else matched."
    assert (decision.params, decision.digest, decision.expires_at) == (None, None, None)


def test_a_request_is_timed_out_when_its_last_level_ends_and_not_a_moment_before():
    request = make_request()
    assert climbing.advance(request, now=NOON + FIVE - timedelta(microseconds=1)) is None
    step = climbing.advance(request, now=NOON + FIVE)
    assert (step.request.status, step.request.cause) == (Status.TIMED_OUT, Cause.TIMEOUT)
    assert step.request.decision.reason == lifecycle.NOBODY_DECIDED
    assert step.request.next_deadline_at is None


def test_the_ladder_opens_level_by_level_and_asks_its_people():
    rule = make_rule(notify=(Target("slack", "C0SECALRT"), Target("slack_dm", "manager")))
    request = make_request(judged=make_judged(ladder=(rule,)))
    assert request.next_escalation_at == NOON + FIVE
    assert request.deadline_at == NOON + timedelta(minutes=15)
    step = climbing.advance(request, summons=Summons({"manager": ["U0DANA001"]}), now=NOON + FIVE)
    assert step.request.level == 1
    assert names(step) == ["escalation_triggered"]
    assert [(o.payload["channel"], o.payload["kind"]) for o in step.outbox if o.kind == "slack.post"] == [
        ("C0SECALRT", "channel"),
        ("U0DANA001", "dm"),
    ]
    assert step.request.next_escalation_at is None


def test_a_late_rule_keeps_the_level_below_it_open():
    rule = make_rule(after=timedelta(minutes=30))
    request = make_request(judged=make_judged(ladder=(rule,)))
    assert request.next_escalation_at == NOON + timedelta(minutes=30)
    assert request.deadline_at == NOON + timedelta(minutes=40)


def test_a_timeout_of_its_own_moves_every_level_up():
    rule = make_rule(after=timedelta(minutes=30))
    request = make_request(judged=make_judged(ladder=(rule,)), timeout=timedelta(seconds=20))
    assert request.next_escalation_at == NOON + timedelta(seconds=20)
    assert request.deadline_at == NOON + timedelta(minutes=10, seconds=20)


def test_nobody_who_may_approve_ends_a_request_loudly():
    step = climbing.nobody_may_approve(make_request(), now=NOON)
    assert (step.request.status, step.request.cause) == (Status.TIMED_OUT, Cause.NO_APPROVER)
    assert names(step) == ["escalation_unreachable", "action_timed_out"]


def test_nobody_who_may_approve_opens_the_next_level_at_once():
    rule = make_rule(after=timedelta(minutes=30))
    request = make_request(judged=make_judged(ladder=(rule,)))
    step = climbing.nobody_may_approve(request, now=NOON)
    assert step.request.level == 1
    assert step.request.next_deadline_at == NOON + timedelta(minutes=10)


def cancel(request):
    return lifecycle.cancel(
        request,
        reason=None,
        actor=Actor.agent("builder"),
        cause=Cause.CANCELLED_BY_AGENT,
        via=Via.HTTP,
        now=NOON,
    )


def test_a_pending_request_can_be_cancelled_and_cancelling_again_changes_nothing():
    step = cancel(make_request())
    assert (step.request.status, step.request.cause) == (Status.CANCELLED, Cause.CANCELLED_BY_AGENT)
    assert step.request.decision.reason
    assert cancel(step.request) is None


def test_a_decided_request_cannot_be_cancelled():
    decided = submit(effect=Effect.APPROVE).request
    with pytest.raises(AlreadyDecided):
        cancel(decided)
