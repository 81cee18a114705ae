"""Any history of the outbox: one at a time, oldest first, at its pace, and in the end all of it."""

import random
from datetime import timedelta

import pytest

from bot.core.models import Outgoing
from bot.store.commands import (
    CompleteOutbox,
    EnqueueOutbox,
    FailOutbox,
    LeaseOutbox,
    PaceKey,
    RetryOutbox,
)
from tests.factories import NOON

LEASE = timedelta(seconds=30)
PACE = timedelta(seconds=1)
LANES = ("a", "b", "c")


class Model:
    """What a person would expect of three lanes."""

    def __init__(self, chance):
        self.chance = chance
        self.now = NOON
        self.waiting = {lane: [] for lane in LANES}  # texts or coalesce keys, oldest first
        self.held = {}  # lane -> (item, end of its lease)
        self.shut = dict.fromkeys(LANES, NOON)
        self.put_off = {}  # name -> when it may be tried again
        self.count = 0

    def put(self):
        lane = self.chance.choice(LANES)
        self.count += 1
        key = f"{lane}:{self.chance.randrange(2)}" if self.chance.random() < 0.4 else None
        name = key or f"{lane}#{self.count}"
        if name not in self.waiting[lane]:
            self.waiting[lane].append(name)
        self.put_off.pop(name, None)
        kind = "slack.post.test" if lane == "a" else "note"
        work = Outgoing(kind, {"name": name, "turn": self.count}, order=lane, coalesce=key)
        return EnqueueOutbox((work,), self.now)

    def lease(self):
        return LeaseOutbox(
            self.now,
            self.chance.choice((1, 10)),
            LEASE,
            ("note", "slack.post.test"),
            pace=PACE,
            paced=frozenset({"slack.post.test"}),
        )

    def leased(self, item):
        lane = item.order_key
        assert item.payload["name"] == self.waiting[lane][0], "the oldest of its lane"
        assert lane not in self.held or self.held[lane][1] <= self.now, "nobody else holds the lane"
        assert self.now >= self.shut[lane], "the lane is open"
        assert self.now >= self.put_off.get(item.payload["name"], self.now), "it is not put off"
        assert item.unclear or lane not in self.held, "a lease that ran out leaves a doubt"
        self.held[lane] = (item, self.now + LEASE)
        if lane == "a":
            self.shut[lane] = self.now + PACE

    def end(self):
        lane = self.chance.choice(sorted(self.held))
        item, _ = self.held.pop(lane)
        ending = self.chance.choice(("done", "done", "retry", "fail"))
        if ending == "retry":
            wait = timedelta(seconds=self.chance.randrange(20))
            self.put_off[item.payload["name"]] = self.now + wait
            return item, RetryOutbox(item.id, self.now, self.now + wait, "no", self.chance.random() < 0.3)
        if ending == "fail":
            self.waiting[lane].pop(0)
            return item, FailOutbox(item.id, self.now, "gone")
        return item, CompleteOutbox(item.id, item.generation, self.now)


@pytest.mark.parametrize("seed", range(12))
async def test_lanes_keep_their_promises_whatever_happens(store, seed):
    model = Model(random.Random(seed))
    asked = {}  # name -> the last turn in which it was asked for
    for _ in range(150):
        await _something_happens(store, model, asked)
    while (await store.reads.counts()).unsent:
        next_at = await store.reads.next_outbox_at()
        assert next_at is not None, "what waits is looked at some time"
        model.now = max(model.now, next_at)
        for item in await store.write(model.lease()):
            model.leased(item)
            await _complete(store, model, asked, item)
    assert await store.reads.next_outbox_at() is None
    assert not any(model.waiting.values())


async def _something_happens(store, model, asked):
    model.now += timedelta(seconds=model.chance.choice((0, 0, 1, 5, 31)))
    what = model.chance.choice(("put", "put", "lease", "lease", "end", "shut"))
    if what == "put":
        command = model.put()
        await store.write(command)
        asked[command.outgoing[0].payload["name"]] = model.count
    elif what == "lease":
        for item in await store.write(model.lease()):
            model.leased(item)
    elif what == "shut":
        lane = model.chance.choice(LANES)
        model.shut[lane] = max(model.shut[lane], model.now + timedelta(seconds=3))
        await store.write(PaceKey(lane, model.now + timedelta(seconds=3)))
    elif model.held:
        item, command = model.end()
        if isinstance(command, CompleteOutbox):
            await _complete(store, model, asked, item)
        else:
            await store.write(command)


async def _complete(store, model, asked, item):
    """Done, unless it was asked for again while it was sent."""
    lane, name = item.order_key, item.payload["name"]
    model.held.pop(lane, None)
    if asked[name] == item.payload["turn"]:
        model.waiting[lane].pop(0)
    await store.write(CompleteOutbox(item.id, item.generation, model.now))
