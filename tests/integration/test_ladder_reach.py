"""Who is asked, when that depends on Slack: people at rest, an outage, and nobody at all."""

from datetime import timedelta
from pathlib import Path

import pytest

from bot.core.models import Cause, Status
from bot.sandbox import running_sandbox
from tests.integration.slack_desk import SAM, SUKI, ShiftedClock, crowded_workspace, running_bot
from tests.integration.test_ladder import desk_with, ended

ASK_SRE = """
escalation_rules:
  - {name: sre, trigger: {after: 1s}, escalate_to: sre, wait: 1h, notify: [{slack_dm: sre}]}
"""


async def test_somebody_at_rest_is_asked_last_and_that_is_recorded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with desk_with(tmp_path, monkeypatch, ASK_SRE, default_timeout="1s") as desk:
        resting = desk.sandbox.workspace.users[SAM]
        resting.dnd_enabled, resting.next_dnd_start_ts, resting.next_dnd_end_ts = True, 1, 2_000_000_000
        request = await desk.ask()
        hop = (await desk.until_audited(request, "escalation_triggered"))[0]
        assert hop["resting"] == [SAM]
        assert [asked["to"] for asked in hop["asked"]] == [SUKI, SAM]


async def test_a_policy_whose_approvers_are_all_shut_out_ends_at_once_and_loudly(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shut_out = "{quorum: 1, users: [U0OWN0001]}"
    async with desk_with(tmp_path, monkeypatch, "", approvers=shut_out) as desk:
        request = await desk.ask()
        after = await ended(desk, request)
        assert (after.status, after.cause) == (Status.TIMED_OUT, Cause.NO_APPROVER)
        events = [event.event for event in await desk.bot.store.reads.events(request.id)]
        assert "escalation_unreachable" in events

        def told() -> bool | None:
            return any(request.id in str(m.blocks) for m in desk.sandbox.messages("C0ADMIN01")) or None

        await desk.sandbox.until(told)


async def test_how_late_deadlines_are_is_known_after_a_long_sleep(tmp_path: Path) -> None:
    clock = ShiftedClock()
    async with running_sandbox(workspace=crowded_workspace()) as slack:
        async with running_bot(slack, tmp_path, clock=clock) as desk:
            request = await desk.ask()
            await desk.card(request)
        clock.shift(timedelta(minutes=10, seconds=45))
        async with running_bot(slack, tmp_path, clock=clock) as desk:
            await desk.until_audited(request, "escalation_triggered")
            late = desk.bot.health.lateness()
            assert timedelta(seconds=45) <= late.latest <= timedelta(minutes=5)
            assert late.worst >= late.latest
            assert (await desk.now(request)).watch.late == late.latest

            def said() -> bool | None:
                card = desk.find(request)
                return (card is not None and "late with this" in str(card.blocks)) or None

            await desk.sandbox.until(said)
