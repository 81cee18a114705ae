"""Looking people up in a local Slack: in time or not at all, and seldom twice."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from bot.core.errors import CannotVerify
from bot.core.models import SlackId
from bot.sandbox import Sandbox, running_sandbox
from bot.slack.app import SlackAccess, web_client
from bot.slack.directory import SlackDirectory, lookup_budget
from tests.cards import RELEASE, SECURITY, make_request
from tests.integration.slack_desk import ShiftedClock

SECURITY_PEOPLE = frozenset({"U0SEC0001", "U0SEC0002"})


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    async with running_sandbox() as running:
        yield running


@pytest.fixture
def clock() -> ShiftedClock:
    return ShiftedClock()


@pytest.fixture
async def directory(sandbox: Sandbox, clock: ShiftedClock) -> AsyncIterator[SlackDirectory]:
    async with web_client(SlackAccess(sandbox.bot_token, api_url=sandbox.api_url)) as client:
        yield SlackDirectory(client, clock)


def calls(sandbox: Sandbox, method: str) -> int:
    return sum(entry.name == method for entry in sandbox.traffic.after(0))


async def test_people_are_known_by_id_and_by_address(directory: SlackDirectory) -> None:
    person = await directory.person(SlackId("U0DANA001"))
    assert person is not None
    assert (person.name, person.email, person.team_id) == ("Dana Whitfield", "dana@example.com", "T0KEYTURN")
    assert await directory.by_email("DANA@example.com") == person
    assert await directory.home_team() == "T0KEYTURN"


@pytest.mark.parametrize(
    ("id", "field"), [("U0GST0001", "is_guest"), ("U0OLD0001", "is_deleted"), ("U0KEYTURN", "is_bot")]
)
async def test_guests_bots_and_deactivated_people_are_told_apart(
    directory: SlackDirectory, id: str, field: str
) -> None:
    person = await directory.person(SlackId(id))
    assert person is not None
    assert getattr(person, field) is True


async def test_whom_slack_does_not_know_is_nobody(directory: SlackDirectory) -> None:
    assert await directory.person(SlackId("U0NOBODY1")) is None
    assert await directory.by_email("nobody@example.com") is None


async def test_members_come_from_slack_and_an_unknown_group_authorises_nobody(
    directory: SlackDirectory,
) -> None:
    assert await directory.members("slack_usergroup:S0614TZR7") == SECURITY_PEOPLE
    for source in ("slack_usergroup:S0GONE001", "schedule:primary", "users"):
        with pytest.raises(CannotVerify):
            await directory.members(source)


async def test_an_answer_is_used_for_at_most_a_minute(
    directory: SlackDirectory, sandbox: Sandbox, clock: ShiftedClock
) -> None:
    await directory.members("slack_usergroup:S0614TZR7")
    sandbox.workspace.set_usergroup("S0614TZR7", ["U0DANA001"])
    clock.shift(timedelta(seconds=50))
    assert await directory.members("slack_usergroup:S0614TZR7") == SECURITY_PEOPLE
    clock.shift(timedelta(seconds=15))
    assert await directory.members("slack_usergroup:S0614TZR7") == {"U0DANA001"}


async def test_sixteen_look_ups_at_the_same_moment_are_one_call(
    directory: SlackDirectory, sandbox: Sandbox
) -> None:
    found = await asyncio.gather(*(directory.members("slack_usergroup:S0614TZR7") for _ in range(16)))
    assert set(found) == {SECURITY_PEOPLE}
    assert calls(sandbox, "usergroups.users.list") == 1


@pytest.mark.parametrize("fault", ["rate_limited", "server_error", "drop_before", "outage"])
async def test_trouble_authorises_nobody_and_is_not_remembered(
    directory: SlackDirectory, sandbox: Sandbox, fault: str
) -> None:
    await sandbox.add_fault(fault, seconds=60)
    with pytest.raises(CannotVerify):
        await directory.person(SlackId("U0DANA001"))
    sandbox.faults.clear()
    assert await directory.person(SlackId("U0DANA001")) is not None


async def test_what_takes_too_long_authorises_nobody(directory: SlackDirectory, sandbox: Sandbox) -> None:
    await sandbox.add_fault("slow", delay=30)
    with lookup_budget(0.05), pytest.raises(CannotVerify):
        await directory.person(SlackId("U0DANA001"))


async def test_one_click_has_one_budget(
    directory: SlackDirectory, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    await sandbox.add_fault("slow", delay=30)
    ends, timeout_at = [], asyncio.timeout_at

    def noted(when: float | None) -> asyncio.Timeout:
        ends.append(when)
        return timeout_at(when)

    monkeypatch.setattr(asyncio, "timeout_at", noted)
    with lookup_budget(0.1):
        for look_up in (directory.home_team, lambda: directory.person(SlackId("U0DANA001"))):
            with pytest.raises(CannotVerify):
                await look_up()
    assert len(ends) == 2
    assert len(set(ends)) == 1, "the second look-up has what the first left"


async def test_a_posted_card_makes_its_first_click_free_of_look_ups(
    directory: SlackDirectory, sandbox: Sandbox
) -> None:
    request = make_request()
    assert request.requirement is not None
    await directory.prefetch(request)
    before = len(sandbox.traffic.after(0))
    for user in RELEASE.users or ():
        assert await directory.person(SlackId(user)) is not None
    await directory.home_team()
    assert len(sandbox.traffic.after(0)) == before
    assert SECURITY.users is None


async def test_prefetching_hides_trouble(directory: SlackDirectory, sandbox: Sandbox, tmp_path: Path) -> None:
    await sandbox.add_fault("outage")
    await directory.prefetch(make_request())
