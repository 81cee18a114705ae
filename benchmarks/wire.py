"""A small HTTP client on raw sockets: thousands of connections, and no time lost in a library."""

import asyncio
import json
from collections.abc import Mapping
from typing import Any, Self
from urllib.parse import urlsplit


class Connection:
    """One connection that stays open and carries one call at a time."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def open(cls, url: str) -> Self:
        """A connection to the server at `url`."""
        parts = urlsplit(url)
        return cls(*await asyncio.open_connection(parts.hostname, parts.port, limit=65536))

    def send(self, method: str, path: str, headers: Mapping[str, str], body: bytes = b"") -> None:
        """Send a call; `answer` reads what comes back."""
        lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1", f"Content-Length: {len(body)}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        self._writer.write("\r\n".join([*lines, "", ""]).encode() + body)

    async def answer(self) -> tuple[int, bytes]:
        """Status and body of the answer to the call that was sent."""
        status, length = head(await self._reader.readuntil(b"\r\n\r\n"))
        if length is not None:
            return status, await self._reader.readexactly(length)
        parts = []
        while size := int(await self._reader.readuntil(b"\r\n"), 16):
            parts.append(await self._reader.readexactly(size))
            await self._reader.readexactly(2)
        await self._reader.readexactly(2)
        return status, b"".join(parts)

    async def call(
        self, method: str, path: str, headers: Mapping[str, str], body: bytes = b""
    ) -> tuple[int, bytes]:
        """Send a call and read its answer."""
        self.send(method, path, headers, body)
        return await self.answer()

    async def close(self) -> None:
        """Hang up."""
        self._writer.close()


def head(text: bytes) -> tuple[int, int | None]:
    """Status and body length in the head of an answer; None when the body comes in chunks."""
    first, *lines = text.decode("latin-1").split("\r\n")
    fields = {
        name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)
    }
    status = int(first.split()[1])
    if fields.get("transfer-encoding", "").lower() == "chunked":
        return status, None
    return status, int(fields.get("content-length", 0))


def json_of(answer: tuple[int, bytes], expected: int = 200) -> Any:
    """The JSON of an answer with the expected status.

    Raises:
        RuntimeError: the status is another.
    """
    status, body = answer
    if status != expected:
        raise RuntimeError(f"expected {expected}, got {status}: {body.decode(errors='replace')[:500]}")
    return json.loads(body)
