"""The demo's own checks can fail: they look at the disk, and say what they expected and found."""

from pathlib import Path

import pytest

from bot.demo import shop, words
from bot.demo.headless import Finding, effects
from bot.demo.stage import Stage


def test_a_shop_where_nothing_ran_fails_every_check_of_something_that_should_have_run(tmp_path: Path) -> None:
    shop.build(tmp_path / "shop")
    shop.stock(tmp_path / "shop", 1)

    differing = [finding.what.split(":")[0] for finding in effects(tmp_path / "shop") if not finding.ok]

    assert differing == ["auto-approved", "modified", "approved", "approved", "approved", "approved by two"]


def test_a_shop_whose_backups_are_gone_fails_the_check_of_the_rejected_delete(tmp_path: Path) -> None:
    shop.build(tmp_path / "shop")
    for backup in (tmp_path / "shop" / "backups").iterdir():
        backup.unlink()

    assert not next(finding for finding in effects(tmp_path / "shop") if "backups" in finding.what).ok


def test_a_difference_is_told_with_what_was_expected_and_what_was_found() -> None:
    finding = Finding("modified: max_connections is 100", 100, 500)

    assert str(finding) == "  DIFFERS  modified: max_connections is 100: expected 100, found 500"


@pytest.mark.parametrize("keep", [True, False])
def test_the_guide_says_what_becomes_of_the_directory(tmp_path: Path, keep: bool) -> None:
    stage = Stage(tmp_path, "http://127.0.0.1:1", "http://127.0.0.1:2", tmp_path / "token", ())

    assert ("Ctrl-C stops everything and keeps the directory." in words.guide(stage, keep=keep)) is keep
