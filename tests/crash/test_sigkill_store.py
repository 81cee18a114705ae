"""kill -9 in the middle of writes: what was acknowledged is there, and nothing is there by half."""

import random
import subprocess
import sys

import pytest

from bot.core.audited import audited_state
from bot.core.chain import verify
from bot.core.models import Status
from bot.core.replay import replay
from bot.store import Store
from tests.store.conftest import HandClock

WRITER = """
import asyncio, sys
from bot.store import Store
from bot.store.commands import CompleteOutbox, CreateRequest, LeaseOutbox, SaveTransition
from datetime import timedelta
from tests.store.conftest import HandClock
from tests.store.histories import approved, submitted
from tests.factories import NOON

async def client(store, place):
    for turn in range(100_000):
        number = (place << 24) + (int(sys.argv[2]) << 16) + turn
        step = submitted(number, session_id=f"run{place}")
        await store.write(CreateRequest(step))
        print("created", step.request.id, flush=True)
        step = approved(step.request)
        if await store.write(SaveTransition(step)):
            print("approved", step.request.id, flush=True)

async def sender(store):
    while True:
        items = await store.write(
            LeaseOutbox(NOON, 10, timedelta(seconds=30), ("slack.post",), pace=timedelta(0)))
        for item in items:
            await store.write(CompleteOutbox(item.id, item.generation, NOON))
            print("sent", item.id, flush=True)

async def main():
    async with Store.open(sys.argv[1], clock=HandClock()) as store, asyncio.TaskGroup() as tasks:
        tasks.create_task(sender(store))
        for place in range(16):
            tasks.create_task(client(store, place))

asyncio.run(main())
"""


def killed_after(url, turn, lines):
    """What a writer acknowledged before it was killed, about `lines` lines in."""
    process = subprocess.Popen(
        [sys.executable, "-c", WRITER, url, str(turn)], stdout=subprocess.PIPE, text=True
    )
    said = [process.stdout.readline() for _ in range(lines)]
    process.kill()
    said += process.communicate()[0].splitlines(keepends=True)
    return [tuple(line.split()) for line in said if line.endswith("\n")]


@pytest.mark.parametrize("turn", range(2))
async def test_nothing_acknowledged_is_lost_and_nothing_is_half_written(tmp_path, turn):
    url = f"sqlite:///{tmp_path}/keyturn.db"
    chance = random.Random(turn)
    acknowledged = []
    for kill in range(3):
        acknowledged += killed_after(url, kill, chance.randrange(20, 600))
        await check(url, acknowledged)
    assert len(acknowledged) > 60


async def check(url, acknowledged):
    async with Store.open(url, clock=HandClock()) as store:
        assert verify(await store.reads.links(0, limit=1_000_000)) is None
        head = await store.reads.chain_head()
        assert [event.seq for event in await store.reads.audit_page(limit=1)] == [head.seq]

        requests, _ = await store.reads.requests(limit=1_000_000)
        events = {}
        for event in reversed(await store.reads.audit_page(limit=1_000_000)):
            events.setdefault(event.request_id, []).append(event)
        for request in requests:
            assert replay(event.body for event in events[request.id]) == audited_state(request)
            assert len(await store.reads.cards(request.id)) == 1

        present = {request.id: request for request in requests}
        for word, id in acknowledged:
            assert word == "sent" or id in present
            assert word != "approved" or present[id].status is Status.APPROVED
        assert set(events) - {None} == set(present)
