"""Clicks and forms, from a real Slack's wire to the database and back, on both transports."""

import asyncio
import logging
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from bot.core.models import Cause, ExecutionState, Status
from tests.integration.slack_desk import (
    ALEX,
    CROWD,
    EVE,
    GUS,
    ODD,
    OLGA,
    PRIYA,
    RAFAEL,
    RENEE,
    SAM,
    Desk,
    buttons,
    headline,
    running_desk,
    text,
    view_words,
)


@pytest.fixture(params=["socket", "http"])
async def desk(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Desk]:
    async with running_desk(tmp_path, request.param, pace=False) as running:
        yield running


@pytest.fixture
async def socket_desk(tmp_path: Path) -> AsyncIterator[Desk]:
    async with running_desk(tmp_path, pace=False) as running:
        yield running


async def test_one_tap_approves_and_the_card_says_who(desk: Desk) -> None:
    request = await desk.ask()
    assert (await desk.click(RAFAEL, request))["ok"]
    now = await desk.now(request)
    assert now.status is Status.APPROVED
    card = await desk.painted(request, "Approved")
    assert buttons(card) == []
    assert "Not run yet" in headline(card)
    assert "Rafael Ito" in card.text


async def test_a_rejection_asks_why_and_tells(desk: Desk) -> None:
    request = await desk.ask()
    assert (await desk.click(RAFAEL, request, "request.reject"))["ok"]
    form = await desk.modal(RAFAEL, "request.reject")
    assert form.view["private_metadata"] == f"{request.id} {request.digest}"
    refused = await desk.sandbox.people.submit(RAFAEL, form.id, {"reason": text("   ")})
    assert refused.get("errors", {}).keys() == {"reason"}
    done = await desk.sandbox.people.submit(RAFAEL, form.id, {"reason": text("Not today")})
    assert done == {"ok": True, "response_action": "close"}
    now = await desk.now(request)
    assert now.status is Status.REJECTED
    assert now.decision is not None
    assert now.decision.reason == "Not today"
    assert buttons(await desk.painted(request, "Rejected")) == []


async def test_sixteen_people_click_at_the_same_moment_and_one_decides(desk: Desk) -> None:
    request = await desk.ask("crowd:act", {"what": "it"})
    await desk.card(request)
    answers = await asyncio.gather(*(desk.click(user, request) for user in CROWD))
    assert all(answer["ok"] for answer in answers)
    now = await desk.now(request)
    assert now.status is Status.APPROVED
    assert now.decision is not None
    [winner] = now.decision.by
    await desk.sandbox.until(lambda: len(desk.privates()) == 15)
    told = desk.privates()
    assert {message.ephemeral_to for message in told} == set(CROWD) - {winner.id}
    assert [message.text for message in told if winner.name not in message.text] == []
    assert len(await desk.audited(request, "review_refused")) == 15
    assert len(await desk.audited(request, "action_approved")) == 1


@pytest.mark.parametrize(
    ("user", "words"),
    [
        (ALEX, "not among the people"),
        (OLGA, "agent is yours"),
        (GUS, "Guests, bots and deactivated"),
        (EVE, "other workspaces"),
        (ODD, "Guests, bots and deactivated"),
    ],
)
@pytest.mark.parametrize("action_id", ["request.approve", "request.reject", "request.modify"])
async def test_who_may_not_decide_is_told_so_alone(
    socket_desk: Desk, user: str, words: str, action_id: str
) -> None:
    desk = socket_desk
    request = await desk.ask()
    assert (await desk.click(user, request, action_id))["ok"]
    assert words in (await desk.private(user)).text
    assert desk.sandbox.modal(user) is None
    assert (await desk.now(request)).status is Status.PENDING
    [refusal] = await desk.audited(request, "review_refused")
    assert refusal["verdict"] == action_id.removeprefix("request.")


async def test_the_person_an_agent_acts_for_may_not_decide(desk: Desk) -> None:
    request = await desk.ask(on_behalf_of="rafael@example.com")
    await desk.click(RAFAEL, request)
    assert "acts for you" in (await desk.private(RAFAEL)).text


async def test_a_second_click_of_the_same_person_counts_once(desk: Desk) -> None:
    request = await desk.ask("deployment", {"environment": "staging", "version": "1"})
    await desk.click(RAFAEL, request)
    await desk.painted(request, "Pending")
    await desk.click(RAFAEL, request)
    assert "counts once" in (await desk.private(RAFAEL)).text
    await desk.click(SAM, request)
    assert (await desk.now(request)).status is Status.APPROVED
    assert len(await desk.audited(request, "review_recorded")) == 2


