"""The sandbox's bad days: rate limits, lost answers, outages, duplicates, reconnects, retries."""

from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from slack_sdk.errors import SlackApiError
from slack_sdk.http_retry.builtin_async_handlers import AsyncRateLimitErrorRetryHandler

from bot.sandbox import running_sandbox
from tests.integration.sandbox_bot import CARD, World, client_of, connected

DANA = "U0DANA001"


@pytest.fixture(params=["socket", "http"])
async def world(request: pytest.FixtureRequest) -> AsyncIterator[World]:
    async with connected(request.param) as running:
        yield running


@pytest.fixture(params=["socket", "http"])
async def hasty(request: pytest.FixtureRequest) -> AsyncIterator[World]:
    """A world whose Slack waits for a moment only: longer than the bot takes, or it would hear too late."""
    async with connected(request.param, ack_seconds=2.0, event_retry_seconds=(0.0, 0.0)) as running:
        yield running


class Clock:
    """A clock that stands still until it is told otherwise."""

    now = 1_700_000_000.0

    def __call__(self) -> float:
        return self.now


async def test_a_channel_takes_a_burst_and_then_one_message_a_second() -> None:
    clock = Clock()
    async with running_sandbox(clock=clock) as sandbox:
        client = client_of(sandbox)
        for _ in range(4):
            await client.chat_postMessage(channel="C0GENERAL", text="x")
        with pytest.raises(SlackApiError) as caught:
            await client.chat_postMessage(channel="C0GENERAL", text="x")
        assert (caught.value.response.status_code, caught.value.response["error"]) == (429, "ratelimited")
        assert caught.value.response.headers["Retry-After"] == "1"
        await client.chat_postMessage(channel="C0APPROVE", text="another channel")
        clock.now += 1
        await client.chat_postMessage(channel="C0GENERAL", text="x")
        sandbox.pace.enforced = False
        await client.chat_postMessage(channel="C0GENERAL", text="x")
        assert len(sandbox.messages("C0GENERAL")) == 6


async def test_the_sdks_retry_handler_gets_over_a_rate_limit() -> None:
    async with running_sandbox() as sandbox:
        client = client_of(sandbox, retry_handlers=[AsyncRateLimitErrorRetryHandler(max_retry_count=1)])
        await sandbox.add_fault("rate_limited", method="chat.postMessage", retry_after=0)
        await client.chat_postMessage(channel="C0GENERAL", text="x")
        assert [entry.status for entry in sandbox.traffic.after(0)] == [429, 200]


async def test_a_post_whose_answer_is_lost_was_stored_and_the_default_client_posts_it_twice() -> None:
    async with running_sandbox() as sandbox:
        await sandbox.add_fault("drop_after", method="chat.postMessage")
        careful = client_of(sandbox, retry_handlers=[])
        with pytest.raises(aiohttp.ClientError):
            await careful.chat_postMessage(channel="C0GENERAL", text="once")
        assert [message.text for message in sandbox.messages("C0GENERAL")] == ["once"]

        await sandbox.add_fault("drop_after", method="chat.postMessage")
        await client_of(sandbox).chat_postMessage(channel="C0GENERAL", text="twice")
        assert [message.text for message in sandbox.messages("C0GENERAL")] == ["once", "twice", "twice"]


async def test_a_call_dropped_before_it_is_stored_leaves_nothing() -> None:
    async with running_sandbox() as sandbox:
        await sandbox.add_fault("drop_before", method="chat.postMessage")
        with pytest.raises(aiohttp.ClientError):
            await client_of(sandbox, retry_handlers=[]).chat_postMessage(channel="C0GENERAL", text="x")
        assert sandbox.messages("C0GENERAL") == []


async def test_an_outage_lasts_until_it_is_over() -> None:
    async with running_sandbox() as sandbox:
        client = client_of(sandbox, retry_handlers=[])
        await sandbox.add_fault("outage")
        for _ in range(3):
            with pytest.raises(aiohttp.ClientError):
                await client.auth_test()
        sandbox.faults.clear()
        await client.auth_test()


async def test_an_outage_of_some_seconds_ends_by_itself() -> None:
    clock = Clock()
    async with running_sandbox(clock=clock) as sandbox:
        client = client_of(sandbox, retry_handlers=[])
        await sandbox.add_fault("outage", seconds=3600)
        with pytest.raises(aiohttp.ClientError):
            await client.auth_test()
        clock.now += 3600
        await client.auth_test()
        assert sandbox.faults.active() == []


