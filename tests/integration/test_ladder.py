"""The ladder in Slack: every hop on the card, in the thread and in the audit, and hands on it."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from bot.core.models import ApprovalRequest, Cause, Status
from bot.sandbox import running_sandbox
from bot.sandbox.model import Message
from bot.store.reads import Card
from tests.integration import slack_desk
from tests.integration.slack_desk import (
    DANA,
    PRIYA,
    RAFAEL,
    SAM,
    SUKI,
    Desk,
    ShiftedClock,
    buttons,
    crowded_workspace,
    running_bot,
    view_words,
)

RULES = """
escalation_rules:
  - name: first
    trigger: {after: 1h}
    escalate_to: security
    wait: 1h
    notify: [{slack: C0SECALRT}, {slack_dm: security}]
  - name: second
    trigger: {after: 1h}
    escalate_to: sre
    wait: 1h
    notify: [{slack_dm: U0DANA001}, {slack: C0APPROVE}]
"""


NIGHTS = """
  nights: {schedule: nights}
schedules:
  nights: {layers: [{rotation: daily, handover: "00:00", zone: UTC, users: [U0SRE0002]}]}
"""


@asynccontextmanager
async def desk_with(
    directory: Path, monkeypatch: pytest.MonkeyPatch, rules: str, **replaced: str
) -> AsyncIterator[Desk]:
    """A desk whose policy has other escalation rules, and other words where `replaced` says so.

    Its clock is `ShiftedClock`: time passes when a test says so (`later`).
    """
    policy = slack_desk.POLICY.partition("escalation_rules:")[0] + rules
    for old, new in replaced.items():
        policy = policy.replace(f"{old}: {_value(policy, old)}", f"{old}: {new}")
    monkeypatch.setattr(slack_desk, "POLICY", policy)
    async with (
        running_sandbox(workspace=crowded_workspace()) as slack,
        running_bot(slack, directory, clock=ShiftedClock()) as desk,
    ):
        yield desk


async def later(desk: Desk, **by: int) -> None:
    """So much time has passed, and the scheduler has looked.

    What is being sent is let through first: its lease would not outlast the shift, so it would be sent again.
    """
    clock = desk.bot.clock
    assert isinstance(clock, ShiftedClock)
    async with asyncio.timeout(60):
        while desk.bot.outbox.under_way:  # noqa: ASYNC110  # every turn of the loop may end it
            await asyncio.sleep(0)
    clock.shift(timedelta(**by))
    await desk.bot.escalations.run_once()


def _value(policy: str, key: str) -> str:
    return next(line.partition(": ")[2] for line in policy.splitlines() if line.startswith(f"{key}: "))


def thread(desk: Desk, channel: str = "C0APPROVE") -> list[Message]:
    """Replies in a channel, oldest first."""
    return [m for m in desk.sandbox.messages(channel) if m.thread_ts is not None and m.thread_ts != m.ts]


def words_of(card: Message) -> str:
    """Everything that a card says in text leaves, in order."""

    def leaves(part: Any) -> Iterator[str]:
        if isinstance(part, dict):
            if isinstance(part.get("text"), str):
                yield part["text"]
            for inner in part.values():
                yield from leaves(inner)
        elif isinstance(part, list):
            for inner in part:
                yield from leaves(inner)

    return " ".join(" ".join(leaves(card.blocks)).split())


async def said(desk: Desk, words: str, channel: str = "C0APPROVE") -> Message:
    """The first reply that holds these words."""

    def look() -> Message | None:
        return next((m for m in thread(desk, channel) if words in m.text), None)

    return await desk.sandbox.until(look)


async def ended(desk: Desk, request: ApprovalRequest) -> ApprovalRequest:
    """The request once it is decided."""
    return await desk.decided(request.id)


async def test_a_request_that_nobody_answers_climbs_to_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with desk_with(tmp_path, monkeypatch, RULES, default_timeout="1h") as desk:
        request = await desk.ask()
        await desk.card(request)
        for level, people in ((1, "security"), (2, "sre")):
            await later(desk, hours=1)
            await said(desk, f"Escalated to {people} (level {level} of 2)")
        await later(desk, hours=1)
        after = await ended(desk, request)
        assert (after.status, after.cause, after.level) == (Status.TIMED_OUT, Cause.TIMEOUT, 2)
        shown = words_of(await desk.painted(request, "Timed out"))
        assert "Escalated to security," in shown, "the card tells of its hops also at the end"
        assert "Escalated to sre," in shown
        for words in ("Escalated to security (level 1 of 2)", "Escalated to sre (level 2 of 2)", "Timed out"):
            assert (await said(desk, words)).thread_ts == (await desk.card(request)).ts
        hops = await desk.audited(request, "escalation_triggered")
        assert [(hop["rule"], hop["after"]["level"]) for hop in hops] == [("first", 1), ("second", 2)]
        assert next(asked["to"] for asked in hops[0]["asked"]) == "C0SECALRT"
        assert {"kind": "slack.note", "to": "C0APPROVE", "counts": True} in hops[1]["asked"]
        assert len(desk.cards(request)) == 1, "the own channel gets a note, not a second card"


async def test_a_person_asked_in_a_direct_message_learns_why_finds_the_thread_and_decides_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rules = """
escalation_rules:
  - {name: up, trigger: {after: 1h}, escalate_to: sre, wait: 1h, notify: [{slack_dm: U0SRE0002}]}
