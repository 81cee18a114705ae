"""App Home, gathered for the one who opens it.

The queue must be known; whatever else cannot be found out at the moment is left out rather than
holding the queue up. What people here did not decide is for those who decide something here.
"""

from collections.abc import Callable, Iterable
from contextlib import suppress
from datetime import timedelta

from bot.core.clock import Clock
from bot.core.errors import CannotVerify, ReviewRefused
from bot.core.models import ApprovalRequest, ApproverSet, Person, SlackId
from bot.services.directory import Directory
from bot.services.entitling import is_in
from bot.slack.home import AUTOMATIC_SHOWN, HomeFacts, home_view
from bot.slack.queue import Queue
from bot.slack.roles import Role
from bot.slack.rota import Rota
from bot.slack.switch import Switch
from bot.slack.text import Block
from bot.store import Store

_LATELY = timedelta(days=1)


class Homes:
    """Everybody's App Home.

    Args:
        insiders: Everybody who decides or looks after something here, by the policies in force.
    """

    def __init__(
        self,
        queue: Queue,
        rota: Rota,
        switch: Switch,
        operators: Role,
        insiders: Callable[[], Iterable[ApproverSet]],
        store: Store,
        directory: Directory,
        clock: Clock,
    ) -> None:
        self._queue = queue
        self._rota = rota
        self._switch = switch
        self._operators = operators
        self._insiders = insiders
        self._store = store
        self._directory = directory
        self._clock = clock

    async def of(self, user_id: SlackId, team_id: str) -> Block:
        """The view to publish.

        Raises:
            CannotVerify: Slack did not say who they are.
            Unavailable: the store cannot be read.
        """
        queue = await self._queue.of(user_id, team_id)
        person = await self._directory.person(user_id)
        if person is None or person.is_guest or team_id != await self._directory.home_team():
            return home_view(HomeFacts(queue))
        now = self._clock.now()
        return home_view(
            HomeFacts(
                queue,
                grants=await self._store.reads.grants_at(now, user_id),
                on_call=await self._rota.on_call_lines(),
                agents=await self._agents(user_id, team_id),
                automatic=await self._automatic(person),
            )
        )

    async def _agents(self, user_id: SlackId, team_id: str) -> list[Block]:
        switches = False
        with suppress(ReviewRefused):
            await self._operators.require(user_id, team_id)
            switches = True
        return await self._switch.rows(switches=switches)

    async def _automatic(self, person: Person) -> list[ApprovalRequest] | None:
        if not await self._is_insider(person):
            return None
        since = self._clock.now() - _LATELY
        return await self._store.reads.automatic(since, limit=AUTOMATIC_SHOWN)

    async def _is_insider(self, person: Person) -> bool:
        for people in self._insiders():
            with suppress(CannotVerify):
                if await is_in(self._directory, person, people):
                    return True
        return False
