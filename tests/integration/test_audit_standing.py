"""A grant, pause, credential, cover or rollback that the audit does not tell of is found, by table and id."""

import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest

from bot.core import executing, rollback
from bot.core.models import Actor, ApprovalRequest, Reviewer, RollbackState, Transition, Via
from bot.core.pausing import Pause
from bot.core.rollback import Report
from bot.services import standing
from bot.services.audit import verify
from bot.services.checkpoints import Checkpoints, note_file, signing_key
from bot.store import Store
from bot.store.checkpoints import PruneAudit
from bot.store.commands import AddAgent, CreateRequest, RevokeAgent, RotateAgent, SaveTransition
from bot.store.grants import CreateGrant
from bot.store.oncall import AcceptCover, OfferCover, WithdrawCover
from bot.store.pauses import LiftPause, SetPause
from bot.store.revoking import RevokeGrant
from bot.store.rollbacks import SaveRollback, StartRollback
from tests.factories import BEN, NOON, make_agent, make_grant, make_requirement
from tests.secrets_corpus import anywhere
from tests.store.conftest import HandClock
from tests.store.histories import approved, claimed, granted_at_once, submitted
from tests.store.test_oncall_covers import ana, ben, offered
from tests.undo import ASKED, UNDO, confirming, judging

OPERATOR = Actor.system("cli")
LATER = NOON + timedelta(hours=2)
JUDGE = judging(requirement=make_requirement(quorum=2))

TAMPERED = {
    "a standing permission": (
        "INSERT INTO grants SELECT 'grant_9', {grants} FROM grants WHERE id = 'grant_1'",
        "behind the end",
        "no row tells of the grant grant_9",
    ),
    "a grant for more risk": (
        "UPDATE grants SET highest = 'critical' WHERE id = 'grant_1'",
        "grant_created",
        "the grant grant_1 has another highest than it says",
    ),
    "a grant of another agent": (
        "UPDATE grants SET agent = 'eve' WHERE id = 'grant_1'",
        "grant_created",
        "agent",
    ),
    "a grant for longer": (
        "UPDATE grants SET expires_at = expires_at * 2 WHERE id = 'grant_1'",
        "grant_created",
        "another expires_at",
    ),
    "a grant that was not used": (
        "UPDATE grants SET used = 0 WHERE id = 'grant_1'",
        "grant_used",
        "another used",
    ),
    "a grant for other params": (
        "UPDATE grants SET params = replace(params, 'shop', 'prod') WHERE id = 'grant_1'",
        "grant_used",
        "the params of the grant grant_1 does not fit",
    ),
    "a grant that lives again": (
        "UPDATE grants SET revoked_at = NULL WHERE id = 'grant_2'",
        "grant_revoked",
        "another revoked",
    ),
    "a removed grant": (
        "DELETE FROM grants WHERE id = 'grant_2'",
        "grant_revoked",
        "grant_2, which is not stored",
    ),
    "a grant that cannot be read": (
        "UPDATE grants SET params = '{{' WHERE id = 'grant_2'",
        "grant_revoked",
        "grant_2 cannot be read",
    ),
    "a lifted pause": (
        "DELETE FROM pause WHERE what = 'agent:builder'",
        "agent_paused",
        "the pause of agent:builder, which is not stored",
    ),
    "a pause by somebody else": ("UPDATE pause SET by_id = 'U0EVA0001'", "agent_paused", "another by"),
    "a pause that nobody made": (
        "INSERT INTO pause SELECT 'type:deployment', reason, by_id, by_name, at FROM pause",
        "behind the end",
        "the pause of type:deployment",
    ),
    "a pause that was ended": (
        "INSERT INTO pause SELECT 'all', reason, by_id, by_name, at FROM pause",
        "agent_resumed",
        "ends the pause of all, which stands",
    ),
    "a credential": (
        "INSERT INTO agent SELECT 'eve', 'hash', {agent} FROM agent WHERE name = 'builder'",
        "behind the end",
        "no row tells of the credential of eve",
    ),
    "more rights": (
        "UPDATE agent SET scopes = '[\"operator\"]' WHERE name = 'builder'",
        "agent_added",
        "the credential of builder has another scopes",
    ),
    "another token": (
        "UPDATE agent SET token_hash = 'hash' WHERE name = 'builder'",
        "agent_rotated",
        "another fingerprint",
    ),
    "no owner": ("UPDATE agent SET owner = NULL WHERE name = 'builder'", "agent_added", "another owner"),
    "a request of nobody": (
        "UPDATE request SET owner = NULL WHERE id = (SELECT min(id) FROM request)",
        "rollback_confirmed",
        "the column owner of req_",
    ),
    "a credential that lives again": (
        "UPDATE agent SET revoked_at = NULL WHERE name = 'gone'",
        "agent_revoked",
        "the credential of gone has another revoked",
    ),
    "a cover that nobody agreed to": (
        "UPDATE oncall_cover SET state = 'accepted', decided_at = offered_at WHERE id = 'cov_3'",
        "behind the end",
        "no row tells of the cover cov_3",
    ),
    "a cover by somebody else": (
        "UPDATE oncall_cover SET covering = 'U0EVA0001' WHERE id = 'cov_1'",
        "oncall_overridden",
        "the cover cov_1 has another covering",
    ),
    "a cover taken back": (
        "UPDATE oncall_cover SET state = 'withdrawn' WHERE id = 'cov_1'",
        "oncall_overridden",
        "another state",
    ),
    "a cover that holds again": (
        "UPDATE oncall_cover SET state = 'accepted' WHERE id = 'cov_2'",
        "oncall_overridden",
        "another state",
    ),
    "a confirmation": (
        "UPDATE rollback SET body = json_set(body, '$.confirmations[0].review.reviewer.id', 'U0EVA0001')",
        "rollback_confirmed",
        "the confirmation rbk_1 U0ANA0001, which is not stored",
    ),
    "a rollback that is confirmed": (
        "UPDATE rollback SET body = json_set(body, '$.confirmed_at', 1)",
        "rollback_confirmed",
        "the rollback rbk_1 has another confirmed",
    ),
    "another undo": (
        "UPDATE rollback_item SET body = replace(body, '/srv/app', '/srv/all')",
        "rollback_confirmed",
        "the data of the rollback rbk_1",
    ),
    "an undo that was taken": (
        "UPDATE rollback_item SET state = 'claimed', body = replace(body, '\"previewed\"', '\"claimed\"')",
        "rollback_previewed",
        "the rollback rbk_1 has another state",
    ),
    "a rollback that nobody asked for": (
        "INSERT INTO rollback SELECT 'rbk_9', {rollback} FROM rollback",
        "behind the end",
        "no row tells of the rollback rbk_9",
    ),
}
"""What somebody does with sqlite3, the event that says otherwise, and what is said of it."""


