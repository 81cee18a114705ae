"""On call in Slack, against a local one: who decides, who covers, who would be asked."""

import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from bot.core.models import Status
from bot.sandbox import running_sandbox
from tests.integration import slack_desk
from tests.integration.slack_desk import (
    DANA,
    RAFAEL,
    SAM,
    SUKI,
    Desk,
    ShiftedClock,
    crowded_workspace,
    running_bot,
    running_desk,
)

HANDOVER = f"{(datetime.now(UTC) - timedelta(hours=6)):%H}:00"
"""Some hours ago, so that no test runs over a hand-over."""

LATER = f"{datetime.now(UTC) + timedelta(hours=6):%H}"
"""The hour at whose beginning the office is manned, a minute each day."""

ON_CALL = f"""
  duty: {{schedule: primary}}
schedules:
  primary: {{layers: [{{rotation: daily, handover: "{HANDOVER}", zone: UTC, users: [{SAM}, {SUKI}]}}]}}
  office:
    layers:
      - rotation: daily
        handover: "00:00"
        zone: UTC
        users: [{SAM}]
        restrict: [{{from: "{LATER}:00", to: "{LATER}:01"}}]
  kept: {{slack_usergroup: S0614TZR7}}
"""
NAMES = {SAM: "sam", SUKI: "suki"}

POLICY = """
auto_approve_threshold: never
auto_reject_threshold: never
default_timeout: 10m
channel: C0APPROVE
approvers: {quorum: 1, groups: [duty]}
require:
  - {name: later, action_type: "later:*", approvers: {quorum: 1, users: [U0DANA001]}}
escalation_rules:
  - name: on-call
    trigger: {after: 1m}
    escalate_to: duty
    wait: 10m
    notify: [{oncall: primary}, {slack_usergroup: S0614TZR7}, {log: warning}]
"""


@pytest.fixture
def policies(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slack_desk, "WORKSPACE", slack_desk.WORKSPACE + ON_CALL.lstrip("\n"))
    monkeypatch.setattr(slack_desk, "POLICY", POLICY)


@pytest.fixture
async def desk(tmp_path: Path, policies: None) -> AsyncIterator[Desk]:
    async with running_desk(tmp_path) as running:
        yield running


async def said(desk: Desk, user: str, text: str) -> str:
    """The private answer to a command."""
    before = len(desk.privates())
    await desk.sandbox.people.command(user, "C0APPROVE", "/keyturn", text)
    return (await desk.sandbox.until(lambda: desk.privates()[before:]))[0].text


async def on_call(desk: Desk) -> tuple[str, str]:
    """Who of the two is on call, and the other."""
    answer = await said(desk, DANA, "who primary")
    now = re.search(r"<@(U0SRE000\d)>", answer)
    assert now is not None, answer
    return (SAM, SUKI) if now[1] == SAM else (SUKI, SAM)


async def test_who_names_those_on_call_until_when_and_who_is_next(desk: Desk) -> None:
    first, other = await on_call(desk)
    every = await said(desk, DANA, "who")
    assert f"*primary*: <@{first}> until <!date^" in every
    assert f"then <@{other}>" in every
    assert "*office*: nobody until" in every
    assert "*kept*: <@U0SEC0001> and <@U0SEC0002>" in every
    assert f"*duty* (primary): <@{first}>" in await said(desk, DANA, "who duty")
    tomorrow = await said(desk, DANA, "who primary at tomorrow 23:59")
    assert "On call <!date^" in tomorrow
    assert "*release*: <@U0REL0001> and <@U0REL0002>" in await said(desk, DANA, "who release")


async def test_a_question_that_makes_no_sense_is_answered_with_what_to_write(desk: Desk) -> None:
    assert "There is no schedule nobody" in await said(desk, DANA, "who nobody")
    assert "is not a time; write a time such as 14:20" in await said(desk, DANA, "who at noon")
    assert "is no param" in await said(desk, DANA, "simulate deployment production")
    assert "say whom" in await said(desk, DANA, "oncall cover")
    assert "is nobody Slack knows" in await said(desk, DANA, "oncall cover @nobody")


