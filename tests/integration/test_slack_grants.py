"""Approve similar: the button, its form, what is shown of a grant, and what is refused."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from bot.core.models import Cause, Status
from tests.integration import slack_desk
from tests.integration.slack_desk import RAFAEL, RENEE, Desk, buttons, running_desk, text, view_words
from tests.integration.test_slack_timeline import told


@pytest.fixture
async def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Desk]:
    monkeypatch.setattr(slack_desk, "POLICY", slack_desk.POLICY + "grant_max_risk: high\n")
    async with running_desk(tmp_path, pace=False) as running:
        yield running


def lasting(name: str) -> dict[str, Any]:
    return {"value": {"type": "static_select", "selected_option": {"value": name}}}


def uses(number: str) -> dict[str, Any]:
    return {"value": {"type": "number_input", "value": number}}


async def test_one_form_approves_this_and_what_is_similar(desk: Desk) -> None:
    request = await desk.ask(session_id="s1")
    card = await desk.card(request)
    assert buttons(card)[4:6] == ["request.acknowledge", "request.grant"]
    await desk.click(RAFAEL, request, "request.grant")
    form = await desk.modal(RAFAEL, "request.grant")
    assert form.view["private_metadata"] == f"{request.id} {request.digest}"
    words = view_words(form)
    assert "up to low risk" in words
    wrong = await desk.sandbox.people.submit(RAFAEL, form.id, {"uses": uses("0"), "lasting": lasting("1h")})
    assert wrong["errors"].keys() == {"uses"}
    assert (await desk.now(request)).status is Status.PENDING
    done = await desk.sandbox.people.submit(
        RAFAEL, form.id, {"uses": uses("2"), "lasting": lasting("session")}
    )
    assert done == {"ok": True, "response_action": "close"}
    assert (await desk.now(request)).status is Status.APPROVED
    note = await told(desk, card, "approves similar ones in advance")
    assert "At most 2 times" in str(note.blocks)
    assert "in session s1" in str(note.blocks)
    assert (await desk.ask(session_id="s2")).status is Status.PENDING
    again = [await desk.ask(session_id="s1") for _ in range(3)]
    assert [one.cause for one in again] == [Cause.GRANT, Cause.GRANT, None]


async def test_an_approval_and_the_grant_given_with_it_are_one_change(desk: Desk) -> None:
    changes: list[list[str]] = []
    desk.bot.store.on_commit(lambda committed: changes.append([change.event for change in committed]))
    request = await desk.ask()
    await desk.click(RAFAEL, request, "request.grant")
    form = await desk.modal(RAFAEL, "request.grant")
    await desk.sandbox.people.submit(RAFAEL, form.id)
    [together] = [events for events in changes if "action_approved" in events]
    assert together == ["review_recorded", "action_approved", "grant_created"]


async def test_only_its_giver_and_operators_revoke_a_grant(desk: Desk) -> None:
    request = await desk.ask()
    await desk.click(RAFAEL, request, "request.grant")
    form = await desk.modal(RAFAEL, "request.grant")
    await desk.sandbox.people.submit(RAFAEL, form.id)
    note = await told(desk, await desk.card(request), "approves similar")
    await desk.sandbox.people.click(RENEE, note.channel, note.ts, "grant.revoke")
    assert "Only who gave" in (await desk.private(RENEE)).text
    assert (await desk.ask()).cause is Cause.GRANT
    await desk.sandbox.people.click(RAFAEL, note.channel, note.ts, "grant.revoke")
    assert "Revoked" in (await desk.private(RAFAEL, "Revoked")).text
    assert "approves similar" in str(note.blocks)  # a public message stays what it was
    assert (await desk.ask()).status is Status.PENDING
    await desk.sandbox.people.click(RAFAEL, note.channel, note.ts, "grant.revoke")
    assert "revoked before" in (await desk.private(RAFAEL, "revoked before")).text


async def test_similar_ones_are_not_offered_where_the_policy_allows_none(desk: Desk) -> None:
    two = await desk.ask("deployment", {"environment": "staging", "version": "1"})
    assert "request.grant" not in buttons(await desk.card(two))
    await desk.click(RAFAEL, two, "request.modify")
    critical = await desk.ask("file_delete", {"path": "/var/*", "recursive": True})
    assert "request.grant" not in buttons(await desk.card(critical))


async def test_a_grant_form_that_comes_too_late_says_who_was_first(desk: Desk) -> None:
    request = await desk.ask()
    await desk.click(RAFAEL, request, "request.grant")
    form = await desk.modal(RAFAEL, "request.grant")
    await desk.click(RENEE, request)
    await desk.painted(request, "Approved")
    late = await desk.sandbox.people.submit(RAFAEL, form.id, {"reason": text("ok")})
    assert late["response_action"] == "update"
    assert (await desk.ask()).status is Status.PENDING