async def follow(store: Store, step: Transition, *then: object) -> ApprovalRequest:
    assert await store.write(CreateRequest(step))
    request = step.request
    for change in then:
        step = change(request)  # type: ignore[operator]  # functions of histories
        assert await store.write(SaveTransition(step))
        request = step.request
    return request


def reported(request: ApprovalRequest) -> Transition:
    step = executing.report(request, executing.Outcome(True, rollback=UNDO), now=NOON + timedelta(minutes=5))
    assert step is not None
    return step


async def undone(store: Store, request: ApprovalRequest) -> None:
    """A rollback that was previewed, and that one of two people confirmed."""
    now = NOON + timedelta(minutes=6)
    step = rollback.start([request], ASKED, id="rbk_1", judge=JUDGE, now=now)
    assert await store.write(StartRollback(step))
    requests = {found.id: found for found in step.requests}
    report = Report(RollbackState.PREVIEWED, "It writes it back.")
    seen = rollback.preview(step.rollback, requests, step.rollback.items[0].id, report, now=now)
    assert seen is not None
    assert await store.write(SaveRollback(seen))
    requests = {found.id: found for found in seen.requests}
    given = confirming(seen.rollback)
    assert await store.write(
        SaveRollback(rollback.confirm(seen.rollback, requests, given, judge=JUDGE, now=now))
    )


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    async with Store.open(f"sqlite:///{tmp_path}/k.db", clock=HandClock()) as store:
        for name in ("builder", "gone"):
            await store.write(AddAgent(make_agent(name=name), f"first of {name}", Via.CLI, NOON))
        await store.write(RotateAgent("builder", "second", Via.CLI, NOON))
        await store.write(RevokeAgent("gone", Via.CLI, NOON))
        request = await follow(store, submitted(1), approved, claimed, reported)
        for number in (1, 2):
            await store.write(CreateGrant(make_grant(request_id=request.id, id=f"grant_{number}")))
        assert (await store.write(CreateRequest(granted_at_once(2), grant="grant_1"))).created
        assert await store.write(RevokeGrant("grant_2", OPERATOR, Via.CLI, NOON)) == []
        for what in ("all", "agent:builder"):
            secret = next(iter(anywhere().values()))
            pause = Pause(what, f"It leaked {secret}.", Reviewer(BEN, "ben"), NOON)
            await store.write(SetPause(pause, False, Via.SLACK))
        assert await store.write(LiftPause("all", Reviewer(BEN, "ben"), Via.SLACK, NOON)) is not None
        for offer in (offered(1), offered(2, start=LATER + timedelta(days=1)), offered(3)):
            await store.write(OfferCover(offer, ()))
        await store.write(AcceptCover(offered(1), ben, NOON))
        second = await store.write(AcceptCover(offered(2, start=LATER + timedelta(days=1)), ben, NOON))
        assert second is not None
        assert await store.write(WithdrawCover(second, ana, NOON))
        await undone(store, request)
        yield store


