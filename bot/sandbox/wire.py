"""The routes the bot talks to: Web API, response URLs, uploads. Faults are played here, on the wire."""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

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

Given = TypeVar("Given")
Reader = Callable[[web.Request], Awaitable[Given]]

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
        """`/api/{method}`: run one method of the Web API."""
        name = request.match_info["method"]

        def run(arguments: Json) -> web.Response:
            token = read_token(request, arguments)
            return _json({"ok": True, **webapi.call(name, self._services, arguments, token)})

        return await self._exchange("web_api", name, request, read_arguments, run)

    async def _exchange(
        self,
        kind: str,
        name: str,
        request: web.Request,
        read: Reader[Given],
        run: Callable[[Given], web.Response],
    ) -> web.StreamResponse:
        """Read a call, play a fault if one is due, else run it; log it, and answer or hang up."""
        started = time.monotonic()
        given: Given | None = None
        note: str | None = None
        response: web.Response | None
        try:
            given = await read(request)
            fault = await self._due(name)
            note = fault.fault if fault else None
            response = _play(fault, lambda: run(given))
        except SlackError as error:
            response = _refused(error)
        status = response.status if response else None
        self._traffic.record(
            kind, name, _shown(given), _body(response), started=started, status=status, note=note
        )
        return response or _hang_up(request)

    async def _due(self, name: str) -> Fault | None:
        slow = self._faults.take(("slow",), name)
        if slow:
            await asyncio.sleep(slow.delay)
        return self._faults.take(WEB_FAULTS, name)

    async def response_url(self, request: web.Request) -> web.StreamResponse:
        """`/response/{key}`: answer to an interaction, by five uses in half an hour."""

        def run(given: Json) -> web.Response:
            try:
                self._respond(self._workspace.response_urls.use(request.match_info["key"]), _parsed(given))
            except SlackError as error:
                status = 404 if error.code.endswith("_url") else 400
                return web.json_response({"ok": False, "error": error.code}, status=status)
            return web.Response(text="ok")

        return await self._exchange("response_url", "response_url", request, read_arguments, run)

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

        def run(content: bytes) -> web.Response:
            stored = self._workspace.files.get(request.match_info["file_id"])
            if stored is None or stored.content is not None:
                return web.Response(status=404, text="This upload URL is not, or no longer, valid.")
            if len(content) != stored.length:
                return web.Response(status=400, text=f"expected {stored.length} bytes, got {len(content)}")
            stored.content = content
            return web.Response(text=f"OK - {len(content)}")

        return await self._exchange("upload", "upload", request, _upload_bytes, run)

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


def _play(fault: Fault | None, run: Callable[[], web.Response]) -> web.Response | None:
    """The response to give; None to hang up, before the call was run or after."""
    if fault is None:
        return run()
    if fault.fault == "rate_limited":
        raise RateLimited(fault.retry_after)
    if fault.fault == "error":
        raise SlackError(fault.code)
    if fault.fault == "server_error":
        return web.Response(status=500, text="Internal Server Error")
    if fault.fault == "drop_after":
        run()
    return None


def _refused(error: SlackError) -> web.Response:
    answer: Json = {"ok": False, "error": error.code}
    if error.messages:
        answer["errors"] = list(error.messages)
        answer["response_metadata"] = {"messages": [f"[ERROR] {message}" for message in error.messages]}
    if isinstance(error, RateLimited):
        return _json(answer, status=429, headers={"Retry-After": str(error.retry_after)})
    return _json(answer)


def _json(answer: Json, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    return web.json_response(answer, status=status, headers={"X-OAuth-Scopes": SCOPES, **(headers or {})})


def _shown(given: Any) -> Any:
    """What was sent, for the log: files by their size."""
    return {"bytes": len(given)} if isinstance(given, bytes) else given


def _body(response: web.Response | None) -> Any:
    if response is None or response.text is None:
        return None
    return json.loads(response.text) if response.content_type == "application/json" else response.text


def _hang_up(request: web.Request) -> web.Response:
    """Close the connection without an answer: the caller cannot know what became of its call."""
    if request.transport is not None:
        request.transport.close()
    # Nobody receives it; the framework wants something to return.
    return web.Response(status=500)
