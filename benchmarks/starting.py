"""How long Keyturn takes to be ready when much is pending, or overdue.

The requests are stored by the store's own commands, judged by the same policy as everywhere. Their
cards count as sent, since it is the start that is measured and not the outbox.
"""

import asyncio
import sqlite3
import time
from contextlib import closing
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

from benchmarks.machine import say
from benchmarks.product import AGENT, Keyturn, Template
from benchmarks.report import Section, Target
from bot.core import lifecycle
from bot.core.lifecycle import Judged
from bot.core.models import Action, Agent, RequestId, Submission
from bot.core.policy import PolicySet
from bot.services.policies import load
from bot.store import Store
from bot.store.commands import CreateRequest
from bot.system import SystemClock, new_id

OVERDUE_FOR = timedelta(hours=12)
"""How long ago overdue requests were made; the policy gives them six hours."""
_AT_ONCE = 500


def starting(directory: Path, template: Template, *, pending: int, overdue: int) -> Section:
    """An empty store, one full of pending requests, and one in which as many as `overdue` are due."""
    empty = _start(template, template.copy(directory / "empty"))
    full_place = template.copy(directory / "pending")
    say(f"storing {pending:,} pending requests")
    asyncio.run(seed(full_place, pending, age=timedelta(0)))
    full = _start(template, full_place)
    due_place = template.copy(directory / "overdue")
    say(f"storing {overdue:,} overdue requests")
    asyncio.run(seed(due_place, overdue, age=OVERDUE_FOR))
    due, handled = _handle(template, due_place)
    return Section(
        title="Start",
        about="From the line `listening` to a readiness probe that answers 200, and the time before that:"
        " the interpreter, the imports and the opening of the database. Overdue requests time out, each"
        " with its audit rows; it is ready once all of them have.",
        head=("stored", "process to listening ms", "listening to ready ms", "handled after ms"),
        rows=[
            ["nothing", f"{empty[0]:.0f}", f"{empty[1]:.0f}", ""],
            [f"{pending:,} pending", f"{full[0]:.0f}", f"{full[1]:.0f}", ""],
            [f"{overdue:,} overdue", f"{due[0]:.0f}", f"{due[1]:.0f}", f"{handled:.0f}"],
        ],
        targets=[
            Target(f"ready <= 1 s with {pending:,} pending", f"{full[1]:.0f} ms", full[1] <= 1000),
            Target(f"{overdue:,} overdue handled <= 5 s", f"{handled:.0f} ms", handled <= 5000),
        ],
        notes=[]
        if (pending, overdue) == (100_000, 10_000)
        else ["The promises are for 100,000 pending and 10,000 overdue"],
    )


async def seed(directory: Path, count: int, *, age: timedelta) -> None:
    """Store `count` pending requests that were made `age` ago."""
    clock = SystemClock()
    policies = load(directory / "policies")
    url = f"sqlite:///{directory / 'keyturn.db'}"
    async with Store.open(url, clock=clock, synchronous="OFF") as store:
        agent = await store.reads.agent(AGENT)
        assert agent is not None, "the template has the agent"
        made = clock.now() - age
        for start in range(0, count, _AT_ONCE):
            some = range(start, min(start + _AT_ONCE, count))
            await asyncio.gather(*(store.write(_created(policies, agent, n, made)) for n in some))


def _created(policies: PolicySet, agent: Agent, number: int, made: datetime) -> CreateRequest:
    action = Action("deployment", {"environment": "production", "version": f"2026.{number}"})
    judgement = policies.judge(action, agent=agent.name)
    step = lifecycle.submit(
        Submission(action, "Ship it."),
        Judged(action, judgement.risk, judgement.ruling),
        id=RequestId(new_id("req")),
        agent=agent,
        now=made + timedelta(milliseconds=number % 1000),
    )
    return CreateRequest(replace(step, outbox=()))


def _start(template: Template, place: Path) -> tuple[float, float]:
    with Keyturn(template, place) as server:
        say(f"{place.name}: ready {server.ready_ms:.0f} ms after listening")
        return server.open_ms, server.ready_ms


def _handle(template: Template, place: Path) -> tuple[tuple[float, float], float]:
    """The start, and how long after `listening` no request was pending any more."""
    with Keyturn(template, place, ready=False) as server:
        while _pending(server.database):
            server.alive()
            time.sleep(0.02)
        handled = (time.perf_counter() - server.listening_at) * 1000
        server.await_ready()
        say(f"{place.name}: ready {server.ready_ms:.0f} ms after listening, handled after {handled:.0f} ms")
        return (server.open_ms, server.ready_ms), handled


def _pending(database: Path) -> int:
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as file:
        count: int = file.execute("SELECT count(*) FROM request WHERE status = 'pending'").fetchone()[0]
        return count