async def test_the_card_counts_the_quorum(desk: Desk) -> None:
    request = await desk.ask("deployment", {"environment": "staging", "version": "1"})
    await desk.click(RAFAEL, request)
    await desk.click(RENEE, request)
    assert (await desk.now(request)).status is Status.PENDING

    def progress() -> bool:
        card = desk.find(request)
        return card is not None and "1 of 2, still needs someone from sre" in str(card.blocks)

    await desk.sandbox.until(progress)


async def test_a_late_click_reads_who_was_first(desk: Desk) -> None:
    request = await desk.ask()
    await desk.click(RAFAEL, request)
    await desk.painted(request, "Approved")
    # A slow client still shows the buttons.
    await desk.click(SAM, request)
    told = (await desk.private(SAM)).text
    assert "already approved by" in told
    assert "Rafael Ito" in told
    assert "<!date^" in told


async def test_duplicate_deliveries_change_nothing(desk: Desk) -> None:
    request = await desk.ask()
    await desk.card(request)
    await desk.sandbox.add_fault("duplicate_delivery")
    await desk.click(RAFAEL, request)
    await desk.painted(request, "Approved")
    assert await desk.audited(request, "review_refused") == []
    assert len(await desk.audited(request, "review_recorded")) == 1
    assert desk.privates() == []


async def test_a_form_that_is_delivered_twice_counts_once(desk: Desk) -> None:
    request = await desk.ask()
    await desk.click(RAFAEL, request, "request.reject")
    form = await desk.modal(RAFAEL, "request.reject")
    await desk.sandbox.add_fault("duplicate_delivery", method="view_submission")
    answer = await desk.sandbox.people.submit(RAFAEL, form.id, {"reason": text("no")})
    assert answer["response_action"] == "close"
    await desk.painted(request, "Rejected")
    assert await desk.audited(request, "review_refused") == []
    assert len(await desk.audited(request, "review_recorded")) == 1


@pytest.mark.parametrize("code", ["expired_trigger_id", "trigger_expired", "exchanged_trigger_id"])
async def test_a_form_that_slack_does_not_open_is_said_so(socket_desk: Desk, code: str) -> None:
    desk = socket_desk
    request = await desk.ask()
    for action_id in ("request.reject", "request.details"):
        await desk.sandbox.add_fault("error", method="views.open", code=code)
        assert (await desk.click(RAFAEL, request, action_id))["ok"]
    await desk.sandbox.until(lambda: len(desk.privates()) == 2)
    assert all("click again" in told.text for told in desk.privates())


async def test_a_high_risk_is_approved_after_its_dialog(desk: Desk) -> None:
    request = await desk.ask("file_write", {"path": "/etc/motd", "content": "hi", "overwrite": True})
    assert request.risk.level == "high"
    await desk.click(PRIYA, request)
    assert (await desk.now(request)).status is Status.APPROVED


async def test_a_critical_action_needs_a_reason_and_the_target_typed(desk: Desk) -> None:
    request = await desk.ask("file_delete", {"path": "/var/lib/data", "recursive": True})
    assert request.risk.level == "critical"
    await desk.click(RAFAEL, request)
    assert (await desk.now(request)).status is Status.PENDING
    form = await desk.modal(RAFAEL, "request.approve")
    labels = [b["label"]["text"] for b in form.view["blocks"] if b.get("block_id") == "target"]
    assert labels == ['Type "data" to confirm']
    wrong = {"reason": text("needed"), "target": text("date")}
    refused = await desk.sandbox.people.submit(RAFAEL, form.id, wrong)
    assert refused["errors"].keys() == {"target"}
    right = {"reason": text("needed"), "target": text(" data ")}
    assert (await desk.sandbox.people.submit(RAFAEL, form.id, right))["response_action"] == "close"
    assert (await desk.now(request)).status is Status.APPROVED


