"""Whatever JSON is sent to the sandbox, it answers: a refusal, never a server error."""

from typing import Any

import aiohttp
import pytest

from bot.sandbox import running_sandbox
from bot.sandbox.webapi.calls import METHODS
from tests.integration.sandbox_bot import CARD, FORM, client_of

DANA = "U0DANA001"
NONSENSE: list[Any] = [None, -1, "x", "[", [None], {"a": 1}, {"type": "modal"}]
ARGUMENTS = [
    "channel",
    "user",
    "users",
    "text",
    "blocks",
    "attachments",
    "metadata",
    "thread_ts",
    "ts",
    "view",
    "trigger_id",
    "view_id",
    "user_id",
    "cursor",
    "limit",
    "oldest",
    "latest",
    "files",
    "length",
    "filename",
    "channel_id",
    "message",
    "message_ts",
    "timestamp",
    "name",
    "usergroup",
    "email",
]
ROUTES = [
    "click",
    "submit",
    "close",
    "command",
    "message",
    "home",
    "dismiss",
    "faults",
    "limits",
    "people",
    "usergroup",
    "channel",
    "delete_message",
]
FIELDS = [
    "user",
    "channel",
    "message_ts",
    "block_id",
    "action_id",
    "value",
    "selected_option",
    "view_id",
    "values",
    "clear",
    "command",
    "text",
    "thread_ts",
    "add",
    "pace",
    "id",
    "users",
    "ts",
    "deleted",
]


@pytest.mark.parametrize("method", sorted(METHODS))
async def test_no_argument_makes_a_method_fail(method: str) -> None:
    valid = {"channel": "C0GENERAL", "user": DANA, "text": "x", "view": FORM, "length": 1, "filename": "a"}
    async with running_sandbox(pace=False) as sandbox, aiohttp.ClientSession(sandbox.api_url) as session:
        headers = {"Authorization": f"Bearer {sandbox.bot_token}"}
        for nonsense in NONSENSE:
            one_each = [{**valid, name: nonsense} for name in ARGUMENTS]
            for given in (dict.fromkeys(ARGUMENTS, nonsense), *one_each):
                async with session.post(method, json=given, headers=headers) as response:
                    assert response.status == 200, (given, await response.text())
                    assert "ok" in await response.json()


async def test_a_body_that_is_not_an_object_is_refused() -> None:
    headers = {"Content-Type": "application/json"}
    async with running_sandbox() as sandbox, aiohttp.ClientSession(sandbox.api_url) as session:
        for raw, error in (("{", "invalid_json"), ("[]", "json_not_object"), ("", "not_authed")):
            async with session.post("auth.test", data=raw, headers=headers) as response:
                assert (await response.json())["error"] == error


@pytest.mark.parametrize("route", ROUTES)
async def test_no_request_makes_a_route_fail(route: str) -> None:
    async with running_sandbox(ack_seconds=0.01) as sandbox, aiohttp.ClientSession(sandbox.url) as session:
        ts = (await client_of(sandbox).chat_postMessage(channel="C0GENERAL", text="x", blocks=CARD))["ts"]
        valid = {"user": DANA, "channel": "C0GENERAL", "message_ts": ts, "action_id": "go", "text": "x"}
        for nonsense in NONSENSE:
            one_each = [{**valid, name: nonsense} for name in FIELDS]
            for given in (nonsense, dict.fromkeys(FIELDS, nonsense), *one_each):
                async with session.post(f"/sandbox/{route}", json=given) as response:
                    assert response.status == 200, (given, await response.text())
                    assert "ok" in await response.json()
        async with session.get("/sandbox/state") as response:
            assert response.status == 200