def tamper(directory: Path, *statements: str) -> None:
    with closing(sqlite3.connect(directory / "k.db", isolation_level=None)) as raw:
        for (trigger,) in raw.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            raw.execute(f"DROP TRIGGER {trigger}")
        raw.execute("PRAGMA ignore_check_constraints = ON")
        others = {
            table: ", ".join(
                row[1]
                for row in raw.execute(f"PRAGMA table_info({table})")
                if row[1] not in ("id", "name", "token_hash")
            )
            for table in ("grants", "agent", "rollback")
        }
        for statement in statements:
            assert raw.execute(statement.format(**others)).rowcount == 1


@pytest.mark.parametrize("deed", TAMPERED)
async def test_what_gives_authority_without_the_log_is_found_by_its_id(
    store: Store, tmp_path: Path, deed: str
) -> None:
    statement, event, said = TAMPERED[deed]
    whole = await verify(store.reads)
    assert whole.ok, whole.problem
    tamper(tmp_path, statement)
    problem = (await verify(store.reads)).problem
    assert problem is not None
    assert (problem.kind, said in problem.detail) == ("contradicted", True), problem
    names = {seq: name for seq, name, _ in await store.reads.written(0)}
    assert names.get(problem.seq, "behind the end") == event, problem
    assert (await verify(store.reads, full=False)).ok


@pytest.mark.parametrize("days", [0, 10])
async def test_after_retention_a_grant_that_ends_later_than_an_old_one_could_must_be_on_record(
    store: Store, tmp_path: Path, days: int
) -> None:
    signer = Checkpoints(store, HandClock(), signing_key(tmp_path), note_file(tmp_path / "k.db"))
    await signer.sign()
    assert await store.write(PruneAudit(LATER, OPERATOR, Via.CLI, LATER)) is not None
    assert (await verify(store.reads)).ok, "what is older may have no events left"
    more = timedelta(days=days) // timedelta(microseconds=1)
    tamper(
        tmp_path,
        "INSERT INTO grants SELECT 'grant_9', {grants} FROM grants WHERE id = 'grant_1'",
        f"UPDATE grants SET expires_at = expires_at + {more} WHERE id = 'grant_9'",
    )
    problem = (await verify(store.reads)).problem
    assert (problem is not None and "no row tells of the grant grant_9" in problem.detail) == bool(days)


async def test_a_request_that_claims_to_be_younger_than_the_first_row_must_be_on_record(
    store: Store, tmp_path: Path
) -> None:
    signer = Checkpoints(store, HandClock(), signing_key(tmp_path), note_file(tmp_path / "k.db"))
    await signer.sign()
    assert await store.write(PruneAudit(LATER, OPERATOR, Via.CLI, LATER)) is not None
    young = "UPDATE request SET created_at = created_at + 864000000000 WHERE id LIKE '%1'"
    tamper(tmp_path, young)
    problem = (await verify(store.reads)).problem
    assert problem is not None
    assert "no row asks for req_" in problem.detail


async def test_what_changes_during_the_look_is_no_problem(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    stories = standing._stories
    left = ["type:deployment"]

    async def meanwhile(reads, kind):
        found = await stories(reads, kind)
        if kind.events[0] == "agent_paused" and left:
            await store.write(
                SetPause(Pause(left.pop(), "Late.", Reviewer(BEN, "ben"), LATER), False, Via.SLACK)
            )
        return found

    monkeypatch.setattr(standing, "_stories", meanwhile)
    assert (await verify(store.reads)).ok
    assert left == []


async def test_a_row_that_is_no_event_of_ours_tells_of_nothing() -> None:
    kind = standing.SOURCES[0].kind
    for row in (b"{", b"[]", b'{"body":{}}', b'{"body":[],"agent":"a","event":"agent_added"}'):
        assert standing.told(kind, row) is None