async def test_conditions_given_with_an_approval_are_kept(desk: Desk) -> None:
    request = await desk.ask("file_delete", {"path": "/var/lib/data", "recursive": True})
    await desk.click(RAFAEL, request)
    form = await desk.modal(RAFAEL, "request.approve")
    later = int(request.created_at.timestamp()) + 3600
    values = {
        "reason": text("needed"),
        "target": text("data"),
        "conditions": text("Take a snapshot first"),
        "not_after": {"value": {"type": "datetimepicker", "selected_date_time": later}},
    }
    await desk.sandbox.people.submit(RAFAEL, form.id, values)
    decision = (await desk.now(request)).decision
    assert decision is not None
    assert decision.conditions is not None
    assert decision.conditions.text == "Take a snapshot first"
    assert decision.conditions.not_after is not None
    assert int(decision.conditions.not_after.timestamp()) == later


async def test_an_edit_keeps_types_and_decides_as_modified(desk: Desk) -> None:
    params = {"key": "limits", "old_value": 1, "new_value": {"max": 10, "on": True}, "note": "a\nb"}
    request = await desk.ask("config_change", params)
    await desk.click(RAFAEL, request, "request.modify")
    form = await desk.modal(RAFAEL, "request.modify")
    values = {
        block["block_id"]: text(block["element"].get("initial_value", ""))
        for block in form.view["blocks"]
        if block.get("block_id", "").startswith("param:")
    }
    leaves = ["param:/new_value/max", "param:/new_value/on"]
    assert list(values) == ["param:/key", "param:/old_value", *leaves, "param:/note"]
    broken = {**values, "param:/new_value/max": text("{max: 5}")}
    refused = await desk.sandbox.people.submit(RAFAEL, form.id, broken)
    assert refused["errors"].keys() == {"param:/new_value/max"}
    changed = {**values, "param:/new_value/max": text("5")}
    assert (await desk.sandbox.people.submit(RAFAEL, form.id, changed))["ok"]
    now = await desk.now(request)
    assert now.status is Status.MODIFIED
    assert now.decision is not None
    assert now.decision.params == {**params, "new_value": {"max": 5, "on": True}}
    card = await desk.painted(request, "Modified and approved")
    assert '+ {"max":5,"on":true}' in str(card.blocks)


async def test_an_edit_that_changes_nothing_is_an_approval(desk: Desk) -> None:
    request = await desk.ask()
    await desk.click(RAFAEL, request, "request.modify")
    form = await desk.modal(RAFAEL, "request.modify")
    values = {
        block["block_id"]: text(block["element"].get("initial_value", ""))
        for block in form.view["blocks"]
        if block.get("block_id", "").startswith("param:")
    }
    assert (await desk.sandbox.people.submit(RAFAEL, form.id, values))["response_action"] == "close"
    assert (await desk.now(request)).status is Status.APPROVED


async def test_a_click_on_what_has_been_changed_since_is_refused_as_stale(desk: Desk) -> None:
    params = {"environment": "staging", "version": "1", "services": ["api"]}
    request = await desk.ask("deployment", params)
    stale = await desk.card(request)
    await desk.click(RAFAEL, request, "request.modify")
    form = await desk.modal(RAFAEL, "request.modify")
    values = {"param:/version": text("2")}
    await desk.sandbox.people.submit(RAFAEL, form.id, values)
    proposal = (await desk.now(request)).proposal
    assert proposal is not None
    old = f"{request.id} {request.digest}"
    await desk.sandbox.people.click(SAM, stale.channel, stale.ts, "request.approve", value=old)
    assert "has changed since" in (await desk.private(SAM)).text
    assert (await desk.now(request)).status is Status.PENDING


async def test_a_form_that_comes_back_too_late_says_so_in_the_view(desk: Desk) -> None:
    request = await desk.ask()
    await desk.click(SAM, request, "request.reject")
    form = await desk.modal(SAM, "request.reject")
    await desk.click(RAFAEL, request)
    answer = await desk.sandbox.people.submit(SAM, form.id, {"reason": text("no")})
    assert answer["response_action"] == "update"
    shown = desk.sandbox.modal(SAM)
    assert shown is not None
    assert "Rafael Ito" in view_words(shown)
    assert (await desk.now(request)).status is Status.APPROVED


