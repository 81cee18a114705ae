"""Policies tested like code, explained, and described by a schema."""

import json
from pathlib import Path

import jsonschema
import pytest

from bot.core.models import Action
from bot.core.policy import PolicyError, PolicyFile, WorkspaceFile, json_schema
from bot.services.policies import load, load_one, parse
from bot.services.policy_report import explain
from bot.services.policy_tests import run
from tests.policies import HEAD, WORKSPACE

POLICIES = Path(__file__).parents[2] / "policies"


def test_the_policies_that_come_with_keyturn_pass_their_tests() -> None:
    outcomes = run(POLICIES).outcomes
    assert len(outcomes) > 30
    assert [(o.file, o.line, o.name, o.differences) for o in outcomes if not o.passed] == []


@pytest.mark.parametrize("path", sorted((POLICIES / "examples").glob("*.yaml")), ids=lambda path: path.stem)
def test_every_example_is_good(path: Path) -> None:
    assert load_one(POLICIES, f"examples/{path.name}").policies


def _directory(tmp_path: Path, tests: str) -> Path:
    (tmp_path / "workspace.yaml").write_text(WORKSPACE)
    (tmp_path / "default.yaml").write_text(HEAD)
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "cases.yaml").write_text(tests)
    return tmp_path


def test_a_case_that_fails_says_what_came_instead_and_why(tmp_path: Path) -> None:
    case = """
- given: {type: brew_coffee}
  expect: {effect: approve, level: low, score: 29, rule: other, policy: other,
           approvers: {quorum: 2, groups: [sre]}}
- name: nobody is asked
  given: {type: deployment, params: {environment: staging}}
  expect: {approvers: {quorum: 1}}
"""
    first, second = run(_directory(tmp_path, case)).outcomes
    assert (first.file, first.line, first.name) == ("tests/cases.yaml", 2, "case 1")
    assert first.differences == (
        "effect: expected approve, came review",
        "level: expected low, came medium",
        "score: expected 29, came 30",
        "policy: expected other, came test",
        "rule: expected other, came default",
        "approvers.quorum: expected 2, came 1",
        "approvers.groups: expected sre, came oncall",
    )
    assert "unknown_type" in first.explanation
    assert second.differences == ("approvers: expected people to be asked, nobody is",)
    assert second.name == "nobody is asked"


def test_a_test_says_what_happened_before_and_untested_rules_are_listed(tmp_path: Path) -> None:
    policy = (
        HEAD
        + """
auto_approve_threshold: medium
block: [{name: never, action_type: never}]
require: [{name: untested, action_type: x}]
allow: [{name: free, action_type: free}]
limits:
  - {name: daily, action_type: transfer, per: 1d, sum_of: amount, max: 1000}
  - {name: idle, action_type: idle, per: 1d, count: 1}
"""
    )
    case = """
- {given: {type: never}, expect: {effect: reject}}
- {given: {type: free}, expect: {effect: approve, rule: free}}
- given: {type: transfer, params: {amount: 400}, used: {daily: {amount: "600.00"}}}
  expect: {effect: approve}
- given: {type: transfer, params: {amount: 400}, used: {daily: {amount: 600.01}}}
  expect: {rule: "budget:daily"}
"""
    directory = _directory(tmp_path, case)
    (directory / "default.yaml").write_text(policy)
    report = run(directory)
    assert [outcome.differences for outcome in report.outcomes] == [()] * 4
    assert [(u.file, u.kind, u.rule) for u in report.untested] == [
        ("default.yaml", "require", "untested"),
        ("default.yaml", "limits", "idle"),
    ]


def test_every_rule_that_comes_with_keyturn_is_tested() -> None:
    assert run(POLICIES).untested == ()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "- {given: {type: x}, expects: {}}",
            "1:22: [0].expects: 'expects' is not a key that belongs here; did you mean expect?",
        ),
        (
            "- given: {type: x}\n  expect: {effect: maybe}",
            "2:12: [0].expect.effect: 'maybe' is not known; write one of 'approve', 'reject' or 'review'",
        ),
        ("- given: {type: X!}\n  expect: {}", "1:11: [0].given.type: 'X!' does not look right; write "),
        ("- given: {type: x}\n  expect: {effect: }", "2:12: [0].expect.effect: has no value; "),
        ("tests: []", "1:1: tests: has too few items; write a list of tests"),
        ("against: examples/nowhere.yaml\ntests: [{given: {type: x}, expect: {}}]", "1:1: is not there; "),
        ("just text", "1:1: is not a mapping"),
    ],
)
def test_a_file_of_tests_that_cannot_be_read_is_refused_with_its_place_and_what_to_write(
    tmp_path: Path, text: str, said: str
) -> None:
    with pytest.raises(PolicyError) as caught:
        run(_directory(tmp_path, text))
    assert any(said in str(problem) for problem in caught.value.problems), caught.value.problems
    assert said.startswith("1:1: tests") or not any("too few" in p.wrong for p in caught.value.problems)


def test_an_explanation_shows_the_reading_every_rule_and_who_is_asked() -> None:
    action = Action("command_execute", {"command": "sudo tee /srv/x < y; rm -rf $Z"})
    text = explain(load(POLICIES), action, agent="a")
    for part in (
        "Risk high", "+35  destructive_command", "runs: sudo tee /srv/x < y", "write: /srv/x",
        "delete: $Z with all below  (cannot be read)",
        "block system-files may match",
        "require production-deployments does not match: action_type is not deployment",
        "Ruling: review, by system-files", "1 must agree, of oncall and security and manager",
        "nobody-answered asks manager",
    ):  # fmt: skip
        assert part in text, text


def test_an_action_without_a_policy_is_explained_too(tmp_path: Path) -> None:
    directory = _directory(tmp_path, "")
    (directory / "default.yaml").write_text(HEAD + "applies_to: {agents: [ci]}\n")
    assert "Ruling: reject, by no_policy" in explain(load(directory), Action("x", {}), agent="other")


def test_the_schema_accepts_what_the_loader_accepts_and_refuses_unknown_keys() -> None:
    for path in [POLICIES / "default.yaml", *sorted((POLICIES / "examples").glob("*.yaml"))]:
        value = json.loads(json.dumps(parse(path.name, path.read_bytes()).value, default=float))
        jsonschema.validate(value, json_schema(PolicyFile))
    workspace = parse("workspace.yaml", (POLICIES / "workspace.yaml").read_bytes()).value
    jsonschema.validate(workspace, json_schema(WorkspaceFile))
    rule = {"name": "a", "environment": None}
    for wrong in ({"auto_aprove_threshold": "low"}, {"allow": [rule]}, {"applies_to": None}):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate({"approvers": {"groups": ["a"]}, **wrong}, json_schema())
