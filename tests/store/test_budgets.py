"""Limits and rejections on disk: counted exactly, in their window, and safe from one another."""

import asyncio
import re
from datetime import timedelta
from decimal import Decimal

import pytest

from bot.core.models import Charge, Used
from bot.store import budgets, reads
from bot.store.commands import CreateRequest, Idempotency, SaveTransition
from bot.store.dialect import driver
from tests.factories import ANA, NOON
from tests.store.histories import blocked_at_once, decided_at_once, rejected, submitted

DAY = timedelta(days=1)
NOTHING = Used(0, Decimal(0))


def charge(amount="1", *, agent="builder", most=None, most_amount="100", limit="p/daily"):
    return Charge(
        limit, agent, DAY, None if amount is None else Decimal(amount), most,
        None if most_amount is None else Decimal(most_amount),
    )  # fmt: skip


def approval(number=1, now=NOON, agent="builder"):
    return decided_at_once(number, now=now, agent=agent)


async def test_what_was_spent_is_summed_exactly_and_rounded_up_beyond_a_millionth(store):
    for number, amount in enumerate(["0.1", "0.2", "33.3333333333"], 1):
        command = CreateRequest(approval(number), charges=(charge(amount),))
        assert (await store.write(command)).created

    used = await store.reads.used(charge(), NOON)
    assert used == Used(3, Decimal("33.633334"))


async def test_a_window_rolls(store):
    await store.write(CreateRequest(approval(1), charges=(charge("60"),)))
    late = NOON + DAY - timedelta(microseconds=1)

    assert (await store.reads.used(charge(), late)).amount == 60
    assert await store.reads.used(charge(), NOON + DAY) == NOTHING


async def test_each_agent_has_a_limit_of_its_own_unless_it_is_across_agents(store):
    await store.write(CreateRequest(approval(1), charges=(charge("60"),)))
    await store.write(CreateRequest(approval(2, agent="other"), charges=(charge("30", agent="other"),)))

    assert (await store.reads.used(charge(), NOON)).amount == 60
    assert (await store.reads.used(charge(agent="other"), NOON)).amount == 30
    assert await store.reads.used(charge(agent=None), NOON) == Used(2, Decimal(90))
    assert await store.reads.used(charge(limit="p/other"), NOON) == NOTHING


@pytest.mark.parametrize(
    "limit", [charge(None, most=3, most_amount=None), charge("30"), charge("25", most=3)]
)
async def test_requests_of_the_same_moment_cannot_slip_under_a_limit_together(store, limit):
    commands = [CreateRequest(approval(number), charges=(limit,)) for number in range(20)]
    done = await asyncio.gather(*(store.write(command) for command in commands))

    assert sum(created.created for created in done) == 3
    assert sum(created.over_limit for created in done) == 17
    assert (await store.reads.used(limit, NOON)).count == 3
    stored = [c.transition.request.id for c, d in zip(commands, done, strict=True) if d.created]
    for command in commands:
        request = await store.reads.request(command.transition.request.id)
        assert (request is not None) is (command.transition.request.id in stored)


async def test_over_a_limit_nothing_is_left_behind_and_the_key_stays_free(store):
    key = Idempotency("builder", "request", "k1", "sha256:a")
    before = await store.reads.chain_head()
    refused = await store.write(CreateRequest(approval(1), key, charges=(charge("101"),)))

    assert (refused.created, refused.over_limit) == (False, True)
    assert await store.reads.chain_head() == before
    assert (await store.write(CreateRequest(submitted(2), key))).created


async def test_a_repeated_call_is_answered_without_being_counted_again(store):
    key = Idempotency("builder", "request", "k1", "sha256:a")
    first = await store.write(CreateRequest(approval(1), key, charges=(charge("60"),)))
    again = await store.write(CreateRequest(approval(2), key, charges=(charge("60"),)))

    assert (again.request_id, again.created, again.over_limit) == (first.request_id, False, False)
    assert await store.reads.used(charge(), NOON) == Used(1, Decimal(60))


async def test_rejections_by_people_are_counted_by_agent_and_by_action(store):
    for number, agent in enumerate(["builder", "builder", "other", "other", "other"], 1):
        step = submitted(number, agent=agent)
        await store.write(CreateRequest(step))
        await store.write(SaveTransition(rejected(step.request, who=ANA)))
    blocked = blocked_at_once(9)
    await store.write(CreateRequest(blocked))
    since = NOON - timedelta(seconds=1)

    digest = blocked.request.digest
    assert await store.reads.rejections("builder", "sha256:none", since) == 2
    assert await store.reads.rejections("builder", digest, since) == 5
    assert await store.reads.rejections("nobody", "sha256:none", since) == 0
    assert await store.reads.rejections("builder", digest, NOON + DAY) == 0


@pytest.mark.parametrize(
    ("sql", "indexes"),
    [
        (budgets.query(charge(agent=None), NOON)[0], {"ix_spend_budget"}),
        (budgets.query(charge(), NOON)[0], {"ix_spend_agent"}),
        (reads._REJECTIONS, {"ix_request_rejected_agent", "ix_request_rejected_digest"}),
    ],
)
async def test_history_is_read_from_an_index(store, url, sql, indexes):
    """Of the very statements, by SEARCH: a SCAN of the whole index would slow down with every request."""
    raw = driver.connect(url.removeprefix("sqlite:///"))
    told = dict.fromkeys(re.findall(r":(\w+)", sql), 1)
    steps = [row[3] for row in raw.execute(f"EXPLAIN QUERY PLAN {sql}", told)]
    raw.close()
    touching = [step for step in steps if re.search(r"\b(request|spend)\b", step)]
    assert all(step.startswith("SEARCH") for step in touching), steps
    assert {index for step in touching for index in re.findall(r"ix_\w+", step)} == indexes
