"""Every refusal over HTTP, each reached once, each as a problem document."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from bot.core.errors import Unavailable
from bot.core.models import Conditions
from bot.http import plain
from bot.http.errors import STATUS
from bot.services.pauses import Pauses
from tests.factories import ANA
from tests.integration.http_face import ALLOWED, ASK, World, served

JSON = {"Content-Type": "application/json"}


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with served(tmp_path) as world:
        yield world


def check(answer: httpx.Response, code: str) -> None:
    body = answer.json()
    assert body["code"] == code, body
    assert answer.status_code == body["status"] == STATUS[code]
    assert answer.headers["content-type"] == "application/problem+json"
    assert body["type"] == "about:blank"
    assert body["title"]
    assert body["detail"]


async def ask(world: World, body: dict[str, Any] = ASK) -> dict[str, Any]:
    made: dict[str, Any] = (await world.client.post("/v1/requests", json=body)).json()
    return made


async def send(world: World, content: bytes, **headers: str) -> httpx.Response:
    return await world.client.post("/v1/requests", content=content, headers={**JSON, **headers})


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"\xff\xfe",
        b'{"type":"a","type":"b"}',
        b'{"n":NaN}',
        b'{"n":-Infinity}',
        b'{"s":"\\ud800"}',
        b'{"s":"\\u0000"}',
        b'{"s":"a\x00b"}',
        b"[" * 33 + b"]" * 33,
        b"[" * 100_000,
        b"\xef\xbb\xbf{}",
    ],
)
async def test_what_is_not_json_is_refused(world: World, content: bytes) -> None:
    check(await send(world, content), "invalid_json")


@pytest.mark.parametrize("number", ["9007199254740992", "0.1234567890123456789", "1e400", "1" * 5000])
async def test_a_number_that_a_double_cannot_hold_is_refused(world: World, number: str) -> None:
    check(await send(world, b'{"params":{"n":%s}}' % number.encode()), "inexact_number")


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": ""},
        {"Authorization": "Bearer"},
        {"Authorization": "Bearer kt_x"},
        {"Authorization": "Basic a2V5"},
        {"Authorization": "Bearer \xe9"},
    ],
)
async def test_a_call_without_a_living_token_is_refused(world: World, headers: dict[str, str]) -> None:
    async with httpx.AsyncClient(base_url=world.url, timeout=60) as stranger:
        sent = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
        answers = [
            await stranger.get("/v1/requests", headers=sent),
            await stranger.post("/v1/requests", json=ASK, headers=sent),
            await stranger.get("/v1/requests/req_1/events", headers=sent),
            await stranger.post("/compat/safeguards/request-approval", json={}, headers=sent),
        ]
    for answer in answers:
        check(answer, "unauthorized")
        assert answer.headers["www-authenticate"] == "Bearer"


async def test_a_token_sent_twice_is_none(world: World) -> None:
    token = world.client.headers["authorization"]
    async with httpx.AsyncClient(base_url=world.url, timeout=60) as client:
        answer = await client.get(
            "/v1/requests", headers=[("Authorization", token), ("Authorization", token)]
        )
    check(answer, "unauthorized")


async def test_an_auditor_only_reads(world: World) -> None:
    auditor = {"Authorization": f"Bearer {await world.token('auditor', scopes=['auditor'])}"}
    request = await ask(world)
    assert (await world.client.get(f"/v1/requests/{request['id']}", headers=auditor)).status_code == 200
    for path in ("requests", "evaluate", "sessions", f"requests/{request['id']}/cancel"):
        check(await world.client.post(f"/v1/{path}", json={}, headers=auditor), "missing_scope")


async def test_what_does_not_exist_is_not_found(world: World) -> None:
    check(await world.client.get("/v1/requests/req_none"), "not_found")
    check(await world.client.get("/v1/nothing"), "not_found")
    check(await world.client.get("/v1/requests/"), "not_found")
    check(await world.client.post("/slack/events"), "not_found")
    check(await world.client.get("/v1/requests/req_%00%ff"), "not_found")
    check(await world.client.get("/v1/sessions/none/timeline"), "not_found")


async def test_another_method_is_refused_and_the_right_ones_named(world: World) -> None:
    answer = await world.client.delete("/v1/requests")
    check(answer, "method_not_allowed")
    assert answer.headers["allow"] == "GET, HEAD, OPTIONS, POST"
    check(await world.client.put("/openapi.json"), "method_not_allowed")


async def test_options_names_the_methods_and_head_sends_no_body(world: World) -> None:
    options = await world.client.options("/v1/requests")
    assert (options.status_code, options.headers["allow"]) == (204, "GET, HEAD, OPTIONS, POST")
    assert (await world.client.options("/nowhere")).status_code == 404
    head, get = await world.client.head("/v1/requests"), await world.client.get("/v1/requests")
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-length"] == get.headers["content-length"]


async def test_a_body_over_the_limit_is_refused_before_it_is_read(world: World) -> None:
    check(await send(world, b'"' + b"x" * 262_143 + b'"'), "too_large")
    check(await send(world, b'"' + b"x" * 262_142 + b'"'), "invalid_request")


async def test_a_body_that_trickles_in_is_cut_off_at_the_limit(world: World) -> None:
    async def trickle() -> AsyncIterator[bytes]:
        yield b'"'
        for _ in range(300):
            yield b"x" * 1024
            await asyncio.sleep(0)

    check(await world.client.post("/v1/requests", content=trickle(), headers=JSON), "too_large")


async def test_a_body_that_never_ends_is_not_waited_for(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plain, "LONGEST_BODY", 0.05)
    host, port = world.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    token = world.client.headers["authorization"]
    head = f"POST /v1/requests HTTP/1.1\r\nHost: {host}\r\nAuthorization: {token}\r\n"
    writer.write(f"{head}Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{{".encode())
    async with asyncio.timeout(30):
        answer = await reader.readuntil(b"\r\n\r\n") + await reader.readuntil(b"}")
    writer.close()
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b'"code":"invalid_json"' in answer


@pytest.mark.parametrize(
    "content_type",
    ["", "text/plain", "application/x-www-form-urlencoded", "application/json; charset=utf-16"],
)
async def test_another_media_type_is_refused(world: World, content_type: str) -> None:
    answer = await world.client.post("/v1/requests", content=b"{}", headers={"Content-Type": content_type})
    check(answer, "unsupported_media_type")


@pytest.mark.parametrize("coding", ["gzip", "br", "gzip, identity"])
async def test_an_encoded_body_is_refused_in_words(world: World, coding: str) -> None:
    headers = {"Content-Type": "application/json", "Content-Encoding": coding}
    answer = await world.client.post("/v1/requests", content=b"{}", headers=headers)
    check(answer, "unsupported_media_type")
    assert "Content-Encoding" in answer.json()["detail"]


@pytest.mark.parametrize("content_type", ["application/json; charset=UTF-8", "APPLICATION/JSON"])
async def test_json_is_taken_however_it_is_called(world: World, content_type: str) -> None:
    answer = await world.client.post("/v1/requests", json=ASK, headers={"Content-Type": content_type})
    assert answer.status_code == 201


async def test_a_field_nobody_knows_is_refused(world: World) -> None:
    answer = await world.client.post("/v1/requests", json={**ASK, "risk": "none"})
    check(answer, "invalid_request")
    assert answer.json()["errors"] == [{"pointer": "/risk", "detail": "is not a field that Keyturn knows"}]


@pytest.mark.parametrize("query", ["wait=soon", "wait=", "wait=-1", "wait=1.5"])
async def test_a_wait_that_cannot_be_read_is_refused(world: World, query: str) -> None:
    request = await ask(world)
    check(await world.client.get(f"/v1/requests/{request['id']}?{query}"), "invalid_request")


@pytest.mark.parametrize(
    "query", ["requests?type=a%00", "requests?session_id=%00", "requests/req_1?wait=%00"]
)
async def test_no_query_holds_nul(world: World, query: str) -> None:
    check(await world.client.get(f"/v1/{query}"), "invalid_request")


async def test_a_key_that_cannot_be_kept_is_refused(world: World) -> None:
    check(
        await world.client.post("/v1/requests", json=ASK, headers={"Idempotency-Key": ""}), "invalid_request"
    )


async def test_a_cursor_that_is_none_of_ours_is_refused(world: World) -> None:
    check(await world.client.get("/v1/requests?cursor=next"), "invalid_request")


async def test_only_the_policys_groups_may_be_escalated_to(world: World) -> None:
    for path in ("requests", "evaluate"):
        answer = await world.client.post(f"/v1/{path}", json={**ASK, "escalate_to": "everybody"})
        check(answer, "unknown_escalation_target")
    assert (
        await world.client.post("/v1/requests", json={**ASK, "escalate_to": "manager"})
    ).status_code == 201


async def test_a_token_has_a_rate(world: World) -> None:
    slow = {"Authorization": f"Bearer {await world.token('slow', rate=2)}"}
    statuses = [(await world.client.post("/v1/requests", json=ASK, headers=slow)).status_code for _ in "ab"]
    assert statuses == [201, 201]
    refused = await world.client.post("/v1/evaluate", json=ASK, headers=slow)
    check(refused, "rate_limited")
    assert 1 <= int(refused.headers["retry-after"]) <= 60
    assert (await world.client.get("/v1/requests", headers=slow)).status_code == 200
    assert (await world.client.post("/v1/requests", json=ASK)).status_code == 201


async def test_every_refusal_of_a_claim_has_its_code(world: World) -> None:
    pending = await ask(world)
    claim = {"digest": pending["digest"]}
    check(await world.client.post(f"/v1/requests/{pending['id']}/claim", json=claim), "not_approved")
    path = f"/v1/requests/{(await ask(world, {**ALLOWED, 'preview': '+1'}))['id']}"
    allowed = (await world.client.get(path)).json()
    for wrong in ("sha256:" + "0" * 64, "sha256:wrong", ""):
        check(await world.client.post(f"{path}/claim", json={"digest": wrong}), "digest_mismatch")
    claim = {"digest": allowed["digest"]}
    check(await world.client.post(f"{path}/claim", json=claim), "preview_changed")
    claim["preview_digest"] = allowed["preview_digest"]
    assert (await world.client.post(f"{path}/claim", json=claim)).status_code == 200
    check(await world.client.post(f"{path}/claim", json=claim), "already_claimed")


async def test_a_claim_outside_its_window_is_refused(world: World) -> None:
    request = await ask(world)
    path, claim = f"/v1/requests/{request['id']}/claim", {"digest": request["digest"]}
    opens = world.clock.now() + timedelta(hours=1)
    await world.approve(request["id"], conditions=Conditions(not_before=opens))
    check(await world.client.post(path, json=claim), "outside_window")
    world.clock.shift = timedelta(hours=2)
    check(await world.client.post(path, json=claim), "approval_expired")


async def test_a_paused_agent_claims_nothing(world: World) -> None:
    request = await ask(world, ALLOWED)
    await Pauses(world.store, world.clock).pause("builder", reason="It loops.", cancel=False)
    claim = {"digest": request["digest"]}
    check(await world.client.post(f"/v1/requests/{request['id']}/claim", json=claim), "paused")


async def test_what_never_ran_cannot_be_undone(world: World) -> None:
    request = await ask(world, ALLOWED)
    ops = {"Authorization": f"Bearer {await world.token('ops', scopes=['operator'])}"}
    undo = f"/v1/requests/{request['id']}/rollback"
    check(await world.client.post(undo, json={"reason": "It broke."}, headers=ops), "not_rollbackable")


async def test_a_claims_key_is_kept_to_its_body(world: World) -> None:
    request = await ask(world, ALLOWED)
    path, key = f"/v1/requests/{request['id']}/claim", {"Idempotency-Key": "k"}
    assert (await world.client.post(path, json={"digest": request["digest"]}, headers=key)).status_code == 200
    other = {"digest": request["digest"], "audience": "else"}
    check(await world.client.post(path, json=other, headers=key), "idempotency_conflict")


async def test_outcomes_and_withdrawals_that_cannot_be_are_refused(world: World) -> None:
    pending, allowed = await ask(world), await ask(world, ALLOWED)
    outcome = f"/v1/requests/{allowed['id']}/outcome"
    check(await world.client.post(outcome, json={"success": True}), "not_claimed")
    await world.client.post(f"/v1/requests/{allowed['id']}/claim", json={"digest": allowed["digest"]})
    assert (await world.client.post(outcome, json={"success": True})).status_code == 200
    check(await world.client.post(outcome, json={"success": False}), "outcome_conflict")
    await world.approve(pending["id"], who=ANA)
    check(await world.client.post(f"/v1/requests/{pending['id']}/cancel"), "already_decided")


async def test_an_ended_session_takes_nothing_more(world: World) -> None:
    await ask(world, {**ASK, "session_id": "run-1"})
    assert (await world.client.post("/v1/sessions/run-1/end")).status_code == 200
    check(await world.client.post("/v1/requests", json={**ASK, "session_id": "run-1"}), "session_ended")
    check(await world.client.post("/v1/sessions", json={"id": "run-1"}), "session_ended")


async def test_storage_trouble_says_when_to_come_back(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    async def full(_command: object) -> None:
        raise Unavailable(retry_after=3)

    monkeypatch.setattr(world.store, "write", full)
    answer = await world.client.post("/v1/requests", json=ASK)
    check(answer, "unavailable")
    assert answer.headers["retry-after"] == "3"


async def test_a_fault_of_ours_shows_no_more_than_a_reference(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_args: object) -> None:
        raise RuntimeError("secret")

    monkeypatch.setattr(world.approvals, "get", broken)
    answer = await world.client.get("/v1/requests/req_1")
    assert (answer.status_code, answer.json()["code"]) == (500, "internal")
    assert "secret" not in answer.text
    assert (await world.client.get("/healthz")).status_code == 200


def test_the_cases_above_reach_every_code() -> None:
    source = Path(__file__).read_text()
    assert [code for code in STATUS if f'"{code}"' not in source] == []
