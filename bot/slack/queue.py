"""What waits for one person: the pending requests they may decide, most urgent first."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

from bot.core import pausing
from bot.core.errors import CannotVerify, ReviewRefused
from bot.core.models import ApprovalRequest, Person, RiskLevel, SlackId
from bot.core.pausing import Pause
from bot.services.directory import Directory
from bot.services.entitling import entitle
from bot.store import Store

LOOKED_AT = 1000
"""Pending requests looked at, the riskiest first and of one risk those that end first."""

ENOUGH = 50
"""Of one person's own, after which no more are looked for."""

_PAGE = 100


@dataclass(frozen=True, slots=True)
class Waiting:
    """A person's queue, in order."""

    requests: tuple[ApprovalRequest, ...]
    whole: bool = True
    """False when so much is pending that not all of it was looked at."""
    pauses: Sequence[Pause] = ()
    """What is paused, and so cannot be decided now."""

    def held(self, request: ApprovalRequest) -> bool:
        """Whether a pause keeps this one from being decided."""
        return pausing.holding(self.pauses, request.agent, request.action.type) is not None


class Queue:
    """Everybody's queue, by who may decide at this moment."""

    def __init__(self, store: Store, directory: Directory) -> None:
        self._store = store
        self._directory = directory

    async def of(self, user_id: SlackId, team_id: str) -> Waiting:
        """Requests this person may decide and has not answered, by risk, then urgency and deadline.

        Raises:
            CannotVerify: Slack did not say who the person is.
        """
        home = await self._directory.home_team()
        person = await self._directory.person(user_id)
        if person is None or team_id != home:
            return Waiting(())
        pauses = await self._store.reads.pauses()
        mine, looked_at = list[ApprovalRequest](), 0
        async for request in self._pending():
            if looked_at == LOOKED_AT or len(mine) == ENOUGH:
                return Waiting(tuple(sorted(mine, key=_order)), False, pauses)
            looked_at += 1
            if await self._is_for(person, request):
                mine.append(request)
        return Waiting(tuple(sorted(mine, key=_order)), True, pauses)

    async def _is_for(self, person: Person, request: ApprovalRequest) -> bool:
        if _answered(request, person.id):
            return False
        try:
            await entitle(self._directory, request, person)
        except (CannotVerify, ReviewRefused):
            return False
        return True

    async def _pending(self) -> AsyncIterator[ApprovalRequest]:
        for risk in sorted(RiskLevel, key=lambda level: -level.rank):
            page = await self._store.reads.pending_at(risk, limit=_PAGE)
            while page:
                for request in page:
                    yield request
                page = await self._store.reads.pending_at(risk, limit=_PAGE, after=page[-1])


def _answered(request: ApprovalRequest, user_id: SlackId) -> bool:
    return any(
        review.reviewer.id == user_id and review.digest == request.current_digest and not review.voided
        for review in request.reviews
    )


_URGENCIES = {"low": 0, "normal": 1, "high": 2, "critical": 3}


def _order(request: ApprovalRequest) -> tuple[int, int, float]:
    urgency = _URGENCIES[request.submission.urgency.value]
    until = float("inf") if request.deadline_at is None else request.deadline_at.timestamp()
    return (-request.current_risk.level.rank, -urgency, until)
