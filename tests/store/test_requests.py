"""Requests on disk: what is written is what is read, and a change wins or writes nothing."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest

from bot.core.audited import audited_state
from bot.core.chain import verify
from bot.core.errors import (
    IdempotencyConflict,
    InvalidRequest,
    NotFound,
    SessionEnded,
    Unauthorized,
    Unavailable,
)
from bot.core.models import Review, Reviewer, RiskLevel, Session, Status, Verdict, Via
from bot.core.replay import replay
from bot.store.commands import (
    AddAgent,
    ClaimRequest,
    CreateRequest,
    EndSession,
    Idempotency,
    RecordEvents,
    RevokeAgent,
    RotateAgent,
    SaveTransition,
    StartSession,
)
from bot.store.reads import _PENDING_AT
from tests.factories import ANA, BEN, NOON, make_action, make_agent, make_judged
from tests.store.histories import (
    approved,
    claimed,
    decided_at_once,
    random_history,
    rejected,
    said,
    submitted,
)

LATER = NOON + timedelta(minutes=1)


def key(text="k1", body="sha256:a", scope="request"):
    return Idempotency("builder", scope, text, body)


async def test_a_request_is_read_as_it_was_written(store):
    step = submitted(session_id="s1", metadata={"price": Decimal("2500.00"), "deep": [{"x": None}]})

    created = await store.write(CreateRequest(step))

    found = await store.reads.request(step.request.id)
    assert (created.created, found) == (True, step.request)
    assert str(found.submission.metadata["price"]) == "2500.00"


async def test_there_is_no_request_of_an_unknown_id(store):
    assert await store.reads.request("req_unknown") is None


@pytest.mark.parametrize("seed", range(25))
async def test_any_history_is_read_as_it_was_written_and_replays_from_the_audit(store, seed):
    first, *changes = random_history(seed, seed)
    await store.write(CreateRequest(first))
    for step in changes:
        assert await store.write(SaveTransition(step))

    last = [first, *changes][-1].request
    assert await store.reads.request(last.id) == last
    events = await store.reads.events(last.id)
    assert replay(event.body for event in events) == audited_state(last)
    assert verify(await store.reads.links(0)) is None


async def test_a_change_needs_the_version_before_it(store):
    step = submitted()
    await store.write(CreateRequest(step))
    won, lost = approved(step.request, who=ANA), rejected(step.request, who=BEN)

    assert await store.write(SaveTransition(won)) is True
    before = await store.reads.chain_head()
    assert await store.write(SaveTransition(lost)) is False

    assert await store.reads.request(step.request.id) == won.request
    assert await store.reads.chain_head() == before


async def test_of_many_changes_at_once_exactly_one_wins(store):
    step = submitted()
    await store.write(CreateRequest(step))
    rivals = [SaveTransition(approved(step.request, who=f"U0X{place:06}")) for place in range(16)]

    assert sorted(await asyncio.gather(*map(store.write, rivals))) == [False] * 15 + [True]
    names = [event.event for event in await store.reads.events(step.request.id)]
    assert names.count("action_approved") == 1


async def test_a_change_of_an_unknown_request_writes_nothing(store):
    assert await store.write(SaveTransition(approved(submitted().request))) is False
    assert (await store.reads.chain_head()).seq == 0


async def test_reviews_and_messages_come_back_in_order(store):
    request = (step := submitted()).request
    await store.write(CreateRequest(step))
    for text in ("one", "two", "three"):
        step = said(request, text)
        assert await store.write(SaveTransition(step))
        request = step.request

    found = await store.reads.request(request.id)
    assert [message.text for message in found.messages] == ["one", "two", "three"]


async def test_one_person_has_one_live_review_of_a_digest(store):
    step = submitted()
    await store.write(CreateRequest(step))
    review = Review(Reviewer(ANA, "ana"), Verdict.APPROVE, step.request.digest, LATER)
    twice = replace(step.request, version=2, reviews=(review, review))

    with pytest.raises(Exception, match=r"UNIQUE|unique"):
        await store.write(SaveTransition(replace(step, request=twice, outbox=())))
    assert await store.reads.request(step.request.id) == step.request


async def test_the_same_key_and_body_give_the_first_request(store):
    first = await store.write(CreateRequest(submitted(1), key()))
    again = await store.write(CreateRequest(submitted(2), key()))

    assert (again.request_id, again.created) == (first.request_id, False)
    assert await store.reads.request(submitted(2).request.id) is None
    assert [e.event for e in await store.reads.audit_page()] == ["policy_applied", "action_requested"]


async def test_the_same_key_with_another_body_is_a_conflict(store):
    await store.write(CreateRequest(submitted(1), key(body="sha256:a")))
    with pytest.raises(IdempotencyConflict) as refused:
        await store.write(CreateRequest(submitted(2), key(body="sha256:b")))
    assert refused.value.facts["first"] == "sha256:a"
    assert await store.reads.request(submitted(2).request.id) is None


async def test_keys_are_kept_apart_by_agent_and_scope(store):
    await store.write(CreateRequest(submitted(1), key()))
    other_agent = Idempotency("other", "request", "k1", "sha256:b")
    assert (await store.write(CreateRequest(submitted(2), other_agent))).created
    assert (await store.write(CreateRequest(submitted(3), key(scope="compat", body="sha256:b")))).created


async def test_sixty_four_submissions_with_one_key_make_one_request(store):
    commands = [CreateRequest(submitted(number), key()) for number in range(64)]

    made = await asyncio.gather(*map(store.write, commands))

    assert sum(one.created for one in made) == 1
    assert len({one.request_id for one in made}) == 1
    items, _ = await store.reads.requests(limit=100)
    assert len(items) == 1
    assert len(await store.reads.cards(made[0].request_id)) == 1
    assert (await store.reads.counts()).unsent == 1


async def test_a_key_leads_to_its_request(store):
    created = await store.write(CreateRequest(submitted(), key()))
    kept = await store.reads.idempotent("builder", "request", "k1")
    assert (kept.request_id, kept.body_digest, kept.answer) == (created.request_id, "sha256:a", None)
    assert await store.reads.idempotent("builder", "request", "k2") is None


async def approved_request(store):
    step = submitted()
    await store.write(CreateRequest(step))
    step = approved(step.request)
    await store.write(SaveTransition(step))
    return step.request


async def test_a_claim_under_the_same_key_gets_the_identical_answer(store):
    request = await approved_request(store)
    mine = key(scope=f"claim:{request.id}")
    claim = claimed(request)

    assert await store.write(ClaimRequest(claim, mine, b"first")) == b"first"
    assert await store.write(ClaimRequest(claim, mine, b"second")) == b"first"
    assert (await store.reads.idempotent("builder", mine.scope, mine.key)).answer == b"first"


async def test_a_second_claim_under_another_key_gets_nothing(store):
    request = await approved_request(store)
    claim = claimed(request)

    assert await store.write(ClaimRequest(claim, None, b"first")) == b"first"
    assert await store.write(ClaimRequest(claim, key(scope="claim"), b"second")) is None
    assert await store.reads.idempotent("builder", "claim", "k1") is None


async def test_a_claim_key_with_another_body_is_a_conflict(store):
    request = await approved_request(store)
    claim = claimed(request)
    await store.write(ClaimRequest(claim, key(scope="claim", body="sha256:a"), b"first"))
    with pytest.raises(IdempotencyConflict):
        await store.write(ClaimRequest(claim, key(scope="claim", body="sha256:b"), b"second"))


async def test_a_request_with_an_unknown_session_starts_it(store):
    await store.write(CreateRequest(submitted(1, session_id="run")))
    await store.write(CreateRequest(submitted(2, session_id="run")))
    await store.write(CreateRequest(decided_at_once(3, session_id="run")))

    session = await store.reads.session("builder", "run")
    assert session.started_at == NOON
    assert session.counts == {"pending": 2, "approved": 1}
    names = [event.event for event in await store.reads.timeline("builder", "run")]
    assert names[0] == "session_started"
    assert names.count("session_started") == 1


async def test_a_session_belongs_to_its_agent(store):
    await store.write(CreateRequest(submitted(1, session_id="run")))
    assert await store.reads.session("other", "run") is None
    await store.write(CreateRequest(submitted(2, agent="other", session_id="run")))
    assert (await store.reads.session("other", "run")).counts == {"pending": 1}
    assert {e.agent for e in await store.reads.timeline("other", "run")} == {"other"}


async def test_an_ended_session_takes_no_more_requests(store):
    session = Session("builder", "run", "nightly", {"branch": "main"}, NOON)
    assert await store.write(StartSession(session, Via.HTTP)) is True
    assert await store.write(StartSession(session, Via.HTTP)) is False
    assert await store.reads.session("builder", "run") == session

    assert await store.write(EndSession("builder", "run", "done", Via.HTTP, LATER)) is True
    assert await store.write(EndSession("builder", "run", "again", Via.HTTP, LATER)) is False
    assert (await store.reads.session("builder", "run")).summary == "done"

    with pytest.raises(SessionEnded):
        await store.write(CreateRequest(submitted(1, session_id="run"), key()))
    with pytest.raises(SessionEnded):
        await store.write(StartSession(session, Via.HTTP))
    assert await store.reads.request(submitted(1).request.id) is None
    assert await store.reads.idempotent("builder", "request", "k1") is None


async def test_an_unknown_session_cannot_end(store):
    with pytest.raises(NotFound):
        await store.write(EndSession("builder", "run", None, Via.HTTP, NOON))


async def test_agents_come_back_as_they_were_added(store):
    agent = make_agent(callback_hosts=("hooks.example.com",), scopes=frozenset({"agent", "auditor"}))
    await store.write(AddAgent(agent, "hash1", Via.CLI, NOON))

    agent = replace(agent, credential="hash1")
    assert await store.reads.agent("builder") == agent
    assert await store.reads.agent_by_token_hash("hash1") == agent
    assert await store.reads.agents() == [agent]
    with pytest.raises(InvalidRequest, match="exists"):
        await store.write(AddAgent(agent, "hash2", Via.CLI, NOON))


async def test_a_rotated_credential_claims_nothing(store):
    await store.write(AddAgent(make_agent(), "hash1", Via.CLI, NOON))
    claim = claimed(await approved_request(store))
    await store.write(RotateAgent("builder", "hash2", Via.CLI, LATER))
    with pytest.raises(Unauthorized):
        await store.write(ClaimRequest(claim, key(scope="claim"), b"first", "hash1"))
    assert await store.write(ClaimRequest(claim, key(scope="claim"), b"second", "hash2")) == b"second"


async def test_a_rotated_or_revoked_credential_makes_no_request(store):
    await store.write(AddAgent(make_agent(), "hash1", Via.CLI, NOON))
    assert (await store.write(CreateRequest(submitted(1), None, "hash1"))).created

    await store.write(RotateAgent("builder", "hash2", Via.CLI, LATER))
    with pytest.raises(Unauthorized):
        await store.write(CreateRequest(submitted(2), None, "hash1"))
    assert (await store.write(CreateRequest(submitted(2), None, "hash2"))).created

    await store.write(RevokeAgent("builder", Via.CLI, LATER))
    with pytest.raises(Unauthorized):
        await store.write(CreateRequest(submitted(3), None, "hash2"))
    assert (await store.reads.agent("builder")).revoked_at == LATER
    for command in (RevokeAgent("builder", Via.CLI, LATER), RotateAgent("builder", "h3", Via.CLI, LATER)):
        with pytest.raises(NotFound):
            await store.write(command)


async def test_a_refused_command_leaves_neither_rows_nor_events_and_harms_no_other(store):
    await store.write(StartSession(Session("builder", "over", None, None, NOON), Via.HTTP))
    await store.write(EndSession("builder", "over", None, Via.HTTP, NOON))
    good, bad = submitted(1), submitted(2, session_id="over")

    results = await asyncio.gather(
        store.write(CreateRequest(bad, key("bad"))),
        store.write(CreateRequest(good, key("good"))),
        return_exceptions=True,
    )

    assert isinstance(results[0], SessionEnded)
    assert results[1].created
    assert await store.reads.request(bad.request.id) is None
    assert await store.reads.events(bad.request.id) == []
    assert verify(await store.reads.links(0)) is None


async def test_an_event_that_cannot_be_written_harms_no_other_command(store):
    good = submitted(1)
    broken = replace(good.events[0], body={"text": "\ud800"})

    results = await asyncio.gather(
        store.write(RecordEvents((broken,), NOON)),
        store.write(CreateRequest(good)),
        return_exceptions=True,
    )

    assert isinstance(results[0], ValueError)
    assert results[1].created
    assert (await store.reads.chain_head()).seq == 2


async def test_pages_go_through_all_requests_newest_first(store):
    for number in range(7):
        await store.write(CreateRequest(submitted(number, now=NOON + timedelta(seconds=number // 2))))

    seen, cursor = [], None
    while True:
        items, cursor = await store.reads.requests(limit=3, cursor=cursor)
        seen += [item.id for item in items]
        if cursor is None:
            break
    assert seen == [submitted(number).request.id for number in reversed(range(7))]


async def test_the_most_urgent_of_a_risk_come_first_however_old_they_are(store):
    for number in range(6):
        await store.write(CreateRequest(submitted(number, now=NOON + timedelta(minutes=number))))
    await store.write(SaveTransition(rejected(submitted(1, now=NOON + timedelta(minutes=1)).request)))

    found = await store.reads.pending_at(RiskLevel.MEDIUM, limit=3)
    assert [request.id for request in found] == [submitted(number).request.id for number in (0, 2, 3)]
    further = await store.reads.pending_at(RiskLevel.MEDIUM, limit=3, after=found[-1])
    assert [request.id for request in further] == [submitted(number).request.id for number in (4, 5)]
    assert await store.reads.pending_at(RiskLevel.CRITICAL, limit=3) == []


async def test_the_most_urgent_are_found_by_an_index(store):
    plan = await store.reads._all(
        f"EXPLAIN QUERY PLAN {_PENDING_AT}", {"risk_level": "high", "limit": 9, "after": 0, "after_id": ""}
    )
    details = [row["detail"] for row in plan]
    assert any("ix_request_urgent" in detail for detail in details)
    assert not any("TEMP B-TREE" in detail and "ORDER" in detail for detail in details[:1])


async def test_pages_are_filtered_by_agent_status_type_and_session(store):
    other = make_judged(make_action(path="/tmp/x"))
    await store.write(CreateRequest(submitted(1, session_id="a")))
    await store.write(CreateRequest(submitted(2, agent="other", session_id="a")))
    await store.write(CreateRequest(decided_at_once(3, session_id="b")))

    async def numbers(**filters):
        items, _ = await store.reads.requests(**filters)
        return [int(item.id[4:], 16) for item in items]

    assert await numbers() == [3, 2, 1]
    assert await numbers(agent="builder") == [3, 1]
    assert await numbers(status=Status.PENDING) == [2, 1]
    assert await numbers(status=Status.APPROVED, agent="builder") == [3]
    assert await numbers(type=other.action.type) == [3, 2, 1]
    assert await numbers(type="file_delete") == []
    assert await numbers(agent="builder", session_id="a") == [1]


@pytest.mark.parametrize("cursor", ["", "x", "1", "1.", ".req", "²5.req_1", "9" * 19 + ".r", "-1.r"])
async def test_a_made_up_cursor_is_refused(store, cursor):
    with pytest.raises(InvalidRequest):
        await store.reads.requests(cursor=cursor)


async def test_pending_requests_that_many_ask_for_at_once_are_one_question(store, monkeypatch):
    await store.write(CreateRequest(submitted(1)))
    await store.write(CreateRequest(step := submitted(2)))
    await store.write(SaveTransition(approved(step.request)))
    asked, ask = [], store.reads._all

    async def count(sql, params):
        asked.append(len(params))
        return await ask(sql, params)

    monkeypatch.setattr(store.reads, "_all", count)
    ids = [submitted(number).request.id for number in (1, 2, 3)] * 2
    found = await asyncio.gather(*map(store.reads.agent_of_pending, ids))
    assert found == ["builder", None, None] * 2
    assert asked == [3]


async def test_a_question_of_many_that_cannot_be_asked_fails_for_each_and_is_asked_again(store, monkeypatch):
    async def fail(_sql, _params):
        raise Unavailable(retry_after=1)

    with monkeypatch.context() as broken:
        broken.setattr(store.reads, "_all", fail)
        for failed in await asyncio.gather(
            *(store.reads.agent_of_pending(f"req_{n}") for n in range(3)), return_exceptions=True
        ):
            assert isinstance(failed, Unavailable)
    assert await store.reads.agent_of_pending("req_1") is None


async def test_who_leaves_a_question_of_many_takes_nobody_along(store):
    await store.write(CreateRequest(step := submitted(1)))
    leaving = asyncio.ensure_future(store.reads.agent_of_pending(step.request.id))
    staying = asyncio.ensure_future(store.reads.agent_of_pending(step.request.id))
    await asyncio.sleep(0)
    leaving.cancel()
    assert await staying == "builder"
