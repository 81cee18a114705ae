"""Pausing and resuming, from Slack and from the command line.

The pause is on disk before anybody hears of it, and every transaction that it must stop looks at it.
So once this returns no request is approved and no claim granted, whichever process is asked.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from bot.core import lifecycle, pausing
from bot.core.clock import Clock
from bot.core.errors import AlreadyDecided, InvalidRequest
from bot.core.models import Actor, ApprovalRequest, Cause, Reviewer, SlackId, Status, Via
from bot.core.params import KNOWN
from bot.core.pausing import Pause
from bot.store import Store
from bot.store.commands import SaveTransition
from bot.store.pauses import LiftPause, SetPause

COMMAND_LINE = Reviewer(SlackId("cli"), "an operator")
"""Whoever runs the command may read the database; there is no other name for them."""

_NO_REASON = "no reason was given"
_PAGE = 200


@dataclass(frozen=True, slots=True)
class Done:
    """A pause that stands, and how many pending requests were cancelled for it."""

    pause: Pause
    cancelled: int


class Pauses:
    """The kill switch."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def pause(
        self, what: str, *, reason: str | None, cancel: bool, by: Reviewer = COMMAND_LINE, via: Via = Via.CLI
    ) -> Done:
        """Stop an agent, an action type, or `all`.

        Args:
            what: As a person wrote it.
            cancel: Cancel what is pending; otherwise it is held, and its deadlines go on.

        Raises:
            InvalidRequest: nothing is known by that name.
        """
        pause = Pause(await self._what(what), (reason or "").strip() or _NO_REASON, by, self._clock.now())
        await self._store.write(SetPause(pause, cancel, via))
        return Done(pause, await self._cancel(pause, via) if cancel else 0)

    async def resume(self, what: str, *, by: Reviewer = COMMAND_LINE, via: Via = Via.CLI) -> Pause:
        """Let it run again.

        Raises:
            InvalidRequest: it is not paused.
        """
        standing = await self.all()
        named = {
            pause.what for pause in standing if what.strip() in (pause.what, pause.what.partition(":")[2])
        }
        if len(named) != 1:
            listed = ", ".join(pause.what for pause in standing) or "nothing"
            raise InvalidRequest(f"{what.strip()} is not paused. What is paused: {listed}.")
        lifted = await self._store.write(LiftPause(named.pop(), by, via, self._clock.now()))
        if lifted is None:
            raise InvalidRequest(f"{what.strip()} is not paused any more.")
        return lifted

    async def all(self) -> Sequence[Pause]:
        """What is paused."""
        return await self._store.reads.pauses()

    async def _what(self, text: str) -> str:
        agents = frozenset(agent.name for agent in await self._store.reads.agents())
        asked = await self._store.reads.has_asked_for(text.strip())
        types = frozenset(KNOWN) | ({text.strip()} if asked else frozenset())
        return pausing.read_what(text, agents=agents, types=types)

    async def _cancel(self, pause: Pause, via: Via) -> int:
        """Cancel what is pending. Nothing new can be: the pause stands already."""
        cancelled, cursor = 0, None
        while True:
            found, cursor = await self._store.reads.requests(
                status=Status.PENDING, cursor=cursor, limit=_PAGE
            )
            for request in found:
                if pausing.concerns(pause.what, request.agent, request.action.type):
                    cancelled += await self._cancel_one(request, pause, via)
            if cursor is None:
                return cancelled

    async def _cancel_one(self, request: ApprovalRequest, pause: Pause, via: Via) -> bool:
        actor = Actor.system("cli") if via is Via.CLI else Actor.human(pause.by)
        present: ApprovalRequest | None = request
        while present is not None:
            try:
                step = lifecycle.cancel(
                    present,
                    reason=pause.sentence,
                    actor=actor,
                    cause=Cause.CANCELLED_BY_OPERATOR,
                    via=via,
                    now=self._clock.now(),
                )
            except AlreadyDecided:
                return False
            if step is None:
                return False
            if await self._store.write(SaveTransition(step)):
                return True
            present = await self._store.reads.request(request.id)
        return False
