"""The agent's worker dies at every single effect it has: nothing is undone twice, nothing half.

It stops right before its k-th effect: a call to the server, a write to the journal, a step of an
undo. For every k the next worker brings the undo to a clean end. Some of the ends are real SIGKILLs.
"""

import asyncio
import json
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Awaitable, Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from keyturn.rollback import AsyncWorker, Resources, databases, journal, places, worker
from tests.integration.http_face import World, served
from tests.integration.test_http_rollbacks import confirmed, has_run, started
from tests.processes import REPO

WORKER = """
import os, signal, sqlite3, sys
from keyturn.rollback import Worker, Resources
from tests.crash.test_rollback_worker import each_effect, resources_of

left = int(sys.argv[2])

def count():
    global left
    left -= 1
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)

each_effect(setattr, count)
worker = Worker(resources=resources_of(sys.argv[1]), journal=os.path.join(sys.argv[1], "journal"))
while worker.run_once():
    pass
"""


class Died(BaseException):
    """Stands for the end of the process: nothing catches it."""


def each_effect(patch: Callable[[Any, str, Any], object], before: Callable[[], None]) -> None:
    """Let `before` be called right before every effect that a worker has on anything outside it."""

    def wrap(owner: Any, name: str) -> None:
        real = getattr(owner, name)

        def call(*args: Any, **kwargs: Any) -> Any:
            before()
            return real(*args, **kwargs)

        patch(owner, name, call)

    for name in ("_put", "_sync", "forget"):
        wrap(journal.Journal, name)
    wrap(worker, "exchanged")
    wrap(places, "replace")
    wrap(places, "_written")
    wrap(os, "rename")
    wrap(subprocess, "Popen")
    wrap(databases, "_run_dbapi")
    wrap(databases, "_begin")


def resources_of(place: str) -> Resources:
    """What the agent at `place` can undo."""
    made = Resources()
    made.database("shop", lambda: sqlite3.connect(Path(place) / "shop.db"))
    return made


def bearer(world: World) -> str:
    return str(world.client.headers["authorization"]).removeprefix("Bearer ")


async def killed_worker(world: World, place: Path, die_at: int) -> int:
    """The exit code of a worker's process that is killed right before its effect `die_at`."""
    paths = os.pathsep.join(filter(None, [str(REPO), os.environ.get("PYTHONPATH")]))
    environment = {
        **os.environ,
        "KEYTURN_URL": world.url,
        "KEYTURN_TOKEN": bearer(world),
        "PYTHONPATH": paths,
    }
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", WORKER, str(place), str(die_at)),
        env=environment,
        stderr=asyncio.subprocess.PIPE,
    )
    _, err = await process.communicate()
    assert process.returncode in (0, -signal.SIGKILL), err.decode()
    return process.returncode


async def dying_worker(world: World, place: Path, die_at: int = 0) -> bool:
    """Whether a worker in this process was stopped right before its effect `die_at`; 0 lets it live."""
    left = die_at

    def count() -> None:
        nonlocal left
        left -= 1
        if left == 0:
            raise Died

    with pytest.MonkeyPatch.context() as patch:
        each_effect(patch.setattr, count)
        own = AsyncWorker(
            world.url, bearer(world), resources=resources_of(str(place)), journal=place / "journal"
        )
        try:
            while await own.run_once():
                pass
        except Died:
            return True
        finally:
            own.close()
    return False


def stage(place: Path) -> None:
    """Files, a database and a log, as an action left them."""
    place.mkdir(exist_ok=True)
    (place / "settings").write_bytes(b"new\n")
    (place / "log").write_bytes(b"")
    with closing(sqlite3.connect(place / "shop.db")) as database, database:
        database.execute("CREATE TABLE IF NOT EXISTS item (id INTEGER PRIMARY KEY)")
        database.execute("DELETE FROM item")


def undo_of(place: Path, *kinds: str) -> Any:
    code = "import sys; open(sys.argv[1], 'a').write('undone\\n')"
    steps = {
        "command": {"type": "command_undo", "argv": [sys.executable, "-c", code, str(place / "log")]},
        "file": {
            "type": "file_restore",
            "path": str(place.resolve() / "settings"),
            "existed": True,
            "original_content": "old\n",
            "mode": 0o600,
        },
        "sql": {
            "type": "database_restore",
            "database": "shop",
            "statements": [{"sql": "INSERT INTO item DEFAULT VALUES", "params": []}],
        },
    }
    return [steps[kind] for kind in kinds]


def effects(place: Path) -> dict[str, int]:
    """How often each step has had its effect."""
    with closing(sqlite3.connect(place / "shop.db")) as database:
        (items,) = database.execute("SELECT count(*) FROM item").fetchone()
    return {
        "command": (place / "log").read_bytes().count(b"undone"),
        "file": int((place / "settings").read_bytes() == b"old\n"),
        "sql": int(items),
    }


async def undone(world: World, place: Path, kinds: tuple[str, ...], die: Callable[[], Awaitable[Any]]) -> str:
    """How an undo ends of which a worker died and another took over; what it did is checked."""
    stage(place)
    request = await has_run(world, undo_of(place, *kinds))
    token = await world.token(f"ops-{request[-12:]}", scopes=["operator"])
    id = (await started(world, request, {"Authorization": f"Bearer {token}"})).json()["id"]
    assert not await dying_worker(world, place)  # the preview
    await confirmed(world, id)
    await die()
    assert not await dying_worker(world, place)
    ended = (await world.client.get(f"/v1/rollbacks/{id}")).json()
    had = effects(place)
    events = [event.event for event in await world.store.reads.events(request)]
    assert max(had.values()) <= 1, "a step was done twice"
    assert events.count("action_rolled_back") + events.count("rollback_failed") == 1
    if ended["state"] == "succeeded":
        assert {kind: had[kind] for kind in kinds} == dict.fromkeys(kinds, 1), json.dumps(ended)
    else:
        assert (ended["state"], "by hand" in ended["message"]) == ("failed", True)
    assert list((place / "journal").glob("rbk_*.json")) == []
    return str(ended["state"])


@pytest.mark.parametrize("kinds", [("file",), ("command", "sql", "file")])
async def test_a_worker_may_stop_before_any_of_its_effects(tmp_path: Path, kinds: tuple[str, ...]) -> None:
    place, ends, died, die_at = tmp_path / "agent", [], True, 0
    async with served(tmp_path) as world:

        async def die() -> None:
            nonlocal died
            died = await dying_worker(world, place, die_at)

        while died:
            die_at += 1
            ends.append(await undone(world, place, kinds, die))
    assert len(ends) > 12, "the worker has more effects than that"
    assert ends.count("succeeded") > len(ends) / 2
    if kinds == ("file",):
        assert set(ends) == {"succeeded"}, "the state of a file can always be told"


@pytest.mark.parametrize("die_at", [4, 9, 14])
async def test_a_worker_may_be_killed(tmp_path: Path, die_at: int) -> None:
    async with served(tmp_path) as world:
        place = tmp_path / "agent"

        async def die() -> None:
            assert await killed_worker(world, place, die_at) == -signal.SIGKILL

        await undone(world, place, ("command", "sql", "file"), die)
