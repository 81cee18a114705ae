"""Deadlines fire with no traffic, after downtime, and waiters hear what other processes changed."""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from bot.core import lifecycle
from bot.core.errors import Unauthorized
from bot.core.models import Actor, Cause, Event, RequestId, Status, Via
from bot.sandbox import Sandbox, running_sandbox
from bot.services.agents import Agents, token_hash
from bot.services.pauses import Pauses
from bot.services.waiting import Waiters
from bot.store import Committed, Store
from bot.store.commands import AddAgent, CreateRequest, RecordEvents, RevokeAgent, SaveTransition
from bot.system import SystemClock, new_token
from tests.factories import make_agent, make_judged, make_submission
from tests.integration.slack_desk import ShiftedClock, crowded_workspace, running_bot, running_desk


async def test_a_deadline_fires_without_traffic(tmp_path: Path) -> None:
    async with running_desk(tmp_path) as desk:
        request = await desk.ask(timeout=timedelta(milliseconds=200))
        events = await desk.until_audited(request, "escalation_triggered")
    assert events[0]["after"]["level"] == 1


class Deaf:
    """A store whose commits are another process's: nobody here is told of them."""

    def __init__(self, store: Store) -> None:
        self.reads = store.reads

    def on_commit(self, listener: Callable[..., None]) -> None:
        """Tell nobody."""


async def stored(store: Store, now: datetime) -> RequestId:
    step = lifecycle.submit(
        make_submission(), make_judged(), id=RequestId("req_" + "1" * 32), agent=make_agent(), now=now
    )
    await store.write(CreateRequest(step))
    return step.request.id


async def test_the_first_sweep_finds_what_changed_after_the_waiter_had_read(tmp_path: Path) -> None:
    clock = SystemClock()
    async with Store.open(f"sqlite:///{tmp_path}/k.db", clock=clock) as store:
        waiters = Waiters(Deaf(store))  # type: ignore[arg-type]  # the two methods that waiters use
        request_id = await stored(store, clock.now())
        request = await store.reads.request(request_id)
        assert request is not None
        with waiters.waiting(request_id) as changed:
            step = lifecycle.time_out(request, cause=Cause.TIMEOUT, reason="late", now=clock.now())
            assert await store.write(SaveTransition(step))
            await waiters.sweep()
            assert changed.is_set()


async def test_a_sweep_wakes_those_whose_request_another_process_changed(tmp_path: Path) -> None:
    clock = SystemClock()
    async with Store.open(f"sqlite:///{tmp_path}/k.db", clock=clock) as store:
        waiters = Waiters(Deaf(store))  # type: ignore[arg-type]  # the two methods that waiters use
        request_id = await stored(store, clock.now())
        await waiters.sweep()
        with waiters.waiting(request_id) as changed:
            await waiters.sweep()
            assert not changed.is_set(), "nothing has changed yet"
            request = await store.reads.request(request_id)
            assert request is not None
            step = lifecycle.time_out(request, cause=Cause.TIMEOUT, reason="late", now=clock.now())
            assert await store.write(SaveTransition(step))
            await waiters.sweep()
            assert changed.is_set()
        assert len(waiters) == 0


async def test_a_sweep_wakes_everybody_when_another_process_paused_or_resumed_something(
    tmp_path: Path,
) -> None:
    clock = SystemClock()
    async with Store.open(f"sqlite:///{tmp_path}/k.db", clock=clock) as store:
        waiters, others = Waiters(Deaf(store)), Pauses(store, clock)  # type: ignore[arg-type]  # as above
        await others.pause("all", reason="before anybody waited", cancel=False)
        request_id = await stored(store, clock.now())
        await waiters.sweep()
        with waiters.waiting(request_id) as changed:
            await waiters.sweep()
            assert not changed.is_set(), "nothing has changed yet"
            await others.resume("all")
            await waiters.sweep()
            assert changed.is_set()
            changed.clear()
            await waiters.sweep()
            assert not changed.is_set(), "it was told once"


