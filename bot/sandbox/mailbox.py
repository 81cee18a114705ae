"""The workspace's mailbox: an SMTP server on this machine that keeps all mail and sends none on."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from email import message_from_bytes, policy
from email.message import EmailMessage

from aiosmtpd.smtp import SMTP, Envelope, Session

from bot.sandbox.workspace import Workspace

KEPT = 200
"""Mails; older ones go."""

LARGEST = 1 << 20
"""Bytes of one mail."""


class Mailbox:
    """Takes every mail for everybody (aiosmtpd's handler hooks)."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:
        """Keep one mail."""
        content = envelope.content or b""
        whole = content if isinstance(content, bytes) else content.encode()
        mail = message_from_bytes(whole, policy=policy.default)
        assert isinstance(mail, EmailMessage), "the default policy makes EmailMessages"
        body = mail.get_body(("plain", "html"))
        self._workspace.mail.append(
            {
                "from": envelope.mail_from or "",
                "to": ", ".join(envelope.rcpt_tos),
                "subject": str(mail.get("Subject", "")),
                "text": "" if body is None else body.get_content().replace("\r\n", "\n"),
                "at": self._workspace.clock(),
            }
        )
        del self._workspace.mail[:-KEPT]
        self._workspace.signal.bump()
        return "250 Kept"


@asynccontextmanager
async def receiving(workspace: Workspace, host: str) -> AsyncIterator[int]:
    """A server for the workspace's mail until the block ends; its port."""
    box = Mailbox(workspace)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        lambda: SMTP(box, hostname="sandbox", data_size_limit=LARGEST, enable_SMTPUTF8=True), host, 0
    )
    try:
        port: int = server.sockets[0].getsockname()[1]
        yield port
    finally:
        server.close()
        await server.wait_closed()
