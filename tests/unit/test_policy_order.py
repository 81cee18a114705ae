"""What a policy rules: the order of its lists, its thresholds, and what it lays down for people."""

from datetime import timedelta
from itertools import product

import pytest

from bot.core.models import Action, ApproverSet, Cause, Effect, RiskLevel, Target
from tests.policies import HEAD, WORKSPACE, command, judge, policy_set, verdict

SAMPLES = {
    "none": ("command_execute", {"command": "ls"}),
    "low": ("file_delete", {"path": "x"}),
    "medium": ("brew_coffee", {}),
    "high": ("command_execute", {"command": "rm -rf x"}),
    "critical": ("command_execute", {"command": "rm -rf /"}),
}
LEVELS = ["none", "low", "medium", "high", "critical"]


@pytest.mark.parametrize(
    ("approve", "reject", "expected"),
    [
        ("low", "critical", "approve approve review review reject"),
        ("never", "critical", "review review review review reject"),
        ("none", "high", "approve review review reject reject"),
        ("medium", "high", "approve approve approve reject reject"),
        ("high", "never", "approve approve approve approve review"),
        ("never", "never", "review review review review review"),
        ("never", "low", "review reject reject reject reject"),
    ],
)
def test_thresholds_decide_by_level(approve: str, reject: str, expected: str) -> None:
    body = f"auto_approve_threshold: {approve}\nauto_reject_threshold: {reject}"
    found = [
        judge(body, SAMPLES[level][0], **SAMPLES[level][1]).ruling.policy.effect.value for level in LEVELS
    ]
    assert " ".join(found) == expected


def test_block_comes_before_require_and_require_before_allow() -> None:
    rules = {
        kind: f"{kind}: [{{name: {kind}-it, action_type: brew_coffee}}]"
        for kind in ("block", "require", "allow")
    }
    assert verdict(judge("\n".join(rules.values()), "brew_coffee")) == ("reject", "block-it")
    assert verdict(judge(f"{rules['allow']}\n{rules['require']}", "brew_coffee")) == ("review", "require-it")
    assert verdict(judge(rules["allow"], "brew_coffee")) == ("approve", "allow-it")


def test_within_a_list_the_first_match_wins() -> None:
    body = """
    require:
      - {name: first, action_type: brew_coffee, approvers: {quorum: 1, groups: [release]}}
      - {name: second, action_type: brew_coffee, approvers: {quorum: 2, groups: [sre]}}
    """
    ruling = judge(body, "brew_coffee").ruling
    assert ruling.policy.rule == "first"
    assert ruling.requirement is not None
    assert ruling.requirement.quorum == 1


def test_allow_never_approves_at_the_level_that_is_rejected() -> None:
    body = "allow: [{name: all, action_type: '*', max_risk: critical}]"
    assert verdict(command(body, "rm -rf x")) == ("approve", "all")
    assert verdict(command(body, "rm -rf /")) == ("reject", "auto_reject_threshold")


def test_require_asks_even_at_the_level_that_is_rejected_but_refuses_edits_to_it() -> None:
    judgement = command("require: [{name: ask, action_type: command_execute}]", "rm -rf /")
    assert verdict(judgement) == ("review", "ask")
    assert judgement.ruling.never_approve


def test_a_block_rule_that_may_match_leaves_the_requirement_to_a_require_rule() -> None:
    body = """
    block: [{name: system, path_pattern: "/etc/**"}]
    require: [{name: deletes, command_pattern: "^rm ", approvers: {quorum: 2, groups: [release]}}]
    """
    ruling = command(body, "rm $X").ruling
    assert (ruling.policy.effect, ruling.policy.rule) == (Effect.REVIEW, "system")
    assert ruling.requirement is not None
    assert ruling.requirement.quorum == 2


def test_a_block_rule_that_may_match_does_not_save_what_would_be_rejected() -> None:
    body = 'block: [{name: system, path_pattern: "/srv/**"}]'
    assert verdict(command(body, "rm -rf /etc $X")) == ("reject", "auto_reject_threshold")


def test_causes_say_whether_a_rule_or_the_risk_decided() -> None:
    assert judge("block: [{name: b, action_type: x}]", "x").ruling.cause is Cause.POLICY_RULE
    assert judge("", "command_execute", command="ls").ruling.cause is Cause.RISK_THRESHOLD
    assert judge("", "x").ruling.cause is None


