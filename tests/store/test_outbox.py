"""The outbox: each piece of work is leased to one, in its lane's order, at its lane's pace, until it ends."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from bot.core.models import Actor, Event, Outgoing, Via
from bot.store.commands import (
    CompleteOutbox,
    CreateRequest,
    EnqueueOutbox,
    FailOutbox,
    Idempotency,
    LeaseDue,
    LeaseOutbox,
    PaceKey,
    Prune,
    Rearm,
    RetryOutbox,
    SaveTransition,
)
from bot.store.upkeep import SetBack
from tests.factories import NOON
from tests.store.histories import approved, submitted

SECOND = timedelta(seconds=1)
LEASE = timedelta(seconds=30)
KINDS = frozenset({"note", "slack.post", "slack.paint"})
NOTES = KINDS | {"slack.note"}


def work(text, order="lane", kind="note", **more):
    return Outgoing(kind, {"text": text}, order=order, **more)


async def put(store, *outgoing, now=NOON):
    await store.write(EnqueueOutbox(tuple(outgoing), now))


async def lease(store, now=NOON, limit=50, kinds=KINDS, **more):
    return await store.write(LeaseOutbox(now, limit, LEASE, kinds, **more))


def texts(items):
    return [item.payload["text"] for item in items]


async def test_a_leased_row_is_nobody_elses_until_the_lease_ends(store):
    await put(store, work("a"))
    [item] = await lease(store)
    assert (item.attempts, item.unclear, item.first_attempt_at) == (1, False, NOON)
    assert await lease(store, NOON + LEASE - SECOND) == []

    [again] = await lease(store, NOON + LEASE)
    assert (again.id, again.attempts, again.unclear) == (item.id, 2, True)
    assert again.first_attempt_at == NOON


async def test_two_claimants_never_hold_the_same_row(store):
    await put(store, *(work(str(number), order=f"lane:{number}") for number in range(40)))
    leases = await asyncio.gather(*(lease(store, limit=10, owner=str(n)) for n in range(8)))
    ids = [item.id for items in leases for item in items]
    assert sorted(ids) == sorted(set(ids))
    assert len(ids) == 40


async def test_a_lane_is_sent_one_at_a_time_in_order(store):
    await put(store, work("a"), work("b"), work("c"))
    sent = []
    for _ in range(3):
        [item] = await lease(store)
        assert await lease(store) == []
        sent += texts([item])
        await store.write(CompleteOutbox(item.id, item.generation, NOON))
    assert sent == ["a", "b", "c"]
    assert await lease(store) == []
    assert await store.reads.next_outbox_at() is None


async def test_a_row_put_off_holds_up_its_lane_and_no_other(store):
    await put(store, work("a"), work("b"), work("x", order="other"))
    first = (await lease(store))[0]
    await store.write(RetryOutbox(first.id, NOON, NOON + 5 * SECOND, "ratelimited"))

    assert await lease(store, NOON + 4 * SECOND) == []
    [again] = await lease(store, NOON + 5 * SECOND)
    assert (again.payload["text"], again.attempts, again.unclear) == ("a", 2, False)
    assert again.last_error == "ratelimited"


async def test_an_unclear_try_stays_marked(store):
    await put(store, work("a"))
    [item] = await lease(store)
    await store.write(RetryOutbox(item.id, NOON, NOON, "timeout", unclear=True))
    [item] = await lease(store)
    assert item.unclear
    await store.write(RetryOutbox(item.id, NOON, NOON, "refused", unclear=False))
    [item] = await lease(store)
    assert item.unclear


async def test_a_claimant_whose_lease_ran_out_cannot_end_anothers(store):
    await put(store, work("a"))
    [late] = await lease(store)
    await lease(store, NOON + LEASE)
    await store.write(RetryOutbox(late.id, NOON + LEASE, NOON, "late", attempts=late.attempts))
    assert await lease(store, NOON + LEASE) == []


async def test_a_failed_row_lets_the_next_one_go(store):
    await put(store, work("a"), work("b"))
    [item] = await lease(store)
    event = Event("notification_failed", Actor.system("outbox"), Via.SCHEDULER, {"code": "gone"})
    await store.write(FailOutbox(item.id, NOON, "channel_not_found", (event,)))

    assert texts(await lease(store)) == ["b"]
    assert (await store.reads.counts()).unsent == 1
    (failed,) = await store.reads._all("SELECT last_error FROM outbox WHERE failed_at IS NOT NULL", {})
    assert failed["last_error"] == "channel_not_found"
    assert [e.event for e in await store.reads.audit_page()] == ["notification_failed"]


async def test_work_with_a_coalesce_key_is_one_row_with_the_latest_payload(store):
    for text in ("a", "b", "c"):
        await put(store, work(text, coalesce="paint:1"))
    [item] = await lease(store)
    assert (item.payload["text"], item.generation) == ("c", 3)
    await store.write(CompleteOutbox(item.id, item.generation, NOON))
    assert (await store.reads.counts()).unsent == 0


async def test_work_asked_for_again_while_it_is_sent_is_sent_again(store):
    await put(store, work("a", coalesce="paint:1"))
    [item] = await lease(store)
    await put(store, work("b", coalesce="paint:1"), now=NOON + SECOND)
    assert await lease(store, NOON + SECOND) == []

    await store.write(CompleteOutbox(item.id, item.generation, NOON + 2 * SECOND))
    [again] = await lease(store, NOON + 2 * SECOND)
    assert (again.id, again.payload["text"], again.attempts) == (item.id, "b", 1)
    await store.write(CompleteOutbox(again.id, again.generation, NOON + 2 * SECOND))
    assert await lease(store, NOON + 2 * SECOND) == []


async def test_work_put_off_is_hurried_when_it_is_asked_for_again(store):
    await put(store, work("a", coalesce="paint:1"))
    [item] = await lease(store)
    await store.write(RetryOutbox(item.id, NOON, NOON + 60 * SECOND, "down"))
    assert await store.reads.next_outbox_at() == NOON + 60 * SECOND
    await put(store, work("b", coalesce="paint:1"), now=NOON + SECOND)
    assert texts(await lease(store, NOON + SECOND)) == ["b"]


async def test_sent_work_does_not_swallow_later_work_of_its_key(store):
    await put(store, work("a", coalesce="paint:1"))
    [item] = await lease(store)
    await store.write(CompleteOutbox(item.id, item.generation, NOON))
    await put(store, work("b", coalesce="paint:1"))
    assert texts(await lease(store)) == ["b"]


async def test_posting_kinds_keep_a_second_apart_in_their_channel(store):
    step = submitted(1)
    await store.write(CreateRequest(step))
    await put(store, *(work(str(n), order="channel:C0APPROVE") for n in range(2)))

    [post] = await lease(store)
    assert post.kind == "slack.post"
    await store.write(CompleteOutbox(post.id, post.generation, NOON + SECOND / 2))
    assert await store.reads.next_outbox_at() == NOON + SECOND
    assert await lease(store, NOON + SECOND / 2) == []
    assert texts(await lease(store, NOON + SECOND)) == ["0"]


async def test_kinds_that_post_nothing_go_at_once(store):
    await put(store, work("a"), work("b"))
    [item] = await lease(store)
    await store.write(CompleteOutbox(item.id, item.generation, NOON))
    assert texts(await lease(store)) == ["b"]


async def test_a_retry_after_shuts_the_lane_until_then(store):
    await put(store, work("a"), work("b"))
    [item] = await lease(store)
    await store.write(PaceKey("lane", NOON + 30 * SECOND))
    await store.write(PaceKey("lane", NOON + 10 * SECOND))
    await store.write(RetryOutbox(item.id, NOON, NOON + SECOND, "ratelimited"))
    await put(store, work("c"), now=NOON + 2 * SECOND)

    assert await lease(store, NOON + 29 * SECOND) == []
    assert await store.reads.next_outbox_at() == NOON + 30 * SECOND
    assert texts(await lease(store, NOON + 30 * SECOND)) == ["a"]


async def test_an_empty_lane_can_be_shut_beforehand(store):
    await store.write(PaceKey("lane", NOON + 30 * SECOND))
    assert await store.reads.next_outbox_at() is None
    await put(store, work("a"))
    assert await lease(store, NOON + 29 * SECOND) == []
    assert texts(await lease(store, NOON + 30 * SECOND)) == ["a"]


async def test_only_the_asked_kinds_are_leased(store):
    await put(store, work("a", kind="callback"), work("b", order="other"))
    assert texts(await lease(store, kinds=("note",))) == ["b"]
    assert await lease(store, kinds=()) == []
    assert texts(await lease(store, kinds=("callback", "note"))) == ["a"]


async def test_what_completing_brings_with_it_is_one_change(store):
    await put(store, work("a"))
    [item] = await lease(store)
    event = Event("notification_sent", Actor.system("outbox"), Via.SCHEDULER, {})
    await store.write(CompleteOutbox(item.id, 1, NOON, (event,), (work("next", order="other"),)))
    assert texts(await lease(store)) == ["next"]
    assert (await store.reads.chain_head()).seq == 1


async def test_ending_a_row_twice_or_an_unknown_one_changes_nothing(store):
    await put(store, work("a"), work("b"))
    [item] = await lease(store)
    for command in (
        CompleteOutbox(item.id, 1, NOON),
        FailOutbox(item.id, NOON, "late"),
        RetryOutbox(item.id, NOON, NOON, "late"),
    ):
        await store.write(command)
    assert (await store.reads.counts()).unsent == 1
    assert await store.reads._all("SELECT id FROM outbox WHERE failed_at IS NOT NULL", {}) == []
    await store.write(CompleteOutbox(999, 1, NOON))
    assert texts(await lease(store)) == ["b"]


async def test_the_next_look_is_at_the_end_of_a_lease(store):
    await put(store, work("a"))
    assert await store.reads.next_outbox_at() == NOON
    await lease(store)
    assert await store.reads.next_outbox_at() == NOON + LEASE
    await put(store, work("b"))
    assert await store.reads.next_outbox_at() == NOON + LEASE


async def test_old_ended_rows_are_pruned_and_waiting_ones_kept(store):
    await put(store, work("a"), work("b"))
    [item] = await lease(store)
    await store.write(CompleteOutbox(item.id, 1, NOON))
    month = timedelta(days=30)
    assert await store.write(Prune(NOON + month)) == 0
    assert await store.write(Prune(NOON + month + SECOND)) == 1
    assert texts(await lease(store)) == ["b"]


async def test_keys_are_kept_while_open_and_a_month_after_the_decision(store):
    open_one, decided = submitted(1), submitted(2)
    await store.write(CreateRequest(open_one, Idempotency("builder", "request", "open", "d")))
    await store.write(CreateRequest(decided, Idempotency("builder", "request", "decided", "d")))
    await store.write(SaveTransition(approved(decided.request)))

    async def kept(days):
        await store.write(Prune(NOON + timedelta(days=days)))
        keys = ("open", "decided")
        return [await store.reads.idempotent("builder", "request", key) is not None for key in keys]

    assert await kept(days=30) == [True, True]
    assert await kept(days=31) == [True, False]
    assert await kept(days=400) == [True, False]


async def test_due_requests_are_leased_to_one_the_longest_overdue_first(store):
    for number, minutes in ((1, 3), (2, 0), (3, 60)):
        await store.write(CreateRequest(submitted(number, now=NOON + timedelta(minutes=minutes))))
    now = NOON + timedelta(minutes=10)

    leases = await asyncio.gather(*(store.write(LeaseDue(now, 10, LEASE)) for _ in range(4)))

    assert [ids for ids in leases if ids] == [[submitted(2).request.id, submitted(1).request.id]]
    assert await store.reads.next_deadline() == now + LEASE
    assert len(await store.write(LeaseDue(now + LEASE, 1, LEASE))) == 1


async def test_a_change_ends_the_lease_of_a_deadline(store):
    await store.write(CreateRequest(step := submitted(1)))
    deadline = step.request.next_deadline_at
    assert await store.reads.next_deadline() == deadline
    assert await store.write(LeaseDue(deadline, 10, LEASE)) == [step.request.id]
    moved = replace(step.request, version=2)
    await store.write(SaveTransition(replace(step, request=moved, outbox=())))
    assert await store.reads.next_deadline() == deadline
    await store.write(SaveTransition(approved(moved)))
    assert await store.reads.next_deadline() is None


async def test_a_lease_ends_early_when_there_was_nothing_to_do(store):
    await store.write(CreateRequest(step := submitted(1)))
    id, deadline = step.request.id, step.request.next_deadline_at
    await store.write(LeaseDue(deadline, 10, LEASE))
    await store.write(Rearm(id, deadline + LEASE, deadline + SECOND))
    assert await store.reads.next_deadline() == deadline + SECOND
    await store.write(LeaseDue(deadline + SECOND, 10, LEASE))
    await store.write(Rearm(id, deadline + SECOND + LEASE))
    assert await store.reads.next_deadline() == deadline


async def test_a_knock_that_fails_wakes_its_request_whoever_holds_it(store):
    step = submitted(1)
    await store.write(CreateRequest(replace(step, outbox=(work("knock", request_id=step.request.id),))))
    [item] = await lease(store)
    await store.write(LeaseDue(step.request.next_deadline_at, 10, LEASE))
    leased_until = step.request.next_deadline_at + LEASE
    await store.write(FailOutbox(item.id, NOON, "is_archived", wake=True))
    assert await store.reads.next_deadline() == NOON
    await store.write(Rearm(step.request.id, leased_until))
    assert await store.reads.next_deadline() == NOON, "the holder's own end of the lease wakes it no less"


async def test_a_failure_that_asks_nobody_wakes_nothing(store):
    step = submitted(1)
    await store.write(CreateRequest(replace(step, outbox=(work("note", request_id=step.request.id),))))
    [item] = await lease(store)
    await store.write(FailOutbox(item.id, NOON, "is_archived"))
    assert await store.reads.next_deadline() == step.request.next_deadline_at


@pytest.mark.parametrize("table", ["pace", "request"])
async def test_an_idle_look_reads_one_index_entry_however_much_waits(store, table):
    """No scan: the plan of each poll searches a partial index."""
    polls = {
        "pace": "SELECT MIN(ready_at) FROM pace WHERE ready_at IS NOT NULL",
        "request": "SELECT MIN(due_at) FROM request WHERE status = 'pending'",
    }
    plan = await store.reads._all(f"EXPLAIN QUERY PLAN {polls[table]}", {})
    assert "SEARCH" in plan[0]["detail"]
    assert "COVERING INDEX" in plan[0]["detail"]


async def test_a_clock_that_is_set_back_leaves_no_lane_shut_for_an_hour(store):
    hour = timedelta(hours=1)
    await put(store, work("a", kind="slack.note"), work("b", kind="slack.note"), work("c", order="other"))
    [first, other] = sorted(await lease(store, NOON, kinds=NOTES), key=lambda item: item.payload["text"])
    await store.write(RetryOutbox(other.id, NOON, NOON + 5 * SECOND, "down"))
    earlier = NOON - hour
    assert await lease(store, earlier + LEASE, kinds=NOTES) == [], "everything waits for the old time"
    await store.write(SetBack(hour))
    assert texts(await lease(store, earlier + 5 * SECOND, kinds=NOTES)) == ["c"], (
        "the first one is still somebody's"
    )
    assert texts(await lease(store, earlier + LEASE, kinds=NOTES)) == ["a"]
    await store.write(CompleteOutbox(first.id, first.generation, earlier + LEASE))
    assert texts(await lease(store, earlier + LEASE + SECOND, kinds=NOTES)) == ["b"]


async def test_a_clock_that_is_set_back_ends_the_leases_of_the_ladder(store):
    step = submitted()
    await store.write(CreateRequest(step))
    late = step.request.next_deadline_at + SECOND
    assert await store.write(LeaseDue(late)) == [step.request.id]
    assert await store.write(LeaseDue(late)) == []
    await store.write(SetBack(timedelta(hours=1)))
    assert await store.write(LeaseDue(late)) == [step.request.id]
