"""Sessions: one run of an agent, the unit of summaries and timelines.

A session belongs to the agent that first used its id; two agents may use the same id.
"""

from collections.abc import Callable, Sequence
from typing import Any

from bot.core.clock import Clock
from bot.core.errors import NotFound
from bot.core.models import Agent, JsonObject, Session, Via
from bot.store import Store
from bot.store.commands import EndSession, StartSession


class Sessions:
    """Sessions of agents."""

    def __init__(self, store: Store, clock: Clock, new_id: Callable[[str], str]) -> None:
        self._store = store
        self._clock = clock
        self._new_id = new_id

    async def start(
        self, agent: Agent, id: str | None, name: str | None, metadata: JsonObject | None
    ) -> tuple[Session, bool]:
        """A session by this id, started when it is unknown. The flag says whether it is new.

        Raises:
            SessionEnded: it has ended.
        """
        session = Session(agent.name, id or self._new_id("ses"), name, metadata, self._clock.now())
        started = await self._store.write(StartSession(session, Via.HTTP))
        return await self.get(agent, session.id), started

    async def end(self, agent: Agent, id: str, summary: str | None) -> Session:
        """End a session; a session that has ended stays as it is.

        Raises:
            NotFound: this agent has no such session.
        """
        await self.get(agent, id)
        await self._store.write(EndSession(agent.name, id, summary, Via.HTTP, self._clock.now()))
        return await self.get(agent, id)

    async def get(self, agent: Agent, id: str) -> Session:
        """A session with its counts by status.

        Raises:
            NotFound: this agent has no such session.
        """
        session = await self._store.reads.session(agent.name, id)
        if session is None:
            raise NotFound(f"There is no session {id}, or it is not yours.")
        return session

    async def timeline(self, agent: Agent, id: str) -> Sequence[Any]:
        """The session's events, oldest first.

        Raises:
            NotFound: this agent has no such session.
        """
        await self.get(agent, id)
        return await self._store.reads.timeline(agent.name, id)