async def test_errors_of_the_server_and_of_slack_are_played_for_one_method() -> None:
    async with running_sandbox() as sandbox:
        client = client_of(sandbox, retry_handlers=[])
        await sandbox.add_fault("server_error", method="chat.update")
        await sandbox.add_fault("error", method="chat.postMessage", code="ekm_access_denied", count=2)
        for _ in range(2):
            with pytest.raises(SlackApiError, match="ekm_access_denied"):
                await client.chat_postMessage(channel="C0GENERAL", text="x")
        ts = (await client.chat_postMessage(channel="C0GENERAL", text="x"))["ts"]
        with pytest.raises(SlackApiError) as caught:
            await client.chat_update(channel="C0GENERAL", ts=ts, text="y")
        assert caught.value.response.status_code == 500
        await client.chat_update(channel="C0GENERAL", ts=ts, text="y")


async def test_a_slow_call_is_answered_after_its_delay() -> None:
    async with running_sandbox() as sandbox:
        await sandbox.add_fault("slow", method="auth.test", delay=0.05)
        await client_of(sandbox).auth_test()
        assert sandbox.traffic.after(0)[0].ms >= 50


async def test_a_duplicate_delivery_reaches_the_bot_twice(world: World) -> None:
    @world.app.action("go")
    async def note(ack: Any, body: Any) -> None:
        world.seen.append(body)
        await ack()

    ts = await world.post()
    await world.sandbox.add_fault("duplicate_delivery")
    assert (await world.sandbox.people.click(DANA, "C0APPROVE", ts, "go"))["ok"]
    first, second = world.seen
    assert first == second
    assert (await world.sandbox.people.click(DANA, "C0APPROVE", ts, "go"))["ok"]
    assert len(world.seen) == 3


async def test_a_lost_acknowledgement_is_a_timeout_for_the_person_only(hasty: World) -> None:
    @hasty.app.action("go")
    async def note(ack: Any, body: Any) -> None:
        hasty.seen.append(body)
        await ack()

    ts = await hasty.post()
    await hasty.sandbox.add_fault("drop_ack")
    answer = await hasty.sandbox.people.click(DANA, "C0APPROVE", ts, "go")
    assert (answer["ok"], answer["error"]) == (False, "operation_timeout")
    assert len(hasty.seen) == 1


async def test_an_event_is_retried_with_its_number_and_an_interaction_is_not(hasty: World) -> None:
    numbers: list[list[str]] = []

    @hasty.app.event("app_home_opened")
    async def opened(request: Any) -> None:
        numbers.append(request.headers.get("x-slack-retry-num", ["0"]))

    await hasty.sandbox.add_fault("drop_ack", count=2)
    assert (await hasty.sandbox.people.open_home(DANA))["error"] == "operation_timeout"

    def notes() -> list[str | None]:
        return [entry.note for entry in hasty.sandbox.traffic.after(0) if entry.name == "app_home_opened"]

    await hasty.sandbox.until(lambda: len(notes()) == 3)
    assert numbers == [["0"], ["1"], ["2"]]
    assert notes() == ["http_timeout", "http_timeout", "retry 2: http_timeout"]


async def test_the_socket_is_refreshed_without_losing_a_click() -> None:
    async with connected("socket") as world:

        @world.app.action("go")
        async def note(ack: Any, body: Any) -> None:
            world.seen.append(body)
            await ack()

        ts = await world.post()
        for _ in range(3):
            await world.sandbox.add_fault("socket_refresh")
            assert (await world.sandbox.people.click(DANA, "C0APPROVE", ts, "go"))["ok"]
        assert len(world.seen) == 3


async def test_a_click_with_no_bot_connected_tells_the_person() -> None:
    async with running_sandbox(ack_seconds=0.05) as sandbox:
        await client_of(sandbox).chat_postMessage(channel="C0APPROVE", text="x", blocks=CARD)
        (card,) = sandbox.messages("C0APPROVE")
        answer = await sandbox.people.click(DANA, "C0APPROVE", card.ts, "go")
        assert answer["error"] == "operation_timeout"


async def test_a_bot_that_is_down_or_answers_with_an_error_is_a_failed_dispatch() -> None:
    async with running_sandbox(transport="http") as sandbox:
        await client_of(sandbox).chat_postMessage(channel="C0APPROVE", text="x", blocks=CARD)
        (card,) = sandbox.messages("C0APPROVE")
        answer = await sandbox.people.click(DANA, "C0APPROVE", card.ts, "go")
        assert answer["error"] == "dispatch_failed"
        sandbox.deliver_to(f"{sandbox.url}/no/such/route")
        answer = await sandbox.people.click(DANA, "C0APPROVE", card.ts, "go")
        assert answer["error"] == "dispatch_failed"
        assert sandbox.traffic.after(0)[-1].status == 404
