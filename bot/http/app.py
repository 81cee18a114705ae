"""The HTTP face: every route of `routes`, in one FastAPI application.

FastAPI keeps the document; the routes run without its machinery (see `plain`).
"""

from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from functools import cached_property
from typing import Any

from fastapi import FastAPI
from starlette.routing import Match, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bot.core.errors import TooLarge
from bot.http import documents as doc
from bot.http.auth import Gate
from bot.http.calls import OpenCalls
from bot.http.face import Face, HttpSettings, Services
from bot.http.guard import Guard
from bot.http.plain import PlainRoute, exact_routes
from bot.http.routes import SHAPES, every_route

SLACK_EVENTS = "/slack/events"
LARGEST_SLACK_BODY = 2 * 1024 * 1024
"""Bytes. Slack sends whole views back; its limits add up to less than this."""


class KeyturnApp(FastAPI):
    """FastAPI with one layer around its router, and a document of its own."""

    face: Face

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Coroutine[Any, Any, None]:
        """Serve one call, without FastAPI's look for telemetry at each."""
        scope["app"] = self
        return self._guard(scope, receive, send)

    @cached_property
    def _guard(self) -> Guard:
        """The router behind the guard, and nothing else."""
        count = self.face.services.metrics.answered
        return Guard(self.router.app, self._finder(), lambda: list(self.router.routes), count)

    def _finder(self) -> Callable[[Scope], PlainRoute | None]:
        """Finds a call's route, by one look where its path holds no parameter."""
        exact = exact_routes(self.router.routes)
        others = [r for r in self.router.routes if isinstance(r, PlainRoute) and r not in exact.values()]

        def find(scope: Scope) -> PlainRoute | None:
            route = exact.get((scope.get("method"), scope.get("path")))
            if route is not None:
                scope["route"], scope["path_params"] = route, {}
                return route
            for other in others:
                match, found = other.matches(scope)
                if match is Match.FULL:
                    scope.update(found)
                    return other
            return None

        return find

    def openapi(self) -> dict[str, Any]:
        """The OpenAPI document."""
        return self._document

    @cached_property
    def _document(self) -> dict[str, Any]:
        return doc.document(self, self.face.settings.version, SHAPES)

    def stop_holding(self) -> None:
        """Answer every wait with the present state and end every stream; call it before the server stops."""
        self.face.calls.stop()


def create_app(services: Services, settings: HttpSettings) -> KeyturnApp:
    """The application. Its lifespan must run: held calls live in it."""
    face = Face(services, settings, Gate(services.agents), OpenCalls(services.agents))

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        async with face.calls:
            yield

    app = KeyturnApp(
        title="Keyturn",
        version=settings.version,
        lifespan=lifespan,
        docs_url=None,  # its pages would load scripts from elsewhere
        redoc_url=None,
        redirect_slashes=False,
    )
    app.face = face
    app.router.routes.extend(every_route(face))
    if services.slack is not None:
        app.router.routes.append(Route(SLACK_EVENTS, _Limited(services.slack), methods=["POST"]))
    return app


class _Limited:
    """Somebody else's ASGI application, behind a limit on the body."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        size = 0

        async def limited() -> Message:
            nonlocal size
            message = await receive()
            size += len(message.get("body", b""))
            if size > LARGEST_SLACK_BODY:
                raise TooLarge("The body is larger than 2 MiB.")
            return message

        await self._app(scope, limited, send)
