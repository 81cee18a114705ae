"""Slack's signed deliveries over HTTP, as an ASGI application at `/slack/events`.

The raw bytes are judged before anything is parsed: a missing, stale or wrong signature is 401, and
nothing of such a body is read or logged. Signed bytes that are no delivery of Slack's are 400.
Format: docs.slack.dev, authentication/verifying-requests-from-slack.
"""

import hashlib
import hmac
import json
import logging
import re
from collections.abc import Awaitable, Callable, Mapping, MutableMapping, Sequence
from typing import Any
from urllib.parse import parse_qs

from slack_bolt.async_app import AsyncApp
from slack_bolt.request.async_request import AsyncBoltRequest
from slack_bolt.response import BoltResponse

from bot.core.clock import Clock

log = logging.getLogger(__name__)

OLDEST = 300
"""Seconds that a timestamp may differ from our clock, both ways."""

LARGEST = 1_000_000
"""Bytes; Slack's own payloads stay well below."""

_Message = MutableMapping[str, Any]
_TIMESTAMP = re.compile(rb"[0-9]{1,15}")


class Verifier:
    """Tells Slack's bytes from everybody else's.

    Args:
        secrets: Every one that is valid at the moment; two while one is being replaced.
    """

    def __init__(self, secrets: Sequence[str], clock: Clock) -> None:
        if not secrets or not all(secrets):
            raise ValueError("an empty signing secret would accept forgeries")
        self._secrets = [secret.encode() for secret in secrets]
        self._clock = clock

    def accepts(self, body: bytes, timestamp: bytes, signature: bytes) -> bool:
        """Whether `signature` is Slack's for these bytes, made within the last five minutes."""
        if not _TIMESTAMP.fullmatch(timestamp):
            return False
        if abs(self._clock.now().timestamp() - int(timestamp)) > OLDEST:
            return False
        signed = b"v0:" + timestamp + b":" + body
        # Every secret is tried, so that the time taken does not tell which one fits.
        fits = [
            hmac.compare_digest(
                b"v0=" + hmac.new(secret, signed, hashlib.sha256).hexdigest().encode(), signature
            )
            for secret in self._secrets
        ]
        return any(fits)


class SignedHttp:
    """The ASGI application in front of Bolt."""

    def __init__(self, app: AsyncApp, verifier: Verifier) -> None:
        self._app = app
        self._verifier = verifier

    async def __call__(
        self,
        scope: Mapping[str, Any],
        receive: Callable[[], Awaitable[_Message]],
        send: Callable[[_Message], Awaitable[None]],
    ) -> None:
        """Answer one request."""
        status, headers, body = await self._respond(scope, receive)
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    async def _respond(
        self, scope: Mapping[str, Any], receive: Callable[[], Awaitable[_Message]]
    ) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
        if scope["method"] != "POST":
            return 405, [(b"allow", b"POST")], b""
        body = await _read(receive)
        if body is None:
            return 413, [], b""
        given = _headers(scope)
        timestamp = given.get(b"x-slack-request-timestamp", b"")
        if not self._verifier.accepts(body, timestamp, given.get(b"x-slack-signature", b"")):
            log.warning("a delivery was not signed by Slack", extra={"event": "slack_unsigned"})
            return 401, [], b""
        text = _delivery(body, given.get(b"content-type", b""))
        if text is None:
            log.warning("a signed delivery could not be read", extra={"event": "slack_unreadable"})
            return 400, [], b""
        return _wire(await self._dispatch(text, given))

    async def _dispatch(self, text: str, given: Mapping[bytes, bytes]) -> BoltResponse:
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in given.items()}
        try:
            request = AsyncBoltRequest(body=text, headers=dict(headers))
        except (AttributeError, IndexError, KeyError, TypeError, ValueError):
            # Bolt reads ids out of the payload and takes their types on trust.
            return BoltResponse(status=400, body="")
        if "view" in request.body:
            # Bolt looks the type up without asking whether it is there; every form of ours is a modal.
            request.body["view"].setdefault("type", "modal")
        answer = await self._app.async_dispatch(request)
        # Bolt's 404 says that no listener wants it; everything that Slack sends us has one.
        return BoltResponse(status=400, body="") if answer.status == 404 else answer


async def _read(receive: Callable[[], Awaitable[_Message]]) -> bytes | None:
    """The whole body; None when it is too large or the sender left."""
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        body += message.get("body", b"")
        if len(body) > LARGEST:
            return None
        if not message.get("more_body", False):
            return bytes(body)


def _headers(scope: Mapping[str, Any]) -> dict[bytes, bytes]:
    """Headers by lower-case name; one that stands twice is none, since readers differ about it."""
    found: dict[bytes, bytes] = {}
    twice = set()
    for name, value in scope["headers"]:
        if name in found:
            twice.add(name)
        found[name] = value
    return {name: value for name, value in found.items() if name not in twice}


def _delivery(body: bytes, content_type: bytes) -> str | None:
    """The body as text, if it has the shape of something Slack sends."""
    try:
        text = body.decode()
        if content_type.split(b";")[0].strip() == b"application/json":
            return text if _is_event(json.loads(text)) else None
        fields = {name: values[0] for name, values in parse_qs(text, keep_blank_values=True).items()}
        if "payload" in fields:
            return text if is_interaction(json.loads(fields["payload"])) else None
        return text if "command" in fields or "ssl_check" in fields else None
    except (ValueError, RecursionError):
        return None


def _is_event(body: Any) -> bool:
    if not isinstance(body, dict):
        return False
    if body.get("type") == "url_verification":
        return isinstance(body.get("challenge"), str)
    return body.get("type") == "event_callback" and isinstance(body.get("event"), dict)


def is_interaction(payload: Any) -> bool:
    """Whether a payload is an interaction in the shape that Slack documents."""
    if not isinstance(payload, dict) or not isinstance(payload.get("type"), str):
        return False
    if not isinstance(payload.get("user"), dict) or not isinstance(payload["user"].get("id"), str):
        return False
    if payload["type"] == "block_actions":
        actions = payload.get("actions")
        return isinstance(actions, list) and bool(actions) and all(_is_action(one) for one in actions)
    if payload["type"] in ("view_submission", "view_closed"):
        view = payload.get("view")
        return isinstance(view, dict) and isinstance(view.get("callback_id"), str)
    return isinstance(payload.get("view", {}), dict)


def _is_action(action: Any) -> bool:
    return isinstance(action, dict) and isinstance(action.get("action_id"), str)


def _wire(answer: BoltResponse) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
    headers = [
        (name.lower().encode("latin-1"), value.encode("latin-1"))
        for name, value in answer.first_headers_without_set_cookie().items()
    ]
    return answer.status, headers, (answer.body or "").encode()
