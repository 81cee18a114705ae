"""Grants as agents and reviewers meet them: no second card for what was approved in advance."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from bot.core.errors import ApprovalExpired
from bot.core.grants import Extent, Grant
from bot.core.models import Actor, ApprovalRequest, Cause, Reviewer, SlackId, Status, Via
from bot.sandbox import running_sandbox
from bot.store.grants import CreateGrant
from tests.integration.slack_desk import (
    POLICY,
    RAFAEL,
    Desk,
    ShiftedClock,
    crowded_workspace,
    running_bot,
)

HOUR = Extent(timedelta(hours=1))


@pytest.fixture
def clock() -> ShiftedClock:
    return ShiftedClock()


@pytest.fixture
async def desk(tmp_path: Path, clock: ShiftedClock) -> AsyncIterator[Desk]:
    async with (
        running_sandbox(workspace=crowded_workspace(), transport="socket", pace=False) as slack,
        running_bot(slack, tmp_path, clock=clock) as desk,
    ):
        (tmp_path / "policies" / "default.yaml").write_text(f"{POLICY}grant_max_risk: medium\n")
        await desk.bot.reloads.reload(asked=True)
        yield desk


async def approved(desk: Desk) -> ApprovalRequest:
    """A request that a person approved with a click."""
    request = await desk.ask()
    await desk.click(RAFAEL, request)
    await desk.painted(request, "Approved")
    return await desk.now(request)


async def give(desk: Desk, request: ApprovalRequest, extent: Extent = HOUR) -> Grant:
    judged = await desk.bot.approvals.judge(request.action, request.agent)
    giver = Reviewer(SlackId(RAFAEL), "Rafael")
    drawn = desk.bot.grants.draw(request, judged, giver, extent, now=desk.bot.clock.now())
    assert isinstance(drawn, CreateGrant), drawn
    await desk.bot.store.write(drawn)
    return drawn.grant


async def test_what_was_approved_in_advance_runs_and_asks_nobody(desk: Desk) -> None:
    grant = await give(desk, await approved(desk))
    again = await desk.ask()
    assert (again.status, again.cause, again.automatic) == (Status.APPROVED, Cause.GRANT, True)
    assert again.policy.rule == f"grant:{grant.id}"
    assert (await desk.audited(again, "grant_used")) == [
        {"grant": grant.id, "used": 1, "uses": 20, "giver": RAFAEL}
    ]
    other = await desk.ask(params={"key": "log_level", "old_value": "info", "new_value": "trace"})
    assert other.status is Status.PENDING
    await desk.card(other)
    assert desk.cards(again) == []


async def test_the_last_use_of_a_grant_is_its_last(desk: Desk) -> None:
    await give(desk, await approved(desk), Extent(timedelta(hours=1), uses=2))
    assert [(await desk.ask()).status for _ in range(3)] == [
        Status.APPROVED,
        Status.APPROVED,
        Status.PENDING,
    ]


async def test_a_revoked_grant_takes_back_what_was_not_claimed(desk: Desk) -> None:
    grant = await give(desk, await approved(desk))
    unclaimed = await desk.ask()
    ended = await desk.bot.grants.revoke(grant.id, Actor.human(grant.giver), Via.SLACK)
    assert ended == [unclaimed.id]
    with pytest.raises(ApprovalExpired):
        await desk.bot.approvals.claim(
            desk.agent,
            unclaimed.id,
            digest=unclaimed.digest,
            preview_digest=None,
            audience=None,
            key=None,
            body=b"{}",
        )
    assert (await desk.ask()).status is Status.PENDING


async def test_a_grant_stops_when_its_giver_may_no_longer_decide(desk: Desk, clock: ShiftedClock) -> None:
    await give(desk, await approved(desk))
    assert (await desk.ask()).status is Status.APPROVED
    desk.sandbox.workspace.users[RAFAEL].deleted = True
    clock.shift(timedelta(seconds=61))
    assert (await desk.ask()).status is Status.PENDING


async def test_changed_policies_end_every_grant(desk: Desk) -> None:
    await give(desk, await approved(desk))
    file = desk.bot.policies.directory / "default.yaml"
    file.write_text(file.read_text() + "ack_for: 11m\n")
    await desk.bot.reloads.reload(asked=True)
    assert (await desk.ask()).status is Status.PENDING
