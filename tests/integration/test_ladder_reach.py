"""Who is asked, when that depends on Slack: people at rest, an outage, and nobody at all."""

from datetime import timedelta
from pathlib import Path

import pytest

from bot.core.models import Cause, Status
from bot.sandbox import running_sandbox
from tests.integration import slack_desk
from tests.integration.slack_desk import RAFAEL, SAM, SUKI, Desk, ShiftedClock, crowded_workspace, running_bot
from tests.integration.test_ladder import NIGHTS, desk_with, ended, later

ASK_SRE = """
escalation_rules:
  - {name: sre, trigger: {after: 1h}, escalate_to: sre, wait: 1h, notify: [{slack_dm: sre}]}
"""


async def test_somebody_at_rest_is_asked_last_and_that_is_recorded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with desk_with(tmp_path, monkeypatch, ASK_SRE, default_timeout="1h") as desk:
        resting = desk.sandbox.workspace.users[SAM]
        resting.dnd_enabled, resting.next_dnd_start_ts, resting.next_dnd_end_ts = True, 1, 2_000_000_000
        request = await desk.ask()
        await later(desk, hours=1)
        hop = (await desk.until_audited(request, "escalation_triggered"))[0]
        assert hop["resting"] == [SAM]
        assert [asked["to"] for asked in hop["asked"]] == [SUKI, SAM]


@pytest.mark.parametrize(
    "approvers",
    [
        "{quorum: 1, users: [U0OWN0001]}",
        "{quorum: 1, users: [U0GST0001, U0OLD0001, U0EXT0001]}",
        "{quorum: 2, users: [U0SRE0001, U0OLD0001]}",
    ],
    ids=["owner", "strangers", "too few"],
)
async def test_a_policy_whose_approvers_are_all_shut_out_ends_at_once_and_loudly(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, approvers: str
) -> None:
    async with desk_with(tmp_path, monkeypatch, "", approvers=approvers) as desk:
        request = await desk.ask()
        after = await ended(desk, request)
        assert (after.status, after.cause) == (Status.TIMED_OUT, Cause.NO_APPROVER)
        events = [event.event for event in await desk.bot.store.reads.events(request.id)]
        assert "escalation_unreachable" in events

        def told() -> bool | None:
            return any(request.id in str(m.blocks) for m in desk.sandbox.messages("C0ADMIN01")) or None

        await desk.sandbox.until(told)


UNREACHABLE = """
escalation_rules:
  - {name: nobody, trigger: {after: 1h}, escalate_to: sre, wait: 1h, notify: [{slack_dm: nobody@example.com}]}
  - {name: sre, trigger: {after: 1h}, escalate_to: sre, wait: 1h, notify: [{slack_dm: sre}]}
"""


async def test_a_level_that_somebody_opens_and_that_asks_nobody_gives_way_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with desk_with(tmp_path, monkeypatch, UNREACHABLE, default_timeout="1h") as desk:
        request = await desk.ask()
        await desk.click(SAM, request, "request.escalate")
        await desk.sandbox.until(lambda: desk.find(request, SUKI))
        hops = await desk.audited(request, "escalation_triggered")
        assert [(hop["rule"], hop["why"]) for hop in hops] == [
            ("nobody", "escalated_by_hand"),
            ("sre", "nobody_reached"),
        ]
        failure = (await desk.audited(request, "notification_failed"))[0]
        assert (failure["to"], failure["code"]) == ("nobody@example.com", "unknown_recipient")
        await told_to_admins(desk, "nobody@example.com: unknown recipient")


async def test_one_target_that_fails_beside_others_is_told_to_the_admins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    both = ASK_SRE.replace("[{slack_dm: sre}]", "[{slack: C0SECALRT}, {slack_dm: sre}]")
    async with desk_with(tmp_path, monkeypatch, both, default_timeout="1h") as desk:
        desk.sandbox.workspace.channel("C0SECALRT").is_archived = True
        request = await desk.ask()
        await later(desk, hours=1)
        await desk.sandbox.until(lambda: desk.find(request, SUKI))
        await told_to_admins(desk, "C0SECALRT: is archived")
        assert await desk.audited(request, "escalation_unreachable") == []


async def test_whoever_cannot_be_looked_up_while_slack_is_away_is_asked_once_it_is_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rules = ASK_SRE.replace("slack_dm: sre", "slack_dm: suki@example.com")
    async with desk_with(tmp_path, monkeypatch, rules, default_timeout="1h") as desk:
        request = await desk.ask()
        await desk.card(request)
        await desk.sandbox.add_fault("server_error", method="users.lookupByEmail", seconds=3600)
        await later(desk, hours=1, minutes=1)
        [hop] = await desk.audited(request, "escalation_triggered")
        assert [a["kind"] for a in hop["asked"]] == ["ladder.find"], "the ladder does not wait for Slack"
        desk.sandbox.faults.clear()
        await later(desk, minutes=1)
        await desk.sandbox.until(lambda: desk.find(request, SUKI))
        assert await desk.audited(request, "escalation_unreachable") == []


