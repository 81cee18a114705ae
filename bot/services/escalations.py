"""One pass over the requests whose time has come.

Deadlines are columns: a pass leases what is due, asks the rule what time does to each
request, and commits it. Every process may run passes; a lease and the request's version keep
each step single. The scheduler only says when to look.
"""

import logging
from datetime import timedelta

from bot.core import lifecycle
from bot.core.clock import Clock
from bot.core.errors import CannotVerify
from bot.core.models import ApprovalRequest, RequestId, Status
from bot.core.notifying import Members, looked_up
from bot.services.reviews import Reviews
from bot.store import Store
from bot.store.commands import LeaseDue, SaveTransition

log = logging.getLogger(__name__)

_BATCH = 200
_LEASE = timedelta(seconds=30)


class Escalations:
    """What time does to pending requests."""

    def __init__(self, store: Store, reviews: Reviews, clock: Clock) -> None:
        self._store = store
        self._reviews = reviews
        self._clock = clock

    async def run_once(self) -> int:
        """Handle everything that is due now; how many requests moved."""
        moved = 0
        while due := await self._store.write(LeaseDue(self._clock.now(), _BATCH, _LEASE)):
            for request_id in due:
                moved += await self._advance(request_id)
        return moved

    async def _advance(self, request_id: RequestId) -> int:
        """Let time act on one request until nothing more is due; how many steps it took."""
        steps = 0
        while True:
            request = await self._store.reads.request(request_id)
            if request is None or request.status is not Status.PENDING:
                return steps
            members = await self._members(request)
            step = lifecycle.advance(request, members=members, now=self._clock.now())
            if step is None:
                return steps
            if await self._store.write(SaveTransition(step)):
                steps += 1

    async def _members(self, request: ApprovalRequest) -> Members:
        """Who the next level pings. Trouble in looking them up never holds the ladder up."""
        if request.level + 1 >= len(request.plan):
            return {}
        targets = request.plan[request.level + 1].notify
        try:
            return await self._reviews.resolve(looked_up(targets))
        except CannotVerify:
            log.warning(
                "could not look up whom to ask next for %s", request.id, extra={"event": "ladder_blind"}
            )
            return {}
