"""`keyturn policy …` as a person or a pipeline runs it."""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from bot.cli import app
from bot.core import lifecycle, reviewing
from bot.core.lifecycle import Judged
from bot.core.models import Action, RequestId, Submission, Transition
from bot.services.policies import load
from bot.services.policy_schema import SCHEMAS, schema_text
from bot.store import Store
from bot.store.commands import CreateRequest, SaveTransition
from bot.system import SystemClock
from tests.factories import make_agent, make_given

SHIPPED = Path(__file__).parents[2] / "policies"
WORKSPACE = "groups: {oncall: {users: [U0ANA0001, U0BEN0001]}, finance: {users: [U0CLEO001]}}\n"
POLICY = """name: small
auto_approve_threshold: medium
auto_reject_threshold: never
approvers: {quorum: 1, groups: [oncall]}
block:
  - {name: no-boot, path_pattern: "/boot/**"}
limits:
  - name: daily
    action_type: transfer
    per: 1d
    sum_of: amount
    max: 1000
    approvers: {groups: [finance]}
"""
TESTS = """
- name: nobody touches the boot files
  given: {type: file_write, params: {path: /boot/x}}
  expect: {effect: reject, rule: no-boot}
"""


def keyturn(*words: str, code: int = 0, text: str | None = None, **environment: str) -> tuple[str, str]:
    """Run `keyturn policy …`; what it said on standard output and standard error."""
    result = CliRunner().invoke(app, ["policy", *words], input=text, env=environment)
    assert result.exit_code == code, (result.exit_code, result.output, result.exception)
    return result.stdout, result.stderr


@pytest.fixture
def policies(tmp_path: Path) -> Path:
    return write(tmp_path / "policies", POLICY)


def write(directory: Path, policy: str, tests: str = TESTS) -> Path:
    (directory / "tests").mkdir(parents=True)
    (directory / "workspace.yaml").write_text(WORKSPACE)
    (directory / "default.yaml").write_text(policy)
    (directory / "tests" / "small.yaml").write_text(tests)
    return directory


def test_check_accepts_what_can_be_used_and_names_rules_and_version(policies: Path) -> None:
    said, _ = keyturn("check", str(policies))
    assert said == f"small: 2 rules, version {load(policies).version}\n"
    assert keyturn("check", KEYTURN_POLICIES=str(policies))[0] == said


def test_check_names_every_fault_with_its_line_and_exits_with_1(policies: Path) -> None:
    (policies / "default.yaml").write_text(POLICY.replace("per: 1d", "pre: 1d").replace("never", "nevr"))
    said, _ = keyturn("check", str(policies), code=1)
    assert "error: default.yaml:3:" in said
    assert "error: default.yaml:10:5: limits[0].pre: 'pre' is not a key" in said
    assert "did you mean per?" in said
    found = json.loads(keyturn("check", str(policies), "--json", code=1)[0])
    assert (found["ok"], found["version"]) == (False, None)
    assert {"file", "line", "column", "key", "wrong", "instead"} == set(found["problems"][0])


def test_a_warning_is_said_and_fails_only_a_strict_check(policies: Path) -> None:
    covered = POLICY + "allow:\n  - {name: kernel, path_pattern: /boot/vmlinuz}\n"
    (policies / "default.yaml").write_text(covered)
    said, _ = keyturn("check", str(policies))
    assert "warning: default.yaml:15:5: allow[0]: kernel is never reached" in said
    keyturn("check", str(policies), "--strict", code=1)
    assert len(json.loads(keyturn("check", str(policies), "--json")[0])["warnings"]) == 1


def test_test_says_what_failed_and_what_no_test_reaches(policies: Path) -> None:
    said, _ = keyturn("test", str(policies))
    assert said.splitlines() == [
        "no test reaches the limits rule daily of default.yaml",
        "1 passed, 0 failed",
    ]
    keyturn("test", str(policies), "--strict", code=1)
    (policies / "tests" / "small.yaml").write_text(TESTS.replace("effect: reject", "effect: approve"))
    said, _ = keyturn("test", str(policies), code=1)
    assert "FAIL tests/small.yaml:2 nobody touches the boot files" in said
    assert "effect: expected approve, came reject" in said
    found = json.loads(keyturn("test", str(policies), "--json", code=1)[0])
    assert (found["passed"], len(found["failed"]), found["untested"][0]["rule"]) == (0, 1, "daily")


def test_test_of_policies_that_cannot_be_used_is_a_finding(policies: Path) -> None:
    (policies / "default.yaml").write_text("][")
    _, error = keyturn("test", str(policies), code=1)
    assert "error: default.yaml:1:" in error


