"""The bot as its users start it: a process, a real database file, real sockets."""

import asyncio
import json
import os
import re
import signal
import sys
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import httpx
from slack_sdk.signature import SignatureVerifier

REPO = Path(__file__).resolve().parent.parent
HOME_TEAM = "T0KEYTURN"

START = 120
"""Seconds that a start may take: some of them when nothing else runs, many more on a busy machine."""

POLICY = """
name: tests
auto_approve_threshold: none
auto_reject_threshold: never
default_timeout: 1h
channel: C0APPROVE
approvers: {quorum: 1, users: [U0SRE0001, U0SRE0002, U0REL0001]}
"""


class BotProcess:
    """`keyturn serve` on a directory of its own; start, kill and start it again as often as needed."""

    def __init__(self, directory: Path, slack: dict[str, str], policy: str = POLICY) -> None:
        self.directory = directory
        self.database = directory / "keyturn.db"
        policies = directory / "policies"
        policies.mkdir(parents=True, exist_ok=True)
        (policies / "workspace.yaml").write_text("admin_channel: C0ADMIN01\n")
        (policies / "policy.yaml").write_text(policy)
        self.environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(directory),
            "KEYTURN_DATABASE_URL": f"sqlite:///{self.database}",
            "KEYTURN_POLICIES": str(policies),
            "KEYTURN_KEY_DIR": str(directory / "keys"),
            "KEYTURN_PORT": "0",
            **slack,
        }
        self.url = ""
        self._process: asyncio.subprocess.Process | None = None

    async def __aenter__(self) -> "BotProcess":
        return self

    async def __aexit__(self, *exc: object) -> None:
        """Leave no process behind, whatever the test came to."""
        if self._process is not None:
            await self.kill()

    async def start(self) -> None:
        """Start it and wait until it says where it is and that it is ready."""
        log = (self.directory / "serve.log").open("ab")
        self._process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "bot.cli", "serve", "--port", "0"),
            cwd=self.directory,
            env=self.environment,
            stdout=asyncio.subprocess.PIPE,
            stderr=log,
        )
        log.close()
        assert self._process.stdout is not None
        async with asyncio.timeout(START):
            while not self.url_in(line := await self._process.stdout.readline()):
                assert line, f"the bot did not start:\n{self.log_tail()}"
        async with httpx.AsyncClient(base_url=self.url, timeout=START) as client, asyncio.timeout(START):
            # Readiness of another process has no event to wait for.
            while (await client.get("/readyz")).status_code != httpx.codes.OK:  # noqa: ASYNC110  # another process
                await asyncio.sleep(0.02)

    def url_in(self, line: bytes) -> bool:
        """Whether the line announces the address; it is kept."""
        found = re.search(rb"http://[0-9.:\[\]]+", line)
        if found is not None:
            self.url = found.group().decode()
        return found is not None

    async def kill(self) -> None:
        """SIGKILL: nothing is flushed, nothing is said."""
        await self._end(signal.SIGKILL)

    @property
    def pid(self) -> int:
        """Its process id."""
        assert self._process is not None
        return self._process.pid

    def send(self, signum: signal.Signals) -> None:
        """Send it a signal that it survives."""
        assert self._process is not None
        self._process.send_signal(signum)

    async def stop(self) -> int:
        """SIGTERM, and the exit code."""
        return await self._end(signal.SIGTERM)

    async def _end(self, signum: signal.Signals) -> int:
        assert self._process is not None
        if self._process.returncode is None:
            self._process.send_signal(signum)
        return await self.ended()

    async def ended(self) -> int:
        """Wait until it has ended; the exit code."""
        process, self._process = self._process, None
        assert process is not None
        await process.communicate()
        assert process.returncode is not None
        return process.returncode

    async def command(self, *words: str) -> str:
        """Run `keyturn …` on the same environment and return what it printed."""
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "bot.cli", *words),
            cwd=self.directory,
            env=self.environment,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, err = await process.communicate()
        assert process.returncode == 0, err.decode()
        return out.decode().strip()

    def log_tail(self) -> str:
        """The end of what it logged."""
        return (self.directory / "serve.log").read_text(errors="replace")[-3000:]


def signed(secret: str, payload: dict[str, Any]) -> tuple[bytes, dict[str, str]]:
    """An interaction as Slack posts it: the form's bytes and the headers that sign them."""
    body = urlencode({"payload": json.dumps(payload)}).encode()
    stamp = str(int(time.time()))
    signature = SignatureVerifier(secret).generate_signature(timestamp=stamp, body=body)
    return body, {
        "Content-Type": "application/x-www-form-urlencoded",
        "X-Slack-Request-Timestamp": stamp,
        "X-Slack-Signature": str(signature),
    }


def block_action(
    action_id: str, value: str, user: str, *, team: str = HOME_TEAM, trigger: str = "1.2.3"
) -> dict[str, Any]:
    """A click on a button of a card, in the shape of Slack's `block_actions`."""
    return {
        "type": "block_actions",
        "api_app_id": "A0KEYTURN",
        "token": "unused",
        "team": {"id": team, "domain": "acme"},
        "user": {"id": user, "username": user.lower(), "name": user.lower(), "team_id": team},
        "container": {"type": "message", "message_ts": "1.000001", "channel_id": "C0APPROVE"},
        "channel": {"id": "C0APPROVE", "name": "approvals"},
        "message": {"ts": "1.000001", "type": "message", "text": ""},
        "trigger_id": trigger,
        "response_url": "https://hooks.slack.com/actions/unused",
        "actions": [
            {
                "type": "button",
                "action_id": action_id,
                "block_id": "decide",
                "value": value,
                "action_ts": str(time.time()),
                "text": {"type": "plain_text", "text": "Approve"},
            }
        ],
    }