"""
    async with desk_with(tmp_path, monkeypatch, rules, default_timeout="1h") as desk:
        request = await desk.ask()
        first = await desk.card(request)
        assert "next: sre (Suki Tanaka)" in str(first.blocks)
        await desk.click(SAM, request, "request.escalate")
        copy = await desk.card(request, SUKI)
        said = str(copy.blocks[-1])
        assert "it was escalated to sre by the rule up, level 1 of 1" in said
        assert f"/archives/C0APPROVE/p{first.ts.replace('.', '')}|Open it in its channel>" in said
        assert "in its channel" not in str(first.blocks)
        await desk.sandbox.people.click(SUKI, copy.channel, copy.ts, "request.approve")
        assert (await ended(desk, request)).status is Status.APPROVED
        assert buttons(await desk.painted(request, "Approved", SUKI)) == []
        assert "in its channel" in str((await desk.card(request, SUKI)).blocks), "repainting keeps the way"


async def test_a_channel_that_is_asked_again_is_told_in_the_thread_of_its_card(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = "[{slack: C0SECALRT}, {slack_dm: U0DANA001}]\n    remind: {every: 10m, times: 1}"
    again = RULES.replace("[{slack_dm: U0DANA001}, {slack: C0APPROVE}]", asked)
    async with desk_with(tmp_path, monkeypatch, again, default_timeout="1h") as desk:
        request = await desk.ask()
        await desk.card(request)
        await later(desk, hours=1)
        copy = await desk.card(request, "C0SECALRT")
        await arrived(desk, request, "C0SECALRT")  # else its lease would end with the hour
        await later(desk, hours=1)
        told = await said(desk, "Escalated to sre (level 2 of 2)", "C0SECALRT")
        assert told.thread_ts == copy.ts
        await said(desk, "Escalated to sre (level 2 of 2)")
        await arrived(desk, request, DANA)
        await later(desk, minutes=10)
        assert (await said(desk, "Reminder 1", "C0SECALRT")).thread_ts == copy.ts
        assert len(desk.cards(request, "C0SECALRT")) == 1


async def test_the_card_names_who_will_be_on_call_when_the_next_level_opens(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slack_desk, "WORKSPACE", slack_desk.WORKSPACE + NIGHTS)
    rules = """
escalation_rules:
  - {name: up, trigger: {after: 1h}, escalate_to: nights, notify: [{oncall: nights}]}
