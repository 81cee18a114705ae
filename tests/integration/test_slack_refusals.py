"""Whatever a person in Slack is refused is one entry of the audit: who, by name, what, and why."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from bot.core.models import ActorType, Via
from bot.sandbox import running_sandbox
from bot.store.audit_reads import AuditEvent
from tests.integration import slack_desk
from tests.integration.slack_desk import (
    ALEX,
    EVE,
    RAFAEL,
    RENEE,
    SAM,
    Desk,
    ShiftedClock,
    crowded_workspace,
    running_bot,
)
from tests.integration.test_slack_audit import operator, typed, words
from tests.integration.test_slack_timeline import told

_FORGOTTEN = timedelta(seconds=61)
"""After this long Slack is asked again who belongs to what."""


@pytest.fixture
def clock() -> ShiftedClock:
    return ShiftedClock()


@pytest.fixture
async def desk(tmp_path: Path, clock: ShiftedClock, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Desk]:
    monkeypatch.setattr(slack_desk, "POLICY", slack_desk.POLICY + "grant_max_risk: high\n")
    async with (
        running_sandbox(workspace=crowded_workspace(), transport="socket", pace=False) as slack,
        running_bot(slack, tmp_path, clock=clock) as running,
    ):
        yield running


async def refused(desk: Desk) -> list[AuditEvent]:
    """Every refusal on record, oldest first."""
    return [*await desk.bot.store.reads.audit_page(event="review_refused")][::-1]


async def the_one(desk: Desk, user: str) -> AuditEvent:
    """The only refusal there is, which is this person's."""
    [event] = await refused(desk)
    known = desk.sandbox.workspace.users[user]
    assert (event.actor.type, event.actor.id, event.via) == (ActorType.HUMAN, user, Via.SLACK)
    assert event.actor.name == known.real_name
    return event


async def test_a_late_click_names_whoever_was_late(desk: Desk) -> None:
    request = await desk.ask(session_id="s1")
    await desk.click(RENEE, request)
    await desk.painted(request, "Approved")
    await desk.click(RAFAEL, request)
    event = await the_one(desk, RAFAEL)
    assert event.body == {
        "code": "already_settled",
        "tried": "request.approve",
        "on": None,
        "verdict": "approve",
        "digest": request.digest,
    }
    assert (event.agent, event.request_id, event.session_id) == (request.agent, request.id, "s1")


async def test_revoking_somebody_elses_grant_is_on_the_requests_record(desk: Desk) -> None:
    request = await desk.ask(session_id="s1")
    await desk.click(RAFAEL, request, "request.grant")
    form = await desk.modal(RAFAEL, "request.grant")
    await desk.sandbox.people.submit(RAFAEL, form.id)
    note = await told(desk, await desk.card(request), "approves similar")
    await desk.sandbox.people.click(RENEE, note.channel, note.ts, "grant.revoke")
    event = await the_one(desk, RENEE)
    [given] = await desk.audited(request, "grant_created")
    assert (event.body["code"], event.body["tried"]) == ("not_an_approver", "grant.revoke")
    assert event.body["on"] == given["grant"]
    assert (event.agent, event.request_id) == (request.agent, request.id)


async def test_revoking_a_grant_again_is_a_late_click(desk: Desk) -> None:
    request = await desk.ask()
    await desk.click(RAFAEL, request, "request.grant")
    form = await desk.modal(RAFAEL, "request.grant")
    await desk.sandbox.people.submit(RAFAEL, form.id)
    note = await told(desk, await desk.card(request), "approves similar")
    await desk.sandbox.people.click(RAFAEL, note.channel, note.ts, "grant.revoke")
    assert await refused(desk) == []
    await desk.sandbox.people.click(RAFAEL, note.channel, note.ts, "grant.revoke")
    event = await the_one(desk, RAFAEL)
    assert (event.body["code"], event.request_id) == ("already_settled", request.id)


@pytest.mark.parametrize("action_id", ["agent.pause", "agent.resume"])
async def test_a_switch_in_the_wrong_hands_is_on_the_agents_record(
    desk: Desk, clock: ShiftedClock, action_id: str
) -> None:
    who = await operator(desk)
    if action_id == "agent.resume":
        await typed(desk, who, "/keyturn", "pause deploy-bot")
    listing = await typed(desk, who, "/keyturn", "agents")
    desk.sandbox.workspace.usergroups["S0OPS0001"].users.clear()
    clock.shift(_FORGOTTEN)
    await desk.sandbox.people.click(who, "C0APPROVE", listing.ts, action_id, value="agent:deploy-bot")
    event = await the_one(desk, who)
    assert (event.body["code"], event.body["tried"]) == ("not_an_approver", action_id)
    assert (event.body["on"], event.agent) == ("agent:deploy-bot", "deploy-bot")


