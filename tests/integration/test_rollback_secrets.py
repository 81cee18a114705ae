"""Secrets in undo data, in previews, in their ends and in reasons: none is shown, none is in the audit."""

import json
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import pytest

from bot.core.executing import Outcome
from bot.core.models import ApprovalRequest, RollbackState
from bot.core.rollback import Report
from tests.integration.slack_desk import RAFAEL, SAM, Desk, running_desk, view_words
from tests.integration.test_no_secret_leaves import SECRETS, leaked
from tests.integration.test_rollback_bot import form_of, submit
from tests.integration.test_rollback_partial import keyturn

SHORT = [secret for secret in SECRETS if len(secret) < 200]


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    async with running_desk(tmp_path, pace=False) as made:
        yield made


async def ran(desk: Desk, secret: str, session: str) -> ApprovalRequest:
    """An action that is undone by a command with a secret in it."""
    request = await desk.ask("custom_step", {"size": "small"}, session_id=session)
    await desk.click(RAFAEL, request)
    await desk.until_audited(request, "action_approved")
    decided = (await desk.now(request)).decision
    assert decided is not None
    await desk.bot.approvals.claim(
        desk.agent,
        request.id,
        digest=str(decided.digest),
        preview_digest=None,
        audience=None,
        key=None,
        body=b"",
    )
    undo = {"type": "command_undo", "argv": ["restore", f"--token={secret}", secret]}
    await desk.bot.approvals.report(desk.agent, request.id, Outcome(True, rollback=[undo]))
    await desk.painted(request, "Done")
    return await desk.now(request)


def saying(state: RollbackState, secret: str) -> Report:
    words = f"Run restore with {secret}."
    return Report(state, words, f"-token={secret}\n+none", (f"restore {secret}",), words)


@pytest.mark.parametrize("ends", [RollbackState.SUCCEEDED, RollbackState.FAILED])
async def test_no_secret_of_a_rollback_is_shown_or_audited(
    desk: Desk, tmp_path: Path, ends: RollbackState
) -> None:
    secret, other = SHORT[0], SHORT[1]
    request = await ran(desk, secret, "evening")
    await desk.sandbox.people.command(SAM, "C0APPROVE", "/rollback", f"session evening It leaked {other}")
    [item] = (await desk.bot.rollbacks.queue(desk.agent, seconds=10))[0].rollback.items
    await desk.bot.rollbacks.report(desk.agent, item.id, saying(RollbackState.PREVIEWED, secret))
    modal = await form_of(desk, SAM)
    assert "redacted" in view_words(modal)
    await submit(desk, SAM, modal, reason=f"Yes {other}")
    [work] = await desk.bot.rollbacks.queue(desk.agent, seconds=10)
    await desk.bot.rollbacks.claim(desk.agent, work.item.id, key=None, body=b"")
    await desk.bot.rollbacks.report(desk.agent, work.item.id, saying(ends, secret))
    words = {RollbackState.SUCCEEDED: "Rolled back", RollbackState.FAILED: "The rollback failed"}[ends]
    await desk.sandbox.until(lambda: any(words in json.dumps(m.blocks) for m in desk.cards(request)))
    await desk.sandbox.until(lambda: any(words in m.text for m in desk.sandbox.messages(SAM)))

    told = await keyturn(tmp_path, "rollback", work.rollback.id)
    assert "redacted" in told
    typed = [other]  # people's own words to Slack, on the wire from it
    shown = [repr(m) for place in list(desk.sandbox.workspace.channels) for m in desk.sandbox.messages(place)]
    calls = [repr(entry) for entry in desk.sandbox.traffic.after(0)]
    assert leaked("\n".join([*shown, told])) == []
    assert [found for found in leaked("\n".join(calls)) if found not in typed] == []
    assert other not in view_words(modal)
    with closing(sqlite3.connect(tmp_path / "keyturn.db")) as raw:
        rows = raw.execute("SELECT group_concat(CAST(canonical AS TEXT), char(10)) FROM audit").fetchone()[0]
    assert leaked(rows) == []
