"""The answer to a call that waits for a decision."""

from collections.abc import Mapping
from typing import Any

from starlette.types import Receive, Scope, Send

from bot.core.models import Agent, RequestId
from bot.http.calls import Stopping, TimeOver
from bot.http.face import Face, json_response
from bot.store import Changed


class OnceDecided:
    """Sends a request once it is decided, or as it stands when the time is over or Keyturn stops.

    Ten thousand may be waiting: all that it keeps of its call are these few words.
    """

    __slots__ = ("_agent", "_face", "_headers", "_id", "_seconds", "_status")

    def __init__(
        self,
        face: Face,
        agent: Agent,
        id: str,
        seconds: int,
        *,
        status: int = 200,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self._face = face
        self._agent = agent
        self._id = RequestId(id)
        self._seconds = seconds
        self._status = status
        self._headers = headers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope["headers"].clear()  # nobody asks for them any more, and they may take a quarter of a wait
        calls, following = self._face.calls, self._face.services.approvals.following
        change: Changed | None = None
        try:
            wait = calls.begin(self._agent, self._seconds)
            following.waiters.add(self._id, wait)
            try:
                await self._face.gate.still(self._agent)
                while change is None and await following.undecided(self._agent, self._id):
                    change = await wait.sleep(receive)
            finally:
                following.waiters.remove(self._id, wait)
                calls.finish(wait)
        except (Stopping, TimeOver):
            pass  # it is answered as it stands
        response = json_response(await self._resource(change), status=self._status, headers=self._headers)
        await response(scope, receive, send)

    async def _resource(self, change: Changed | None) -> dict[str, Any]:
        if change is not None:
            return await self._face.changed(change)
        return await self._face.resource(await self._face.services.approvals.get(self._agent, self._id))
