"""The stock handler of agent-safeguards works unchanged, and what its text cannot say is a no."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import keyturn
from keyturn.safeguards import KeyturnChannel, apply_modifications
from tests.stub_keyturn import PATIENCE, TOKEN, StubKeyturn, running_stub

LIBRARY = ["agent-safeguards==0.1.3"]
NEEDED = ["requests", "psutil", "jinja2"]
AGENT = Path(__file__).with_name("safeguards_agent.py")


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The library and the little it really imports, outside this environment."""
    target = tmp_path_factory.mktemp("safeguards")
    for packages in (["--no-deps", *LIBRARY], NEEDED):
        command = [sys.executable, "-m", "pip", "install", "-q", "--target", str(target), *packages]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            pytest.fail(f"{packages} cannot be installed: {done.stderr[-300:]}")
    return target


@pytest.fixture
def stub() -> Iterator[StubKeyturn]:
    with running_stub() as stub:
        yield stub


def decide_by_title(stub: StubKeyturn, request_id: str) -> None:
    request = stub.requests[request_id]
    params = request["params"]
    match request["description"].split("\n")[0]:
        case "approve":
            stub.decide(
                request_id, "approved", reason="At 10:30, see https://wiki/x", conditions={"text": "a: b"}
            )
        case "modify":
            changed = params | {"amount": Decimal("1800.50"), "count": 2}
            stub.decide(request_id, "modified", params=changed, reason="Less: please")
        case "reject":
            stub.decide(request_id, "rejected", reason="Wrong account: see 7")
        case "time out":
            stub.decide(request_id, "timed_out", cause="timeout")
        case "two lines":
            stub.decide(request_id, "modified", params=params | {"note": "a\nb: c"})
        case "remove":
            stub.decide(request_id, "modified", params={"action_type": "transaction"})
        case "late approve":
            threading.Thread(target=approve_once_polled, args=(stub, request_id)).start()


def approve_once_polled(stub: StubKeyturn, request_id: str) -> None:
    stub.wait_for(lambda: any(f"{request_id}?wait=" in path for _, path, _, _ in stub.log))
    stub.decide(request_id, "approved")


