"""A session of which only a part was undone is called partial wherever somebody looks."""

import asyncio
import json
import sys
from pathlib import Path

import pytest

from bot.core.models import RollbackState
from tests.integration.slack_desk import ALEX, SAM, Desk, running_desk
from tests.integration.test_rollback_bot import agent_at, change, form_of, saying, submit
from tests.processes import REPO


@pytest.fixture
def place(tmp_path: Path) -> Path:
    found = tmp_path.resolve() / "agent"
    found.mkdir()
    return found


async def keyturn(directory: Path, *words: str) -> str:
    """What a command prints, run beside the server of that directory."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bot.cli", *words),
        cwd=REPO,
        env={"KEYTURN_DATABASE_URL": f"sqlite:///{directory}/keyturn.db"},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    assert process.returncode == 0, err.decode()
    return out.decode()


async def private(desk: Desk, user: str, words: str) -> None:
    """Until a person's own messages say this."""
    await desk.sandbox.until(
        lambda: any(words in json.dumps(message.blocks) for message in desk.sandbox.messages(user))
    )


async def test_a_session_that_stopped_half_way_is_called_partial_everywhere(
    tmp_path: Path, place: Path
) -> None:
    first, second = place / "first", place / "second"
    first.write_bytes(b"one\n")
    second.write_bytes(b"one\n")
    async with running_desk(tmp_path, pace=False) as desk, agent_at(desk, place) as client:
        session = (await client.start_session("evening")).id
        older = await change(desk, client, first, "two\n", session_id=session)
        newer = await change(desk, client, second, "two\n", session_id=session)
        began = await keyturn(tmp_path, "rollback", "session", "evening", "--reason", "It\x1b[2J broke.")
        id = next(word for word in began.split() if word.startswith("rbk_"))
        assert f"keyturn rollback {id}" in began
        await desk.sandbox.people.command(SAM, "C0APPROVE", "/rollback", "session evening")
        modal = await form_of(desk, SAM)
        first.write_bytes(b"somebody else's\n")
        await submit(desk, SAM, modal, reason="All of it.")
        await desk.painted(newer, "Rolled back")
        await private(desk, SAM, "Partly rolled back (partial)")
        for request in (newer, older):
            await saying(desk, request, "1 of 2 actions undone")

        shown = (await keyturn(tmp_path, "rollback", id)).splitlines()
        assert shown[0].startswith(f"{id} is partial (conflict): 1 of 2 actions undone")
        assert shown[1].startswith(f"{newer.id}: succeeded")
        assert shown[2].startswith(f"{older.id}: conflict: ")
        told = await keyturn(tmp_path, "audit", "query", "--event", "rollback_failed")
        assert "(partial: 1 of 2 undone)" in told
        await desk.sandbox.people.command(ALEX, "C0APPROVE", "/audit", "session evening")
        figures = json.dumps((await desk.private(ALEX, "evening")).blocks)
        assert "1 rolled back, 1 partial rollback" in figures
        assert "partial, 1 of 2 undone" in figures
        assert (first.read_bytes(), second.read_bytes()) == (b"somebody else's\n", b"one\n")
        found = await desk.bot.store.reads.rollback(id)
        assert found is not None
        assert (found.state, found.partial) == (RollbackState.CONFLICT, True)
