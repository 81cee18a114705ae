"""The routes the page talks to: state, events, traffic, and everything a person or an operator does."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from contextlib import suppress
from importlib import resources
from pathlib import Path
from typing import Any

from aiohttp import web

from bot.sandbox.errors import SlackError
from bot.sandbox.model import Json
from bot.sandbox.people import PICKED
from bot.sandbox.sandbox import Sandbox

HEARTBEAT_SECONDS = 15.0
STATIC = Path(str(resources.files("bot.sandbox") / "static"))
NOT_BUILT = (
    "The sandbox's page has not been built; the sandbox works without it. To build it, run\n"
    "npm ci && npm run build in bot/sandbox/page.\n"
)
POLICY = (
    "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data: https:; "
    "font-src 'self' data:; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
)
LOOPBACK_NAMES = ("127.0.0.1", "localhost", "[::1]")

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Action = Callable[[Json], Awaitable[Json]]


@web.middleware
async def only_this_machine(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Refuse names and origins that are not this sandbox's own: DNS rebinding and other sites' pages."""
    port = request.transport.get_extra_info("sockname")[1] if request.transport else 0
    allowed = {f"{name}:{port}" for name in LOOPBACK_NAMES}
    origin = request.headers.get("Origin")
    if request.host not in allowed or (origin is not None and origin.removeprefix("http://") not in allowed):
        raise web.HTTPForbidden(text="The sandbox answers only to its own loopback address.\n")
    return await handler(request)


