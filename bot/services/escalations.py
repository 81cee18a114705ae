"""One pass over the requests whose time has come.

Deadlines are columns: a pass leases what is due, asks the rule what time does to each
request, and commits it. Every process may run passes; a lease and the request's version keep
each step single. The scheduler only says when to look.
"""

import asyncio
import logging
from collections.abc import Callable
from datetime import datetime, timedelta

from bot.core import climbing
from bot.core.climbing import NOBODY, Summons
from bot.core.clock import Clock
from bot.core.errors import CannotVerify, Unavailable
from bot.core.models import ApprovalRequest, RequestId, Status, Transition
from bot.services.asking import Asking
from bot.store import Store
from bot.store.commands import SaveTransition
from bot.store.due import LeaseDue, Rearm, Wake

log = logging.getLogger(__name__)

_BATCH = 250
_LANES = 2
"""Batches at the same time: one is judged while the other is stored, in commits that its changes share."""

_LEASE = timedelta(seconds=30)

_AGAIN = timedelta(seconds=3)
"""When Slack is asked again."""

_PATIENCE = timedelta(seconds=20)
"""How long a level waits for Slack to say whom it asks, before it opens without them."""

NoteLateness = Callable[[timedelta], None]
"""Told how late each step was (`Health.late` and the metrics)."""


async def look_again(
    step: Transition, store: Store, note_deadline: Callable[[datetime | None], None]
) -> None:
    """After a change was stored: say when the ladder must be looked at, at once when nobody is asked."""
    if climbing.asks_nobody(step):
        await store.write(Wake(step.request.id, step.now))
        note_deadline(step.now)
    else:
        note_deadline(step.request.next_deadline_at)


class Escalations:
    """What time does to pending requests."""

    def __init__(self, store: Store, asking: Asking, clock: Clock, note_lateness: NoteLateness) -> None:
        self._store = store
        self._asking = asking
        self._clock = clock
        self._note_lateness = note_lateness

    async def run_once(self) -> int:
        """Handle everything that is due now; how many steps were taken."""
        lanes = await asyncio.gather(*(self._drain() for _ in range(_LANES)), return_exceptions=True)
        return sum(_outcome(lane) for lane in lanes)

    async def _drain(self) -> int:
        """Handle batch after batch until nothing is due."""
        moved = 0
        now = self._clock.now()
        while due := await self._store.write(LeaseDue(now, _BATCH, _LEASE)):
            requests = await self._store.reads.several(due)
            handled = [self._advance(request, now + _LEASE) for request in requests]
            results = await asyncio.gather(*handled, return_exceptions=True)
            moved += sum(map(_counted, requests, results))
            now = self._clock.now()
        return moved

    async def _advance(self, request: ApprovalRequest, leased_until: datetime) -> int:
        """Let time act on one request until nothing more is due; how many steps it took."""
        steps = 0
        while request.status is Status.PENDING:
            now, due = self._clock.now(), request.next_deadline_at
            try:
                step = await self._step(request, now)
            except CannotVerify:
                await self._store.write(Rearm(request.id, leased_until, now + _AGAIN))
                return steps
            if step is None:
                await self._store.write(Rearm(request.id, leased_until))
                return steps
            if await self._store.write(SaveTransition(step)):
                request, steps = step.request, steps + 1
                if due is not None and due <= now:
                    self._note_lateness(now - due)
            else:
                request = await self._present(request.id)
        return steps

    async def _present(self, request_id: RequestId) -> ApprovalRequest:
        """The request as somebody else has left it."""
        request = await self._store.reads.request(request_id)
        assert request is not None, "requests are never deleted"
        return request

    async def _step(self, request: ApprovalRequest, now: datetime) -> Transition | None:
        """What is due, or what a delivery that failed asks for; None when neither is.

        Raises:
            CannotVerify: whom the next level asks is not known yet, and there is time to ask again.
        """
        due = request.next_deadline_at
        if due is not None and due <= now:
            summons = await self._summons(request, now)
            return climbing.advance(request, summons=summons, now=now)
        events = await self._store.reads.events(request.id)
        if not climbing.unreached(request, ((event.event, event.body) for event in events)):
            return None
        summons = await self._summons(request, now)
        admin = self._asking.admin_channel
        return climbing.nobody_reached(request, summons=summons, now=now, admin=admin)

    async def _summons(self, request: ApprovalRequest, now: datetime) -> Summons:
        """Whom the next level asks. Trouble in looking them up holds the ladder up for seconds only."""
        ends_at = request.plan[request.level].ends_at
        if request.level + 1 >= len(request.plan) or (request.watch.remind_at and now < ends_at):
            return NOBODY
        try:
            return await self._asking.next_level(request, now)
        except CannotVerify:
            if now - ends_at < _PATIENCE:
                raise
            log.warning(
                "could not look up whom to ask next for %s", request.id, extra={"event": "ladder_blind"}
            )
            return NOBODY


def _counted(request: ApprovalRequest, result: int | BaseException) -> int:
    """The steps that one request took. What breaks on one of them is tried again, and stops no other."""
    if isinstance(result, Exception) and not isinstance(result, Unavailable):
        log.error("could not move %s on", request.id, exc_info=result, extra={"event": "ladder_broke"})
        return 0
    return _outcome(result)


def _outcome(result: int | BaseException) -> int:
    if isinstance(result, BaseException):
        raise result
    return result
