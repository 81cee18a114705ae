"""How the server ends: when it is asked to, and when one of its loops dies."""

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest

from bot.config import Settings
from bot.sandbox import running_sandbox
from bot.wiring import running
from tests.processes import BotProcess

BODY = {"type": "deployment", "params": {"environment": "production", "version": "1"}, "description": "Ship."}


@asynccontextmanager
async def ready(directory: Path) -> AsyncIterator[tuple[BotProcess, httpx.AsyncClient]]:
    """A server and an agent's connection to it."""
    async with running_sandbox() as sandbox, BotProcess(directory, sandbox.environment()) as bot:
        token = await bot.command("agents", "add", "builder", "--owner", "U0OWN0001")
        await bot.start()
        headers = {"Authorization": f"Bearer {token}"}
        async with httpx.AsyncClient(base_url=bot.url, headers=headers, timeout=60) as agent:
            yield bot, agent


async def lines_of(agent: httpx.AsyncClient, path: str, first: asyncio.Event) -> list[str]:
    """Every line of a stream, to its end."""
    lines = []
    async with agent.stream("GET", path) as stream:
        async for line in stream.aiter_lines():
            lines.append(line)
            first.set()
    return lines


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
async def test_a_server_that_is_stopped_answers_whoever_waits(tmp_path: Path, signum: signal.Signals) -> None:
    async with ready(tmp_path) as (bot, agent):
        asked = (await agent.post("/v1/requests", json=BODY)).json()
        streaming = asyncio.Event()
        stream = asyncio.create_task(lines_of(agent, f"/v1/requests/{asked['id']}/events", streaming))
        get = asyncio.create_task(agent.get(f"/v1/requests/{asked['id']}?wait=55"))
        post = asyncio.create_task(agent.post("/v1/requests", json=BODY, headers={"Prefer": "wait=55"}))
        undo = asyncio.create_task(agent.get("/v1/rollbacks?wait=55"))
        await streaming.wait()
        await until_waiting(agent, 3)
        bot.send(signum)
        answers = await asyncio.gather(get, post, undo)
        assert [answer.status_code for answer in answers] == [200, 201, 200]
        assert [answer.json()["status"] for answer in answers[:2]] == ["pending", "pending"]
        assert answers[2].json() == {"items": []}
        assert "event: state" in await stream
        assert await bot.ended() == 0
        assert (bot.directory / "keyturn.db.lock").read_text() == "clean\n"


async def until_waiting(agent: httpx.AsyncClient, number: int) -> None:
    """Until the server counts so many waiters; another process has no event to wait for."""
    async with asyncio.timeout(30):
        while f"keyturn_waiters {float(number)}" not in (await agent.get("/metrics")).text:  # noqa: ASYNC110  # another process
            await asyncio.sleep(0.02)


@pytest.mark.parametrize("part", ["store", "outbox", "slack", "reloads", "scheduler"])
async def test_a_loop_that_dies_ends_the_server(tmp_path: Path, part: str) -> None:
    async with running_sandbox() as sandbox:
        process = BotProcess(tmp_path, sandbox.environment())
        settings = Settings.read({**process.environment, "KEYTURN_PORT": "0"})
        async with running(settings) as bot:
            loop = "watch" if part in ("scheduler", "store") else "run"

            async def dies(*_args: object) -> None:
                raise ZeroDivisionError

            setattr(getattr(bot, part), loop, dies)
            with pytest.raises(ExceptionGroup) as ended:
                async with asyncio.timeout(30):
                    await bot.run(asyncio.Event())
            assert ended.value.subgroup(ZeroDivisionError) is not None
