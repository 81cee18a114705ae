"""Who belongs to a schedule now: rotations, covers and user groups, over a local Slack."""

from collections.abc import AsyncIterator
from datetime import timedelta
from itertools import count
from pathlib import Path

import pytest

from bot.core.covering import Deal
from bot.core.errors import CannotVerify, CoverRefused, NotFound
from bot.core.models import Person, SlackId
from bot.core.policy import PolicySet
from bot.sandbox import Sandbox, running_sandbox
from bot.services.oncall import OnCall
from bot.slack.app import SlackAccess, web_client
from bot.slack.directory import SlackDirectory
from bot.store import Store
from tests.factories import NOON
from tests.policies import HEAD, WORKSPACE, policy_set
from tests.store.conftest import HandClock

SCHEDULES = """
schedules:
  primary: {layers: [{rotation: daily, handover: "09:00", zone: UTC, users: [U0SRE0001, dana@example.com]}]}
  office:
    layers:
      - {rotation: daily, handover: "09:00", zone: UTC, users: [U0SRE0001], restrict: [{from: "13:00"}]}
  kept: {slack_usergroup: S0614TZR7}
"""
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
SAM = Person(SlackId("U0SRE0001"), "T0KEYTURN", "Sam")
DANA = Person(SlackId("U0DANA001"), "T0KEYTURN", "Dana", email="dana@example.com")


@pytest.fixture
def policies() -> list[PolicySet]:
    """What is in force: the only entry, which a test may replace."""
    return [policy_set(HEAD, workspace=WORKSPACE + SCHEDULES)]


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    async with running_sandbox() as running:
        yield running


@pytest.fixture
async def on_call(tmp_path: Path, clock: HandClock, policies: list[PolicySet]) -> AsyncIterator[OnCall]:
    numbers = count(1)
    async with Store.open(f"sqlite:///{tmp_path}/keyturn.db", clock=clock) as store:
        yield OnCall(store, lambda: policies[0], clock, lambda prefix: f"{prefix}_{next(numbers)}")


@pytest.fixture
async def directory(sandbox: Sandbox, on_call: OnCall, clock: HandClock) -> AsyncIterator[SlackDirectory]:
    async with web_client(SlackAccess(sandbox.bot_token, api_url=sandbox.api_url)) as client:
        yield SlackDirectory(client, clock, on_call.now)


async def test_a_rotation_s_member_is_the_one_on_call_and_changes_at_the_hand_over(
    directory: SlackDirectory, clock: HandClock
) -> None:
    first = await directory.members("schedule:primary")
    clock.move(DAY)
    second = await directory.members("schedule:primary")
    assert {first, second} == {frozenset({SAM.id}), frozenset({DANA.id})}


async def test_nobody_belongs_to_a_schedule_in_a_gap(directory: SlackDirectory, clock: HandClock) -> None:
    assert await directory.members("schedule:office") == frozenset()
    clock.move(HOUR)
    assert await directory.members("schedule:office") == {SAM.id}


async def test_a_user_group_may_be_a_schedule(directory: SlackDirectory) -> None:
    group = await directory.members("slack_usergroup:S0614TZR7")
    assert await directory.members("schedule:kept") == group
    assert group


async def test_a_schedule_that_is_gone_authorises_nobody(
    directory: SlackDirectory, policies: list[PolicySet]
) -> None:
    policies[0] = policy_set(HEAD)
    with pytest.raises(CannotVerify, match="no schedule primary"):
        await directory.members("schedule:primary")


async def test_an_accepted_cover_changes_who_may_decide_at_once(
    directory: SlackDirectory, on_call: OnCall, clock: HandClock
) -> None:
    if await directory.members("schedule:primary") != {SAM.id}:
        clock.move(DAY)
    now = clock.now()
    made = await on_call.offer("primary", Deal(SAM, DANA, False, now, now + HOUR))
    assert await directory.members("schedule:primary") == {SAM.id}
    with pytest.raises(CoverRefused):
        await on_call.accept(made.id, SAM)
    await on_call.accept(made.id, DANA)
    assert await on_call.accept(made.id, DANA) == await on_call.accept(made.id, DANA)
    assert await directory.members("schedule:primary") == {DANA.id}
    assert (await on_call.now("primary")).covered == {DANA.email: SAM.id}
    clock.move(HOUR)
    assert await directory.members("schedule:primary") == {SAM.id}


async def test_whoever_stands_in_is_known_by_id(
    directory: SlackDirectory, on_call: OnCall, clock: HandClock
) -> None:
    if await directory.members("schedule:primary") != {SAM.id}:
        clock.move(DAY)
    made = await on_call.offer("primary", Deal(SAM, DANA, False, clock.now(), clock.now() + HOUR))
    assert await directory.covers("schedule:primary") == {}
    await on_call.accept(made.id, DANA)
    assert await directory.covers("schedule:primary") == {DANA.id: SAM.id}
    assert await directory.covers("slack_usergroup:S0614TZR7") == {}


async def test_either_of_the_two_may_end_a_cover_and_nobody_else(on_call: OnCall) -> None:
    made = await on_call.offer("primary", Deal(SAM, DANA, True, NOON, NOON + HOUR))
    with pytest.raises(CoverRefused, match="not yours"):
        await on_call.withdraw(made.id, Person(SlackId("U0SEC0001"), "T0KEYTURN", "Priya"))
    await on_call.withdraw(made.id, DANA)
    with pytest.raises(CoverRefused, match="withdrawn"):
        await on_call.accept(made.id, DANA)
    with pytest.raises(CoverRefused, match="ended already"):
        await on_call.withdraw(made.id, SAM)


async def test_an_unknown_schedule_is_named_with_those_there_are(on_call: OnCall) -> None:
    with pytest.raises(NotFound, match="has: primary, office, kept"):
        await on_call.timetable("secondary", NOON, NOON + DAY)


async def test_whoever_has_left_the_schedule_stands_in_for_nobody(
    directory: SlackDirectory, on_call: OnCall, clock: HandClock, policies: list[PolicySet]
) -> None:
    if await directory.members("schedule:primary") != {SAM.id}:
        clock.move(DAY)
    made = await on_call.offer("primary", Deal(SAM, DANA, False, clock.now(), clock.now() + HOUR))
    await on_call.accept(made.id, DANA)
    assert await directory.members("schedule:primary") == {DANA.id}
    without = SCHEDULES.replace("users: [U0SRE0001, dana@example.com]", "users: [U0SRE0001, U0SRE0001]")
    policies[0] = policy_set(HEAD, workspace=WORKSPACE + without)
    assert await directory.members("schedule:primary") == {SAM.id}
