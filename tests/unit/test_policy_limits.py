"""Limits and repeated rejections: what was done before, as a judgement takes it into account."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from bot.core.models import Action, Used
from bot.core.policy import History, Judgement
from tests.policies import HEAD, command, faults, judge, policy_set, verdict

DAY = timedelta(days=1)

MONEY = """
auto_approve_threshold: medium
money: {base: EUR, rates: {USD: 0.5}}
limits:
  - {name: daily, action_type: [transfer, payment], per: 1d, count: 3, sum_of: amount, max: 1000}
"""


def after(used: Used, body: str = MONEY, kind: str = "transfer", **params: Any) -> Judgement:
    """Judge an action when so much of the limit is used up."""
    history = History(used={"test/daily": used})
    return policy_set(HEAD + body).judge(Action(kind, params), agent="payer", history=history)


def test_an_automatic_approval_says_what_it_uses_up_and_what_it_must_know() -> None:
    judgement = judge(MONEY, "transfer", agent="payer", amount="-250.50", currency="usd")

    (charge,) = judgement.ruling.charges
    assert verdict(judgement) == ("approve", "auto_approve_threshold")
    assert (charge.limit, charge.agent, charge.per) == ("test/daily", "payer", DAY)
    assert (charge.amount, charge.most, charge.most_amount) == (Decimal("125.250"), 3, Decimal(1000))
    assert judgement.wants.charges == (charge,)
    assert not after(Used(), amount=1).wants


@pytest.mark.parametrize(
    ("count", "amount", "asked", "effect"),
    [
        (0, "0", "1000", "approve"),
        (0, "0", "1000.01", "review"),
        (2, "900.5", "99.5", "approve"),
        (2, "900.5", "99.51", "review"),
        (3, "0", "1", "review"),
        (0, "1000", "0", "approve"),
        (0, "1200", "0", "review"),
    ],
)
def test_over_the_count_or_the_sum_a_person_decides(count: int, amount: str, asked: str, effect: str) -> None:
    judgement = after(Used(count, Decimal(amount)), amount=asked)

    rule = "auto_approve_threshold" if effect == "approve" else "budget:daily"
    assert verdict(judgement) == (effect, rule)
    assert bool(judgement.ruling.charges) is (effect == "approve")


@pytest.mark.parametrize(
    "params", [{}, {"amount": "2,500"}, {"amount": None}, {"amount": 5, "currency": "XTS"}]
)
def test_an_amount_that_cannot_be_read_is_over_the_limit(params: dict[str, Any]) -> None:
    body = MONEY.replace(
        "auto_approve_threshold: medium",
        "allow: [{name: all, action_type: '*', max_risk: critical}]\nauto_reject_threshold: never",
    )
    assert verdict(after(Used(), body, **params)) == ("review", "budget:daily")


def test_the_explanation_says_how_full_the_limit_is_and_what_would_have_happened() -> None:
    said = after(Used(2, Decimal("950.00")), amount="75.00").ruling.policy.explanation
    assert said == (
        "People decide: the limit daily of test has no room for it; 2 of 3 approvals and 950.00 of 1000 EUR "
        "are used in 1d and this action needs 75.00. Within it this would have run at once, "
        "by auto_approve_threshold."
    )


def test_the_explanation_of_a_limit_and_of_a_grant_says_why_the_rules_before_did_not_match() -> None:
    rules = "block: [{name: large, where: {amount: {gt: 5000}}}]\n"
    said = after(Used(3, Decimal(0)), MONEY + rules, amount="75").ruling.policy.explanation
    assert said.endswith("Rules that did not match: large (amount is not gt 5000).")

    rules = "grant_max_risk: high\n" + rules
    history = History(grants={"default": "grant_1"})
    policies = policy_set(HEAD + rules)
    granted = policies.judge(Action("transfer", {"amount": "3000"}), agent="payer", history=history)
    assert "by the grant grant_1" in granted.ruling.policy.explanation
    assert "did not match: large (amount is not gt 5000)." in granted.ruling.policy.explanation


def test_a_limit_names_who_decides_over_it_and_otherwise_the_policy_does() -> None:
    own = MONEY.replace("max: 1000}", "max: 1000, approvers: {groups: [manager]}}")
    for body, group in ((MONEY, "oncall"), (own, "manager")):
        requirement = after(Used(3), body, amount=1).ruling.requirement
        assert requirement is not None
        assert [entry.group for entry in requirement.approvers] == [group]


def test_other_actions_are_outside_the_limit_and_what_may_be_inside_counts() -> None:
    assert after(Used(3), kind="refund", amount=1).ruling.charges == ()
    caches = "allow: [{name: rm, command_pattern: 'rm -f .*'}]\n"
    caches += "limits: [{name: daily, command_pattern: '^rm', per: 1h, count: 1}]"
    assert len(command(caches, "rm -f x").ruling.charges) == 1
    assert command(caches, "ls").ruling.charges == ()


def test_what_cannot_be_told_to_be_outside_the_limit_counts() -> None:
    body = "limits: [{name: daily, per: 1d, count: 1, where: {size: {gt: 10}}}]\nauto_approve_threshold: high"
    for size, effect in ((5, "approve"), (50, "review"), ("large", "review")):
        found = after(Used(1, Decimal(0)), body, "brew_coffee", size=size)
        assert found.ruling.policy.effect.value == effect


def test_what_people_decide_or_the_policy_rejects_uses_nothing_up() -> None:
    for body in ("require: [{name: r, action_type: transfer}]", "block: [{name: b, action_type: transfer}]"):
        ruling = judge(MONEY + body, "transfer", amount=1).ruling
        assert ruling.charges == ()


def test_a_limit_across_agents_counts_everybody() -> None:
    ruling = judge(MONEY.replace("max: 1000", "max: 1000, across: agents"), "transfer", amount=1).ruling
    assert [charge.agent for charge in ruling.charges] == [None]


def test_every_limit_must_hold_and_the_first_that_does_not_is_named() -> None:
    body = MONEY + "  - {name: hourly, action_type: transfer, per: 1h, count: 1}\n"
    assert [c.limit for c in judge(body, "transfer", amount=1).ruling.charges] == [
        "test/daily",
        "test/hourly",
    ]
    history = History(used={"test/hourly": Used(1), "test/daily": Used()})
    found = policy_set(HEAD + body).judge(Action("transfer", {"amount": 1}), agent="a", history=history)
    assert verdict(found) == ("review", "budget:hourly")


@pytest.mark.parametrize(
    ("limit", "location", "said"),
    [
        ("per: 1d", "limits.0", "add count, or sum_of with max"),
        ("per: 1d, sum_of: amount", "limits.0.sum_of", "needs max"),
        ("per: 1d, max: 10", "limits.0.max", "needs sum_of"),
        ("count: 1", "limits.0.per", "per: 1d"),
        ("count: 0, per: 1d", "limits.0.count", "from 1 on"),
        ("count: 1, per: 400d", "limits.0.per", "at most 366d"),
        ("count: 1, per: 1d, across: all", "limits.0.across", "'agents'"),
        (
            "count: 1, per: 1d, approvers: {groups: [nobody]}",
            "limits.0.approvers.groups.0",
            "no group nobody",
        ),
        (
            "count: 1, per: 1d, action_type: deployment, path_pattern: /x",
            "limits.0.path_pattern",
            "have no path",
        ),
    ],
)
def test_a_limit_that_cannot_work_is_refused(limit: str, location: str, said: str) -> None:
    found = faults(HEAD + f"limits: [{{name: l, {limit}}}]")
    assert any(fault.startswith(f"{location}: ") and said in fault for fault in found), found


REJECTED = """
auto_approve_threshold: never
escalation_rules:
  - {name: repeated, trigger: {after: 5m, repeated_rejections: {count: 3, within: 1h}}, escalate_to: security}
