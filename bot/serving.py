"""The process while it serves: two servers and the loops beside them, ended together.

A loop that dies ends the whole: a bot that answers while nothing escalates would be worse than none.
"""

import asyncio
import errno
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import uvicorn

from bot.config import Settings
from bot.core.clock import Clock
from bot.http import admin
from bot.http.app import KeyturnApp
from bot.services.agents import Agents
from bot.services.approvals import Approvals
from bot.services.checkpoints import Checkpoints
from bot.services.escalations import Escalations
from bot.services.grants import Grants
from bot.services.health import Health
from bot.services.outbox import Outbox
from bot.services.policies import Policies
from bot.services.reloading import Reloads
from bot.services.reviews import Reviews
from bot.services.rollbacks import Rollbacks
from bot.services.scheduler import Scheduler
from bot.services.waiting import Waiters
from bot.slack.app import SlackFace
from bot.store import Store
from bot.store.commands import Probe, Prune
from bot.system import spawn


@dataclass(frozen=True, slots=True)
class Listeners:
    """Sockets that are taken before anything is connected."""

    http: socket.socket
    admin: socket.socket


@dataclass(frozen=True, slots=True)
class Bot:
    """Everything that runs, connected."""

    settings: Settings
    store: Store
    policies: Policies
    reloads: Reloads
    grants: Grants
    agents: Agents
    approvals: Approvals
    reviews: Reviews
    rollbacks: Rollbacks
    escalations: Escalations
    outbox: Outbox
    scheduler: Scheduler
    health: Health
    waiters: Waiters
    checkpoints: Checkpoints
    commands: Mapping[str, admin.Command]
    slack: SlackFace
    app: KeyturnApp
    clock: Clock
    listeners: Listeners

    async def run(self, stop: asyncio.Event) -> None:
        """Serve until `stop`, then let what is open end; raise if a loop dies.

        New calls are refused first, then waits are answered, and the loops end last.
        """
        server = _Server(self.app)
        commands = _Server(admin.admin_app(self.agents, self.commands))
        async with asyncio.TaskGroup() as tasks:
            loops = asyncio.Event()
            await self.reloads.started()
            await self._start_ticking()
            tasks.create_task(self.store.watch(loops))
            tasks.create_task(self.outbox.run(loops, self.health.beat))
            tasks.create_task(self.slack.run(loops))
            tasks.create_task(self.scheduler.watch(loops))
            tasks.create_task(self.reloads.run(loops))
            serving = [
                tasks.create_task(server.serve([self.listeners.http])),
                tasks.create_task(commands.serve([self.listeners.admin])),
            ]
            try:
                await self._until(stop, serving)
            finally:
                self.scheduler.stop()
                self.app.stop_holding()
                server.should_exit = commands.should_exit = True
                await asyncio.wait(serving)
                loops.set()
        await self.checkpoints.run_once()

    async def _start_ticking(self) -> None:
        async def notice() -> None:
            await self.waiters.sweep()
            await self.agents.sweep()
            if not self.store.writable:  # nobody may be writing that could notice that it works again
                await self.store.write(Probe(self.clock.now()))

        async def due() -> None:
            try:
                await self.escalations.run_once()
            finally:
                await self.rollbacks.run_once()

        async def prune() -> None:
            while await self.store.write(Prune(self.clock.now())):
                pass  # piece by piece, so that other writes come in between

        await self.scheduler.start(due=due, notice=notice, checkpoint=self.checkpoints.run_once, prune=prune)

    async def _until(self, stop: asyncio.Event, serving: list[asyncio.Task[None]]) -> None:
        """Until `stop`, or until a server ends by itself, which it never should."""
        stopping = spawn(_wait(stop), name="stop")
        try:
            await asyncio.wait([stopping, *serving], return_when=asyncio.FIRST_COMPLETED)
        finally:
            stopping.cancel()
        if not stop.is_set():
            raise RuntimeError("the HTTP server ended by itself")

    @property
    def url(self) -> str:
        """Where it listens."""
        host, port = self.listeners.http.getsockname()[:2]
        return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def listen(host: str, port: int) -> socket.socket:
    """The HTTP socket, taken before anything else is opened: a port in use is the commonest fault.

    Raises:
        OSError: the address is taken or not this machine's.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=2048)
    except OSError as error:
        fix = (
            "set KEYTURN_PORT to a free one, unless a Keyturn runs there already"
            if error.errno == errno.EADDRINUSE
            else "set KEYTURN_HOST and KEYTURN_PORT to an address of this machine"
        )
        raise OSError(error.errno, f"cannot listen on {host}:{port} ({error.strerror}); {fix}") from error


async def _wait(event: asyncio.Event) -> None:
    await event.wait()


class _Server(uvicorn.Server):
    """Uvicorn without its own signal handlers: `serve` has them."""

    def __init__(self, app: Any) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                loop="none",
                interface="asgi3",
                http="httptools",
                ws="none",
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,
                timeout_graceful_shutdown=5,
                # Longer than clients keep an idle connection, so that it is they who close it: a call
                # that is sent on one which the server closes at that moment is lost.
                timeout_keep_alive=75,
            )
        )

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Capture none."""
        yield
