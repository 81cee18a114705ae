"""A small Keyturn server over real HTTP that speaks the contract's shapes, and fails on command.

It keeps its state over `restart`, so a client can be watched through drops, refusals and restarts.
It judges nothing: a test says how each request is decided.
"""

import json
import socket
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from keyturn import exact

TOKEN = "kt_test_token"
PATIENCE = 60
"""Seconds for which a test waits for something to happen."""
Fault = Callable[["Handler"], bool]
"""Does something to an exchange; returns whether the exchange is over."""


def now() -> str:
    return datetime.now(UTC).isoformat().replace("+00:00", "Z")


def drop_before(handler: "Handler") -> bool:
    """Close the connection before anything is stored."""
    handler.drop()
    return True


def drop_after(handler: "Handler") -> bool:
    """Store, then close the connection without an answer."""
    handler.swallow = True
    return False


def answer(status: int, code: str, retry_after: str | None = None) -> Fault:
    """Refuse with a problem document."""

    def fault(handler: "Handler") -> bool:
        handler.problem(status, code, retry_after=retry_after)
        return True

    return fault


def gateway(handler: "Handler") -> bool:
    """Answer as a proxy that lost its server."""
    handler.raw(502, b"<html>Bad Gateway</html>", "text/html")
    return True


def hang(handler: "Handler") -> bool:
    """Store, but never answer; the client must give up by itself."""
    handler.swallow = True
    handler.hold = True
    return False


