"""The demo's directory and its parts: a local Slack, a Keyturn that talks to it, credentials, a shop.

Everything lives in one temporary directory and on free ports of the loopback; nothing is read from or
written to anywhere else.
"""

import os
import shutil
import socket
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import httpx

from bot.demo import shop
from bot.demo.children import Child, both, environment

AGENT = "shop-keeper"
OWNER = "U0OWN0001"
"""Olga, who may therefore never approve what the agent asks."""

_SHOP_IN_POLICY = "/demo/shop"
_WAIT_IN_POLICY = "15s"
_HURRIED_WAIT = "2s"
"""How long each level of a ladder waits when there is nobody to watch it."""


@dataclass(frozen=True, slots=True)
class Stage:
    """Where everything is.

    Attributes:
        page: The sandbox's address, without a trailing slash.
        server: Keyturn's address, without a trailing slash.
        token_file: Holds the agent's credential.
        parts: The processes that must stay alive.
    """

    directory: Path
    page: str
    server: str
    token_file: Path
    parts: tuple[Child, ...]

    @property
    def token(self) -> str:
        """The agent's credential."""
        return self.token_file.read_text("utf-8")

    @property
    def shop(self) -> Path:
        """The agent's scratch directory."""
        return self.directory / "shop"

    @property
    def policies(self) -> Path:
        """The policies in force."""
        return self.directory / "policies"

    @property
    def logs(self) -> Path:
        """A log file of each part."""
        return self.directory / "logs"

    async def start_agent(self) -> Child:
        """Start the agent on one evening's work; its caller tells what it prints, and stops it."""
        env = environment(os.environ, KEYTURN_URL=self.server, KEYTURN_TOKEN=self.token)
        command = ["-m", "bot.demo.agent"]
        return await Child.start("agent", command, env=env, cwd=self.shop, logs=self.logs, told=True)


@asynccontextmanager
async def directory(keep: bool, *, hurry: bool = False) -> AsyncIterator[Path]:
    """A new private directory with a shop and policies in it; removed at the end unless `keep`.

    Args:
        hurry: Nobody watches: what waits for an answer that never comes waits for seconds only.
    """
    made = Path(tempfile.mkdtemp(prefix="keyturn-demo-", dir=_temporary()))
    try:
        (made / "logs").mkdir()
        pace = {_WAIT_IN_POLICY: _HURRIED_WAIT} if hurry else {}
        _copy_policies(made, {_SHOP_IN_POLICY: str(made / "shop"), **pace})
        shop.build(made / "shop")
        yield made
    finally:
        if not keep:
            shutil.rmtree(made, ignore_errors=True)


@asynccontextmanager
async def stage(home: Path, port: int | None) -> AsyncIterator[Stage]:
    """Start the sandbox and the server, wait until they are ready, and stop them at the end.

    Args:
        home: From `directory`.
        port: Of the sandbox's page; None for a free one.

    Raises:
        DemoError: a part did not start.
    """
    own = {"KEYTURN_DATABASE_URL": f"sqlite:///{home / 'keyturn.db'}", "KEYTURN_KEY_DIR": str(home / "keys")}
    async with AsyncExitStack() as stack:
        (slack, page, sandbox), token = await both(_sandbox(stack, home, port), _credential(home, own))
        token_file = home / "agent-token"
        _write_private(token_file, token)
        server, keyturn = await _server(stack, home, {**own, **slack}, page)
        worker = await _worker(stack, home, server, token)
        yield Stage(home, page, server, token_file, (sandbox, keyturn, worker))