def test_no_policy_means_rejected() -> None:
    policies = policy_set(HEAD + "applies_to: {agents: ['ci-*']}")
    assert verdict(policies.judge(Action("x", {}), agent="ci-1")) == ("review", "default")
    judgement = policies.judge(Action("command_execute", {"command": "ls"}), agent="other")
    assert verdict(judgement) == ("reject", "no_policy")
    assert judgement.ruling.policy.name is None
    assert judgement.ruling.never_approve


def test_policies_are_tried_in_file_order_and_the_default_last() -> None:
    default = "name: last\napprovers: {groups: [oncall]}"
    by_type = "name: money\napplies_to: {action_types: [payment, 'bank.*']}\napprovers: {groups: [oncall]}"
    by_agent = "name: ci\napplies_to: {agents: ['ci-*']}\napprovers: {groups: [oncall]}"
    policies = policy_set(default, by_type, by_agent)

    def name(kind: str, agent: str) -> str | None:
        return policies.judge(Action(kind, {}), agent=agent).ruling.policy.name

    assert name("payment", "ci-1") == "money"
    assert name("bank.wire", "x") == "money"
    assert name("x", "ci-1") == "ci"
    assert name("x", "x") == "last"


def test_both_parts_of_applies_to_must_match() -> None:
    policies = policy_set(HEAD + "applies_to: {agents: ['ci-*'], action_types: [payment]}")
    assert policies.judge(Action("payment", {}), agent="x").ruling.policy.rule == "no_policy"
    assert policies.judge(Action("x", {}), agent="ci-1").ruling.policy.rule == "no_policy"


def test_weights_and_money_are_the_policys_own() -> None:
    body = """
    weights: {unknown_type: 50, money_movement: 5}
    money: {base: EUR, rates: {USD: 0.5}, tiers: [[10, 60]]}
    """
    assert judge(body, "x").risk.score == 50
    assert judge(body, "payment", amount=9, currency="EUR").risk.score == 5
    assert judge(body, "payment", amount="19.98", currency="USD").risk.score == 5
    assert judge(body, "payment", amount=20, currency="USD").risk.score == 65
    assert judge(body, "payment", amount=1, currency="GBP").risk.score == 65


def test_milder_cases_of_a_factor_scale_with_its_weight() -> None:
    assert judge("weights: {file_deletion: 40}", "file_delete", path="x").risk.score == 20
    assert judge("weights: {deployment: 50}", "deployment", environment="staging").risk.score == 15


def test_a_ruling_carries_who_may_approve_and_how_many_must() -> None:
    body = """
    require:
      - name: two
        action_type: x
        approvers: {quorum: 1, groups: [release, security], users: [U0DANA001], one_from_each: true}
    """
    requirement = judge(body, "x").ruling.requirement
    assert requirement is not None
    assert requirement.quorum == 2
    assert requirement.one_from_each
    assert requirement.approvers == (
        ApproverSet("release", "users", ("U0REL0001", "U0REL0002")),
        ApproverSet("security", "slack_usergroup:S0614TZR7"),
        ApproverSet(None, "users", ("U0DANA001",)),
    )


def test_only_a_review_has_a_requirement_and_a_ladder() -> None:
    ladder = "escalation_rules: [{name: e, trigger: {after: 5m}, escalate_to: manager}]"
    assert judge(ladder, "x").ruling.ladder
    for body in ("block: [{name: b, action_type: x}]", "allow: [{name: a, action_type: x}]"):
        ruling = judge(f"{ladder}\n{body}", "x").ruling
        assert ruling.requirement is None
        assert not ruling.ladder


