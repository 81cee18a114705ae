"""Who calls, whether they may, and how often.

Every call names its agent by a bearer token and by nothing else.
"""

import math
import time

from limits import RateLimitItemPerMinute
from limits.storage import MemoryStorage
from limits.strategies import SlidingWindowCounterRateLimiter
from starlette.requests import Request

from bot.core.errors import MissingScope, RateLimited, Unauthorized
from bot.core.models import Agent
from bot.services.agents import Agents

AGENT = frozenset({"agent"})
"""May ask, claim and report."""

WITHDRAWS = frozenset({"agent", "operator"})
"""May cancel a request."""

OPERATOR = frozenset({"operator"})
"""May start a rollback."""

AUDITOR = frozenset({"auditor"})
"""May read, verify and export the audit."""

ANYONE = frozenset({"agent", "auditor", "operator"})
"""May read; what they may read is the service's to say."""


class Gate:
    """Lets callers in."""

    def __init__(self, agents: Agents) -> None:
        self._agents = agents
        self._rates = Rates()

    async def admit(self, request: Request, scopes: frozenset[str]) -> Agent:
        """The agent that calls.

        Raises:
            Unauthorized: no living token was sent.
            MissingScope: the token has none of `scopes`.
        """
        agent = await self._agents.authenticate(_token(request))
        if not agent.scopes & scopes:
            wanted = " or ".join(sorted(scopes))
            raise MissingScope(f"This call needs the scope {wanted}; this token does not have it.")
        return agent

    async def admit_counted(self, request: Request) -> Agent:
        """The same for a POST of a request or an evaluation, which the token's rate limits.

        Raises:
            Unauthorized, MissingScope.
            RateLimited: the rate is used up.
        """
        agent = await self.admit(request, AGENT)
        self._rates.count(agent)
        return agent

    async def still(self, agent: Agent) -> None:
        """Check once more, for a call that has just begun to be held.

        Raises:
            Unauthorized: the token was revoked in between.
        """
        await self._agents.confirm(agent)


class Rates:
    """How many counted calls each agent made, over a sliding minute, in this process."""

    def __init__(self) -> None:
        self._limiter = SlidingWindowCounterRateLimiter(MemoryStorage())

    def count(self, agent: Agent) -> None:
        """Count one call.

        Raises:
            RateLimited: the agent has used up its rate; the call was not counted.
        """
        if agent.rate == 0:
            return
        allowed = RateLimitItemPerMinute(agent.rate)
        if self._limiter.hit(allowed, agent.name):
            return
        frees_at = self._limiter.get_window_stats(allowed, agent.name).reset_time
        raise RateLimited(
            f"This token may send {agent.rate} requests and evaluations a minute.",
            retry_after=max(1, math.ceil(frees_at - time.time())),  # noqa: TID251  # the limiter's own clock
        )


def _token(request: Request) -> str:
    given = request.headers.getlist("authorization")
    if len(given) != 1:
        raise Unauthorized()
    scheme, _, token = given[0].partition(" ")
    token = token.strip()
    if scheme.lower() != "bearer" or not token:
        raise Unauthorized()
    return token