async def test_details_show_everything_page_by_page(desk: Desk) -> None:
    content = "\n".join(f"line {number}" for number in range(6000)) + "\nTHE END"
    request = await desk.ask("file_write", {"path": "/srv/a", "content": content, "overwrite": True})
    card = await desk.card(request)
    assert "request.approve" in buttons(card)
    assert "more lines (" in str(card.blocks)
    await desk.click(ALEX, request, "request.details")
    seen = []
    for _ in range(200):
        view = await desk.modal(ALEX, "request.details")
        seen.append(view_words(view))
        places = [b["block_id"] for b in view.view["blocks"] if b["type"] == "actions"]
        following = f"page:{len(seen)}"
        if following not in places:
            break
        answer = await desk.sandbox.people.click_in_view(ALEX, view.id, "details.page", block_id=following)
        assert answer["ok"]
    assert len(seen) > 3
    whole = "".join(seen)
    assert all(f"line {number}\n" in whole for number in range(0, 6000, 97))
    assert "THE END" in whole


async def test_a_stranger_of_another_workspace_reads_no_details(desk: Desk) -> None:
    request = await desk.ask()
    await desk.click(EVE, request, "request.details")
    assert "other workspaces" in (await desk.private(EVE)).text
    assert desk.sandbox.modal(EVE) is None


async def test_a_button_of_an_older_card_is_answered(desk: Desk) -> None:
    channel = desk.sandbox.workspace.channel("C0APPROVE")
    button = {
        "type": "button",
        "action_id": "request.frobnicate",
        "value": "req_x sha256:y",
        "text": {"type": "plain_text", "text": "Frobnicate"},
    }
    old = desk.sandbox.workspace.post(
        channel, "U0KEYTURN", text="old", blocks=[{"type": "actions", "block_id": "a", "elements": [button]}]
    )
    assert (await desk.sandbox.people.click(RAFAEL, channel.id, old.ts, "request.frobnicate"))["ok"]
    assert "does not know this button" in (await desk.private(RAFAEL)).text


async def test_a_card_of_an_unknown_request_is_answered(desk: Desk) -> None:
    channel = desk.sandbox.workspace.channel("C0APPROVE")
    button = {
        "type": "button",
        "action_id": "request.approve",
        "value": "req_gone sha256:0",
        "text": {"type": "plain_text", "text": "Approve"},
    }
    old = desk.sandbox.workspace.post(
        channel, "U0KEYTURN", text="old", blocks=[{"type": "actions", "block_id": "a", "elements": [button]}]
    )
    await desk.sandbox.people.click(RAFAEL, channel.id, old.ts, "request.approve")
    assert "does not know this request" in (await desk.private(RAFAEL)).text


async def test_execution_is_painted_after_the_decision(socket_desk: Desk) -> None:
    desk = socket_desk
    request = await desk.ask()
    await desk.click(RAFAEL, request)
    await desk.bot.approvals.claim(
        desk.agent,
        request.id,
        digest=request.digest,
        preview_digest=None,
        audience=None,
        key=None,
        body=b"{}",
    )
    await desk.painted(request, "Running")
    assert (await desk.now(request)).execution.state is ExecutionState.CLAIMED


async def test_the_queue_lists_what_one_may_decide_by_risk(desk: Desk) -> None:
    calm = await desk.ask()
    grave = await desk.ask("file_write", {"path": "/etc/motd", "content": "", "overwrite": True})
    await desk.sandbox.people.command(RAFAEL, "C0APPROVE", "/keyturn", "queue")
    told = await desk.private(RAFAEL, "2 requests waiting")
    shown = str(told.blocks)
    assert shown.index("/etc/motd") < shown.index("log_level")
    await desk.sandbox.people.command(ALEX, "C0APPROVE", "/keyturn", "queue")
    assert "Nothing is waiting" in str((await desk.private(ALEX)).blocks)
    assert {calm.status, grave.status} == {Status.PENDING}


@pytest.mark.parametrize(("typed", "words"), [("", "queue"), ("help", "queue"), ("qeue", "Did you mean")])
async def test_the_command_helps_and_suggests(desk: Desk, typed: str, words: str) -> None:
    assert (await desk.sandbox.people.command(RAFAEL, "C0APPROVE", "/keyturn", typed))["ok"]
    assert words in (await desk.private(RAFAEL)).text


async def test_app_home_shows_the_queue_and_opens_details(desk: Desk) -> None:
    request = await desk.ask()
    assert (await desk.sandbox.people.open_home(RAFAEL))["ok"]
    homes = desk.sandbox.workspace.views.homes
    home = await desk.sandbox.until(lambda: homes.get(RAFAEL))
    assert "1 request waiting for you" in view_words(home)
    assert (await desk.sandbox.people.click_in_view(RAFAEL, home.id, "request.details"))["ok"]
    assert request.id in view_words(await desk.modal(RAFAEL, "request.details"))


