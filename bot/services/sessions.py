"""Sessions: one run of an agent, the unit of summaries and timelines.

A session belongs to the agent that first used its id; two agents may use the same id.
"""

from collections.abc import Callable, Sequence

from bot.core.clock import Clock
from bot.core.errors import InvalidRequest, NotFound
from bot.core.models import Agent, JsonObject, Session, Via
from bot.store import Store
from bot.store.audit_reads import AuditEvent
from bot.store.commands import EndSession, StartSession

AT_ONCE = 1000
"""Events in one page of a timeline."""


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
        return await self._session(agent.name, session.id), started

    async def end(self, agent: Agent, id: str, summary: str | None) -> Session:
        """End a session; a session that has ended stays as it is.

        Raises:
            NotFound: this agent has no such session.
        """
        await self._session(agent.name, id)
        await self._store.write(EndSession(agent.name, id, summary, Via.HTTP, self._clock.now()))
        return await self._session(agent.name, id)

    async def get(self, agent: Agent, id: str, *, of: str | None = None) -> Session:
        """A session with its counts by status: the agent's own; auditors and operators see all.

        Args:
            of: Whose session; None for the caller's own or, if it has none, the only one there is.

        Raises:
            NotFound: there is none, or it is another agent's.
            InvalidRequest: several agents have used this id, and `of` names none.
        """
        return await self._session(await self._whose(agent, id, of), id)

    async def timeline(
        self, agent: Agent, id: str, *, of: str | None = None, after: int = 0
    ) -> tuple[Sequence[AuditEvent], int | None]:
        """Events of the session after place `after`, oldest first; and where the next ones begin.

        Raises:
            NotFound, InvalidRequest: as `get`.
        """
        session = await self.get(agent, id, of=of)
        events = await self._store.reads.timeline(session.agent, id, after=after, limit=AT_ONCE + 1)
        more = len(events) > AT_ONCE
        return events[:AT_ONCE], events[AT_ONCE - 1].seq if more else None

    async def _whose(self, agent: Agent, id: str, of: str | None) -> str:
        if not agent.reads_all:
            if of not in (None, agent.name):
                raise _not_found(id)
            return agent.name
        if of is not None:
            return of
        names = await self._store.reads.sessions_named(id)
        if len(names) > 1 and agent.name not in names:
            raise InvalidRequest(
                errors=[("agent", f"name one of {', '.join(names)}: each has a session {id}")]
            )
        return agent.name if agent.name in names or not names else names[0]

    async def _session(self, agent: str, id: str) -> Session:
        session = await self._store.reads.session(agent, id)
        if session is None:
            raise _not_found(id)
        return session


def _not_found(id: str) -> NotFound:
    return NotFound(f"There is no session {id}, or it is not yours.")
