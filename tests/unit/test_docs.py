"""The documents say what is true: every dependency is explained, every link leads somewhere."""

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from bot.config import Settings

REPO = Path(__file__).resolve().parent.parent.parent
PAGES = sorted([REPO / "README.md", *(REPO / "docs").glob("*.md")])


def requirements() -> list[str]:
    """Every dependency of the bot and of the SDK, the optional ones too."""
    found: list[str] = []
    for file in ("pyproject.toml", "sdk/pyproject.toml"):
        project = tomllib.loads((REPO / file).read_text())["project"]
        found += project["dependencies"]
        for extra in project.get("optional-dependencies", {}).values():
            found += extra
    return found


def declared() -> set[str]:
    return {Requirement(text).name.lower() for text in requirements()}


def test_every_dependency_is_explained():
    table = (REPO / "docs" / "dependencies.md").read_text().lower()
    explained = set(re.findall(r"[a-z0-9][a-z0-9._-]+", table))
    missing = {name for name in declared() if name not in explained and not name.startswith("types-")}
    assert missing == set()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text()):
        if not target.startswith(("http://", "https://")):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_the_makefile_has_what_the_readme_names():
    targets = set(re.findall(r"^([a-z-]+):", (REPO / "Makefile").read_text(), flags=re.MULTILINE))
    named = set(re.findall(r"make ([a-z-]+)", (REPO / "README.md").read_text()))
    assert named <= targets


def test_the_readme_lists_every_setting_and_its_default():
    rows = re.findall(r"^\| (`[A-Z_`, ]+`) \|([^|]*)\|", (REPO / "README.md").read_text(), flags=re.MULTILINE)
    listed = {}
    for names, defaults in rows:
        names, defaults = re.findall(r"`([^`]+)`", names), re.findall(r"`([^`]+)`", defaults)
        listed |= dict(zip(names, defaults or [""] * len(names), strict=True))
    fields = {name.upper(): field for name, field in Settings.model_fields.items()}
    del fields["PLUGIN_SETTINGS"]
    assert listed.keys() == fields.keys()
    wrong = {name for name, default in listed.items() if default and default != str(fields[name].default)}
    assert wrong == set()


def test_the_readme_leads_to_every_page():
    readme = (REPO / "README.md").read_text()
    assert [
        page.name for page in PAGES if f"docs/{page.name}" not in readme and page.name != "README.md"
    ] == []


def test_what_is_declared_is_pinned_at_a_version_that_fits():
    pins = dict(line.split("==") for line in (REPO / "constraints.txt").read_text().split())
    pinned = {canonicalize_name(name): version for name, version in pins.items()}
    for requirement in map(Requirement, requirements()):
        version = pinned.get(canonicalize_name(requirement.name))
        assert version is not None, f"constraints.txt does not pin {requirement.name}"
        assert version in requirement.specifier, f"constraints.txt pins {requirement.name} at {version}"