class StubKeyturn:
    """The server, its state, and the levers a test pulls."""

    def __init__(self) -> None:
        self.requests: dict[str, dict[str, Any]] = {}
        self.keys: dict[str, str] = {}
        self.claims: dict[str, dict[str, Any]] = {}
        self.claim_keys: dict[str, dict[str, Any]] = {}
        self.outcomes: dict[str, dict[str, Any]] = {}
        self.messages: list[dict[str, Any]] = []
        self.log: list[tuple[str, str, dict[str, str], bytes]] = []
        self.events: dict[str, list[tuple[int, str, bytes]]] = {}
        self.faults: deque[tuple[str, Fault]] = deque()
        self.on_request: Callable[[str], object] | None = None
        self.tamper: Callable[[dict[str, Any]], dict[str, Any]] = dict
        self.cond = threading.Condition()
        self.stopping = False
        self._reserved = socket.socket()
        self._port = self._reserve()
        self.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def _reserve(self) -> int:
        """A port that nobody else is given while the server is down; only Linux lets the server bind it."""
        if sys.platform != "linux":
            return 0
        self._reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._reserved.bind(("127.0.0.1", 0))
        return int(self._reserved.getsockname()[1])

    def start(self) -> None:
        self.stopping = False
        self._server = _Server(("127.0.0.1", self._port), Handler)
        self._server.stub = self
        self._port = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()

    def stop(self) -> None:
        """Go away as a killed process does: every connection breaks."""
        with self.cond:
            self.stopping = True
            self.cond.notify_all()
        self._server.shutdown()
        self.sever()
        self._server.server_close()
        self._thread.join()

    def close(self) -> None:
        """Go away for good."""
        if not self.stopping:
            self.stop()
        self._reserved.close()

    def sever(self) -> None:
        """Break every open connection."""
        self._server.sever()

    def fail(self, method_and_path: str, *faults: Fault) -> None:
        """Queue faults for the next calls that match, e.g. `POST /v1/requests`."""
        self.faults.extend((method_and_path, fault) for fault in faults)

    def fault_for(self, line: str) -> Fault | None:
        with self.cond:
            for at, (pattern, fault) in enumerate(self.faults):
                if line == pattern or (pattern.endswith("*") and line.startswith(pattern[:-1])):
                    del self.faults[at]
                    return fault
        return None

    def wait_for(self, condition: Callable[[], bool]) -> None:
        with self.cond:
            assert self.cond.wait_for(condition, PATIENCE), "the stub waited for something that never came"

    def calls(self, method: str, ending: str) -> list[tuple[dict[str, str], bytes]]:
        """Headers and bodies of the calls whose path ends so."""
        return [(h, b) for m, p, h, b in self.log if m == method and urlsplit(p).path.endswith(ending)]

    def decide(self, request_id: str, status: str, **changes: Any) -> None:
        """Settle a request. `params` modifies it; `cause`, `reason`, `by`, `conditions` as given."""
        with self.cond:
            request = self.requests[request_id]
            runs = status in ("approved", "modified")
            params = changes.get("params", request["params"])
            cause = changes.get("cause", "human")
            request["status"], request["cause"] = status, cause
            request["automatic"] = cause in ("policy_rule", "risk_threshold", "grant", "paused")
            unchanged = params is request["params"]
            request["decision"] = {
                "status": status,
                "by": [{"id": "U0DANA001", "name": "Dana"}] if cause == "human" else [],
                "reason": changes.get("reason"),
                "conditions": changes.get("conditions"),
                "params": params if runs else None,
                "digest": exact.digest(request["type"], params) if runs else None,
                "preview_digest": request["preview_digest"] if runs and unchanged else None,
                "decided_at": now(),
                "expires_at": later() if runs else None,
            }
            self.changed(request_id, f"action_{status}")

    def changed(self, request_id: str, event: str) -> None:
        with self.cond:
            told = self.events.setdefault(request_id, [])
            told.append((100 + len(told), event, exact.dumps(self.requests[request_id]).encode()))
            self.cond.notify_all()

    def store(self, body: dict[str, Any], key: str) -> tuple[int, dict[str, Any]] | str:
        with self.cond:
            if key in self.keys:
                known = self.requests[self.keys[key]]
                if known["_body"] != exact.dumps(body):
                    return "idempotency_conflict"
                return 200, known
            request_id = f"req_{len(self.requests) + 1:04}"
            self.keys[key] = request_id
            self.requests[request_id] = resource(request_id, body)
            self.changed(request_id, "action_requested")
        if self.on_request is not None:
            self.on_request(request_id)
        return 201, self.requests[request_id]

    def claim(self, request_id: str, body: Mapping[str, Any], key: str) -> tuple[int, Any]:
        with self.cond:
            if key in self.claim_keys:
                return 200, self.claim_keys[key]
            request = self.requests[request_id]
            decision = request["decision"]
            if request_id in self.claims:
                return 409, "already_claimed"
            if decision is None or decision["params"] is None:
                return 409, "not_approved"
            if body["digest"] != decision["digest"]:
                return 409, "digest_mismatch"
            if (
                decision["preview_digest"] is not None
                and body.get("preview_digest") != decision["preview_digest"]
            ):
                return 409, "preview_changed"
            claim = self.tamper(
                {
                    "params": decision["params"],
                    "digest": decision["digest"],
                    "receipt": "eyJ.stub.receipt",
                    "expires_at": later(),
                }
            )
            self.claims[request_id] = self.claim_keys[key] = claim
            request["execution"] |= {"state": "claimed", "claimed_at": now()}
            self.changed(request_id, "action_claimed")
            return 200, claim

    def outcome(self, request_id: str, body: dict[str, Any]) -> tuple[int, Any]:
        with self.cond:
            if request_id not in self.claims:
                return 409, "not_claimed"
            if self.outcomes.setdefault(request_id, body) != body:
                return 409, "outcome_conflict"
            request, success = self.requests[request_id], body["success"]
            request["execution"] |= {"state": "succeeded" if success else "failed", "success": success}
            self.changed(request_id, "action_executed" if success else "action_failed")
            return 200, request


def later() -> str:
    return (datetime.now(UTC) + timedelta(minutes=15)).isoformat().replace("+00:00", "Z")


