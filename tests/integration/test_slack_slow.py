"""Three seconds: every click is answered in time, whatever is slow or broken behind it."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from bot.core.errors import Unavailable
from bot.core.models import ApprovalRequest, Status
from bot.services.reviews import Click
from bot.slack import listeners
from tests.integration.slack_desk import RAFAEL, SAM, Desk, running_desk, text, view_words


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    async with running_desk(tmp_path, pace=False) as running:
        yield running


def held_back(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> asyncio.Event:
    """Hold every verdict back until the event is set; answer Slack at once meanwhile."""
    release, review = asyncio.Event(), desk.bot.reviews.review

    async def slow(click: Click) -> ApprovalRequest:
        await release.wait()
        return await review(click)

    monkeypatch.setattr(desk.bot.reviews, "review", slow)
    monkeypatch.setattr(listeners, "ACK_AFTER", 0.05)
    return release


async def test_a_slow_decision_is_acknowledged_and_lands_later(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = await desk.ask()
    release = held_back(desk, monkeypatch)
    assert (await desk.click(RAFAEL, request))["ok"]
    assert (await desk.now(request)).status is Status.PENDING
    release.set()
    await desk.painted(request, "Approved")


async def test_a_slow_refusal_is_told_later(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    request = await desk.ask()
    release = held_back(desk, monkeypatch)
    await desk.click(RAFAEL, request)
    await desk.click(SAM, request)
    release.set()
    await desk.painted(request, "Approved")
    told = await desk.sandbox.until(desk.privates)
    assert "already approved by" in told[0].text


async def test_a_slow_form_waits_in_its_view_and_is_told_there(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = await desk.ask()
    await desk.click(SAM, request, "request.reject")
    form = await desk.modal(SAM, "request.reject")
    await desk.click(RAFAEL, request)
    release = held_back(desk, monkeypatch)
    answer = await desk.sandbox.people.submit(SAM, form.id, {"reason": text("no")})
    assert answer["response_action"] == "update"

    def shown(words: str) -> bool:
        top = desk.sandbox.modal(SAM)
        return top is not None and words in view_words(top)

    assert shown("still being recorded")
    release.set()
    await desk.sandbox.until(lambda: shown("already approved by"))


async def test_when_nothing_can_be_stored_the_person_still_hears_of_it(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = await desk.ask()
    await desk.until_audited(request, "notification_sent")

    async def refuse(_command: Any) -> None:
        raise Unavailable

    with monkeypatch.context() as broken:
        broken.setattr(desk.bot.store, "write", refuse)
        assert (await desk.click(RAFAEL, request))["ok"]
        told = await desk.private(RAFAEL)
        assert "nothing was decided" in told.text
    assert (await desk.now(request)).status is Status.PENDING


async def test_what_nobody_foresaw_is_answered_with_a_reference(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    request = await desk.ask()

    async def break_down(_click: Click) -> ApprovalRequest:
        raise RuntimeError("SECRET-DETAIL")

    monkeypatch.setattr(desk.bot.reviews, "review", break_down)
    assert (await desk.click(RAFAEL, request))["ok"]
    told = await desk.private(RAFAEL)
    assert "SECRET-DETAIL" not in told.text
    reference = told.text.rsplit(" ", 1)[-1]
    assert reference.startswith("err_")
    assert reference in caplog.text


async def test_an_answer_that_cannot_be_stored_at_once_does_not_keep_slack_waiting(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = await desk.ask()
    await desk.until_audited(request, "notification_sent")
    release = asyncio.Event()

    async def stuck(_command: Any) -> None:
        await release.wait()
        raise Unavailable

    monkeypatch.setattr(listeners, "ACK_AFTER", 0.05)
    with monkeypatch.context() as broken:
        broken.setattr(desk.bot.reviews, "review", refused)
        broken.setattr(desk.bot.store, "write", stuck)
        assert (await desk.click(RAFAEL, request))["ok"]
        release.set()
        assert "nothing was decided" in (await desk.private(RAFAEL)).text


async def refused(_click: Click) -> ApprovalRequest:
    raise Unavailable


async def test_a_slow_command_is_answered_when_it_can_be(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    request = await desk.ask()
    release, pending_at = asyncio.Event(), desk.bot.store.reads.pending_at

    async def slow(*wanted: Any, **how: Any) -> list[ApprovalRequest]:
        await release.wait()
        return await pending_at(*wanted, **how)

    monkeypatch.setattr(desk.bot.store.reads, "pending_at", slow)
    monkeypatch.setattr(listeners, "ACK_AFTER", 0.05)
    assert (await desk.sandbox.people.command(RAFAEL, "C0APPROVE", "/keyturn", "queue"))["ok"]
    assert "One moment" in (await desk.private(RAFAEL)).text
    release.set()
    assert request.id in str((await desk.private(RAFAEL, "1 request waiting")).blocks)


async def test_a_list_that_cannot_be_read_says_so_and_keeps_what_was_there(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    operator = next(iter(desk.sandbox.workspace.usergroups["S0OPS0001"].users))
    desk.sandbox.workspace.channel("C0APPROVE").members.add(operator)
    await desk.sandbox.people.command(operator, "C0APPROVE", "/keyturn", "agents")
    listed = await desk.private(operator)

    async def refuse(_command: Any) -> None:
        raise Unavailable

    monkeypatch.setattr(desk.bot.store, "write", refuse)
    clicked = await desk.sandbox.people.click(operator, listed.channel, listed.ts, "agent.pause")
    assert clicked["ok"]
    await desk.private(operator, "nothing was decided")
    assert "Everything" in str((await desk.private(operator)).blocks)
