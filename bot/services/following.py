"""Following every change of a request until it has run, and whether there is anything to wait for.

A follower registers, reads, and only then sleeps, so that nothing which happens in between is missed.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass

from bot.core import pausing
from bot.core.errors import NotFound
from bot.core.models import Agent, ApprovalRequest, RequestId, Status
from bot.services.waiting import Waiters
from bot.store import Store
from bot.store.audit_reads import AuditEvent

_AT_ONCE = 1000
"""Events that the store returns at once."""


@dataclass(frozen=True, slots=True)
class Change:
    """One change as a listener hears it: the audit's seq and event, and the request as it stands.

    The present state, which a new listener gets first, carries the seq of the newest change in it.
    """

    seq: int
    name: str
    request: ApprovalRequest


class Following:
    """Requests as those who wait for them see them. Whether they may is asked before."""

    def __init__(self, store: Store, waiters: Waiters) -> None:
        self._store = store
        self.waiters = waiters

    async def undecided(self, agent: Agent, request_id: RequestId) -> bool:
        """Whether it is a pending request, and one that this agent may see."""
        owner = await self._store.reads.agent_of_pending(request_id)
        return owner is not None and (owner == agent.name or agent.reads_all)

    async def events(self, request: ApprovalRequest, *, after: int | None) -> AsyncIterator[Change]:
        """Every change, until execution is final; from `after` on, or first the present state."""
        with self.waiters.waiting(request.id) as changed:
            if after is None:
                after = await self._store.reads.last_seq(request.id)
                request = await self._present(request.id)
                yield Change(after, "state", request)
            while True:
                changed.clear()
                # Over before its news were read: else what ended it in between would never be told.
                ended = over(request)
                events = await self._news(request, after)
                request = await self._present(request.id)
                for event in events:
                    after = event.seq
                    yield Change(event.seq, event.event, request)
                if ended and not events:
                    return
                if not events and not over(request):
                    await changed.wait()

    async def _news(self, request: ApprovalRequest, after: int) -> list[AuditEvent]:
        """The request's events, and what was paused or resumed of its agent or type, in order."""
        reads = self._store.reads
        own = await reads.events(request.id, after)
        through = own[-1].seq if len(own) == _AT_ONCE else None
        others = [
            event
            for event in await reads.pauses_since(after)
            if pausing.concerns(event.body["what"], request.agent, request.action.type)
            and (through is None or event.seq < through)
        ]
        return sorted([*own, *others], key=lambda event: event.seq)

    async def _present(self, request_id: RequestId) -> ApprovalRequest:
        request = await self._store.reads.request(request_id)
        if request is None:
            raise NotFound(f"There is no request {request_id}, or it is not yours.")
        return request


def over(request: ApprovalRequest) -> bool:
    """Whether nothing more can happen: not runnable, or run to its end."""
    if request.status is Status.PENDING:
        return False
    return not request.status.runnable or request.execution.final
