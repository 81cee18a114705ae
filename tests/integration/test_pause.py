"""The kill switch: what it stops, in which order, also in the middle of a crowd, and who is told."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from bot.core import lifecycle, reviewing
from bot.core.errors import HeldByPause, InvalidRequest, Paused
from bot.core.models import Reviewer, SlackId, Via
from bot.core.pausing import Pause
from bot.services.pauses import Pauses
from bot.store.audit_reads import AuditEvent
from bot.store.commands import ClaimRequest, CreateRequest, SaveTransition
from bot.store.pauses import SetPause
from tests.factories import make_given
from tests.integration.http_face import ALLOWED, ASK, World, served
from tests.store.histories import approved, claimed, submitted


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with served(tmp_path) as made:
        yield made


@pytest.fixture
def pauses(world: World) -> Pauses:
    return Pauses(world.store, world.clock)


async def events(world: World, name: str):
    return await world.store.reads.audit_page(event=name)


@pytest.mark.parametrize("what", ["all", "builder", "agent:builder", "always_allowed", "type:always_allowed"])
async def test_new_requests_are_rejected_with_the_reason(world: World, pauses: Pauses, what: str) -> None:
    await world.client.post("/v1/requests", json=ALLOWED)  # so that the type is known
    await pauses.pause(what, reason="Incident 4711", cancel=False)
    answer = await world.client.post("/v1/requests", json=ALLOWED)
    asked = answer.json()
    assert answer.status_code == 201
    assert (asked["status"], asked["cause"], asked["automatic"]) == ("rejected", "paused", True)
    assert asked["policy"]["rule"] == "paused"
    assert asked["policy"]["effect"] == "reject"
    assert "Incident 4711" in asked["decision"]["reason"]
    evaluated = (await world.client.post("/v1/evaluate", json=ALLOWED)).json()
    assert (evaluated["effect"], evaluated["policy"]["rule"]) == ("reject", "paused")


async def test_others_go_on(world: World, pauses: Pauses) -> None:
    await world.token("other")
    await pauses.pause("other", reason=None, cancel=False)
    await pauses.pause("type:deployment", reason=None, cancel=False)
    assert (await world.client.post("/v1/requests", json=ALLOWED)).json()["status"] == "approved"


async def test_resumed_work_runs_again(world: World, pauses: Pauses) -> None:
    await pauses.pause("builder", reason=None, cancel=False)
    await pauses.resume("builder")
    assert (await world.client.post("/v1/requests", json=ALLOWED)).json()["status"] == "approved"
    with pytest.raises(InvalidRequest, match=r"^builder is not paused\. What is paused: nothing\.$"):
        await pauses.resume("builder")


async def test_a_known_key_gets_its_answer_during_a_pause(world: World, pauses: Pauses) -> None:
    headers = {"Idempotency-Key": "once"}
    first = await world.client.post("/v1/requests", json=ASK, headers=headers)
    await pauses.pause("all", reason=None, cancel=False)
    again = await world.client.post("/v1/requests", json=ASK, headers=headers)
    assert (again.status_code, again.json()["id"]) == (200, first.json()["id"])


async def test_claims_are_refused_in_the_documented_order(world: World, pauses: Pauses) -> None:
    request = (await world.client.post("/v1/requests", json=ALLOWED)).json()
    waiting = (await world.client.post("/v1/requests", json=ASK)).json()
    await pauses.pause("builder", reason="Stop.", cancel=False)
    claim = f"/v1/requests/{request['id']}/claim"

    async def code(path: str, digest: str) -> str:
        refused = await world.client.post(path, json={"digest": digest})
        assert refused.status_code == 409
        return str(refused.json()["code"])

    assert await code(f"/v1/requests/{waiting['id']}/claim", waiting["digest"]) == "not_approved"
    assert await code(claim, "sha256:" + "0" * 64) == "digest_mismatch"
    assert await code(claim, request["digest"]) == "paused"
    world.clock.shift += timedelta(hours=1)
    assert await code(claim, request["digest"]) == "paused"
    await pauses.resume("builder")
    assert await code(claim, request["digest"]) == "approval_expired"
    assert [event.body["code"] for event in await events(world, "claim_refused")] == [
        "approval_expired",
        *("paused", "paused", "digest_mismatch", "not_approved"),
    ]


async def test_what_runs_already_may_report(world: World, pauses: Pauses) -> None:
    request = (await world.client.post("/v1/requests", json=ALLOWED)).json()
    one = f"/v1/requests/{request['id']}"
    await world.client.post(f"{one}/claim", json={"digest": request["digest"]})
    await pauses.pause("all", reason=None, cancel=False)
    assert (await world.client.post(f"{one}/outcome", json={"success": True})).status_code == 200


async def test_pending_requests_are_held_or_cancelled(world: World, pauses: Pauses) -> None:
    request = (await world.client.post("/v1/requests", json=ASK)).json()
    done = await pauses.pause("builder", reason="Stop.", cancel=False)
    assert done.cancelled == 0
    held = (await world.client.get(f"/v1/requests/{request['id']}")).json()
    assert (held["status"], held["deadline_at"]) == ("pending", request["deadline_at"])
    done = await pauses.pause("builder", reason="For good.", cancel=True)
    assert done.cancelled == 1
    gone = (await world.client.get(f"/v1/requests/{request['id']}")).json()
    assert (gone["status"], gone["cause"]) == ("cancelled", "cancelled_by_operator")
    assert "For good." in gone["decision"]["reason"]


async def test_pausing_and_resuming_are_audited(world: World, pauses: Pauses) -> None:
    by = Reviewer(SlackId("U0OPS0001"), "Olga")
    await pauses.pause("builder", reason="Stop.", cancel=True, by=by, via=Via.SLACK)
    await pauses.resume("builder", by=by, via=Via.SLACK)
    [paused] = await events(world, "agent_paused")
    [resumed] = await events(world, "agent_resumed")
    said = {"what": "agent:builder", "reason": "Stop."}
    standing = {"reason": "Stop.", "by": by.id, "at": paused.at}
    assert paused.body == {"before": None, "after": standing, **said, "pending": "cancel"}
    assert resumed.body == {"before": standing, "after": None, **said, "paused_by": by.id}
    for event in (paused, resumed):
        assert (event.actor.id, event.via, event.agent) == (by.id, Via.SLACK, "builder")


async def test_a_pause_from_the_command_line_is_no_persons(world: World, pauses: Pauses) -> None:
    await pauses.pause("builder", reason="Stop.", cancel=True)
    await pauses.resume("builder")
    written = [*await events(world, "agent_paused"), *await events(world, "agent_resumed")]
    assert {(event.actor.type.value, event.actor.id, event.via) for event in written} == {
        ("system", "cli", Via.CLI)
    }


async def test_a_pause_in_the_place_of_another_says_what_stood_before(world: World, pauses: Pauses) -> None:
    await pauses.pause("all", reason="Stop.", cancel=False)
    await pauses.pause("all", reason="Fire.", cancel=False)
    first, second = sorted(await events(world, "agent_paused"), key=lambda event: event.seq)
    assert second.body["before"] == first.body["after"] is not None


async def test_agents_are_told_over_their_streams(world: World, pauses: Pauses) -> None:
    request = (await world.client.post("/v1/requests", json=ASK)).json()
    seen: list[tuple[str, str]] = []
    async with world.client.stream("GET", f"/v1/requests/{request['id']}/events") as stream:
        lines = stream.aiter_lines()

        async def next_event() -> str:
            async for line in lines:
                if line.startswith("event: "):
                    name = line.removeprefix("event: ")
                elif line.startswith("data: "):
                    seen.append((name, json.loads(line.removeprefix("data: "))["status"]))
                    return name
            raise AssertionError("the stream ended")

        assert await next_event() == "state"
        await pauses.pause("type:deployment", reason=None, cancel=False)  # none of its business
        await pauses.pause("builder", reason=None, cancel=False)
        assert await next_event() == "agent_paused"
        await pauses.resume("builder")
        assert await next_event() == "agent_resumed"
        await pauses.pause("all", reason=None, cancel=True)
        assert {await next_event(), await next_event()} == {"agent_paused", "action_cancelled"}
    assert seen[-1][1] == "cancelled"


async def test_a_stream_tells_of_the_end_that_comes_while_it_looks_for_news(
    world: World, pauses: Pauses, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = (await world.client.post("/v1/requests", json=ASK)).json()
    request = await world.store.reads.request(made["id"])
    assert request is not None
    look = world.store.reads.pauses_since

    async def look_then_end(after: int) -> list[AuditEvent]:
        found = await look(after)
        monkeypatch.undo()
        await pauses.pause("all", reason=None, cancel=True)
        return found

    monkeypatch.setattr(world.store.reads, "pauses_since", look_then_end)
    told = [change.name async for change in world.approvals.following.events(request, after=None)]
    assert told == ["state", "agent_paused", "action_cancelled"]


@pytest.mark.parametrize("what", ["", "buidler", "Builder", "agent:", "type:UPPER", "all of it"])
async def test_a_typing_error_pauses_nothing(world: World, pauses: Pauses, what: str) -> None:
    with pytest.raises(InvalidRequest):
        await pauses.pause(what, reason=None, cancel=False)
    assert await pauses.all() == []


async def test_a_name_that_is_both_must_be_said_exactly(world: World, pauses: Pauses) -> None:
    await world.token("deployment")
    with pytest.raises(InvalidRequest, match="agent:deployment or type:deployment"):
        await pauses.pause("deployment", reason=None, cancel=False)


async def test_in_a_crowd_nothing_is_approved_after_the_pause(world: World, pauses: Pauses) -> None:
    async def ask() -> str:
        return str((await world.client.post("/v1/requests", json=ALLOWED)).json()["id"])

    await asyncio.gather(
        *(ask() for _ in range(30)),
        pauses.pause("builder", reason=None, cancel=False),
        *(ask() for _ in range(30)),
    )
    [paused] = await events(world, "agent_paused")
    approved_at = [
        event.seq for event in await world.store.reads.audit_page(event="action_approved", limit=99)
    ]
    rejected_at = [
        event.seq for event in await world.store.reads.audit_page(event="action_rejected", limit=99)
    ]
    assert len(approved_at) + len(rejected_at) == 60
    assert rejected_at
    assert all(seq < paused.seq for seq in approved_at)
    assert all(seq > paused.seq for seq in rejected_at)


PAUSE = Pause("agent:builder", "Stop.", Reviewer(SlackId("U0OPS0001"), "Olga"), submitted().now)


async def test_another_process_that_read_before_the_pause_is_stopped_as_it_writes(world: World) -> None:
    """Steps that were made from what was read earlier, as a second process would have them."""
    store = world.store
    waiting, ready = submitted(1), submitted(2)
    for step in (waiting, ready):
        await store.write(CreateRequest(step))
    decided = approved(ready.request)
    assert await store.write(SaveTransition(decided))
    verdict = approved(waiting.request)
    claim = claimed(decided.request)
    await store.write(SetPause(PAUSE, cancel=False, via=Via.CLI))

    created = await store.write(CreateRequest(submitted(3)))
    assert (created.created, created.paused) == (False, PAUSE)
    with pytest.raises(HeldByPause, match=r"Stop\."):
        await store.write(SaveTransition(verdict, click=True))
    with pytest.raises(Paused, match=r"Stop\."):
        await store.write(ClaimRequest(claim, None, b"{}"))
    assert await store.reads.request(submitted(3).request.id) is None
    request = await store.reads.request(waiting.request.id)
    assert request is not None
    assert request.status == "pending"


async def test_deadlines_go_on_during_a_pause(world: World) -> None:
    step = submitted(1)
    await world.store.write(CreateRequest(step))
    await world.store.write(SetPause(replace(PAUSE, what="all"), cancel=False, via=Via.CLI))
    late = lifecycle.time_out(
        step.request, cause=lifecycle.Cause.TIMEOUT, reason="Late.", now=step.now + timedelta(hours=1)
    )
    assert await world.store.write(SaveTransition(late))


async def test_a_click_is_refused_whatever_its_verdict(world: World) -> None:
    step = submitted(1)
    await world.store.write(CreateRequest(step))
    await world.store.write(SetPause(PAUSE, cancel=False, via=Via.CLI))
    given = make_given(step.request, reason="No.")
    for rule in (reviewing.approve, reviewing.reject):
        verdict = rule(step.request, given, now=step.now + timedelta(seconds=1))
        with pytest.raises(HeldByPause):
            await world.store.write(SaveTransition(verdict, click=True))
