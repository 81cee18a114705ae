"""The floor under an accepted POST: Starlette, one validated body, one commit, nothing else.

`MODE` is `none` (no storage), `group` (one task, one executor call and one COMMIT for whatever
waits) or `naive` (a COMMIT for each request). Each request writes one row and two chained audit
rows; `PAD` more bytes in the row make it as much as Keyturn stores for a request.
"""

import asyncio
import hashlib
import os
import time
import uuid
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import Any

import orjson
from pydantic import BaseModel, ConfigDict, Field
from pysqlite3 import dbapi2 as sqlite3
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

MODE, FILE, SYNC = os.environ["MODE"], os.environ["DB"], os.environ.get("SYNC", "FULL")
REST = "x" * int(os.environ["PAD"])

SCHEMA = """
CREATE TABLE request(
  id TEXT PRIMARY KEY, agent TEXT NOT NULL, body TEXT NOT NULL, status TEXT NOT NULL,
  created_at INTEGER NOT NULL, deadline_at INTEGER, rest TEXT NOT NULL) STRICT;
CREATE INDEX request_due ON request(deadline_at) WHERE status = 'pending';
CREATE TABLE audit(
  seq INTEGER PRIMARY KEY, at INTEGER NOT NULL, request_id TEXT NOT NULL, body TEXT NOT NULL,
  prev BLOB NOT NULL, hash BLOB NOT NULL) STRICT;
CREATE INDEX audit_request ON audit(request_id, seq);
"""


class Body(BaseModel):
    """What is posted: the same fields as the product's request."""

    model_config = ConfigDict(extra="forbid")
    type: str = Field(pattern=r"^[a-z][a-z0-9_.:-]{0,63}$")
    params: dict[str, Any]
    description: str = Field(min_length=1, max_length=3000)


class Database:
    """One connection, used by one thread."""

    def __init__(self) -> None:
        self._db = sqlite3.connect(FILE, isolation_level=None, check_same_thread=False)
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute(f"PRAGMA synchronous = {SYNC}")
        self._db.executescript(SCHEMA)
        self._head = bytes(32)

    def commit(self, batch: list[tuple[str, bytes]]) -> None:
        """Everything in `batch`, in one transaction."""
        self._db.execute("BEGIN IMMEDIATE")
        for id, body in batch:
            now = time.time_ns() // 1000
            text = body.decode()
            self._db.execute(
                "INSERT INTO request VALUES (?, ?, ?, ?, ?, ?, ?)",
                (id, "agent", text, "pending", now, now + 300_000_000, REST),
            )
            for event in ("action_requested", "policy_applied"):
                row = orjson.dumps({"at": now, "body": text, "event": event, "request": id})
                digest = hashlib.sha256(self._head + row).digest()
                self._db.execute(
                    "INSERT INTO audit(at, request_id, body, prev, hash) VALUES (?, ?, ?, ?, ?)",
                    (now, id, row.decode(), self._head, digest),
                )
                self._head = digest
        self._db.execute("COMMIT")


class Group:
    """Commits whatever waits, 128 at most, in one call to one thread."""

    def __init__(self, database: Database, largest: int) -> None:
        self._database = database
        self._largest = largest
        self._waiting: list[tuple[tuple[str, bytes], asyncio.Future[None]]] = []
        self._wake = asyncio.Event()
        self._thread = ThreadPoolExecutor(1)

    async def add(self, id: str, body: bytes) -> None:
        """Return once it is on disk."""
        done = asyncio.get_running_loop().create_future()
        self._waiting.append(((id, body), done))
        self._wake.set()
        await done

    async def run(self) -> None:
        """Commit for ever."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._waiting:
                batch, self._waiting = self._waiting[: self._largest], self._waiting[self._largest :]
                rows = [row for row, _ in batch]
                await asyncio.get_running_loop().run_in_executor(self._thread, self._database.commit, rows)
                for _, done in batch:
                    if not done.done():
                        done.set_result(None)


@asynccontextmanager
async def life(app: Starlette) -> AsyncIterator[None]:
    """Open the store of this mode."""
    if MODE == "none":
        app.state.add = None
        yield
        return
    group = Group(Database(), 128 if MODE == "group" else 1)
    app.state.add = group.add
    async with asyncio.TaskGroup() as tasks:
        loop = tasks.create_task(group.run())
        yield
        loop.cancel()


async def create(request: Request) -> Response:
    """Validate, commit, answer."""
    raw = await request.body()
    Body.model_validate_json(raw)
    id = "req_" + uuid.uuid4().hex
    if request.app.state.add is not None:
        await request.app.state.add(id, raw)
    return Response(orjson.dumps({"id": id, "status": "pending"}), 201, media_type="application/json")


app = Starlette(routes=[Route("/v1/requests", create, methods=["POST"])], lifespan=life)
