"""Sessions, the Safeguards channel and the operators' endpoints, over real HTTP."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send

from bot.http.app import LARGEST_SLACK_BODY
from bot.http.face import Facts
from bot.services import sessions
from tests.integration.http_face import ALLOWED, ASK, World, served

APPROVAL = "/compat/safeguards/request-approval"


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with served(tmp_path) as world:
        yield world


async def test_a_session_is_started_once_counted_and_ended(world: World) -> None:
    first = await world.client.post("/v1/sessions", json={"id": "run-1", "name": "Nightly"})
    again = await world.client.post("/v1/sessions", json={"id": "run-1"})
    assert (first.status_code, again.status_code) == (201, 200)
    for body in (ASK, ALLOWED, ALLOWED):
        await world.client.post("/v1/requests", json={**body, "session_id": "run-1"})
    ended = (await world.client.post("/v1/sessions/run-1/end", json={"summary": "Fine."})).json()
    none = dict.fromkeys(["modified", "rejected", "timed_out", "cancelled"], 0)
    assert (ended["counts"], ended["summary"]) == ({"approved": 2, "pending": 1, **none}, "Fine.")
    assert ended["actor"] == {"type": "agent", "id": "builder", "name": "builder"}
    assert ended["ended_at"] is not None
    assert (await world.client.get("/v1/sessions/run-1")).json() == ended


async def test_a_session_without_an_id_gets_one(world: World) -> None:
    made = await world.client.post("/v1/sessions")
    assert made.status_code == 201
    assert made.json()["id"].startswith("ses_")


async def test_a_request_starts_the_session_it_names(world: World) -> None:
    await world.client.post("/v1/requests", json={**ASK, "session_id": "run-2"})
    timeline = (await world.client.get("/v1/sessions/run-2/timeline")).json()["items"]
    names = [event["event"] for event in timeline]
    assert names == ["session_started", "action_requested", "policy_applied"]
    assert timeline[2]["prev_hash"] == timeline[1]["hash"]
    assert timeline[1]["actor"] == {"type": "agent", "id": "builder", "name": "builder"}


async def test_session_ids_belong_to_their_agent(world: World) -> None:
    other = {"Authorization": f"Bearer {await world.token('other')}"}
    await world.client.post("/v1/sessions", json={"id": "run-1"})
    assert (await world.client.get("/v1/sessions/run-1", headers=other)).status_code == 404
    assert (await world.client.post("/v1/sessions", json={"id": "run-1"}, headers=other)).status_code == 201


async def test_an_auditor_reads_every_agents_sessions(world: World) -> None:
    other = {"Authorization": f"Bearer {await world.token('other')}"}
    auditor = {"Authorization": f"Bearer {await world.token('eye', scopes=['auditor'])}"}
    await world.client.post("/v1/sessions", json={"id": "run-1"})
    found = await world.client.get("/v1/sessions/run-1", headers=auditor)
    assert (found.status_code, found.json()["agent"]) == (200, "builder")
    await world.client.post("/v1/sessions", json={"id": "run-1"}, headers=other)
    unclear = await world.client.get("/v1/sessions/run-1/timeline", headers=auditor)
    assert (unclear.status_code, unclear.json()["errors"][0]["pointer"]) == (422, "agent")
    named = await world.client.get("/v1/sessions/run-1/timeline?agent=other", headers=auditor)
    assert [event["agent"] for event in named.json()["items"]] == ["other"]
    assert (await world.client.get("/v1/sessions/run-1?agent=nobody", headers=auditor)).status_code == 404
    assert (await world.client.get("/v1/sessions/run-1?agent=builder", headers=other)).status_code == 404
    assert (await world.client.post("/v1/sessions/run-1/end", headers=auditor)).status_code == 403


async def test_a_long_timeline_is_read_page_by_page(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessions, "AT_ONCE", 2)
    await world.client.post("/v1/requests", json={**ALLOWED, "session_id": "run-1"})
    names: list[str] = []
    cursor = ""
    while cursor is not None:
        path = "/v1/sessions/run-1/timeline" + (f"?cursor={cursor}" if cursor else "")
        page = (await world.client.get(path)).json()
        names += [event["event"] for event in page["items"]]
        cursor = page["next_cursor"]
    assert names == ["session_started", "action_requested", "policy_applied", "action_approved"]
    assert (await world.client.get("/v1/sessions/run-1/timeline?cursor=x")).status_code == 422


def alert(world: World, **changes: Any) -> dict[str, Any]:
    """What the library posts."""
    expires_at = world.clock.now().timestamp() * 1000 + 300_000.25
    return {
        "id": "794015dd-a49f-45ae-ac14-20ca22af292b",
        "title": "T",
        "description": "D",
        "severity": "WARNING",
        "timestamp": "2026-11-22T07:35:21.856302",
        "metadata": {"action_type": "transaction", "amount": "2500.00"},
        "expires_at": expires_at,
        "callback_url": "http://127.0.0.1:45309/api/callback",
        **changes,
    }


@pytest.mark.parametrize("path", [APPROVAL, "/compat/safeguards//request-approval"])
async def test_the_safeguards_library_is_answered(world: World, path: str) -> None:
    sent = alert(world)
    answer = await world.client.post(path, json=sent)
    told = answer.json()
    assert (answer.status_code, told["status"], told["approved"]) == (202, "pending", False)
    request = (await world.client.get(f"/v1/requests/{told['request_id']}")).json()
    assert (request["type"], request["params"]) == ("transaction", sent["metadata"])
    assert (request["description"], request["callback_url"]) == ("T: D", None)
    ends = datetime.fromtimestamp(sent["expires_at"] / 1000, UTC)
    assert abs(datetime.fromisoformat(request["deadline_at"]) - ends) < timedelta(milliseconds=1)
    assert (await world.client.post(path, json=sent)).json() == told


async def test_what_was_taken_in_time_is_answered_afterwards_too(world: World) -> None:
    sent = alert(world)
    told = (await world.client.post(APPROVAL, json=sent)).json()
    world.clock.shift = timedelta(hours=1)
    late = await world.client.post(APPROVAL, json=sent)
    assert (late.status_code, late.json()) == (202, told)
    other = await world.client.post(APPROVAL, json={**sent, "title": "Other"})
    assert (other.status_code, other.json()["code"]) == (409, "idempotency_conflict")
    fresh = await world.client.post(APPROVAL, json={**sent, "id": "another"})
    assert (fresh.status_code, fresh.json()["errors"][0]["pointer"]) == (422, "/expires_at")


async def test_the_clients_own_deadline_cuts_the_ladder(world: World) -> None:
    soon = world.clock.now().timestamp() * 1000 + 60_000
    told = (await world.client.post(APPROVAL, json=alert(world, expires_at=soon))).json()
    request = (await world.client.get(f"/v1/requests/{told['request_id']}")).json()
    stored = await world.store.reads.request(told["request_id"])
    assert stored is not None
    assert stored.deadline_at is not None
    assert abs(stored.deadline_at.timestamp() * 1000 - soon) < 1
    assert request["next_escalation_at"] is None


async def test_a_safeguards_decision_is_read_by_the_clients_id(world: World) -> None:
    told = (await world.client.post(APPROVAL, json=alert(world, id="my id"))).json()
    await world.approve(told["request_id"], reason="Go ahead.")
    status = (await world.client.get("/compat/safeguards/requests/my%20id")).json()
    assert status == {
        "id": "my id",
        "request_id": told["request_id"],
        "status": "approved",
        "approved": True,
        "comments": "Go ahead.",
        "response_data": None,
    }
    other = {"Authorization": f"Bearer {await world.token('other')}"}
    assert (await world.client.get("/compat/safeguards/requests/my%20id", headers=other)).status_code == 404


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"id": "x" * 129}, 422),
        ({"id": ""}, 422),
        ({"id": "a\nb"}, 422),
        ({"id": "ünï/1?"}, 202),
        ({"expires_at": 1000.5}, 422),
        ({"expires_at": "soon"}, 422),
        ({"metadata": {"action_type": "transaction", "amount": []}}, 422),
        ({"severity": "BAD"}, 422),
        ({"agent_id": "somebody else"}, 202),
        ({"metadata": {"action_type": "Not A Type"}}, 202),
        ({"title": "", "description": ""}, 202),
        ({"description": "long" * 2000}, 202),
    ],
)
async def test_a_safeguards_body_is_read_as_it_is_sent(
    world: World, changes: dict[str, Any], status: int
) -> None:
    answer = await world.client.post(APPROVAL, json=alert(world, **changes))
    assert answer.status_code == status, answer.text


async def test_another_body_under_the_same_client_id_is_a_conflict(world: World) -> None:
    await world.client.post(APPROVAL, json=alert(world))
    answer = await world.client.post(APPROVAL, json=alert(world, title="Other"))
    assert (answer.status_code, answer.json()["code"]) == (409, "idempotency_conflict")


async def test_a_clients_id_and_an_idempotency_key_never_meet(world: World) -> None:
    await world.client.post("/v1/requests", json=ASK, headers={"Idempotency-Key": "same"})
    assert (await world.client.post(APPROVAL, json=alert(world, id="same"))).status_code == 202


async def test_readiness_shows_what_is_wrong(world: World) -> None:
    assert (await world.client.get("/readyz")).status_code == 503
    world.health.beat("outbox")
    ready = await world.client.get("/readyz")
    assert (ready.status_code, ready.json()["status"]) == (200, "ready")
    assert ready.json()["loops"]["outbox"]["ok"] is True
    on_time = {"overdue_seconds": 0, "latest_seconds": 0, "worst_seconds": 0}
    assert ready.json()["lateness"] == on_time
    world.health.late(timedelta(seconds=40))
    world.health.late(timedelta(milliseconds=20))
    late = (await world.client.get("/readyz")).json()["lateness"]
    assert late == on_time | {"latest_seconds": 0.02, "worst_seconds": 40}
    world.facts = Facts("SQLite 3.53.4", False, "sha256:1", True, True)
    broken = await world.client.get("/readyz")
    assert (broken.status_code, broken.headers["retry-after"]) == (503, "5")
    assert broken.json()["database"] == {"version": "SQLite 3.53.4", "ok": False, "warning": None}
    assert broken.json()["sandbox"] is True
    world.facts = replace(world.facts, database_ok=True, database_warning="Beware.")
    doubtful = await world.client.get("/readyz")
    assert (doubtful.status_code, doubtful.json()["database"]["warning"]) == (200, "Beware.")


async def test_the_operators_endpoints_need_no_token(world: World) -> None:
    async with httpx.AsyncClient(base_url=world.url, timeout=60) as anybody:
        assert (await anybody.get("/healthz")).json() == {"status": "alive"}
        keys = (await anybody.get("/.well-known/jwks.json")).json()["keys"]
        assert (await anybody.get("/openapi.json")).status_code == 200
    assert (keys[0]["crv"], "d" in keys[0]) == ("Ed25519", False)


async def test_metrics_count_decisions_answers_and_what_waits(world: World) -> None:
    for body in (ASK, ALLOWED):
        await world.client.post("/v1/requests", json=body)
    text = (await world.client.get("/metrics")).text
    assert 'keyturn_audit_events_total{event="action_requested"} 2.0' in text
    assert 'keyturn_decision_seconds_count{status="approved"} 1.0' in text
    assert 'keyturn_http_answers_total{method="POST",route="/v1/requests",status="201"} 2.0' in text
    assert "keyturn_pending 1.0" in text
    assert "keyturn_waiters 0.0" in text
    assert "keyturn_commit_events_count 3.0" in text  # the agent itself was the first


async def test_slacks_calls_go_to_slacks_application(tmp_path: Path) -> None:
    async def slack(scope: Scope, receive: Receive, send: Send) -> None:
        size = len(await Request(scope, receive).body())
        await PlainTextResponse(f"{size} bytes")(scope, receive, send)

    async with served(tmp_path, slack=slack) as world:
        answer = await world.client.post("/slack/events", content=b"payload=%7B%7D")
        assert (answer.status_code, answer.text) == (200, "14 bytes")
        assert (await world.client.get("/slack/events")).status_code == 405
        flood = await world.client.post("/slack/events", content=b"x" * (LARGEST_SLACK_BODY + 1))
        assert flood.status_code == 413
