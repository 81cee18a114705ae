"""How late deadlines are handled: a hundred fall due in each second, in a server that does nothing else.

The requests are stored before the server starts, with deadlines that begin once it is up. Lateness
is from a request's deadline to the time on the record of its end.
"""

import asyncio
import sqlite3
import time
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from benchmarks.machine import say
from benchmarks.product import AGENT, Keyturn, Template
from benchmarks.report import Section, Target
from benchmarks.rounds import percentile
from bot.core import lifecycle
from bot.core.lifecycle import Judged
from bot.core.models import Action, Agent, RequestId, Submission
from bot.core.policy import PolicySet
from bot.services.policies import load
from bot.store import Store
from bot.store.commands import CreateRequest
from bot.system import SystemClock, new_id

RATE = 100
"""Deadlines in a second."""

_LEAD = timedelta(seconds=30)
"""From the storing to the first deadline: the server starts in less."""

_AT_ONCE = 500
"""Changes that are given to the store together; it refuses more than wait in its queue."""


def lateness(directory: Path, template: Template, *, seconds: int) -> Section:
    """Deadlines at a steady rate for `seconds`, and how late each was handled."""
    place = template.copy(directory / "lateness")
    say(f"storing {RATE * seconds:,} requests with deadlines")
    due = asyncio.run(seed(place, RATE * seconds))
    with Keyturn(template, place) as server:
        say(f"{RATE} deadlines/s for {seconds} s")
        late = _late(server, due)
    p50, p99, worst = (percentile(late, share) for share in (0.5, 0.99, 1.0))
    return Section(
        title="Lateness",
        about="From a deadline to the time on the record of the decision that follows from it: found,"
        " judged, and in a transaction with its audit rows.",
        head=("deadlines", "p50 ms", "p99 ms", "worst ms"),
        rows=[[f"{len(late):,} at {RATE}/s", f"{p50:.1f}", f"{p99:.1f}", f"{worst:.1f}"]],
        targets=[Target(f"lateness p99 <= 100 ms at {RATE} deadlines/s", f"{p99:.1f} ms", p99 <= 100)],
    )


async def seed(directory: Path, count: int) -> dict[str, datetime]:
    """Store `count` requests, one deadline each hundredth of a second; the deadlines by id."""
    clock = SystemClock()
    policies = load(directory / "policies")
    async with Store.open(f"sqlite:///{directory / 'keyturn.db'}", clock=clock, synchronous="OFF") as store:
        agent = await store.reads.agent(AGENT)
        assert agent is not None, "the template has the agent"
        now = clock.now()
        made = [_created(policies, agent, now, _LEAD + timedelta(seconds=n / RATE)) for n in range(count)]
        for start in range(0, count, _AT_ONCE):
            await asyncio.gather(*(store.write(command) for command in made[start : start + _AT_ONCE]))
    requests = [command.transition.request for command in made]
    return {request.id: request.plan[-1].ends_at for request in requests}


def _created(policies: PolicySet, agent: Agent, now: datetime, timeout: timedelta) -> CreateRequest:
    action = Action("deployment", {"environment": "production", "version": "2026.1"})
    judgement = policies.judge(action, agent=agent.name)
    step = lifecycle.submit(
        Submission(action, "Ship it.", timeout=timeout),
        Judged(action, judgement.risk, judgement.ruling),
        id=RequestId(new_id("req")),
        agent=agent,
        now=now,
    )
    return CreateRequest(replace(step, outbox=()))


def _late(server: Keyturn, due: dict[str, datetime]) -> list[float]:
    """Milliseconds of each, once all are over; without those that were due before it was ready."""
    ready = datetime.now(UTC)
    last = max(due.values())
    while datetime.now(UTC) < last + timedelta(seconds=1) or _open(server.database):
        server.alive()
        time.sleep(0.2)
    with closing(sqlite3.connect(f"file:{server.database}?mode=ro", uri=True)) as file:
        decided = dict(file.execute("SELECT id, decided_at FROM request").fetchall())
    return [
        (decided[id] - at.timestamp() * 1_000_000) / 1000
        for id, at in due.items()
        if at > ready + timedelta(seconds=1)
    ]


def _open(database: Path) -> bool:
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as file:
        row = file.execute("SELECT 1 FROM request WHERE status = 'pending' LIMIT 1").fetchone()
        return row is not None
