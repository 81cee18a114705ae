"""Routes that FastAPI documents and Starlette runs.

FastAPI's own handling of a call costs as much as everything else together, and its body parser
reads numbers as floats. A `PlainRoute` keeps its place in `/openapi.json`: what it takes is
declared by a function that is never called, and its handler gets the bare request.
"""

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any, Protocol

from fastapi import Depends
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Receive, Scope, Send

from bot.core import jsontext
from bot.core.errors import InvalidJson, TooLarge, UnsupportedMediaType

LARGEST_BODY = 256 * 1024
"""Bytes."""

LONGEST_BODY = 30.0
"""Seconds until a body must have come; one that trickles in would hold its call for ever."""


class Handler(Protocol):
    """Answers a call. Its name is the operation's id, its docstring the description."""

    __name__: str

    def __call__(self, call: Request, /) -> Awaitable[ASGIApp]:
        """The answer, or what will give one."""
        ...


Declaration = Callable[..., None]
"""A function whose parameters say, in FastAPI's way, what a route takes."""


class PlainRoute(APIRoute):
    """One route with a handler `Request -> Response`, or to what sends a response later.

    Args:
        takes: Declares parameters, body and security for the documentation.
        answers: FastAPI's `responses`: status to model, description, headers.
    """

    def __init__(
        self,
        path: str,
        handler: Handler,
        *,
        method: str,
        takes: Declaration,
        answers: Mapping[int | str, dict[str, Any]],
        tag: str,
        hidden: bool = False,
    ) -> None:
        words = inspect.cleandoc(handler.__doc__ or "")
        super().__init__(
            path,
            _documented,
            methods=[method],
            operation_id=handler.__name__,
            dependencies=[Depends(takes)],
            response_model=None,
            response_class=Response,
            status_code=next(int(status) for status in answers),
            responses=dict(answers),
            summary=words.split(". ")[0].split("\n")[0].rstrip("."),
            description=words,
            tags=[tag],
            include_in_schema=not hidden,
        )
        self._handler, self.method = handler, method

    def answer(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[ASGIApp]:
        """What the handler answers to one call."""
        return self._handler(Request(scope, receive, send))

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a call that the router brings."""
        if scope["method"] != self.method:
            raise HTTPException(405)
        answer = await self.answer(scope, receive, send)
        await answer(scope, receive, send)


def exact_routes(routes: Iterable[BaseRoute]) -> dict[tuple[str | None, str | None], PlainRoute]:
    """The plain routes whose path holds no parameter, by method and path."""
    plain = [route for route in routes if isinstance(route, PlainRoute) and "{" not in route.path]
    return {(route.method, route.path): route for route in plain}


async def _documented(request: Request) -> Response:
    raise AssertionError("a plain route runs its own handler")


async def body_of(request: Request) -> bytes:
    """The body, read no further than the limit.

    Raises:
        TooLarge: more than 256 KiB, announced or sent.
        InvalidJson: it did not come to its end in time.
    """
    announced = request.headers.get("content-length", "")
    if announced.isdecimal() and (len(announced) > 9 or int(announced) > LARGEST_BODY):
        raise TooLarge()
    parts: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(LONGEST_BODY):
            async for part in request.stream():
                size += len(part)
                if size > LARGEST_BODY:
                    raise TooLarge()
                parts.append(part)
    except TimeoutError:
        raise InvalidJson(f"The body did not come to its end within {LONGEST_BODY:g} s.") from None
    return b"".join(parts)


async def json_of(request: Request, *, optional: bool = False) -> Any:
    """The body's JSON with every number exact. An empty body is `{}` where it is optional.

    Raises:
        TooLarge, UnsupportedMediaType, InvalidJson, InexactNumber.
    """
    body = await body_of(request)
    if not body:
        if optional:
            return {}
        raise InvalidJson("The body is empty; send a JSON object.")
    if request.headers.get("content-encoding", "identity").strip().lower() != "identity":
        raise UnsupportedMediaType("Send the body as it is, without Content-Encoding.")
    _check_media_type(request.headers.get("content-type", ""))
    return jsontext.loads(body)


def _check_media_type(content_type: str) -> None:
    media_type, _, parameters = content_type.partition(";")
    if media_type.strip().lower() != "application/json":
        raise UnsupportedMediaType()
    for parameter in parameters.split(";"):
        name, _, value = parameter.partition("=")
        if name.strip().lower() == "charset" and value.strip().strip('"').lower() not in ("utf-8", "utf8"):
            raise UnsupportedMediaType("Send JSON in UTF-8.")
