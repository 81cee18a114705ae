"""The SDK against the real server, with people who click in the local Slack."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from decimal import Decimal

import httpx
import pytest
import pytest_asyncio

import keyturn
from bot.demo.reviewer import Reviewer
from bot.sandbox import running_sandbox
from tests.processes import BotProcess

SRE = "U0SRE0001"
POLICY = """
name: tests
auto_approve_threshold: none
auto_reject_threshold: never
default_timeout: 1h
channel: C0APPROVE
approvers: {quorum: 1, users: [U0SRE0001, U0SRE0002]}
block: [{name: no-pastes, action_type: external_api_call}]
allow: [{name: temp-files, action_type: file_delete, path_pattern: "/tmp/**"}]
"""

# One server for the module: starting it costs more than all the tests.
pytestmark = pytest.mark.asyncio(loop_scope="module")


def transfer(amount: str) -> dict[str, object]:
    """Each test pays another amount, so that nobody clicks on another test's card."""
    return {"amount": Decimal(amount), "currency": "USD", "to": "ACME"}


@dataclass
class Stage:
    client: keyturn.AsyncClient
    blocking: keyturn.Client
    people: Reviewer


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stage(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    async with (
        running_sandbox(pace=False) as sandbox,
        httpx.AsyncClient(base_url=sandbox.url, timeout=60) as page,
    ):
        bot = BotProcess(tmp_path_factory.mktemp("bot"), sandbox.environment(), POLICY)
        token = await bot.command("agents", "add", "payer", "--owner", "U0OWN0001")
        await bot.start()
        try:
            async with keyturn.AsyncClient(bot.url, token) as client:
                with keyturn.Client(bot.url, token) as blocking:
                    yield Stage(client, blocking, Reviewer(page))
        finally:
            await bot.stop()


async def test_a_person_approves_and_the_digits_survive_the_whole_way(stage: Stage) -> None:
    wanted = transfer("2500.00")
    client = stage.client
    session = await client.start_session(name="Payments")
    assert (await client.start_session(session.id)).id == session.id
    asked = await client.request("transfer", wanted, "Pay ACME", session_id=session.id)
    assert str(asked.params["amount"]) == "2500.00"
    assert asked.digest == keyturn.digest("transfer", wanted)
    waiting = asyncio.create_task(client.wait(asked))
    card = await stage.people.card("2500.00")
    await stage.people.click(SRE, card, "request.approve")
    decided = await waiting
    assert decided.decision is not None
    assert [person.id for person in decided.decision.by] == [SRE]

    claim = await client.claim(decided)
    assert (str(claim.params["amount"]), claim.digest) == ("2500.00", asked.digest)
    with pytest.raises(keyturn.AlreadyClaimed):
        await client.claim(decided)
    await client.report(asked, success=True, duration_ms=3, output={"paid": Decimal("2500.00")})
    await client.report(asked, success=True, duration_ms=3, output={"paid": Decimal("2500.00")})
    with pytest.raises(keyturn.OutcomeConflict):
        await client.report(asked, success=False)

    assert [event.event async for event in client.events(asked)] == ["state"]
    everything = [event async for event in client.events(asked, last_seq="0")]
    assert {"action_requested", "action_approved", "action_claimed", "action_executed"} <= {
        event.event for event in everything
    }
    assert everything[-1].request.execution.state is keyturn.ExecutionState.SUCCEEDED
    assert (await client.get_session(session.id)).counts["approved"] == 1
    assert "action_executed" in [entry.event for entry in (await client.timeline(session.id)).items]
    assert (await client.end_session(session.id, summary="Paid")).ended_at is not None
    with pytest.raises(keyturn.SessionEnded):
        await client.request("transfer", wanted, "Pay again", session_id=session.id)


async def test_a_person_changes_the_amount_and_the_function_gets_it_typed(stage: Stage) -> None:
    @stage.client.requires_approval("custom_discount", description="Discount of {percent} for {customer}")
    async def discount(customer: str, percent: Decimal, months: int) -> tuple[str, Decimal, int]:
        return customer, percent, months

    running = asyncio.create_task(discount("ACME", Decimal("12.50"), 3))
    card = await stage.people.card("12.50")
    await stage.people.click(SRE, card, "request.modify")
    await stage.people.fill_in(SRE, "request.modify", **{"param:/percent": "7.50", "reason": "Enough."})
    customer, percent, months = await running
    assert (customer, str(percent), months) == ("ACME", "7.50", 3)
    assert (type(percent), type(months)) == (Decimal, int)
    (request,) = (await stage.client.list(status=keyturn.Status.MODIFIED)).items
    assert request.execution.success is True


async def test_people_and_rules_say_no_and_yes_in_their_own_words(stage: Stage) -> None:
    wanted = transfer("2600.00")
    client = stage.client
    waiting = asyncio.create_task(client.wait(await client.request("transfer", wanted, "Pay ACME")))
    card = await stage.people.card("2600.00")
    await stage.people.click(SRE, card, "request.reject")
    await stage.people.fill_in(SRE, "request.reject", reason="Paid already.")
    with pytest.raises(keyturn.Rejected, match=r"Paid already\.") as refused:
        await waiting
    assert (type(refused.value), refused.value.cause) == (keyturn.Rejected, keyturn.Cause.HUMAN)

    with pytest.raises(keyturn.PolicyRejected) as blocked:
        async with client.approved(
            "external_api_call", {"service": "paste", "endpoint": "/", "data": {}}, "Paste"
        ):
            pytest.fail("it ran")
    assert blocked.value.request is not None
    assert blocked.value.request.policy.rule == "no-pastes"
    async with client.approved("file_delete", {"path": "/tmp/x", "recursive": False}, "Clean up") as action:
        assert action.request.automatic


async def test_the_servers_refusals_are_errors_with_their_codes(stage: Stage) -> None:
    wanted = transfer("2700.00")
    client = stage.client
    with pytest.raises(keyturn.InvalidRequest, match="params") as invalid:
        await client.request("transfer", {"amount": True}, "Pay ACME")
    assert (invalid.value.status, invalid.value.code) == (422, "invalid_request")
    with pytest.raises(keyturn.InvalidRequest) as inexact:
        await client.request("custom", {"n": 2**60}, "Big")
    assert inexact.value.code == "inexact_number"
    with pytest.raises(keyturn.NotFound):
        await client.get("req_nobody")

    asked = await client.request("transfer", wanted, "Pay ACME", preview="1 row", idempotency_key="k-1")
    again = await client.request("transfer", wanted, "Pay ACME", preview="1 row", idempotency_key="k-1")
    assert again.id == asked.id
    with pytest.raises(keyturn.IdempotencyConflict):
        await client.request("transfer", wanted, "Pay Eve", idempotency_key="k-1")
    with pytest.raises(keyturn.NotYetDecided):
        await client.wait(asked, timeout=0)
    await client.reply(asked, "The invoice is due today.")
    assert (await client.get(asked.id)).messages[0].sender == "payer"
    await stage.people.click(SRE, await stage.people.card("2700.00"), "request.approve")
    await client.wait(asked)
    with pytest.raises(keyturn.PreviewChanged):
        await client.claim(asked, preview="2 rows")
    assert (await client.claim(asked, preview="1 row")).receipt.count(".") == 2
    with pytest.raises(keyturn.AlreadyDecided):
        await client.cancel(asked, "Too late")

    other = await client.request("transfer", wanted, "Pay ACME")
    assert (await client.cancel(other, "Changed my mind")).cause is keyturn.Cause.CANCELLED_BY_AGENT
    with pytest.raises(keyturn.NotClaimed):
        await client.report(other, success=True)
    evaluation = await client.evaluate("transfer", wanted, "Pay ACME")
    assert (evaluation.effect, evaluation.risk.level) == ("review", keyturn.RiskLevel.MEDIUM)


async def test_the_blocking_client_hears_of_a_click_in_the_background(stage: Stage) -> None:
    wanted = transfer("2800.00")
    heard: asyncio.Queue[keyturn.Request] = asyncio.Queue()
    loop = asyncio.get_running_loop()

    def on_decision(request: keyturn.Request) -> None:
        stage.blocking.claim(request)
        stage.blocking.report(request, success=True)
        loop.call_soon_threadsafe(heard.put_nowait, request)

    await asyncio.to_thread(stage.blocking.request, "transfer", wanted, "Pay ACME", on_decision=on_decision)
    await stage.people.click(SRE, await stage.people.card("2800.00"), "request.approve")
    request = await heard.get()
    final = await asyncio.to_thread(stage.blocking.get, request.id)
    assert final.execution.state is keyturn.ExecutionState.SUCCEEDED
