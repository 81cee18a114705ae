"""Kinds of notifications are found where packages declare them, and only then may policies name them."""

from pathlib import Path

import pytest

from bot.core.policy import PolicyError
from bot.services.plugins import GROUP, installed
from bot.services.policies import load
from bot.services.policy_check import check

POLICY = """
approvers: {users: [U0SRE0001]}
escalation_rules:
  - {name: e, trigger: {after: 5m}, escalate_to: sre, notify: [{pager: "555"}]}
"""


@pytest.fixture
def policies(tmp_path: Path) -> Path:
    directory = tmp_path / "policies"
    directory.mkdir()
    (directory / "workspace.yaml").write_text("groups: {sre: {users: [U0SRE0001]}}\n")
    (directory / "default.yaml").write_text(POLICY)
    return directory


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A package as an installer leaves it."""
    metadata = tmp_path / "site" / "acme_pager-1.0.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-pager\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(f"[{GROUP}]\npager = acme_pager:PagerChannel\n")
    monkeypatch.syspath_prepend(metadata.parent)


def test_without_the_package_the_kind_is_refused(policies: Path) -> None:
    with pytest.raises(PolicyError, match="'pager' is not a kind of target"):
        load(policies)


@pytest.mark.usefixtures("package")
def test_with_the_package_it_is_known_and_nothing_of_it_is_imported(policies: Path) -> None:
    assert installed()["pager"].value == "acme_pager:PagerChannel"
    assert load(policies).policies[0].escalations[0].rung.notify[0].kind == "pager"


@pytest.mark.usefixtures("package")
def test_a_look_for_what_is_suspicious_knows_it_as_well(policies: Path) -> None:
    assert check(policies).problems == ()
