"""Rollbacks over real HTTP: operators start them, agents preview, claim and report them."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from bot.core import rollback
from bot.core.models import RequestId
from bot.services.rollbacks import Rollbacks
from bot.store.rollbacks import SaveRollback
from tests.integration.http_face import ALLOWED, World, served
from tests.undo import confirming, judging

UNDO = {"type": "custom", "handler": "rebuild", "data": {"table": "t"}}
SHOWN = {"state": "previewed", "summary": "Rebuilds t.", "affected": ["t"]}
DONE = {"state": "succeeded", "summary": "Rebuilt t.", "affected": ["t"]}


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with served(tmp_path) as found:
        yield found


async def has_run(world: World, undo: Any = UNDO, **body: Any) -> str:
    """The id of a request that was approved by policy, claimed and reported with `undo`."""
    asked = (await world.client.post("/v1/requests", json={**ALLOWED, **body})).json()
    one = f"/v1/requests/{asked['id']}"
    await world.client.post(f"{one}/claim", json={"digest": asked["digest"]})
    told = await world.client.post(f"{one}/outcome", json={"success": True, "rollback": undo})
    assert told.status_code == 200, told.text
    return str(asked["id"])


async def operator(world: World) -> dict[str, str]:
    token = await world.token("ops", scopes=["operator"])
    return {"Authorization": f"Bearer {token}"}


async def started(world: World, id: str, headers: dict[str, str], **body: Any) -> httpx.Response:
    return await world.client.post(
        f"/v1/requests/{id}/rollback", json={"reason": "It broke.", **body}, headers=headers
    )


async def confirmed(world: World, id: str) -> None:
    """Confirm a rollback as its one approver would."""
    found = await world.store.reads.rollback(id)
    assert found is not None
    requests = {}
    for item in found.items:
        request = await world.store.reads.request(RequestId(item.request_id))
        assert request is not None
        requests[request.id] = request
    step = rollback.confirm(found, requests, confirming(found), judge=judging(), now=world.clock.now())
    assert await world.store.write(SaveRollback(step))


async def queue(world: World, wait: int = 0) -> list[dict[str, Any]]:
    answer = await world.client.get("/v1/rollbacks", params={"wait": wait}, timeout=70)
    assert answer.status_code == 200, answer.text
    return list(answer.json()["items"])


async def test_an_undo_from_the_operators_call_to_the_agents_report(world: World) -> None:
    request, ops = await has_run(world), await operator(world)
    begun = await started(world, request, ops)
    assert begun.status_code == 202
    id = begun.json()["id"]
    assert begun.json() | {"state": "requested", "confirmed": False, "request_id": request} == begun.json()
    [work] = await queue(world)
    assert work == {"id": id, "request_id": request, "kind": "preview", "rollback": UNDO, "force": False,
                    "digest": begun.json()["digest"]}  # fmt: skip
    one = f"/v1/rollbacks/{id}"
    assert (await world.client.post(f"{one}/outcome", json=SHOWN)).json()["state"] == "previewed"
    assert await queue(world) == []
    refused = await world.client.post(f"{one}/claim")
    assert (refused.status_code, refused.json()["code"]) == (409, "not_approved")
    await confirmed(world, id)
    [work] = await queue(world)
    assert work["kind"] == "apply"
    key = {"Idempotency-Key": "k1"}
    first = await world.client.post(f"{one}/claim", headers=key)
    again = await world.client.post(f"{one}/claim", headers=key)
    assert first.json() == again.json() == work
    other = await world.client.post(f"{one}/claim")
    assert (other.status_code, other.json()["code"]) == (409, "already_claimed")
    assert (await world.client.post(f"{one}/outcome", json=DONE)).json()["state"] == "succeeded"
    assert (await world.client.post(f"{one}/outcome", json=DONE)).status_code == 200
    execution = (await world.client.get(f"/v1/requests/{request}")).json()["execution"]
    assert (execution["state"], execution["rollback_id"]) == ("rolled_back", id)
    once = await started(world, request, ops)
    assert (once.status_code, once.json()["code"]) == (409, "not_rollbackable")


async def test_a_waiting_agent_is_woken_by_the_ask(world: World) -> None:
    request, ops = await has_run(world), await operator(world)
    async with asyncio.TaskGroup() as tasks:
        waiting = tasks.create_task(queue(world, wait=50))
        await _held(world)
        await started(world, request, ops)
    assert [work["kind"] for work in waiting.result()] == ["preview"]


async def _held(world: World) -> None:
    async with asyncio.timeout(30):
        while not len(world.app.face.calls):  # noqa: ASYNC110  # the call is held by another task, without an event
            await asyncio.sleep(0.005)


async def test_only_operators_start_and_only_the_agent_itself_takes_the_work(world: World) -> None:
    request, ops = await has_run(world), await operator(world)
    mine = await started(world, request, {})
    assert (mine.status_code, mine.json()["code"]) == (403, "missing_scope")
    id = (await started(world, request, ops)).json()["id"]
    other = {"Authorization": f"Bearer {await world.token('other')}"}
    for method, path in [("GET", ""), ("POST", "/claim"), ("POST", "/outcome")]:
        body = {"json": SHOWN} if path == "/outcome" else {}
        answer = await world.client.request(method, f"/v1/rollbacks/{id}{path}", headers=other, **body)
        assert answer.status_code == 404, path
    assert (await world.client.get("/v1/rollbacks", headers=other)).json() == {"items": []}
    assert (await world.client.get(f"/v1/rollbacks/{id}", headers=ops)).status_code == 200


async def test_a_session_is_undone_newest_first_and_its_steps_have_ids_of_their_own(world: World) -> None:
    ops = await operator(world)
    older = await has_run(world, session_id="evening")
    newer = await has_run(world, session_id="evening")
    begun = await world.client.post(
        "/v1/sessions/evening/rollback", json={"reason": "All of it."}, headers=ops
    )
    assert begun.status_code == 202, begun.text
    whole = begun.json()
    assert [item["request_id"] for item in whole["items"]] == [newer, older]
    for item in whole["items"]:
        await world.client.post(f"/v1/rollbacks/{item['id']}/outcome", json=SHOWN)
    await confirmed(world, whole["id"])
    done = []
    while work := await queue(world):
        [step] = work
        assert (await world.client.post(f"/v1/rollbacks/{step['id']}/claim")).status_code == 200
        await world.client.post(f"/v1/rollbacks/{step['id']}/outcome", json=DONE)
        done.append(step["request_id"])
    assert done == [newer, older]
    ended = (await world.client.get(f"/v1/rollbacks/{whole['id']}", headers=ops)).json()
    assert (ended["state"], ended["partial"]) == ("succeeded", False)
    of_one = (await world.client.get(f"/v1/rollbacks/{whole['items'][0]['id']}")).json()
    assert (of_one["request_id"], of_one["state"], len(of_one["items"])) == (newer, "succeeded", 1)
    vague = await world.client.post(f"/v1/rollbacks/{whole['id']}/claim")
    assert vague.status_code == 404


async def test_a_session_id_of_two_agents_must_say_whose(world: World) -> None:
    ops = await operator(world)
    await has_run(world, session_id="evening")
    other = {"Authorization": f"Bearer {await world.token('other')}"}
    await world.client.post("/v1/sessions", json={"id": "evening"}, headers=other)
    vague = await world.client.post("/v1/sessions/evening/rollback", json={"reason": "x"}, headers=ops)
    assert (vague.status_code, vague.json()["errors"][0]["pointer"]) == (422, "/agent")
    body = {"reason": "x", "agent": "builder"}
    clear = await world.client.post("/v1/sessions/evening/rollback", json=body, headers=ops)
    assert clear.status_code == 202


@pytest.mark.parametrize(
    ("path", "body", "status", "code"),
    [
        ("/v1/requests/req_nobody/rollback", {"reason": "x"}, 404, "not_found"),
        ("/v1/sessions/nothing/rollback", {"reason": "x"}, 404, "not_found"),
        ("/v1/requests/req_nobody/rollback", {}, 422, "invalid_request"),
        ("/v1/requests/req_nobody/rollback", {"reason": " "}, 422, "invalid_request"),
        ("/v1/requests/req_nobody/rollback", {"reason": "x", "forced": True}, 422, "invalid_request"),
    ],
)
async def test_what_cannot_be_started(world: World, path: str, body: Any, status: int, code: str) -> None:
    answer = await world.client.post(path, json=body, headers=await operator(world))
    assert (answer.status_code, answer.json()["code"]) == (status, code)


async def test_every_step_is_audited_on_the_request_and_nothing_is_half_recorded(world: World) -> None:
    request, ops = await has_run(world), await operator(world)
    id = (await started(world, request, ops)).json()["id"]
    await world.client.post(f"/v1/rollbacks/{id}/outcome", json=SHOWN)
    await confirmed(world, id)
    await world.client.post(f"/v1/rollbacks/{id}/claim")
    failed = {"state": "failed", "summary": "No space.", "message": "Rebuild t by hand."}
    await world.client.post(f"/v1/rollbacks/{id}/outcome", json=failed)
    events = [event for event in await world.store.reads.events(request) if "rollback" in event.event]
    assert [event.event for event in events] == [
        "rollback_requested",
        "rollback_previewed",
        "rollback_confirmed",
        "rollback_claimed",
        "rollback_failed",
    ]
    assert events[0].body["reason"] == "It broke."
    assert events[2].body["reason"] == "Yes, put it back."
    assert events[4].body["message"] == "Rebuild t by hand."
    assert {event.body["rollback_id"] for event in events} == {id}


async def test_what_nobody_takes_expires_by_itself(world: World) -> None:
    request, ops = await has_run(world), await operator(world)
    id = (await started(world, request, ops)).json()["id"]
    world.clock.shift = rollback.UNCLAIMED
    assert await queue(world) == []
    service: Rollbacks = world.app.face.services.rollbacks
    assert await service.run_once() == 1
    assert (await world.client.get(f"/v1/rollbacks/{id}")).json()["state"] == "expired"
    assert (await started(world, request, ops)).status_code == 202


async def test_a_late_report_that_an_undo_was_applied_ends_the_one_that_was_started_since(
    world: World,
) -> None:
    request, ops = await has_run(world), await operator(world)
    lost = (await started(world, request, ops)).json()["id"]
    await world.client.post(f"/v1/rollbacks/{lost}/outcome", json=SHOWN)
    await confirmed(world, lost)
    await world.client.post(f"/v1/rollbacks/{lost}/claim")
    world.clock.shift = rollback.UNREPORTED
    service: Rollbacks = world.app.face.services.rollbacks
    assert await service.run_once() == 1
    again = (await started(world, request, ops)).json()["id"]
    assert (await world.client.post(f"/v1/rollbacks/{lost}/outcome", json=DONE)).status_code == 200
    ended = (await world.client.get(f"/v1/rollbacks/{again}")).json()
    assert (ended["state"], "turned out to have been applied" in ended["message"]) == ("failed", True)
    assert await queue(world) == []
    execution = (await world.client.get(f"/v1/requests/{request}")).json()["execution"]
    assert (execution["state"], execution["rollback_id"]) == ("rolled_back", lost)
