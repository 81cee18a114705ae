"""Policies that change while the bot runs: taken over, or refused with the old ones in force."""

import asyncio
import shutil
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from bot.core.errors import Unavailable
from bot.core.models import Status
from bot.sandbox import Sandbox, running_sandbox
from bot.services import reloading
from bot.services.policies import Policies
from bot.services.reloading import Reloads
from bot.store import Store
from bot.store.dialect import driver
from bot.system import SystemClock
from tests.integration.slack_desk import (
    POLICY,
    RAFAEL,
    Desk,
    crowded_workspace,
    running_bot,
    running_desk,
    text,
    write_policies,
)
from tests.processes import BotProcess

ADMIN = "C0ADMIN01"
STRICTER = POLICY.replace("block:\n", "block:\n  - {name: no-config, action_type: config_change}\n")
BROKEN = POLICY.replace("auto_reject_threshold: never", "auto_reject_threshold: nevr")


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    async with running_desk(tmp_path, pace=False) as running:
        yield running


def write(desk: Desk, text: str) -> None:
    (desk.bot.policies.directory / "default.yaml").write_text(text)


async def audited(desk: Desk, event: str, count: int = 1) -> list[Any]:
    """The events of a name, newest first, once there are so many."""
    committed = asyncio.Event()
    desk.bot.store.on_commit(lambda _changes: committed.set())
    async with asyncio.timeout(30):
        while True:
            committed.clear()
            found = await desk.bot.store.reads.audit_page(event=event)
            if len(found) >= count:
                return found
            await committed.wait()


async def told(desk: Desk, words: str) -> str:
    """What the admin channel was told, once it holds these words."""
    found = await desk.sandbox.until(
        lambda: next((m for m in desk.sandbox.messages(ADMIN) if words in str(m.blocks)), None), timeout=30
    )
    return str(found.blocks)


async def shown(desk: Desk, version: str, *, ok: bool) -> None:
    """Wait until readiness shows this of the policies."""
    async with httpx.AsyncClient(base_url=desk.bot.url, timeout=30) as client, asyncio.timeout(30):
        while (  # noqa: ASYNC110  # readiness is only told, without an event
            await client.get("/readyz")
        ).json()["policies"] != {"version": version, "ok": ok}:
            await asyncio.sleep(0.02)


def words(sandbox: Sandbox) -> str:
    """All that the admin channel was told."""
    return "\n".join(str(message.blocks) for message in sandbox.messages(ADMIN))


@asynccontextmanager
async def offline(directory: Path, changed: str) -> AsyncIterator[tuple[Reloads, Policies, Store]]:
    """A set that was loaded, and whose file has changed since; nothing watches it."""
    policies = directory / "policies"
    write_policies(policies)
    clock = SystemClock()
    async with Store.open(f"sqlite:///{directory}/keyturn.db", clock=clock) as store:
        loaded = Policies(policies)
        (policies / "default.yaml").write_text(changed)
        yield Reloads(loaded, store, clock), loaded, store


async def test_a_changed_file_is_in_force_as_soon_as_it_is_on_record(desk: Desk) -> None:
    before = desk.bot.policies.current.version
    assert (await desk.ask()).status is Status.PENDING
    (started,) = await audited(desk, "policy_loaded")
    assert (started.body["version"], started.body["before"]) == (before, None)

    write(desk, STRICTER)
    loaded = (await audited(desk, "policy_loaded", 2))[0]
    assert loaded.body["before"] == before
    assert (loaded.actor.id, loaded.via) == ("policies", "scheduler")
    await told(desk, "Policies loaded")
    await shown(desk, loaded.body["version"], ok=True)
    request = await desk.ask()
    assert (request.status, request.policy.rule) == (Status.REJECTED, "no-config")
    assert request.policy.version == loaded.body["version"]


async def test_a_broken_file_is_refused_told_and_audited_and_the_old_set_stays(desk: Desk) -> None:
    before = desk.bot.policies.current.version
    write(desk, BROKEN)
    refused = (await audited(desk, "policy_refused"))[0]
    assert refused.body["in_force"] == before
    assert refused.body["count"] == 1
    assert "default.yaml:4:" in refused.body["problems"][0]
    assert "default.yaml:4:" in await told(desk, "Policies refused")
    await shown(desk, before, ok=False)
    assert (await desk.ask()).policy.version == before

    write(desk, POLICY)
    loaded = (await audited(desk, "policy_loaded", 2))[0]
    assert loaded.body["version"] == before
    await shown(desk, before, ok=True)


