"""A disk that is full: nothing is decided and nothing is lost, and it ends without a restart."""

import asyncio
import resource
from pathlib import Path

import httpx

from bot.sandbox import running_sandbox
from tests.processes import BotProcess

BODY = {"type": "deployment", "params": {"environment": "production", "version": "1"}, "description": "Ship."}
BIG = BODY | {"metadata": {"pad": "x" * 100_000}}


class Disk:
    """The room that the server's files have, as the system limits it for one process."""

    def __init__(self, bot: BotProcess) -> None:
        self._bot = bot

    def fill(self) -> None:
        """No file of the server may grow beyond what its largest has now."""
        files = self._bot.directory.glob("keyturn.db*")
        self._limit(max(file.stat().st_size for file in files if file.is_file()))

    def make_room(self) -> None:
        """As much room as there was before."""
        self._limit(resource.RLIM_INFINITY)

    def _limit(self, size: int) -> None:
        resource.prlimit(self._bot.pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


async def test_a_full_disk_is_a_503_until_there_is_room_again(tmp_path: Path) -> None:
    async with running_sandbox() as sandbox, BotProcess(tmp_path, sandbox.environment()) as bot:
        token = await bot.command("agents", "add", "builder", "--owner", "U0OWN0001", "--rate", "0")
        await bot.start()
        headers = {"Authorization": f"Bearer {token}"}
        async with httpx.AsyncClient(base_url=bot.url, headers=headers, timeout=60) as agent:
            first = (await agent.post("/v1/requests", json=BODY)).json()
            await sandbox.until(lambda: len(sandbox.messages("C0APPROVE")) == 1, timeout=60)
            disk = Disk(bot)
            disk.fill()
            while (refused := await agent.post("/v1/requests", json=BIG)).status_code == 201:
                pass  # the log of the database is used again from its start now and then
            # Not asked here is readiness: a small write of the server's own may still fit, and restores it.
            assert refused.status_code == 503
            assert refused.json()["code"] == "unavailable"
            assert int(refused.headers["Retry-After"]) >= 1
            assert (await agent.get("/healthz")).status_code == 200
            assert (await agent.get(f"/v1/requests/{first['id']}")).json()["status"] == "pending"

            disk.make_room()
            async with asyncio.timeout(60):
                # Nobody writes: the server itself must find out that it can again.
                while (await agent.get("/readyz")).status_code != 200:  # noqa: ASYNC110  # another process
                    await asyncio.sleep(0.05)
            assert (await agent.post("/v1/requests", json=BIG)).status_code == 201
            message = sandbox.messages("C0APPROVE")[0]
            await sandbox.people.click("U0SRE0001", "C0APPROVE", message.ts, "request.approve")
            one = f"/v1/requests/{first['id']}?wait=10"
            while (decided := (await agent.get(one)).json())["status"] == "pending":
                # Whom a busy machine's Slack does not vouch for in time is told to try again.
                await sandbox.people.click("U0SRE0001", "C0APPROVE", message.ts, "request.approve")
            assert decided["status"] == "approved"
        assert (await bot.command("audit", "verify")).startswith("whole")
        assert await bot.stop() == 0
