"""docs/policies.md is true: its policy loads, its tests pass, its commands say what it shows."""

import re
import shlex
from pathlib import Path

import pytest
from typer.testing import CliRunner

from bot.cli import app
from bot.services.policy_check import check
from bot.services.policy_tests import run

PAGE = (Path(__file__).parents[2] / "docs" / "policies.md").read_text("utf-8")
FILES = re.findall(
    r"^```yaml\n(# yaml-language-server: [^\n]*\n# (policies/\S+)\n.*?)^```$", PAGE, re.M | re.S
)
SESSIONS = re.findall(r"^```console\n\$ (keyturn [^\n]*)\n(.*?)^```$", PAGE, re.M | re.S)


@pytest.fixture
def written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The page's files, where its commands look for them."""
    for text, name in FILES:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    monkeypatch.chdir(tmp_path)
    return tmp_path / "policies"


def test_its_policy_is_beyond_suspicion_and_every_rule_is_tested(written: Path) -> None:
    findings = check(written)
    assert (findings.problems, findings.warnings) == ((), ())
    report = run(written)
    assert [outcome for outcome in report.outcomes if not outcome.passed] == []
    assert report.untested == ()


@pytest.mark.parametrize(("line", "shown"), SESSIONS, ids=[line.split()[2] for line, _ in SESSIONS])
def test_its_commands_say_what_it_shows(written: Path, line: str, shown: str) -> None:
    result = CliRunner().invoke(app, shlex.split(line)[1:])
    assert result.exit_code == 0, result.output
    assert re.fullmatch(_pattern(shown), result.stdout, re.S), result.stdout


def _pattern(shown: str) -> str:
    """An ellipsis stands for whatever is there."""
    return ".*".join(re.escape(part) for part in shown.rstrip("\n").split("…")) + ".*"


def test_its_mistake_is_told_as_it_says(written: Path) -> None:
    file = written / "default.yaml"
    file.write_text(file.read_text().replace("environment: production", "enviroment: production", 1))
    (problem,) = check(written).problems
    told = next(text for text in PAGE.splitlines() if text.startswith("error: default.yaml:"))
    assert f"error: {problem}" == told


def test_the_page_has_its_parts() -> None:
    assert [name for _, name in FILES] == [
        "policies/workspace.yaml",
        "policies/default.yaml",
        "policies/tests/company.yaml",
    ]
    assert [line.split()[2] for line, _ in SESSIONS] == ["check", "test", "explain"]
