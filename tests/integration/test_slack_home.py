"""App Home and the slash commands, as people of each role meet them."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from bot.core.grants import Extent, Grant
from bot.core.models import Cause, Reviewer, SlackId, Status
from bot.sandbox.model import Modal
from bot.slack import queue
from bot.slack.commands import HELP, WORDS
from bot.slack.manifest import manifest
from bot.store.grants import CreateGrant
from tests.integration import slack_desk
from tests.integration.slack_desk import (
    ALEX,
    GUS,
    OLGA,
    RAFAEL,
    RENEE,
    SAM,
    Desk,
    running_desk,
    view_words,
)

ON_CALL = f"""
schedules:
  primary: {{layers: [{{rotation: daily, handover: "00:00", zone: UTC, users: [{SAM}]}}]}}
"""
AUTOMATIC = """
allow:
  - {name: notes, action_type: file_write, path_pattern: "/srv/notes/**"}
grant_max_risk: medium
"""
NOTE = {"path": "/srv/notes/a.txt", "content": "x", "overwrite": True}


@pytest.fixture
async def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Desk]:
    monkeypatch.setattr(slack_desk, "WORKSPACE", slack_desk.WORKSPACE + ON_CALL.lstrip("\n"))
    monkeypatch.setattr(slack_desk, "POLICY", slack_desk.POLICY + AUTOMATIC.lstrip("\n"))
    async with running_desk(tmp_path, pace=False) as running:
        workspace = running.sandbox.workspace
        operator = next(iter(workspace.usergroups["S0OPS0001"].users))
        workspace.channel("C0APPROVE").members.add(operator)
        yield running


def operator(desk: Desk) -> str:
    return str(next(iter(desk.sandbox.workspace.usergroups["S0OPS0001"].users)))


async def home(desk: Desk, user: str, words: str = "") -> Modal:
    """Open somebody's Home; it holds these words."""
    assert (await desk.sandbox.people.open_home(user))["ok"]
    return await shown(desk, user, words)


async def shown(desk: Desk, user: str, words: str) -> Modal:
    """Somebody's Home, once it holds these words, without opening it again."""
    homes = desk.sandbox.workspace.views.homes

    def look() -> Modal | None:
        found = homes.get(user)
        return found if found is not None and words in view_words(found) else None

    return await desk.sandbox.until(look)


def controls(view: Modal) -> list[tuple[str, str]]:
    """Action id and value of every button beside a section."""
    rows = (block["accessory"] for block in view.view["blocks"] if "accessory" in block)
    return [(button["action_id"], button["value"]) for button in rows]


async def given(desk: Desk) -> Grant:
    """A standing approval of Rafael's."""
    request = await desk.ask()
    await desk.click(RAFAEL, request)
    await desk.painted(request, "Approved")
    judged = await desk.bot.approvals.judge(request.action, request.agent)
    giver = Reviewer(SlackId(RAFAEL), "Rafael Ito")
    extent = Extent(timedelta(hours=1))
    drawn = desk.bot.grants.draw(await desk.now(request), judged, giver, extent, now=desk.bot.clock.now())
    assert isinstance(drawn, CreateGrant), drawn
    await desk.bot.store.write(drawn)
    return drawn.grant


async def test_home_says_who_is_on_call_and_which_agents_there_are(desk: Desk) -> None:
    words = view_words(await home(desk, RAFAEL))
    assert "On call now" in words
    assert f"<@{SAM}>" in words
    assert f"*Agent {desk.agent.name}*  runs" in words


async def test_only_an_operator_has_switches_on_home_and_home_follows_them(desk: Desk) -> None:
    assert controls(await home(desk, RAFAEL)) == []
    mine = await home(desk, operator(desk))
    assert ("agent.pause", f"agent:{desk.agent.name}") in controls(mine)
    value = f"agent:{desk.agent.name}"
    [row] = [b for b in mine.view["blocks"] if b.get("accessory", {}).get("value") == value]
    done = await desk.sandbox.people.click_in_view(
        operator(desk), mine.id, "agent.pause", row["block_id"], value
    )
    assert done == {"ok": True}
    paused = await shown(desk, operator(desk), "paused by")
    assert ("agent.resume", value) in controls(paused)
    assert (await desk.ask()).cause is Cause.PAUSED


