"""`notify: email`: one mail to one address, as text and HTML, over the operator's SMTP server.

The connection is encrypted whenever the server offers it, and a password never travels without.
A mail holds a link to the card in Slack and nothing that decides: whoever reads or forwards it
can approve nothing by it.
"""

import asyncio
import html
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from email.message import EmailMessage
from email.utils import format_datetime
from urllib.parse import parse_qs, unquote, urlsplit

import aiosmtplib
from pydantic import SecretStr

from bot.notify.channel import Notice, TryLater, Undeliverable

LONGEST_CALL = 15.0
"""Seconds, from connecting to the server's last answer."""

_UNKNOWN = frozenset({550, 551, 553})
"""Answers to RCPT that say there is no such mailbox (RFC 5321, section 4.2.3)."""

_PORTS = {"smtp": 587, "smtps": 465}
_LOCAL = frozenset({"localhost", "127.0.0.1", "::1"})


@dataclass(frozen=True, slots=True)
class Server:
    """Where mail goes out, from `KEYTURN_SMTP_URL`."""

    host: str
    port: int
    implicit_tls: bool
    user: str | None
    password: SecretStr | None
    sender: str

    @classmethod
    def of(cls, url: str) -> "Server":
        """`smtp[s]://[user:password@]host[:port][?from=address]`; ports 587 and 465 by default.

        Raises:
            ValueError: it is none; the message says what to write and quotes no password.
        """
        parts = urlsplit(url)
        try:
            port = parts.port
        except ValueError:
            raise ValueError("the port is not a number") from None
        query = parse_qs(parts.query, strict_parsing=True) if parts.query else {}
        if parts.scheme not in _PORTS or not parts.hostname or parts.path.strip("/"):
            raise ValueError("write smtp://HOST, or smtps://USER:PASSWORD@HOST:PORT?from=keyturn@example.com")
        if set(query) - {"from"} or (parts.username is None) != (parts.password is None):
            raise ValueError("only from= may follow the host, and a user needs a password")
        return cls(
            host=parts.hostname,
            port=port or _PORTS[parts.scheme],
            implicit_tls=parts.scheme == "smtps",
            user=None if parts.username is None else unquote(parts.username),
            password=None if parts.password is None else SecretStr(unquote(parts.password)),
            sender=query.get("from", [f"keyturn@{parts.hostname}"])[0],
        )


class EmailChannel:
    """Sends notices as mails.

    Args:
        server: None when the operator has set none; then nothing can be delivered.
        tls: How servers prove who they are; the system's certificates by default.
    """

    def __init__(self, server: Server | None, *, tls: ssl.SSLContext | None = None) -> None:
        self._server = server
        self._tls = tls

    async def initialize(self, settings: Mapping[str, str]) -> None:
        """Each mail has its own connection, so that a server may be restarted at any time."""

    async def send_notification(self, notice: Notice) -> None:
        """Hand one mail to the server; what becomes of it further on, the server does not tell.

        Raises:
            Undeliverable: `unknown_recipient`, `refused`, `bounced`, `not_authorised`, `tls_required`
                or `not_configured`.
            TryLater: `unreachable`, `timeout`, `deferred` or `tls_failed`.
        """
        if self._server is None:
            raise Undeliverable("not_configured", "set KEYTURN_SMTP_URL")
        try:
            async with asyncio.timeout(LONGEST_CALL):
                await self._send(self._server, mail(notice, sender=self._server.sender))
        except aiosmtplib.SMTPRecipientsRefused as refused:
            raise _recipient(refused.recipients[0]) from refused
        except aiosmtplib.SMTPAuthenticationError as refused:
            raise _answered(refused.code, "not_authorised") from refused
        except aiosmtplib.SMTPDataError as refused:
            raise _answered(refused.code, "bounced") from refused
        except aiosmtplib.SMTPResponseException as refused:
            raise _answered(refused.code, "refused") from refused
        except ssl.SSLError as trouble:
            raise TryLater("tls_failed", str(trouble)) from trouble
        except (TimeoutError, aiosmtplib.SMTPTimeoutError) as trouble:
            raise TryLater("timeout") from trouble
        except (aiosmtplib.SMTPException, OSError) as trouble:
            raise TryLater("tls_failed" if _is_tls(trouble) else "unreachable", str(trouble)) from trouble

    async def shutdown(self) -> None:
        """Nothing is held."""

    async def _send(self, server: Server, message: EmailMessage) -> None:
        client = aiosmtplib.SMTP(
            hostname=server.host,
            port=server.port,
            use_tls=server.implicit_tls,
            tls_context=self._tls,
            timeout=LONGEST_CALL,
        )
        async with client:
            if server.user is not None and server.password is not None:
                encrypted = client.get_transport_info("sslcontext") is not None
                if not encrypted and server.host not in _LOCAL:
                    raise Undeliverable("tls_required", "the server offers no encryption for the password")
                await client.login(server.user, server.password.get_secret_value())
            await client.send_message(message)


def mail(notice: Notice, *, sender: str) -> EmailMessage:
    """The mail: text and HTML with the same words; repeats of a notice have the same Message-ID."""
    message = EmailMessage()
    host = sender.rpartition("@")[2]
    message["From"] = sender
    message["To"] = notice.address
    message["Subject"] = notice.title
    message["Date"] = format_datetime(notice.at)
    message["Message-ID"] = f"<{notice.id}@{host}>"
    # All mails about a request are one thread, also when the first of them went to somebody else.
    message["References"] = f"<{notice.data.get('request_id', notice.id)}@{host}>"
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(_text(notice))
    message.add_alternative(_html(notice), subtype="html")
    return message


_FOOT = "Decide in Slack: nothing in this mail can approve or reject it. Keyturn"
_NO_LINK = "Open Slack to see it; its address is not known at the moment."


def _text(notice: Notice) -> str:
    where = f"Open it in Slack: {notice.link}" if notice.link else _NO_LINK
    return f"{notice.title}\n\n{notice.description}\n\n{where}\n\n-- \n{_FOOT}\n"


def _html(notice: Notice) -> str:
    lines = "<br>\n".join(html.escape(line) for line in notice.description.split("\n"))
    link = _NO_LINK
    if notice.link:
        link = f'<a href="{html.escape(notice.link)}">Open it in Slack</a>'
    return (
        '<!doctype html><html lang="en"><body style="font-family: sans-serif; line-height: 1.5">\n'
        f"<h2>{html.escape(notice.title)}</h2>\n<p>{lines}</p>\n<p>{link}</p>\n"
        f'<p style="color: #666"><small>{_FOOT}</small></p>\n</body></html>\n'
    )


def _recipient(refused: aiosmtplib.SMTPRecipientRefused) -> Undeliverable | TryLater:
    return _answered(refused.code, "unknown_recipient" if refused.code in _UNKNOWN else "refused")


def _answered(code: int, permanent: str) -> Undeliverable | TryLater:
    """A server's refusal: 4xx may be tried again, 5xx never (RFC 5321, section 4.2.1)."""
    return Undeliverable(permanent, str(code)) if code >= 500 else TryLater("deferred", str(code))


def _is_tls(trouble: BaseException | None) -> bool:
    while trouble is not None:
        if isinstance(trouble, ssl.SSLError):
            return True
        trouble = trouble.__cause__ or trouble.__context__
    return False
