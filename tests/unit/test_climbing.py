"""What waiting does: levels, reminders, acknowledgements, hours, and nobody to be reached."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from bot.core import climbing, lifecycle
from bot.core.audited import audited_state
from bot.core.climbing import Summons
from bot.core.hours import opens_at
from bot.core.models import (
    ApprovalRequest,
    ApproverSet,
    Hours,
    JsonObject,
    Remind,
    RequestId,
    Reviewer,
    SlackId,
    Status,
    Target,
    Transition,
    Urgency,
)
from bot.core.oncall import Window
from bot.core.reviewing import approve
from tests.factories import (
    ANA,
    NOON,
    make_agent,
    make_given,
    make_judged,
    make_request,
    make_rule,
    make_submission,
)

MINUTE = timedelta(minutes=1)
FIVE = 5 * MINUTE
DANA = SlackId("U0DANA001")
MANAGER = Summons({"manager": [DANA]})
ON_IT = Reviewer(ANA, "Ana")


def asked(**ruling: Any) -> ApprovalRequest:
    return make_request(judged=make_judged(**ruling))


def due(request: ApprovalRequest, after: timedelta, summons: Summons = MANAGER) -> Transition:
    step = climbing.advance(request, summons=summons, now=NOON + after)
    assert step is not None, "nothing was due"
    return step


def story(*steps: Transition) -> list[tuple[str, JsonObject]]:
    return [(event.name, event.body) for step in steps for event in step.events]


def failed(kind: str, to: str, level: int) -> tuple[str, JsonObject]:
    return "notification_failed", {"kind": kind, "to": to, "level": level, "code": "is_archived"}


# -- reminders ------------------------------------------------------------------------------


def reminders(urgency: Urgency = Urgency.NORMAL, *, every: timedelta = MINUTE, times: int = 3) -> list[float]:
    """Minutes at which a request that nobody answers for an hour reminds."""
    judged = make_judged(remind=Remind(every, times), level_wait=60 * MINUTE)
    request, at = make_request(judged=judged, urgency=urgency), []
    while request.watch.remind_at is not None:
        now = request.watch.remind_at
        at.append((now - NOON) / MINUTE)
        request = due(request, now - NOON).request
    return at


def test_reminders_back_off() -> None:
    assert reminders() == [1, 3, 7]


def test_reminders_keep_their_pace_when_the_agent_calls_it_urgent() -> None:
    assert reminders(Urgency.HIGH) == [1, 2, 3]


def test_there_are_as_many_reminders_as_the_policy_says() -> None:
    assert len(reminders(times=1)) == 1
    assert reminders(every=2 * MINUTE, times=2) == [2, 6]


def test_a_reminder_announces_the_next_one_and_the_last_none() -> None:
    request = asked(remind=Remind(MINUTE, 2), level_wait=FIVE)
    first = due(request, MINUTE)
    assert first.events[0].name == "reminder_sent"
    assert first.events[0].body["next_at"] == "2026-11-22T12:03:00.000000Z"
    assert first.outbox[0].payload["next_at"] == first.events[0].body["next_at"]
    last = due(first.request, 3 * MINUTE)
    assert last.events[0].body["next_at"] is None


def test_no_reminder_is_announced_for_after_the_level() -> None:
    request = asked(remind=Remind(2 * MINUTE, 5), level_wait=FIVE)
    step = due(request, 2 * MINUTE)
    assert step.events[0].body["next_at"] is None
    assert due(step.request, FIVE).events[0].name == "action_timed_out"


def test_nothing_reminds_of_a_decided_request() -> None:
    request = asked(remind=Remind(MINUTE, 3), level_wait=60 * MINUTE)
    decided = approve(request, make_given(request), now=NOON).request
    assert decided.next_deadline_at is None
    assert climbing.advance(decided, now=NOON + 2 * MINUTE) is None


def test_reminders_that_were_slept_through_come_once() -> None:
    request = asked(remind=Remind(MINUTE, 5), level_wait=60 * MINUTE)
    step = due(request, 30 * MINUTE)
    assert step.request.watch.reminded == 1
    assert climbing.advance(step.request, now=NOON + 30 * MINUTE) is None


def test_a_level_reminds_by_its_own_rule_or_else_by_the_policy() -> None:
    own = make_rule("own", remind=Remind(2 * MINUTE, 1))
    other = make_rule("other", after=15 * MINUTE)
    request = asked(remind=Remind(MINUTE, 1), ladder=(own, other))
    assert [level.remind for level in request.plan] == [
        Remind(MINUTE, 1),
        Remind(2 * MINUTE, 1),
        Remind(MINUTE, 1),
    ]
    opened = due(replace(request, watch=replace(request.watch, remind_at=None)), FIVE).request
    assert opened.watch.remind_at == NOON + 7 * MINUTE


# -- acknowledgements -----------------------------------------------------------------------


def test_an_acknowledgement_moves_everything_still_to_come() -> None:
    request = asked(ladder=(make_rule(),), remind=Remind(MINUTE, 3), ack_for=20 * MINUTE)
    step = climbing.acknowledge(request, ON_IT, now=NOON + MINUTE / 2)
    assert step is not None
    assert step.events[0].name == "action_acknowledged"
    taken = step.request
    assert taken.next_escalation_at == NOON + 25 * MINUTE
    assert taken.deadline_at == NOON + 35 * MINUTE
    assert taken.watch.remind_at == NOON + 21 * MINUTE
    assert [ack.by for ack in taken.watch.acks] == [ON_IT]


def test_an_acknowledgement_counts_once_for_each_person() -> None:
    step = climbing.acknowledge(asked(), ON_IT, now=NOON)
    assert step is not None
    assert climbing.acknowledge(step.request, ON_IT, now=NOON + MINUTE) is None
    second = climbing.acknowledge(step.request, Reviewer(DANA, "Dana"), now=NOON + MINUTE)
    assert second is not None
    assert second.request.deadline_at == NOON + 25 * MINUTE


def test_an_acknowledgement_lapses() -> None:
    step = climbing.acknowledge(asked(), ON_IT, now=NOON)
    assert step is not None
    assert due(step.request, 15 * MINUTE).request.status is Status.TIMED_OUT


def test_an_acknowledgement_never_moves_the_agents_own_end() -> None:
    request = make_request(until=NOON + 8 * MINUTE)
    step = climbing.acknowledge(request, ON_IT, now=NOON)
    assert step is not None
    assert step.request.deadline_at == NOON + 8 * MINUTE


# -- nobody was reached ---------------------------------------------------------------------


def test_a_card_that_cannot_arrive_leaves_nobody_reached() -> None:
    request = asked(ladder=(make_rule(),))
    assert not climbing.unreached(request, [])
    assert climbing.unreached(request, [failed("slack.post", "C0APPROVE", 0)])


def test_a_level_is_reached_while_one_of_its_targets_may_still_arrive() -> None:
    rule = make_rule(notify=(Target("slack", "C0SECALRT"), Target("slack_dm", "manager")))
    step = due(asked(ladder=(rule,)), FIVE)
    one = [*story(step), failed("slack.post", "C0SECALRT", 1)]
    assert not climbing.unreached(step.request, one)
    assert climbing.unreached(step.request, [*one, failed("slack.post", DANA, 1)])


def test_a_try_that_comes_again_soon_is_waited_for_and_a_later_one_is_not() -> None:
    rule = make_rule(notify=(Target("email", "dana@example.com"),))
    step = due(asked(ladder=(rule,)), FIVE)
    soon, later = (
        (
            "notification_failed",
            {**failed("notify.email", "dana@example.com", 1)[1], "again_in_seconds": wait},
        )
        for wait in (5, 300)
    )
    assert not climbing.unreached(step.request, [*story(step), soon])
    assert climbing.unreached(step.request, [*story(step), soon, later])


def test_a_level_that_asks_nobody_is_known_as_soon_as_it_opens() -> None:
    gap = make_rule(notify=(Target("oncall", "primary"),))
    request = asked(ladder=(gap, make_rule()))
    empty = due(request, FIVE, Summons({"schedule:primary": []}))
    assert climbing.asks_nobody(empty)
    assert not climbing.asks_nobody(due(empty.request, 15 * MINUTE))
    assert not climbing.asks_nobody(submitted()), "its channel is asked"
    assert climbing.asks_nobody(submitted(channel=None))


def test_whoever_cannot_be_reached_is_told_to_the_admins() -> None:
    gap = make_rule(notify=(Target("oncall", "primary"), Target("slack_dm", "manager")))
    members = {"schedule:primary": [], "manager": [DANA]}
    step = due(asked(ladder=(gap,)), FIVE, Summons(members, admin="C0ADMIN01"))
    [alert] = [work for work in step.outbox if work.kind == "slack.alert"]
    said = {key: alert.payload[key] for key in ("channel", "why", "kind", "to", "code", "at_level")}
    assert said == {
        "channel": "C0ADMIN01",
        "why": "undeliverable",
        "kind": "oncall",
        "to": "primary",
        "code": "nobody_on_call",
        "at_level": 1,
    }


def test_an_immediate_rule_that_reaches_nobody_is_told_to_the_admins() -> None:
    rule = make_rule("risky", after=None, notify=(Target("slack_dm", "nobody@example.com"),))
    judged = make_judged(immediate=(rule,))
    step = lifecycle.submit(
        make_submission(),
        judged,
        id=RequestId("req_1"),
        agent=make_agent(),
        now=NOON,
        members={"nobody@example.com": []},
        admin="C0ADMIN01",
    )
    [alert] = [work.payload for work in step.outbox if work.kind == "slack.alert"]
    assert (alert["to"], alert["code"]) == ("nobody@example.com", "unknown_recipient")


def test_a_log_line_reaches_nobody() -> None:
    step = due(asked(ladder=(make_rule(notify=(Target("log", "warning"),)),)), FIVE)
    assert climbing.unreached(step.request, story(step))


def test_a_person_who_may_not_approve_is_nobody_whom_the_level_entitles() -> None:
    rule = make_rule(notify=(Target("slack_dm", "U0INTERN1"),))
    summons = Summons({"U0INTERN1": [SlackId("U0INTERN1")]})
    step = due(asked(ladder=(rule,)), FIVE, summons)
    assert climbing.unreached(step.request, story(step))
    pings = make_rule(notify=rule.notify, may_approve=False)
    step = due(asked(ladder=(pings,)), FIVE, summons)
    assert not climbing.unreached(step.request, story(step)), "a level that only pings has done its work"


def test_a_level_that_reaches_nobody_gives_way_at_once_and_loudly() -> None:
    late = make_rule("late", after=60 * MINUTE)
    request = due(asked(ladder=(make_rule(), late)), FIVE, Summons({"manager": []})).request
    step = climbing.nobody_reached(request, now=NOON + FIVE, admin="C0ADMIN01")
    assert [event.name for event in step.events][:2] == ["escalation_unreachable", "escalation_triggered"]
    assert step.request.level == 2
    assert step.request.plan[2].opens_at == NOON + FIVE
    assert step.outbox[0].kind == "slack.alert"
    assert step.outbox[0].payload["channel"] == "C0ADMIN01"


def test_a_delivery_failure_is_never_a_decision() -> None:
    request = asked()
    step = climbing.nobody_reached(request, now=NOON + MINUTE)
    assert step.request.status is Status.PENDING
    assert step.request.deadline_at == request.deadline_at
    assert not climbing.unreached(step.request, [failed("slack.post", "C0APPROVE", 0), *story(step)])


# -- rules that act at once -----------------------------------------------------------------


def test_an_immediate_rule_widens_level_0_and_raises_nothing() -> None:
    rule = make_rule("risky", after=None, notify=(Target("slack", "C0SECALRT"),))
    step = submitted(immediate=(rule,))
    request = step.request
    assert (request.level, len(request.plan)) == (0, 1)
    assert request.plan[0].entitles[0].group == "manager"
    event = next(event for event in step.events if event.name == "escalation_triggered")
    assert (event.body["level"], event.body["rule"], event.body["why"]) == (0, "risky", "immediate")
    assert [work.payload["channel"] for work in step.outbox] == ["C0APPROVE", "C0SECALRT"]


def test_immediate_rules_that_call_different_groups_call_both_and_the_same_one_once() -> None:
    first, second = Target("slack_usergroup", "S0614TZR7"), Target("slack_usergroup", "S0OPS0001")
    rules = (
        make_rule("one", after=None, notify=(first,)),
        make_rule("two", after=None, notify=(first, second)),
    )
    called = [w.payload["address"] for w in submitted(immediate=rules).outbox if w.kind == "slack.mention"]
    assert called == ["S0614TZR7", "S0OPS0001"]


def test_an_immediate_rule_may_only_ping() -> None:
    rule = make_rule("risky", after=None, may_approve=False, notify=(Target("slack", "C0SECALRT"),))
    assert submitted(immediate=(rule,)).request.plan[0].entitles == ()


def submitted(**ruling: Any) -> Transition:
    judged = make_judged(**ruling)
    return lifecycle.submit(make_submission(), judged, id=RequestId("req_1"), agent=make_agent(), now=NOON)


# -- by hand --------------------------------------------------------------------------------


def test_escalating_by_hand_opens_the_next_level_now_and_names_who_did() -> None:
    request = asked(ladder=(make_rule(),))
    step = climbing.open_next(request, summons=MANAGER, now=NOON + MINUTE, why="escalated_by_hand", by=ON_IT)
    assert (step.request.level, step.request.deadline_at) == (1, NOON + 11 * MINUTE)
    assert (step.events[0].actor.id, step.events[0].body["why"]) == (ANA, "escalated_by_hand")
    assert step.events[0].body["level"] == 1, "as those that act at once say 0"


def test_a_rule_without_notify_asks_its_people() -> None:
    step = due(asked(ladder=(make_rule(notify=()),)), FIVE)
    assert [w.payload["channel"] for w in step.outbox if w.kind == "slack.post"] == [DANA]


def test_the_first_cards_own_channel_gets_a_broadcast_note_and_no_second_card() -> None:
    step = due(asked(ladder=(make_rule(notify=(Target("slack", "C0APPROVE"),)),)), FIVE)
    assert [(work.kind, work.payload.get("broadcast")) for work in step.outbox] == [("slack.note", True)]
    assert climbing.unreached(step.request, [*story(step), failed("slack.note", "C0APPROVE", 1)])


def test_a_channel_that_is_asked_again_gets_a_note_under_its_card_and_no_second_card() -> None:
    alert = Target("slack", "C0SECALRT")
    rules = (
        make_rule("one", notify=(alert,)),
        make_rule("two", notify=(alert, Target("slack_dm", "manager"))),
    )
    first = due(asked(ladder=rules), FIVE)
    second = due(first.request, 15 * MINUTE)
    assert [(work.kind, work.payload["channel"]) for work in first.outbox] == [
        ("slack.post", "C0SECALRT"),
        ("slack.note", "C0APPROVE"),
    ]
    assert [(work.kind, work.payload["channel"]) for work in second.outbox] == [
        ("slack.post", DANA),
        ("slack.note", "C0APPROVE"),
        ("slack.note", "C0SECALRT"),
    ]
    assert {"kind": "slack.note", "to": "C0SECALRT", "counts": True} in second.events[0].body["asked"]


def test_those_who_may_be_disturbed_are_recorded_and_asked_first() -> None:
    summons = Summons({"manager": [SlackId("U0EVA0001"), DANA]}, resting=(DANA,))
    step = due(asked(ladder=(make_rule(),)), FIVE, summons)
    assert step.events[0].body["resting"] == [DANA]
    assert [a["to"] for a in step.events[0].body["asked"]] == ["U0EVA0001", DANA]


def test_a_late_step_is_said_and_a_punctual_one_is_not() -> None:
    request = asked(ladder=(make_rule(),))
    assert due(request, FIVE).request.watch.late == timedelta(0)
    assert due(request, FIVE + MINUTE).request.watch.late == MINUTE


# -- business hours -------------------------------------------------------------------------

OFFICE = (Window(frozenset(range(5)), timedelta(hours=9), timedelta(hours=17)),)
SUNDAY_NOON, MONDAY_NINE = NOON, datetime(2026, 11, 23, 9, tzinfo=UTC)


def hours(*, hold: bool) -> Hours:
    return Hours("office", OFFICE, "UTC", hold=hold)


def test_hours_are_read_by_the_recipients_own_clock() -> None:
    assert opens_at(hours(hold=True), None, SUNDAY_NOON) == MONDAY_NINE
    assert opens_at(hours(hold=True), "America/New_York", SUNDAY_NOON) == MONDAY_NINE + timedelta(hours=5)
    assert opens_at(hours(hold=True), "Not/AZone", SUNDAY_NOON) == MONDAY_NINE
    assert opens_at(hours(hold=True), "Asia/Tokyo", MONDAY_NINE) == datetime(2026, 11, 24, tzinfo=UTC)
    assert opens_at(hours(hold=True), None, MONDAY_NINE) == MONDAY_NINE


def test_outside_of_its_hours_a_level_is_held() -> None:
    request = asked(ladder=(make_rule(during=hours(hold=True)),))
    opening: dict[str, datetime] = {DANA: MONDAY_NINE}
    held = due(request, FIVE, Summons(MANAGER.members, opening))
    assert (held.request.level, held.request.next_escalation_at) == (0, MONDAY_NINE)
    assert held.request.deadline_at == MONDAY_NINE + 10 * MINUTE
    assert held.events[0].body["code"] == "outside_hours"
    opened = climbing.advance(held.request, summons=Summons(MANAGER.members, opening), now=MONDAY_NINE)
    assert opened is not None
    assert opened.request.level == 1


def test_outside_of_its_hours_a_level_is_skipped() -> None:
    rules = (make_rule(during=hours(hold=False)), make_rule("next"))
    step = due(asked(ladder=rules), FIVE, Summons(MANAGER.members, {DANA: MONDAY_NINE}))
    assert step.request.level == 0
    following = due(step.request, FIVE)
    assert (following.request.level, following.request.plan[1].rule) == (1, "next")


def test_a_skipped_last_level_leaves_the_end_where_level_0_ends() -> None:
    request = asked(ladder=(make_rule(during=hours(hold=False)),))
    step = due(request, FIVE, Summons(MANAGER.members, {DANA: MONDAY_NINE}))
    assert due(step.request, FIVE).request.status is Status.TIMED_OUT


def test_of_several_only_those_within_their_hours_are_asked() -> None:
    eva = SlackId("U0EVA0001")
    summons = Summons({"manager": [DANA, eva]}, {DANA: MONDAY_NINE, eva: SUNDAY_NOON})
    step = due(asked(ladder=(make_rule(during=hours(hold=True)),)), FIVE, summons)
    assert [w.payload["channel"] for w in step.outbox if w.kind == "slack.post"] == [eva]


def test_those_left_out_for_their_hours_are_on_record() -> None:
    eva = SlackId("U0EVA0001")
    summons = Summons({"manager": [DANA, eva]}, {DANA: MONDAY_NINE, eva: SUNDAY_NOON})
    step = due(asked(ladder=(make_rule(during=hours(hold=True)),)), FIVE, summons)
    [left_out] = [body for name, body in story(step) if name == "notification_failed"]
    assert (left_out["to"], left_out["code"], left_out["level"]) == (DANA, "outside_hours", 1)
    assert left_out["opens_at"] == "2026-11-23T09:00:00.000000Z"


def test_a_level_that_reaches_nobody_waits_for_the_hours_of_the_next() -> None:
    request = asked(ladder=(make_rule(during=hours(hold=True)),))
    resting = Summons(MANAGER.members, {DANA: MONDAY_NINE})
    step = climbing.nobody_reached(request, summons=resting, now=NOON + MINUTE)
    assert [event.name for event in step.events] == ["escalation_unreachable", "notification_failed"]
    assert (step.request.level, step.request.next_escalation_at) == (0, MONDAY_NINE)


def test_a_level_that_reaches_nobody_passes_over_one_that_is_skipped() -> None:
    rules = (make_rule(during=hours(hold=False)), make_rule("next", after=60 * MINUTE))
    resting = Summons(MANAGER.members, {DANA: MONDAY_NINE})
    step = climbing.nobody_reached(asked(ladder=rules), summons=resting, now=NOON + MINUTE)
    following = due(step.request, MINUTE)
    assert (following.request.level, following.request.plan[1].rule) == (1, "next")


def test_somebody_who_asks_for_the_next_level_asks_everybody_of_it() -> None:
    request = asked(ladder=(make_rule(during=hours(hold=True)),))
    resting = Summons(MANAGER.members, {DANA: MONDAY_NINE})
    step = climbing.open_next(request, summons=resting, now=NOON, why="escalated_by_hand", by=ON_IT)
    assert [w.payload["channel"] for w in step.outbox if w.kind == "slack.post"] == [DANA]


@pytest.mark.parametrize("hold", [True, False])
def test_the_audited_state_follows_the_plan(hold: bool) -> None:
    request = asked(ladder=(make_rule(during=hours(hold=hold)),))
    step = due(request, FIVE, Summons(MANAGER.members, {DANA: MONDAY_NINE}))
    state = audited_state(request) | dict(step.events[0].body["after"])
    assert state == audited_state(step.request)


def test_people_who_cannot_fill_the_quorum_open_the_next_level_with_its_people() -> None:
    request = asked(ladder=(make_rule(),))
    step = climbing.nobody_may_approve(request, summons=MANAGER, now=NOON, admin="C0ADMIN01")
    assert step.request.level == 1
    assert {w.kind for w in step.outbox} == {"slack.alert", "slack.post", "slack.note"}
    assert ApproverSet("manager", "users", (DANA,), seat=False) in step.request.plan[1].entitles
