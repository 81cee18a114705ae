"""Rules that stand behind a wider one are pointed out; rules that only overlap are not."""

from pathlib import Path

import pytest

from bot.services.policies import advice
from tests.policies import HEAD, WORKSPACE

POLICIES = Path(__file__).parents[2] / "policies"

WIDE = "action_type: [payment, transfer], environment: 'prod*'"


@pytest.mark.parametrize(
    ("kind", "first", "second"),
    [
        ("require", "action_type: payment", "action_type: payment, where: {amount: {gt: 5}}"),
        ("require", WIDE, "action_type: transfer, environment: production"),
        ("block", "path_pattern: '/etc/**'", "path_pattern: ['/etc/ssh/**', /etc/passwd]"),
        ("block", "path_pattern: '/etc/**'", "path_pattern: '/etc/x', access: write"),
        ("block", "agent: 'ci-*'", "agent: ['ci-1', 'ci-test-*'], min_risk: high"),
        ("allow", "action_type: 'file_*'", "action_type: file_write, max_risk: low"),
        ("allow", "command_pattern: ls", "command_pattern: ls, agent: x"),
        ("require", "min_risk: low", "min_risk: low, max_risk: high"),
    ],
)
def test_a_rule_behind_a_wider_one_is_pointed_out(tmp_path: Path, kind: str, first: str, second: str) -> None:
    (found,) = _advice(tmp_path, kind, first, second)
    assert found.startswith(f"default.yaml:5:3: {kind}[1]: is never reached: one before it")


@pytest.mark.parametrize(
    ("kind", "first", "second"),
    [
        ("require", "action_type: payment, where: {amount: {gt: 5}}", "action_type: payment"),
        ("require", "action_type: payment", "action_type: [payment, transfer]"),
        ("block", "path_pattern: '/etc/*'", "path_pattern: '/etc/a/b'"),
        ("block", "path_pattern: '/etc/**', access: write", "path_pattern: '/etc/x'"),
        ("block", "path_pattern: '/etc/**'", "path_pattern: '/etc'"),
        ("block", "agent: 'ci-*'", "agent: '*'"),
        ("allow", "action_type: x", "action_type: x, max_risk: high"),
        ("require", "min_risk: high", "action_type: x"),
    ],
)
def test_a_rule_that_may_still_be_reached_is_not(tmp_path: Path, kind: str, first: str, second: str) -> None:
    assert _advice(tmp_path, kind, first, second) == []


def test_the_policies_that_come_with_keyturn_have_no_such_rule() -> None:
    assert advice(POLICIES) == ()


def _advice(tmp_path: Path, kind: str, first: str, second: str) -> list[str]:
    (tmp_path / "workspace.yaml").write_text(WORKSPACE)
    text = f"{HEAD}{kind}:\n- {{name: one, {first}}}\n- {{name: two, {second}}}\n"
    (tmp_path / "default.yaml").write_text(text)
    return [str(problem) for problem in advice(tmp_path)]
