"""Rows and changes that may not be: the schema refuses them, whoever asks."""

from contextlib import closing
from dataclasses import replace

import pytest

from bot.core import executing
from bot.core.executing import Outcome
from bot.store import dialect
from bot.store.commands import CreateRequest, SaveTransition
from tests.store.histories import approved, claimed, submitted


@pytest.fixture
async def raw(store, url):
    """A writing connection on a store with one pending and one approved request."""
    await store.write(CreateRequest(submitted(1)))
    await store.write(CreateRequest(step := submitted(2)))
    await store.write(SaveTransition(approved(step.request)))
    with closing(dialect.of(url)._writing()) as connection:
        yield connection


@pytest.fixture
async def ran(store, raw):
    """The same, where the approved request was claimed and has succeeded."""
    request = await store.reads.request(submitted(2).request.id)
    step = claimed(request)
    await store.write(SaveTransition(step))
    step = executing.report(step.request, Outcome(success=True), now=step.now)
    await store.write(SaveTransition(step))
    return raw


PENDING, APPROVED = (f"id = '{submitted(number).request.id}'" for number in (1, 2))
NEXT = "version = version + 1"


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE audit SET event = 'action_rejected' WHERE seq = 1",
        "UPDATE audit SET canonical = x'00'",
        "DELETE FROM audit WHERE seq = 1",
        "DELETE FROM audit",
        "INSERT OR REPLACE INTO audit SELECT * FROM audit WHERE seq = 1",
        "DELETE FROM chain_head",
        "INSERT INTO chain_head SELECT 2, seq, at, hash FROM chain_head",
        "UPDATE chain_head SET seq = seq - 1",
        "UPDATE chain_head SET at = at - 1",
        f"UPDATE request SET status = 'approved', version = version + 1 WHERE {PENDING}",
        f"UPDATE request SET next_deadline_at = NULL, version = version + 1 WHERE {PENDING}",
        f"UPDATE request SET due_at = NULL WHERE {PENDING}",
        f"UPDATE request SET level = 1 WHERE {PENDING}",
        f"UPDATE request SET level = 1, version = version + 2 WHERE {PENDING}",
        f"UPDATE request SET level = 1, version = version WHERE {PENDING}",
        f"UPDATE request SET execution_state = 'claimed', claimed_at = 1, version = 2 WHERE {PENDING}",
        f"UPDATE request SET execution_state = 'claimed', version = version + 1 WHERE {APPROVED}",
        f"UPDATE request SET status = 'modified', version = version + 1 WHERE {APPROVED}",
        f"UPDATE request SET status = 'later', version = version + 1 WHERE {APPROVED}",
        f"UPDATE request SET decision = NULL, version = version + 1 WHERE {APPROVED}",
        f"UPDATE request SET decided_digest = 'sha256:other', {NEXT} WHERE {APPROVED}",
        f"UPDATE request SET decided_at = decided_at + 1, {NEXT} WHERE {APPROVED}",
        f"UPDATE request SET expires_at = expires_at + 1, {NEXT} WHERE {APPROVED}",
        f"UPDATE request SET cause = 'grant', {NEXT} WHERE {APPROVED}",
        f"UPDATE request SET cause = 'timeout', {NEXT} WHERE {APPROVED}",
        f"UPDATE request SET cause = 'luck', {NEXT} WHERE {APPROVED}",
        f"UPDATE request SET execution_state = 'succeeded', claimed_at = 1, {NEXT} WHERE {APPROVED}",
        f"UPDATE request SET undo_until = 1, {NEXT} WHERE {APPROVED}",
        f"UPDATE request SET risk_level = 'funny', {NEXT} WHERE {PENDING}",
        f"DELETE FROM request WHERE {PENDING}",
        f"INSERT OR REPLACE INTO request SELECT * FROM request WHERE {PENDING}",
        f"UPDATE request SET cause = NULL, version = version + 1 WHERE {APPROVED}",
        f"UPDATE request SET decided_digest = NULL, version = version + 1 WHERE {APPROVED}",
        f"UPDATE request SET submission = '{{}}' WHERE {PENDING}",
        f"UPDATE request SET digest = 'sha256:other' WHERE {PENDING}",
        f"UPDATE request SET version = 'two' WHERE {PENDING}",
        "INSERT INTO review SELECT request_id, 9, reviewer_id, verdict, digest, 0, at, body FROM review",
        "INSERT INTO review VALUES ('req_nobody', 0, 'U1', 'approve', 'd', 0, 0, '{}')",
        "UPDATE review SET verdict = 'perhaps'",
        "UPDATE card SET state = 'posted' WHERE state = 'wanted'",
        "UPDATE card SET state = 'failed' WHERE state = 'wanted'",
        "UPDATE outbox SET done_at = 1, failed_at = 1, last_error = 'x'",
        "UPDATE outbox SET failed_at = 1",
        "UPDATE outbox SET done_at = 1, lease_until = 1",
        "INSERT INTO agent VALUES ('a', 'h', '[]', NULL, -1, '[]', 0, NULL)",
    ],
)
async def test_the_schema_refuses(raw, change):
    with pytest.raises(dialect.driver.IntegrityError):
        raw.execute(change)


@pytest.mark.parametrize(
    "change",
    [
        "execution_state = 'claimed'",
        "execution_state = 'failed'",
        "execution_state = 'not_started', claimed_at = NULL",
        "claimed_at = claimed_at + 1",
    ],
)
async def test_what_has_run_does_not_run_again(ran, change):
    with pytest.raises(dialect.driver.IntegrityError):
        ran.execute(f"UPDATE request SET {change}, {NEXT} WHERE {APPROVED}")


async def test_an_approval_may_end_earlier(raw):
    raw.execute(f"UPDATE request SET expires_at = expires_at - 1, {NEXT} WHERE {APPROVED}")


async def test_a_voided_review_may_stand_beside_a_live_one(raw):
    raw.execute(
        "INSERT INTO review SELECT request_id, 9, reviewer_id, verdict, digest, 1, at, body FROM review"
    )


async def test_the_deadline_may_be_leased_without_a_new_version(raw):
    raw.execute(f"UPDATE request SET due_at = due_at + 1 WHERE {PENDING}")


async def test_a_command_that_skips_a_version_finds_nobody(store):
    await store.write(CreateRequest(step := submitted(1)))
    skipped = replace(step, request=replace(step.request, version=3))
    assert await store.write(SaveTransition(skipped)) is False