class Overheard(Deaf):
    """A store of which a process hears what it writes itself, and at first only every other commit."""

    def __init__(self, store: Store) -> None:
        super().__init__(store)
        self._store = store
        self._heard = False

    def on_commit(self, listener: Callable[[Sequence[Committed]], None]) -> None:
        """Tell of the second commit, of the fourth and so on."""

        def hear(rows: Sequence[Committed]) -> None:
            if self._heard:
                listener(rows)
            self._heard = not self._heard

        self._store.on_commit(hear)


async def test_a_sweep_finds_what_others_changed_between_two_writes_of_this_process(tmp_path: Path) -> None:
    clock = SystemClock()
    async with Store.open(f"sqlite:///{tmp_path}/k.db", clock=clock) as store:
        waiters = Waiters(Overheard(store))  # type: ignore[arg-type]  # the two methods that waiters use
        request_id = await stored(store, clock.now())
        await waiters.sweep()
        await store.write(RecordEvents((event_of_nobody(),), clock.now()))
        with waiters.waiting(request_id) as changed:
            request = await store.reads.request(request_id)
            assert request is not None
            step = lifecycle.time_out(request, cause=Cause.TIMEOUT, reason="late", now=clock.now())
            assert await store.write(SaveTransition(step))
            await store.write(RecordEvents((event_of_nobody(),), clock.now()))
            assert not changed.is_set(), "its own writes are about nobody"
            await waiters.sweep()
            assert changed.is_set()


def event_of_nobody() -> Event:
    return Event("policies_loaded", Actor.system("test"), Via.SCHEDULER, {})


async def test_a_sweep_reads_nothing_that_this_process_wrote(tmp_path: Path) -> None:
    clock = SystemClock()
    async with Store.open(f"sqlite:///{tmp_path}/k.db", clock=clock) as store:
        waiters = Waiters(store)
        await waiters.sweep()
        request_id = await stored(store, clock.now())
        with waiters.waiting(request_id) as changed:
            await waiters.sweep()
            assert not changed.is_set()


async def test_what_fell_due_while_nobody_looked_happens_once_at_the_next_start(tmp_path: Path) -> None:
    clock = ShiftedClock()
    async with running_sandbox(workspace=crowded_workspace()) as slack:
        async with running_bot(slack, tmp_path, clock=clock) as desk:
            request = await desk.ask()
        clock.shift(timedelta(hours=3))
        await happened_once(slack, tmp_path, clock, request.id)


async def happened_once(slack: Sandbox, directory: Path, clock: ShiftedClock, request_id: RequestId) -> None:
    async with running_bot(slack, directory, clock=clock) as desk:
        ended = await desk.decided(request_id)
        assert (ended.status, ended.cause) == (Status.TIMED_OUT, Cause.TIMEOUT)
        events = [event.event for event in await desk.bot.store.reads.events(request_id)]
        assert events.count("escalation_triggered") == 1
        assert events.count("action_timed_out") == 1


async def test_a_token_that_another_process_revoked_creates_nothing_more(tmp_path: Path) -> None:
    clock = SystemClock()
    async with Store.open(f"sqlite:///{tmp_path}/k.db", clock=clock) as store:
        agents = Agents(Deaf(store), clock, new_token, b"key")  # type: ignore[arg-type]  # deaf to commits
        agent = make_agent(owner=None)
        await store.write(AddAgent(agent, token_hash("kt_known"), Via.CLI, clock.now()))
        known = await agents.authenticate("kt_known")
        await store.write(RevokeAgent(agent.name, Via.CLI, clock.now()))
        assert await agents.authenticate("kt_known") == known, "the look-up is remembered for a moment"
        step = lifecycle.submit(
            make_submission(), make_judged(), id=RequestId("req_" + "2" * 32), agent=known, now=clock.now()
        )
        with pytest.raises(Unauthorized):
            await store.write(CreateRequest(step, credential=known.credential))