def resource(request_id: str, body: Mapping[str, Any]) -> dict[str, Any]:
    preview = body.get("preview")
    submitted = dict.fromkeys(
        ("reason", "session_id", "on_behalf_of", "timeout_seconds", "escalate_to", "params_schema", "preview",
         "rollback", "callback_url", "metadata")
    )  # fmt: skip
    return {
        **submitted,
        "urgency": "normal",
        "alternatives": [],
        "related": [],
        **body,
        "id": request_id,
        "agent": "tester",
        "digest": exact.digest(body["type"], body["params"]),
        "preview_digest": None if preview is None else "sha256:" + sha256(preview.encode()).hexdigest(),
        "status": "pending",
        "automatic": False,
        "cause": None,
        "risk": {
            "level": "medium",
            "score": 35,
            "factors": [{"name": "unknown_action", "points": 35, "detail": "Nobody knows this type."}],
            "recommendation": "require_approval",
        },
        "policy": {
            "name": "default",
            "version": "sha256:1",
            "rule": "default",
            "effect": "review",
            "explanation": "No rule decided.",
        },
        "requirement": {
            "quorum": 1,
            "one_from_each": False,
            "approvers": [{"group": "sre", "source": "users", "users": ["U0DANA001"]}],
            "missing": {"count": 1, "groups": []},
        },
        "reviews": [],
        "proposal": None,
        "decision": None,
        "level": 0,
        "next_escalation_at": None,
        "deadline_at": later(),
        "execution": {
            "state": "not_started",
            "claimed_at": None,
            "finished_at": None,
            "success": None,
            "error": None,
            "rollback_id": None,
        },
        "messages": [],
        "links": {"self": f"/v1/requests/{request_id}", "slack": None},
        "created_at": now(),
        "updated_at": now(),
        "_body": exact.dumps(body),
    }


