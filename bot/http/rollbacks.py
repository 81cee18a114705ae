"""Rollbacks: the agent's queue of undo work, and the operators' calls that start one.

A handler admits the caller, parses, calls one service and answers; it decides nothing.
"""

from starlette.requests import Request
from starlette.responses import Response

from bot.core.digest import canonical
from bot.core.models import Actor, Agent, RollbackState, Via
from bot.core.rollback import Asked, Report
from bot.http import wire_rollback
from bot.http.asked import idempotency_key, wait_of
from bot.http.auth import AGENT, ANYONE, OPERATOR
from bot.http.bodies import RollbackBody, RollbackClaimBody, RollbackOutcomeBody, SessionRollbackBody
from bot.http.calls import Stopping
from bot.http.face import Face, json_response, raw_json
from bot.http.fields import read
from bot.http.plain import json_of
from bot.services.rollback_work import Work, as_work


class Rollbacks:
    """The handlers under `/v1/rollbacks`, and the two that start a rollback."""

    def __init__(self, face: Face) -> None:
        self._face = face
        self._rollbacks = face.services.rollbacks

    async def rollback_queue(self, call: Request) -> Response:
        """What the agent is to do now: previews to make and confirmed undos to apply.

        With `?wait=N` the answer is held until there is something, at most N seconds. A preview needs
        no claim; its outcome is `state: previewed`.
        """
        agent = await self._face.gate.admit(call, AGENT)
        seconds = wait_of(call.query_params.getlist("wait"))
        found = await self._rollbacks.queue(agent, seconds=0)
        if not found and seconds > 0:
            found = await self._held(call, agent, seconds)
        return json_response({"items": [as_work(work) for work in found]})

    async def get_rollback(self, call: Request) -> Response:
        """One rollback, by its id or by that of one of its steps."""
        agent = await self._face.gate.admit(call, ANYONE)
        id = call.path_params["id"]
        return json_response(wire_rollback.resource(await self._rollbacks.get(agent, id), id))

    async def claim_rollback(self, call: Request) -> Response:
        """Take a confirmed undo, once. What is in the answer is exactly what may be applied."""
        agent = await self._face.gate.admit(call, AGENT)
        key = idempotency_key(call.headers.getlist("idempotency-key"))
        value = await json_of(call, optional=True)
        read(RollbackClaimBody, value)
        body = b"" if key is None else canonical(value)
        return raw_json(await self._rollbacks.claim(agent, call.path_params["id"], key=key, body=body))

    async def report_rollback(self, call: Request) -> Response:
        """Say what an undo would change (`previewed`), or what came of it. The same again changes nothing."""
        agent = await self._face.gate.admit(call, AGENT)
        body = read(RollbackOutcomeBody, await json_of(call))
        told = Report(
            state=RollbackState(body.state),
            summary=body.summary,
            diff=body.diff,
            affected=tuple(body.affected),
            message=body.message,
        )
        id = call.path_params["id"]
        return json_response(wire_rollback.resource(await self._rollbacks.report(agent, id, told), id))

    async def start_rollback(self, call: Request) -> Response:
        """Start the undo of one action. It applies only after a signed confirmation in Slack.

        `force` allows it to overwrite what somebody changed after the action; the confirmation then
        needs a second reason.
        """
        agent = await self._face.gate.admit(call, OPERATOR)
        body = read(RollbackBody, await json_of(call))
        asked = Asked(body.reason, Actor.agent(agent.name), Via.HTTP, body.force)
        begun = await self._rollbacks.start(call.path_params["id"], asked)
        return json_response(wire_rollback.resource(begun, begun.id), status=202)

    async def start_session_rollback(self, call: Request) -> Response:
        """Start the undo of everything that a session did, newest first, after one confirmation of it all."""
        agent = await self._face.gate.admit(call, OPERATOR)
        body = read(SessionRollbackBody, await json_of(call))
        asked = Asked(body.reason, Actor.agent(agent.name), Via.HTTP)
        begun = await self._rollbacks.start_session(call.path_params["id"], asked, agent=body.agent)
        return json_response(wire_rollback.resource(begun, begun.id), status=202)

    async def _held(self, call: Request, agent: Agent, seconds: int) -> list[Work]:
        try:
            work = self._rollbacks.queue(agent, seconds=seconds)
            return list(await self._face.hold(call, agent, work))
        except Stopping:
            return []