async def _sandbox(stack: AsyncExitStack, home: Path, port: int | None) -> tuple[dict[str, str], str, Child]:
    """The variables that connect a bot to it, its address, its process."""
    variables = home / "slack.env"
    arguments = ["-m", "bot.cli", "sandbox", "--port", str(port or 0), "--env-file", str(variables)]
    child = await Child.start("sandbox", arguments, env=environment(os.environ), cwd=home, logs=home / "logs")
    stack.push_async_callback(child.stop)

    async def written() -> dict[str, str] | None:
        lines = variables.read_text("utf-8").splitlines() if variables.exists() else []
        found = dict(line.split("=", 1) for line in lines if "=" in line)
        return found if {"SLACK_API_URL", "SLACK_BOT_TOKEN", "SLACK_APP_TOKEN"} <= set(found) else None

    slack = await child.until(written, f"{variables} is not complete")
    page = slack["SLACK_API_URL"].removesuffix("/api/")
    await child.until(_answers(f"{page}/sandbox/state"), f"{page} does not answer")
    return slack, page, child


async def _server(
    stack: AsyncExitStack, home: Path, variables: dict[str, str], page: str
) -> tuple[str, Child]:
    """Its address and its process, once it is ready to decide and connected to the sandbox."""
    with _reserved_port() as port:
        env = environment(
            os.environ,
            KEYTURN_HOST="127.0.0.1",
            KEYTURN_PORT=str(port),
            KEYTURN_POLICIES=str(home / "policies"),
            **variables,
        )
        child = await Child.start("server", ["-m", "bot.cli", "serve"], env=env, cwd=home, logs=home / "logs")
        stack.push_async_callback(child.stop)
        url = f"http://127.0.0.1:{port}"
        await child.until(_answers(f"{url}/readyz"), f"{url}/readyz does not answer 200")
    connected = _answers(f"{page}/sandbox/state", lambda state: bool(state["bot"]["connected"]))
    await child.until(connected, "it has not connected to the sandbox")
    return url, child


async def _worker(stack: AsyncExitStack, home: Path, server: str, token: str) -> Child:
    """The agent's rollback worker, which outlives the agent's evenings."""
    env = environment(os.environ, KEYTURN_URL=server, KEYTURN_TOKEN=token)
    command = ["-m", "bot.demo.worker"]
    child = await Child.start("worker", command, env=env, cwd=home / "shop", logs=home / "logs")
    stack.push_async_callback(child.stop)
    return child


async def _credential(home: Path, variables: dict[str, str]) -> str:
    """The agent's new token, which `keyturn agents add` prints alone."""
    command = ["-m", "bot.cli", "agents", "add", AGENT, "--owner", OWNER]
    env = environment(os.environ, **variables)
    child = await Child.start("credential", command, env=env, cwd=home, logs=home / "logs")
    try:
        await child.finished()
        return child.log.read_text("utf-8").strip()
    finally:
        await child.stop()
        child.log.unlink()


def _answers(
    url: str, condition: Callable[[Any], bool] = lambda _: True
) -> Callable[[], Awaitable[bool | None]]:
    """Whether a GET answers 200 and its JSON meets the condition; None, for ask again, until it does."""

    async def look() -> bool | None:
        try:
            async with httpx.AsyncClient(trust_env=False) as http:
                answer = await http.get(url)
        except httpx.TransportError:
            return None
        return True if answer.status_code == 200 and condition(answer.json()) else None

    return look


@contextmanager
def _reserved_port() -> Iterator[int]:
    """A free port that nobody else is given while a child starts. Only Linux lets the child bind it then."""
    with socket.socket() as free:
        if sys.platform == "linux":
            free.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        free.bind(("127.0.0.1", 0))
        port = int(free.getsockname()[1])
        if sys.platform != "linux":
            free.close()
        yield port


def _temporary() -> Path:
    """Where the directory is made. macOS's own place lies below /var, where a delete is a system matter."""
    place = Path(tempfile.gettempdir())
    return Path("/tmp") if place.is_relative_to("/var/folders") else place


def _copy_policies(home: Path, replaced: Mapping[str, str]) -> None:
    (home / "policies").mkdir()
    for source in files("bot.demo").joinpath("policies").iterdir():
        text = source.read_text("utf-8")
        for old, new in replaced.items():
            text = text.replace(old, new)
        (home / "policies" / source.name).write_text(text, "utf-8")


def _write_private(path: Path, text: str) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(text)
