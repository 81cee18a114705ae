"""The loop that sends: one row that breaks harms neither the others nor the process."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bot.core.models import Actor, Event, Outgoing, Via
from bot.services.outbox import Delivery, Outbox, Sent
from bot.store import Store
from bot.store.commands import OutboxItem
from bot.system import SystemClock


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
