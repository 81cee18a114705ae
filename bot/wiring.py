"""The composition root: opens every part, connects them, closes them in reverse.

`running(settings)` is what `serve` runs and what tests enter. A loop that dies ends the whole:
a bot that answers while nothing escalates would be worse than none.
"""

import asyncio
import logging
import secrets
import signal
import socket
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import uvicorn
from slack_sdk.web.async_client import AsyncWebClient

from bot.config import Settings, StoreSettings
from bot.core import redaction
from bot.core.clock import Clock
from bot.core.errors import Unavailable
from bot.core.models import ApproverSet
from bot.core.redaction import Redactor
from bot.http import admin, operating, wire
from bot.http.app import KeyturnApp, create_app
from bot.http.face import Facts, HttpSettings, Services
from bot.http.metrics import Metrics, Standing
from bot.notify.builtin import built_in
from bot.notify.channel import Channel
from bot.notify.sending import Notifications, opened
from bot.notify.webhook import Callback, WebhookSender
from bot.services import plugins
from bot.services.agents import Agents
from bot.services.approvals import Approvals
from bot.services.asking import Asking
from bot.services.audit import Audit
from bot.services.checkpoints import Checkpoints, note_file, signing_key
from bot.services.escalations import Escalations
from bot.services.grants import Grants
from bot.services.health import Health
from bot.services.keys import private_file, webhook_secret
from bot.services.oncall import OnCall
from bot.services.outbox import Outbox
from bot.services.pauses import Pauses
from bot.services.policies import Policies
from bot.services.private_logs import RedactingFormatter
from bot.services.receipts import Receipts
from bot.services.reloading import Reloads
from bot.services.reporting import Reporting
from bot.services.reviews import Reviews
from bot.services.rollbacks import Rollbacks
from bot.services.safeguards import SafeguardsRequests
from bot.services.scheduler import SWEEP, Scheduler
from bot.services.sessions import Sessions
from bot.services.simulating import Simulator
from bot.services.waiting import Waiters
from bot.slack.app import SlackAccess, SlackFace, web_client
from bot.slack.audit_desk import AuditDesk
from bot.slack.audit_sender import AuditSender
from bot.slack.directory import SlackDirectory
from bot.slack.grant_desk import GrantDesk
from bot.slack.homes import Homes
from bot.slack.links import CardLinks
from bot.slack.queue import Queue
from bot.slack.roles import Role
from bot.slack.rota import Rota
from bot.slack.sender import SlackSender
from bot.slack.switch import Switch
from bot.store import Store, sqlite_version
from bot.store.commands import Probe, Prune
from bot.system import SystemClock, new_id, new_token, spawn

log = logging.getLogger(__name__)

_ALLOWED_AGES = {
    "escalations": 3 * SWEEP,
    "outbox": timedelta(seconds=60),
    "notice": timedelta(seconds=30),
}
"""How old each loop's last good pass may be before readiness says so."""


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
            tasks.create_task(self.outbox.run(loops, self.health.beat))
            tasks.create_task(self.slack.run(loops))
            tasks.create_task(self.scheduler.watch(loops))
            tasks.create_task(self.checkpoints.run(loops))
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

        await self.scheduler.start(due=due, notice=notice, prune=prune)

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


@asynccontextmanager
async def running(settings: Settings, *, clock: Clock | None = None) -> AsyncIterator[Bot]:
    """Every part, open and connected; `Bot.run` serves with it.

    Raises:
        CannotOpen, PolicyError, OSError: it cannot start; the message says what to do.
    """
    clock = clock or SystemClock()
    redaction.use(redactor(settings.keyturn_key_dir))
    policies = Policies(settings.keyturn_policies)
    async with AsyncExitStack() as stack:
        http = _listen(settings.keyturn_host, settings.keyturn_port)
        stack.callback(http.close)
        # Port 0 is a free one: agents are told the one that was taken.
        settings = settings.model_copy(update={"keyturn_port": http.getsockname()[1]})
        store = await stack.enter_async_context(Store.open(settings.keyturn_database_url, clock=clock))
        admin_path = admin.socket_path(settings.database_path)
        admin_listener = admin.listen(admin_path)
        stack.callback(admin_path.unlink, missing_ok=True)
        stack.callback(admin_listener.close)
        access = slack_access(settings)
        client = await stack.enter_async_context(web_client(access))
        channels = await stack.enter_async_context(_channels(settings, clock))
        listeners = Listeners(http, admin_listener)
        yield _connect(settings, clock, store, policies, access, client, channels, listeners)


