"""What a card offers stays true: while the undo is possible, and no longer."""

import json
from datetime import timedelta
from pathlib import Path

import pytest

from bot.core.models import ApprovalRequest
from bot.sandbox import running_sandbox
from bot.sandbox.model import Message
from tests.integration.slack_desk import (
    POLICY,
    PRIYA,
    RAFAEL,
    Desk,
    ShiftedClock,
    buttons,
    crowded_workspace,
    running_bot,
)
from tests.integration.test_rollback_bot import agent_at, change, newest

PLACES = ("C0APPROVE", "C0SECALRT", PRIYA)
BLOCKED = POLICY.replace("block:\n", 'block:\n  - {name: frozen, path_pattern: "**/settings"}\n')


@pytest.fixture
def place(tmp_path: Path) -> Path:
    found = tmp_path.resolve() / "agent"
    found.mkdir()
    return found


@pytest.fixture
def clock() -> ShiftedClock:
    return ShiftedClock()


async def ran_with_copies(desk: Desk, clock: ShiftedClock, place: Path) -> ApprovalRequest:
    """An action that ran after an escalation: its card stands in two channels and a person's messages."""
    file = place / "settings"
    file.write_bytes(b"old\n")

    async def escalate() -> None:
        request = await newest(desk)
        clock.shift(timedelta(minutes=10, seconds=1))
        await desk.bot.escalations.run_once()
        for where in PLACES:
            await desk.card(request, where)

    async with agent_at(desk, place) as client:
        request = await change(desk, client, file, "new\n", first=escalate)
    await saying(desk, request, "Can be rolled back until ")
    assert all("rollback.start" in buttons(card) for card in copies(desk, request))
    return request


def copies(desk: Desk, request: ApprovalRequest) -> list[Message]:
    return [card for where in PLACES for card in desk.cards(request, where)]


async def saying(desk: Desk, request: ApprovalRequest, words: str) -> None:
    """Until every copy of the card says this."""

    def look() -> bool:
        cards = copies(desk, request)
        return len(cards) >= len(PLACES) and all(words in json.dumps(card.blocks) for card in cards)

    await desk.sandbox.until(look)


async def test_when_its_time_is_up_every_copy_of_the_card_stops_offering_the_rollback(
    tmp_path: Path, place: Path, clock: ShiftedClock
) -> None:
    async with (
        running_sandbox(workspace=crowded_workspace()) as slack,
        running_bot(slack, tmp_path, clock=clock) as desk,
    ):
        request = await ran_with_copies(desk, clock, place)
        clock.shift(timedelta(hours=24))
        await desk.bot.rollbacks.run_once()
        await saying(desk, request, "Could be rolled back until ")
        assert not any("rollback.start" in buttons(card) for card in copies(desk, request))


async def test_a_time_that_was_up_while_the_bot_was_down_is_on_the_cards_after_it_has_started(
    tmp_path: Path, place: Path, clock: ShiftedClock
) -> None:
    async with running_sandbox(workspace=crowded_workspace()) as slack:
        async with running_bot(slack, tmp_path, clock=clock) as desk:
            request = await ran_with_copies(desk, clock, place)
        clock.shift(timedelta(hours=30))
        async with running_bot(slack, tmp_path, clock=clock) as desk:
            await saying(desk, request, "Could be rolled back until ")
            assert not any("rollback.start" in buttons(card) for card in copies(desk, request))


async def test_a_button_that_policies_have_overtaken_is_refused_and_taken_away(
    tmp_path: Path, place: Path, clock: ShiftedClock
) -> None:
    async with (
        running_sandbox(workspace=crowded_workspace()) as slack,
        running_bot(slack, tmp_path, clock=clock) as desk,
    ):
        request = await ran_with_copies(desk, clock, place)
        (desk.bot.policies.directory / "default.yaml").write_text(BLOCKED)
        await desk.bot.reloads.reload(asked=True)
        await desk.click(RAFAEL, request, "rollback.start")
        await desk.private(RAFAEL, "The policy does not allow the undo")
        await saying(desk, request, "Cannot be rolled back. ")
        assert not any("rollback.start" in buttons(card) for card in copies(desk, request))
        refused = await desk.audited(request, "review_refused")
        assert [(entry["code"], entry["verdict"]) for entry in refused] == [("not_rollbackable", "rollback")]
