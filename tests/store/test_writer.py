"""The writer: batches, what a failure costs, and that nothing is told before it is on disk."""

import asyncio
import sys
import threading
from asyncio.subprocess import PIPE
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import timedelta

import pytest

from bot.core.chain import verify
from bot.core.errors import Conflict, Unavailable
from bot.core.models import Outgoing
from bot.store import Store, dialect
from bot.store.commands import CreateRequest, EnqueueOutbox, LeaseDue, Probe, RecordEvents, SaveTransition
from tests.factories import NOON
from tests.store.histories import approved, submitted


@dataclass(frozen=True)
class Hold:
    """Keeps the writer's thread busy until released."""

    entered: threading.Event
    release: threading.Event

    def apply(self, tx):
        self.entered.set()
        assert self.release.wait(20)


@dataclass(frozen=True)
class Run:
    """Whatever a test wants to do inside the transaction."""

    what: object

    def apply(self, tx):
        return self.what(tx)


async def held(store):
    """The writer busy with a batch of one; call the returned function to let it go on."""
    hold = Hold(threading.Event(), threading.Event())
    task = asyncio.ensure_future(store.write(hold))
    await asyncio.to_thread(hold.entered.wait, 20)

    async def let_go():
        hold.release.set()
        await task

    return let_go


def counted_commits(monkeypatch):
    commits = []
    commit = dialect.Connection.commit
    monkeypatch.setattr(dialect.Connection, "commit", lambda self: (commits.append(1), commit(self)))
    return commits


async def test_whatever_waits_becomes_one_transaction(store, monkeypatch):
    commits = counted_commits(monkeypatch)
    let_go = await held(store)
    waiting = [asyncio.ensure_future(store.write(CreateRequest(submitted(n)))) for n in range(100)]
    await asyncio.sleep(0)
    await let_go()
    await asyncio.gather(*waiting)
    assert len(commits) == 2


async def test_a_batch_has_a_largest_size(store, monkeypatch):
    commits = counted_commits(monkeypatch)
    let_go = await held(store)
    waiting = [asyncio.ensure_future(store.write(RecordEvents((), NOON))) for _ in range(300)]
    await asyncio.sleep(0)
    await let_go()
    await asyncio.gather(*waiting)
    assert len(commits) == 1 + 3


async def test_a_full_queue_refuses_at_once(url, clock):
    async with Store.open(url, clock=clock, queue_limit=2) as store:
        let_go = await held(store)
        waiting = [asyncio.ensure_future(store.write(CreateRequest(submitted(n)))) for n in range(2)]
        await asyncio.sleep(0)
        with pytest.raises(Unavailable) as refused:
            await store.write(CreateRequest(submitted(3)))
        assert refused.value.retry_after == 1
        await let_go()
        assert all(done.created for done in await asyncio.gather(*waiting))
        assert (await store.write(CreateRequest(submitted(3)))).created


async def test_a_cancelled_caller_leaves_a_whole_write(store):
    let_go = await held(store)
    step = submitted()
    waiting = asyncio.ensure_future(store.write(CreateRequest(step)))
    await asyncio.sleep(0)
    waiting.cancel()
    await let_go()
    await store.write(RecordEvents((), NOON))
    assert await store.reads.request(step.request.id) == step.request
    assert len(await store.reads.events(step.request.id)) == 2


async def test_closing_finishes_what_waits_and_refuses_the_rest(url, clock):
    async with Store.open(url, clock=clock) as store:
        let_go = await held(store)
        waiting = [asyncio.ensure_future(store.write(CreateRequest(submitted(n)))) for n in range(10)]
        await asyncio.sleep(0)
        freed = asyncio.ensure_future(let_go())
    await freed
    assert all(done.created for done in await asyncio.gather(*waiting))
    with pytest.raises(Unavailable):
        await store.write(CreateRequest(submitted(11)))
    async with Store.open(url, clock=clock) as store:
        assert len((await store.reads.requests(limit=50))[0]) == 10


async def test_listeners_hear_after_the_commit_and_in_order(store, url):
    heard = []
    path = store_path(url)

    def listen(changes):
        with closing(dialect.driver.connect(path)) as other:
            on_disk = other.execute("SELECT COUNT(*) FROM audit").fetchone()[0]
        heard.append(([c.seq for c in changes], [c.event for c in changes], on_disk))

    store.on_commit(listen)
    step = submitted(1, session_id="run")
    await store.write(CreateRequest(step))
    assert heard == [([1, 2, 3], ["session_started", "action_requested", "policy_applied"], 3)]


