"""Questions to an agent and its answers, between the card, the thread and the agent's stream."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bot.core.models import Status
from tests.integration.slack_desk import ALEX, RAFAEL, RENEE, Desk, running_desk, text, view_words
from tests.integration.test_slack_timeline import thread, told


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    async with running_desk(tmp_path, pace=False) as running:
        yield running


async def test_a_question_reaches_the_agent_and_its_answer_the_thread(desk: Desk) -> None:
    request = await desk.ask()
    card = await desk.card(request)
    assert (await desk.click(RAFAEL, request, "request.ask"))["ok"]
    form = await desk.modal(RAFAEL, "request.ask")
    assert form.view["private_metadata"] == f"{request.id} {request.digest}"
    assert "Change setting “log_level”" in view_words(form)
    empty = await desk.sandbox.people.submit(RAFAEL, form.id, {"question": text("  ")})
    assert empty["errors"].keys() == {"question"}
    asked = await desk.sandbox.people.submit(RAFAEL, form.id, {"question": text("Why <!channel> now?")})
    assert asked == {"ok": True, "response_action": "close"}
    now = await desk.now(request)
    assert [(said.sender, said.text) for said in now.messages] == [(RAFAEL, "Why <!channel> now?")]
    assert (now.status, now.deadline_at) == (Status.PENDING, request.deadline_at)
    [event] = await desk.audited(request, "info_requested")
    assert event["text"] == "Why <!channel> now?"
    question = await told(desk, card, "Why <!channel> now?")
    assert "Rafael Ito says" in str(question.blocks)
    await desk.bot.approvals.message(desk.agent, request.id, text="The logs are full", in_reply_to=None)
    await told(desk, card, "The logs are full")
    assert len(thread(desk, card)) == 2
    await desk.click(RAFAEL, request, "request.details")
    words = view_words(await desk.modal(RAFAEL, "request.details"))
    assert "Rafael Ito: Why <!channel> now?" in words
    assert f"{desk.agent.name}: The logs are full" in words


async def test_only_who_may_decide_may_ask(desk: Desk) -> None:
    request = await desk.ask()
    await desk.click(ALEX, request, "request.ask")
    assert "not among the people" in (await desk.private(ALEX)).text
    assert desk.sandbox.modal(ALEX) is None
    assert await desk.audited(request, "review_refused")


async def test_a_question_too_late_is_refused_in_its_form(desk: Desk) -> None:
    request = await desk.ask()
    await desk.click(RAFAEL, request, "request.ask")
    form = await desk.modal(RAFAEL, "request.ask")
    card = await desk.card(request)
    await desk.click(RENEE, request)
    await desk.painted(request, "Approved")
    late = await desk.sandbox.people.submit(RAFAEL, form.id, {"question": text("Why?")})
    assert late["response_action"] == "update"
    assert "already approved by" in view_words(desk.sandbox.modal(RAFAEL) or form)
    await desk.sandbox.people.click(
        RAFAEL, card.channel, card.ts, "request.ask", value=f"{request.id} {request.digest}"
    )
    assert "already approved by" in (await desk.private(RAFAEL)).text


async def test_what_is_paused_moves_by_no_click(desk: Desk) -> None:
    """A pending request that is held is held for every button; its own deadlines go on."""
    request = await desk.ask()
    await desk.card(request)
    operator = next(iter(desk.sandbox.workspace.usergroups["S0OPS0001"].users))
    desk.sandbox.workspace.channel("C0APPROVE").members.add(operator)
    await desk.sandbox.people.command(operator, "C0APPROVE", "/keyturn", "pause all hold a < b")
    assert "a &lt; b" in (await desk.private(operator)).text
    for action in ("request.acknowledge", "request.escalate", "request.ask"):
        before = len(desk.privates())
        await desk.click(RAFAEL, request, action)
        said = await desk.sandbox.until(lambda: desk.privates()[before:])  # noqa: B023  # awaited at once
        assert "paused" in said[0].text.casefold()
    now = await desk.now(request)
    assert (now.level, now.watch.acks, now.messages) == (0, (), ())
