"""An agent's way through a request, over real HTTP."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from bot.core import jsontext
from bot.core.errors import UnknownEscalationTarget
from bot.services import approvals
from bot.store.commands import CardPosted
from tests.factories import NOON
from tests.integration.http_face import ALLOWED, ASK, BLOCKED, PUBLIC_URL, World, served, until


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with served(tmp_path) as world:
        yield world


async def post(world: World, path: str, body: Any, **headers: str) -> Any:
    """The answer's JSON, which must be a good one."""
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    answer = await world.client.post(path, json=body, headers=names)
    assert answer.is_success, answer.text
    return jsontext.loads(answer.content)


async def test_a_request_is_stored_and_read_back(world: World) -> None:
    answer = await world.client.post("/v1/requests", json={**ASK, "metadata": {"ticket": 7}})
    request = answer.json()
    assert answer.status_code == 201
    assert request["id"].startswith("req_")
    assert (request["agent"], request["status"], request["cause"]) == ("builder", "pending", None)
    assert request["links"] == {"self": f"{PUBLIC_URL}/v1/requests/{request['id']}", "slack": None}
    assert request["requirement"]["missing"] == {"count": 1, "groups": []}
    again = await world.client.get(f"/v1/requests/{request['id']}")
    assert (again.status_code, again.json()) == (200, request)


async def test_a_policy_decides_without_anybody(world: World) -> None:
    allowed, blocked = await post(world, "/v1/requests", ALLOWED), await post(world, "/v1/requests", BLOCKED)
    assert (allowed["status"], allowed["automatic"], allowed["cause"]) == ("approved", True, "policy_rule")
    assert blocked["status"] == "rejected"
    assert blocked["decision"]["reason"]


async def test_a_wait_ends_with_the_decision(world: World) -> None:
    request = await post(world, "/v1/requests", ASK)
    waiting = asyncio.create_task(world.client.get(f"/v1/requests/{request['id']}?wait=55"))
    await until(lambda: len(world.waiters) == 1)
    await world.approve(request["id"])
    decided = (await waiting).json()
    assert decided["status"] == "approved"
    assert decided["decision"]["by"] == [{"id": "U0ANA0001", "name": "u0ana0001"}]


async def test_a_waiter_gets_what_a_later_look_shows(world: World) -> None:
    request = await post(world, "/v1/requests", ASK)
    await world.store.write(CardPosted(await _card(world, request["id"]), "C0APPROVE", "17.5", 1, NOON))
    waiting = asyncio.create_task(world.client.get(f"/v1/requests/{request['id']}?wait=55"))
    await until(lambda: len(world.waiters) == 1)
    await world.approve(request["id"])
    told = (await waiting).json()
    assert told == (await world.client.get(f"/v1/requests/{request['id']}")).json()
    assert told["links"]["slack"] == "C0APPROVE/17.5"


async def _card(world: World, request_id: str) -> int:
    return (await world.store.reads.cards(request_id))[0].id


async def test_what_decides_nothing_wakes_nobody(world: World) -> None:
    request = await post(world, "/v1/requests", ASK)
    waiting = asyncio.create_task(world.client.get(f"/v1/requests/{request['id']}?wait=55"))
    await until(lambda: len(world.waiters) == 1)
    for text in ("One.", "Two."):
        await post(world, f"/v1/requests/{request['id']}/messages", {"text": text})
    assert not waiting.done()
    await world.approve(request["id"])
    answer = (await waiting).json()
    assert (answer["status"], len(answer["messages"])) == ("approved", 2)


async def test_a_look_at_what_is_still_pending_goes_on_waiting(world: World) -> None:
    request = await post(world, "/v1/requests", ASK)
    waiting = asyncio.create_task(world.client.get(f"/v1/requests/{request['id']}?wait=55"))
    await until(lambda: len(world.waiters) == 1)
    for _ in range(3):
        # Refused, and on record: something that happens to the request and does not change it.
        claim = await world.client.post(f"/v1/requests/{request['id']}/claim", json={"digest": "sha256:0"})
        assert claim.json()["code"] == "not_approved"
    await world.approve(request["id"])
    assert (await waiting).json()["status"] == "approved"