REQUEST = {"type": "transfer", "params": {"amount": "1200.00"}, "description": "Pay."}


def test_explain_takes_a_file_or_standard_input_or_flags_and_says_the_same(
    policies: Path, tmp_path: Path
) -> None:
    file = tmp_path / "request.json"
    file.write_text(json.dumps(REQUEST))
    at = ("--policies", str(policies))
    from_file, _ = keyturn("explain", str(file), *at)
    assert from_file == keyturn("explain", "-", *at, text=json.dumps(REQUEST))[0]
    assert from_file == keyturn("explain", "--type", "transfer", "--param", 'amount="1200.00"', *at)[0]
    assert "limit daily counts it, for each agent: 0 of 1000 USD are used in 1d" in from_file
    assert "Ruling: review, by budget:daily" in from_file
    assert "1 must agree, of finance" in from_file


def test_explain_as_json_is_what_evaluate_answers(policies: Path) -> None:
    at = ("--policies", str(policies), "--json")
    found = json.loads(keyturn("explain", "-", *at, text=json.dumps(REQUEST))[0])
    assert set(found) == {"digest", "risk", "policy", "effect", "requirement"}
    assert found["policy"]["rule"] == "budget:daily"
    assert found["requirement"]["approvers"][0]["group"] == "finance"


@pytest.mark.parametrize(
    ("words", "text", "said"),
    [
        ((), "", "Give the request as FILE"),
        (("-", "--type", "x"), "", "one of both"),
        (("-",), "{", "not valid JSON"),
        (("-",), "[1]", "not a request"),
        (("-",), '{"type": "x", "params": 5}', "params is not an object"),
        (("--type", "x", "--param", "novalue"), "", "write NAME=VALUE"),
        (("--type", "Deploy!"), "", "'Deploy!' is no action's type; write small letters"),
        (("-",), '{"type": "X", "params": {}}', "is no action's type"),
    ],
)
def test_explain_says_what_it_needs(policies: Path, words: tuple[str, ...], text: str, said: str) -> None:
    _, error = keyturn("explain", *words, "--policies", str(policies), text=text, code=2)
    assert said in error


class History:
    """Requests that were asked an hour apart, and judged by some policies."""

    def __init__(self, directory: Path, policies: Path) -> None:
        self.url = f"sqlite:///{directory}/keyturn.db"
        self._policies = load(policies)
        self._asked: list[tuple[Transition, bool]] = []
        self._start = datetime.now(UTC) - timedelta(days=2)

    def ask(self, kind: str, *, rejected: bool = False, **params: Any) -> None:
        action = Action(kind, params)
        judgement = self._policies.judge(action, agent="builder")
        number = len(self._asked)
        step = lifecycle.submit(
            Submission(action, "Please."),
            Judged(action, judgement.risk, judgement.ruling),
            id=RequestId(f"req_{number:032x}"),
            agent=make_agent(),
            now=self._start + timedelta(hours=number),
        )
        self._asked.append((step, rejected))

    def store(self) -> None:
        async def run() -> None:
            async with Store.open(self.url, clock=SystemClock()) as store:
                for step, rejected in self._asked:
                    await store.write(CreateRequest(step))
                    if rejected:
                        given = make_given(step.request, reason="no")
                        await store.write(SaveTransition(reviewing.reject(step.request, given, now=step.now)))

        asyncio.run(run())


def test_simulate_groups_what_would_differ_the_permissive_first_with_examples(
    policies: Path, tmp_path: Path
) -> None:
    history = History(tmp_path, policies)
    for number in range(5):
        history.ask("command_execute", command=f"rm -rf build{number}")
    history.ask("file_write", path="/boot/x")
    history.ask("brew_coffee")
    history.store()
    changed = POLICY.replace("threshold: medium", "threshold: high").replace("/boot/**", "/root/**")
    changed += "require:\n  - {name: coffee, action_type: brew_coffee}\n"
    at = (str(write(tmp_path / "changed", changed)), "--database", history.url)
    said, _ = keyturn("simulate", *at, code=1)
    lines = said.splitlines()
    assert "5  review by default asking 1 of oncall  ->  approve by auto_approve_threshold" in lines[0]
    assert lines[0].endswith("(more permissive)")
    assert lines[1].split()[:2] == [f"req_{0:032x}", "builder:"]
    assert "rm -rf build0" in lines[1]
    assert "approve by auto_approve_threshold  ->  review by coffee asking 1 of oncall  (stricter)" in said
    assert "reject by no-boot  ->  approve by auto_approve_threshold" in said
    assert lines[-1] == "7 of 7 would differ"
    found = json.loads(keyturn("simulate", *at, "--json", code=1)[0])
    assert (found["judged"], found["differ"], found["groups"][0]["count"]) == (7, 7, 5)


