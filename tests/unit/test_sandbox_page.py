"""The page that ships is the one its sources make."""

import re
from pathlib import Path

import pytest

from bot.sandbox import page_digest

STATIC = page_digest.HERE / "static"


def test_the_built_page_was_built_from_these_sources() -> None:
    recorded = page_digest.DIGEST_FILE.read_text().strip()
    assert recorded == page_digest.digest(), "run `npm ci && npm run build` in bot/sandbox/page"


def test_every_asset_that_the_page_names_is_shipped() -> None:
    index = (STATIC / "index.html").read_text()
    named = re.findall(r'(?:src|href)="/([^"]+)"', index)
    styles = [path for name in named if (path := STATIC / name).suffix == ".css"]
    fonts = [name for path in styles for name in re.findall(r"url\(/([^)]+)\)", path.read_text())]
    absent = [name for name in (*named, *fonts) if not (STATIC / name).is_file()]
    assert len(named) >= 3
    assert fonts
    assert absent == []


def test_the_page_loads_nothing_from_elsewhere() -> None:
    index = (STATIC / "index.html").read_text()
    assert re.findall(r'(?:src|href)="(?!/assets/)', index) == []


def test_the_lock_file_names_no_host_to_download_from() -> None:
    assert '"resolved"' not in (page_digest.PAGE / "package-lock.json").read_text()


@pytest.mark.parametrize(
    "change",
    [
        lambda page: (page / "a.ts").write_text("changed"),
        lambda page: (page / "a.ts").rename(page / "b.ts"),
        lambda page: (page / "src" / "new.ts").write_text(""),
        lambda page: (page / "src" / "c.ts").unlink(),
    ],
    ids=["content", "name", "addition", "removal"],
)
def test_any_change_of_the_sources_changes_the_digest(tmp_path: Path, change: object) -> None:
    (tmp_path / "src").mkdir()
    (tmp_path / "a.ts").write_text("one")
    (tmp_path / "src" / "c.ts").write_text("two")
    before = page_digest.digest(tmp_path)
    assert callable(change)
    change(tmp_path)
    assert page_digest.digest(tmp_path) != before


def test_installed_packages_are_no_sources(tmp_path: Path) -> None:
    (tmp_path / "a.ts").write_text("one")
    before = page_digest.digest(tmp_path)
    (tmp_path / "node_modules" / "x").mkdir(parents=True)
    (tmp_path / "node_modules" / "x" / "index.js").write_text("")
    assert page_digest.digest(tmp_path) == before


def test_check_says_what_to_do_when_the_sources_are_newer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(page_digest, "DIGEST_FILE", tmp_path / "SOURCES.sha256")
    assert page_digest.main(["--write"]) == 0
    assert page_digest.main(["--check"]) == 0
    page_digest.DIGEST_FILE.write_text("0" * 64)
    assert page_digest.main(["--check"]) == 1
    assert "npm run build" in capsys.readouterr().err