async def test_no_body_and_no_token_is_ever_logged(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    request = await desk.ask(description="BODY-CANARY", on_behalf_of="dana@example.com")
    await desk.click(ALEX, request)
    await desk.private(ALEX)
    await desk.click(RAFAEL, request, "request.reject")
    form = await desk.modal(RAFAEL, "request.reject")
    await desk.sandbox.people.submit(RAFAEL, form.id, {"reason": text("FORM-CANARY")})
    await desk.painted(request, "Rejected")
    ours = [r.getMessage() for r in caplog.records if r.name.startswith(("bot.slack", "slack"))]
    logged = "\n".join(ours)
    for secret in ("CANARY", desk.sandbox.bot_token, desk.sandbox.app_token, desk.sandbox.signing_secret):
        assert secret not in logged


async def test_a_refused_edit_is_said_in_the_form_and_nothing_changes(socket_desk: Desk) -> None:
    desk = socket_desk
    request = await desk.ask("file_write", {"path": "/srv/a", "content": "x", "overwrite": True})
    await desk.click(RAFAEL, request, "request.modify")
    form = await desk.modal(RAFAEL, "request.modify")
    answer = await desk.sandbox.people.submit(RAFAEL, form.id, {"param:/path": text("/boot/vmlinuz")})
    assert "policy does not allow" in " ".join(answer["errors"].values())
    now = await desk.now(request)
    assert (now.status, now.proposal) == (Status.PENDING, None)


async def test_a_fault_deep_in_a_param_stands_at_its_field(socket_desk: Desk) -> None:
    desk = socket_desk
    schema = {
        "type": "object",
        "properties": {"size": {"type": "object", "properties": {"max": {"type": "integer", "maximum": 9}}}},
    }
    request = await desk.ask("tool:resize", {"size": {"max": 3}}, params_schema=schema)
    await desk.click(RAFAEL, request, "request.modify")
    form = await desk.modal(RAFAEL, "request.modify")
    answer = await desk.sandbox.people.submit(RAFAEL, form.id, {"param:/size/max": text("10")})
    assert answer["errors"].keys() == {"param:/size/max"}


async def test_a_fault_of_an_item_stands_at_its_list_and_says_which(socket_desk: Desk) -> None:
    desk = socket_desk
    schema = {"properties": {"hosts": {"items": {"maxLength": 3}}}}
    request = await desk.ask("tool:scan", {"hosts": ["a", "b"]}, params_schema=schema)
    await desk.click(RAFAEL, request, "request.modify")
    form = await desk.modal(RAFAEL, "request.modify")
    answer = await desk.sandbox.people.submit(RAFAEL, form.id, {"param:/hosts": text('["a", "long"]')})
    assert answer["errors"].keys() == {"param:/hosts"}
    assert answer["errors"]["param:/hosts"].startswith("/1: ")


@pytest.mark.parametrize(
    ("schema", "field", "words"),
    [
        ({"not": {"properties": {"b": {"const": 2}}}}, "param:/b", "All params together: "),
        ({"properties": {"in": {"not": {"properties": {"c": {"const": 2}}}}}}, "param:/in/c", "/in: "),
    ],
)
async def test_a_fault_of_several_params_stands_at_the_first_of_them(
    socket_desk: Desk, schema: dict[str, Any], field: str, words: str
) -> None:
    desk = socket_desk
    params = {"b": 1, "a": 1, "in": {"c": 1, "d": 1}}
    request = await desk.ask("tool:scan", params, params_schema=schema)
    await desk.click(RAFAEL, request, "request.modify")
    form = await desk.modal(RAFAEL, "request.modify")
    answer = await desk.sandbox.people.submit(RAFAEL, form.id, {field: text("2")})
    assert answer["errors"].keys() == {field}
    assert answer["errors"][field].startswith(words)


async def test_a_group_that_turns_out_empty_moves_the_request_on_at_once(desk: Desk) -> None:
    desk.sandbox.workspace.usergroups["S0614TZR7"].users.clear()
    request = await desk.ask("secured:thing", {"x": 1})
    (ended,) = await desk.until_audited(request, "action_timed_out")
    assert ended["after"]["cause"] == Cause.NO_APPROVER
    assert await desk.audited(request, "escalation_unreachable")
    await desk.painted(request, "Timed out")