async def test_what_is_decided_or_not_there_is_answered_at_once(world: World) -> None:
    decided = await post(world, "/v1/requests", ALLOWED)
    answer = await world.client.get(f"/v1/requests/{decided['id']}?wait=55")
    assert (answer.status_code, answer.json()["status"]) == (200, "approved")
    assert (await world.client.get("/v1/requests/req_0?wait=55")).status_code == 404
    assert len(world.waiters) == 0


async def test_a_wait_that_ends_undecided_says_so(world: World) -> None:
    request = await post(world, "/v1/requests", ASK)
    answer = await world.client.get(f"/v1/requests/{request['id']}?wait=1")
    assert (answer.status_code, answer.json()["status"]) == (200, "pending")


async def test_a_preferred_wait_is_applied_and_clamped(world: World) -> None:
    asking = asyncio.create_task(
        world.client.post("/v1/requests", json=ASK, headers={"Prefer": "respond-async, wait=600"})
    )
    await until(lambda: len(world.waiters) == 1)
    page = (await world.client.get("/v1/requests")).json()
    await world.reject(page["items"][0]["id"])
    answer = await asking
    assert answer.status_code == 201
    assert answer.headers["preference-applied"] == "wait=55"
    assert answer.json()["status"] == "rejected"


async def test_a_preference_that_cannot_be_read_changes_nothing(world: World) -> None:
    answer = await world.client.post("/v1/requests", json=ASK, headers={"Prefer": "wait=soon"})
    assert answer.status_code == 201
    assert "preference-applied" not in answer.headers


async def test_the_same_key_and_body_is_the_same_request(world: World) -> None:
    headers = {"Idempotency-Key": "k-1"}
    first = await world.client.post("/v1/requests", json=ASK, headers=headers)
    rewritten = b'{"description": "Do the step.", "params": {"table": "t"}, "type": "custom_step"}'
    second = await world.client.post(
        "/v1/requests", content=rewritten, headers={**headers, "Content-Type": "application/json"}
    )
    assert (first.status_code, second.status_code) == (201, 200)
    assert first.json()["id"] == second.json()["id"]
    other = await world.client.post("/v1/requests", json=BLOCKED, headers=headers)
    assert (other.status_code, other.json()["code"]) == (409, "idempotency_conflict")


