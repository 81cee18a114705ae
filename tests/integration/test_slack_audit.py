"""`/audit`, the pause switch and their buttons, as people in Slack use them."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from bot.core.describe import action_line
from bot.core.models import Status
from bot.services.audit import verify_export
from bot.slack import audit_view
from bot.slack.audit_view import Place
from bot.store.auditing import AuditFilter
from tests.integration.slack_desk import ALEX, RAFAEL, Desk, running_desk


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    async with running_desk(tmp_path) as made:
        yield made


async def operator(desk: Desk) -> str:
    """Somebody of the operators' user group."""
    members = desk.sandbox.workspace.usergroups["S0OPS0001"].users
    return sorted(members)[0]


async def typed(desk: Desk, user: str, command: str, text: str = "") -> Any:
    """The last private answer to a slash command, as text of all its parts."""
    before = len(answers(desk, user))
    await desk.sandbox.people.command(user, "C0APPROVE", command, text)
    return await desk.sandbox.until(
        lambda: ((found := answers(desk, user)) and len(found) > before and found[-1]) or None
    )


def answers(desk: Desk, user: str) -> list[Any]:
    return [m for m in desk.sandbox.messages("C0APPROVE") if m.ephemeral_to == user]


def shared(desk: Desk) -> Any:
    """The message that shares a file, once there is one."""
    places = list(desk.sandbox.workspace.channels)
    return next((m for place in places for m in desk.sandbox.messages(place) if m.files), None)


def words(message: Any) -> str:
    return f"{message.text}\n{_text(message.blocks)}"


def _text(value: Any) -> str:
    if isinstance(value, list):
        return "".join(_text(item) for item in value)
    if not isinstance(value, dict):
        return ""
    own = value.get("text") if isinstance(value.get("text"), str) else ""
    link = value.get("url", "")
    return f"{own}{link}" + "".join(_text(item) for item in value.values())


async def test_an_auditor_sees_the_last_entries_with_links_to_the_cards(desk: Desk) -> None:
    request = await desk.ask()
    await desk.until_audited(request, "notification_sent")
    said = words(await typed(desk, ALEX, "/audit"))
    assert "action_requested" in said
    assert "/archives/C0APPROVE/p" in said


@pytest.mark.parametrize("text", ["", "verify", "agent deploy-bot", "export", "report 7d"])
async def test_others_are_refused(desk: Desk, text: str) -> None:
    said = words(await typed(desk, RAFAEL, "/audit", text))
    assert "auditors" in said
    assert "action_" not in said


async def test_help_is_for_everybody_and_names_every_form(desk: Desk) -> None:
    said = words(await typed(desk, RAFAEL, "/audit", "help"))
    for form in ("req_…", "session", "agent", "verify", "export", "report"):
        assert f"/audit {form}" in said


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("verfy", "Did you mean `/audit verify`"),
        ("colour=red", "no filter"),
        ("since=soon", "no time"),
        ("event=action_aproved", "did you mean action_approved?"),
        ("risk=huge", "Risk is one of none, low"),
        ("reversible=maybe", "true or false"),
        ("actor=", "1 to 300 characters"),
        ("session", "Say which session"),
        ("agent", "Say which agent"),
        ("export xml", "“xml” means nothing here"),
        ("agent deploy-bot since=soon", "no time"),
        ("req_unknown", "no request"),
        ("session none", "no session"),
    ],
)
async def test_what_is_not_understood_gets_help(desk: Desk, text: str, answer: str) -> None:
    assert answer in words(await typed(desk, ALEX, "/audit", text))


@pytest.mark.parametrize(
    "text",
    [
        "1h event=action_requested",
        "action-type=config_change event=action_requested",
        "agent deploy-bot event=action_requested",
        "session run-7&8 event=action_requested",
    ],
)
async def test_filters_are_written_as_people_write_them(desk: Desk, text: str) -> None:
    await desk.ask(session_id="run-7&8")
    said = words(await typed(desk, ALEX, "/audit", text))
    assert "action_requested" in said, said
    assert "policy_applied" not in said


async def test_a_mention_is_an_actor(desk: Desk) -> None:
    request = await desk.ask()
    await desk.click(RAFAEL, request)
    await desk.until_audited(request, "action_approved")
    said = words(await typed(desk, ALEX, "/audit", f"actor=<@{RAFAEL}|rafael>"))
    assert "action_approved" in said
    assert "action_requested" not in said


async def test_keyturn_audit_is_the_same(desk: Desk) -> None:
    await desk.ask()
    assert "action_requested" in words(await typed(desk, ALEX, "/keyturn", "audit event=action_requested"))


async def test_the_story_of_a_request_tells_who_decided(desk: Desk) -> None:
    request = await desk.ask(session_id="run-7")
    await desk.click(RAFAEL, request)
    await desk.until_audited(request, "action_approved")
    asked = f"{request.action.type}  ·  {request.submission.description}"
    for text in (request.id, "session run-7"):
        said = words(await typed(desk, ALEX, "/audit", text))
        for fact in ("action_requested", asked, "action_approved", "Rafael", "1 approved", "median"):
            assert fact in said, (text, fact)


async def test_verify_says_whether_the_audit_is_whole(desk: Desk) -> None:
    await desk.ask()
    assert "is whole" in words(await typed(desk, ALEX, "/audit", "verify"))


