"""docs/risk.md and the table of keys in docs/policies.md are true."""

import re
from decimal import Decimal
from pathlib import Path

import pytest

from bot.core.models import Action, RiskLevel
from bot.core.policy import PolicyFile
from bot.core.risk import assess
from bot.core.risk.score import level_of
from bot.core.risk.weights import POINTS, TIERS
from tests.policies import HEAD, policy_set

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "risk.md").read_text("utf-8")
EXAMPLES = re.findall(r"^\| `(.+)` \| ([\d.]+) \| (\w+) \|$", PAGE, re.M)


def test_every_factor_is_there_with_its_points() -> None:
    told = {name: Decimal(points) for name, points in re.findall(r"^\| `(\w+)` \| (-?\d+) \|", PAGE, re.M)}
    assert told == POINTS


def test_the_levels_are_told_with_their_bounds() -> None:
    told = {level: int(bound) for bound, level in re.findall(r"^\| below (\d+) \| (\w+) \|", PAGE, re.M)}
    assert list(told) == ["none", "low", "medium", "high"]
    for level, bound in told.items():
        assert level_of(Decimal(bound) - Decimal("0.01")) is RiskLevel(level)
        assert level_of(Decimal(bound)) > RiskLevel(level)


@pytest.mark.parametrize(("command", "score", "level"), EXAMPLES)
def test_its_examples_score_what_it_says(command: str, score: str, level: str) -> None:
    risk = assess(Action("command_execute", {"command": command.replace("\\|", "|")}))
    assert (risk.score, risk.level.value) == (Decimal(score), level)


def test_it_has_examples_and_names_the_tiers() -> None:
    assert {level for _, _, level in EXAMPLES} == {"none", "medium", "high", "critical"}
    for least, points in TIERS:
        assert re.search(rf"{least:,}\s+on\s+(add\s+)?{points}\b", PAGE)


def test_its_weights_and_money_load_and_count() -> None:
    (block,) = re.findall(r"^```yaml\n# in a policy\n(.*?)^```$", PAGE, re.M | re.S)
    policies = policy_set(HEAD + block)
    scores = {
        kind: policies.judge(Action(kind, params), agent="a").risk.score
        for kind, params in {
            "transfer": {"amount": "500", "currency": "EUR"},
            "payment": {"amount": "500", "currency": "USD"},
            "network_request": {"url": "https://x.example", "method": "POST"},
            "deployment": {"environment": "production"},
        }.items()
    }
    assert scores == {"transfer": 35, "payment": 15, "network_request": 0, "deployment": 65}


def test_every_key_of_a_policy_is_in_the_table() -> None:
    rows = re.findall(
        r"^\| ((?:`\w+`(?:, )?)+) \|[^|]*\|[^|]*\|$", (DOCS / "policies.md").read_text("utf-8"), re.M
    )
    told = {key for row in rows for key in re.findall(r"`(\w+)`", row)}
    assert told >= PolicyFile.model_fields.keys()
