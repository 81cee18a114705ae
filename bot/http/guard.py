"""The outermost layer: every call gets an answer, every error a problem document, every answer a count.

It stands where Starlette would have five layers; a call that is held for a minute pays for each.
"""

from collections.abc import Awaitable, Callable
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.routing import BaseRoute, Match
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bot.core.errors import InvalidRequest, KeyturnError, MethodNotAllowed, NotFound
from bot.http.calls import HungUp
from bot.http.errors import internal, problem
from bot.http.plain import PlainRoute

Count = Callable[[str, str, int], None]
"""Method, route and status of one answer."""

_METHODS = frozenset({"DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"})
"""Methods that are counted by name; a stranger may send any word."""

HEADERS_ONLY = "keyturn.head"
"""Set in the scope of a HEAD call, which is routed as GET."""


class Guard:
    """Routes a call and turns whatever is raised into an answer.

    Args:
        find: The route of a call; None for what only `app` can answer. No frame but the guard's own
            lies between the server and an answer that is held: every one of them is memory.
    """

    def __init__(
        self,
        app: ASGIApp,
        find: Callable[[Scope], PlainRoute | None],
        routes: Callable[[], list[BaseRoute]],
        count: Count,
    ) -> None:
        self._app = app
        self._find = find
        self._routes = routes
        self._count = count

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        method = scope["method"]
        if method == "HEAD":
            scope = {**scope, "method": "GET", HEADERS_ONLY: True}
        counted = _Counted(send)
        response: Response | None = None
        try:
            # Nothing that is stored holds NUL, and PostgreSQL will not even compare with it.
            if "\0" in scope["path"]:
                raise NotFound("There is nothing at this path.")
            if b"%00" in scope["query_string"]:
                raise InvalidRequest("A query must not hold NUL.")
            if method == "OPTIONS":
                response = self._options(scope)
            elif (route := self._find(scope)) is not None:
                answer = await route.answer(scope, receive, counted)
                await answer(scope, receive, counted)
            else:
                await self._app(scope, receive, counted)
        except (HungUp, ClientDisconnect):
            return
        except Exception as error:
            response = self._answer_to(error, scope)
        if response is not None and not counted.status:
            await response(scope, receive, counted)
        if counted.status:
            self._count(method if method in _METHODS else "other", _route_of(scope), counted.status)

    def _answer_to(self, error: Exception, scope: Scope) -> Response:
        if isinstance(error, KeyturnError):
            return problem(error)
        if isinstance(error, HTTPException) and error.status_code == 404:
            return problem(NotFound("There is nothing at this path."))
        if isinstance(error, HTTPException) and error.status_code == 405:
            return self._not_allowed(scope)
        return internal(error)

    def _options(self, scope: Scope) -> Response:
        allowed = self._allowed(scope)
        if not allowed:
            return problem(NotFound("There is nothing at this path."))
        return Response(status_code=204, headers={"Allow": allowed})

    def _not_allowed(self, scope: Scope) -> Response:
        response = problem(MethodNotAllowed())
        response.headers["Allow"] = self._allowed(scope)
        return response

    def _allowed(self, scope: Scope) -> str:
        """Every method that some route at this path takes; empty when there is none."""
        methods: set[str] = set()
        for route in self._routes():
            match, _ = route.matches(scope)
            if match is not Match.NONE:
                methods |= getattr(route, "methods", None) or set()
        if "GET" in methods:
            methods.add("HEAD")
        return ", ".join(sorted(methods | {"OPTIONS"})) if methods else ""


class _Counted:
    """What a call sends, with the status of its answer; 0 until it has begun."""

    __slots__ = ("_send", "status")

    def __init__(self, send: Send) -> None:
        self._send = send
        self.status = 0

    def __call__(self, message: Message) -> Awaitable[None]:
        if message["type"] == "http.response.start":
            self.status = message["status"]
        return self._send(message)


def _route_of(scope: Scope) -> str:
    route: Any = scope.get("route")
    return str(getattr(route, "path", "none"))
