"""The sandbox as a running server: composition, addresses, secrets, start and stop.

It binds loopback only, makes fresh tokens at every start and keeps nothing when it stops.
"""

import asyncio
import os
import secrets
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

from aiohttp import ClientSession, web

from bot.sandbox.delivery import ACK_SECONDS, EVENT_RETRY_SECONDS, Delivery, Transport
from bot.sandbox.faults import Faults, Pace
from bot.sandbox.model import Json, Message, Modal
from bot.sandbox.people import People
from bot.sandbox.routes import Page, only_this_machine
from bot.sandbox.signals import Signal, Tasks
from bot.sandbox.signed_http import SignedHttp
from bot.sandbox.sockets import Sockets
from bot.sandbox.state import snapshot
from bot.sandbox.tickets import SocketTickets
from bot.sandbox.traffic import Traffic
from bot.sandbox.webapi import Services
from bot.sandbox.wire import MAX_UPLOAD_BYTES, Wire
from bot.sandbox.workspace import Workspace, load_workspace

LOOPBACK = ("127.0.0.1", "localhost", "::1")
Found = TypeVar("Found")


class Sandbox:
    """A running sandbox: where it is, its secrets, and its workspace to look at and act in.

    Attributes:
        url: `http://127.0.0.1:PORT`; `api_url` adds `/api/`.
        people: What a person can do: click, submit, command, write, open_home, ...
        workspace: Channels, messages, views; change people and channels here.
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
        common = {"SLACK_API_URL": self.api_url, "SLACK_BOT_TOKEN": self.bot_token}
        if self.delivery.transport is self.sockets:
            return common | {"SLACK_APP_TOKEN": self.app_token}
        return common | {"SLACK_SIGNING_SECRET": self.signing_secret}

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

    async def until(self, look: Callable[[], Found], timeout: float = 10.0) -> Found:
        """The first truthy answer of `look`, asked now and after every change, or TimeoutError."""
        return await self.wake.until(look, timeout)

    async def until_connected(self, timeout: float = 10.0) -> None:
        """Return once payloads can be delivered."""
        await self.until(lambda: self.delivery.transport.connected, timeout)


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return socket.create_server((host, port), family=family)


@asynccontextmanager
async def running_sandbox(
    port: int = 0,
    workspace: Workspace | Path | None = None,
    transport: str = "socket",
    bot_url: str | None = None,
    *,
    host: str = "127.0.0.1",
    signing_secret: str | None = None,
    pace: bool = True,
    clock: Callable[[], float] = time.time,
    ack_seconds: float = ACK_SECONDS,
    event_retry_seconds: Sequence[float] = EVENT_RETRY_SECONDS,
) -> AsyncIterator[Sandbox]:
    """Run a sandbox for as long as the context lasts.

    Args:
        port: 0 for a free one.
        workspace: A workspace, a JSON file of one, or None for the default.
        transport: `socket` or `http`; `bot_url` is the request URL for the latter.
        pace: Whether one message a second and channel is enforced.
        clock: For a workspace made here: Unix seconds.
    """
    if host not in LOOPBACK:
        raise ValueError(f"The sandbox binds loopback only, not {host}: use 127.0.0.1.")
    if not isinstance(workspace, Workspace):
        workspace = load_workspace(workspace, clock)
    app = web.Application(middlewares=[only_this_machine], client_max_size=MAX_UPLOAD_BYTES)
    tasks = Tasks()
    # The address is in every URL the sandbox hands out, so the port is taken before anything is built.
    listener = _listen(host, port)
    taken = listener.getsockname()[1]
    shown = f"[{host}]" if ":" in host else host
    async with ClientSession() as session:
        sandbox = Sandbox(
            f"http://{shown}:{taken}",
            workspace,
            session,
            tasks,
            transport=transport,
            bot_url=bot_url,
            signing_secret=signing_secret or secrets.token_hex(16),
            pace=pace,
            ack_seconds=ack_seconds,
            event_retry_seconds=event_retry_seconds,
        )
        page = Page(sandbox)
        app.add_routes(Wire(sandbox.services(), sandbox.faults, sandbox.traffic).routes())
        app.add_routes([web.get("/socket", sandbox.sockets.serve), *page.routes()])
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
        await runner.setup()
        try:
            await web.SockSite(runner, listener).start()
            yield sandbox
        finally:
            page.closing.set()
            sandbox.wake.bump()
            await sandbox.sockets.close()
            await tasks.stop()
            await runner.cleanup()


async def serve_sandbox(
    port: int,
    transport: str,
    bot_url: str | None,
    env_file: Path | None,
    workspace: Path | None,
    announce: Callable[[str], None],
) -> None:
    """Run a sandbox until SIGINT or SIGTERM, telling `announce` where it is and how to connect a bot."""
    stop = asyncio.Event()
    for signum in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(signum, stop.set)
    async with running_sandbox(port, workspace, transport, bot_url) as sandbox:
        announce(f"The sandbox is at {sandbox.url}/")
        if env_file is None:
            announce("Connect a bot with these variables, made for this run:")
            for name, value in sandbox.environment().items():
                announce(f"export {name}={value}")
        else:
            _write_private(env_file, sandbox.environment())
            announce(f"The variables for a bot are in {env_file}: set -a; . {env_file}; set +a")
        await stop.wait()


def run(
    port: int,
    transport: str = "socket",
    bot_url: str | None = None,
    env_file: Path | None = None,
    workspace: Path | None = None,
    announce: Callable[[str], None] | None = None,
) -> None:
    """Run a sandbox as a program, until it is interrupted.

    Args:
        port: 0 for a free one.
        transport: `socket` or `http`; the latter delivers to `bot_url`.
        env_file: Where to write the `SLACK_*` variables (mode 0600) instead of printing them.
        workspace: A JSON file in the shape of `default_workspace.json`.
        announce: Where its lines go; standard output by default.

    Raises:
        OSError: the port is taken.
        ValueError: the workspace file is not one, or the transport is unknown.
    """
    tell = announce or _print
    with suppress(KeyboardInterrupt):
        asyncio.run(serve_sandbox(port, transport, bot_url, env_file, workspace, tell))


def _print(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def _write_private(path: Path, variables: dict[str, str]) -> None:
    """Write a file only its owner can read, even where one with wider rights was before."""
    path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.writelines(f"{name}={value}\n" for name, value in variables.items())
