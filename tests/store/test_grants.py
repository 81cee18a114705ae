"""Grants on disk: used no more often than they allow, and revoked with all that nobody has claimed."""

import asyncio
from datetime import timedelta

import pytest

from bot.core.audited import audited_state
from bot.core.chain import verify
from bot.core.models import Actor, Via
from bot.core.replay import replay
from bot.store.commands import CreateRequest, SaveTransition
from bot.store.grants import CreateGrant
from bot.store.revoking import RevokeGrant
from tests.factories import NOON, make_grant
from tests.store.histories import claimed, granted_at_once, submitted

OPERATOR = Actor.system("cli")


@pytest.fixture
async def given(store):
    await store.write(CreateRequest(submitted(1)))
    await store.write(CreateGrant(make_grant()))
    return store


async def names(store):
    return [event.event for event in await store.reads.audit_page(limit=100)]


async def test_a_grant_is_read_as_it_was_written(given):
    assert await given.reads.grant("grant_1") == make_grant()
    assert await given.reads.live_grants("builder", "database_modify", "default", NOON) == [make_grant()]
    for agent, kind, rule, at in (
        ("other", "database_modify", "default", NOON),
        ("builder", "file_write", "default", NOON),
        ("builder", "database_modify", "other", NOON),
        ("builder", "database_modify", "default", NOON + timedelta(hours=1)),
    ):
        assert await given.reads.live_grants(agent, kind, rule, at) == []
    assert (await names(given))[0] == "grant_created"


async def test_requests_of_the_same_moment_use_a_grant_no_more_often_than_it_allows(given):
    commands = [CreateRequest(granted_at_once(number), grant="grant_1") for number in range(2, 12)]
    done = await asyncio.gather(*(given.write(command) for command in commands))

    assert sum(created.created for created in done) == 3
    assert sum(created.over_limit for created in done) == 7
    assert (await given.reads.grant("grant_1")).used == 3
    assert await given.reads.live_grants("builder", "database_modify", "default", NOON) == []
    assert (await names(given)).count("grant_used") == 3


async def test_a_grant_that_has_ended_approves_nothing(given):
    late = await given.write(
        CreateRequest(granted_at_once(2, now=NOON + timedelta(hours=1)), grant="grant_1")
    )
    await given.write(RevokeGrant("grant_1", OPERATOR, Via.CLI, NOON))
    revoked = await given.write(CreateRequest(granted_at_once(3), grant="grant_1"))

    assert (late.over_limit, revoked.over_limit) == (True, True)
    assert await given.reads.request(late.request_id) is None


async def test_revoking_ends_what_nobody_has_claimed_and_leaves_the_rest(given):
    steps = [granted_at_once(number) for number in (2, 3)]
    for step in steps:
        await given.write(CreateRequest(step, grant="grant_1"))
    taken, waiting = (step.request for step in steps)
    assert await given.write(SaveTransition(claimed(taken)))
    now = NOON + timedelta(minutes=5)

    assert await given.write(RevokeGrant("grant_1", OPERATOR, Via.CLI, now)) == [waiting.id]
    assert await given.write(RevokeGrant("grant_1", OPERATOR, Via.CLI, now)) is None
    assert await given.write(RevokeGrant("grant_9", OPERATOR, Via.CLI, now)) is None
    after = await given.reads.request(waiting.id)
    assert after.decision.expires_at == now
    assert (await given.reads.request(taken.id)).decision.expires_at > now
    assert (await given.reads.grant("grant_1")).revoked_at == now
    events = await given.reads.events(waiting.id)
    assert events[-1].event == "grant_revoked"
    assert replay(event.body for event in events) == audited_state(after)
    assert verify(await given.reads.links(0)) is None
