"""SIGKILL under load, with requests and clicks in flight.

Each round kills the real server in the midst of its work and starts it again on the same file. What
was acknowledged must be there: every request that got its 201, every click that got its 200.
KEYTURN_CRASH_ROUNDS sets the number of rounds (20 in the long form).
"""

import asyncio
import os
import random
from collections.abc import Coroutine
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from bot.core import chain, replay
from bot.core.audited import audited_state
from bot.core.models import RequestId
from bot.sandbox import running_sandbox
from bot.slack.directory import BUDGET
from bot.store import Store
from bot.store.dialect import driver
from bot.system import SystemClock
from tests.processes import BotProcess, block_action, signed

ROUNDS = int(os.environ.get("KEYTURN_CRASH_ROUNDS", "4"))
POSTERS, CLICKERS = 8, 4
REVIEWERS = ("U0SRE0001", "U0SRE0002", "U0REL0001")

BODY = {"type": "deployment", "params": {"environment": "production", "version": "1"}, "description": "Ship."}


@dataclass
class Told:
    """What the server acknowledged before it died."""

    requests: dict[str, str] = field(default_factory=dict)
    """Digest by id of each request that was answered with 201."""
    keys: dict[str, str] = field(default_factory=dict)
    """Id by Idempotency-Key."""
    clicked: set[str] = field(default_factory=set)
    """Ids on which a click was acknowledged."""


class Round:
    """One life of the server: how much it must have acknowledged before it is killed."""

    def __init__(self, told: Told) -> None:
        self._told = told
        self._requests = len(told.requests) + random.randint(25, 120)
        self._clicks = len(told.clicked) + random.randint(3, 20)
        self.enough = asyncio.Event()
        self.news = asyncio.Event()

    def heard(self) -> None:
        """Something was acknowledged."""
        self.news.set()
        told = self._told
        if len(told.requests) >= self._requests and len(told.clicked) >= self._clicks:
            self.enough.set()


async def post(bot: BotProcess, token: str, told: Told, round: Round) -> None:
    """Ask again and again until the server is gone."""
    headers = {"Authorization": f"Bearer {token}"}
    async with httpx.AsyncClient(base_url=bot.url, headers=headers, timeout=120) as client:
        while True:
            key = f"key-{random.getrandbits(64):x}"
            answer = await client.post("/v1/requests", json=BODY, headers={"Idempotency-Key": key})
            assert answer.status_code == 201, answer.text
            made = answer.json()
            told.requests[made["id"]] = made["digest"]
            told.keys[key] = made["id"]
            round.heard()


async def click(bot: BotProcess, secret: str, told: Told, round: Round) -> None:
    """Approve what was acknowledged, as fast as it comes, until the server is gone."""
    async with httpx.AsyncClient(base_url=bot.url, timeout=120) as client:
        while True:
            await round.news.wait()
            fresh = [id for id in told.requests if id not in told.clicked]
            chosen = random.choice(fresh[-50:] or list(told.requests))
            action = random.choice(("request.approve", "request.approve", "request.details"))
            payload = block_action(
                action,
                f"{chosen} {told.requests[chosen]}",
                random.choice(REVIEWERS),
                trigger=f"{random.getrandbits(64)}.1",
            )
            body, headers = signed(secret, payload)
            answer = await client.post("/slack/events", content=body, headers=headers)
            # Slack waits for three seconds: what takes longer is refused, or acknowledged undecided.
            decided = answer.elapsed.total_seconds() < BUDGET
            if answer.status_code == 200 and action == "request.approve" and decided:
                told.clicked.add(chosen)
                round.heard()


async def until_killed(bot: BotProcess, token: str, secret: str, told: Told) -> None:
    """Load the server, kill it in the midst of it, and let the clients notice."""
    round = Round(told)

    async def quietly(work: Coroutine[Any, Any, None]) -> None:
        with suppress(httpx.TransportError):
            await work

    async with asyncio.TaskGroup() as tasks:
        for _ in range(POSTERS):
            tasks.create_task(quietly(post(bot, token, told, round)))
        for _ in range(CLICKERS):
            tasks.create_task(quietly(click(bot, secret, told, round)))
        await round.enough.wait()
        await bot.kill()


def check_file(database: Path, told: Told) -> None:
    """The file is sound, the chain whole, and nothing that was acknowledged is missing."""
    # The store's own SQLite: two libraries in one process do not see each other's locks.
    with closing(driver.connect(f"file:{database}?mode=ro", uri=True)) as file:
        assert file.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        rows = file.execute("SELECT seq, canonical, prev_hash, hash FROM audit ORDER BY seq").fetchall()
        status = dict(file.execute("SELECT id, status FROM request").fetchall())
        doubles = file.execute(
            "SELECT request_id, event, count(*) FROM audit WHERE event IN ('action_requested',"
            " 'policy_applied', 'action_approved') GROUP BY 1, 2 HAVING count(*) > 1"
        ).fetchall()
    assert chain.verify(chain.Link(*row) for row in rows) is None
    assert doubles == []
    assert set(told.requests) <= set(status), "an acknowledged request is gone"
    lost = [id for id in told.clicked if status[id] != "approved"]
    assert lost == [], "an acknowledged click is gone"


async def check_replay(database: Path) -> None:
    """Folding each request's events gives its row."""
    async with Store.open(f"sqlite:///{database}", clock=SystemClock()) as store:
        cursor = None
        while True:
            page, cursor = await store.reads.requests(
                agent=None, status=None, type=None, session_id=None, limit=200, cursor=cursor
            )
            for request in page:
                events = await store.reads.events(RequestId(request.id), 0)
                assert replay.replay(event.body for event in events) == audited_state(request)
            if cursor is None:
                return


async def test_nothing_acknowledged_is_lost_by_sigkill(tmp_path):
    told = Told()
    async with running_sandbox(transport="http", pace=False) as sandbox:
        slack = sandbox.environment()
        slack.pop("SLACK_APP_TOKEN", None)
        async with BotProcess(tmp_path, slack) as bot:
            token = await bot.command("agents", "add", "builder", "--owner", "U0OWN0001", "--rate", "0")
            for _ in range(ROUNDS):
                await bot.start()
                await until_killed(bot, token, sandbox.signing_secret, told)
                check_file(bot.database, told)
            await bot.start()
            await the_same_key_gives_the_same_request(bot, token, told)
            assert await bot.stop() == 0
    await check_replay(bot.database)


async def the_same_key_gives_the_same_request(bot: BotProcess, token: str, told: Told) -> None:
    headers = {"Authorization": f"Bearer {token}"}
    async with httpx.AsyncClient(base_url=bot.url, headers=headers, timeout=120) as client:
        for key, id in random.sample(sorted(told.keys.items()), 20):
            again = await client.post("/v1/requests", json=BODY, headers={"Idempotency-Key": key})
            assert (again.status_code, again.json()["id"]) == (200, id)
