"""A session's thread: everything about it in one place, told in batches."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bot.core.models import Cause, Status
from bot.sandbox.model import Message
from tests.integration import slack_desk
from tests.integration.slack_desk import RAFAEL, Desk, running_desk

AUTOMATIC = """
allow:
  - {name: notes, action_type: file_write, path_pattern: "/srv/notes/**"}
"""


@pytest.fixture
async def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Desk]:
    monkeypatch.setattr(slack_desk, "POLICY", slack_desk.POLICY + AUTOMATIC.lstrip("\n"))
    async with running_desk(tmp_path, pace=False) as running:
        yield running


async def note(desk: Desk, name: str, session: str | None = "s1") -> None:
    """Something that needs nobody."""
    params = {"path": f"/srv/notes/{name}", "content": "x", "overwrite": True}
    done = await desk.ask("file_write", params, session_id=session)
    assert (done.status, done.cause) == (Status.APPROVED, Cause.POLICY_RULE)


def thread(desk: Desk, card: Message) -> list[Message]:
    """The answers under a card."""
    return [m for m in desk.sandbox.messages(card.channel) if m.thread_ts == card.ts and m.ts != card.ts]


async def told(desk: Desk, card: Message, words: str) -> Message:
    """The answer under a card that holds these words."""
    return await desk.sandbox.until(
        lambda: next((m for m in thread(desk, card) if words in str(m.blocks)), None)
    )


async def test_automatic_decisions_are_told_in_batches_once_there_is_a_thread(desk: Desk) -> None:
    for number in range(3):
        await note(desk, f"{number}.txt")
    await note(desk, "elsewhere.txt", "s2")
    card = await desk.card(await desk.ask(session_id="s1"))
    first = await told(desk, card, "/srv/notes/2.txt")
    assert first.text.startswith("Decided without a person: 3; ✅ Approved by rule notes: Write file")
    assert "by rule notes" in str(first.blocks)
    await note(desk, "later.txt")
    later = await told(desk, card, "/srv/notes/later.txt")
    assert later.text.startswith("Decided without a person: 1; ")
    assert len(thread(desk, card)) == 2
    assert "elsewhere" not in str([m.blocks for m in desk.sandbox.messages("C0APPROVE")])


async def test_the_thread_of_the_first_card_is_the_timeline_of_the_session(desk: Desk) -> None:
    first = await desk.card(await desk.ask(session_id="s1"))
    second = await desk.ask("tool:other", {"x": 1}, session_id="s1")
    alone = await desk.card(await desk.ask("tool:alone", {"x": 1}))
    card = await desk.card(second)
    assert card.thread_ts is None
    await desk.bot.approvals.message(desk.agent, second.id, text="I need it tonight", in_reply_to=None)
    assert "I need it tonight" in (await told(desk, first, "tonight")).text
    await desk.click(RAFAEL, second)
    assert "Approved by Rafael Ito: " in str((await told(desk, first, "tool:other with")).blocks)
    assert thread(desk, card) == []
    assert thread(desk, alone) == []


async def test_a_channel_is_told_nothing_of_what_another_channel_decides(desk: Desk) -> None:
    """The policy chose who reads of a request: a thread elsewhere is no place for it."""
    first = await desk.card(await desk.ask(session_id="s1"))
    policies = desk.bot.policies.directory
    (policies / "secret.yaml").write_text(
        "name: secret\napplies_to: {action_types: ['secret:*']}\nchannel: C0SECALRT\n"
        "auto_approve_threshold: never\napprovers: {quorum: 1, groups: [release]}\n"
    )
    await desk.bot.reloads.reload(asked=True)
    hidden = await desk.ask("secret:thing", {"x": 1}, session_id="s1")
    card = await desk.card(hidden, "C0SECALRT")
    await desk.bot.approvals.message(desk.agent, hidden.id, text="Between us", in_reply_to=None)
    assert "Between us" in (await told(desk, card, "Between us")).text
    await note(desk, "open.txt")
    await told(desk, first, "open.txt")
    assert "Between us" not in str([m.blocks for m in desk.sandbox.messages("C0APPROVE")])