"""
    async with desk_with(tmp_path, monkeypatch, rules, default_timeout="1h") as desk:
        request = await desk.ask()
        assert "next: nights (Suki Tanaka)" in str((await desk.card(request)).blocks)


async def test_an_archived_channel_moves_on_at_once_and_tells_the_admins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with desk_with(tmp_path, monkeypatch, RULES, default_timeout="1h") as desk:
        desk.sandbox.workspace.channel("C0APPROVE").is_archived = True
        request = await desk.ask()
        await desk.sandbox.until(lambda: desk.find(request, "C0SECALRT"))
        assert (await desk.now(request)).level == 1
        assert (await desk.audited(request, "escalation_unreachable"))[0]["why"] == "nobody_reached"
        failure = (await desk.audited(request, "notification_failed"))[0]
        assert (failure["code"], failure["to"], failure["level"]) == ("is_archived", "C0APPROVE", 0)

        def alarms() -> bool | None:
            about = [m.text for m in desk.sandbox.messages("C0ADMIN01") if request.id in str(m.blocks)]
            return (
                all(words in str(about) for words in ("Nobody can be reached", "C0APPROVE: is arch")) or None
            )

        await desk.sandbox.until(alarms)


async def test_somebody_on_it_is_shown_once_and_moves_the_times(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with desk_with(tmp_path, monkeypatch, RULES, default_timeout="1h") as desk:
        request = await desk.ask()
        await desk.click(RAFAEL, request, "request.acknowledge")
        event = (await desk.until_audited(request, "action_acknowledged"))[0]
        assert event["ack_for_seconds"] == 600
        taken = await desk.now(request)
        assert taken.deadline_at == request.plan[-1].ends_at + timedelta(minutes=10)

        def shown() -> bool:
            card = desk.find(request)
            return card is not None and "On it:" in str(card.blocks)

        await desk.sandbox.until(lambda: shown() or None)
        await desk.click(RAFAEL, request, "request.acknowledge")
        await desk.private(RAFAEL, "already that you are on it")
        assert len(await desk.audited(request, "action_acknowledged")) == 1


async def test_a_stranger_neither_takes_nor_escalates(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with desk_with(tmp_path, monkeypatch, RULES, default_timeout="1h") as desk:
        request = await desk.ask()
        for action in ("request.acknowledge", "request.escalate"):
            await desk.click(DANA, request, action)
        refusals = await desk.until_audited(request, "review_refused")
        assert {refusal["code"] for refusal in refusals} == {"not_an_approver"}
        assert await desk.now(request) == request


@pytest.mark.parametrize("action", ["request.acknowledge", "request.escalate"])
async def test_nobody_keeps_alive_what_has_ended_before_the_scheduler_looked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, action: str
) -> None:
    async with desk_with(tmp_path, monkeypatch, RULES, default_timeout="1h") as desk:
        request = await desk.ask()
        await desk.card(request)
        assert isinstance(desk.bot.clock, ShiftedClock)
        desk.bot.clock.shift(timedelta(hours=3))
        await desk.click(SAM, request, action)
        await desk.private(SAM, "timed out")
        assert (await desk.now(request)).cause is Cause.TIMEOUT
        assert await desk.audited(request, "action_acknowledged") == []


async def test_escalating_by_hand_asks_the_next_people_until_there_are_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with desk_with(tmp_path, monkeypatch, RULES, default_timeout="1h") as desk:
        request = await desk.ask()
        await desk.click(SAM, request, "request.escalate")
        await desk.sandbox.until(lambda: desk.find(request, "C0SECALRT"))
        assert "asked for it" in (await said(desk, "Escalated to security")).text
        await desk.click(PRIYA, request, "request.escalate")
        await said(desk, "Escalated to sre")

        def last() -> bool | None:
            card = desk.find(request)
            return (card is not None and "request.escalate" not in buttons(card)) or None

        await desk.sandbox.until(last)
        assert (await desk.now(request)).level == 2


async def test_reminders_hang_under_the_card_and_announce_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rules = "remind: {every: 10m, times: 2}\n" + RULES
    async with desk_with(tmp_path, monkeypatch, rules, default_timeout="1h") as desk:
        request = await desk.ask()
        card = await desk.card(request)
        await later(desk, minutes=10)
        first = await said(desk, "Reminder 1")
        assert first.thread_ts == card.ts
        assert "The next reminder" in str(first.blocks)
        await later(desk, minutes=19)
        assert len(await desk.audited(request, "reminder_sent")) == 1, "the second waits twice as long"
        await later(desk, minutes=1)
        assert "the last reminder" in str((await said(desk, "Reminder 2")).blocks)
        assert len(await desk.audited(request, "reminder_sent")) == 2


async def test_nobody_is_reminded_of_a_decision(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rules = "remind: {every: 10m, times: 3}\n" + RULES
    async with desk_with(tmp_path, monkeypatch, rules, default_timeout="1h") as desk:
        request = await desk.ask()
        await desk.click(RAFAEL, request)
        assert (await ended(desk, request)).status is Status.APPROVED
        other = await desk.ask()
        await desk.card(other)
        await later(desk, minutes=10)
        await said(desk, "Reminder 1")
        assert await desk.audited(request, "reminder_sent") == []
        assert len(await desk.audited(other, "reminder_sent")) == 1


async def test_a_rule_that_acts_at_once_asks_more_people_without_raising_the_level(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rules = """
escalation_rules:
  - name: debug-logs
    trigger: {where: {new_value: {eq: debug}}}
    escalate_to: crowd
    notify: [{slack: C0SECALRT}]