def test_simulate_finds_nothing_in_the_same_policies_and_respects_its_bounds(
    policies: Path, tmp_path: Path
) -> None:
    history = History(tmp_path, policies)
    for _ in range(5):
        history.ask("brew_coffee")
    history.store()
    at = (str(policies), "--database", history.url)
    assert keyturn("simulate", *at)[0] == "0 of 5 would differ\n"
    assert keyturn("simulate", *at, "--most", "2")[0] == "0 of 2 would differ\n"
    assert keyturn("simulate", *at, "--since", "1h")[0] == "0 of 0 would differ\n"
    assert "whole number with its unit" in keyturn("simulate", *at, "--since", "soon", code=2)[1]


def test_simulate_fills_limits_as_they_would_have_been_and_counts_rejections(
    policies: Path, tmp_path: Path
) -> None:
    free = write(tmp_path / "free", POLICY.partition("limits:")[0])
    history = History(tmp_path, free)
    for amount in ("400", "400", "400", "200"):
        history.ask("transfer", amount=amount)
    history.store()
    said, _ = keyturn("simulate", str(policies), "--database", history.url, code=1)
    assert said.splitlines()[-1] == "1 of 4 would differ"
    assert "-> " in said
    assert f"req_{2:032x}" in said


def test_simulate_lets_the_window_of_a_limit_roll(policies: Path, tmp_path: Path) -> None:
    history = History(tmp_path, policies)
    for number in range(4):  # an hour apart
        history.ask("file_write", path=f"/srv/{number}")
    history.store()
    for per, differ in (("1h", 0), ("2h", 2)):
        limit = f"limits:\n  - {{name: few, action_type: file_write, per: {per}, count: 1}}\n"
        changed = write(tmp_path / per, POLICY.partition("limits:")[0] + limit)
        said, _ = keyturn("simulate", str(changed), "--database", history.url, code=int(differ > 0))
        assert said.splitlines()[-1] == f"{differ} of 4 would differ"


def test_simulate_needs_a_database(policies: Path, tmp_path: Path) -> None:
    _, error = keyturn("simulate", str(policies), "--database", f"sqlite:///{tmp_path}/none.db", code=2)
    assert "none.db" in error


def test_diff_compares_two_directories_on_requests_or_on_their_tests(policies: Path, tmp_path: Path) -> None:
    changed = write(tmp_path / "changed", POLICY.replace("/boot/**", "/root/**"))
    said, _ = keyturn("diff", str(policies), str(changed), "--tests", code=1)
    assert "reject by no-boot  ->  review by default asking 1 of oncall" in said
    assert "1 of 1 would differ" in said
    assert keyturn("diff", str(policies), str(policies), "--tests")[0] == "0 of 1 would differ\n"

    history = History(tmp_path, policies)
    history.ask("file_write", path="/boot/x")
    history.ask("file_write", path="/srv/x")
    history.store()
    said, _ = keyturn("diff", str(policies), str(changed), "--database", history.url, code=1)
    assert "1 of 2 would differ" in said


@pytest.mark.parametrize("name", SCHEMAS)
def test_the_schemas_that_are_shipped_are_the_ones_that_are_printed(name: str) -> None:
    assert keyturn("schema", name)[0] == schema_text(name)
    shipped = SHIPPED / "schema" / f"{name}.json"
    assert shipped.read_text() == schema_text(name), f"run: keyturn policy schema {name} > {shipped}"


@pytest.mark.parametrize("name", SCHEMAS)
def test_editors_can_show_what_every_key_means(name: str) -> None:
    schema = json.loads(schema_text(name))
    silent = [
        f"{model.get('title')}.{key}"
        for model in (schema, *schema.get("$defs", {}).values())
        for key, part in model.get("properties", {}).items()
        if "description" not in part
    ]
    assert silent == [], "add words for them to bot/services/policy_words.py"


def test_there_are_no_other_schemas() -> None:
    assert "policy, workspace, tests" in keyturn("schema", "poetry", code=2)[1]


def test_every_shipped_file_names_its_schema_for_editors() -> None:
    for path in SHIPPED.rglob("*.yaml"):
        line = path.read_text().splitlines()[0]
        schema = path.parent / line.removeprefix("# yaml-language-server: $schema=")
        assert schema.is_file(), f"{path}: {line}"
        wanted = {"workspace.yaml": "workspace"}.get(path.name, "policy")
        assert schema.stem == ("tests" if path.parent.name == "tests" else wanted)
