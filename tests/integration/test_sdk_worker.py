"""The worker in its thread and in its task, against the real face."""

import asyncio
from pathlib import Path

import pytest

import keyturn
from keyturn import exact
from keyturn.errors import ConfigurationError, Unavailable
from keyturn.exchange import Answer, Call
from keyturn.rollback import AsyncWorker, Resources, Worker
from keyturn.rollback.journal import Journal
from keyturn.rollback.worker import Local, one_pass
from keyturn.settings import Settings
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


async def test_a_worker_outlives_a_full_disk_and_an_answer_of_another_shape(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    troubles: list[Exception] = [OSError(28, "No space left on device"), KeyError("kind")]
    again = asyncio.Event()

    async def run_once(self: AsyncWorker, *, wait: int = 0) -> int:
        if troubles:
            raise troubles.pop()
        again.set()
        await asyncio.Event().wait()
        return 0

    monkeypatch.setattr(AsyncWorker, "run_once", run_once)
    monkeypatch.setattr("keyturn.rollback.worker._PAUSE", 0)
    async with AsyncWorker("http://127.0.0.1:1", "kt_x", journal=tmp_path / "journal"):
        async with asyncio.timeout(20):
            await again.wait()


async def test_a_preview_that_the_server_refuses_is_not_made_over_and_over_without_a_pause(
    tmp_path: Path,
) -> None:
    work = {"id": "rbk_1", "request_id": "req_1", "kind": "preview", "rollback": UNDO, "force": True,
            "digest": "sha256:1"}  # fmt: skip
    queue = Answer(200, {"content-type": "application/json"}, exact.dumps({"items": [work]}).encode())
    refused = Answer(422, {"content-type": "application/problem+json"}, b'{"code": "invalid_request"}')
    journal = Journal(tmp_path / "journal")
    settings = Settings(url="http://127.0.0.1:1", token="kt_x")
    steps, told = [], None
    passing = one_pass(settings, Resources(), journal, 0)
    try:
        while True:
            step = passing.send(told)
            steps.append(type(step).__name__)
            told = step.call() if isinstance(step, Local) else None
            if isinstance(step, Call):
                told = queue if step.method == "GET" else refused
    except StopIteration:
        journal.close()
    assert not journal.shown("rbk_1"), "nobody was shown it"
    assert steps == ["Call", "Local", "Call", "Sleep"]


async def test_a_claim_that_the_server_was_too_busy_to_answer_is_asked_again_with_the_same_key(
    tmp_path: Path,
) -> None:
    work = {"id": "rbk_1", "request_id": "req_1", "kind": "apply", "rollback": UNDO, "force": False,
            "digest": "sha256:1"}  # fmt: skip
    queue = Answer(200, {"content-type": "application/json"}, exact.dumps({"items": [work]}).encode())
    busy = Answer(503, {"content-type": "application/problem+json"}, b'{"code": "unavailable"}')
    journal = Journal(tmp_path / "journal")
    settings = Settings(url="http://127.0.0.1:1", token="kt_x", retry_for=0)
    keys = []

    def one_try() -> None:
        passing, told = one_pass(settings, Resources(), journal, 0), None
        while True:
            step = passing.send(told)
            assert isinstance(step, Call)
            told = queue if step.method == "GET" else busy
            keys.extend([] if step.method == "GET" else [step.idempotency_key])

    for _ in range(2):
        with pytest.raises(Unavailable):
            one_try()
    journal.close()
    assert len(keys) == 2
    assert len(set(keys)) == 1
