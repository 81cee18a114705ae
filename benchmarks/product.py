"""Keyturn as its users start it, with a local Slack beside it.

Every server gets a directory of its own with a fresh database, in which one agent is known and one
policy asks two people about everything.
"""

import re
import shutil
import sqlite3
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Self

from benchmarks.machine import LOAD_CPU, REPO, SERVER_CPU, Child

AGENT = "bench"
REVIEWER = "U0SRE0001"
POLICY = """
name: bench
auto_approve_threshold: none
auto_reject_threshold: never
default_timeout: 6h
channel: C0APPROVE
approvers: {quorum: 1, users: [U0SRE0001, U0SRE0002]}
"""


@contextmanager
def local_slack(directory: Path) -> Iterator[dict[str, str]]:
    """A sandbox on the load's core; the variables that connect a bot to it."""
    variables = directory / "slack.env"
    command = [
        *(sys.executable, "-m", "bot.cli", "sandbox", "--transport", "http"),
        *("--bot-url", "http://127.0.0.1:9/slack/events", "--env-file", str(variables)),
    ]
    with Child(command, {}, directory, LOAD_CPU) as sandbox:
        sandbox.output.readline()
        while not variables.exists():
            sandbox.alive()
            time.sleep(0.02)
        yield dict(line.split("=", 1) for line in variables.read_text().splitlines())


class Template:
    """A directory in which Keyturn was set up once; each server starts from a copy."""

    def __init__(self, directory: Path, slack: Mapping[str, str]) -> None:
        self.slack = dict(slack)
        self._origin = directory / "template"
        (self._origin / "policies").mkdir(parents=True)
        (self._origin / "policies" / "workspace.yaml").write_text("admin_channel: C0ADMIN01\n")
        (self._origin / "policies" / "policy.yaml").write_text(POLICY)
        self.token = self._add_agent()

    def copy(self, directory: Path) -> Path:
        """A fresh directory like it."""
        shutil.rmtree(directory, ignore_errors=True)
        return Path(shutil.copytree(self._origin, directory))

    def _add_agent(self) -> str:
        command = [sys.executable, "-m", "bot.cli", "agents", "add", AGENT, "--no-owner", "--rate", "0"]
        environment = {**settings(self._origin), "PYTHONPATH": str(REPO), "PATH": "/usr/bin:/bin"}
        done = subprocess.run(
            command, env=environment, cwd=self._origin, capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise RuntimeError(f"keyturn agents add failed:\n{done.stderr}")
        return done.stdout.strip()


def settings(directory: Path) -> dict[str, str]:
    """Keyturn's variables for a server in `directory`."""
    return {
        "KEYTURN_DATABASE_URL": f"sqlite:///{directory / 'keyturn.db'}",
        "KEYTURN_POLICIES": str(directory / "policies"),
        "KEYTURN_KEY_DIR": str(directory / "keys"),
    }


class Keyturn(Child):
    """`keyturn serve`, once it is ready.

    Args:
        synchronous: `FULL`, as everywhere, or `NORMAL`.
        ready: False to go on as soon as it listens; `await_ready` is then the caller's.
    """

    def __init__(
        self, template: Template, directory: Path, *, synchronous: str = "FULL", ready: bool = True
    ) -> None:
        self._want_ready = ready
        module = {"FULL": "bot.cli", "NORMAL": "benchmarks.relaxed"}[synchronous]
        self.token = template.token
        self.signing_secret = template.slack["SLACK_SIGNING_SECRET"]
        self.database = directory / "keyturn.db"
        self.url = ""
        self.open_ms = self.ready_ms = 0.0
        """From the process's start to `listening`, and from there to ready."""
        self.listening_at = 0.0
        environment = {**settings(directory), **template.slack}
        command = [sys.executable, "-m", module, "serve", "--port", "0"]
        super().__init__(command, environment, directory, SERVER_CPU)

    def __enter__(self) -> Self:
        began = time.perf_counter()
        super().__enter__()
        try:
            self._await_listening(began)
            if self._want_ready:
                self.await_ready()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def _await_listening(self, began: float) -> None:
        found = re.search(rb"http://[0-9.:]+", self.output.readline())
        self.listening_at = time.perf_counter()
        if found is None:
            raise RuntimeError(f"Keyturn did not start:\n{self.log.read_text()[-3000:]}")
        self.url = found.group().decode()
        self.open_ms = (self.listening_at - began) * 1000

    def await_ready(self) -> None:
        """Return once its readiness probe answers 200."""
        while not _answers(f"{self.url}/readyz", deadline=self.listening_at + 120):
            self.alive()
            time.sleep(0.002)
        self.ready_ms = (time.perf_counter() - self.listening_at) * 1000

    def counted(self, status: int) -> int:
        """How many POSTs of requests it says it has answered with `status`."""
        with urllib.request.urlopen(f"{self.url}/metrics", timeout=10) as answer:
            text = answer.read().decode()
        wanted = rf'keyturn_http_answers_total{{method="POST",route="/v1/requests",status="{status}"}} (\S+)'
        found = re.search(wanted, text)
        return 0 if found is None else int(float(found.group(1)))

    def stored(self) -> int:
        """How many requests are in its database."""
        with closing(sqlite3.connect(f"file:{self.database}?mode=ro", uri=True)) as file:
            count: int = file.execute("SELECT count(*) FROM request").fetchone()[0]
            return count

    def settled(self) -> tuple[int, int]:
        """Answers with 201 and stored requests, once neither grows: a busy disk may hold both for a while."""
        before = None
        while (now := (self.counted(201), self.stored())) != before:
            before = now
            time.sleep(1)
        return now


def _answers(url: str, *, deadline: float) -> bool:
    """Whether it answers 200."""
    if time.perf_counter() > deadline:
        raise RuntimeError(f"{url} did not answer 200 in time")
    try:
        with urllib.request.urlopen(url, timeout=60) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, ConnectionError):
        return False
