"""Checkpoints outside the database: a file, a Slack channel and a webhook, each enough to verify with."""

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from standardwebhooks import Webhook

from bot.core.checkpoint import check, read
from bot.notify.checkpoints import CheckpointWebhook
from bot.sandbox.model import Message
from bot.services.audit import verify
from bot.services.checkpoints import TO_WEBHOOK, Anchors, Checkpoints, kept_notes, note_file, signing_key
from bot.services.outbox import Later, Sent
from bot.store import Store
from bot.store.commands import CreateRequest, LeaseOutbox
from bot.store.outbox import OutboxItem
from tests.factories import NOON
from tests.integration.slack_desk import Desk, running_desk
from tests.integration.test_webhook import SECRET, RealClock, Receiver, item, receiving, status
from tests.store.conftest import HandClock
from tests.store.histories import submitted

ADMINS = "C0ADMIN01"


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    async with running_desk(tmp_path) as made:
        yield made


def notes(desk: Desk) -> list[Message]:
    return [m for m in desk.sandbox.messages(ADMINS) if m.text.startswith("Rows up to")]


def pasted(message: Message) -> str:
    """What a person copies from the message's frame."""
    [rich] = message.blocks
    [frame] = [part for part in rich["elements"] if part["type"] == "rich_text_preformatted"]
    return str(frame["elements"][0]["text"])


async def signed(desk: Desk, many: int) -> list[Message]:
    await desk.ask()
    assert await desk.bot.checkpoints.sign() is not None
    return await desk.sandbox.until(lambda: found if len(found := notes(desk)) == many else None)


async def test_a_clean_stop_leaves_no_row_unsigned(tmp_path: Path) -> None:
    async with running_desk(tmp_path) as desk:
        await desk.card(await desk.ask())
    async with Store.reading(f"sqlite:///{tmp_path}/keyturn.db") as reads:
        note, head = await reads.last_checkpoint(), await reads.chain_head()
    assert note is not None
    assert read(note).place.seq == head.seq - 1, "the last row says that the one before was signed"
    assert note_file(tmp_path / "keyturn.db").notes()[-1] == note


async def test_each_checkpoint_is_posted_under_one_message_of_the_day(desk: Desk, tmp_path: Path) -> None:
    await signed(desk, 1)
    one, two = await signed(desk, 2)
    assert one.thread_ts == two.thread_ts is not None
    [opening] = [m for m in desk.sandbox.messages(ADMINS) if m.ts == one.thread_ts]
    assert f"--key {desk.bot.checkpoints.public}" in str(opening.blocks)

    copied = tmp_path / "copied.txt"
    copied.write_text(f"{pasted(one)}\r\n\r\nand the next one:\n  {pasted(two)}")
    found = kept_notes(copied)
    assert [check(note, desk.bot.checkpoints.public).note for note in found] == found
    assert (await verify(desk.bot.store.reads, notes=found, key=desk.bot.checkpoints.public)).ok
    assert await desk.bot.store.reads.audit_page(event="notification_failed") == []


async def test_a_channel_that_refuses_is_given_up_quietly_and_asked_again_next_time(
    desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    desk.sandbox.workspace.channel(ADMINS).is_archived = True
    await desk.ask()
    assert await desk.bot.checkpoints.sign() is not None
    await desk.sandbox.until(lambda: "checkpoint not posted" in caplog.text or None)
    desk.sandbox.workspace.channel(ADMINS).is_archived = False
    assert len(await signed(desk, 1)) == 1
    assert await desk.bot.store.reads.audit_page(event="notification_failed") == []


async def test_what_waits_to_be_posted_is_the_newest_alone(tmp_path: Path) -> None:
    async with Store.open(f"sqlite:///{tmp_path}/k.db", clock=HandClock()) as store:
        kept = note_file(tmp_path / "k.db")
        anchors = Anchors("C0AUDIT", "https://audit.example.com/x")
        checkpoints = Checkpoints(store, HandClock(), signing_key(tmp_path), kept, lambda: anchors)
        for number in (1, 2):
            await store.write(CreateRequest(submitted(number)))
            last = await checkpoints.sign()
        assert last is not None
        kinds = frozenset({"checkpoint.slack", TO_WEBHOOK})
        rows = await store.write(LeaseOutbox(NOON + timedelta(hours=1), 10, timedelta(seconds=30), kinds))
        assert {(row.kind, row.payload["to"]) for row in rows} == {
            ("checkpoint.slack", "C0AUDIT"),
            (TO_WEBHOOK, "https://audit.example.com/x"),
        }
        assert {row.payload["note"] for row in rows} == {last.note}


async def test_a_webhook_gets_the_note_signed() -> None:
    said = {"seq": 7, "at": "2026-11-22T12:00:00.000000Z", "note": "the note\n", "key": "keyturn+…"}
    async with receiving() as receiver:
        sender = CheckpointWebhook(SECRET, RealClock(), allow=["127.0.0.1"])
        assert await sender.send(_row(receiver, said)) == Sent()
        [(headers, body)] = receiver.got
        receiver.answer = status(500)
        assert isinstance(await sender.send(_row(receiver, said)), Later)
    Webhook(SECRET).verify(body, {name.lower(): value for name, value in headers.items()})
    assert json.loads(body) == {
        "type": "audit.checkpoint",
        "timestamp": said["at"],
        "data": {"seq": 7, "note": "the note\n", "key": "keyturn+…"},
    }


def _row(receiver: Receiver, said: dict[str, object]) -> OutboxItem:
    return replace(item(receiver.url, request_id=None), kind=TO_WEBHOOK, payload={"to": receiver.url, **said})
