"""A request's changes as Server-Sent Events.

https://html.spec.whatwg.org/multipage/server-sent-events.html
"""

from collections.abc import AsyncGenerator, AsyncIterator

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from bot.core import jsontext
from bot.core.errors import KeyturnError
from bot.core.models import Agent
from bot.http.calls import HungUp, Stopping
from bot.http.face import Face
from bot.http.guard import HEADERS_ONLY
from bot.services.following import Change

HEARTBEAT_FRAME = b": still here\n\n"
"""A comment: clients ignore it, proxies see traffic."""

_HEADERS = {
    "Content-Type": "text/event-stream",
    "Cache-Control": "no-store",
    "X-Accel-Buffering": "no",  # nginx would hold events back otherwise
}


class EventStream(Response):
    """Sends each change as one event, and a heartbeat while nothing happens."""

    def __init__(self, face: Face, call: Request, agent: Agent, changes: AsyncIterator[Change]) -> None:
        super().__init__(status_code=200, headers=_HEADERS)
        del self.headers["content-length"]  # an empty body's; a stream has none
        self._face = face
        self._call = call
        self._agent = agent
        self._changes = changes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        try:
            if HEADERS_ONLY not in scope:
                await self._send_all(send)
        finally:
            # At once rather than when the garbage collector comes by: it holds a place among the waiters.
            if isinstance(self._changes, AsyncGenerator):
                await self._changes.aclose()
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _send_all(self, send: Send) -> None:
        async def part(data: bytes) -> None:
            await send({"type": "http.response.body", "body": data, "more_body": True})

        async def forward() -> None:
            async for change in self._changes:
                await part(await self._frame(change))

        async def heartbeat() -> None:
            await part(HEARTBEAT_FRAME)

        try:
            await self._face.hold(self._call, self._agent, forward(), idle=heartbeat)
        except (Stopping, HungUp, KeyturnError):
            # The status has been sent. The stream just ends; the client resumes or is refused.
            return

    async def _frame(self, change: Change) -> bytes:
        data = jsontext.dumps(await self._face.resource(change.request))
        return b"id: %d\nevent: %s\ndata: %s\n\n" % (change.seq, change.name.encode(), data)
