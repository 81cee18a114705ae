"""The app manifest: valid by Slack's own schemas, and the same everywhere it stands."""

import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft7Validator
from ruamel.yaml import YAML

from bot.sandbox import load_workspace
from bot.slack import audit_desk, undo
from bot.slack.commands import COMMAND, WORDS
from bot.slack.manifest import manifest

ROOT = Path(__file__).parents[2]
SCHEMAS = ROOT / "tests" / "fixtures" / "slack" / "manifest-schema"
URL = "https://keyturn.example.com/slack/events"


def problems(given: dict[str, Any], version: int) -> list[str]:
    schema = json.loads((SCHEMAS / f"slackapi-v{version}.json").read_text())
    return [error.message for error in Draft7Validator(schema).iter_errors(given)]


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("http_url", [None, "https://keyturn.example.com"])
def test_slack_accepts_both_manifests(http_url: str | None, version: int) -> None:
    given = manifest(http_url)
    given["_metadata"]["major_version"] = version
    assert problems(given, version) == []


def test_the_shipped_file_is_the_socket_mode_manifest() -> None:
    assert YAML(typ="safe").load(ROOT / "manifest.yml") == manifest(None)


def test_every_command_that_is_answered_is_declared_in_both_places_alike() -> None:
    declared = {c["command"]: c["should_escape"] for c in manifest(None)["features"]["slash_commands"]}
    assert declared.keys() == {COMMAND, audit_desk.COMMAND, undo.NAME}
    known = load_workspace().commands
    assert {name: command.should_escape for name, command in known.items()} == declared


def test_the_hint_names_every_subcommand() -> None:
    [hint] = [
        c["usage_hint"] for c in manifest(None)["features"]["slash_commands"] if c["command"] == COMMAND
    ]
    words = ["queue", "who", "simulate", "oncall", "grants", "pause", "resume", "agents", "audit", "rollback"]
    assert set(words) <= set(hint.split(" | "))
    assert set(words) <= set(WORDS)


def test_socket_mode_names_no_address() -> None:
    given = manifest(None)
    assert given["settings"]["socket_mode_enabled"] is True
    assert "https://" not in json.dumps(given)


@pytest.mark.parametrize("given", ["https://keyturn.example.com", "https://keyturn.example.com/", URL])
def test_over_http_everything_is_delivered_to_one_address(given: str) -> None:
    made = manifest(given)
    assert made["settings"]["socket_mode_enabled"] is False
    assert made["settings"]["interactivity"]["request_url"] == URL
    assert made["settings"]["event_subscriptions"]["request_url"] == URL
    assert {command["url"] for command in made["features"]["slash_commands"]} == {URL}


@pytest.mark.parametrize("address", ["http://keyturn.example.com", "keyturn.example.com", ""])
def test_slack_would_not_deliver_over_plain_http(address: str) -> None:
    with pytest.raises(ValueError, match="https"):
        manifest(address)
