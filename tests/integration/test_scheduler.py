"""When the scheduler looks: never twice at once, never not at all, whatever the clock does."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from bot.core.errors import Unavailable
from bot.core.models import Outgoing
from bot.services.health import Health
from bot.services.scheduler import SWEEP, Scheduler
from bot.store import Store
from bot.store.commands import EnqueueOutbox
from bot.system import SystemClock
from tests.integration.slack_desk import ShiftedClock


class Passes:
    """A pass that can be held up, counted."""

    def __init__(self) -> None:
        self.begun = 0
        self.at_once = 0
        self.most_at_once = 0
        self.changed = asyncio.Event()
        self.free = asyncio.Event()
        self.free.set()

    async def __call__(self) -> None:
        self.begun += 1
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        self.changed.set()
        await self.free.wait()
        self.at_once -= 1

    async def until(self, number: int) -> None:
        """Until so many passes have begun."""
        async with asyncio.timeout(20):
            while self.begun < number:
                self.changed.clear()
                await self.changed.wait()


async def nothing() -> None:
    """A pass with nothing to do."""


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    async with Store.open(f"sqlite:///{tmp_path}/k.db", clock=SystemClock()) as store:
        yield store


async def test_a_deadline_that_falls_due_during_a_pass_is_looked_at_after_it(store: Store) -> None:
    passes, scheduler = Passes(), Scheduler(store, lambda _name: None, SystemClock())
    await scheduler.start(due=passes, notice=nothing, checkpoint=nothing, prune=nothing)
    try:
        await passes.until(1)
        passes.free.clear()
        scheduler.note(datetime.now(UTC))
        await passes.until(2)
        scheduler.note(datetime.now(UTC) - timedelta(seconds=1))
        scheduler.note(datetime.now(UTC) - timedelta(seconds=2))
        await asyncio.sleep(0)
        passes.free.set()
        await passes.until(3)
    finally:
        scheduler.stop()
    assert passes.most_at_once == 1


@pytest.mark.parametrize("step", [timedelta(hours=1), timedelta(hours=-1)])
async def test_a_step_of_the_clock_is_noticed_and_every_tick_set_anew(store: Store, step: timedelta) -> None:
    clock = ShiftedClock()
    passes, scheduler = Passes(), Scheduler(store, lambda _name: None, clock)
    stop = asyncio.Event()
    await store.write(EnqueueOutbox((Outgoing("slack.note", {}, order="lane"),), clock.now()))
    await scheduler.start(due=passes, notice=nothing, checkpoint=nothing, prune=nothing)
    await passes.until(1)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(scheduler.watch(stop, timedelta(milliseconds=20)))
        await asyncio.sleep(0)
        clock.shift(step)
        await passes.until(2)
        stop.set()
    waits = await store.reads.next_outbox_at()
    assert waits is not None
    assert waits <= clock.now(), "what was to be sent at once still is"
    swept_at = scheduler.next_at("sweep")
    assert swept_at is not None
    assert swept_at <= datetime.now(UTC) + SWEEP
    scheduler.stop()


class Failing(Passes):
    """A pass that fails the first time."""

    def __init__(self, trouble: Exception) -> None:
        super().__init__()
        self.trouble: Exception | None = trouble

    async def __call__(self) -> None:
        await super().__call__()
        trouble, self.trouble = self.trouble, None
        if trouble is not None:
            raise trouble


@pytest.mark.parametrize("trouble", [Unavailable(), ZeroDivisionError()])
async def test_a_pass_that_failed_is_tried_again_before_the_sweep(store: Store, trouble: Exception) -> None:
    passes, beaten = Failing(trouble), asyncio.Event()
    scheduler = Scheduler(store, lambda name: beaten.set() if name == "escalations" else None, SystemClock())
    await scheduler.start(due=passes, notice=nothing, checkpoint=nothing, prune=nothing)
    try:
        await passes.until(1)
        assert not beaten.is_set()
        scheduler.note(datetime.now(UTC))
        async with asyncio.timeout(SWEEP.total_seconds() / 2):
            await beaten.wait()
    finally:
        scheduler.stop()
    assert passes.begun == 2


async def test_pruning_is_nobodys_pulse(
    store: Store, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    clock = SystemClock()
    health = Health(clock, {"escalations": SWEEP, "notice": SWEEP})
    scheduler, pruned = Scheduler(store, health.beat, clock), Passes()
    monkeypatch.setattr("bot.services.scheduler._HOURLY", timedelta(milliseconds=1))
    await scheduler.start(due=nothing, notice=nothing, checkpoint=nothing, prune=pruned)
    try:
        await pruned.until(1)
        await asyncio.sleep(0)
    finally:
        scheduler.stop()
    assert "broke" not in caplog.text, "nobody watches the pulse of pruning"
