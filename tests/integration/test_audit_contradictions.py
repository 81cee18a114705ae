"""A request that was changed behind the audit's back is found, with the row that it contradicts."""

import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from bot.core.audited import audited_state
from bot.core.chain import Link, Problem, link
from bot.core.models import Actor, Verdict, Via
from bot.services import comparing
from bot.services.audit import verify
from bot.services.checkpoints import Checkpoints, note_file, signing_key
from bot.store import Store
from bot.store.cards import EndOffers
from bot.store.checkpoints import PruneAudit
from bot.store.codec import micros
from bot.store.commands import CreateRequest, SaveTransition
from bot.store.stating import stated_of
from tests.factories import NOON
from tests.secrets_corpus import anywhere
from tests.store.conftest import HandClock
from tests.store.histories import approved, claimed, decided_at_once, random_history, submitted, succeeded

TAMPERED = {
    "approved by hand": ("UPDATE request SET status = 'approved', cause = 'human' WHERE id = :waiting", 8),
    "claimed again": (
        "UPDATE request SET execution = NULL, execution_state = 'not_started' WHERE id = :ran",
        6,
    ),
    "lives longer": (
        "UPDATE request SET decision = replace(decision, '\"expires_at\":1', '\"expires_at\":2')"
        " WHERE id = :ran",
        5,
    ),
    "unreadable": ("UPDATE request SET decision = '{' WHERE id = :ran", 6),
    "of a strange form": ("UPDATE request SET decision = '[1]' WHERE id = :ran", 6),
    "one column of it": ("UPDATE request SET expires_at = expires_at + 1 WHERE id = :ran", 6),
    "fewer must agree": (
        "UPDATE request SET requirement = replace(requirement, 'U0BEN0001', 'U0EVA0001') WHERE id = :waiting",
        8,
    ),
    "more time": (
        "UPDATE request SET plan = replace(plan, '\"ends_at\":17', '\"ends_at\":18') WHERE id = :waiting",
        8,
    ),
    "a forged review": (
        "INSERT INTO review"
        " SELECT :waiting, position, reviewer_id, verdict, digest, voided, at, body FROM review",
        8,
    ),
    "a removed review": ("DELETE FROM review WHERE request_id = :ran", 4),
    "other params": (
        "UPDATE request SET submission = replace(submission, 'shop', 'test') WHERE id = :ran",
        6,
    ),
    "other params approved": (
        "UPDATE request SET decision = replace(decision, 'shop', 'prod') WHERE id = :ran",
        6,
    ),
    "a removed request": ("DELETE FROM request WHERE id = :waiting", 8),
}
"""What somebody does with sqlite3, and the row that then is contradicted."""


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    """A request that ran (rows 1 to 6) and one that waits (rows 7 to 9)."""
    async with Store.open(f"sqlite:///{tmp_path}/k.db", clock=HandClock()) as made:
        step = submitted(1, session_id="run")
        decided = approved(step.request)
        await made.write(CreateRequest(step))
        await made.write(SaveTransition(decided))
        await made.write(SaveTransition(claimed(decided.request)))
        await made.write(CreateRequest(submitted(2, session_id="other")))
        yield made


def tamper(directory: Path, *statements: str) -> None:
    with closing(sqlite3.connect(directory / "k.db", isolation_level=None)) as raw:
        for (trigger,) in raw.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            raw.execute(f"DROP TRIGGER {trigger}")
        raw.execute("PRAGMA ignore_check_constraints = ON")
        ids = {"ran": submitted(1).request.id, "waiting": submitted(2).request.id}
        for statement in statements:
            assert raw.execute(statement, ids).rowcount == 1


@pytest.mark.parametrize("deed", TAMPERED)
async def test_a_request_changed_by_hand_is_found_with_the_row_it_contradicts(
    store: Store, tmp_path: Path, deed: str
) -> None:
    statement, seq = TAMPERED[deed]
    assert (await verify(store.reads)).ok
    tamper(tmp_path, statement)
    problem = (await verify(store.reads)).problem
    assert problem is not None
    assert problem.kind == "contradicted"
    assert "req_" in problem.detail
    assert problem.seq == seq, problem
    assert (await verify(store.reads, full=False)).ok


@pytest.mark.parametrize(("more", "said"), [(1, "row 10 stands"), (2, "rows 10 to 11 stand")])
async def test_a_well_made_row_behind_the_end_is_found(
    store: Store, tmp_path: Path, more: int, said: str
) -> None:
    [last] = await store.reads.links(8, limit=1)
    with closing(sqlite3.connect(tmp_path / "k.db", isolation_level=None)) as raw:
        for seq in range(10, 10 + more):
            bytes_ = last.canonical.replace(b'"seq":9', b'"seq":%d' % seq)
            row = (seq, bytes_, last.hash, link(last.hash, bytes_))
            raw.execute(
                "INSERT INTO audit SELECT ?, at, event, actor_id, agent, request_id, session_id, action_type,"
                " risk_level, reversible, ?, ?, ? FROM audit WHERE seq = 9",
                row,
            )
            last = Link(*row)
    for full in (True, False):
        problem = (await verify(store.reads, full=full)).problem
        assert problem == Problem(10, "inserted", f"{said} behind the end")