def test_the_ladder_has_the_matching_rules_by_priority_and_file_order() -> None:
    body = """
    default_timeout: 2m
    approval_valid_for: 1h
    channel: C0APPROVE
    grant_max_risk: medium
    agent_may_escalate_to: [manager]
    escalation_rules:
      - {name: late, priority: 40, trigger: {after: 90s}, escalate_to: manager, wait: 10m, may_approve: false,
         notify: [{slack_dm: manager}, {slack: C0SECALRT}]}
      - {name: same, priority: 40, trigger: {after: 5m}, escalate_to: sre}
      - {name: early, priority: 5, trigger: {after: 1h}, escalate_to: security}
      - {name: risky, trigger: {after: 1m, risk_at_least: critical}, escalate_to: security}
      - {name: others, trigger: {after: 1m, action_types: [payment]}, escalate_to: security}
      - {name: large, trigger: {after: 1m, where: {amount: {gt: 5}}}, escalate_to: security}
    """
    ruling = judge(body, "x").ruling
    assert [rung.name for rung in ruling.ladder] == ["early", "late", "same"]
    late = ruling.ladder[1]
    assert (late.after, late.wait, late.may_approve) == (timedelta(seconds=90), timedelta(minutes=10), False)
    assert late.escalate_to == ApproverSet("manager", "users", ("dana@example.com",), seat=False)
    assert late.notify == (Target("slack_dm", "manager"), Target("slack", "C0SECALRT"))
    assert (ruling.terms.level_wait, ruling.terms.approval_valid_for) == (
        timedelta(minutes=2),
        timedelta(hours=1),
    )
    assert ruling.terms.channel == "C0APPROVE"
    assert ruling.terms.grant_max_risk is RiskLevel.MEDIUM
    assert [entry.group for entry in ruling.terms.agent_may_escalate_to] == ["manager"]


def test_the_channel_is_the_admin_channel_when_a_policy_names_none() -> None:
    assert judge("", "x").ruling.terms.channel == "C0ADMIN01"


def test_an_explanation_names_the_rule_what_failed_and_what_would_change_it() -> None:
    body = """
    block: [{name: system, path_pattern: "/etc/**"}]
    require: [{name: prod, environment: production}, {name: risky, min_risk: high, agent: "*"}]
    """
    text = judge(body, "brew_coffee", environment="staging").ruling.policy.explanation
    for part in (
        "risk medium (30)", "auto_approve_threshold low", "auto_reject_threshold critical",
        "At risk low or lower", "unknown_type",
        "system (path is not /etc/**)", "prod (environment is not production)",
        "risky (the risk is below high)",
    ):  # fmt: skip
        assert part in text, text


@pytest.mark.parametrize("count", [1, 3, 300])
def test_an_explanation_counts_the_rules_it_does_not_name(count: int) -> None:
    rules = "\n".join(f"  - {{name: r{n}, action_type: other-{n}}}" for n in range(count))
    text = judge(f"block:\n{rules}", "x").ruling.policy.explanation
    assert f"Rules that did not match: {count} more." in text


def test_every_way_to_be_decided_is_explained() -> None:
    for level, approve in product(LEVELS, ("never", "low")):
        kind, params = SAMPLES[level]
        judgement = judge(f"auto_approve_threshold: {approve}", kind, **params)
        assert f"risk {level}" in judgement.ruling.policy.explanation


def test_the_version_changes_with_any_file_and_with_nothing_else() -> None:
    first = policy_set(HEAD)
    assert first.version == policy_set("# a comment\n" + HEAD).version
    assert first.version.startswith("sha256:")
    assert first.version != policy_set(HEAD + "channel: C0APPROVE").version
    assert first.version != policy_set(HEAD, workspace=WORKSPACE.replace("U0REL0002", "U0REL0003")).version
    assert (
        policy_set(HEAD + "weights: {file_write: 1}").version
        != policy_set(HEAD + "weights: {file_write: 1.00000000000000000001}").version
    )


def test_rules_for_other_types_are_looked_at_only_as_far_as_they_are_told() -> None:
    others = "".join(f"  - {{name: r{at}, action_type: 'deploy.s{at}.*'}}\n" for at in range(9))
    policies = policy_set(f"{HEAD}require:\n{others}  - {{name: mine, action_type: 'deploy.mine.*'}}\n")

    found = policies.judge(Action("deploy.mine.run", {}), agent="a").ruling.policy

    looked_at = policies.policies[0].require.of("deploy.mine.run")
    assert [rule.name for rule in looked_at] == ["r0", "r1", "r2", "r3", "mine"]
    assert found.rule == "mine"
    assert "r3 (action_type is not deploy.s3.*) and 5 more." in found.explanation
