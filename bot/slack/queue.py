"""What waits for one person: the pending requests they may decide, most urgent first."""

from bot.core import authority
from bot.core.errors import CannotVerify, ReviewRefused
from bot.core.models import ApprovalRequest, SlackId, Status
from bot.services.directory import Directory
from bot.store import Store

LOOKED_AT = 1000
"""Pending requests looked at, newest first; a longer backlog is told as such."""

_PAGE = 200


class Queue:
    """Everybody's queue, by who may decide at this moment."""

    def __init__(self, store: Store, directory: Directory) -> None:
        self._store = store
        self._directory = directory

    async def of(self, user_id: SlackId, team_id: str) -> list[ApprovalRequest]:
        """Requests this person may decide and has not answered, by risk, then urgency and deadline.

        Raises:
            CannotVerify: Slack did not say who the person is.
        """
        home = await self._directory.home_team()
        person = await self._directory.person(user_id)
        if person is None or team_id != home:
            return []
        mine = []
        for request in await self._pending():
            try:
                members = {
                    source: await self._directory.members(source)
                    for source in sorted(authority.sources(request))
                }
                authority.authorise(request, person, home_team=home, members=members)
            except CannotVerify:
                continue
            except ReviewRefused:
                continue
            if not _answered(request, user_id):
                mine.append(request)
        return sorted(mine, key=_order)

    async def _pending(self) -> list[ApprovalRequest]:
        found: list[ApprovalRequest] = []
        cursor = None
        while len(found) < LOOKED_AT:
            items, cursor = await self._store.reads.requests(
                agent=None, status=Status.PENDING, type=None, session_id=None, limit=_PAGE, cursor=cursor
            )
            found += items
            if cursor is None:
                break
        return found


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