"""
    async with desk_with(tmp_path, monkeypatch, rules) as desk:
        request = await desk.ask()
        await desk.sandbox.until(lambda: desk.find(request, "C0SECALRT"))
        assert (await desk.now(request)).level == 0
        event = (await desk.audited(request, "escalation_triggered"))[0]
        assert (event["level"], event["rule"]) == (0, "debug-logs")
        await desk.click(slack_desk.CROWD[0], request)
        assert (await ended(desk, request)).status is Status.APPROVED
        plain = await desk.ask(params={"key": "log_level", "old_value": "debug", "new_value": "info"})
        await desk.card(plain)
        assert desk.find(plain, "C0SECALRT") is None


async def test_a_copy_for_somebody_asked_later_is_not_posted_after_the_decision(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with desk_with(tmp_path, monkeypatch, RULES, default_timeout="1h") as desk:
        write, held = desk.bot.store.write, asyncio.Event()

        async def holding(command: Any) -> Any:
            if type(command).__name__ == "LeaseOutbox" and not held.is_set():
                return []
            return await write(command)

        request = await desk.ask()
        card = await desk.card(request)
        monkeypatch.setattr(desk.bot.store, "write", holding)
        await desk.sandbox.people.click(SAM, card.channel, card.ts, "request.escalate")
        await desk.until_audited(request, "escalation_triggered")
        await desk.sandbox.people.click(RAFAEL, card.channel, card.ts, "request.approve")
        assert (await ended(desk, request)).status is Status.APPROVED
        held.set()
        copies = await copies_settled(desk, request)
        assert {copy.error for copy in copies} == {"decided"}
        assert desk.find(request, "C0SECALRT") is None


async def arrived(desk: Desk, request: ApprovalRequest, to: str) -> None:
    """A message to somebody is on record as sent."""
    committed = asyncio.Event()
    desk.bot.store.on_commit(lambda _changes: committed.set())
    async with asyncio.timeout(60):
        while all(sent["to"] != to for sent in await desk.audited(request, "notification_sent")):
            await committed.wait()
            committed.clear()


async def copies_settled(desk: Desk, request: ApprovalRequest) -> list[Card]:
    """The cards of level 1, once none of them is still wanted."""
    committed = asyncio.Event()
    desk.bot.store.on_commit(lambda _changes: committed.set())
    async with asyncio.timeout(60):
        while True:
            committed.clear()
            copies = [card for card in await desk.bot.store.reads.cards(request.id) if card.level == 1]
            if copies and all(card.state != "wanted" for card in copies):
                return copies
            await committed.wait()


async def test_details_tell_who_was_asked_and_what_arrived(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with desk_with(tmp_path, monkeypatch, RULES, default_timeout="1h") as desk:
        desk.sandbox.workspace.channel("C0SECALRT").is_archived = True
        request = await desk.ask()
        await desk.click(SAM, request, "request.escalate")
        await desk.until_audited(request, "notification_failed")
        await desk.click(DANA, request, "request.details")
        shown = view_words(await desk.modal(DANA, "request.details"))
        assert "slack.post to C0APPROVE: arrived" in shown
        assert "level 1: escalated to security (escalated by hand)" in shown
        assert "slack.post to C0SECALRT: failed, is archived" in shown