async def test_the_timetable_shows_two_weeks_and_their_gaps(desk: Desk) -> None:
    primary = await said(desk, DANA, "oncall primary")
    assert "the next two weeks:" in primary
    assert primary.count("<@U0SRE0001>") >= 7
    assert "gaps):" in await said(desk, DANA, "oncall office")


async def test_a_cover_is_offered_accepted_and_holds_at_once(desk: Desk) -> None:
    first, other = await on_call(desk)
    offered = await said(desk, first, f"oncall cover me by @{NAMES[other]}")
    assert "has been asked to accept it" in offered
    message = await desk.sandbox.until(lambda: next(iter(desk.sandbox.messages(other)), None))
    assert (await on_call(desk))[0] == first
    await desk.sandbox.people.click(other, message.channel, message.ts, "oncall.accept")
    assert "Agreed" in (await desk.private(other, "Agreed", message.channel)).text
    assert (await on_call(desk))[0] == other
    assert f"<@{other}> (covers <@{first}>)" in await said(desk, DANA, "oncall primary")
    [event] = await desk.bot.store.reads.audit_page(event="oncall_overridden")
    assert (event.actor.id, event.body["covering"], event.body["covered"]) == (other, other, first)

    request = await desk.ask()
    await desk.click(first, request)
    await desk.private(first, "not among")
    await desk.click(other, request)
    await desk.painted(request, "Approved")
    assert (await desk.now(request)).status is Status.APPROVED


async def test_a_level_asks_those_on_call_and_calls_the_user_group(
    tmp_path: Path, policies: None, caplog: pytest.LogCaptureFixture
) -> None:
    clock = ShiftedClock()
    async with (
        running_sandbox(workspace=crowded_workspace()) as slack,
        running_bot(slack, tmp_path, clock=clock) as desk,
    ):
        first, _ = await on_call(desk)
        request = await desk.ask()
        card = await desk.card(request)
        clock.shift(timedelta(minutes=10))
        await desk.bot.escalations.run_once()
        await slack.until(lambda: desk.find(request, first))

        def called() -> bool:
            replies = [m for m in slack.messages("C0APPROVE") if m.thread_ts == card.ts and m.ts != card.ts]
            return any("S0614TZR7" in str(reply.blocks) for reply in replies)

        await slack.until(called)
        told: set[str] = set()
        while not {"notify.log", "slack.mention", "slack.post"} <= told:
            told |= {event["kind"] for event in await desk.until_audited(request, "notification_sent")}
    assert any(record.name == "keyturn.notifications" for record in caplog.records)


async def test_the_other_one_is_told_when_a_cover_is_accepted_and_when_it_ends(desk: Desk) -> None:
    first, other = await on_call(desk)
    offered = await said(desk, other, f"oncall cover @{NAMES[first]}")
    [id] = re.findall(r"cov_\w+", offered)
    message = await desk.sandbox.until(lambda: next(iter(desk.sandbox.messages(first)), None))
    await desk.sandbox.people.click(first, message.channel, message.ts, "oncall.accept")
    await desk.sandbox.until(lambda: any("accepted" in m.text for m in desk.sandbox.messages(other)))
    assert "Ended" in await said(desk, first, f"oncall withdraw {id}")
    await desk.sandbox.until(lambda: any("withdrawn" in m.text for m in desk.sandbox.messages(other)))
    assert (await on_call(desk))[0] == first
    assert "ended already" in await said(desk, other, f"oncall withdraw {id}")


async def test_only_people_of_a_schedule_cover_each_other(desk: Desk) -> None:
    assert "You share no schedule" in await said(desk, RAFAEL, "oncall cover @sam")
    assert "takes no turns in primary" in await said(
        desk, RAFAEL, "oncall cover @sam primary from 23:00 to 23:30"
    )


async def test_a_simulation_names_those_asked_now_and_those_asked_later(desk: Desk) -> None:
    first, _ = await on_call(desk)
    answer = await said(desk, DANA, "simulate later:on as builder key=value amount=1500")
    assert "If builder asked now" in answer
    assert f"Now: <@{DANA}> may decide; one of them must agree." in answer
    assert f"(on-call): asks <@{first}> and slack_usergroup S0614TZR7 and log warning" in answer
    assert "times out <!date^" in answer
    assert (await desk.bot.store.reads.counts()).pending == 0
