"""Where the server is, who asks, and how patient the client is.

Arguments win over `KEYTURN_URL` and `KEYTURN_TOKEN`; without an address or a token there is no client.
"""

import os
import ssl
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx

from keyturn.errors import ConfigurationError


@dataclass(frozen=True, slots=True)
class Settings:
    """All of a client's configuration; durations are seconds.

    Attributes:
        timeout: How long one try may take; a long poll may take its own time on top.
        retry_for: How long one call is repeated while the server is away or asks to wait.
        outage: How long a wait without a timeout of its own sits through an unreachable server.
        on_unreported: Called with the request id and the outcome that could not be delivered.
    """

    url: str
    token: str = field(repr=False)
    timeout: float = 10.0
    retry_for: float = 60.0
    outage: float = 900.0
    verify: ssl.SSLContext | bool = True
    proxy: str | None = None
    on_unreported: Callable[[str, Mapping[str, Any]], None] | None = None
    clock: Callable[[], float] = time.monotonic


def configured(url: str | None, token: str | None, **rest: Any) -> Settings:
    """Return settings from arguments and environment.

    Raises:
        ConfigurationError: says what is missing or wrong, and how to give it.
    """
    url = (url or os.environ.get("KEYTURN_URL") or "").strip().rstrip("/")
    token = (token or os.environ.get("KEYTURN_TOKEN") or "").strip()
    if not url:
        raise ConfigurationError(
            "No server address: pass url=… or set KEYTURN_URL, e.g. http://127.0.0.1:8420"
        )
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL as error:
        raise ConfigurationError(f"The server address cannot be read: {error}") from error
    if parsed.scheme not in ("http", "https") or not parsed.host:
        raise ConfigurationError(f"The server address must begin with http:// or https://, not {url!r}")
    if not token:
        raise ConfigurationError(
            "No token: pass token=… or set KEYTURN_TOKEN; `keyturn agents add NAME` makes one"
        )
    if not token.isascii() or not token.isprintable() or " " in token:
        raise ConfigurationError("The token holds characters that no Keyturn token has; copy it again, whole")
    return Settings(url=url, token=token, **rest)