@pytest.mark.parametrize("base", ["", "/compat/safeguards/"])
def test_the_stock_handler_works_unchanged(library: Path, stub: StubKeyturn, base: str) -> None:
    stub.on_request = lambda request_id: decide_by_title(stub, request_id)
    done = subprocess.run(
        [sys.executable, str(AGENT), stub.url + base, TOKEN],
        env=os.environ | {"PYTHONPATH": str(library)},
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr
    shown = json.loads(done.stdout)

    statuses = {title: shown[title]["status"] for title in list(shown)[:7]}
    assert statuses == {
        "approve": "approved",
        "modify": "modified",
        "reject": "rejected",
        "time out": "rejected",
        "two lines": "rejected",
        "remove": "rejected",
        "late approve": "approved",
    }
    assert all(shown[title]["callbacks"] == [status] for title, status in statuses.items())
    assert "10" in shown["approve"]["comments"]
    assert ":" not in shown["approve"]["comments"]
    assert shown["modify"]["response_data"] == {"amount": "1800.50", "count": "2"}
    assert shown["modify"]["run"] == ["Decimal 1800.50", "int 2"]
    assert shown["reject"]["comments"] == "Wrong account: see 7"
    assert shown["time out"]["comments"] == "Request timed out"
    assert "does not fit on one line" in shown["two lines"]["comments"]
    assert "removed 'amount'" in shown["remove"]["comments"]
    assert shown["approve"]["caller's keys"] == ["action_type", "amount", "count", "note"]
    assert shown["after shutdown"] == "Failed to send human action request"

    claimed = {title for title in statuses if shown[title]["id"] in stub.claims}
    assert claimed == {"approve", "modify", "late approve"}
    first = stub.requests[shown["approve"]["id"]]
    assert (first["type"], str(first["params"]["amount"]), first["timeout_seconds"]) == (
        "transaction",
        "2500.00",
        300,
    )
    assert stub.requests[shown["by hand"]["id"]]["type"] == "safeguards_alert"
    assert stub.requests[shown["by hand"]["id"]]["urgency"] == "critical"


def alert(**changes: Any) -> Any:
    fields = {"title": "T", "description": "D", "severity": "INFO", "metadata": {"n": 1}} | changes
    return SimpleNamespace(**fields)


class Forgetful:
    """A handler whose own timeout has passed: it has forgotten the request."""

    def __init__(self) -> None:
        self._action_events: dict[str, object] = {}

    def handle(self, request_id: str, approved: bool, comments: str) -> None:
        pytest.fail("it was told")


@pytest.mark.parametrize("shut_down", [True, False])
def test_an_approval_that_nobody_waits_for_is_not_claimed(
    stub: StubKeyturn, monkeypatch: pytest.MonkeyPatch, shut_down: bool
) -> None:
    monkeypatch.setattr("keyturn.safeguards._PATIENCE", 0.02)
    warned = threading.Event()
    monkeypatch.setattr("keyturn.safeguards._log.warning", lambda *_, **__: warned.set())
    with keyturn.Client(stub.url, TOKEN) as client:
        channel, asked = KeyturnChannel(client), alert()
        assert channel.send_notification(asked)
        stub.decide(asked.metadata["request_id"], "approved")
        if shut_down:
            channel.shutdown()
        channel.register_approval_callback(asked.metadata["request_id"], Forgetful().handle)
        assert warned.wait(PATIENCE)
    assert stub.claims == {}


def test_a_claim_that_is_refused_is_a_no(stub: StubKeyturn) -> None:
    heard: list[tuple[str, bool, str]] = []
    done = threading.Event()

    def callback(request_id: str, approved: bool, comments: str) -> None:
        heard.append((request_id, approved, comments))
        done.set()

    with keyturn.Client(stub.url, TOKEN) as client:
        channel, asked = KeyturnChannel(client), alert()
        channel.send_notification(asked)
        request_id = asked.metadata["request_id"]
        stub.decide(request_id, "approved")
        client.claim(request_id)
        channel.register_approval_callback(request_id, callback)
        assert done.wait(PATIENCE)
    assert heard[0][:2] == (request_id, False)
    assert "already_claimed" in heard[0][2]


def test_what_cannot_be_asked_is_not_sent(stub: StubKeyturn, caplog: pytest.LogCaptureFixture) -> None:
    assert not KeyturnChannel().send_notification(alert())
    assert "call initialize" in caplog.text
    with keyturn.Client(stub.url, TOKEN) as client:
        assert not KeyturnChannel(client).send_notification(alert(metadata={"x": b"bytes"}))
    assert "x is a bytes" in caplog.text


@pytest.mark.parametrize(
    ("config", "fix"),
    [
        ({"webhook_url": "http://x"}, "KEYTURN_TOKEN"),
        ({"api_key": "k"}, "KEYTURN_URL"),
        ({"webhook_url": "http://x", "api_key": "k", "timeout_seconds": 0}, "timeout_seconds"),
    ],
)
def test_a_channel_that_cannot_ask_is_not_initialized(
    monkeypatch: pytest.MonkeyPatch, config: dict[str, Any], fix: str
) -> None:
    monkeypatch.delenv("KEYTURN_URL", raising=False)
    monkeypatch.delenv("KEYTURN_TOKEN", raising=False)
    with pytest.raises(ValueError, match=fix):
        KeyturnChannel().initialize(config)


def test_modifications_are_applied_with_the_types_of_the_original() -> None:
    original = {
        "amount": Decimal("2500.00"),
        "count": 3,
        "rate": 0.5,
        "note": "x",
        "dry": False,
        "tags": ["a"],
        "kept": None,
    }
    modifications = {
        "amount": "1800.50",
        "count": "2",
        "rate": "0.25",
        "note": "12",
        "dry": "true",
        "tags": '["b",1.50]',
    }
    changed = apply_modifications(original, modifications)
    assert changed == {
        "amount": Decimal("1800.50"),
        "count": 2,
        "rate": 0.25,
        "note": "12",
        "dry": True,
        "tags": ["b", Decimal("1.50")],
        "kept": None,
    }
    assert type(changed["rate"]) is float


@pytest.mark.parametrize(
    ("before", "text"), [(Decimal(1), "a lot"), (3, "3.5"), (True, "maybe"), (object(), "x")]
)
def test_a_modification_of_another_type_is_refused(before: object, text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        apply_modifications({"x": before}, {"x": text})