class Page:
    """Handlers for the page and for tests that drive the sandbox over HTTP."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox
        self.closing = asyncio.Event()

    def routes(self) -> list[web.AbstractRouteDef]:
        """The routes, for the sandbox's application."""
        actions: dict[str, Action] = {
            "click": self._click,
            "submit": self._submit,
            "close": self._close,
            "command": self._command,
            "message": self._message,
            "home": self._home,
            "dismiss": self._dismiss,
            "faults": self._set_faults,
            "limits": self._set_limits,
            "people": self._change_person,
            "usergroup": self._change_usergroup,
            "channel": self._change_channel,
            "delete_message": self._delete_message,
        }
        routes: list[web.AbstractRouteDef] = [
            web.get("/", self.index),
            web.get("/sandbox/state", self.state),
            web.get("/sandbox/events", self.events),
            web.get("/sandbox/traffic", self.traffic),
            web.get("/sandbox/faults", self.faults),
            web.get("/sandbox/limits", self.limits),
        ]
        routes += [web.post(f"/sandbox/{name}", _posted(action)) for name, action in actions.items()]
        if (STATIC / "assets").is_dir():
            routes.append(web.static("/assets", STATIC / "assets"))
        return routes

    async def index(self, request: web.Request) -> web.StreamResponse:
        """The page itself."""
        index = STATIC / "index.html"
        if not index.is_file():
            return web.Response(status=503, text=NOT_BUILT)
        headers = {"Content-Security-Policy": POLICY, "Cache-Control": "no-cache"}
        return web.FileResponse(index, headers=headers)

    async def state(self, request: web.Request) -> web.Response:
        """The whole state."""
        return web.json_response(self._sandbox.state())

    async def traffic(self, request: web.Request) -> web.Response:
        """The log after entry number `after`."""
        after = request.query.get("after", "0")
        entries = self._sandbox.traffic.after(int(after) if after.isdigit() else 0)
        return web.json_response({"entries": [entry.as_json() for entry in entries]})

    async def faults(self, request: web.Request) -> web.Response:
        """The fault rules in force."""
        return web.json_response({"ok": True, "faults": self._sandbox.faults.active()})

    async def limits(self, request: web.Request) -> web.Response:
        """Which limits are enforced."""
        return web.json_response({"ok": True, "pace": self._sandbox.pace.enforced})

    async def events(self, request: web.Request) -> web.StreamResponse:
        """Server-sent events: `state` with the version, `traffic` with each new entry."""
        headers = {"Content-Type": "text/event-stream", "Cache-Control": "no-store"}
        response = web.StreamResponse(headers=headers)
        await response.prepare(request)
        # A page that was closed is nobody's trouble.
        with suppress(ConnectionResetError):
            await self._tell(response)
        return response

    async def _tell(self, response: web.StreamResponse) -> None:
        version, seen = -1, self._sandbox.traffic.last
        while not self.closing.is_set():
            if version != self._sandbox.workspace.signal.count:
                version = self._sandbox.workspace.signal.count
                await response.write(_event("state", {"version": version}))
            for entry in self._sandbox.traffic.after(seen):
                seen = entry.n
                await response.write(_event("traffic", entry.as_json()))
            await self._next_change(response, version, seen)

    async def _next_change(self, response: web.StreamResponse, version: int, seen: int) -> None:
        def news() -> bool:
            changed = version != self._sandbox.workspace.signal.count
            return changed or seen != self._sandbox.traffic.last or self.closing.is_set()

        try:
            await self._sandbox.wake.until(news, HEARTBEAT_SECONDS)
        except TimeoutError:
            await response.write(b": still here\n\n")

    async def _click(self, given: Json) -> Json:
        people = self._sandbox.people
        names = ("user", "action_id", "block_id", "value", *PICKED)
        what = {name: given[name] for name in names if given.get(name) is not None}
        if given.get("view_id"):
            return await people.click_in_view(view_id=given["view_id"], values=given.get("values"), **what)
        return await people.click(channel=given["channel"], message_ts=given["message_ts"], **what)

    async def _submit(self, given: Json) -> Json:
        return await self._sandbox.people.submit(given["user"], given["view_id"], given.get("values"))

    async def _close(self, given: Json) -> Json:
        return await self._sandbox.people.close(given["user"], given["view_id"], bool(given.get("clear")))

    async def _command(self, given: Json) -> Json:
        text = _text(given.get("text") or "")
        return await self._sandbox.people.command(given["user"], given["channel"], given["command"], text)

    async def _message(self, given: Json) -> Json:
        thread_ts = given.get("thread_ts")
        text = _text(given["text"])
        return await self._sandbox.people.write(given["user"], given["channel"], text, thread_ts)

    async def _home(self, given: Json) -> Json:
        return await self._sandbox.people.open_home(given["user"])

    async def _dismiss(self, given: Json) -> Json:
        return await self._sandbox.people.dismiss(given["user"], given["channel"], given["message_ts"])

    async def _set_faults(self, given: Json) -> Json:
        if given.get("clear"):
            self._sandbox.faults.clear()
        for rule in given.get("add", []):
            await self._sandbox.add_fault(**rule)
        self._sandbox.workspace.changed()
        return {"ok": True, "faults": self._sandbox.faults.active()}

    async def _set_limits(self, given: Json) -> Json:
        self._sandbox.pace.enforced = bool(given["pace"])
        self._sandbox.workspace.changed()
        return {"ok": True, "pace": self._sandbox.pace.enforced}

    async def _change_person(self, given: Json) -> Json:
        self._sandbox.workspace.change_user(given.pop("user"), given)
        return {"ok": True}

    async def _change_usergroup(self, given: Json) -> Json:
        self._sandbox.workspace.set_usergroup(given["id"], list(given["users"]))
        return {"ok": True}

    async def _change_channel(self, given: Json) -> Json:
        self._sandbox.workspace.change_channel(given.pop("id"), given)
        return {"ok": True}

    async def _delete_message(self, given: Json) -> Json:
        workspace = self._sandbox.workspace
        workspace.delete(workspace.message(given["channel"], given["ts"]))
        return {"ok": True}


def _posted(action: Action) -> Handler:
    """A POST route: JSON object in, JSON object out, a sentence for whatever is wrong with it."""

    async def handler(request: web.Request) -> web.Response:
        try:
            given = await request.json()
            if not isinstance(given, dict):
                raise TypeError("the body must be a JSON object")
            answer = await action(given)
        except KeyError as missing:
            answer = _problem("invalid_request", f"{missing.args[0]} is missing.")
        except SlackError as error:
            answer = _problem(error.code, "; ".join(error.messages) or error.code.replace("_", " "))
        except (ValueError, TypeError) as error:
            answer = _problem("invalid_request", str(error))
        return web.json_response(answer)

    return handler


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError("text must be a string.")
    return value


def _problem(code: str, message: str) -> Json:
    return {"ok": False, "error": code, "message": message}


def _event(name: str, data: Any) -> bytes:
    return f"event: {name}\ndata: {json.dumps(data)}\n\n".encode()
