"""Sessions: start, end, read."""

from starlette.requests import Request
from starlette.responses import Response

from bot.http import wire
from bot.http.asked import place_of, whose
from bot.http.auth import AGENT, ANYONE
from bot.http.bodies import SessionBody, SessionEndBody
from bot.http.face import Face, json_response
from bot.http.fields import read
from bot.http.plain import json_of


class SessionRoutes:
    """The handlers under `/v1/sessions`."""

    def __init__(self, face: Face) -> None:
        self._face = face
        self._sessions = face.services.sessions

    async def start_session(self, call: Request) -> Response:
        """Start a session, or get the one by this id. A request with an unknown id starts one too."""
        agent = await self._face.gate.admit(call, AGENT)
        body = read(SessionBody, await json_of(call, optional=True))
        session, started = await self._sessions.start(agent, body.id, body.name, body.metadata)
        return json_response(wire.session(session), status=201 if started else 200)

    async def end_session(self, call: Request) -> Response:
        """End a session. One that has ended stays as it is."""
        agent = await self._face.gate.admit(call, AGENT)
        body = read(SessionEndBody, await json_of(call, optional=True))
        return json_response(
            wire.session(await self._sessions.end(agent, call.path_params["id"], body.summary))
        )

    async def get_session(self, call: Request) -> Response:
        """One session, with its requests counted by status.

        Auditors and operators see every agent's, and say whose with `agent` where ids are the same.
        """
        agent = await self._face.gate.admit(call, ANYONE)
        of = whose(call.query_params.multi_items()).agent
        return json_response(wire.session(await self._sessions.get(agent, call.path_params["id"], of=of)))

    async def session_timeline(self, call: Request) -> Response:
        """What happened in a session, oldest first, as audit events. Follow `next_cursor` for more."""
        agent = await self._face.gate.admit(call, ANYONE)
        wanted = place_of(call.query_params.multi_items())
        events, following = await self._sessions.timeline(
            agent, call.path_params["id"], of=wanted.agent, after=int(wanted.cursor or 0)
        )
        cursor = None if following is None else str(following)
        return json_response({"items": [event.as_json() for event in events], "next_cursor": cursor})