class _Server(ThreadingHTTPServer):
    daemon_threads = False
    stub: StubKeyturn

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._open: set[Any] = set()
        self._guard = threading.Lock()

    def process_request(self, request: Any, client_address: Any) -> None:
        with self._guard:
            self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        with self._guard:
            self._open.discard(request)
        super().shutdown_request(request)

    def sever(self) -> None:
        with self._guard:
            for connection in self._open:
                # One that its client has reset already is not connected any more.
                with suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is what many tests are about."""


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server
    swallow = False
    hold = False

    def log_message(self, format: str, *args: Any) -> None:
        pass

    @property
    def stub(self) -> StubKeyturn:
        return self.server.stub

    def do_GET(self) -> None:
        self._serve(b"")

    def do_POST(self) -> None:
        self._serve(self.rfile.read(int(self.headers["Content-Length"])))

    def _serve(self, body: bytes) -> None:
        self.swallow = self.hold = False
        parts = urlsplit(self.path)
        with self.stub.cond:
            headers = {name.lower(): value for name, value in self.headers.items()}
            self.stub.log.append((self.command, self.path, headers, body))
            self.stub.cond.notify_all()
        fault = self.stub.fault_for(f"{self.command} {parts.path}")
        if fault is not None and fault(self):
            return
        if self.headers["Authorization"] != f"Bearer {TOKEN}":
            self.problem(401, "unauthorized")
            return
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        self._route(parts.path.strip("/").split("/"), query, exact.loads(body) if body else {})

    def _route(self, path: list[str], query: Mapping[str, str], body: dict[str, Any]) -> None:
        stub, key = self.stub, self.headers.get("Idempotency-Key", "")
        match self.command, path:
            case "POST", ["v1", "requests"]:
                self._answer(stub.store(body, key))
            case "POST", ["v1", "evaluate"]:
                made = resource("req_none", body)
                shown = {name: made[name] for name in ("digest", "risk", "policy", "requirement")}
                self.send(200, shown | {"effect": "review"})
            case "GET", ["v1", "requests"]:
                items = [
                    r for r in reversed(stub.requests.values()) if query.get("status") in (None, r["status"])
                ]
                self.send(200, {"items": items[: int(query.get("limit", 50))], "next_cursor": None})
            case _, ["v1", "requests", request_id, *_] if request_id not in stub.requests:
                self.problem(404, "not_found")
            case "GET", ["v1", "requests", request_id]:
                self._poll(request_id, int(query.get("wait", 0)))
            case "GET", ["v1", "requests", request_id, "events"]:
                self._stream(request_id)
            case "POST", ["v1", "requests", request_id, "claim"]:
                self._answer(stub.claim(request_id, body, key))
            case "POST", ["v1", "requests", request_id, "outcome"]:
                self._answer(stub.outcome(request_id, body))
            case "POST", ["v1", "requests", request_id, "cancel"]:
                if stub.requests[request_id]["status"] == "pending":
                    stub.decide(request_id, "cancelled", cause="cancelled_by_agent", reason=body["reason"])
                self.send(200, stub.requests[request_id])
            case "POST", ["v1", "requests", request_id, "messages"]:
                stub.messages.append(body)
                self.send(201, stub.requests[request_id])
            case _, ["v1", "sessions", *rest]:
                self._session(rest, body, query)
            case _:
                self.problem(404, "not_found")

    def _session(self, rest: list[str], body: Mapping[str, Any], query: Mapping[str, str]) -> None:
        session = {"id": rest[0] if rest else body["id"], "name": body.get("name"), "started_at": now(),
                   "ended_at": None, "counts": {"pending": 0}}  # fmt: skip
        match rest:
            case []:
                self.send(201, session)
            case [_, "end"]:
                self.send(200, session | {"ended_at": now(), "summary": body.get("summary")})
            case [_, "timeline"]:
                story = {None: (7, "session_started", "7"), "7": (8, "session_ended", None)}
                seq, name, following = story[query.get("cursor")]
                event = {"seq": seq, "at": now(), "event": name, "actor": {"type": "agent"},
                         "via": "http", "body": {}}  # fmt: skip
                self.send(200, {"items": [event], "next_cursor": following})
            case _:
                self.send(200, session)

    def _poll(self, request_id: str, seconds: int) -> None:
        request = self.stub.requests[request_id]
        with self.stub.cond:
            self.stub.cond.wait_for(lambda: self.stub.stopping or request["status"] != "pending", seconds)
        if self.stub.stopping:
            self.drop()
            return
        self.send(200, request)

    def _stream(self, request_id: str) -> None:
        last = int(self.headers.get("Last-Event-ID", 0))
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()
        stub = self.stub
        if not last:
            seq = stub.events[request_id][-1][0]
            self._event(seq, "state", exact.dumps(stub.requests[request_id]).encode())
            last = seq
        while not self._finished(request_id, last):
            with stub.cond:
                while not stub.stopping and stub.events[request_id][-1][0] <= last:
                    stub.cond.wait(20)
                fresh = [event for event in stub.events[request_id] if event[0] > last]
            if stub.stopping:
                break
            for seq, name, data in fresh:
                self._event(seq, name, data)
                last = seq
                if stub.fault_for(f"EVENT {name}") is not None:
                    self.drop()
                    return
        self.close_connection = True

    def _finished(self, request_id: str, last: int) -> bool:
        request = self.stub.requests[request_id]
        over = request["execution"]["state"] in ("succeeded", "failed") or request["status"] in (
            "rejected", "timed_out", "cancelled",
        )  # fmt: skip
        return over and self.stub.events[request_id][-1][0] <= last

    def _event(self, seq: int, name: str, data: bytes) -> None:
        self.wfile.write(b": heartbeat\n\nid: %d\r\nevent: %s\ndata: %s\n\n" % (seq, name.encode(), data))

    def _answer(self, result: tuple[int, Any] | str) -> None:
        status, value = result if isinstance(result, tuple) else (409, result)
        if isinstance(value, str):
            self.problem(status, value)
        else:
            self.send(status, value)

    def send(self, status: int, value: Mapping[str, Any]) -> None:
        shown = {name: item for name, item in value.items() if name != "_body"}
        self.raw(status, exact.dumps(shown).encode(), "application/json")

    def problem(self, status: int, code: str, retry_after: str | None = None) -> None:
        body = {
            "type": "about:blank",
            "title": code,
            "status": status,
            "detail": f"{code} it is",
            "code": code,
        }
        self.raw(status, json.dumps(body | {"code": code}).encode(), "application/problem+json", retry_after)

    def raw(self, status: int, body: bytes, kind: str, retry_after: str | None = None) -> None:
        if self.hold:
            self.stub.wait_for(lambda: self.stub.stopping)
        if self.swallow:
            self.drop()
            return
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        if retry_after is not None:
            self.send_header("Retry-After", retry_after)
        self.end_headers()
        self.wfile.write(body)

    def drop(self) -> None:
        """Break the connection without a word."""
        self.close_connection = True
        self.connection.shutdown(socket.SHUT_RDWR)


@contextmanager
def running_stub() -> Iterator[StubKeyturn]:
    stub = StubKeyturn()
    try:
        yield stub
    finally:
        stub.close()