async def test_a_mail_goes_out_and_leads_to_the_card_while_slack_is_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rules = ASK_SRE.replace("{slack_dm: sre}", "{slack_dm: suki@example.com}, {email: dana@example.com}")
    async with desk_with(tmp_path, monkeypatch, rules, default_timeout="1h") as desk:
        request = await desk.ask()
        card = await desk.card(request)
        await desk.until_audited(request, "notification_sent")
        await desk.sandbox.add_fault("server_error", seconds=3600)
        await later(desk, hours=1, minutes=1)
        [mail] = await desk.sandbox.until(lambda: desk.sandbox.state()["mail"])
        assert f"/archives/C0APPROVE/p{card.ts.replace('.', '')}" in mail["text"]


async def test_whether_enough_may_approve_is_found_out_once_slack_is_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    group = "{quorum: 1, groups: [security]}"
    async with desk_with(tmp_path, monkeypatch, "", approvers=group) as desk:
        desk.sandbox.workspace.set_usergroup("S0614TZR7", [])
        await desk.sandbox.add_fault("server_error", method="usergroups.users.list", seconds=3600)
        request = await desk.ask()
        await desk.until_audited(request, "notification_sent")
        assert (await desk.now(request)).status is Status.PENDING, "what is not known ends nothing"
        desk.sandbox.faults.clear()
        await later(desk, minutes=1)
        assert (await ended(desk, request)).cause is Cause.NO_APPROVER


async def test_a_group_and_a_schedule_that_are_gone_since_are_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rules = """
escalation_rules:
  - {name: gone, trigger: {after: 1h}, escalate_to: nights, notify: [{slack_dm: nights}, {oncall: nights}]}
  - {name: sre, trigger: {after: 9h}, escalate_to: sre, wait: 1h, notify: [{slack_dm: sre}]}
"""
    with_nights = slack_desk.WORKSPACE + NIGHTS
    monkeypatch.setattr(slack_desk, "WORKSPACE", with_nights)
    async with desk_with(tmp_path, monkeypatch, rules, default_timeout="1h") as desk:
        request = await desk.ask()
        await desk.card(request)
        without_rules = slack_desk.POLICY.partition("escalation_rules:")[0]
        (tmp_path / "policies" / "default.yaml").write_text(without_rules)
        workspace = with_nights.removesuffix(NIGHTS) % ", ".join(slack_desk.CROWD)
        (tmp_path / "policies" / "workspace.yaml").write_text(workspace)
        found = desk.bot.policies.read().policies
        assert found is not None
        desk.bot.policies.adopt(found)
        await later(desk, hours=1)
        await desk.sandbox.until(lambda: desk.find(request, SUKI))
        failures = [(f["to"], f["code"]) for f in await desk.audited(request, "notification_failed")]
        assert failures == [("nights", "unknown_recipient"), ("nights", "nobody_on_call")]


async def test_who_is_named_outright_decides_though_a_schedule_beside_them_is_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_nights = slack_desk.WORKSPACE + NIGHTS
    monkeypatch.setattr(slack_desk, "WORKSPACE", with_nights)
    async with desk_with(
        tmp_path, monkeypatch, "", approvers="{quorum: 1, groups: [release, nights]}"
    ) as desk:
        request = await desk.ask()
        await desk.card(request)
        policy = slack_desk.POLICY.replace("[release, nights]", "[release]")
        (tmp_path / "policies" / "default.yaml").write_text(policy)
        workspace = with_nights.removesuffix(NIGHTS) % ", ".join(slack_desk.CROWD)
        (tmp_path / "policies" / "workspace.yaml").write_text(workspace)
        found = desk.bot.policies.read().policies
        assert found is not None
        desk.bot.policies.adopt(found)
        await desk.click(SUKI, request)
        told = await desk.private(SUKI, "no schedule nights any more")
        assert "try again" not in told.text.lower()
        assert [r["code"] for r in await desk.audited(request, "review_refused")] == ["source_gone"]
        await desk.click(RAFAEL, request)
        assert (await ended(desk, request)).cause is Cause.HUMAN


async def told_to_admins(desk: Desk, words: str) -> None:
    """The admin channel has a message that holds these words."""

    def found() -> bool | None:
        return any(words in m.text for m in desk.sandbox.messages("C0ADMIN01")) or None

    await desk.sandbox.until(found)


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
