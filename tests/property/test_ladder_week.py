"""A simulated week: many requests, two claimants that die now and then, and people who decide.

Time is the test's own. Whatever happens, every hop of every request is taken exactly once and in
order, and nothing follows a decision.
"""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from bot.core import lifecycle, reviewing
from bot.core.clock import Clock
from bot.core.models import ApproverSet, Remind, RequestId, SlackId, Status
from bot.services.asking import Asking
from bot.services.escalations import Escalations
from bot.store import Store
from bot.store.audit_reads import AuditEvent
from bot.store.commands import CreateRequest, SaveTransition
from tests.factories import NOON, make_agent, make_given, make_judged, make_rule, make_submission

REQUESTS = 2000
WEEK = timedelta(days=7)
STEP = timedelta(hours=1)
REMINDERS = Remind(timedelta(minutes=7), 3)


class HandClock:
    """Moves when it is told to."""

    def __init__(self) -> None:
        self.at = NOON

    def now(self) -> Any:
        """The present."""
        return self.at


class Killed(Exception):
    """The claimant's process is gone."""


class Mortal:
    """A store that a claimant loses now and then, before a write is made or before it hears of it."""

    def __init__(self, store: Store, dice: random.Random) -> None:
        self.reads = store.reads
        self._store = store
        self._dice = dice

    async def write(self, command: Any) -> Any:
        """Write; or die."""
        fate = self._dice.random()
        if fate < 0.002:
            raise Killed
        result = await self._store.write(command)
        if fate > 0.998:
            raise Killed
        return result


class Nobody(Asking):
    """Names people without asking Slack: every name is its own id."""

    def __init__(self) -> None:
        pass

    @property
    def admin_channel(self) -> str | None:
        """None."""
        return None

    async def resolve(self, names: Any) -> dict[str, tuple[SlackId, ...]]:
        """Everybody is who they are."""
        return {name: (SlackId(name),) for name in names}


def claimant(store: Store, clock: Clock, dice: random.Random, lateness: list[timedelta]) -> Escalations:
    mortal: Any = Mortal(store, dice)
    return Escalations(mortal, Nobody(), clock, lateness.append)


async def make(store: Store, clock: HandClock, number: int, dice: random.Random) -> RequestId:
    rules = [
        make_rule(
            f"level-{rung}",
            after=timedelta(minutes=dice.randint(1, 240)),
            wait=timedelta(minutes=dice.randint(1, 90)),
            escalate_to=ApproverSet("manager", "users", (SlackId("U0DANA001"),)),
        )
        for rung in range(dice.randint(0, 3))
    ]
    remind = REMINDERS if dice.random() < 0.3 else None
    step = lifecycle.submit(
        make_submission(),
        make_judged(ladder=tuple(rules), remind=remind),
        id=RequestId(f"req_{number:032x}"),
        agent=make_agent(),
        now=clock.now(),
    )
    await store.write(CreateRequest(replace(step, outbox=())))
    return step.request.id


async def decide(store: Store, clock: HandClock, request_id: RequestId) -> None:
    """Somebody approves, if it is still open; a click after the end would only find that it is over."""
    request = await store.reads.request(request_id)
    if request is None or request.status is not Status.PENDING or clock.now() >= request.plan[-1].ends_at:
        return
    step = reviewing.approve(request, make_given(request), now=clock.now())
    await store.write(SaveTransition(step))


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    async with Store.open(f"sqlite:///{tmp_path}/k.db", clock=HandClock(), synchronous="OFF") as store:
        yield store


async def live_through(store: Store, dice: random.Random) -> tuple[list[RequestId], int]:
    """A week; the requests that were made, and how often a claimant died."""
    clock, lateness, killed = HandClock(), list[timedelta](), 0
    claimants = [claimant(store, clock, dice, lateness) for _ in range(2)]
    ids: list[RequestId] = []
    end = NOON + WEEK
    while clock.at < end or await store.reads.next_deadline() is not None:
        while clock.at < end and len(ids) < REQUESTS * ((clock.at - NOON) / WEEK):
            ids.append(await make(store, clock, len(ids), dice))
        for request_id in dice.sample(ids, min(len(ids), 3)):
            await decide(store, clock, request_id)
        passes = await asyncio.gather(*(one.run_once() for one in claimants), return_exceptions=True)
        for place, outcome in enumerate(passes):
            if isinstance(outcome, BaseException):
                assert isinstance(outcome, Killed), outcome
                killed += 1
                claimants[place] = claimant(store, clock, dice, lateness)
        clock.at += STEP * dice.random()
    return ids, killed


def check(events: list[AuditEvent], status: Status, levels: int) -> None:
    names = [event.event for event in events]
    hops = [event.body["after"]["level"] for event in events if event.event == "escalation_triggered"]
    assert hops == list(range(1, len(hops) + 1)), "each level opens once, in order"
    decisions = [name for name in names if name in lifecycle.DECIDED_EVENTS.values()]
    assert len(decisions) == 1
    assert names[-1] == decisions[0], "nothing follows a decision"
    if status is Status.TIMED_OUT:
        assert len(hops) == levels, "no level is left out"
    level, reminded = 0, Counter[tuple[int, int]]()
    for event in events:
        if event.event == "escalation_triggered":
            level = event.body["after"]["level"]
        elif event.event == "reminder_sent":
            reminded[level, event.body["number"]] += 1
    assert all(count == 1 for count in reminded.values())
    assert all(number <= REMINDERS.times for _, number in reminded)


@pytest.mark.parametrize("seed", [1])
async def test_every_hop_of_a_week_is_taken_once_and_none_after_a_decision(store: Store, seed: int) -> None:
    ids, killed = await live_through(store, random.Random(seed))
    assert killed > 0, "nobody died, so nothing was tried"
    statuses = Counter[Status]()
    for request_id in ids:
        request = await store.reads.request(request_id)
        assert request is not None
        statuses[request.status] += 1
        check(await store.reads.events(request_id), request.status, len(request.plan) - 1)
    assert set(statuses) == {Status.APPROVED, Status.TIMED_OUT}