async def test_listeners_hear_of_mail_without_events_but_not_of_nothing(store):
    heard = []
    store.on_commit(lambda changes: heard.append(list(changes)))
    await store.write(RecordEvents((), NOON))
    assert heard == []
    await store.write(EnqueueOutbox((Outgoing("note", {}, order="x"),), NOON))
    assert heard == [[]]


async def test_a_writing_task_that_dies_is_noticed_and_leaves_nobody_asleep(url, clock, monkeypatch):
    async with Store.open(url, clock=clock) as store:
        watched = asyncio.ensure_future(store.watch(asyncio.Event()))
        let_go = await held(store)
        waiting = [asyncio.ensure_future(store.write(CreateRequest(submitted(n)))) for n in range(2)]
        await asyncio.sleep(0)
        monkeypatch.setattr(store._writer, "_tell", None)  # any fault of the task's own
        await let_go()
        for write in waiting:
            with pytest.raises(Unavailable):
                await write
        with pytest.raises(TypeError):
            await watched
        with pytest.raises(Unavailable):
            await store.write(CreateRequest(submitted(3)))
        assert not store.writable


async def test_a_listener_that_fails_harms_nobody(store, caplog):
    heard = []

    def fail(changes):
        raise RuntimeError("mine")

    store.on_commit(fail)
    store.on_commit(heard.append)
    assert (await store.write(CreateRequest(submitted()))).created
    assert len(heard) == 1
    assert "listener" in caplog.text


async def test_the_last_commit_has_a_time(store, clock):
    assert store.last_commit_at is None
    await store.write(RecordEvents((), NOON))
    assert store.last_commit_at == clock.now()


async def test_a_refusal_goes_to_its_caller_alone(store):
    def refuse(tx):
        tx.emit(submitted(9).events[0], NOON)
        raise Conflict("not now")

    results = await asyncio.gather(
        store.write(Run(refuse)), store.write(CreateRequest(submitted(1))), return_exceptions=True
    )
    assert isinstance(results[0], Conflict)
    assert results[1].created
    assert (await store.reads.chain_head()).seq == 2


async def test_a_programming_fault_in_one_command_harms_no_other(store):
    bad_sql = Run(lambda tx: tx.execute("INSERT INTO meta (name, value) VALUES (:a, :b)", {"a": 1}))
    too_big = Run(lambda tx: tx.execute("INSERT INTO meta (name, value) VALUES ('x', :b)", {"b": 2**70}))
    results = await asyncio.gather(
        store.write(bad_sql),
        store.write(too_big),
        store.write(CreateRequest(submitted(1))),
        return_exceptions=True,
    )
    assert not isinstance(results[0], Unavailable)
    assert isinstance(results[0], Exception)
    assert isinstance(results[1], OverflowError)
    assert results[2].created


async def test_times_never_fall_along_the_chain(store):
    late, early = submitted(1), submitted(2)
    await store.write(CreateRequest(replace(late, now=NOON.replace(hour=13))))
    await store.write(CreateRequest(early))
    times = [event.at for event in reversed(await store.reads.audit_page())]
    assert times == sorted(times)
    assert times[-1].startswith("2026-11-22T13:00")


async def test_the_planner_learns_what_the_tables_hold(store, monkeypatch):
    monkeypatch.setattr(dialect, "_COMMITS_BETWEEN_LOOKS", 1)
    await store.write(CreateRequest(submitted(1)))
    known = await store.reads._all("SELECT tbl FROM sqlite_stat1", {})
    assert "audit" in {row["tbl"] for row in known}


async def test_a_full_disk_fails_the_whole_batch_and_then_heals(store):
    first = submitted(1)
    await store.write(CreateRequest(first))
    head = await store.reads.chain_head()

    def fill_up(tx):
        pages = tx.fetch_one("PRAGMA page_count", {})["page_count"]
        tx.fetch_one(f"PRAGMA max_page_count = {pages}", {})

    big = submitted(2, metadata={"blob": "x" * 100_000})
    results = await asyncio.gather(
        store.write(Run(fill_up)),
        store.write(SaveTransition(approved(first.request))),
        store.write(CreateRequest(big)),
        return_exceptions=True,
    )

    assert [type(result) for result in results] == [Unavailable] * 3
    assert await store.reads.request(first.request.id) == first.request
    assert await store.reads.chain_head() == head
    # The limit went with the connection that failed: the next batch opens another.
    assert (await store.write(CreateRequest(big))).created
    assert verify(await store.reads.links(0)) is None


