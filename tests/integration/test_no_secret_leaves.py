"""Secrets go in at every place there is; none comes out in a card, a log, the audit or an export."""

import io
import json
import logging
import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from bot.core.executing import Outcome
from bot.core.models import Actor, Alternative, Via
from bot.services.audit import Audit
from bot.services.checkpoints import note_file
from bot.services.exports import Format
from bot.services.private_logs import RedactingFormatter
from bot.store.auditing import AuditFilter
from tests.integration.slack_desk import RAFAEL, Desk, running_desk, text
from tests.secrets_corpus import anywhere, inside, under_keys

ANYWHERE, INSIDE, UNDER = anywhere(), inside(), under_keys()
SECRETS = [*ANYWHERE.values(), *(secret for _, secret in INSIDE.values()), *UNDER.values()]


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    async with running_desk(tmp_path) as made:
        yield made


@pytest.fixture
def logged() -> Iterator[io.StringIO]:
    """Everything that is logged, in the form in which `serve` logs it."""
    written = io.StringIO()
    handler = logging.StreamHandler(written)
    handler.setFormatter(RedactingFormatter())
    root = logging.getLogger()
    root.addHandler(handler)
    yield written
    root.removeHandler(handler)


def leaked(written: str) -> list[str]:
    """The secrets in a text, as they are or as JSON writes them, or half of one."""
    whole = written.replace("\\n", "\n").replace("\\/", "/")
    return [secret for secret in SECRETS if secret in whole or secret[: len(secret) // 2 + 8] in whole]


async def run_through(desk: Desk) -> None:
    """Ask, open every view, talk, approve and report, with secrets everywhere."""
    params = {
        **{f"note {number}": secret for number, secret in enumerate(ANYWHERE.values())},
        **{f"text {number}": words for number, (words, _) in enumerate(INSIDE.values())},
        "nested": [{"deep": UNDER}],
    }
    texts = [*ANYWHERE.values(), *(words for words, _ in INSIDE.values())]
    every = "\n".join(texts)
    half = "\n".join(text for text in texts if len(text) < 60)
    assert len(half) < 3000  # what a description may hold
    actions = {
        "custom_step": params,
        "command_execute": {"command": INSIDE["environment"][0]},
        "config_change": UNDER,
    }
    for type_, asked in actions.items():
        request = await desk.ask(
            type_,
            asked,
            description=f"Use {half}",
            reason=half,
            preview=every,
            alternatives=(Alternative(half, {"other": half}),),
            metadata={"m": every, **UNDER},
            rollback={"type": "custom", "handler": "h", "data": UNDER},
        )
        await desk.card(request)
        for action in ("request.details", "request.modify"):
            await desk.click(RAFAEL, request, action)
            await desk.modal(RAFAEL, action)
        await desk.bot.approvals.message(desk.agent, request.id, text=half, in_reply_to=None)
        await desk.click(RAFAEL, request)
        await desk.until_audited(request, "action_approved")
        decided = await desk.now(request)
        assert decided.decision is not None
        assert decided.decision.params == asked  # the agent gets back what it sent
        await desk.bot.approvals.claim(
            desk.agent,
            request.id,
            digest=str(decided.decision.digest),
            preview_digest=decided.decision.preview_digest,
            audience=None,
            key=None,
            body=b"",
        )
        failed = Outcome(success=False, message=half, error=half, output=every)
        await desk.bot.approvals.report(desk.agent, request.id, failed)
        await desk.painted(request, "Failed")


async def test_no_secret_is_in_anything_that_is_written(
    desk: Desk, tmp_path: Path, logged: io.StringIO
) -> None:
    await run_through(desk)
    logging.getLogger("bot").error("trouble with %s", ANYWHERE["rsa key"])

    shown = json.dumps([repr(entry) for entry in desk.sandbox.traffic.after(0)], ensure_ascii=False)
    messages = repr(
        [m for place in list(desk.sandbox.workspace.channels) for m in desk.sandbox.messages(place)]
    )
    assert "redacted" in messages
    assert leaked(messages) == []
    assert leaked(shown) == []

    with closing(sqlite3.connect(tmp_path / "keyturn.db")) as raw:
        rows = raw.execute("SELECT group_concat(CAST(canonical AS TEXT), char(10)) FROM audit").fetchone()[0]
    assert "redacted" in rows
    assert leaked(rows) == []

    audit = Audit(desk.bot.store, desk.bot.clock, None, note_file(tmp_path / "keyturn.db"))
    for format in Format:
        pieces = await audit.export(AuditFilter(), format, after=0, actor=Actor.system("test"), via=Via.CLI)
        exported = b"".join([piece async for piece in pieces]).decode()
        assert leaked(exported) == []

    assert "trouble with" in logged.getvalue()
    assert leaked(logged.getvalue()) == []


async def test_what_is_masked_cannot_be_edited_and_is_kept(desk: Desk) -> None:
    request = await desk.ask("custom_step", {"password": UNDER["password"], "size": "small"})
    await desk.click(RAFAEL, request, "request.modify")
    modal = await desk.modal(RAFAEL, "request.modify")
    blocks = [block.get("block_id") for block in modal.view["blocks"] if block["type"] == "input"]
    assert "param:/size" in blocks
    assert "param:/password" not in blocks
    await desk.sandbox.people.submit(RAFAEL, modal.id, {"param:/size": text("large")})
    await desk.until_audited(request, "action_modified")
    decided = await desk.now(request)
    assert decided.decision is not None
    assert decided.decision.params == {"password": UNDER["password"], "size": "large"}
