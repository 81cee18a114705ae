"""Cards reach Slack in spite of it, and every copy shows the last state."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from bot.core.errors import Unavailable
from bot.core.models import ApprovalRequest, SlackId, Status, Verdict
from bot.sandbox import running_sandbox
from bot.sandbox.model import Message
from bot.services.reviews import Click
from bot.slack import clicks
from bot.slack.directory import SlackDirectory
from bot.store.commands import CompleteOutbox
from tests.integration.slack_desk import (
    DANA,
    PRIYA,
    RAFAEL,
    SAM,
    Desk,
    ShiftedClock,
    buttons,
    crowded_workspace,
    headline,
    running_bot,
    running_desk,
    text,
)

SECURITY_PEOPLE = ("U0SEC0001", "U0SEC0002")


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    async with running_desk(tmp_path, pace=False) as running:
        yield running


@pytest.mark.parametrize(
    "fault",
    [
        {"fault": "rate_limited", "retry_after": 1, "count": 2},
        {"fault": "server_error", "count": 2},
        {"fault": "drop_before", "count": 2},
        {"fault": "drop_after", "count": 2},
        {"fault": "error", "code": "internal_error", "count": 2},
    ],
    ids=lambda fault: fault["fault"],
)
async def test_a_card_arrives_once_whatever_happens_on_the_way(desk: Desk, fault: dict[str, Any]) -> None:
    await desk.sandbox.add_fault(**fault, method="chat.postMessage")
    request = await desk.ask()
    await desk.card(request)
    await desk.click(RAFAEL, request)
    await desk.painted(request, "Approved")
    assert len(desk.cards(request)) == 1
    assert len(await desk.until_audited(request, "notification_sent")) == 1
    failures = await desk.audited(request, "notification_failed")
    assert [failure["attempts"] for failure in failures] == list(range(1, len(failures) + 1)) != []
    assert all(failure["again_in_seconds"] for failure in failures), "every try is on record; none gave up"


async def test_a_card_arrives_after_an_outage(desk: Desk) -> None:
    await desk.sandbox.add_fault("outage", seconds=3)
    request = await desk.ask()
    assert buttons(await desk.card(request))
    assert (await desk.now(request)).status is Status.PENDING


async def test_a_repaint_lands_in_spite_of_trouble(desk: Desk) -> None:
    request = await desk.ask()
    await desk.card(request)
    for fault in ("rate_limited", "server_error", "drop_after"):
        await desk.sandbox.add_fault(fault, method="chat.update")
    await desk.click(RAFAEL, request)
    assert buttons(await desk.painted(request, "Approved")) == []


@pytest.mark.parametrize(
    "code", ["channel_not_found", "not_in_channel", "is_archived", "restricted_action", "invalid_blocks"]
)
async def test_a_card_that_cannot_arrive_is_a_typed_failure_and_no_decision(desk: Desk, code: str) -> None:
    await desk.sandbox.add_fault("error", method="chat.postMessage", code=code)
    request = await desk.ask()

    found = await desk.until_audited(request, "notification_failed")
    assert [failure["code"] for failure in found] == [code]
    assert (await desk.now(request)).status is Status.PENDING
    [card] = await desk.bot.store.reads.cards(request.id)
    assert (card.state, card.error) == ("failed", code)


async def test_a_deleted_card_is_posted_anew_while_it_is_needed(desk: Desk) -> None:
    request = await desk.ask("deployment", {"environment": "staging", "version": "1"})
    first = await desk.card(request)
    desk.sandbox.workspace.delete(first)
    # Somebody decides at another copy of it.
    click = Click(request.id, request.digest, SlackId(RAFAEL), "T0KEYTURN", Verdict.APPROVE)
    await desk.bot.reviews.review(click)
    again = await desk.card(request)
    assert again.ts != first.ts
    await desk.click(SAM, request)
    assert buttons(await desk.painted(request, "Approved")) == []


async def test_every_copy_of_a_card_is_repainted_wherever_it_was_decided(tmp_path: Path) -> None:
    clock = ShiftedClock()
    async with (
        running_sandbox(workspace=crowded_workspace(), pace=False) as sandbox,
        running_bot(sandbox, tmp_path, clock=clock) as desk,
    ):
        request = await desk.ask()
        await desk.card(request)
        clock.shift(timedelta(minutes=11))
        await desk.bot.escalations.run_once()
        places = ["C0APPROVE", "C0SECALRT", *SECURITY_PEOPLE]
        copies = [await desk.card(request, place) for place in places]
        assert all("request.approve" in buttons(copy) for copy in copies)
        dm = copies[-2]
        assert dm.channel.startswith("D")
        assert (await sandbox.people.click(PRIYA, dm.channel, dm.ts, "request.approve"))["ok"]
        assert (await desk.now(request)).status is Status.APPROVED
        for place in places:
            assert buttons(await desk.painted(request, "Approved", place)) == []


async def test_a_card_of_before_a_restart_still_works(tmp_path: Path) -> None:
    async with running_sandbox(workspace=crowded_workspace(), pace=False) as sandbox:
        async with running_bot(sandbox, tmp_path) as desk:
            request = await desk.ask()
            await desk.card(request)
        async with running_bot(sandbox, tmp_path) as desk:
            assert (await desk.click(RAFAEL, request))["ok"]
            assert (await desk.now(request)).status is Status.APPROVED
            assert buttons(await desk.painted(request, "Approved")) == []
            assert len(desk.cards(request)) == 1


async def test_a_form_of_before_a_restart_still_works(tmp_path: Path) -> None:
    async with running_sandbox(workspace=crowded_workspace(), pace=False) as sandbox:
        async with running_bot(sandbox, tmp_path) as desk:
            request = await desk.ask()
            await desk.click(RAFAEL, request, "request.reject")
            form = await desk.modal(RAFAEL, "request.reject")
        async with running_bot(sandbox, tmp_path) as desk:
            await sandbox.people.submit(RAFAEL, form.id, {"reason": text("no")})
            assert (await desk.now(request)).status is Status.REJECTED


async def test_the_human_behind_the_agent_hears_the_outcome_without_the_agents_words(desk: Desk) -> None:
    request = await desk.ask(description="AGENT-WORDS", on_behalf_of="dana@example.com")
    await desk.click(RAFAEL, request)
    messages = desk.sandbox.messages
    [told] = await desk.sandbox.until(lambda: messages(DANA))
    assert "Approved" in told.text
    assert "log_level" in told.text
    assert "AGENT-WORDS" not in str(told.blocks) + told.text


async def test_an_agents_message_stands_in_the_thread_of_the_card(desk: Desk) -> None:
    request = await desk.ask()
    card = await desk.card(request)
    await desk.bot.approvals.message(desk.agent, request.id, text="<!channel> *hello*", in_reply_to=None)

    def reply() -> Message | None:
        return next((m for m in desk.sandbox.messages("C0APPROVE") if m.thread_ts == card.ts), None)

    said = await desk.sandbox.until(reply)
    assert "&lt;!channel&gt;" in said.text


async def test_somebody_whose_approval_an_edit_took_away_is_told(desk: Desk) -> None:
    request = await desk.ask("deployment", {"environment": "staging", "version": "1"})
    await desk.click(RAFAEL, request)
    await desk.click(SAM, request, "request.modify")
    form = await desk.modal(SAM, "request.modify")
    await desk.sandbox.people.submit(SAM, form.id, {"param:/version": text("2")})
    [told] = await desk.sandbox.until(lambda: desk.sandbox.messages(RAFAEL))
    assert "your approval no longer counts" in told.text
    assert "version “2”" in told.text


async def test_when_slack_cannot_say_who_somebody_is_nobody_is_authorised(tmp_path: Path) -> None:
    clock = ShiftedClock()
    async with (
        running_sandbox(workspace=crowded_workspace(), pace=False) as sandbox,
        running_bot(sandbox, tmp_path, clock=clock) as desk,
    ):
        request = await desk.ask()
        await desk.card(request)
        clock.shift(timedelta(minutes=2))
        await sandbox.add_fault("server_error", method="users.info", seconds=60)
        assert (await desk.click(RAFAEL, request))["ok"]
        assert "try again" in (await desk.private(RAFAEL)).text
        assert (await desk.now(request)).status is Status.PENDING
        [refusal] = await desk.audited(request, "review_refused")
        assert refusal["code"] == "cannot_verify"
        sandbox.faults.clear()
        await desk.click(RAFAEL, request)
        assert (await desk.now(request)).status is Status.APPROVED


async def test_a_slow_check_opens_a_waiting_view_that_becomes_the_form(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clicks, "QUICK", 0)  # slower than that is every check
    clock = ShiftedClock()
    async with (
        running_sandbox(workspace=crowded_workspace(), pace=False) as sandbox,
        running_bot(sandbox, tmp_path, clock=clock) as desk,
    ):
        request = await desk.ask()
        await desk.card(request)
        clock.shift(timedelta(minutes=2))
        assert (await desk.click(RAFAEL, request, "request.reject"))["ok"]
        form = await desk.modal(RAFAEL, "request.reject")
        opened = [entry.name for entry in sandbox.traffic.after(0) if entry.name.startswith("views.")]
        assert opened == ["views.open", "views.update"]
        await sandbox.people.submit(RAFAEL, form.id, {"reason": text("no")})
        assert (await desk.now(request)).status is Status.REJECTED


async def test_a_socket_that_is_refreshed_loses_no_click(desk: Desk) -> None:
    request = await desk.ask()
    await desk.card(request)
    await desk.sandbox.add_fault("socket_refresh")
    await desk.sandbox.until_connected()
    assert (await desk.click(RAFAEL, request))["ok"]
    assert headline(await desk.painted(request, "Approved"))


async def test_trouble_after_a_card_was_posted_does_not_post_it_again(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def break_down(_directory: SlackDirectory, _request: ApprovalRequest) -> None:
        raise RuntimeError("look-ahead")

    monkeypatch.setattr(SlackDirectory, "prefetch", break_down)
    request = await desk.ask()
    assert len(await desk.until_audited(request, "notification_sent")) == 1
    assert len(desk.cards(request)) == 1
    assert "could not look ahead" in caplog.text


async def test_storage_trouble_between_sending_and_recording_ends_no_loop(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    write, failures = desk.bot.store.write, iter([Unavailable()])

    async def failing(command: Any) -> Any:
        if isinstance(command, CompleteOutbox) and (failure := next(failures, None)) is not None:
            raise failure
        return await write(command)

    monkeypatch.setattr(desk.bot.store, "write", failing)
    first = await desk.ask()
    await desk.card(first)
    second = await desk.ask()
    await desk.card(second)
    assert next(failures, None) is None, "the fault was not played"