async def test_an_offer_to_roll_back_that_ended_contradicts_nothing(store: Store) -> None:
    step = decided_at_once(3)
    await store.write(CreateRequest(step))
    for change in (claimed, succeeded):
        step = change(step.request)
        await store.write(SaveTransition(step))
    assert (await verify(store.reads)).ok
    assert await store.write(EndOffers(NOON + timedelta(days=400))) == 1
    found = await verify(store.reads)
    assert found.ok, found.problem


async def test_a_request_that_nobody_asked_for_is_found(store: Store, tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "k.db", isolation_level=None)) as raw:
        names = [row[1] for row in raw.execute("PRAGMA table_info(request)")]
        given = ", ".join("'req_forged'" if name == "id" else name for name in names)
        raw.execute(f"INSERT INTO request SELECT {given} FROM request WHERE status = 'approved'")
    problem = (await verify(store.reads)).problem
    assert problem is not None
    assert (problem.seq, problem.kind) == (10, "contradicted")
    assert "no row asks for req_forged" in problem.detail


@pytest.mark.parametrize("seed", range(30))
async def test_the_row_of_a_request_states_what_the_request_states(tmp_path: Path, seed: int) -> None:
    async with Store.open(f"sqlite:///{tmp_path}/k.db", clock=HandClock()) as store:
        first, *rest = random_history(seed, 1)
        await store.write(CreateRequest(first))
        for step in rest:
            assert await store.write(SaveTransition(step))
        [row] = await store.reads.stated("")
        request = await store.reads.request(first.request.id)
    assert request is not None
    assert stated_of(row) == (request.id, micros(NOON), audited_state(request), None)


@pytest.mark.parametrize("seed", range(20))
async def test_whatever_happens_in_order_contradicts_nothing(tmp_path: Path, seed: int) -> None:
    async with Store.open(f"sqlite:///{tmp_path}/k.db", clock=HandClock()) as store:
        for number in range(20):
            first, *rest = random_history(seed * 100 + number, number)
            await store.write(CreateRequest(first))
            for step in rest:
                assert await store.write(SaveTransition(step))
        found = await verify(store.reads)
    assert found.ok, found.problem


async def test_a_masked_reason_contradicts_nothing_and_another_one_does(tmp_path: Path) -> None:
    secret = next(iter(anywhere().values()))
    async with Store.open(f"sqlite:///{tmp_path}/k.db", clock=HandClock()) as store:
        step = submitted(1)
        await store.write(CreateRequest(step))
        told = approved(step.request)
        reviews = tuple(replace(r, reason=f"with {secret}, go") for r in told.request.reviews)
        assert [r.verdict for r in reviews] == [Verdict.APPROVE]
        event, *others = told.events
        body = {**event.body, "after": {**event.body["after"]}}
        body["after"]["reviews"] = [{**body["after"]["reviews"][0], "reason": reviews[0].reason}]
        changed = replace(told.request, reviews=reviews)
        await store.write(
            SaveTransition(replace(told, request=changed, events=(replace(event, body=body), *others)))
        )
        assert (await verify(store.reads)).ok
        tamper(tmp_path, "UPDATE review SET body = replace(body, ', go', ', no')")
        problem = (await verify(store.reads)).problem
        assert problem is not None
        assert "reviews" in problem.detail


async def test_what_retention_left_of_a_story_is_compared(store: Store, tmp_path: Path) -> None:
    signer = Checkpoints(store, HandClock(), signing_key(tmp_path), note_file(tmp_path / "k.db"))
    await signer.sign()
    later = NOON + timedelta(days=1)
    assert await store.write(PruneAudit(later, Actor.system("cli"), Via.CLI, later)) is not None
    assert (await verify(store.reads)).ok
    await store.write(SaveTransition(approved(submitted(2, session_id="other").request)))
    assert (await verify(store.reads)).ok
    tamper(
        tmp_path,
        "UPDATE request SET decision = replace(decision, 'U0ANA0001', 'U0EVA0001') WHERE id = :waiting",
    )
    problem = (await verify(store.reads)).problem
    assert problem is not None
    assert "has another decision" in problem.detail


async def test_rows_that_were_cut_off_are_named_before_what_they_would_have_said(
    store: Store, tmp_path: Path
) -> None:
    assert (await store.reads.chain_head()).seq == 9
    asked = "UPDATE request SET status = 'approved' WHERE id = :waiting"
    tamper(tmp_path, "DELETE FROM audit WHERE seq = 9", asked)
    problem = (await verify(store.reads)).problem
    assert problem is not None
    assert (problem.seq, problem.kind, problem.detail) == (9, "truncated", "row 9 is missing")


async def test_a_request_that_changes_during_the_look_is_looked_at_again(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    doubtful = comparing._doubtful

    def meanwhile(page, changes):
        assert doubtful(page, changes) == []
        return doubtful(page, [change for change in changes if change[1] != 6])

    monkeypatch.setattr(comparing, "_doubtful", meanwhile)
    assert (await verify(store.reads)).ok
