"""A request followed as Server-Sent Events."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from bot.http import calls
from tests.integration.http_face import ALLOWED, ASK, BLOCKED, World, served, until


@dataclass
class Heard:
    """One event as it came."""

    id: int
    event: str
    data: dict[str, Any]


@dataclass
class Ear:
    """An open stream."""

    answer: httpx.Response
    events: AsyncIterator[Heard | None]

    async def next(self) -> Heard:
        """The next event; heartbeats are passed over."""
        async with asyncio.timeout(30):
            while True:
                heard = await anext(self.events)
                if heard is not None:
                    return heard

    async def ended(self) -> bool:
        """Whether the stream ends without another event."""
        async with asyncio.timeout(30):
            return [heard async for heard in self.events] == []


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with served(tmp_path) as world:
        yield world


@asynccontextmanager
async def listening(world: World, id: str, **headers: str) -> AsyncIterator[Ear]:
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    async with world.client.stream("GET", f"/v1/requests/{id}/events", headers=names) as answer:
        yield Ear(answer, _parsed(answer))


async def _parsed(answer: httpx.Response) -> AsyncIterator[Heard | None]:
    """Events, and None for a comment."""
    fields: dict[str, str] = {}
    async for line in answer.aiter_lines():
        if line.startswith(":"):
            yield None
        elif line:
            name, _, value = line.partition(": ")
            fields[name] = value
        elif fields:
            yield Heard(int(fields["id"]), fields["event"], json.loads(fields["data"]))
            fields = {}


async def asked(world: World, body: dict[str, Any] = ASK) -> dict[str, Any]:
    request: dict[str, Any] = (await world.client.post("/v1/requests", json=body)).json()
    return request


async def test_a_new_listener_hears_the_present_state_and_then_every_change(world: World) -> None:
    request = await asked(world, ASK)
    async with listening(world, request["id"]) as ear:
        assert ear.answer.headers["content-type"].startswith("text/event-stream")
        state = await ear.next()
        assert (state.event, state.data) == ("state", request)
        await world.approve(request["id"])
        heard = [await ear.next(), await ear.next()]
        assert [h.event for h in heard] == ["review_recorded", "action_approved"]
        assert state.id < heard[0].id < heard[1].id
        path, digest = f"/v1/requests/{request['id']}", request["digest"]
        await world.client.post(f"{path}/claim", json={"digest": digest})
        assert (await ear.next()).event == "action_claimed"
        await world.client.post(f"{path}/outcome", json={"success": False, "error": "disk full"})
        last = await ear.next()
        assert (last.event, last.data["execution"]["state"]) == ("action_failed", "failed")
        assert await ear.ended()


async def test_a_listener_resumes_after_the_last_event_it_heard(world: World) -> None:
    request = await asked(world)
    async with listening(world, request["id"]) as ear:
        await ear.next()
        await world.approve(request["id"])
        first = await ear.next()
    async with listening(world, request["id"], Last_Event_ID=str(first.id)) as ear:
        assert (await ear.next()).event == "action_approved"


async def test_a_listener_that_was_cut_off_after_the_state_misses_nothing(world: World) -> None:
    request = await asked(world)
    async with listening(world, request["id"]) as ear:
        state = await ear.next()
    await world.approve(request["id"])
    async with listening(world, request["id"], Last_Event_ID=str(state.id)) as ear:
        assert [(await ear.next()).event for _ in range(2)] == ["review_recorded", "action_approved"]


async def test_a_last_event_id_that_is_none_of_ours_starts_anew(world: World) -> None:
    request = await asked(world)
    async with listening(world, request["id"], Last_Event_ID="yesterday") as ear:
        assert (await ear.next()).event == "state"


async def test_the_stream_of_what_is_over_says_so_and_ends(world: World) -> None:
    request = await asked(world, BLOCKED)
    async with listening(world, request["id"]) as ear:
        assert (await ear.next()).data["status"] == "rejected"
        assert await ear.ended()


async def test_a_decided_request_is_followed_until_it_has_run(world: World) -> None:
    request = await asked(world, ALLOWED)
    async with listening(world, request["id"]) as ear:
        assert (await ear.next()).data["status"] == "approved"
        await world.client.post(f"/v1/requests/{request['id']}/claim", json={"digest": request["digest"]})
        assert (await ear.next()).event == "action_claimed"


async def test_a_quiet_stream_shows_that_it_is_alive(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calls, "HEARTBEAT", 0.05)
    request = await asked(world)
    async with listening(world, request["id"]) as ear, asyncio.timeout(30):
        await ear.next()
        assert [await anext(ear.events), await anext(ear.events)] == [None, None]


async def test_revoking_the_token_ends_the_stream(world: World) -> None:
    headers = {"Authorization": f"Bearer {await world.token('other')}"}
    made = await world.client.post("/v1/requests", json=ASK, headers=headers)
    async with listening(world, made.json()["id"], **headers) as ear:
        await ear.next()
        await world.agents.revoke("other")
        assert await ear.ended()


async def test_another_process_ends_the_stream_of_a_token_that_it_rotated(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    headers = {"Authorization": f"Bearer {await world.token('other')}"}
    made = await world.client.post("/v1/requests", json=ASK, headers=headers)
    async with listening(world, made.json()["id"], **headers) as ear:
        await ear.next()
        with monkeypatch.context() as deaf:
            # A commit of another process: nobody here is told of it.
            deaf.setattr(world.agents, "_end", lambda _name: None)
            await world.agents.rotate("other")
        await world.agents.sweep()
        assert await ear.ended()


async def test_a_listener_that_leaves_is_forgotten(world: World) -> None:
    request = await asked(world)
    async with listening(world, request["id"]) as ear:
        await ear.next()
        assert len(world.app.face.calls) == 1
    await until(lambda: len(world.app.face.calls) == len(world.waiters) == 0)


async def test_stopping_ends_every_stream(world: World) -> None:
    request = await asked(world)
    async with listening(world, request["id"]) as ear:
        await ear.next()
        world.app.stop_holding()
        assert await ear.ended()


async def test_head_of_a_stream_is_its_headers(world: World) -> None:
    request = await asked(world)
    answer = await world.client.head(f"/v1/requests/{request['id']}/events")
    assert (answer.status_code, answer.content) == (200, b"")
    assert answer.headers["content-type"].startswith("text/event-stream")
