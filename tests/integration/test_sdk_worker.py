"""The worker in its thread and in its task, against the real face."""

import asyncio
from pathlib import Path

import pytest

import keyturn
from keyturn.errors import ConfigurationError
from keyturn.rollback import AsyncWorker, Resources, Worker
from tests.integration.http_face import World, served
from tests.integration.test_http_rollbacks import confirmed, has_run, operator, started

UNDO = {"type": "custom", "handler": "rebuild", "data": {"table": "t"}}


def token_of(world: World) -> str:
    return str(world.client.headers["authorization"]).removeprefix("Bearer ")


async def state(world: World, id: str) -> str:
    return str((await world.client.get(f"/v1/rollbacks/{id}")).json()["state"])


async def until(world: World, id: str, wanted: str) -> None:
    async with asyncio.timeout(30):
        while await state(world, id) != wanted:  # noqa: ASYNC110  # the worker is another thread
            await asyncio.sleep(0.02)


async def test_a_worker_in_a_thread_does_the_work_while_the_agent_does_its_own(tmp_path: Path) -> None:
    seen: list[object] = []
    resources = Resources()
    resources.handler("rebuild", seen.append)
    async with served(tmp_path) as world:
        with keyturn.Client(world.url, token_of(world)) as client:
            worker = Worker(client, resources=resources, journal=tmp_path / "journal")
            await asyncio.to_thread(worker.start)
            try:
                id = (await started(world, await has_run(world, UNDO), await operator(world))).json()["id"]
                await until(world, id, "previewed")
                assert seen == []
                await confirmed(world, id)
                await until(world, id, "succeeded")
            finally:
                # It is in a long poll now, and does not wait for its end.
                await asyncio.wait_for(asyncio.to_thread(worker.close), 20)
    assert seen == [{"table": "t"}]


async def test_a_worker_ends_when_its_token_is_not_accepted(tmp_path: Path) -> None:
    async with served(tmp_path) as world:
        worker = AsyncWorker(world.url, "kt_nobody", journal=tmp_path / "journal")
        async with asyncio.timeout(30):
            await worker.run()
        worker.close()


async def test_two_workers_never_share_a_journal(tmp_path: Path) -> None:
    first = AsyncWorker("http://127.0.0.1:1", "kt_x", journal=tmp_path / "journal")
    with pytest.raises(ConfigurationError, match="give each its own"):
        AsyncWorker("http://127.0.0.1:1", "kt_x", journal=tmp_path / "journal")
    first.close()
    AsyncWorker("http://127.0.0.1:1", "kt_x", journal=tmp_path / "journal").close()


async def test_two_workers_apply_one_undo_once(tmp_path: Path) -> None:
    seen: list[object] = []
    resources = Resources()
    resources.handler("rebuild", seen.append)
    async with served(tmp_path) as world:
        id = (await started(world, await has_run(world, UNDO), await operator(world))).json()["id"]
        workers = [
            AsyncWorker(world.url, token_of(world), resources=resources, journal=tmp_path / f"journal{n}")
            for n in range(2)
        ]
        await workers[0].run_once()
        await confirmed(world, id)
        await asyncio.gather(*(worker.run_once() for worker in workers))
        for worker in workers:
            worker.close()
        assert await state(world, id) == "succeeded"
    assert seen == [{"table": "t"}]