async def test_pages_go_back_and_forth(desk: Desk) -> None:
    for _ in range(4):
        await desk.card(await desk.ask())
    first = await typed(desk, ALEX, "/audit", "agent deploy-bot")
    newest = words(first)
    await desk.sandbox.people.click(ALEX, "C0APPROVE", first.ts, "audit.page")
    older = await desk.sandbox.until(
        lambda: next((m for m in answers(desk, ALEX) if "Newest" in words(m)), None)
    )
    assert words(older) != newest


async def test_a_page_in_the_middle_leads_both_ways(desk: Desk) -> None:
    for _ in range(7):
        await desk.card(await desk.ask())
    page = await typed(desk, ALEX, "/audit", "agent deploy-bot")
    await desk.sandbox.people.click(ALEX, "C0APPROVE", page.ts, "audit.page")
    middle = await desk.sandbox.until(lambda: "Newest" in words(shown := answers(desk, ALEX)[-1]) and shown)
    assert "Older" in words(middle)
    assert middle.text.startswith("Agent deploy-bot: ")


async def test_a_click_whose_answer_slack_refuses_is_not_silent(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(4):
        await desk.card(await desk.ask())
    first = await typed(desk, ALEX, "/audit", "agent deploy-bot")
    monkeypatch.setattr(audit_view, "page", lambda *_, **__: [{"type": "no such block"}])
    await desk.sandbox.people.click(ALEX, "C0APPROVE", first.ts, "audit.page")
    await desk.sandbox.until(lambda: "went wrong" in answers(desk, ALEX)[-1].text or None)


async def test_entries_name_the_action_that_they_are_about(desk: Desk) -> None:
    request = await desk.ask(session_id="run-8")
    action = action_line(request.action)
    entries = _text((await typed(desk, ALEX, "/audit", "session run-8")).blocks)
    assert f"deploy-bot  ·  {action}  ·  " in entries
    story = _text((await typed(desk, ALEX, "/audit", request.id)).blocks)
    assert story.count(action) == 1


async def test_a_paging_button_keeps_its_filter() -> None:
    place = Place(AuditFilter(event="action_approved", reversible=True), 17)
    assert Place.parse(place.value()) == place
    with pytest.raises(ValueError, match="audit"):
        Place.parse('{"filter": {"strange": 1}, "before": null}')


@pytest.mark.parametrize("format", ["jsonl", "csv"])
async def test_an_export_comes_as_a_file_to_the_auditor_alone(desk: Desk, format: str) -> None:
    await desk.ask()
    await typed(desk, ALEX, "/audit", f"export {format}")
    message = await desk.sandbox.until(lambda: shared(desk))
    assert message.channel.startswith("D")
    stored = desk.sandbox.workspace.files[message.files[0]["id"]]
    result = verify_export(stored.content.decode().splitlines(keepends=True))
    assert result.ok, result.problem
    assert stored.name == f"keyturn-audit.{format}"
    [event] = await desk.bot.store.reads.audit_page(event="audit_exported")
    assert (event.actor.id, event.via) == (ALEX, "slack")


async def test_a_report_comes_as_a_picture(desk: Desk) -> None:
    request = await desk.ask()
    await desk.click(RAFAEL, request)
    await desk.until_audited(request, "action_approved")
    await typed(desk, ALEX, "/audit", "report 7d")
    message = await desk.sandbox.until(lambda: shared(desk), timeout=60)
    stored = desk.sandbox.workspace.files[message.files[0]["id"]]
    assert stored.content[:8] == b"\x89PNG\r\n\x1a\n"


async def test_an_operator_pauses_and_clicks_are_refused_privately(desk: Desk) -> None:
    request = await desk.ask()
    await desk.card(request)
    who = await operator(desk)
    assert "Incident" in words(await typed(desk, who, "/keyturn", "pause deploy-bot hold Incident 4711"))
    await desk.click(RAFAEL, request)
    told = await desk.private(RAFAEL)
    assert "Incident 4711" in told.text
    assert (await desk.now(request)).status is Status.PENDING
    [refused] = await desk.audited(request, "review_refused")
    assert refused["code"] == "held_by_pause"
    await typed(desk, who, "/keyturn", "resume deploy-bot")
    await desk.click(RAFAEL, request)
    await desk.until_audited(request, "action_approved")


async def test_only_operators_pause(desk: Desk) -> None:
    for text in ("pause all", "resume all", "agents"):
        assert "operators" in words(await typed(desk, RAFAEL, "/keyturn", text))
    assert await desk.bot.store.reads.pauses() == []


async def test_an_auditor_reads_what_was_tried_and_what_was_paused(desk: Desk) -> None:
    who = await operator(desk)
    await typed(desk, RAFAEL, "/keyturn", "pause all")
    await typed(desk, who, "/keyturn", "pause deploy-bot hold Incident 4711")
    said = words(await typed(desk, ALEX, "/audit"))
    assert "/keyturn pause  ·  all  ·  not_an_approver" in said
    assert "agent:deploy-bot  ·  Incident 4711" in said


async def test_the_listing_has_a_switch_for_each_agent(desk: Desk) -> None:
    who = await operator(desk)
    listing = await typed(desk, who, "/keyturn", "agents")
    assert "deploy-bot" in words(listing)
    await desk.sandbox.people.click(who, "C0APPROVE", listing.ts, "agent.pause", value="agent:deploy-bot")
    await desk.sandbox.until(lambda: next((m for m in answers(desk, who) if "is held" in words(m)), None))
    [pause] = await desk.bot.store.reads.pauses()
    assert (pause.what, pause.by.id) == ("agent:deploy-bot", who)
    assert "⏸️ paused by" in words(answers(desk, who)[-1])
