"""Waiting for a decision, and following every change of a request until it has run.

A waiter registers, reads, and only then sleeps, so that nothing which happens in between is missed.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass

from bot.core import pausing
from bot.core.errors import NotFound
from bot.core.models import ApprovalRequest, RequestId, Status
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
        self._waiters = waiters

    async def wait(self, request_id: RequestId, *, seconds: float) -> ApprovalRequest:
        """The request as soon as it is decided, or as it stands after `seconds`."""
        with self._waiters.waiting(request_id) as changed:
            # Ten thousand may wait here: nothing of the request is kept while they do.
            if (decided := await self._decided(request_id)) is not None:
                return decided
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    while True:
                        await changed.wait()
                        changed.clear()
                        if (decided := await self._decided(request_id)) is not None:
                            return decided
        return await self._present(request_id)

    async def events(self, request: ApprovalRequest, *, after: int | None) -> AsyncIterator[Change]:
        """Every change, until execution is final; from `after` on, or first the present state."""
        with self._waiters.waiting(request.id) as changed:
            # What was read before its events are: else a change between the two would be taken as heard.
            self._waiters.saw(request.id, request.version)
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

    async def _decided(self, request_id: RequestId) -> ApprovalRequest | None:
        request = await self._present(request_id)
        self._waiters.saw(request_id, request.version)
        return None if request.status is Status.PENDING else request

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
