"""The server is killed after every step of a rollback: each is there afterwards, and none happens twice."""

import asyncio
import json
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import httpx
from slack_sdk.signature import SignatureVerifier

from bot.sandbox import running_sandbox
from keyturn.rollback import AsyncWorker
from tests.processes import HOME_TEAM, BotProcess

SAM = "U0SRE0001"
BODY: dict[str, Any] = {"type": "file_write", "description": "Write it."}
POLICY = """
name: tests
auto_approve_threshold: high
auto_reject_threshold: never
channel: C0APPROVE
approvers: {quorum: 1, users: [U0SRE0001]}
"""


def confirmation(id: str, digest: str) -> dict[str, Any]:
    """The form as Slack sends it."""
    value = {"reason": {"value": {"type": "plain_text_input", "value": "Put it back."}}}
    view = {
        "id": "V1",
        "type": "modal",
        "callback_id": "rollback.confirm",
        "private_metadata": f"{id} {digest}",
        "hash": "1.a",
        "blocks": [{"type": "input", "block_id": "reason"}],
        "state": {"values": value},
    }
    return {
        "type": "view_submission",
        "team": {"id": HOME_TEAM, "domain": "acme"},
        "user": {"id": SAM, "team_id": HOME_TEAM},
        "api_app_id": "A0KEYTURN",
        "token": "unused",
        "trigger_id": f"{time.time()}.1",
        "view": view,
    }


def signed_form(secret: str, payload: dict[str, Any]) -> tuple[bytes, dict[str, str]]:
    body, stamp = urlencode({"payload": json.dumps(payload)}).encode(), str(int(time.time()))
    signature = SignatureVerifier(secret).generate_signature(timestamp=stamp, body=body)
    kind = "application/x-www-form-urlencoded"
    return body, {
        "Content-Type": kind,
        "X-Slack-Request-Timestamp": stamp,
        "X-Slack-Signature": str(signature),
    }


async def test_every_step_survives_sigkill_of_the_server(tmp_path: Path) -> None:
    place = await asyncio.to_thread(tmp_path.resolve)
    file = place / "settings"
    file.write_bytes(b"new\n")
    undo = {"type": "file_restore", "path": str(file), "existed": True, "original_content": "old\n"}
    async with running_sandbox(transport="http", pace=False) as sandbox:
        slack = sandbox.environment()
        slack.pop("SLACK_APP_TOKEN", None)
        bot = BotProcess(tmp_path, slack, POLICY)
        token = await bot.command("agents", "add", "builder", "--owner", "U0OWN0001", "--rate", "0")
        headers = {"Authorization": f"Bearer {token}"}
        await bot.start()

        async def again() -> None:
            await bot.kill()
            await bot.start()

        async def call(method: str, path: str, **given: Any) -> dict[str, Any]:
            async with httpx.AsyncClient(base_url=bot.url, headers=headers, timeout=120) as client:
                answer = await client.request(method, path, **given)
            assert answer.is_success, answer.text
            found: dict[str, Any] = answer.json()
            return found

        async def work() -> None:
            worker = AsyncWorker(bot.url, token, journal=tmp_path / "journal")
            try:
                await worker.run_once()
            finally:
                worker.close()

        params = {"path": str(file), "content": "new\n", "overwrite": True}
        request = await call("POST", "/v1/requests", json={**BODY, "params": params})
        one = f"/v1/requests/{request['id']}"
        await call("POST", f"{one}/claim", json={"digest": request["digest"]})
        await call("POST", f"{one}/outcome", json={"success": True, "rollback": undo})
        await again()
        said = await bot.command("rollback", request["id"], "--reason", "It broke.")
        id = next(word for word in said.split() if word.startswith("rbk_"))
        await again()
        assert (await call("GET", f"/v1/rollbacks/{id}"))["state"] == "requested"
        await work()
        await again()
        shown = await call("GET", f"/v1/rollbacks/{id}")
        assert (shown["state"], file.read_bytes()) == ("previewed", b"new\n")
        async with httpx.AsyncClient(base_url=bot.url, timeout=120) as client:
            # Whom a busy machine's Slack does not vouch for in time is told to try again, and does.
            while not (await call("GET", f"/v1/rollbacks/{id}"))["confirmed"]:
                body, form = signed_form(sandbox.signing_secret, confirmation(id, shown["digest"]))
                assert (await client.post("/slack/events", content=body, headers=form)).status_code == 200
        await again()
        assert (await call("GET", f"/v1/rollbacks/{id}"))["confirmed"]
        await work()
        await again()
        assert (await call("GET", f"/v1/rollbacks/{id}"))["state"] == "succeeded"
        assert (await call("GET", one))["execution"]["state"] == "rolled_back"
        assert file.read_bytes() == b"old\n"
        assert (await call("GET", "/v1/rollbacks"))["items"] == []
        assert await bot.stop() == 0
