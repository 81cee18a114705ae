"""The audit as it is read: every filter, pages that meet no row twice, and the chain."""

import hashlib
import json
from contextlib import closing
from datetime import timedelta
from decimal import Decimal

import pytest
import rfc8785

from bot.core.chain import verify
from bot.core.digest import canonical
from bot.core.models import Actor, ActorType, Event, Via
from bot.store import dialect
from bot.store.commands import CreateRequest, RecordEvents, SaveTransition
from tests.factories import ANA, NOON
from tests.store.histories import approved, rejected, submitted

MINUTE = timedelta(minutes=1)


@pytest.fixture
async def filled(store):
    """Three requests a minute apart, one approved by Ana, one rejected; the middle one of another agent."""
    for number, agent in enumerate(("builder", "other", "builder"), start=1):
        step = submitted(number, agent=agent, now=NOON + number * MINUTE, session_id=f"run{number}")
        await store.write(CreateRequest(step))
        if number == 1:
            await store.write(SaveTransition(approved(step.request)))
        if number == 3:
            await store.write(SaveTransition(rejected(step.request)))
    return store


async def seqs(store, **filters):
    return [event.seq for event in await store.reads.audit_page(**filters)]


async def test_the_newest_comes_first(filled):
    assert await seqs(filled) == list(range(13, 0, -1))
    assert await seqs(filled, limit=3) == [13, 12, 11]


async def test_pages_go_on_where_the_last_ended(filled):
    seen, before = [], None
    while page := await seqs(filled, before_seq=before, limit=4):
        seen += page
        before = page[-1]
    assert seen == list(range(13, 0, -1))


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({"event": "action_requested"}, [10, 7, 2]),
        ({"actor": ANA}, [13, 12, 5, 4]),
        ({"actor": ANA, "event": "action_approved"}, [5]),
        ({"agent": "other"}, [8, 7, 6]),
        ({"action_type": "database_modify", "event": "policy_applied"}, [11, 8, 3]),
        ({"action_type": "file_delete"}, []),
        ({"risk": "medium", "agent": "other"}, [8, 7]),
        ({"risk": "high"}, []),
        ({"session_id": "run3"}, [13, 12, 11, 10, 9]),
        ({"request_id": submitted(2).request.id}, [8, 7]),
        ({"since": NOON + 3 * MINUTE}, [13, 12, 11, 10, 9]),
        ({"until": NOON + 2 * MINUTE}, [5, 4, 3, 2, 1]),
        ({"since": NOON + 2 * MINUTE, "until": NOON + 3 * MINUTE}, [8, 7, 6]),
        ({"since": NOON + 2 * MINUTE, "agent": "builder", "event": "action_requested"}, [10]),
        ({"since": NOON + timedelta(days=1)}, []),
        ({"until": NOON}, []),
    ],
)
async def test_filters_narrow_the_page(filled, filters, expected):
    assert await seqs(filled, **filters) == expected


async def test_an_event_about_a_request_takes_its_type_and_risk(filled):
    event = Event(
        "notification_sent", Actor.system("outbox"), Via.SCHEDULER, {}, request_id=submitted(2).request.id
    )
    await filled.write(RecordEvents((event,), NOON))
    assert await seqs(filled, event="notification_sent", risk="medium", action_type="database_modify") == [14]


async def test_an_event_is_read_from_the_bytes_that_the_chain_covers(filled, url):
    [event] = await filled.reads.audit_page(event="action_approved")
    with closing(dialect.of(url).connect_reader()) as raw:
        row = raw.execute("SELECT * FROM audit WHERE seq = ?", (event.seq,)).fetchone()
    said = json.loads(row["canonical"])

    assert canonical(said) == row["canonical"]
    assert hashlib.sha256(row["prev_hash"] + row["canonical"]).hexdigest() == event.hash == row["hash"].hex()
    assert said == {
        "seq": event.seq,
        "at": event.at,
        "event": "action_approved",
        "actor": {"type": "human", "id": ANA, "name": event.actor.name},
        "via": event.via.value,
        "agent": "builder",
        "request_id": event.request_id,
        "session_id": "run1",
        "body": event.body,
    }
    assert event.at == "2026-11-22T12:01:01.000000Z"


@pytest.mark.parametrize(
    "odd",
    [
        Event(
            "e",
            Actor(ActorType.HUMAN, "U1", 'Zoë "\\" \u2028 😀'),
            Via.SLACK,
            {"ü": 1, "a": "é", "\U00010000": 2},
        ),
        Event(
            "e", Actor.system("x"), Via.CLI, {"seq": 0, "at": "", "session_id": None}, session_id='"seq":9,'
        ),
        Event(
            "e",
            Actor.system("x"),
            Via.CLI,
            {"n": Decimal("2500.00"), "deep": [{"b": [], "a": {}}]},
            agent="ä",
        ),
    ],
)
async def test_odd_events_are_canonical_too(store, url, odd):
    await store.write(RecordEvents((odd,), NOON))
    with closing(dialect.of(url).connect_reader()) as raw:
        stored = raw.execute("SELECT canonical FROM audit").fetchone()["canonical"]
    assert stored == rfc8785.dumps(json.loads(stored))
    [event] = await store.reads.audit_page()
    assert (event.actor, event.agent, event.session_id) == (odd.actor, odd.agent, odd.session_id)
    assert event.body == odd.body


async def test_the_head_is_the_last_row_and_the_chain_is_whole(filled):
    head = await filled.reads.chain_head()
    [last] = await filled.reads.audit_page(limit=1)
    assert (head.seq, head.hash) == (last.seq, last.hash) == (13, last.hash)
    links = await filled.reads.links(0)
    assert verify(links) is None
    assert await filled.reads.links(10) == links[10:]
    assert await filled.reads.links(2, limit=3) == links[2:5]


async def test_events_of_a_request_go_on_after_a_place(filled):
    id = submitted(1).request.id
    assert [event.seq for event in await filled.reads.events(id, 0)] == [2, 3, 4, 5]
    assert [event.seq for event in await filled.reads.events(id, 3)] == [4, 5]
    assert await filled.reads.last_seq(id) == 5
    assert await filled.reads.last_seq("req_unknown") == 0


@pytest.mark.parametrize(
    "filters",
    [
        {"event": "x"},
        {"actor": "x"},
        {"agent": "x"},
        {"action_type": "x"},
        {"session_id": "x"},
        {"request_id": "x"},
        {"risk": "x"},
        {"since": NOON, "until": NOON},
    ],
)
async def test_every_filter_is_answered_by_an_index(filled, filters, monkeypatch):
    asked = []
    fetch = filled.reads._all

    async def spy(sql, params):
        asked.append((sql, params))
        return await fetch(sql, params)

    monkeypatch.setattr(filled.reads, "_all", spy)
    await filled.reads.audit_page(**filters)
    [(sql, params)] = asked
    plan = [row["detail"] for row in await fetch(f"EXPLAIN QUERY PLAN {sql}", params)]
    assert all(step.startswith(("SEARCH audit", "SCALAR SUBQUERY")) for step in plan), plan
