"""The documents say what is true: every dependency is explained, every link leads somewhere."""

import re
import shlex
import tomllib
from pathlib import Path

import pytest
import typer
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from typer.testing import CliRunner

from bot import cli
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


def commands(page: Path) -> list[list[str]]:
    """The words after `keyturn` of every command line in the page's blocks of shell."""
    blocks = re.findall(r"^ *```(\w*)\n(.*?)^ *```", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    shell = "".join(text for language, text in blocks if language in ("", "sh", "console", "text"))
    lines = shell.replace("\\\n", " ").splitlines()
    found = (re.match(r"\s*(?:\$ |\S.* )?(?:\S*/)?keyturn ([a-z].*)", line) for line in lines)
    return [shlex.split(match[1], comments=True) for match in found if match]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_that_is_shown_is_one_that_there_is(page):
    for words in commands(page):
        command, given = typer.main.get_command(cli.app), list(words)
        while hasattr(command, "commands"):
            assert set(given[:1]) & command.commands.keys(), f"keyturn {shlex.join(words)}"
            command = command.commands[given.pop(0)]
        known = {name for param in command.params for name in (*param.opts, *param.secondary_opts)}
        assert {word for word in given if word.startswith("--")} <= known, f"keyturn {shlex.join(words)}"


@pytest.mark.parametrize("group", ["", "agents", "oncall", "policy", "audit"])
def test_the_help_lists_what_each_command_is_for_in_whole_sentences(group):
    shown = CliRunner().invoke(cli.app, [*group.split(), "--help"]).output
    assert re.search(r"^Commands:$", shown, flags=re.MULTILINE)
    assert "..." not in shown.partition("Commands:")[2]


def test_the_service_that_is_shown_sets_what_there_is():
    page = (REPO / "docs" / "operations.md").read_text()
    set_there = set(re.findall(r"^((?:KEYTURN|SLACK)_[A-Z_]+)=", page, flags=re.MULTILINE))
    assert set_there
    assert set_there <= {name.upper() for name in Settings.model_fields}


def test_what_is_declared_is_pinned_at_a_version_that_fits():
    pins = dict(line.split("==") for line in (REPO / "constraints.txt").read_text().split())
    pinned = {canonicalize_name(name): version for name, version in pins.items()}
    for requirement in map(Requirement, requirements()):
        version = pinned.get(canonicalize_name(requirement.name))
        assert version is not None, f"constraints.txt does not pin {requirement.name}"
        assert version in requirement.specifier, f"constraints.txt pins {requirement.name} at {version}"
