"""HTTP delivery: one signed POST per payload to the app's request URL.

Signing: docs.slack.dev/authentication/verifying-requests-from-slack.
"""

import hashlib
import hmac
import json
import time
from typing import Any
from urllib.parse import urlencode

from aiohttp import ClientSession

from bot.sandbox.model import Json


class Refused(Exception):
    """The app answered with something other than 2xx. `retry` is False when it asked for no retries."""

    def __init__(self, status: int, retry: bool) -> None:
        super().__init__(status)
        self.status = status
        self.retry = retry


class SignedHttp:
    """Posts payloads to `url`, which may be set later."""

    kind = "http"

    def __init__(self, session: ClientSession, signing_secret: str, url: str | None) -> None:
        self._session = session
        self._secret = signing_secret.encode()
        self.url = url

    @property
    def connected(self) -> bool:
        """Whether there is somewhere to post to."""
        return self.url is not None

    async def send(self, kind: str, body: Json, retry: tuple[int, str] | None = None) -> Any:
        """Post one payload and return what the app answered: JSON, text, or None.

        Raises:
            ConnectionError: no request URL is set.
            aiohttp.ClientError: it could not be reached.
            Refused: it answered with another status than 2xx.
        """
        if self.url is None:
            raise ConnectionError("The sandbox has no request URL; start it with one or call deliver_to().")
        content_type, raw = encode(kind, body)
        headers = self.signature_headers(raw) | {"Content-Type": content_type, "User-Agent": "Slackbot 1.0"}
        if retry:
            headers |= {"X-Slack-Retry-Num": str(retry[0]), "X-Slack-Retry-Reason": retry[1]}
        async with self._session.post(self.url, data=raw, headers=headers, allow_redirects=False) as response:
            text = await response.text()
            if not 200 <= response.status < 300:
                raise Refused(response.status, retry=response.headers.get("x-slack-no-retry") != "1")
            if not text:
                return None
            return json.loads(text) if response.content_type == "application/json" else text

    def signature_headers(self, raw: bytes) -> dict[str, str]:
        """The two headers that prove `raw` came from Slack, for this moment."""
        # The wall clock, whatever clock the workspace runs on: the app checks against its own.
        timestamp = str(int(time.time()))
        base = b"v0:" + timestamp.encode() + b":" + raw
        digest = hmac.new(self._secret, base, hashlib.sha256).hexdigest()
        return {"X-Slack-Request-Timestamp": timestamp, "X-Slack-Signature": f"v0={digest}"}


def encode(kind: str, body: Json) -> tuple[str, bytes]:
    """The content type and bytes of a payload: events are JSON, the others forms."""
    if kind == "events_api":
        return "application/json", json.dumps(body).encode()
    fields = body if kind == "slash_commands" else {"payload": json.dumps(body)}
    return "application/x-www-form-urlencoded", urlencode(fields).encode()
