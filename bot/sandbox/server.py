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
from contextlib import asynccontextmanager, closing, suppress
from pathlib import Path

from aiohttp import ClientSession, web

from bot.sandbox.delivery import ACK_SECONDS, EVENT_RETRY_SECONDS
from bot.sandbox.mailbox import receiving
from bot.sandbox.routes import Page, only_this_machine
from bot.sandbox.sandbox import Sandbox
from bot.sandbox.signals import Tasks
from bot.sandbox.wire import MAX_UPLOAD_BYTES, Wire
from bot.sandbox.workspace import Workspace, load_workspace

LOOPBACK = ("127.0.0.1", "localhost", "::1")


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
    shown = f"[{host}]" if ":" in host else host
    # The address is in every URL the sandbox hands out, so the port is taken before anything is built.
    with closing(_listen(host, port)) as listener:
        async with ClientSession() as session, _owner() as tasks:
            sandbox = Sandbox(
                f"http://{shown}:{listener.getsockname()[1]}",
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
            async with receiving(workspace, host) as sandbox.mail_port, _served(sandbox, listener):
                yield sandbox


@asynccontextmanager
async def _owner() -> AsyncIterator[Tasks]:
    tasks = Tasks()
    try:
        yield tasks
    finally:
        await tasks.stop()


@asynccontextmanager
async def _served(sandbox: Sandbox, listener: socket.socket) -> AsyncIterator[None]:
    app = web.Application(middlewares=[only_this_machine], client_max_size=MAX_UPLOAD_BYTES)
    page = Page(sandbox)
    app.add_routes(Wire(sandbox.services(), sandbox.faults, sandbox.traffic).routes())
    app.add_routes([web.get("/socket", sandbox.sockets.serve), *page.routes()])
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    try:
        await web.SockSite(runner, listener).start()
        yield
    finally:
        # Streams end by themselves when told, so that the runner need not wait for them.
        page.closing.set()
        sandbox.wake.bump()
        await sandbox.sockets.close()
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
    if transport == "http" and not bot_url:
        raise ValueError(
            "Over HTTP the sandbox must know where the bot listens: name its request URL, "
            "such as http://127.0.0.1:8420/slack/events."
        )
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
        env_file: Where to write the bot's variables (mode 0600) instead of printing them.
        workspace: A JSON file in the shape of `default_workspace.json`.
        announce: Where its lines go; standard output by default.

    Raises:
        OSError: the port is taken.
        ValueError: the workspace file is not one, the transport is unknown, or `http` has no `bot_url`.
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
