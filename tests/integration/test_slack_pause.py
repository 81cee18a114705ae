"""A pause as people see it in Slack: on every pending card that it holds, in the queue, on Home."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from slack_sdk.web.async_client import AsyncWebClient

from bot.core.models import ApprovalRequest, Reviewer, SlackId, Status, Via
from bot.core.pausing import Pause
from bot.sandbox.model import Message
from bot.services.outbox import Sent
from bot.services.pause_signs import PauseSigns
from bot.services.pauses import Pauses
from bot.store.pauses import SetPause
from bot.system import SystemClock
from tests.integration.slack_desk import RAFAEL, Desk, buttons, headline, running_desk

WHY = "Incident 4711"
SIGN = f"⏸ Held. Agent deploy-bot is paused: {WHY}. No decision is taken until an operator resumes it"


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    async with running_desk(tmp_path, pace=False) as running:
        yield running


@pytest.fixture
def pauses(desk: Desk) -> Pauses:
    return Pauses(desk.bot.store, SystemClock())


async def until_signed(desk: Desk, request: ApprovalRequest) -> Message:
    """The card once it says that a pause holds it."""
    return await until(desk, request, signed=True)


async def until(desk: Desk, request: ApprovalRequest, *, signed: bool, words: str = SIGN) -> Message:
    """The card once it says these words, or says them no longer."""

    def look() -> Message | None:
        card = desk.find(request)
        return card if card is not None and (words in str(card.blocks)) is signed else None

    return await desk.sandbox.until(look)


async def test_a_pending_card_says_that_it_is_held_until_it_is_not(desk: Desk, pauses: Pauses) -> None:
    request = await desk.ask()
    before = await desk.card(request)
    assert SIGN not in str(before.blocks)
    await pauses.pause("deploy-bot", reason=WHY, cancel=False)
    held = await until_signed(desk, request)
    assert held.ts == before.ts
    assert SIGN in held.text
    assert headline(held) == headline(before)
    assert buttons(held) == buttons(before)  # a click is answered, not hidden
    await pauses.resume("deploy-bot")
    free = await until(desk, request, signed=False)
    assert free.blocks == before.blocks
    await desk.click(RAFAEL, request)
    assert (await desk.now(request)).status is Status.APPROVED


async def test_only_what_a_pause_is_about_is_marked(desk: Desk, pauses: Pauses) -> None:
    held, free = await desk.ask(), await desk.ask("tool:x", {})
    await pauses.pause("type:config_change", reason=WHY, cancel=False)
    words = f"⏸ Held. Action type config_change is paused: {WHY}."
    await until(desk, held, signed=True, words=words)
    assert "Held" not in str((await desk.card(free)).blocks)


async def test_the_wider_of_two_pauses_is_named_and_the_other_after_it(desk: Desk, pauses: Pauses) -> None:
    request = await desk.ask()
    await pauses.pause("deploy-bot", reason=WHY, cancel=False)
    await pauses.pause("all", reason="Fire drill.", cancel=False)
    words = "⏸ Held. Everything is paused: Fire drill. No decision"
    await until(desk, request, signed=True, words=words)
    await pauses.resume("all")
    await until_signed(desk, request)


async def test_a_pause_in_the_middle_of_posting_is_on_the_card(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    post = AsyncWebClient.chat_postMessage
    pause = Pause("agent:deploy-bot", WHY, Reviewer(SlackId("cli"), "an operator"), SystemClock().now())

    async def paused_meanwhile(client: AsyncWebClient, **message: Any) -> Any:
        await desk.bot.store.write(SetPause(pause, cancel=False, via=Via.CLI))
        return await post(client, **message)

    async def over(_signs: PauseSigns, _item: object) -> Sent:
        return Sent()  # it found no card to paint, and is done before this one stands

    monkeypatch.setattr(AsyncWebClient, "chat_postMessage", paused_meanwhile)
    monkeypatch.setattr(PauseSigns, "send", over)
    await until_signed(desk, await desk.ask())


async def test_the_queue_and_home_say_what_is_held(desk: Desk, pauses: Pauses) -> None:
    await desk.ask()
    await desk.ask("tool:x", {})
    await pauses.pause("type:config_change", reason=WHY, cancel=False)
    await desk.sandbox.people.command(RAFAEL, "C0APPROVE", "/keyturn", "queue")
    told = await desk.private(RAFAEL)
    assert "2 requests waiting for you, 1 held by a pause" in str(told.blocks)
    assert str(told.blocks).count("⏸ Held by a pause") == 1
    await desk.sandbox.people.open_home(RAFAEL)
    home = await desk.sandbox.until(lambda: desk.sandbox.workspace.views.homes.get(RAFAEL))
    assert str(home.view).count("⏸ Held by a pause") == 1
