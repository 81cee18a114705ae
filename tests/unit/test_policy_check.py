"""What `policy check` finds suspicious in policies that load."""

import textwrap
from pathlib import Path

import pytest

from bot.services.policy_check import check
from tests.policies import HEAD

WORKSPACE = "groups: {oncall: {users: [U0SRE0001]}}\n"


def found(tmp_path: Path, *policies: str, workspace: str = WORKSPACE) -> list[str]:
    """The warnings on policies given as YAML, without the words on what to do."""
    (tmp_path / "workspace.yaml").write_text(workspace)
    for at, text in enumerate(policies):
        (tmp_path / f"{at:02}.yaml").write_text(textwrap.dedent(text))
    findings = check(tmp_path)
    assert findings.problems == (), findings.problems
    return [f"{w.file}:{w.line} {w.key} {w.wrong}" for w in findings.warnings]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("block: [{name: a, action_type: 'x*'}]", "allow: [{name: b, action_type: xy}]"),
        ("block: [{name: a, action_type: [x, y]}]", "require: [{name: b, action_type: y, agent: ci}]"),
        ("block: [{name: a, path_pattern: '/srv/**'}]", "allow: [{name: b, path_pattern: /srv/a/b}]"),
        ("block: [{name: a, path_pattern: '/srv/**'}]",
         "allow: [{name: b, path_pattern: '/srv/a/**', action_type: file_write}]"),
        ("require: [{name: a, environment: 'prod*'}]", "allow: [{name: b, environment: prod-eu}]"),
        ("require: [{name: a, min_risk: low}]", "allow: [{name: b, action_type: x, min_risk: medium}]"),
        ("require: [{name: a, where: {n: {gt: 5}}}]", "allow: [{name: b, agent: x, where: {n: {gt: 5}}}]"),
        ("block: [{name: a, command_pattern: '^rm'}]", "allow: [{name: b, command_pattern: '^rm'}]"),
        ("allow: [{name: a, path_pattern: '/tmp/**'}, {name: b, path_pattern: /tmp/x}]", ""),
    ],
)  # fmt: skip
def test_a_rule_that_never_decides_is_named_with_the_one_before_it(
    tmp_path: Path, first: str, second: str
) -> None:
    (warning,) = found(tmp_path, f"{HEAD}{first}\n{second}\n")
    assert "b is never reached" in warning
    assert "rule a has matched before" in warning


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("block: [{name: a, action_type: x}]", "allow: [{name: b, action_type: 'x*'}]"),
        ("block: [{name: a, path_pattern: '/srv/**'}]", "require: [{name: b, path_pattern: '/srv/x'}]"),
        ("block: [{name: a, path_pattern: /a, access: write}]", "allow: [{name: b, path_pattern: /a}]"),
        ("block: [{name: a, path_pattern: '/srv/*'}]", "allow: [{name: b, path_pattern: /srv/x/y}]"),
        ("require: [{name: a, min_risk: high}]", "allow: [{name: b, action_type: x}]"),
        ("require: [{name: a, where: {n: {gt: 5}}}]", "allow: [{name: b, where: {n: {gt: 6}}}]"),
        ("allow: [{name: a, path_pattern: '/a/**'}, {name: b, path_pattern: /a/x, command_pattern: ls}]", ""),
        ("allow: [{name: a, action_type: x, max_risk: low}, {name: b, action_type: x}]", ""),
    ],
)  # fmt: skip
def test_a_rule_that_may_still_decide_is_not_named(tmp_path: Path, first: str, second: str) -> None:
    assert found(tmp_path, f"{HEAD}{first}\n{second}\n") == []


def test_a_policy_whose_agents_another_takes_is_named(tmp_path: Path) -> None:
    first = "name: one\napplies_to: {agents: 'ci-*'}\napprovers: {groups: [oncall]}\n"
    second = first.replace("one", "two").replace("'ci-*'", "ci-7")
    other = first.replace("one", "three").replace("'ci-*'", "dev")
    (warning,) = found(tmp_path, first, second, other, HEAD)
    assert warning.startswith("01.yaml:2 applies_to is never reached: 00.yaml comes first")


def test_a_type_that_looks_like_a_slip_is_named_and_a_type_of_ones_own_is_not(tmp_path: Path) -> None:
    body = "require:\n  - {name: a, action_type: [deploymnt, brew_coffee, 'file_*']}\n"
    (warning,) = found(tmp_path, HEAD + body)
    assert warning.startswith("00.yaml:4 require[0].action_type deploymnt is not a type")


def test_a_group_that_nobody_asks_is_named(tmp_path: Path) -> None:
    (warning,) = found(tmp_path, HEAD, workspace=WORKSPACE[:-2] + ", idle: {users: [U0SRE0001]}}\n")
    assert warning.startswith("workspace.yaml:1 groups.idle no policy asks the group idle")


def test_the_policies_that_come_with_keyturn_are_beyond_suspicion() -> None:
    findings = check(Path(__file__).parents[2] / "policies")
    assert findings.problems == ()
    assert findings.warnings == ()
