"""What a request's body may hold, and what is said of one that does not."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from bot.core import jsontext
from bot.core.errors import InvalidRequest
from bot.core.models import Alternative, Submission, Urgency
from bot.http.submission import parse_submission
from tests.factories import make_agent

AGENT = make_agent(callback_hosts=("hooks.example.com", "ci.example.com:8443"))


def body(**changes: Any) -> dict[str, Any]:
    return {
        "type": "transfer",
        "params": {"amount": Decimal("2500.00"), "to": "ACME"},
        "description": "Pay the invoice.",
        **changes,
    }


def parse(**changes: Any) -> Submission:
    return parse_submission(body(**changes), AGENT)


def faults(**changes: Any) -> dict[str, str]:
    with pytest.raises(InvalidRequest) as refusal:
        parse(**changes)
    return dict(refusal.value.errors)


def test_every_field_arrives() -> None:
    undo = [{"type": "custom", "handler": "refund", "data": {"id": 7}}]
    given = parse(
        reason="Due today.",
        session_id="run-1",
        on_behalf_of="dana@example.com",
        urgency="high",
        timeout_seconds=300,
        escalate_to="manager",
        params_schema={"type": "object"},
        preview="+ 1 row",
        alternatives=[{"description": "Half.", "params": {"amount": 1250}}],
        related=["req_0190"],
        rollback=undo,
        callback_url="https://hooks.example.com/kt",
        metadata={"ticket": "OPS-1"},
    )
    assert given.action.params == {"amount": Decimal("2500.00"), "to": "ACME"}
    assert given.urgency is Urgency.HIGH
    assert given.timeout == timedelta(minutes=5)
    assert given.alternatives == (Alternative("Half.", {"amount": 1250}),)
    assert given.rollback == undo
    assert (given.session_id, given.related) == ("run-1", ("req_0190",))


def test_what_is_null_counts_as_left_out() -> None:
    optional = ("reason", "session_id", "urgency", "timeout_seconds", "params_schema", "rollback", "metadata")
    assert parse(**dict.fromkeys(optional)) == parse()


def test_decimals_keep_their_zeros() -> None:
    value = jsontext.loads(b'{"type":"x","params":{"a":2500.00},"description":"d"}')
    assert jsontext.dumps(parse_submission(value, AGENT).action.params) == b'{"a":2500.00}'


@pytest.mark.parametrize("value", [None, [], "text", 5])
def test_a_body_that_is_no_object_is_refused(value: Any) -> None:
    with pytest.raises(InvalidRequest):
        parse_submission(value, AGENT)


def test_all_faults_are_told_at_once() -> None:
    with pytest.raises(InvalidRequest) as refusal:
        parse_submission({"type": "Bad Type", "risk": "low", "params": []}, AGENT)
    assert {pointer for pointer, _ in refusal.value.errors} == {"/type", "/risk", "/params", "/description"}


@pytest.mark.parametrize(
    ("changes", "pointer"),
    [
        ({"type": ""}, "/type"),
        ({"type": "a" * 65}, "/type"),
        ({"type": "transfer\n"}, "/type"),
        ({"params": None}, "/params"),
        ({"description": ""}, "/description"),
        ({"description": "x" * 3001}, "/description"),
        ({"urgency": "urgent"}, "/urgency"),
        ({"timeout_seconds": 0}, "/timeout_seconds"),
        ({"timeout_seconds": 604_801}, "/timeout_seconds"),
        ({"timeout_seconds": "300"}, "/timeout_seconds"),
        ({"timeout_seconds": True}, "/timeout_seconds"),
        ({"timeout_seconds": Decimal("1.5")}, "/timeout_seconds"),
        ({"session_id": "a/b"}, "/session_id"),
        ({"on_behalf_of": "Dana"}, "/on_behalf_of"),
        ({"related": ["other"]}, "/related/0"),
        ({"alternatives": [{"description": "d"}]}, "/alternatives/0/params"),
        ({"metadata": []}, "/metadata"),
        ({"policy": "mine"}, "/policy"),
    ],
)
def test_a_wrong_field_is_named(changes: dict[str, Any], pointer: str) -> None:
    assert pointer in faults(**changes)


@pytest.mark.parametrize(
    ("text", "fault"),
    [("", "must have at least 1 character"), ("x" * 3001, "must have at most 3000 characters")],
)
def test_a_length_is_told_as_people_count(text: str, fault: str) -> None:
    with pytest.raises(InvalidRequest) as refusal:
        parse_submission({"type": "transfer", "params": {}, "description": text}, AGENT)
    assert refusal.value.errors == (("/description", fault),)


def test_a_whole_number_may_be_written_with_a_point() -> None:
    assert parse(timeout_seconds=Decimal("300.0")).timeout == timedelta(minutes=5)


@pytest.mark.parametrize(
    ("type", "params", "wrong"),
    [
        ("file_write", {"path": 5}, "path"),
        ("file_write", {"overwrite": "yes"}, "overwrite"),
        ("file_delete", {"recursive": 1}, "recursive"),
        ("command_execute", {"args": ["-l", 5]}, "args"),
        ("command_execute", {"args": "-l"}, "args"),
        ("network_request", {"headers": []}, "headers"),
        ("database_modify", {"params": {}}, "params"),
        ("deployment", {"services": [None]}, "services"),
        ("payout", {"amount": True}, "amount"),
        ("payment", {"amount": None}, "amount"),
    ],
)
def test_a_known_param_of_the_wrong_type_is_refused(type: str, params: dict[str, Any], wrong: str) -> None:
    assert f"/params/{wrong}" in faults(type=type, params=params)


@pytest.mark.parametrize(
    ("type", "params"),
    [
        ("file_write", {"path": "/tmp/x", "content": "", "overwrite": False, "owner": 5}),
        ("config_change", {"key": "a", "old_value": None, "new_value": [1]}),
        ("transfer", {"amount": "2500.00", "currency": "EUR"}),
        ("transfer", {"amount": "a lot"}),
        ("anything:else", {"path": 5}),
    ],
)
def test_other_params_are_kept(type: str, params: dict[str, Any]) -> None:
    assert parse(type=type, params=params).action.params == params


def test_an_alternatives_params_are_held_to_the_type_too() -> None:
    assert "/alternatives/0/params/amount" in faults(
        alternatives=[{"description": "d", "params": {"amount": []}}]
    )


@pytest.mark.parametrize("who", ["<@U0123ABCD>", "<dana@example.com>", "@dana", "dana", "u0123abcd", "a@b@c"])
def test_nobody_is_meant_by_a_mention(who: str) -> None:
    assert "/on_behalf_of" in faults(on_behalf_of=who)
    assert parse(on_behalf_of="dana@example.com").on_behalf_of == "dana@example.com"


def test_params_must_satisfy_their_own_schema() -> None:
    schema = {"properties": {"amount": {"maximum": Decimal("2499.99")}}}
    assert "/params/amount" in faults(params_schema=schema)
    cents = {"properties": {"amount": {"multipleOf": Decimal("0.01")}}}
    assert parse(params_schema=cents).params_schema == cents


@pytest.mark.parametrize(
    ("schema", "pointer"),
    [
        ({"type": "text"}, "/params_schema/type"),
        ({"$ref": "https://example.com/schema.json"}, "/params_schema"),
        ({"$ref": "file:///etc/passwd"}, "/params_schema"),
        ({"$schema": "http://json-schema.org/draft-07/schema#"}, "/params_schema/$schema"),
        ({"properties": {"a": {"pattern": r"(a)\1"}}}, "/params_schema/properties/a/pattern"),
        ({"properties": {"a": {"pattern": "(?=b)"}}}, "/params_schema/properties/a/pattern"),
        ({"description": "x" * 32768}, "/params_schema"),
    ],
)
def test_a_schema_that_cannot_be_used_is_refused(schema: dict[str, Any], pointer: str) -> None:
    assert pointer in faults(params_schema=schema)


def test_a_hostile_pattern_is_answered_in_linear_time() -> None:
    schema = {"properties": {"to": {"pattern": "^(a+)+$"}}}
    assert "/params/to" in faults(params={"to": "a" * 20_000 + "b"}, params_schema=schema)


@pytest.mark.parametrize(
    "url",
    [
        "https://hooks.example.com/x",
        "https://HOOKS.example.com:444/x",
        "https://ci.example.com:8443/",
        "https://hooks.example.com./",
    ],
)
def test_a_callback_to_an_allowed_host_is_taken(url: str) -> None:
    assert parse(callback_url=url).callback_url == url


@pytest.mark.parametrize(
    "url",
    [
        "https://evil.example.com/x",
        "https://ci.example.com/x",
        "https://hooks.example.com@evil.example.com/",
        "https://user:pass@hooks.example.com/",
        "https://hooks.example.com.evil.example.com/",
        "ftp://hooks.example.com/",
        "hooks.example.com/x",
        "https://[::1",
        "https://hooks.example.com:port/",
    ],
)
def test_any_other_callback_is_refused(url: str) -> None:
    assert "/callback_url" in faults(callback_url=url)


@pytest.mark.parametrize(
    "undo",
    [
        {"type": "file_restore", "path": "/a", "existed": False},
        {"type": "file_restore", "path": "/a", "existed": True, "original_content": "x", "mode": 0o644},
        {"type": "file_restore", "path": "/a", "existed": True, "original_base64": "eA=="},
        {"type": "command_undo", "argv": ["git", "revert", "HEAD"], "cwd": "/repo"},
        {
            "type": "database_restore",
            "database": "shop",
            "statements": [{"sql": "INSERT …", "params": [1, None]}],
        },
        {"type": "config_restore", "store": "s", "key": "k", "had_value": True, "old_value": {"a": 1}},
        {"type": "custom", "handler": "h", "data": [1]},
        [{"type": "custom", "handler": "h"}, {"type": "custom", "handler": "i"}],
    ],
)
def test_a_planned_undo_is_kept_as_sent(undo: Any) -> None:
    assert parse(rollback=undo).rollback == undo


@pytest.mark.parametrize(
    ("undo", "pointer"),
    [
        ({}, "/rollback"),
        ([], "/rollback"),
        ("undo it", "/rollback"),
        ({"type": "shell", "line": "rm"}, "/rollback"),
        ({"type": "command_undo", "argv": []}, "/rollback/argv"),
        ({"type": "command_undo", "argv": "rm x"}, "/rollback/argv"),
        ({"type": "file_restore", "path": "/a", "existed": True}, "/rollback"),
        ({"type": "file_restore", "path": "/a", "existed": False, "mode": "0644"}, "/rollback/mode"),
        (
            {"type": "file_restore", "path": "/a", "existed": True, "original_base64": "eA"},
            "/rollback/original_base64",
        ),
        ([{"type": "custom"}], "/rollback/0/handler"),
        ({"type": "custom", "handler": "h", "run": "now"}, "/rollback/run"),
    ],
)
def test_an_undo_of_another_shape_is_refused(undo: Any, pointer: str) -> None:
    assert pointer in faults(rollback=undo)
