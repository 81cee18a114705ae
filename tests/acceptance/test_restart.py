"""The bot is killed while a card is pending; the card still works, and the agent gets its answer."""

from pathlib import Path

import httpx

from bot.sandbox import Sandbox, running_sandbox
from tests.processes import BotProcess

BODY = {
    "type": "deployment",
    "params": {"environment": "production", "version": "1.4.2"},
    "description": "Ship the release.",
}
KEY = {"Idempotency-Key": "release-1.4.2"}


async def ask(bot: BotProcess, token: str, *, wait: int = 0) -> dict:
    """POST the request as an agent does, and again as it does when the answer was lost."""
    headers = {"Authorization": f"Bearer {token}", **KEY}
    if wait:
        headers["Prefer"] = f"wait={wait}"
    async with httpx.AsyncClient(base_url=bot.url, headers=headers, timeout=60) as client:
        answer = await client.post("/v1/requests", json=BODY)
    assert answer.status_code in (200, 201), answer.text
    found: dict = answer.json()
    return found


async def approve(sandbox: Sandbox, user: str) -> None:
    """Click Approve on the one card there is."""
    (message,) = sandbox.messages("C0APPROVE")
    clicked = await sandbox.people.click(user, "C0APPROVE", message.ts, "request.approve")
    assert clicked["ok"], clicked


async def test_a_card_of_before_sigkill_decides_and_the_agents_retry_gets_the_answer(tmp_path: Path) -> None:
    async with running_sandbox() as sandbox, BotProcess(tmp_path, sandbox.environment()) as bot:
        token = await bot.command("agents", "add", "builder", "--owner", "U0OWN0001")
        await bot.start()
        asked = await ask(bot, token)
        assert asked["status"] == "pending"
        await sandbox.until(lambda: sandbox.messages("C0APPROVE"), timeout=30)
        await bot.kill()

        await bot.start()
        await sandbox.until_connected(timeout=30)
        await approve(sandbox, "U0SRE0001")
        while (retried := await ask(bot, token, wait=10))["status"] == "pending":
            # Whom a busy machine's Slack does not vouch for in time is told to try again.
            await approve(sandbox, "U0SRE0001")
        assert retried["id"] == asked["id"]
        assert retried["status"] == "approved"
        assert [by["id"] for by in retried["decision"]["by"]] == ["U0SRE0001"]
        await sandbox.until(lambda: "Approved" in sandbox.messages("C0APPROVE")[0].text, timeout=30)
        assert len(sandbox.messages("C0APPROVE")) == 1
        assert await bot.stop() == 0
