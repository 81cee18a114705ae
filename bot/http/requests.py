"""Requests: ask, wait, follow, withdraw, claim, report, talk.

A handler admits the caller, parses, calls one service and answers; it decides nothing.
"""

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp

from bot.core.digest import canonical
from bot.core.models import Status
from bot.http import wire
from bot.http.asked import filters_of, idempotency_key, last_event, preferred_wait, wait_of
from bot.http.auth import AGENT, ANYONE, WITHDRAWS
from bot.http.bodies import CancelBody, ClaimBody, MessageBody, outcome
from bot.http.decided import OnceDecided
from bot.http.face import Face, json_response, raw_json
from bot.http.fields import read
from bot.http.plain import json_of
from bot.http.stream import EventStream
from bot.http.submission import parse_submission


class Requests:
    """The handlers under `/v1/requests`, and `/v1/evaluate`."""

    def __init__(self, face: Face) -> None:
        self._face = face
        self._approvals = face.services.approvals

    async def submit_request(self, call: Request) -> ASGIApp:
        """Ask for approval of one action. A 201 means that the request is on disk.

        With `Prefer: wait=N` the answer is held until the request is decided, at most N seconds.
        """
        agent = await self._face.gate.admit_counted(call)
        key = idempotency_key(call.headers.getlist("idempotency-key"))
        body = await json_of(call)
        submission = parse_submission(body, agent)
        identity = b"" if key is None else canonical(body)
        request, created = await self._approvals.submit(agent, submission, key=key, body=identity)
        status = 201 if created else 200
        seconds = preferred_wait(call.headers.getlist("prefer"))
        if seconds is None:
            return await self._face.answer(request, status=status, fresh=created)
        applied = {"Preference-Applied": f"wait={seconds}"}
        if seconds > 0 and request.status is Status.PENDING:
            return OnceDecided(self._face, agent, request.id, seconds, status=status, headers=applied)
        return await self._face.answer(request, status=status, headers=applied)

    async def get_request(self, call: Request) -> ASGIApp:
        """One request. With `?wait=N` the answer is held until it is decided, at most N seconds."""
        agent = await self._face.gate.admit(call, ANYONE)
        seconds = wait_of(call.query_params.getlist("wait"))
        id: str = call.path_params["id"]
        if seconds > 0:
            return OnceDecided(self._face, agent, id, seconds)
        return await self._face.answer(await self._approvals.get(agent, id))

    async def request_events(self, call: Request) -> Response:
        """Every change of a request as Server-Sent Events, until its execution is final.

        `id` is the audit's seq, `event` the audit's event name, `data` the request as it stands.
        A new listener first gets the present state as event `state`; `Last-Event-ID` resumes.
        """
        agent = await self._face.gate.admit(call, ANYONE)
        request = await self._approvals.get(agent, call.path_params["id"])
        after = last_event(call.headers.get("last-event-id"))
        changes = self._approvals.following.events(request, after=after)
        return EventStream(self._face, call, agent, changes)

    async def list_requests(self, call: Request) -> Response:
        """Requests, newest first: the agent's own, or all for an auditor or operator."""
        agent = await self._face.gate.admit(call, ANYONE)
        wanted = filters_of(call.query_params.multi_items())
        found = await self._approvals.page(
            agent,
            status=None if wanted.status is None else Status(wanted.status),
            type=wanted.type,
            session_id=wanted.session_id,
            limit=wanted.limit,
            cursor=wanted.cursor,
        )
        return json_response(wire.page(found, [await self._face.resource(r) for r in found.items]))

    async def cancel_request(self, call: Request) -> Response:
        """Withdraw a pending request. Scope `operator` may withdraw any."""
        agent = await self._face.gate.admit(call, WITHDRAWS)
        body = read(CancelBody, await json_of(call, optional=True))
        request = await self._approvals.cancel(agent, call.path_params["id"], body.reason)
        return await self._face.answer(request)

    async def claim_request(self, call: Request) -> Response:
        """Consume the approval, once. The params in the answer are exactly what may run."""
        agent = await self._face.gate.admit(call, AGENT)
        key = idempotency_key(call.headers.getlist("idempotency-key"))
        value = await json_of(call)
        body = read(ClaimBody, value)
        answer = await self._approvals.claim(
            agent,
            call.path_params["id"],
            digest=body.digest,
            preview_digest=body.preview_digest,
            audience=body.audience,
            key=key,
            body=b"" if key is None else canonical(value),
        )
        return raw_json(answer)

    async def report_outcome(self, call: Request) -> Response:
        """Say what became of a claimed action, with the data to undo it."""
        agent = await self._face.gate.admit(call, AGENT)
        told = outcome(await json_of(call))
        return await self._face.answer(await self._approvals.report(agent, call.path_params["id"], told))

    async def send_message(self, call: Request) -> Response:
        """Answer a reviewer's question; shown in the card's thread."""
        agent = await self._face.gate.admit(call, AGENT)
        body = read(MessageBody, await json_of(call))
        request = await self._approvals.message(
            agent,
            call.path_params["id"],
            text=body.text,
            in_reply_to=body.in_reply_to,
        )
        return await self._face.answer(request)

    async def evaluate_action(self, call: Request) -> Response:
        """What would happen to a request, without making one."""
        agent = await self._face.gate.admit_counted(call)
        submission = parse_submission(await json_of(call), agent)
        return json_response(wire.evaluation(await self._approvals.evaluate(agent, submission)))