async def test_home_shows_what_was_decided_without_people_to_those_who_decide_here(desk: Desk) -> None:
    done = await desk.ask("file_write", NOTE)
    assert (done.status, done.cause) == (Status.APPROVED, Cause.POLICY_RULE)
    line = "Write file “/srv/notes/a.txt”"
    assert line in view_words(await home(desk, RAFAEL, line))
    assert line in view_words(await home(desk, ALEX, line))
    for outsider in (GUS, OLGA):
        assert line not in view_words(await home(desk, outsider))


async def test_a_grant_is_on_its_givers_home_and_can_be_revoked_there(desk: Desk) -> None:
    grant = await given(desk)
    assert (await desk.ask()).cause is Cause.GRANT
    view = await home(desk, RAFAEL, "Used 1 of 20")
    assert controls(view) == [("grant.revoke", grant.id)]
    assert (await desk.sandbox.people.click_in_view(RAFAEL, view.id, "grant.revoke"))["ok"]
    await shown(desk, RAFAEL, "no standing approval")
    assert (await desk.ask()).status is Status.PENDING


async def test_grants_are_listed_to_their_giver_and_to_operators(desk: Desk) -> None:
    grant = await given(desk)
    for user in (RAFAEL, operator(desk)):
        await desk.sandbox.people.command(user, "C0APPROVE", "/keyturn", "grants")
        listed = await desk.private(user, "1 standing approval")
        assert "Change setting “log_level”" in str(listed.blocks)
    await desk.sandbox.people.command(RENEE, "C0APPROVE", "/keyturn", "GRANTS")
    assert "no standing approval" in (await desk.private(RENEE)).text
    listed = await desk.private(RAFAEL, "1 standing approval")
    clicked = await desk.sandbox.people.click(RAFAEL, listed.channel, listed.ts, "grant.revoke")
    assert clicked["ok"]
    assert "Revoked" in (await desk.private(RAFAEL, "Revoked")).text
    stored = await desk.bot.store.reads.grant(grant.id)
    assert stored is not None
    assert stored.revoked_at is not None


async def test_every_subcommand_of_the_help_is_understood(desk: Desk) -> None:
    before = 0
    for word in WORDS:
        assert (await desk.sandbox.people.command(operator(desk), "C0APPROVE", "/keyturn", word))["ok"]
        told = await desk.sandbox.until(lambda: desk.privates()[before:])  # noqa: B023  # awaited at once
        assert "does not know" not in told[0].text, word
        before = len(desk.privates())


async def test_the_help_shows_what_can_be_typed_and_says_who_may(desk: Desk) -> None:
    await desk.sandbox.people.command(RAFAEL, "C0APPROVE", "/keyturn", "help")
    said = (await desk.private(RAFAEL)).text
    for form in HELP:
        assert f"`/keyturn {form}`" in said
    assert "`/keyturn pause WHAT [hold | cancel] [why]`: stop an agent" in said
    assert said.count("(operators)") == 4


@pytest.mark.parametrize("command", [c["command"] for c in manifest(None)["features"]["slash_commands"]])
async def test_every_declared_command_is_answered(desk: Desk, command: str) -> None:
    assert (await desk.sandbox.people.command(RAFAEL, "C0APPROVE", command, "help"))["ok"]
    assert f"`{command}" in (await desk.private(RAFAEL)).text


@pytest.mark.parametrize(
    ("typed", "meant"),
    [("rolback x", "/keyturn rollback"), ("Grant", "/keyturn grants"), ("onkall", "/keyturn oncall")],
)
async def test_unknown_words_get_a_suggestion(desk: Desk, typed: str, meant: str) -> None:
    await desk.sandbox.people.command(RAFAEL, "C0APPROVE", "/keyturn", typed)
    assert f"Did you mean `{meant}`?" in (await desk.private(RAFAEL)).text


async def test_rollback_is_understood_in_any_case_and_suggests(desk: Desk) -> None:
    await desk.sandbox.people.command(RAFAEL, "C0APPROVE", "/keyturn", "ROLLBACK sesion x")
    assert "Did you mean `/rollback session`?" in (await desk.private(RAFAEL)).text


async def test_the_oldest_critical_request_stays_first_behind_a_backlog(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queue, "ENOUGH", 3)
    monkeypatch.setattr(queue, "_PAGE", 1)
    await desk.ask("file_delete", {"path": "/var/*", "recursive": True})
    for number in range(4):
        await desk.ask(params={"key": f"k{number}", "old_value": "a", "new_value": "b"})
    words = view_words(await home(desk, RAFAEL, "3 requests waiting for you"))
    assert words.index("/var/*") < words.index("k0") < words.index("k1")
    assert "k2" not in words
    assert "more may follow" in words