async def serve(settings: Settings, *, announce: Callable[[str], None]) -> None:
    """Run until SIGINT or SIGTERM; if a loop dies, raise, so that the process is restarted."""
    handler = logging.StreamHandler()
    handler.setFormatter(RedactingFormatter("%(asctime)s %(levelname)s %(name)s %(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    for noisy in ("alembic", "httpx", "apscheduler", "uvicorn.error", "aiosqlite", "watchfiles"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    stop = asyncio.Event()
    for signum in (signal.SIGINT, signal.SIGTERM):  # before uvicorn, which re-raises them
        asyncio.get_running_loop().add_signal_handler(signum, stop.set)
    async with running(settings) as bot:
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, bot.reloads.ask)
        announce(f"Keyturn listens on {bot.url}" + (" (Slack is a sandbox)" if settings.sandbox else ""))
        await bot.run(stop)


def new_event_loop() -> asyncio.AbstractEventLoop:
    """The fastest event loop there is on this system."""
    try:
        import uvloop
    except ImportError:  # not made for Windows
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()


@asynccontextmanager
async def offline_agents(settings: StoreSettings) -> AsyncIterator[Agents]:
    """Agents of a store that no server has open: commands take its lock, and make it if there is none."""
    clock = SystemClock()
    async with Store.open(settings.keyturn_database_url, clock=clock) as store:
        yield Agents(store, clock, new_token, webhook_key(settings.keyturn_key_dir))


@asynccontextmanager
async def offline_commands(settings: StoreSettings) -> AsyncIterator[Mapping[str, admin.Command]]:
    """Operators' commands on a store that no server has open, as `offline_agents`."""
    clock = SystemClock()
    redaction.use(redactor(settings.keyturn_key_dir))
    async with Store.open(settings.keyturn_database_url, clock=clock) as store:
        audit = Audit(store, clock, None, note_file(settings.database_path))
        yield operating.commands(store, audit, Pauses(store, clock), clock)


def slack_access(settings: Settings) -> SlackAccess:
    """How to reach Slack, by the settings."""
    app_token = settings.slack_app_token
    return SlackAccess(
        bot_token=settings.slack_bot_token.get_secret_value(),
        signing_secrets=[secret.get_secret_value() for secret in settings.slack_signing_secret],
        app_token=None if app_token is None else app_token.get_secret_value(),
        api_url=settings.slack_api_url,
    )


def _channels(settings: Settings, clock: Clock) -> AbstractAsyncContextManager[Mapping[str, Channel]]:
    """Every kind of notification outside Slack, opened: Keyturn's own and those of plug-ins."""
    url, secret = settings.keyturn_smtp_url, settings.keyturn_webhook_secret
    own = built_in(
        clock,
        smtp_url=None if url is None else url.get_secret_value(),
        webhook_secret=secret.get_secret_value() if secret else webhook_secret(settings.keyturn_key_dir),
        allow=settings.keyturn_webhook_allow,
    )
    of_plugins = {name: value.get_secret_value() for name, value in settings.plugin_settings.items()}
    return opened(own, plugins.installed(), of_plugins)


def redactor(key_dir: Path) -> Redactor:
    """Masks secrets, equal ones alike; its key is made at the first use, 0600."""
    return Redactor(private_file(key_dir / "redaction.key", lambda: secrets.token_bytes(32)))


def webhook_key(key_dir: Path) -> bytes:
    """The secret from which callback secrets are derived; made at the first use, 0600."""
    return private_file(key_dir / "callbacks.key", lambda: secrets.token_bytes(32))


def _connect(
    settings: Settings,
    clock: Clock,
    store: Store,
    policies: Policies,
    access: SlackAccess,
    client: AsyncWebClient,
    channels: Mapping[str, Channel],
    listeners: Listeners,
) -> Bot:
    health = Health(clock, _ALLOWED_AGES)
    scheduler = Scheduler(store, health.beat, clock)
    waiters = Waiters(store)
    agents = Agents(store, clock, new_token, webhook_key(settings.keyturn_key_dir))
    receipts = Receipts.open(settings.keyturn_key_dir, settings.public_url)
    on_call = OnCall(store, lambda: policies.current, clock, new_id)
    kept = note_file(settings.database_path)
    checkpoints = Checkpoints(store, clock, signing_key(settings.keyturn_key_dir), kept)
    audit = Audit(store, clock, checkpoints.public, kept)
    pauses = Pauses(store, clock)
    directory = SlackDirectory(client, clock, on_call.now)
    asking = Asking(policies, directory)
    grants = Grants(store, directory, clock, new_id)
    approvals = Approvals(store, policies, waiters, receipts, clock, new_id, scheduler.note, asking, grants)
    reviews = Reviews(store, approvals, directory, asking, clock, scheduler.note)
    rollbacks = Rollbacks(store, policies, directory, clock, new_id)
    links = CardLinks(client, store)
    simulator = Simulator(approvals.judge, lambda: approvals.groups, directory, on_call, clock)

    async def callback_of(request_id: str) -> Callback | None:
        request = await store.reads.request(request_id)
        if request is None:
            return None
        link = await links.of(request)
        data = wire.resource(request, public_url=settings.public_url, slack_link=link)
        return Callback(await agents.webhook_secret(request.agent), data)

    senders = (
        SlackSender(client, store, directory, clock, posted=reviews.check_fillable),
        AuditSender(client, audit, Reporting(store.reads, clock)),
        WebhookSender(callback_of, clock, allow=settings.keyturn_webhook_allow),
        Notifications(channels, store, clock, links.of),
    )
    outbox = Outbox(store, clock, senders, scheduler.note, lambda: asking.admin_channel)
    operators = Role(directory, lambda: policies.current.workspace.operators, "operators")
    auditors = Role(directory, lambda: policies.current.workspace.auditors, "auditors")
    queue, switch = Queue(store, directory), Switch(pauses, store, operators)
    rota = Rota(on_call, simulator, directory, lambda: approvals.groups, clock)
    slack = SlackFace(
        access,
        client,
        reviews=reviews,
        rollbacks=rollbacks,
        store=store,
        directory=directory,
        outbox=outbox,
        queue=queue,
        homes=Homes(queue, rota, switch, operators, lambda: _insiders(policies), store, directory, clock),
        switch=switch,
        grants=GrantDesk(grants, store, directory, operators, clock),
        audit=AuditDesk(audit, store, outbox, links, auditors, clock),
        rota=rota,
        clock=clock,
        new_reference=lambda: new_id("err"),
    )
    metrics = Metrics(clock, lambda: _standing(store, waiters))
    store.on_commit(metrics.committed)

    def late(by: timedelta) -> None:
        health.late(by)
        metrics.late(by)

    services = Services(
        approvals=approvals,
        agents=agents,
        sessions=Sessions(store, clock, new_id),
        audit=audit,
        safeguards=SafeguardsRequests(approvals, store),
        rollbacks=rollbacks,
        receipts=receipts,
        health=health,
        metrics=metrics,
        facts=lambda: _facts(store, policies, clock, sandbox=settings.sandbox),
        slack_link=links.of,
        clock=clock,
        slack=slack.http,
    )
    return Bot(
        settings=settings,
        store=store,
        policies=policies,
        reloads=Reloads(policies, store, clock),
        grants=grants,
        agents=agents,
        approvals=approvals,
        reviews=reviews,
        rollbacks=rollbacks,
        escalations=Escalations(store, asking, clock, late),
        outbox=outbox,
        scheduler=scheduler,
        health=health,
        waiters=waiters,
        checkpoints=checkpoints,
        commands={
            **operating.commands(store, audit, pauses, clock),
            **operating.rollback_commands(rollbacks),
        },
        slack=slack,
        app=create_app(services, HttpSettings(settings.public_url)),
        clock=clock,
        listeners=listeners,
    )


def _insiders(policies: Policies) -> list[ApproverSet]:
    """Everybody who decides or looks after something, by the policies in force."""
    workspace = policies.current.workspace
    approvers = (entry for policy in policies.current.policies for entry in policy.requirement.approvers)
    return [workspace.operators, workspace.auditors, *workspace.groups.values(), *approvers]


async def _facts(store: Store, policies: Policies, clock: Clock, *, sandbox: bool) -> Facts:
    """What readiness shows; the database is asked, not remembered."""
    overdue = timedelta(0)
    try:
        deadline = await store.reads.next_deadline()
        database_ok = True
        if deadline is not None:
            overdue = max(overdue, clock.now() - deadline)
    except Unavailable:
        database_ok = False
    return Facts(
        database=f"SQLite {sqlite_version()}",
        database_ok=database_ok and store.writable,
        policies=policies.current.version,
        policies_ok=not policies.stale,
        sandbox=sandbox,
        overdue=overdue,
    )


async def _standing(store: Store, waiters: Waiters) -> Standing:
    counts = await store.reads.counts()
    return Standing(waiters=len(waiters), write_queue=store.queued, outbox=counts.unsent)


def _listen(host: str, port: int) -> socket.socket:
    """The HTTP socket, taken before anything else is opened: a port in use is the commonest fault.

    Raises:
        OSError: the address is taken or not this machine's.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=2048)
    except OSError as error:
        raise OSError(
            error.errno, f"cannot listen on {host}:{port} ({error.strerror}); set KEYTURN_PORT to a free one"
        ) from error


async def _wait(event: asyncio.Event) -> None:
    await event.wait()


class _Server(uvicorn.Server):
    """Uvicorn without its own signal handlers: `serve` has them."""

    def __init__(self, app: Any) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                loop="none",
                http="httptools",
                ws="none",
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,
                timeout_graceful_shutdown=5,
            )
        )

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Capture none."""
        yield
