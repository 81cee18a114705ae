"""The sandbox's mailbox: what the bot sends by e-mail is there to be read, and goes nowhere else."""

from datetime import timedelta
from email.message import EmailMessage
from pathlib import Path

import aiosmtplib
import pytest

from bot.sandbox import running_sandbox
from bot.sandbox.mailbox import KEPT
from tests.integration import slack_desk
from tests.integration.slack_desk import ShiftedClock, crowded_workspace, running_bot

POLICY = """
auto_approve_threshold: never
auto_reject_threshold: never
default_timeout: 10m
channel: C0APPROVE
approvers: {quorum: 1, groups: [release]}
escalation_rules:
  - name: manager
    trigger: {after: 1m}
    escalate_to: sre
    notify: [{email: dana@example.com}]
"""


async def test_any_mail_is_kept_with_its_text_and_shown_in_the_state() -> None:
    async with running_sandbox() as sandbox:
        mail = EmailMessage()
        mail["From"], mail["To"], mail["Subject"] = "a@example.com", "b@example.com", "Grüße"
        mail.set_content("Plain words.")
        mail.add_alternative("<p>Other words.</p>", subtype="html")
        before = sandbox.workspace.signal.count
        for _ in range(KEPT + 1):
            await aiosmtplib.send(mail, hostname="127.0.0.1", port=sandbox.mail_port)
        shown = sandbox.state()["mail"]
    assert len(shown) == KEPT
    assert sandbox.workspace.signal.count > before
    kept = {name: shown[0][name] for name in ("from", "to", "subject", "text")}
    assert kept == {
        "from": "a@example.com",
        "to": "b@example.com",
        "subject": "Grüße",
        "text": "Plain words.\n",
    }


async def test_an_escalation_by_e_mail_lands_in_the_mailbox(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slack_desk, "POLICY", POLICY)
    clock = ShiftedClock()
    async with (
        running_sandbox(workspace=crowded_workspace()) as slack,
        running_bot(slack, tmp_path, clock=clock) as desk,
    ):
        request = await desk.ask()
        await desk.card(request)
        clock.shift(timedelta(minutes=11))
        await desk.bot.escalations.run_once()
        [mail] = await slack.until(lambda: slack.state()["mail"])
        sent = await desk.until_audited(request, "notification_sent")
    assert (mail["from"], mail["to"]) == ("keyturn@example.com", "dana@example.com")
    assert "waiting for a decision" in mail["subject"]
    assert "/archives/C0APPROVE/p" in mail["text"]
    assert request.id in mail["text"]
    assert sent
