"""The real clock, ids and tasks: the only module that reads the time or makes randomness."""

import asyncio
import secrets
from collections.abc import Coroutine
from datetime import UTC, datetime
from typing import Any

import uuid_utils


class SystemClock:
    """The machine's clock, in UTC."""

    def now(self) -> datetime:
        """The present as an aware UTC datetime."""
        return datetime.now(UTC)


def new_id(prefix: str) -> str:
    """`<prefix>_` and 32 hex digits of a UUIDv7 (RFC 9562): later ids sort after earlier ones."""
    return f"{prefix}_{uuid_utils.uuid7().hex}"


def new_token() -> str:
    """A bearer token: `kt_` and 256 random bits."""
    return "kt_" + secrets.token_urlsafe(32)


def spawn(work: Coroutine[Any, Any, None], *, name: str) -> asyncio.Task[None]:
    """A task whose owner keeps the handle and awaits it; used where a TaskGroup cannot be."""
    return asyncio.create_task(work, name=name)
