"""What an agent offers instead: taken in Details, it is an edit like any other."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from bot.core.models import Alternative, ApprovalRequest, Status
from bot.sandbox.model import Modal
from tests.integration.slack_desk import ALEX, RAFAEL, SAM, Desk, running_desk, text, view_words

CHANGE = {"key": "log_level", "old_value": "info", "new_value": "debug"}
MILDER = Alternative("Less noise", {**CHANGE, "new_value": "warning"})


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    async with running_desk(tmp_path, pace=False) as running:
        yield running


async def details(desk: Desk, user: str, request: ApprovalRequest) -> Modal:
    await desk.click(user, request, "request.details")
    return await desk.modal(user, "request.details")


async def take(desk: Desk, user: str, view: Modal, number: int = 0) -> Any:
    block = f"alternative:{number}"
    return await desk.sandbox.people.click_in_view(user, view.id, "request.alternative", block)


async def until_told(desk: Desk, user: str, words: str) -> None:
    """Until what a person has open holds these words."""

    def look() -> bool:
        top = desk.sandbox.modal(user)
        return top is not None and words in view_words(top)

    await desk.sandbox.until(look)


async def test_an_alternative_that_its_chooser_may_approve_decides(desk: Desk) -> None:
    request = await desk.ask(alternatives=(MILDER,))
    view = await details(desk, RAFAEL, request)
    assert "Alternative 1 offered by the agent" in view_words(view)
    [button] = [
        element
        for block in view.view["blocks"]
        for element in block.get("elements", [])
        if element.get("action_id") == "request.alternative"
    ]
    assert button["value"] == f"{request.id} {request.digest}"
    assert "“warning”" in button["confirm"]["text"]["text"]
    assert (await take(desk, RAFAEL, view))["ok"]
    now = await desk.now(request)
    assert now.status is Status.MODIFIED
    assert now.decision is not None
    assert now.decision.params == MILDER.params
    await desk.painted(request, "Modified and approved")
    await until_told(desk, RAFAEL, "Modified")


async def test_an_alternative_to_a_deployment_waits_for_somebody_else(desk: Desk) -> None:
    other = Alternative("Only one", {"environment": "staging", "version": "2"})
    request = await desk.ask("deployment", {"environment": "staging", "version": "1"}, alternatives=(other,))
    assert (await take(desk, RAFAEL, await details(desk, RAFAEL, request)))["ok"]
    now = await desk.now(request)
    assert (now.status, now.proposal and now.proposal.params) == (Status.PENDING, other.params)
    assert now.reviews[-1].counts is False


async def test_a_critical_alternative_asks_for_a_reason_and_the_target(desk: Desk) -> None:
    worse = Alternative("All of it", {"path": "/var/*", "recursive": True})
    request = await desk.ask("file_delete", {"path": "/srv/x", "recursive": True}, alternatives=(worse,))
    assert (await take(desk, SAM, await details(desk, SAM, request)))["ok"]
    form = await desk.modal(SAM, "request.modify")
    assert form.view["private_metadata"] == f"{request.id} {request.digest}"
    assert "Delete “/var/*” and everything below it" in view_words(form)
    filled = {"reason": text("It is all cache"), "target": text("x")}
    assert (await desk.sandbox.people.submit(SAM, form.id, filled))["ok"]
    now = await desk.now(request)
    assert now.proposal is not None
    assert now.proposal.params == worse.params


async def test_who_may_not_decide_takes_no_alternative(desk: Desk) -> None:
    request = await desk.ask(alternatives=(MILDER,))
    assert (await take(desk, ALEX, await details(desk, ALEX, request)))["ok"]
    await until_told(desk, ALEX, "not among")
    assert (await desk.now(request)).proposal is None
    assert await desk.audited(request, "review_refused")


async def test_an_alternative_that_the_policy_blocks_is_refused_in_words(desk: Desk) -> None:
    blocked = Alternative("Elsewhere", {"path": "/boot/x", "content": "", "overwrite": False})
    asked = {"path": "/srv/x", "content": "", "overwrite": False}
    request = await desk.ask("file_write", asked, alternatives=(blocked,))
    view = await details(desk, RAFAEL, request)
    await take(desk, RAFAEL, view)
    await until_told(desk, RAFAEL, "policy does not allow")
    assert (await desk.now(request)).proposal is None


async def test_details_of_a_decided_request_offer_nothing(desk: Desk) -> None:
    request = await desk.ask(alternatives=(MILDER,))
    await desk.click(RAFAEL, request)
    await desk.painted(request, "Approved")
    card = await desk.card(request)
    value = f"{request.id} {request.digest}"
    await desk.sandbox.people.click(RAFAEL, card.channel, card.ts, "request.details", value=value)
    view = await desk.modal(RAFAEL, "request.details")
    assert "Alternative 1" in view_words(view)
    assert "request.alternative" not in str(view.view)


async def test_a_high_risk_alternative_too_long_for_a_dialog_is_shown_whole_in_a_form(desk: Desk) -> None:
    long = {"command": "rm", "args": ["-r", f"/srv/{'x' * 400}"]}
    request = await desk.ask(
        "command_execute",
        {"command": "rm", "args": ["-r", "/srv/x"]},
        alternatives=(Alternative("There", long),),
    )
    assert (await take(desk, RAFAEL, await details(desk, RAFAEL, request)))["ok"]
    form = await desk.modal(RAFAEL, "request.modify")
    assert "x" * 400 in view_words(form)
    assert (await desk.sandbox.people.submit(RAFAEL, form.id))["ok"]
    assert (await desk.now(request)).status is Status.MODIFIED
