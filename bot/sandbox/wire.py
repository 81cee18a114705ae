"""The routes the bot talks to: Web API, response URLs, uploads. Faults are played here, on the wire."""

import asyncio
import json
import time
from typing import Any

from aiohttp import web

from bot.sandbox import webapi
from bot.sandbox.content import content_from
from bot.sandbox.errors import RateLimited, SlackError
from bot.sandbox.faults import WEB_FAULTS, Fault, Faults
from bot.sandbox.model import Json
from bot.sandbox.tickets import ResponseUrl
from bot.sandbox.traffic import Traffic
from bot.sandbox.webapi.calls import SCOPES, read_arguments, read_token
from bot.sandbox.workspace import Workspace

MAX_UPLOAD_BYTES = 50 * 1024 * 1024


class Wire:
    """Handlers for what Slack's own hosts answer."""

    def __init__(self, services: webapi.Services, faults: Faults, traffic: Traffic) -> None:
        self._services = services
        self._faults = faults
        self._traffic = traffic

    @property
    def _workspace(self) -> Workspace:
        return self._services.workspace

    def routes(self) -> list[web.RouteDef]:
        """The routes, for the sandbox's application."""
        return [
            web.route("GET", "/api/{method}", self.web_api),
            web.route("POST", "/api/{method}", self.web_api),
            web.post("/response/{key}", self.response_url),
            web.post("/upload/{file_id}", self.upload),
            web.get("/files/{file_id}", self.file),
        ]

    async def web_api(self, request: web.Request) -> web.StreamResponse:
        """`/api/{method}`: play a fault if one is due, else run the method."""
        name = request.match_info["method"]
        started = time.monotonic()
        arguments: dict[str, Any] = {}
        note = None
        try:
            arguments = await read_arguments(request)
            token = read_token(request, arguments)
            fault = await self._fault(name)
            note = fault.fault if fault else None
            response, answer = self._play(fault, name, arguments, token)
        except SlackError as error:
            response, answer = _refused(error)
        status = response.status if response else None
        self._traffic.record("web_api", name, arguments, answer, started=started, status=status, note=note)
        return response or _hang_up(request)

    def _play(
        self, fault: Fault | None, name: str, arguments: Json, token: str | None
    ) -> tuple[web.Response | None, Any]:
        """The response to give (None: hang up) and what to log as the answer."""
        if fault is None or fault.fault == "drop_after":
            answer = {"ok": True, **webapi.call(name, self._services, arguments, token)}
            return (None if fault else _json(answer)), answer
        if fault.fault == "rate_limited":
            raise RateLimited(fault.retry_after)
        if fault.fault == "error":
            raise SlackError(fault.code)
        if fault.fault == "server_error":
            return web.Response(status=500, text="Internal Server Error"), "Internal Server Error"
        return None, None

    async def _fault(self, name: str) -> Fault | None:
        slow = self._faults.take(("slow",), name)
        if slow:
            await asyncio.sleep(slow.delay)
        return self._faults.take(WEB_FAULTS, name)

    async def response_url(self, request: web.Request) -> web.StreamResponse:
        """`/response/{key}`: answer to an interaction, by five uses in half an hour."""
        started = time.monotonic()
        given: Json = {}
        response: web.Response | None
        try:
            given = await read_arguments(request)
            if await self._fault("response_url"):
                response = None
            else:
                self._respond(self._workspace.response_urls.use(request.match_info["key"]), _parsed(given))
                response = web.Response(text="ok")
        except SlackError as error:
            refusal = 404 if error.code.endswith("_url") else 400
            response = web.json_response({"ok": False, "error": error.code}, status=refusal)
        text = response.text if response else None
        status = response.status if response else None
        self._traffic.record("response_url", "response_url", given, text, started=started, status=status)
        return response or _hang_up(request)

    def _respond(self, leave: ResponseUrl, given: Json) -> None:
        channel = self._workspace.channel(leave.channel)
        original = self._workspace.messages(channel.id).get(leave.message_ts) if leave.message_ts else None
        if given.get("delete_original"):
            if original:
                self._workspace.delete(original)
            return
        content = content_from(given)
        if given.get("replace_original") and original:
            self._workspace.edit(original, **content)
            return
        self._workspace.post(
            channel,
            self._workspace.bot["user_id"],
            **content,
            thread_ts=given.get("thread_ts"),
            ephemeral_to=None if given.get("response_type") == "in_channel" else leave.user,
        )

    async def upload(self, request: web.Request) -> web.StreamResponse:
        """`/upload/{file_id}`: the bytes of a file, raw or as the first part of a multipart form."""
        started = time.monotonic()
        stored = self._workspace.files.get(request.match_info["file_id"])
        if stored is None or stored.content is not None:
            raise web.HTTPNotFound(text="This upload URL is not, or no longer, valid.")
        content = await _upload_bytes(request)
        answer: web.Response
        if len(content) != stored.length:
            answer = web.Response(status=400, text=f"expected {stored.length} bytes, got {len(content)}")
        else:
            stored.content = content
            answer = web.Response(text=f"OK - {len(content)}")
        about = {"file_id": stored.id, "filename": stored.name, "bytes": len(content)}
        self._traffic.record("upload", stored.name, about, answer.text, started=started, status=answer.status)
        return answer

    async def file(self, request: web.Request) -> web.StreamResponse:
        """`/files/{file_id}`: an uploaded file, always as a download: its content is nobody's page."""
        stored = self._workspace.files.get(request.match_info["file_id"])
        if stored is None or stored.content is None:
            raise web.HTTPNotFound(text="There is no such file.")
        headers = {"Content-Disposition": "attachment", "X-Content-Type-Options": "nosniff"}
        return web.Response(body=stored.content, content_type=stored.mimetype, headers=headers)


async def _upload_bytes(request: web.Request) -> bytes:
    if not request.content_type.startswith("multipart/"):
        return await request.read()
    part = await (await request.multipart()).next()
    return bytes(await part.read()) if part is not None and hasattr(part, "read") else b""


def _parsed(given: Json) -> Json:
    """The fields of a form's `payload`, or the JSON body itself."""
    payload = given.get("payload")
    if not isinstance(payload, str):
        return given
    try:
        return dict(json.loads(payload))
    except (ValueError, TypeError):
        raise SlackError("invalid_payload") from None


def _refused(error: SlackError) -> tuple[web.Response, Json]:
    answer: Json = {"ok": False, "error": error.code}
    if error.messages:
        answer["errors"] = list(error.messages)
        answer["response_metadata"] = {"messages": [f"[ERROR] {message}" for message in error.messages]}
    if isinstance(error, RateLimited):
        return _json(answer, status=429, headers={"Retry-After": str(error.retry_after)}), answer
    return _json(answer), answer


def _json(answer: Json, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    return web.json_response(answer, status=status, headers={"X-OAuth-Scopes": SCOPES, **(headers or {})})


def _hang_up(request: web.Request) -> web.Response:
    """Close the connection without an answer: the caller cannot know what became of its call."""
    if request.transport is not None:
        request.transport.close()
    # Nobody receives it; the framework wants something to return.
    return web.Response(status=500)