async def test_resuming_what_runs_already_is_a_late_click(desk: Desk) -> None:
    who = await operator(desk)
    await typed(desk, who, "/keyturn", "pause deploy-bot")
    listing = await typed(desk, who, "/keyturn", "agents")
    await typed(desk, who, "/keyturn", "resume deploy-bot")
    await desk.sandbox.people.click(who, "C0APPROVE", listing.ts, "agent.resume", value="agent:deploy-bot")
    assert "not paused" in (await desk.private(who, "not paused")).text
    event = await the_one(desk, who)
    assert (event.body["code"], event.body["on"]) == ("already_settled", "agent:deploy-bot")


async def test_details_for_another_workspace_are_refused_on_record(desk: Desk) -> None:
    request = await desk.ask()
    await desk.click(EVE, request, "request.details")
    event = await the_one(desk, EVE)
    assert (event.body["code"], event.body["tried"]) == ("other_workspace", "request.details")
    assert (event.request_id, event.body["digest"]) == (request.id, request.digest)


@pytest.mark.parametrize(
    ("command", "text", "tried", "on"),
    [
        ("/keyturn", "pause all Incident", "/keyturn pause", "all Incident"),
        ("/keyturn", "Resume  all", "/keyturn resume", "all"),
        ("/keyturn", "agents", "/keyturn agents", None),
        ("/keyturn", "audit verify", "/keyturn audit", "verify"),
        ("/keyturn", "rollback session s1", "/keyturn rollback", "session s1"),
        ("/rollback", "session s1", "/rollback", "session s1"),
        ("/audit", "", "/audit", None),
        ("/audit", "export csv", "/audit", "export csv"),
    ],
)
async def test_a_command_in_the_wrong_hands_is_on_record(
    desk: Desk, command: str, text: str, tried: str, on: str | None
) -> None:
    await typed(desk, RAFAEL, command, text)
    event = await the_one(desk, RAFAEL)
    assert (event.body["code"], event.body["tried"], event.body["on"]) == ("not_an_approver", tried, on)


async def test_a_command_from_another_workspace_is_on_record(desk: Desk) -> None:
    for text in ("who", "grants", "oncall"):
        assert "workspace" in words(await typed(desk, EVE, "/keyturn", text))
    events = await refused(desk)
    assert [event.body["tried"] for event in events] == [
        "/keyturn who",
        "/keyturn grants",
        "/keyturn oncall",
    ]
    assert {event.actor.id for event in events} == {EVE}


async def test_a_command_that_is_only_mistyped_is_no_refusal(desk: Desk) -> None:
    who = await operator(desk)
    await typed(desk, who, "/keyturn", "pause nobody-knows-this")
    await typed(desk, ALEX, "/audit", "since=soon")
    await typed(desk, RAFAEL, "/keyturn", "qeue")
    assert await refused(desk) == []


async def test_older_pages_are_for_auditors_only_at_the_click_too(desk: Desk, clock: ShiftedClock) -> None:
    for _ in range(4):
        await desk.card(await desk.ask())
    first = await typed(desk, ALEX, "/audit", "agent deploy-bot")
    desk.sandbox.workspace.users[ALEX].deleted = True
    clock.shift(_FORGOTTEN)
    await desk.sandbox.people.click(ALEX, "C0APPROVE", first.ts, "audit.page")
    event = await the_one(desk, ALEX)
    assert (event.body["code"], event.body["tried"]) == ("not_a_person", "audit.page")


async def test_a_second_im_on_it_moves_nothing_and_is_on_record(desk: Desk) -> None:
    request = await desk.ask()
    await desk.click(SAM, request, "request.acknowledge")
    assert await refused(desk) == []
    await desk.click(SAM, request, "request.acknowledge")
    event = await the_one(desk, SAM)
    assert (event.body["code"], event.body["tried"]) == ("already_reviewed", "request.acknowledge")


async def test_a_refused_click_that_is_delivered_twice_is_one_entry(desk: Desk, clock: ShiftedClock) -> None:
    who = await operator(desk)
    listing = await typed(desk, who, "/keyturn", "agents")
    desk.sandbox.workspace.usergroups["S0OPS0001"].users.clear()
    clock.shift(_FORGOTTEN)
    await desk.sandbox.add_fault("duplicate_delivery")
    await desk.sandbox.people.click(who, "C0APPROVE", listing.ts, "agent.pause", value="all")
    await the_one(desk, who)
