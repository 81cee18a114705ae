"""What actions score, by a table that people can read and correct."""

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from bot.core.models import Action, RiskLevel
from bot.core.risk import assess


def _read(name: str) -> Any:
    return YAML(typ="safe", pure=True).load(Path(__file__).with_name(name))


GROUPS = _read("risk_vectors.yaml")
CORPUS = {
    kind: [command for found in groups for command in found["commands"]]
    for kind, groups in _read("risk_corpus.yaml").items()
}


def _plain(value: Any) -> Any:
    """As the wire parser hands values on: exact decimals, never floats."""
    if isinstance(value, float):
        return Decimal(repr(value))
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list) else value


def _action(entry: Any) -> Action:
    if isinstance(entry, str):
        return Action("command_execute", {"command": entry})
    ((kind, params),) = entry.items()
    return Action(kind, _plain(params))


def _exact() -> list[Any]:
    rows = [(group["group"], *row) for group in GROUPS for row in group.get("exact", [])]
    return [pytest.param(_plain(s), level, _action(a), id=f"{g}: {a}") for g, s, level, a in rows]


def _ranges() -> list[Any]:
    rows = [(group["group"], group["levels"], a) for group in GROUPS for a in group.get("actions", [])]
    return [pytest.param(levels, _action(a), id=f"{g}: {a}") for g, levels, a in rows]


@pytest.mark.parametrize(("score", "level", "action"), _exact())
def test_an_action_scores_what_the_table_says(score: Decimal, level: str, action: Action) -> None:
    risk = assess(action)
    assert (risk.score, risk.level.value) == (score, level), risk.factors


@pytest.mark.parametrize(("levels", "action"), _ranges())
def test_an_action_reaches_the_level_that_its_group_says(levels: list[str], action: Action) -> None:
    risk = assess(action)
    assert risk.level.value in levels, (risk.score, risk.factors)


@pytest.mark.parametrize("command", [*CORPUS["destructive"], *CORPUS["takeover"]])
def test_no_real_destructive_command_is_rated_below_high(command: str) -> None:
    risk = assess(_action(command))
    assert risk.level >= RiskLevel.HIGH, (risk.score, risk.factors)


@pytest.mark.parametrize("command", CORPUS["harmless"])
def test_no_everyday_command_is_rated_above_low(command: str) -> None:
    risk = assess(_action(command))
    assert risk.level <= RiskLevel.LOW, (risk.score, risk.factors)


def test_the_corpus_is_large_and_every_part_of_it_has_a_source() -> None:
    assert len(set(CORPUS["destructive"])) >= 100
    assert len(set(CORPUS["harmless"])) >= 100
    groups = [group for kind in _read("risk_corpus.yaml").values() for group in kind]
    assert all(group["source"].startswith("https://") and group["commands"] for group in groups)


@pytest.mark.parametrize("args", [["x"] * 6_000, ["x" * 70_000]])
def test_more_arguments_than_are_read_are_no_reason_to_trust_the_rest(args: list[str]) -> None:
    risk = assess(Action("command_execute", {"command": "ls", "args": args}))
    assert "opaque_command" in {factor.name for factor in risk.factors}
    risk = assess(Action("command_execute", {"command": "rm", "args": ["-rf", "/", *args]}))
    assert risk.level is RiskLevel.CRITICAL


@pytest.mark.parametrize(
    "text",
    [
        "ls " + ">a " * 300,
        "ls " + "a " * 3_000,
        "ls | " * 600 + "ls",
        "cat <<E\nx\nE\n" * 100,
        "nice nice nice nice ls " + "a " * 1_800,
    ],
    ids=lambda text: text[:7],
)
def test_more_text_than_is_read_is_no_reason_to_trust_the_rest(text: str) -> None:
    risk = assess(Action("command_execute", {"command": text}))
    assert "opaque_command" in {factor.name for factor in risk.factors}


def test_what_stands_deeper_than_is_followed_is_guessed() -> None:
    risk = assess(Action("command_execute", {"command": "$(" * 100 + "rm -rf /" + ")" * 100}))
    assert risk.level is RiskLevel.CRITICAL


@pytest.mark.parametrize(
    ("action", "said"),
    [
        (
            Action("transfer", {"amount": 5, "currency": "eur"}),
            "moves money: there is no rate from EUR to USD",
        ),
        (Action("transfer", {"amount": "much"}), "moves money: how much is not told as a number"),
        (Action("transfer", {"amount": 5, "currency": 978}), "moves money: its currency is not told as text"),
        (Action("deployment", {"environment": "production"}), "it works in production"),
        (Action("deployment", {"environment": "live-eu"}), "it works in live-eu, which counts as production"),
    ],
)
def test_a_factor_says_what_it_saw(action: Action, said: str) -> None:
    assert said in [factor.detail for factor in assess(action).factors]
