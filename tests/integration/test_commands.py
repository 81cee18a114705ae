"""`keyturn agents …`: through the running server's socket, or with the store's own lock."""

import os
import stat
from pathlib import Path

import httpx
import pytest

from bot.http.admin import socket_path
from bot.sandbox import running_sandbox
from tests.processes import BotProcess


async def call(bot: BotProcess, token: str) -> int:
    headers = {"Authorization": f"Bearer {token}"}
    async with httpx.AsyncClient(base_url=bot.url, headers=headers, timeout=60) as client:
        return (await client.get("/v1/requests")).status_code


async def test_commands_reach_the_running_server_and_take_effect_at_once(tmp_path: Path) -> None:
    async with running_sandbox() as sandbox, BotProcess(tmp_path, sandbox.environment()) as bot:
        before = await bot.command("agents", "add", "offline", "--no-owner")
        await bot.start()
        mode = os.stat(socket_path(bot.database)).st_mode
        assert stat.S_ISSOCK(mode)
        assert stat.S_IMODE(mode) == 0o600
        token = await bot.command("agents", "add", "online", "--owner", "U0OWN0001", "--rate", "5")
        assert await call(bot, before) == await call(bot, token) == 200

        fresh = await bot.command("agents", "rotate", "online")
        assert (await call(bot, token), await call(bot, fresh)) == (401, 200)
        await bot.command("agents", "revoke", "online")
        assert await call(bot, fresh) == 401

        listed = await bot.command("agents", "list")
        assert [line.split()[0] for line in listed.splitlines()] == ["offline", "online"]
        assert "revoked" in listed
        assert token not in listed
        secret = await bot.command("agents", "webhook-secret", "offline")
        assert secret.startswith("whsec_")
        assert secret == await bot.command("agents", "webhook-secret", "offline")
        assert await bot.stop() == 0
        assert not socket_path(bot.database).exists()
        assert await bot.command("agents", "webhook-secret", "offline") == secret


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("agents", "add", "a"), "--owner U… (who may never approve"),
        (("agents", "add", "a", "--owner", "U0OWN0001", "--no-owner"), "one of both"),
        (("agents", "add", "Not Allowed", "--no-owner"), "name: use 1 to 64"),
        (
            ("agents", "add", "a", "--no-owner", "--scope", "agent", "--scope", "operator"),
            "exclude each other",
        ),
        (("agents", "add", "a", "--owner", "olga"), "Slack id"),
        (
            ("agents", "add", "a", "--no-owner", "--scope", "admin"),
            "known scopes are agent, auditor, operator",
        ),
        (("agents", "add", "a", "--no-owner", "--rate", "-1"), "0 for no limit"),
        (
            ("agents", "add", "a", "--no-owner", "--callback-host", "https://hooks.example.com/x"),
            "name hosts",
        ),
        (("agents", "revoke", "nobody"), "There is no agent nobody"),
        (("agents", "rotate", "nobody"), "There is no agent nobody"),
    ],
)
async def test_what_cannot_be_done_is_one_clear_line(
    tmp_path: Path, words: tuple[str, ...], told: str
) -> None:
    bot = BotProcess(tmp_path, {})
    with pytest.raises(AssertionError) as failed:
        await bot.command(*words)
    message = str(failed.value)
    assert told in message
    assert "Traceback" not in message


async def test_a_second_server_on_one_file_is_refused(tmp_path: Path) -> None:
    async with running_sandbox() as sandbox, BotProcess(tmp_path, sandbox.environment()) as bot:
        await bot.start()
        with pytest.raises(AssertionError) as failed:
            await bot.command("serve", "--port", "0")
        assert "Traceback" not in str(failed.value)
        assert str(bot.database) in str(failed.value)
        assert await bot.stop() == 0


async def test_doctor_names_what_to_fix(tmp_path: Path) -> None:
    async with running_sandbox() as sandbox:
        bot = BotProcess(tmp_path, sandbox.environment())
        well = await bot.command("doctor")
        assert all(line.startswith("ok") for line in well.splitlines())
        assert "a sandbox on this machine" in well
    with pytest.raises(AssertionError):
        await bot.command("doctor")  # Slack is gone
    bot.environment.pop("SLACK_BOT_TOKEN")
    with pytest.raises(AssertionError):
        await bot.command("doctor")
