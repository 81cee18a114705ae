"""The HTTP face as it is served: uvicorn on a free port, the real services, a real store."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import uvicorn
from starlette.types import ASGIApp

from bot.core import reviewing
from bot.core.models import ApprovalRequest, Person, SlackId
from bot.core.reviewing import Given
from bot.http.app import KeyturnApp, create_app
from bot.http.face import Facts, HttpSettings, Services
from bot.http.metrics import Metrics, Standing
from bot.services.agents import Agents
from bot.services.approvals import Approvals
from bot.services.audit import Audit
from bot.services.checkpoints import Checkpoints, note_file, signing_key
from bot.services.health import Health
from bot.services.policies import Policies
from bot.services.receipts import Receipts
from bot.services.rollbacks import Rollbacks
from bot.services.safeguards import SafeguardsRequests
from bot.services.sessions import Sessions
from bot.services.waiting import Waiters
from bot.store import Place, Store
from bot.store.commands import SaveTransition
from bot.system import new_id, new_token
from tests.factories import OWNER, make_given

PUBLIC_URL = "https://keyturn.example.com"
ASK = {"type": "custom_step", "params": {"table": "t"}, "description": "Do the step."}
ALLOWED = {**ASK, "type": "always_allowed"}
BLOCKED = {**ASK, "type": "always_blocked"}
"""Bodies that a person must decide, that the policy approves, and that it rejects."""


class MovableClock:
    """The real time, shifted by hand."""

    def __init__(self) -> None:
        self.shift = timedelta(0)

    def now(self) -> datetime:
        return datetime.now(UTC) + self.shift


@dataclass
class World:
    """A served face, and what stands behind it."""

    client: httpx.AsyncClient
    url: str
    app: KeyturnApp
    store: Store
    agents: Agents
    approvals: Approvals
    waiters: Waiters
    health: Health
    clock: MovableClock
    checkpoints: Checkpoints
    facts: Facts = field(default_factory=lambda: Facts("SQLite", True, "sha256:0", True, False))

    async def token(self, name: str, **options: Any) -> str:
        """A new agent's token."""
        return await self.agents.add(name, **{"owner": OWNER, "rate": 0, **options})

    async def raw_get(self, path: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A GET on a connection of its own, sent; a pooling client is slow with a thousand of them."""
        host, port = self.url.removeprefix("http://").split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        token = self.client.headers["authorization"]
        writer.write(f"GET {path} HTTP/1.1\r\nHost: {host}\r\nAuthorization: {token}\r\n\r\n".encode())
        return reader, writer

    async def approve(self, request_id: str, **given: Any) -> None:
        """Decide a request as its one reviewer would."""
        await self._review(request_id, reviewing.approve, **given)

    async def reject(self, request_id: str) -> None:
        """Reject a request as its one reviewer would."""
        await self._review(request_id, reviewing.reject, reason="Not on a Sunday.")

    async def _review(self, request_id: str, rule: Callable[..., Any], **changes: Any) -> None:
        request = await self.store.reads.request(request_id)
        assert request is not None
        given: Given = make_given(request, **changes)
        assert await self.store.write(SaveTransition(rule(request, given, now=self.clock.now())))


class Places:
    """Names the place where a card stands, instead of an address in a workspace."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def of(self, request: ApprovalRequest) -> str | None:
        posted = (card for card in await self._store.reads.cards(request.id) if card.state == "posted")
        return next((f"{card.channel}/{card.ts}" for card in posted), None)

    async def at(self, place: Place | None) -> str | None:
        return None if place is None else "/".join(place)


class Strangers:
    """A Slack in which nobody is known."""

    async def home_team(self) -> str:
        return "T0KEYTURN"

    async def person(self, id: SlackId) -> Person | None:
        return None

    async def by_email(self, email: str) -> Person | None:
        return None

    async def members(self, source: str) -> frozenset[SlackId]:
        return frozenset()

    async def covers(self, source: str) -> Mapping[SlackId, SlackId]:
        return {}


POLICY = """
name: by-type
auto_approve_threshold: never
auto_reject_threshold: never
default_timeout: 5m
approval_valid_for: 15m
channel: C0APPROVE
approvers: {quorum: 1, users: [U0ANA0001, U0BEN0001, U0CLEO001]}
agent_may_escalate_to: [manager]
block:
  - {name: blocked, action_type: always_blocked}
allow:
  - {name: allowed, action_type: always_allowed, max_risk: critical}
"""
WORKSPACE = "groups: {manager: {users: [U0MGR0001]}}"


def _policies(directory: Path, policy: str) -> Policies:
    directory.mkdir()
    (directory / "by-type.yaml").write_text(policy)
    (directory / "workspace.yaml").write_text(WORKSPACE)
    return Policies(directory)


@asynccontextmanager
async def served(
    directory: Path, *, slack: ASGIApp | None = None, queue_limit: int = 1024, policy: str = POLICY
) -> AsyncIterator[World]:
    """The face on a free port of this machine, with a client whose token is that of the agent `builder`."""
    clock = MovableClock()
    async with AsyncExitStack() as stack:
        store = await stack.enter_async_context(
            Store.open(f"sqlite:///{directory / 'keyturn.db'}", clock=clock, queue_limit=queue_limit)
        )
        waiters = Waiters(store)
        receipts = Receipts.open(directory / "keys", PUBLIC_URL)
        agents = Agents(store, clock, new_token, b"k" * 32)
        kept = note_file(directory / "keyturn.db")
        checkpoints = Checkpoints(store, clock, signing_key(directory / "keys"), kept)
        policies = _policies(directory / "policies", policy)
        approvals = Approvals(store, policies, waiters, receipts, clock, new_id, lambda _at: None)
        health = Health(clock, {"outbox": timedelta(seconds=60)})
        metrics = Metrics(clock, lambda: _standing(store, waiters))
        store.on_commit(metrics.committed)
        world: World

        async def facts() -> Facts:
            return world.facts

        services = Services(
            approvals=approvals,
            rollbacks=Rollbacks(store, policies, Strangers(), clock, new_id),
            agents=agents,
            sessions=Sessions(store, clock, new_id),
            audit=Audit(store, clock, checkpoints.public, kept),
            receipts=receipts,
            safeguards=SafeguardsRequests(approvals, store),
            health=health,
            metrics=metrics,
            facts=facts,
            links=Places(store),
            slack=slack,
        )
        app = create_app(services, HttpSettings(PUBLIC_URL))
        url = await stack.enter_async_context(_listening(app))
        token = await agents.add("builder", owner=OWNER, rate=0, callback_hosts=["hooks.example.com"])
        client = await stack.enter_async_context(
            httpx.AsyncClient(base_url=url, headers={"Authorization": f"Bearer {token}"}, timeout=60)
        )
        world = World(client, url, app, store, agents, approvals, waiters, health, clock, checkpoints)
        yield world


async def until(condition: Callable[[], bool]) -> None:
    """Wait for a condition of this process to hold."""
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110  # the condition is another part's state, without an event
            await asyncio.sleep(0.005)


async def _standing(store: Store, waiters: Waiters) -> Standing:
    counts = await store.reads.counts()
    return Standing(waiters=len(waiters), outbox=counts.unsent, pending=counts.pending)


@asynccontextmanager
async def _listening(app: KeyturnApp) -> AsyncIterator[str]:
    server = uvicorn.Server(
        uvicorn.Config(
            app,
            host="127.0.0.1",
            port=0,
            interface="asgi3",
            log_level="warning",
            ws="none",
            timeout_graceful_shutdown=5,
        )
    )
    serving = asyncio.create_task(server._serve())
    try:
        while not server.started:
            if serving.done():
                await serving
            await asyncio.sleep(0.01)
        port = server.servers[0].sockets[0].getsockname()[1]
        yield f"http://127.0.0.1:{port}"
    finally:
        app.stop_holding()
        server.should_exit = True
        await serving
