"""The composition root: opens every part, connects them, closes them in reverse.

`running(settings)` is what `serve` runs and what tests enter. A loop that dies ends the whole:
a bot that answers while nothing escalates would be worse than none.
"""

import asyncio
import logging
import signal
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta

from slack_sdk.web.async_client import AsyncWebClient

from bot.config import Settings
from bot.core import redaction
from bot.core.clock import Clock
from bot.core.errors import Unavailable
from bot.core.models import ApproverSet
from bot.http import admin, operating, wire
from bot.http.app import create_app
from bot.http.face import Facts, HttpSettings, Services
from bot.http.metrics import Metrics, Standing
from bot.notify.builtin import built_in
from bot.notify.channel import Channel
from bot.notify.checkpoints import CheckpointWebhook
from bot.notify.sending import Notifications, opened
from bot.notify.webhook import Callback, WebhookSender
from bot.services import plugins
from bot.services.agents import Agents
from bot.services.approvals import Approvals
from bot.services.asking import Asking
from bot.services.audit import Audit
from bot.services.checkpoints import Anchors, Checkpoints, note_file, signing_key
from bot.services.escalations import Escalations
from bot.services.finding import Finder
from bot.services.grants import Grants
from bot.services.health import Health
from bot.services.keys import callback_key, redactor, webhook_secret
from bot.services.oncall import OnCall
from bot.services.outbox import Outbox, Sender
from bot.services.pause_signs import PauseSigns
from bot.services.pauses import Pauses
from bot.services.policies import Policies
from bot.services.private_logs import RedactingFormatter
from bot.services.receipts import Receipts
from bot.services.refusals import Refusals
from bot.services.reloading import Reloads
from bot.services.reporting import Reporting
from bot.services.reviews import Reviews
from bot.services.rollbacks import Rollbacks
from bot.services.safeguards import SafeguardsRequests
from bot.services.scheduler import SWEEP, Scheduler
from bot.services.sessions import Sessions
from bot.services.simulating import Simulator
from bot.services.waiting import Waiters
from bot.serving import Bot, Listeners, listen
from bot.slack.anchor import AnchorSender
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
from bot.store import Store, sqlite_version, sqlite_warning
from bot.system import SystemClock, new_id, new_token

log = logging.getLogger(__name__)

_ALLOWED_AGES = {
    "escalations": 3 * SWEEP,
    "outbox": timedelta(seconds=60),
    "notice": timedelta(seconds=30),
}
"""How old each loop's last good pass may be before readiness says so."""


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
        http = listen(settings.keyturn_host, settings.keyturn_port)
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
    # Passes log what goes wrong in them; all that is left for it to report is that a stop cut one short.
    logging.getLogger("apscheduler.executors").setLevel(logging.CRITICAL)
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
    url = settings.keyturn_smtp_url
    own = built_in(
        clock,
        smtp_url=None if url is None else url.get_secret_value(),
        webhook_secret=_webhook_secret(settings),
        allow=settings.keyturn_webhook_allow,
    )
    of_plugins = {name: value.get_secret_value() for name, value in settings.plugin_settings.items()}
    return opened(own, plugins.installed(), of_plugins)


def _webhook_secret(settings: Settings) -> str:
    secret = settings.keyturn_webhook_secret
    return secret.get_secret_value() if secret else webhook_secret(settings.keyturn_key_dir)


@dataclass(frozen=True, slots=True)
class _Parts:
    """What more than one face, sender or loop works with."""

    settings: Settings
    clock: Clock
    store: Store
    policies: Policies
    client: AsyncWebClient
    directory: SlackDirectory
    scheduler: Scheduler
    waiters: Waiters
    checkpoints: Checkpoints
    agents: Agents
    receipts: Receipts
    on_call: OnCall
    asking: Asking
    grants: Grants
    approvals: Approvals
    reviews: Reviews
    rollbacks: Rollbacks
    audit: Audit
    pauses: Pauses
    links: CardLinks
    simulator: Simulator


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
    parts = _parts(settings, clock, store, policies, client, Scheduler(store, health.beat, clock))
    asking, scheduler, rollbacks = parts.asking, parts.scheduler, parts.rollbacks
    senders = _senders(parts, channels)
    outbox = Outbox(store, clock, senders, scheduler.note, lambda: asking.admin_channel)
    slack = _slack_face(parts, access, outbox)
    metrics = Metrics(clock, lambda: _standing(store, parts.waiters))
    store.on_commit(metrics.committed)

    def late(by: timedelta) -> None:
        health.late(by)
        metrics.late(by)

    return Bot(
        settings=settings,
        store=store,
        policies=policies,
        reloads=Reloads(policies, store, clock),
        grants=parts.grants,
        agents=parts.agents,
        approvals=parts.approvals,
        reviews=parts.reviews,
        rollbacks=rollbacks,
        escalations=Escalations(store, asking, clock, late),
        outbox=outbox,
        scheduler=scheduler,
        health=health,
        waiters=parts.waiters,
        checkpoints=parts.checkpoints,
        commands={
            **operating.commands(store, parts.audit, parts.pauses, clock),
            **operating.rollback_commands(rollbacks),
        },
        slack=slack,
        app=create_app(_http_services(parts, slack, health, metrics), HttpSettings(settings.public_url)),
        clock=clock,
        listeners=listeners,
    )


