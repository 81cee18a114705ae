"""Every key of an escalation rule, and those of the policy about waiting: each changes what happens."""

from datetime import timedelta
from typing import Any

import pytest

from bot.core import escalation
from bot.core.models import Action, Hours, Level, Remind, Ruling, Target
from bot.core.oncall import Window
from bot.core.policy import History
from tests.factories import NOON, make_submission
from tests.policies import HEAD, WORKSPACE, faults, policy_set

OFFICE = "business_hours: {office: {days: [Mon-Fri], from: '09:00', to: '17:00', zone: Europe/Berlin}}\n"
RULE = "{name: e, trigger: {after: 10m}, escalate_to: manager, wait: 20m}"
"""What each case changes one key of."""


def ruled(rules: str, more: str = "", history: History | None = None) -> Ruling:
    files = policy_set(f"{HEAD}\n{more}\nescalation_rules: [{rules}]", workspace=WORKSPACE + OFFICE)
    action = Action("brew_coffee", {"amount": 7})
    return files.judge(action, agent="barista", history=history or History()).ruling


def planned(rules: str, more: str = "", **submission: Any) -> tuple[Level, ...]:
    return escalation.plan(ruled(rules, more), make_submission(**submission), now=NOON)


@pytest.mark.parametrize(
    ("changed", "field", "before", "after"),
    [
        (("name: e", "name: other"), "rule", "e", "other"),
        (
            ("after: 10m", "after: 30m"),
            "opens_at",
            NOON + timedelta(minutes=10),
            NOON + timedelta(minutes=30),
        ),
        (("wait: 20m", "wait: 1m"), "ends_at", NOON + timedelta(minutes=30), NOON + timedelta(minutes=11)),
        (("escalate_to: manager", "escalate_to: sre"), "escalate_to", "manager", "sre"),
        (
            ("wait: 20m", "notify: [{slack: C0SECALRT}]"),
            "notify",
            (Target("slack_dm", "manager"),),
            (Target("slack", "C0SECALRT"),),
        ),
        (
            ("wait: 20m", "remind: {every: 2m, times: 4}"),
            "remind",
            None,
            Remind(timedelta(minutes=2), 4),
        ),
    ],
)
def test_a_key_of_a_rule_shapes_its_level(
    changed: tuple[str, str], field: str, before: object, after: object
) -> None:
    assert getattr(planned(RULE)[1], field) == before
    assert getattr(planned(RULE.replace(*changed))[1], field) == after


def test_may_approve_says_whether_the_level_entitles() -> None:
    assert planned(RULE)[1].entitles[0].group == "manager"
    assert planned(RULE.replace("wait: 20m", "may_approve: false"))[1].entitles == ()


def test_priority_orders_rules_and_the_files_order_breaks_ties() -> None:
    second, third = RULE.replace("name: e", "name: f"), RULE.replace("name: e", "name: g, priority: 10")
    assert [level.rule for level in planned(f"{RULE}, {second}, {third}")[1:]] == ["g", "e", "f"]


@pytest.mark.parametrize("outside", ["hold", "skip"])
def test_during_and_outside_name_the_hours_of_a_level(outside: str) -> None:
    rule = RULE.replace("wait: 20m", f"during: office, outside: {outside}")
    window = Window(frozenset(range(5)), timedelta(hours=9), timedelta(hours=17))
    assert planned(rule)[1].during == Hours("office", (window,), "Europe/Berlin", hold=outside == "hold")
    assert planned(RULE)[1].during is None


def test_the_spans_of_business_hours_share_their_zone_and_each_counts() -> None:
    spans = (
        "business_hours:\n"
        "  office: [{days: Mon, to: '12:00', zone: UTC}, {days: Tue, from: '08:00', zone: %s}]\n"
    )
    rule = RULE.replace("wait: 20m", "during: office")
    [_, level] = escalation.plan(
        policy_set(f"{HEAD}\nescalation_rules: [{rule}]", workspace=WORKSPACE + spans % "UTC")
        .judge(Action("brew_coffee", {}), agent="barista")
        .ruling,
        make_submission(),
        now=NOON,
    )
    day = timedelta(days=1)
    mornings = Window(frozenset({0}), timedelta(0), day / 2), Window(frozenset({1}), day / 3, day)
    assert level.during == Hours("office", mornings, "UTC", hold=False)
    [fault] = faults(HEAD, workspace=WORKSPACE + spans % "Europe/Berlin")
    assert fault.startswith("business_hours.office.1.zone: is another zone than UTC")


def test_the_policy_says_how_it_reminds_and_what_an_acknowledgement_moves() -> None:
    ruling = ruled(RULE, "remind: {every: 3m, times: 2}\nack_for: 25m")
    assert (ruling.terms.remind, ruling.terms.ack_for) == (
        Remind(timedelta(minutes=3), 2),
        timedelta(minutes=25),
    )
    assert ruled(RULE).terms.remind is None
    assert ruled(RULE).terms.ack_for == timedelta(minutes=10)


def test_default_timeout_is_what_a_level_waits_when_nothing_else_says() -> None:
    levels = planned(RULE.replace(", wait: 20m", ""), "default_timeout: 7m")
    assert [level.ends_at - level.opens_at for level in levels] == [
        timedelta(minutes=10),
        timedelta(minutes=7),
    ]


@pytest.mark.parametrize(
    ("trigger", "acts"),
    [
        ("risk_at_least: medium", True), ("risk_at_least: critical", False),
        ("action_types: [brew_coffee]", True), ("action_types: [payment]", False),
        ("where: {amount: {gt: 5}}", True), ("where: {amount: {gt: 50}}", False),
        ("repeated_rejections: {count: 3, within: 1h}", True),
        ("repeated_rejections: {count: 4, within: 1h}", False),
        ("repeated_rejections: {count: 3, within: 2h}", False),
    ],
)  # fmt: skip
@pytest.mark.parametrize("after", ["", "after: 10m, "])
def test_a_trigger_acts_at_once_or_with_after_as_a_level(trigger: str, acts: bool, after: str) -> None:
    history = History(rejections={timedelta(hours=1): 3})
    rule = f"{{name: e, trigger: {{{after}{trigger}}}, escalate_to: manager}}"
    ruling = ruled(rule, history=history)
    levels, at_once = [r.name for r in ruling.ladder], [r.name for r in ruling.immediate]
    assert (at_once, levels) == (([], ["e"] if acts else []) if after else (["e"] if acts else [], []))


def test_a_group_that_the_request_names_comes_before_the_rules() -> None:
    levels = planned(RULE, escalate_to="sre")
    assert [(level.escalate_to, level.rule) for level in levels[1:]] == [("sre", None), ("manager", "e")]
    assert levels[1].entitles == ()


def test_after_is_ignored_when_the_request_brings_its_own_timeout() -> None:
    levels = planned(RULE, timeout=timedelta(minutes=1))
    assert levels[1].opens_at == NOON + timedelta(minutes=1)