async def test_an_edit_is_judged_by_the_set_in_force(desk: Desk) -> None:
    request = await desk.ask("deployment", {"environment": "staging", "version": "1"})
    await desk.card(request)
    write(desk, POLICY.replace("block:\n", "block:\n  - {name: no-two, where: {version: {eq: '2'}}}\n"))
    loaded = (await audited(desk, "policy_loaded", 2))[0]
    await shown(desk, loaded.body["version"], ok=True)
    await desk.click(RAFAEL, request, "request.modify")
    form = await desk.modal(RAFAEL, "request.modify")
    answer = await desk.sandbox.people.submit(RAFAEL, form.id, {"param:/version": text("2")})
    assert "no-two" in str(answer) or "no-two" in str(desk.sandbox.modal(RAFAEL))
    assert (await desk.now(request)).status is Status.PENDING


async def test_the_same_fault_is_reported_once_unless_somebody_asks_again(tmp_path: Path) -> None:
    async with offline(tmp_path, BROKEN) as (reloads, _policies, store):
        for _ in range(3):
            await reloads.reload(asked=False)
        assert len(await store.reads.audit_page(event="policy_refused")) == 1
        await reloads.reload(asked=True)
        again = await store.reads.audit_page(event="policy_refused")
        assert [event.via for event in again] == ["cli", "scheduler"]


async def test_a_set_that_cannot_be_put_on_record_is_not_in_force(tmp_path: Path) -> None:
    async with offline(tmp_path, STRICTER) as (reloads, policies, _store):
        raw = driver.connect(str(tmp_path / "keyturn.db"), isolation_level=None)
        raw.execute("BEGIN IMMEDIATE")
        before = policies.current
        with pytest.raises(Unavailable):
            await reloads.reload(asked=False)
        assert policies.current is before
        raw.execute("ROLLBACK")
        raw.close()
        await reloads.reload(asked=False)
        assert policies.current is not before


async def test_a_start_with_the_same_policies_is_not_audited_again(tmp_path: Path) -> None:
    async with running_sandbox(workspace=crowded_workspace(), transport="socket", pace=False) as sandbox:
        for expected in (1, 1):
            async with running_bot(sandbox, tmp_path) as desk:
                assert len(await audited(desk, "policy_loaded")) == expected


async def test_a_directory_that_another_takes_the_place_of_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reloading, "_LOOK_ANYWAY", 100)
    async with offline(tmp_path, POLICY) as (reloads, policies, store):
        committed, stop = asyncio.Event(), asyncio.Event()
        store.on_commit(lambda _changes: committed.set())
        async with asyncio.timeout(60), asyncio.TaskGroup() as tasks:
            running = tasks.create_task(reloads.run(stop))
            policies.directory.rename(tmp_path / "old")
            await committed.wait()
            committed.clear()
            assert (await store.reads.audit_page())[0].event == "policy_refused"
            before = policies.current
            shutil.copytree(tmp_path / "old", tmp_path / "new")
            (tmp_path / "new" / "default.yaml").write_text(STRICTER)
            (tmp_path / "new").rename(policies.directory)
            await committed.wait()
            stop.set()
            await running
        assert (await store.reads.audit_page())[0].event == "policy_loaded"
        assert policies.current.version != before.version


async def test_a_file_behind_a_link_that_changes_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reloading, "_LOOK_ANYWAY", 100)
    async with offline(tmp_path, POLICY) as (reloads, policies, store):
        shared = (policies.directory / "default.yaml").rename(tmp_path / "shared.yaml")
        (policies.directory / "default.yaml").symlink_to(shared)
        committed, stop, before = asyncio.Event(), asyncio.Event(), policies.current.version
        store.on_commit(lambda _changes: committed.set())
        async with asyncio.timeout(60), asyncio.TaskGroup() as tasks:
            running = tasks.create_task(reloads.run(stop))
            for body in (STRICTER, POLICY, STRICTER):  # the first is what the watch begins with
                (tmp_path / "fresh.yaml").write_text(body)
                (tmp_path / "fresh.yaml").rename(shared)
                await committed.wait()
                committed.clear()
            stop.set()
            await running
        assert (await store.reads.audit_page())[0].event == "policy_loaded"
        assert policies.current.version != before


async def test_sighup_reads_the_files_again(tmp_path: Path) -> None:
    async with running_sandbox() as sandbox:
        bot = BotProcess(tmp_path, sandbox.environment())
        await bot.start()
        bot.send(signal.SIGHUP)
        (tmp_path / "policies" / "policy.yaml").write_text("name: tests")
        await sandbox.until(lambda: "approvers is missing" in words(sandbox), timeout=60)
        bot.send(signal.SIGHUP)
        await sandbox.until(lambda: words(sandbox).count("Policies refused") >= 2, timeout=30)
        assert await bot.stop() == 0