async def test_after_trouble_only_a_write_that_reached_the_disk_counts_as_writable(url, clock, monkeypatch):
    async with Store.open(url, clock=clock) as store:
        await store.write(CreateRequest(submitted(1)))
        (size,) = await store.reads._all("PRAGMA page_count", {})
        full = f"PRAGMA max_page_count = {size['page_count']}"
        with monkeypatch.context() as disk:
            # The limit is a connection's own: whichever the writer opens has it, until there is room.
            disk.setattr(dialect, "_PRAGMAS", (*dialect._PRAGMAS, full))
            await store._writer._in_thread(store._writer._disconnect)
            with pytest.raises(Unavailable):
                await store.write(CreateRequest(submitted(2, metadata={"blob": "x" * 100_000})))
            assert not store.writable
            assert await store.write(LeaseDue(NOON)) == []
            assert not store.writable, "a pass that changed nothing has shown nothing"
        await store.write(Probe(NOON))
        assert store.writable


async def test_a_probe_is_another_write_each_time(store, clock):
    for _ in range(2):
        before = (await store.reads._all("SELECT * FROM meta", {}), store._writer._connection.changes)
        clock.move(timedelta(seconds=1))
        await store.write(Probe(clock.now()))
        after = (await store.reads._all("SELECT * FROM meta", {}), store._writer._connection.changes)
        assert [dict(row) for row in after[0]] != [dict(row) for row in before[0]]
        assert after[1] == before[1] + 1


async def test_a_file_locked_by_another_program_is_unavailable_until_it_is_free(url, clock, monkeypatch):
    monkeypatch.setattr(dialect, "BUSY_SECONDS", 0.05)
    async with Store.open(url, clock=clock) as store:
        # A process of its own: locks of one process do not stop that process.
        other = await asyncio.create_subprocess_exec(
            sys.executable, "-c", HOLD_LOCK, store_path(url), stdin=PIPE, stdout=PIPE
        )
        await other.stdout.readline()
        with pytest.raises(Unavailable):
            await store.write(CreateRequest(submitted(1)))
        await other.communicate(b"go on")
        assert (await store.write(CreateRequest(submitted(1)))).created


HOLD_LOCK = """
import sys
from bot.store.dialect import driver
held = driver.connect(sys.argv[1], isolation_level=None)
held.execute("BEGIN IMMEDIATE")
print("held", flush=True)
sys.stdin.read()
held.close()
"""


def store_path(url):
    return url.removeprefix("sqlite:///")


@pytest.fixture
def failing_at(monkeypatch):
    """Makes the k-th statement from then on fail like a disk; returns how many were run."""
    state = {"left": None, "ran": 0}

    def at(place):
        state.update(left=place, ran=0)
        return state

    wrapped = dialect.Connection

    class Failing(wrapped):
        def __init__(self, raw):
            super().__init__(raw)
            run, many = self.run, raw.executemany

            def checked(call):
                def inner(sql, *params):
                    state["ran"] += 1
                    if state["left"] is not None:
                        state["left"] -= 1
                        if state["left"] == 0:
                            raise dialect.driver.OperationalError("disk I/O error")
                    return call(sql, *params)

                return inner

            self.run = checked(run)
            self.execute_many = checked(many)

    monkeypatch.setattr(dialect, "Connection", Failing)
    return at


async def test_trouble_at_any_statement_leaves_nothing_behind(failing_at, url, clock):
    async with Store.open(url, clock=clock) as store:
        first = submitted(1, session_id="run")
        await store.write(CreateRequest(first))
        step = replace(approved(first.request), outbox=submitted(1).outbox)
        before = await store.reads.chain_head()
        place, state = 0, {"left": 0}
        while state["left"] == 0:
            place += 1
            state = failing_at(place)
            try:
                assert await store.write(SaveTransition(step))
            except Unavailable:
                assert await store.reads.request(first.request.id) == first.request
                assert await store.reads.chain_head() == before
                assert len(await store.reads.cards(first.request.id)) == 1
                assert (await store.reads.counts()).unsent == 1
            else:
                assert state["left"] > 0
        assert place > 10
        assert await store.reads.request(first.request.id) == step.request
        assert verify(await store.reads.links(0)) is None