"""


@pytest.mark.parametrize(("count", "asked"), [(0, []), (2, []), (3, ["repeated"]), (9, ["repeated"])])
def test_repeated_rejections_open_a_level_from_their_count_on(count: int, asked: list[str]) -> None:
    policies, action = policy_set(HEAD + REJECTED), Action("brew_coffee", {})
    hour = timedelta(hours=1)

    assert policies.judge(action, agent="a").wants.rejections == {hour}
    found = policies.judge(action, agent="a", history=History(rejections={hour: count}))
    assert [rung.name for rung in found.ruling.ladder] == asked
    assert not found.wants


def test_a_judgement_that_depends_on_nothing_before_wants_nothing() -> None:
    assert not judge("", "brew_coffee").wants
    assert not judge(REJECTED + "block: [{name: b, action_type: brew_coffee}]", "brew_coffee").wants


@pytest.mark.parametrize(
    ("globs", "agents"),
    [("'!ci-*'", "dev prod"), ("['*', '!dev']", "ci-1 prod"), ("['ci-*', '!ci-1']", ""), ("'dev'", "dev")],
)
def test_agents_after_an_exclamation_mark_are_left_out(globs: str, agents: str) -> None:
    body = f"block: [{{name: b, agent: {globs}}}]"
    found = [
        agent for agent in ("ci-1", "dev", "prod") if verdict(judge(body, "x", agent)) == ("reject", "b")
    ]
    assert " ".join(found) == agents