async def test_a_policy_that_has_changed_since_turns_no_retry_into_a_refusal(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, headers = {**ASK, "escalate_to": "manager"}, {"Idempotency-Key": "k-1"}
    first = await world.client.post("/v1/requests", json=asked, headers=headers)

    def refuse(*_args: object) -> None:
        raise UnknownEscalationTarget

    monkeypatch.setattr(approvals, "_check_escalation", refuse)
    again = await world.client.post("/v1/requests", json=asked, headers=headers)
    assert (again.status_code, again.json()) == (200, first.json())
    other = await world.client.post("/v1/requests", json=ASK, headers=headers)
    assert (other.status_code, other.json()["code"]) == (409, "idempotency_conflict")
    assert (await world.client.post("/v1/requests", json=asked)).status_code == 422


async def test_a_repeated_ask_may_wait_for_the_first_ones_decision(world: World) -> None:
    first = await post(world, "/v1/requests", ASK, Idempotency_Key="k-1")
    repeated = asyncio.create_task(
        world.client.post("/v1/requests", json=ASK, headers={"Idempotency-Key": "k-1", "Prefer": "wait=55"})
    )
    await until(lambda: len(world.waiters) == 1)
    await world.approve(first["id"])
    answer = await repeated
    assert (answer.status_code, answer.json()["status"]) == (200, "approved")


async def test_a_thousand_waiters_are_woken_by_one_burst_of_commits(world: World) -> None:
    made = [await post(world, "/v1/requests", ASK) for _ in range(10)]
    held = [await world.raw_get(f"/v1/requests/{made[n % 10]['id']}?wait=55") for n in range(1000)]
    await until(lambda: len(world.waiters) == 1000)
    await asyncio.gather(*(world.approve(request["id"]) for request in made))
    heads = await asyncio.gather(*(reader.readuntil(b"\r\n\r\n") for reader, _ in held))
    bodies = await asyncio.gather(
        *(_body(head, reader) for head, (reader, _) in zip(heads, held, strict=True))
    )
    for _, writer in held:
        writer.close()
    assert {body["status"] for body in bodies} == {"approved"}
    assert len(world.waiters) == 0


async def _body(head: bytes, reader: asyncio.StreamReader) -> Any:
    assert head.startswith(b"HTTP/1.1 200 ")
    length = next(
        int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")
    )
    return jsontext.loads(await reader.readexactly(length))


async def test_a_caller_that_hangs_up_frees_its_wait(world: World) -> None:
    request = await post(world, "/v1/requests", ASK)
    waiting = asyncio.create_task(world.client.get(f"/v1/requests/{request['id']}?wait=55"))
    await until(lambda: len(world.waiters) == 1)
    waiting.cancel()
    await until(lambda: len(world.waiters) == 0)
    assert len(world.app.face.calls) == 0


async def test_revoking_a_token_ends_its_waits(world: World) -> None:
    token = await world.token("other")
    headers = {"Authorization": f"Bearer {token}"}
    made = await world.client.post("/v1/requests", json=ASK, headers=headers)
    path = f"/v1/requests/{made.json()['id']}"
    waiting = asyncio.create_task(world.client.get(f"{path}?wait=55", headers=headers))
    await until(lambda: len(world.waiters) == 1)
    await world.agents.revoke("other")
    answer = await waiting
    assert (answer.status_code, answer.json()["code"]) == (401, "unauthorized")
    assert (await world.client.get(path, headers=headers)).status_code == 401


async def test_stopping_answers_every_wait_with_the_present_state(world: World) -> None:
    request = await post(world, "/v1/requests", ASK)
    waiting = asyncio.create_task(world.client.get(f"/v1/requests/{request['id']}?wait=55"))
    await until(lambda: len(world.waiters) == 1)
    world.app.stop_holding()
    assert (await waiting).json()["status"] == "pending"


async def test_an_approval_is_claimed_once_and_its_outcome_reported_once(world: World) -> None:
    request = await post(world, "/v1/requests", ALLOWED)
    path, claim = f"/v1/requests/{request['id']}", {"digest": request["digest"], "audience": "tools"}
    granted = await world.client.post(f"{path}/claim", json=claim, headers={"Idempotency-Key": "c"})
    repeated = await world.client.post(f"{path}/claim", json=claim, headers={"Idempotency-Key": "c"})
    refused = await world.client.post(f"{path}/claim", json=claim)
    assert granted.status_code == 200
    assert set(granted.json()) == {"params", "digest", "receipt", "expires_at"}
    assert granted.content == repeated.content
    assert (refused.status_code, refused.json()["code"]) == (409, "already_claimed")
    told = {"success": True, "duration_ms": 12.50, "rollback": {"type": "custom", "handler": "h"}}
    done = await post(world, f"{path}/outcome", told)
    assert done["execution"]["state"] == "succeeded"
    assert await post(world, f"{path}/outcome", told) == done
    other = await world.client.post(f"{path}/outcome", json={"success": False})
    assert (other.status_code, other.json()["code"]) == (409, "outcome_conflict")


async def test_a_request_is_withdrawn_once(world: World) -> None:
    request = await post(world, "/v1/requests", ASK)
    path = f"/v1/requests/{request['id']}/cancel"
    cancelled = await world.client.post(path)
    assert (cancelled.status_code, cancelled.json()["cause"]) == (200, "cancelled_by_agent")
    assert (await world.client.post(path, json={"reason": "twice"})).status_code == 200
    decided = await post(world, "/v1/requests", ALLOWED)
    late = await world.client.post(f"/v1/requests/{decided['id']}/cancel")
    assert (late.status_code, late.json()["code"]) == (409, "already_decided")


async def test_an_operator_may_withdraw_and_read_but_not_ask(world: World) -> None:
    operator = {"Authorization": f"Bearer {await world.token('ops', scopes=['operator'])}"}
    request = await post(world, "/v1/requests", ASK)
    cancelled = await world.client.post(f"/v1/requests/{request['id']}/cancel", headers=operator)
    assert cancelled.json()["cause"] == "cancelled_by_operator"
    assert (await world.client.post("/v1/requests", json=ASK, headers=operator)).status_code == 403
    assert len((await world.client.get("/v1/requests", headers=operator)).json()["items"]) == 1


async def test_another_agents_request_does_not_exist(world: World) -> None:
    other = {"Authorization": f"Bearer {await world.token('other')}"}
    request = await post(world, "/v1/requests", ASK)
    path = f"/v1/requests/{request['id']}"
    answers = [
        await world.client.get(path, headers=other),
        await asyncio.wait_for(world.client.get(f"{path}?wait=55", headers=other), 30),
        await world.client.get(f"{path}/events", headers=other),
        await world.client.post(f"{path}/cancel", headers=other),
        await world.client.post(f"{path}/claim", json={"digest": request["digest"]}, headers=other),
        await world.client.post(f"{path}/outcome", json={"success": True}, headers=other),
        await world.client.post(f"{path}/messages", json={"text": "hi"}, headers=other),
    ]
    assert {(a.status_code, a.json()["code"]) for a in answers} == {(404, "not_found")}
    assert (await world.client.get("/v1/requests", headers=other)).json()["items"] == []


async def test_a_list_is_read_page_by_page_newest_first(world: World) -> None:
    made = [(await post(world, "/v1/requests", body))["id"] for body in (ASK, ALLOWED, ASK, BLOCKED, ASK)]
    seen: list[str] = []
    cursor: str | None = ""
    while cursor is not None:
        query = {"limit": "2"} | ({"cursor": cursor} if cursor else {})
        page = (await world.client.get("/v1/requests", params=query)).json()
        seen += [item["id"] for item in page["items"]]
        cursor = page["next_cursor"]
    assert seen == made[::-1]
    pending = (await world.client.get("/v1/requests?status=pending&type=custom_step")).json()
    assert [item["id"] for item in pending["items"]] == [made[4], made[2], made[0]]


async def test_an_evaluation_stores_nothing(world: World) -> None:
    judged = await post(world, "/v1/evaluate", BLOCKED)
    assert set(judged) == {"digest", "risk", "policy", "effect", "requirement"}
    assert (judged["effect"], judged["requirement"]) == ("reject", None)
    assert (await world.client.get("/v1/requests")).json()["items"] == []


async def test_the_agents_words_are_kept(world: World) -> None:
    request = await post(world, "/v1/requests", ASK)
    told = await post(world, f"/v1/requests/{request['id']}/messages", {"text": "It is.", "in_reply_to": 5})
    assert [(m["from"], m["text"]) for m in told["messages"]] == [("builder", "It is.")]


@pytest.mark.parametrize(
    "number", [b"2500.00", b"0.10", b"1E+3", b"-0.0", b"9007199254740991", b"1.10e2", b"0.0000001"]
)
async def test_numbers_come_back_as_they_were_sent(world: World, number: bytes) -> None:
    body = b'{"type":"always_allowed","params":{"n":%s},"description":"d"}' % number
    json = {"Content-Type": "application/json"}
    made = await world.client.post("/v1/requests", content=body, headers=json)
    request = jsontext.loads(made.content)
    value = jsontext.loads(number)
    read = jsontext.loads((await world.client.get(f"/v1/requests/{request['id']}")).content)
    claim = await post(world, f"/v1/requests/{request['id']}/claim", {"digest": request["digest"]})
    for found in (request["params"], read["decision"]["params"], claim["params"]):
        assert (found["n"], str(found["n"])) == (value, str(value))
