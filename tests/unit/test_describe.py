"""An action in one line: what it says, and that no value can leave its quotes."""

from decimal import Decimal
from typing import Any

import pytest

from bot.core.describe import Ceremony, action_line, ceremony, target
from bot.core.models import Action, RiskLevel
from bot.core.visible import visible

LINES: list[tuple[str, dict[str, Any], str]] = [
    (
        "file_write",
        {"path": "/etc/motd", "content": "hi", "overwrite": True},
        "Write file “/etc/motd” (2 characters)",
    ),
    (
        "file_write",
        {"path": "a.txt", "content": "", "overwrite": False},
        "Create file “a.txt” (0 characters)",
    ),
    ("file_delete", {"path": "/var/*", "recursive": True}, "Delete “/var/*” and everything below it"),
    ("file_delete", {"path": "x"}, "Delete “x”"),
    ("command_execute", {"command": "sudo rm -rf /"}, "Run “sudo rm -rf /”"),
    (
        "command_execute",
        {"command": "rm", "args": ["-r", "a b"], "cwd": "/srv"},
        "Run “rm -r 'a b'” in “/srv”",
    ),
    (
        "network_request",
        {"url": "https://x.example/a", "method": "post"},
        "Send POST to “https://x.example/a”",
    ),
    (
        "database_modify",
        {"query": "DROP TABLE users", "database": "shop", "params": [1]},
        "Run SQL “DROP TABLE users” with 1 parameter on database “shop”",
    ),
    (
        "config_change",
        {"key": "debug", "old_value": False, "new_value": True},
        "Change setting “debug” from “false” to “true”",
    ),
    (
        "deployment",
        {"environment": "production", "version": "1.2", "services": ["api", "web"]},
        "Deploy “api”, “web” version “1.2” to “production”",
    ),
    ("deployment", {}, "Deploy to an environment that is not named"),
    ("user_data_access", {"user_id": "u1", "data_type": "health"}, "Access “health” of user “u1”"),
    ("external_api_call", {"service": "stripe", "endpoint": "/v1/x"}, "Call “/v1/x” of “stripe”"),
    ("system_modification", {"target": "ntp", "operation": "stop"}, "System: “stop” on “ntp”"),
    (
        "transfer",
        {"amount": Decimal("250000.00"), "currency": "USD", "to": "ACME"},
        "Transfer 250000.00 USD to “ACME”",
    ),
    ("payout", {"amount": "lots"}, "Pay out “lots”"),
    ("refund", {}, "Refund an amount that is not given"),
    ("tool:x", {"a": 1, "b": [True]}, "tool:x with “a” = “1”, “b” = “[true]”"),
    ("tool:x", {}, "tool:x without parameters"),
    ("file_delete", {"recursive": True}, "file_delete with “recursive” = “true”"),
]


@pytest.mark.parametrize(("kind", "params", "line"), LINES)
def test_an_action_is_said_in_words_of_ours(kind: str, params: dict[str, Any], line: str) -> None:
    assert action_line(Action(kind, params)) == line


def test_a_value_cannot_close_its_quotes_or_start_a_line() -> None:
    line = action_line(Action("file_delete", {"path": "x”\n✅ Approved by “Dana"}))
    assert line == r"Delete “x\u201d\n✅ Approved by \u201cDana”"


def test_what_is_left_out_of_a_long_value_is_counted_outside_its_quotes() -> None:
    line = action_line(Action("file_delete", {"path": "y" * 5000}), longest=100)
    assert line == f"Delete “{'y' * 100}…” (and 4,900 more characters)"


TARGETS: list[tuple[str, dict[str, Any], str]] = [
    ("file_delete", {"path": "/var/lib/postgres/"}, "postgres"),
    ("file_delete", {"path": "C:\\Windows\\System32"}, "System32"),
    ("file_delete", {"path": "/"}, "/"),
    ("deployment", {"environment": "production"}, "production"),
    ("database_modify", {"query": "x", "database": "shop"}, "shop"),
    ("network_request", {"url": "https://API.example:8443/x"}, "api.example"),
    ("command_execute", {"command": "/bin/rm -rf /"}, "rm"),
    ("transfer", {"amount": "1"}, "transfer"),
    ("deployment", {}, "deployment"),
    ("network_request", {"url": "http://[broken"}, "network_request"),
    ("file_delete", {"path": "/x/" + "long" * 20}, ("long" * 10)),
    ("file_delete", {"path": "/x/a\u202eb"}, "file_delete"),
    ("file_delete", {"path": '/x/a"b'}, "file_delete"),
    ("file_delete", {"path": "  "}, "file_delete"),
]


@pytest.mark.parametrize(("kind", "params", "typed"), TARGETS)
def test_a_target_is_short_and_can_be_typed(kind: str, params: dict[str, Any], typed: str) -> None:
    assert target(Action(kind, params)) == typed
    assert 0 < len(typed) <= 40


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain é 漢字 😀", "plain é 漢字 😀"),
        ("\u202eevil", r"\u202eevil"),
        ("a\u200bb\u200d\ufeff", r"a\u200bb\u200d\ufeff"),
        ("a\nb\tc\r\x00\x7f\x9b", r"a\nb\tc\r\u0000\u007f\u009b"),
        ("\U000e0041", r"\udb40\udc41"),
        ("⚠\ufe0f", r"⚠\ufe0f"),
        ("a\u00a0b\u3000", r"a\u00a0b\u3000"),
        ("\u2028\u2029\u3164\u2800\u115f", r"\u2028\u2029\u3164\u2800\u115f"),
        ("\ue000\u2066", r"\ue000\u2066"),
        ("e\u0301", "e\u0301"),
        ("e" + "\u0336" * 5, "e\u0336\u0336\u0336" + r"\u0336\u0336"),
    ],
)
def test_what_cannot_be_seen_is_shown_as_an_escape(text: str, shown: str) -> None:
    assert visible(text) == shown
    assert visible(visible(text)) == visible(text)


def test_lines_are_kept_only_where_there_is_room_for_them() -> None:
    assert visible("a\nb", lines=True) == "a\nb"
    assert visible("a\nb") == r"a\nb"


def test_care_grows_with_risk() -> None:
    assert [ceremony(level) for level in RiskLevel] == [
        Ceremony.ONE_TAP,
        Ceremony.ONE_TAP,
        Ceremony.ONE_TAP,
        Ceremony.CONFIRM,
        Ceremony.TYPED,
    ]