def _parts(
    settings: Settings,
    clock: Clock,
    store: Store,
    policies: Policies,
    client: AsyncWebClient,
    scheduler: Scheduler,
) -> _Parts:
    key_dir, kept = settings.keyturn_key_dir, note_file(settings.database_path)
    waiters = Waiters(store)
    receipts = Receipts.open(key_dir, settings.public_url)
    on_call = OnCall(store, lambda: policies.current, clock, new_id)

    def anchors() -> Anchors:
        workspace = policies.current.workspace
        return Anchors(workspace.audit_channel, workspace.audit_webhook)

    key = signing_key(key_dir)
    checkpoints = Checkpoints(store, clock, key, kept, anchors, scheduler.checkpoint_now)
    directory = SlackDirectory(client, clock, on_call.now)
    asking = Asking(policies, directory)
    grants = Grants(store, directory, clock, new_id)
    approvals = Approvals(store, policies, waiters, receipts, clock, new_id, scheduler.note, asking, grants)
    return _Parts(
        settings=settings,
        clock=clock,
        store=store,
        policies=policies,
        client=client,
        directory=directory,
        scheduler=scheduler,
        waiters=waiters,
        checkpoints=checkpoints,
        agents=Agents(store, clock, new_token, callback_key(key_dir)),
        receipts=receipts,
        on_call=on_call,
        asking=asking,
        grants=grants,
        approvals=approvals,
        reviews=Reviews(store, approvals, directory, asking, grants, clock, scheduler.note),
        rollbacks=Rollbacks(store, policies, directory, clock, new_id),
        audit=Audit(store, clock, checkpoints.public, kept),
        pauses=Pauses(store, clock),
        links=CardLinks(client, store),
        simulator=Simulator(approvals.judge, lambda: approvals.groups, directory, on_call, clock),
    )


def _senders(parts: _Parts, channels: Mapping[str, Channel]) -> Sequence[Sender]:
    """Who sends each kind of outbox row."""
    settings, clock, store, client = parts.settings, parts.clock, parts.store, parts.client

    async def callback_of(request_id: str) -> Callback | None:
        request = await store.reads.request(request_id)
        if request is None:
            return None
        link = await parts.links.of(request)
        data = wire.resource(request, public_url=settings.public_url, slack_link=link)
        return Callback(await parts.agents.webhook_secret(request.agent), data)

    return (
        SlackSender(
            client,
            store,
            parts.directory,
            clock,
            prospect=parts.rollbacks.prospect,
            posted=parts.reviews.check_fillable,
            link_to=parts.links.of,
            coming=parts.simulator.asked_by,
        ),
        Finder(store, parts.asking, parts.reviews.checked_fillable),
        PauseSigns(store, clock),
        AuditSender(client, parts.audit, Reporting(store.reads, clock)),
        AnchorSender(client),
        CheckpointWebhook(_webhook_secret(settings), clock, allow=settings.keyturn_webhook_allow),
        WebhookSender(callback_of, clock, allow=settings.keyturn_webhook_allow),
        Notifications(channels, store, clock, parts.links.of),
    )


def _slack_face(parts: _Parts, access: SlackAccess, outbox: Outbox) -> SlackFace:
    store, directory, clock, policies = parts.store, parts.directory, parts.clock, parts.policies
    operators = Role(directory, lambda: policies.current.workspace.operators, "operators")
    auditors = Role(directory, lambda: policies.current.workspace.auditors, "auditors")
    refusals, queue = Refusals(store, directory, clock), Queue(store, directory)
    switch = Switch(parts.pauses, store, operators, refusals)
    rota = Rota(parts.on_call, parts.simulator, directory, lambda: parts.approvals.groups, clock)
    return SlackFace(
        access,
        parts.client,
        reviews=parts.reviews,
        rollbacks=parts.rollbacks,
        store=store,
        directory=directory,
        outbox=outbox,
        refusals=refusals,
        queue=queue,
        homes=Homes(queue, rota, switch, operators, lambda: _insiders(policies), store, directory, clock),
        switch=switch,
        grants=GrantDesk(parts.grants, store, directory, operators, clock),
        audit=AuditDesk(parts.audit, store, outbox, parts.links, auditors, clock),
        rota=rota,
        clock=clock,
        new_reference=lambda: new_id("err"),
    )


def _http_services(parts: _Parts, slack: SlackFace, health: Health, metrics: Metrics) -> Services:
    store, clock, sandbox = parts.store, parts.clock, parts.settings.sandbox
    return Services(
        approvals=parts.approvals,
        agents=parts.agents,
        sessions=Sessions(store, clock, new_id),
        audit=parts.audit,
        safeguards=SafeguardsRequests(parts.approvals, store),
        rollbacks=parts.rollbacks,
        receipts=parts.receipts,
        health=health,
        metrics=metrics,
        facts=lambda: _facts(store, parts.policies, clock, sandbox=sandbox),
        links=parts.links,
        slack=slack.http,
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
        database_warning=sqlite_warning(),
        database_ok=database_ok and store.writable,
        policies=policies.current.version,
        policies_ok=not policies.stale,
        sandbox=sandbox,
        overdue=overdue,
    )


async def _standing(store: Store, waiters: Waiters) -> Standing:
    counts = await store.reads.counts()
    return Standing(
        waiters=len(waiters), write_queue=store.queued, outbox=counts.unsent, pending=counts.pending
    )
