"""The async client does what the blocking one does."""

import asyncio
import inspect
from collections.abc import AsyncIterator, Iterator
from decimal import Decimal

import pytest

import keyturn
from tests.stub_keyturn import TOKEN, StubKeyturn, answer, drop_after, drop_before, running_stub

PARAMS = {"amount": Decimal("2500.00")}


@pytest.fixture
def stub() -> Iterator[StubKeyturn]:
    with running_stub() as stub:
        yield stub


@pytest.fixture
async def client(stub: StubKeyturn) -> AsyncIterator[keyturn.AsyncClient]:
    async with keyturn.AsyncClient(stub.url, TOKEN) as client:
        yield client


async def polled(stub: StubKeyturn) -> None:
    await asyncio.to_thread(stub.wait_for, lambda: any("wait=" in path for _, path, _, _ in stub.log))


def test_both_clients_have_the_same_methods_with_the_same_parameters() -> None:
    def public(kind: type) -> dict[str, list[str]]:
        methods = inspect.getmembers(kind, inspect.isfunction)
        return {name: list(inspect.signature(m).parameters) for name, m in methods if name[0] != "_"}

    blocking, awaited = public(keyturn.Client), public(keyturn.AsyncClient)
    assert awaited.pop("aclose") == blocking.pop("close")
    assert awaited.pop("run_guarded")
    assert awaited == blocking


async def test_ask_wait_claim_report(stub: StubKeyturn, client: keyturn.AsyncClient) -> None:
    stub.fail("POST /v1/requests", drop_before, drop_after, answer(503, "unavailable", "0"))
    asked = await client.request("transfer", PARAMS, "Pay Bob")
    assert list(stub.requests) == [asked.id]
    waiting = asyncio.create_task(client.wait(asked))
    await polled(stub)
    stub.decide(asked.id, "modified", params={"amount": Decimal("1800.50")})
    claim = await client.claim(await waiting)
    assert str(claim.params["amount"]) == "1800.50"
    await client.report(asked, success=False, error="bank closed")
    assert (await client.get(asked.id)).execution.state is keyturn.ExecutionState.FAILED
    with pytest.raises(keyturn.AlreadyClaimed):
        await client.claim(asked.id)


async def test_a_wait_survives_a_restart(stub: StubKeyturn, client: keyturn.AsyncClient) -> None:
    asked = await client.request("transfer", PARAMS, "Pay Bob")
    waiting = asyncio.create_task(client.wait(asked.id))
    await polled(stub)
    await asyncio.to_thread(stub.stop)
    stub.decide(asked.id, "rejected", reason="No")
    stub.start()
    with pytest.raises(keyturn.Rejected):
        await waiting


async def test_everything_else_is_there_too(stub: StubKeyturn, client: keyturn.AsyncClient) -> None:
    asked = await client.request("transfer", PARAMS, "Pay Bob")
    await client.reply(asked, "Because")
    assert (await client.list()).items[0].id == asked.id
    assert (await client.evaluate("transfer", PARAMS, "Pay Bob")).effect == "review"
    session = await client.start_session(name="Run")
    assert (await client.get_session(session.id)).id == session.id
    first = await client.timeline(session.id)
    rest = await client.timeline(session.id, cursor=first.next_cursor)
    assert [entry.seq for page in (first, rest) for entry in page.items] == [7, 8]
    assert (await client.end_session(session.id)).ended_at is not None
    assert (await client.cancel(asked, "Enough")).status is keyturn.Status.CANCELLED


async def test_events_are_followed_over_a_broken_connection(
    stub: StubKeyturn, client: keyturn.AsyncClient
) -> None:
    asked = await client.request("transfer", PARAMS, "Pay Bob")
    stub.fail("EVENT action_rejected", lambda _: True)
    seen = []
    async for event in client.events(asked):
        seen.append(event.event)
        if event.event == "state":
            stub.decide(asked.id, "rejected", reason="No")
    assert seen == ["state", "action_rejected"]


async def test_events_are_asked_for_again_when_the_network_or_the_server_fails(
    stub: StubKeyturn, client: keyturn.AsyncClient
) -> None:
    asked = await client.request("transfer", PARAMS, "Pay Bob")
    stub.decide(asked.id, "rejected", reason="No")
    stub.fail(f"GET /v1/requests/{asked.id}/events", drop_before, answer(503, "unavailable", "0"))
    assert [event.event async for event in client.events(asked)] == ["state"]
    assert [event.event async for event in client.events(asked, last_seq="101")] == []
    with pytest.raises(keyturn.NotFound):
        await anext(client.events("req_nobody"))


async def test_callbacks_may_be_plain_or_async(stub: StubKeyturn, client: keyturn.AsyncClient) -> None:
    heard: asyncio.Queue[str] = asyncio.Queue()

    async def later(request: keyturn.Request) -> None:
        await asyncio.sleep(0)
        heard.put_nowait(f"async {request.status}")

    def at_once(request: keyturn.Request) -> None:
        heard.put_nowait(f"plain {request.status}")

    asked = await client.request("transfer", PARAMS, "Pay Bob", on_decision=later)
    client.watch(asked, at_once)
    client.watch("req_nobody", at_once, lambda error: heard.put_nowait(type(error).__name__))
    assert await heard.get() == "NotFound"
    stub.decide(asked.id, "approved")
    assert {await heard.get(), await heard.get()} == {"async approved", "plain approved"}


async def test_closing_cancels_waits_and_lets_a_running_callback_finish(stub: StubKeyturn) -> None:
    client = keyturn.AsyncClient(stub.url, TOKEN)
    entered, finish, heard = asyncio.Event(), asyncio.Event(), []

    async def on_decision(request: keyturn.Request) -> None:
        entered.set()
        await finish.wait()
        heard.append(request.id)

    await client.request("transfer", PARAMS, "Nobody decides", on_decision=on_decision)
    asked = await client.request("transfer", PARAMS, "Pay Bob", on_decision=on_decision)
    stub.decide(asked.id, "approved")
    await entered.wait()
    closing = asyncio.create_task(client.aclose())
    await asyncio.sleep(0)
    assert not closing.done()
    finish.set()
    await closing
    assert heard == [asked.id]
    with pytest.raises(RuntimeError, match="closed"):
        client.watch(asked, on_decision)
