"""A running sandbox as an object: where it is, its secrets, its parts, and ways to look at it."""

import asyncio
import secrets
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, TypeVar
from urllib.parse import urlsplit

from aiohttp import ClientSession

from bot.sandbox.delivery import Delivery, Transport
from bot.sandbox.faults import Faults, Pace
from bot.sandbox.model import Json, Message, Modal
from bot.sandbox.people import People
from bot.sandbox.signals import Signal, Tasks
from bot.sandbox.signed_http import SignedHttp
from bot.sandbox.sockets import Sockets
from bot.sandbox.state import snapshot
from bot.sandbox.tickets import SocketTickets
from bot.sandbox.traffic import Traffic
from bot.sandbox.webapi import Services
from bot.sandbox.workspace import Workspace

Found = TypeVar("Found")
LOOK_AGAIN_SECONDS = 0.05


class Sandbox:
    """A running sandbox: where it is, its secrets, and its workspace to look at and act in.

    Attributes:
        url: `http://127.0.0.1:PORT`; `api_url` adds `/api/`.
        people: What a person can do: click, submit, command, write, open_home, ...
        workspace: Channels, messages, views; change people and channels here.
        mail_port: Where its SMTP server listens; what it gets is in `workspace.mail`.
    """

    def __init__(
        self,
        url: str,
        workspace: Workspace,
        session: ClientSession,
        tasks: Tasks,
        *,
        transport: str,
        bot_url: str | None,
        signing_secret: str,
        pace: bool,
        ack_seconds: float,
        event_retry_seconds: Sequence[float],
    ) -> None:
        self.url = url
        self.api_url = f"{url}/api/"
        self.bot_token = f"xoxb-{secrets.token_hex(6)}-{secrets.token_hex(12)}"
        self.app_token = f"xapp-1-{workspace.bot['app_id']}-{secrets.token_hex(16)}"
        self.signing_secret = signing_secret
        self.workspace = workspace
        self.mail_port = 0
        self.wake = Signal()
        workspace.signal.also = self.wake
        self.traffic = Traffic(self.wake)
        self.faults = Faults(workspace.clock)
        self.pace = Pace(workspace.clock, pace)
        self.sockets = Sockets(workspace.bot["app_id"], SocketTickets(), tasks, workspace.signal)
        self.http = SignedHttp(session, signing_secret, bot_url)
        ways: dict[str, Transport] = {"socket": self.sockets, "http": self.http}
        if transport not in ways:
            raise ValueError(f"Unknown transport {transport!r}: use socket or http.")
        self.delivery = Delivery(
            ways[transport], self.faults, self.traffic, tasks, ack_seconds, event_retry_seconds
        )
        self.people = People(workspace, self.delivery, url)

    def services(self) -> Services:
        """What the Web API acts on."""
        return Services(
            self.workspace, self.pace, self.sockets.tickets, self.url, self.bot_token, self.app_token
        )

    def deliver_to(self, bot_url: str) -> None:
        """Deliver over signed HTTP to this request URL from here on."""
        self.http.url = bot_url
        self.delivery.transport = self.http
        self.workspace.changed()

    async def add_fault(self, fault: str, **rule: Any) -> None:
        """Put a fault rule in force (`faults.Fault`); `socket_refresh` happens at once.

        Raises:
            ValueError: it is not a rule.
        """
        if fault == "socket_refresh":
            await self.sockets.refresh()
        else:
            self.faults.add({"fault": fault, **rule})

    def state(self) -> Json:
        """The whole state, as the page reads it."""
        transport = self.delivery.transport
        return snapshot(self.workspace, connected=transport.connected, transport=transport.kind)

    def environment(self) -> dict[str, str]:
        """The variables a bot needs to talk to this sandbox over the transport in use."""
        common = {
            "SLACK_API_URL": self.api_url,
            "SLACK_BOT_TOKEN": self.bot_token,
            "KEYTURN_SMTP_URL": self._smtp_url(),
        }
        if self.delivery.transport is self.sockets:
            return common | {"SLACK_APP_TOKEN": self.app_token}
        return common | {"SLACK_SIGNING_SECRET": self.signing_secret}

    def _smtp_url(self) -> str:
        host = urlsplit(self.url).netloc.rpartition(":")[0]
        return f"smtp://{host}:{self.mail_port}?from=keyturn@example.com"

    def messages(self, channel: str) -> list[Message]:
        """The messages of a channel, oldest first; a person's id means their DM."""
        target = "D" + channel[1:] if channel in self.workspace.users else channel
        if target not in self.workspace.channels:
            return []
        return sorted(self.workspace.messages(target), key=lambda message: message.ts)

    def modal(self, user: str) -> Modal | None:
        """The modal a person has on top."""
        stack = self.workspace.views.stacks.get(user)
        return stack[-1] if stack else None

    async def until(self, look: Callable[[], Found | None], timeout: float = 10.0) -> Found:
        """The first truthy answer of `look`, asked now, after every change and now and then; or TimeoutError.

        `look` may ask about the bot too, of whose changes the sandbox hears nothing.
        """
        async with asyncio.timeout(timeout):
            while not (found := look()):
                with suppress(TimeoutError):
                    await self.wake.until(look, LOOK_AGAIN_SECONDS)
        return found

    async def until_connected(self, timeout: float = 10.0) -> None:
        """Return once payloads can be delivered."""
        await self.until(lambda: self.delivery.transport.connected, timeout)
