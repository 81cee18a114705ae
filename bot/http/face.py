"""What every route needs: the services behind it, the caller's admission, and the shape of an answer."""

from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Protocol, TypeVar

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp

from bot.core import jsontext
from bot.core.models import Agent, ApprovalRequest
from bot.http import wire
from bot.http.auth import Gate
from bot.http.calls import OpenCalls
from bot.http.metrics import Metrics
from bot.services.agents import Agents
from bot.services.approvals import Approvals
from bot.services.audit import Audit
from bot.services.health import Health
from bot.services.receipts import Receipts
from bot.services.rollbacks import Rollbacks
from bot.services.safeguards import SafeguardsRequests
from bot.services.sessions import Sessions
from bot.store import Changed, Place

T = TypeVar("T")


class Links(Protocol):
    """Addresses of requests' cards in Slack; None while there is none."""

    async def of(self, request: ApprovalRequest, /) -> str | None:
        """Of a request's first card."""
        ...

    async def at(self, place: Place | None, /) -> str | None:
        """Of a card that stands in this place."""
        ...


@dataclass(frozen=True, slots=True)
class Facts:
    """What readiness shows beside the loops' pulses."""

    database: str
    """What it is, version included: `SQLite 3.53.4`."""
    database_ok: bool
    """It has just answered, and takes writes."""
    policies: str
    """Version of the set in force."""
    policies_ok: bool
    """False while a refused reload leaves an older set in force."""
    sandbox: bool
    """True when Slack is the local sandbox."""
    overdue: timedelta = timedelta(0)
    """How long the oldest deadline has waited to be handled."""
    database_warning: str | None = None
    """What an operator has to beware of with the database."""


class NoLinks:
    """For a bot without Slack."""

    async def of(self, _request: ApprovalRequest, /) -> str | None:
        return None

    async def at(self, _place: Place | None, /) -> str | None:
        return None


@dataclass(frozen=True, slots=True)
class Services:
    """What the HTTP face calls."""

    approvals: Approvals
    agents: Agents
    sessions: Sessions
    audit: Audit
    receipts: Receipts
    safeguards: SafeguardsRequests
    rollbacks: Rollbacks
    health: Health
    metrics: Metrics
    facts: Callable[[], Awaitable[Facts]]
    links: Links = field(default_factory=NoLinks)
    slack: ASGIApp | None = None
    """What answers `/slack/events`; None in Socket Mode."""


@dataclass(frozen=True, slots=True)
class HttpSettings:
    """What the HTTP face must know of its surroundings.

    Args:
        public_url: Keyturn's own address as agents see it, without a slash at its end.
    """

    public_url: str
    version: str = "0.1.0"


@dataclass(frozen=True, slots=True)
class Face:
    """The parts that routes share."""

    services: Services
    settings: HttpSettings
    gate: Gate
    calls: OpenCalls

    async def resource(self, request: ApprovalRequest, *, fresh: bool = False) -> dict[str, Any]:
        """A request as agents see it. A fresh one has no card yet, so none is looked for."""
        link = None if fresh else await self.services.links.of(request)
        return wire.resource(request, public_url=self.settings.public_url, slack_link=link)

    async def changed(self, change: Changed) -> dict[str, Any]:
        """A request as a commit has just left it, without a look into the database."""
        link = await self.services.links.at(change.card)
        return wire.resource(change.request, public_url=self.settings.public_url, slack_link=link)

    async def answer(
        self,
        request: ApprovalRequest,
        *,
        status: int = 200,
        headers: Mapping[str, str] | None = None,
        fresh: bool = False,
    ) -> Response:
        """A request as a response."""
        return json_response(await self.resource(request, fresh=fresh), status=status, headers=headers)

    def hold(
        self,
        call: Request,
        agent: Agent,
        work: Coroutine[Any, Any, T],
        *,
        idle: Callable[[], Awaitable[None]] | None = None,
    ) -> Coroutine[Any, Any, T]:
        """`OpenCalls.hold`, with the token checked once more after the call is listed as held."""
        return self.calls.hold(call, agent, work, check=lambda: self.gate.still(agent), idle=idle)


def json_response(body: Any, *, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """JSON in memory as a response, decimals as they are."""
    return raw_json(jsontext.dumps(body), status=status, headers=headers)


def raw_json(body: bytes, *, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """JSON text as a response."""
    return Response(
        body,
        status_code=status,
        headers=None if headers is None else dict(headers),
        media_type="application/json",
    )
