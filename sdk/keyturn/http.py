"""Calls as httpx understands them; the part that the blocking and the async client share.

Redirects are not followed: a token must not travel to another host.
"""

from importlib.metadata import PackageNotFoundError, version
from typing import Any

import httpx

from keyturn.exchange import CLOSED, Answer, Call, NoAnswer
from keyturn.settings import Settings
from keyturn.stream import SILENCE

_NEVER_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.UnsupportedProtocol)


def _version() -> str:
    try:
        return version("keyturn-sdk")
    except PackageNotFoundError:  # run from a source tree
        return "unknown"


VERSION = _version()


def http_options(settings: Settings) -> dict[str, Any]:
    """Constructor arguments of `httpx.Client` and `httpx.AsyncClient`."""
    return {
        "headers": {"Authorization": f"Bearer {settings.token}", "User-Agent": f"keyturn-sdk/{VERSION}"},
        "verify": settings.verify,
        "proxy": settings.proxy,
        # A wait holds its connection for as long as people think; any number may wait at once.
        "limits": httpx.Limits(max_connections=None, max_keepalive_connections=20),
    }


def prepared(settings: Settings, call: Call) -> dict[str, Any]:
    """Arguments of httpx's `request` and `stream`."""
    return {
        "method": call.method,
        "url": settings.url + call.path,
        "params": dict(call.query),
        "headers": dict(call.headers),
        "content": call.body,
    }


def call_timeout(settings: Settings, call: Call) -> httpx.Timeout:
    """Timeouts of one try; reading may take the server's own waiting on top."""
    return httpx.Timeout(settings.timeout, read=settings.timeout + call.patience, pool=None)


def stream_timeout(settings: Settings) -> httpx.Timeout:
    """Timeouts of an event stream: heartbeats tell a quiet stream from a dead one."""
    return httpx.Timeout(settings.timeout, read=max(SILENCE, settings.timeout), pool=None)


async def exchanged(http: httpx.AsyncClient, settings: Settings, call: Call) -> Answer | NoAnswer:
    """One try of a call from async code; what goes wrong on the way is an answer too."""
    if http.is_closed:
        return CLOSED
    try:
        answer = await http.request(**prepared(settings, call), timeout=call_timeout(settings, call))
    except httpx.RequestError as error:
        return no_answer(error)
    return taken(answer, answer.content)


def taken(answer: httpx.Response, body: bytes) -> Answer:
    """The answer in the SDK's own terms."""
    return Answer(answer.status_code, {name.lower(): value for name, value in answer.headers.items()}, body)


def no_answer(error: httpx.RequestError) -> NoAnswer:
    """The broken exchange in the SDK's own terms."""
    return NoAnswer(error, sent=not isinstance(error, _NEVER_SENT))
