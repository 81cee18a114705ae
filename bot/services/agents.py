"""Agents' credentials: made once, shown once, kept as a hash.

A token has 256 random bits, so a plain SHA-256 of it is as good as a slow hash and costs
nothing on the hot path. Requests and claims of a revoked token are refused by the write itself,
however old the cached look-up is.
"""

import asyncio
import base64
import hashlib
import hmac
import re
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from weakref import WeakValueDictionary

from bot.core.callback_hosts import read_entry
from bot.core.clock import Clock
from bot.core.errors import InvalidRequest, NotFound, Unauthorized
from bot.core.models import Agent, SlackId, Via
from bot.store import Committed, Store
from bot.store.commands import AddAgent, RevokeAgent, RotateAgent

SCOPES = frozenset({"agent", "auditor", "operator"})

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
_SLACK_ID = re.compile(r"[UW][A-Z0-9]{2,20}")
_FRESH = timedelta(seconds=5)
"""How long a look-up is trusted when another process may have revoked the token."""


class Agents:
    """Who may ask, and with what.

    Args:
        webhook_key: The secret from which each agent's callback secret is derived.
    """

    def __init__(
        self,
        store: Store,
        clock: Clock,
        new_token: Callable[[], str],
        webhook_key: bytes,
    ) -> None:
        self._store = store
        self._clock = clock
        self._new_token = new_token
        self._webhook_key = webhook_key
        self._known: dict[str, tuple[Agent, datetime]] = {}
        self._revocations: WeakValueDictionary[tuple[str, str | None], asyncio.Event] = WeakValueDictionary()
        store.on_commit(self._committed)

    async def add(
        self,
        name: str,
        *,
        owner: str | None,
        scopes: Sequence[str] = ("agent",),
        rate: int = 600,
        callback_hosts: Sequence[str] = (),
        via: Via = Via.CLI,
    ) -> str:
        """A new agent's token, which is shown this once.

        Args:
            owner: Slack id of the person who may never approve this agent's requests, or None.
            rate: POSTs of requests and evaluate per minute; 0 for no limit.

        Raises:
            InvalidRequest: the name is taken or something is wrong.
        """
        agent = Agent(
            name=name,
            scopes=frozenset(scopes),
            owner=None if owner is None else SlackId(owner),
            rate=rate,
            callback_hosts=_hosts(callback_hosts),
            created_at=self._clock.now(),
        )
        _check(agent)
        token = self._new_token()
        await self._store.write(AddAgent(agent, token_hash(token), via, agent.created_at))
        return token

    async def rotate(self, name: str, *, via: Via = Via.CLI) -> str:
        """A new token for an agent; the old one stops working at once.

        Raises:
            NotFound: there is no such agent, or it is revoked.
        """
        token = self._new_token()
        await self._store.write(RotateAgent(name, token_hash(token), via, self._clock.now()))
        return token

    async def revoke(self, name: str, *, via: Via = Via.CLI) -> None:
        """End an agent's access, its open waits and streams included.

        Raises:
            NotFound: there is no such agent, or it is revoked already.
        """
        await self._store.write(RevokeAgent(name, via, self._clock.now()))

    async def all(self) -> Sequence[Agent]:
        """Every agent, revoked ones too, by name."""
        return await self._store.reads.agents()

    async def authenticate(self, token: str) -> Agent:
        """The agent that this token belongs to.

        Raises:
            Unauthorized: no living token is like this.
        """
        return await self._living(token_hash(token))

    async def confirm(self, agent: Agent) -> None:
        """Look whether the credential that an agent was authenticated by is still good.

        Raises:
            Unauthorized: it was revoked or rotated in between.
        """
        assert agent.credential is not None, "an authenticated agent has one"
        await self._living(agent.credential)

    async def _living(self, hashed: str) -> Agent:
        now = self._clock.now()
        known = self._known.get(hashed)
        if known is not None and now < known[1]:
            return known[0]
        agent = await self._store.reads.agent_by_token_hash(hashed)
        if agent is None or agent.revoked_at is not None:
            self._known.pop(hashed, None)
            raise Unauthorized("This token is not valid. Make one with `keyturn agents add NAME`.")
        self._known[hashed] = (agent, now + _FRESH)
        return agent

    def revocation(self, agent: Agent) -> asyncio.Event:
        """Set when the agent's token is revoked or rotated: hold it to end a wait or a stream."""
        key = (agent.name, agent.credential)
        event = self._revocations.get(key)
        if event is None:
            event = self._revocations[key] = asyncio.Event()
        return event

    async def sweep(self) -> None:
        """Notice what another process revoked or rotated while streams are open."""
        for name, credential in list(self._revocations):
            agent = await self._store.reads.agent(name)
            if agent is None or agent.revoked_at is not None or agent.credential != credential:
                self._end(name, credential)

    async def webhook_secret(self, name: str) -> str:
        """The secret with which this agent's callbacks are signed, in Standard Webhooks' form.

        Raises:
            NotFound: there is no such agent.
        """
        if await self._store.reads.agent(name) is None:
            raise NotFound(f"There is no agent {name}. `keyturn agents list` shows all.")
        derived = hmac.new(self._webhook_key, f"callback:{name}".encode(), hashlib.sha256).digest()
        return "whsec_" + base64.b64encode(derived).decode()

    def _committed(self, changes: Sequence[Committed]) -> None:
        for change in changes:
            if change.event in ("agent_revoked", "agent_rotated") and change.agent is not None:
                self._end(change.agent)

    def _end(self, name: str, *credentials: str | None) -> None:
        """End what is held with these credentials of an agent, or with any of them."""
        self._known = {h: known for h, known in self._known.items() if known[0].name != name}
        for key in list(self._revocations):
            if key[0] == name and (not credentials or key[1] in credentials):
                event = self._revocations.pop(key, None)
                if event is not None:
                    event.set()


def token_hash(token: str) -> str:
    """What is stored of a token: the hex of its SHA-256."""
    return hashlib.sha256(token.encode()).hexdigest()


def _hosts(given: Sequence[str]) -> tuple[str, ...]:
    """Callback hosts as they are kept.

    Raises:
        InvalidRequest: one is no host.
    """
    try:
        return tuple(dict.fromkeys(map(read_entry, given)))
    except ValueError as fault:
        example = "hooks.example.com, hooks.example.com:8443 or [2001:db8::1]:8443"
        raise InvalidRequest(errors=[("callback_hosts", f"{fault}; name hosts, such as {example}")]) from None


def _check(agent: Agent) -> None:
    faults: list[tuple[str, str]] = []
    if not _NAME.fullmatch(agent.name):
        faults.append(("name", "use 1 to 64 of a-z 0-9 . _ - and begin with a letter or digit"))
    unknown = agent.scopes - SCOPES
    if unknown or not agent.scopes:
        faults.append(("scope", f"known scopes are {', '.join(sorted(SCOPES))}"))
    if {"agent", "operator"} <= agent.scopes:
        faults.append(("scope", "agent and operator exclude each other; make two credentials"))
    if agent.owner is not None and not _SLACK_ID.fullmatch(agent.owner):
        faults.append(("owner", "write the owner's Slack id (U…), from their profile's menu"))
    if agent.rate < 0:
        faults.append(("rate", "write requests per minute, or 0 for no limit"))
    if faults:
        raise InvalidRequest(errors=faults)
