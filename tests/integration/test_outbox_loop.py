"""The loop that sends: one row that breaks harms neither the others nor the process."""

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime
from pathlib import Path

import pytest

from bot.core.models import Actor, Event, Outgoing, Via
from bot.services import outbox as outbox_module
from bot.services.outbox import LEASE, Delivery, Outbox, Sent
from bot.store import Store
from bot.store.codec import moment
from bot.store.commands import CompleteOutbox, EnqueueOutbox, LeaseOutbox, OutboxItem
from bot.store.outbox import RenewLease
from bot.system import SystemClock
from tests.integration.slack_desk import ShiftedClock


class Sender:
    """Takes everything; what is told of it cannot be stored."""

    kinds = frozenset({"odd", "plain"})

    def __init__(self) -> None:
        self.sent: list[str] = []
        self.all_sent = asyncio.Event()

    async def send(self, item: OutboxItem) -> Delivery:
        self.sent.append(item.kind)
        if len(set(self.sent)) == len(self.kinds):
            self.all_sent.set()
        if item.kind == "plain":
            return Sent()
        event = Event("notification_sent", Actor.system("outbox"), Via.SCHEDULER, {"said": "\ud800"})
        return Sent(events=(event,))


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    async with Store.open(f"sqlite:///{tmp_path}/k.db", clock=SystemClock()) as store:
        yield store


async def test_what_cannot_be_recorded_is_put_off_and_the_loop_goes_on(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    sender, stop = Sender(), asyncio.Event()
    outbox = Outbox(store, SystemClock(), [sender])
    await outbox.enqueue(Outgoing("odd", {}, order="one"))
    async with asyncio.TaskGroup() as tasks, asyncio.timeout(30):
        loop = tasks.create_task(outbox.run(stop, lambda _name: None))
        await outbox.enqueue(Outgoing("plain", {}, order="other"))
        await sender.all_sent.wait()
        stop.set()
        await loop
    (row,) = await store.reads._all("SELECT kind, last_error FROM outbox WHERE done_at IS NULL", {})
    assert row["kind"] == "odd"
    assert "Error" in row["last_error"]
    assert "odd cannot be settled" in caplog.text


class Slow:
    """Takes longer than any lease; looks meanwhile whether its row is given to somebody else."""

    kinds = frozenset({"slow"})

    def __init__(self, store: Store, clock: ShiftedClock) -> None:
        self._store = store
        self._clock = clock
        self.taken: list[OutboxItem] = []

    async def send(self, item: OutboxItem) -> Delivery:
        until = item.lease_until
        for _ in range(3):
            self._clock.shift(LEASE * 0.8)
            until = await self._renewed(until)
            other = LeaseOutbox(self._clock.now(), 5, LEASE, self.kinds)
            self.taken += await self._store.write(other)
        return Sent()

    async def _renewed(self, until: datetime) -> datetime:
        """When the lease ends, once it ends later than that."""
        while True:
            [row] = await self._store.reads._all("SELECT lease_until FROM outbox", {})
            if (found := moment(row["lease_until"])) > until:
                return found


async def test_a_row_is_its_senders_for_as_long_as_the_sending_takes(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox_module, "_RENEW_EVERY", 0)
    clock = ShiftedClock()
    sender = Slow(store, clock)
    outbox = Outbox(store, clock, [sender])
    await outbox.enqueue(Outgoing("slow", {}, order="one"))
    async with asyncio.timeout(30):
        assert await outbox.run_once() == 1
    assert sender.taken == []
    [row] = await store.reads._all("SELECT attempts, done_at FROM outbox", {})
    assert row["attempts"] == 1
    assert row["done_at"] is not None


async def test_a_lease_that_another_sender_took_over_is_not_renewed(store: Store) -> None:
    clock = ShiftedClock()
    await store.write(EnqueueOutbox((Outgoing("slow", {}, order="one"),), clock.now()))
    [first] = await store.write(LeaseOutbox(clock.now(), 5, LEASE, Slow.kinds))
    assert await store.write(RenewLease(first.id, first.attempts, clock.now() + LEASE))
    clock.shift(2 * LEASE)
    [second] = await store.write(LeaseOutbox(clock.now(), 5, LEASE, Slow.kinds))
    assert not await store.write(RenewLease(first.id, first.attempts, clock.now() + 9 * LEASE))
    assert await store.write(RenewLease(second.id, second.attempts, clock.now() + LEASE))
    await store.write(CompleteOutbox(second.id, second.generation, clock.now()))
    assert not await store.write(RenewLease(second.id, second.attempts, clock.now() + LEASE))
