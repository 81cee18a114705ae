"""Who is knocked at when a level opens: one piece of work for each recipient, and a word on the missing."""

from datetime import timedelta

from bot.core import climbing
from bot.core.climbing import Summons
from bot.core.models import ApprovalRequest, Outgoing, SlackId, Target, Transition
from bot.core.notifying import Members, looked_up
from bot.store.outbox import POSTING
from tests.factories import NOON, make_judged, make_request, make_rule

FIVE = timedelta(minutes=5)
TARGETS = (
    Target("slack", "C0SECALRT"),
    Target("slack_dm", "manager"),
    Target("oncall", "primary"),
    Target("slack_usergroup", "S0614TZR7"),
    Target("email", "manager@example.com"),
    Target("webhook", "https://hooks.example.com/1"),
    Target("log", "warning"),
    Target("pager", "555"),
)
EVERYBODY: Members = {"manager": [SlackId("U0DANA001")], "schedule:primary": [SlackId("U0SRE0001")]}


def opened(members: Members, *targets: Target) -> Transition:
    step = climbing.advance(escalating(*targets), summons=Summons(members), now=NOON + FIVE)
    assert step is not None
    return step


def knocks(step: Transition) -> list[Outgoing]:
    """What is sent, but for the note in the first card's thread."""
    return [work for work in step.outbox if work.kind != "slack.note"]


def escalating(*targets: Target) -> ApprovalRequest:
    return make_request(judged=make_judged(ladder=(make_rule(notify=targets),)))


def test_each_kind_of_target_gets_its_own_work() -> None:
    step = opened(EVERYBODY, *TARGETS)
    assert [(work.kind, work.payload.get("channel") or work.payload["address"]) for work in knocks(step)] == [
        ("slack.post", "C0SECALRT"),
        ("slack.post", "U0DANA001"),
        ("slack.post", "U0SRE0001"),
        ("slack.mention", "S0614TZR7"),
        ("notify.email", "manager@example.com"),
        ("notify.webhook", "https://hooks.example.com/1"),
        ("notify.log", "warning"),
        ("notify.pager", "555"),
    ]
    assert {work.payload["level"] for work in knocks(step)} == {1}
    assert [event.name for event in step.events] == ["escalation_triggered"]


def test_a_dead_receiver_holds_up_no_other_request() -> None:
    work = knocks(opened({}, Target("webhook", "https://hooks.example.com/1")))[0]
    assert work.request_id is not None
    assert work.request_id in work.order


def test_a_user_group_is_called_at_the_pace_of_the_first_cards_channel() -> None:
    [work] = knocks(opened({}, Target("slack_usergroup", "S0614TZR7")))
    assert work.order == "channel:C0APPROVE"
    assert work.kind in POSTING


def test_two_user_groups_of_one_level_are_both_called() -> None:
    groups = (Target("slack_usergroup", "S0614TZR7"), Target("slack_usergroup", "S0OPS0001"))
    assert len(knocks(opened({}, *groups))) == 2


def test_somebody_who_is_asked_in_two_ways_gets_one_card() -> None:
    both: Members = {"manager": [SlackId("U0SRE0001")], "schedule:primary": [SlackId("U0SRE0001")]}
    step = opened(both, Target("slack_dm", "manager"), Target("oncall", "primary"))
    assert [work.payload["channel"] for work in knocks(step)] == ["U0SRE0001"]


def test_a_target_without_anybody_is_audited_with_the_reason() -> None:
    step = opened(
        {"manager": [], "schedule:primary": []},
        Target("oncall", "primary"),
        Target("slack_dm", "manager"),
    )
    assert knocks(step) == []
    assert [(event.name, event.body["to"], event.body["code"]) for event in step.events[1:]] == [
        ("notification_failed", "primary", "nobody_on_call"),
        ("notification_failed", "manager", "unknown_recipient"),
    ]


def test_whoever_could_not_be_looked_up_is_looked_up_again() -> None:
    step = opened({}, Target("oncall", "primary"), Target("slack_dm", "manager"))
    assert [(work.kind, work.payload["kind"], work.payload["address"]) for work in knocks(step)] == [
        ("ladder.find", "oncall", "primary"),
        ("ladder.find", "slack_dm", "manager"),
    ]
    assert not climbing.unreached(step.request, [(event.name, event.body) for event in step.events])


def test_only_people_are_looked_up() -> None:
    assert list(looked_up(TARGETS)) == ["manager", "schedule:primary"]
