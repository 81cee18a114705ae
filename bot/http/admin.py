"""Commands that write, over the running server's own Unix socket.

The socket stands beside the database and is its owner's alone (0600): whoever may open it may
already read the file. A command finds the server through it; when none runs, the command opens
the store itself.
"""

import errno
import hashlib
import os
import socket
import stat
import tempfile
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from bot.core.errors import InvalidRequest, KeyturnError, NotFound, Unavailable
from bot.core.models import Agent
from bot.core.times import optional_rfc3339, rfc3339
from bot.services.agents import Agents

_LONGEST_PATH = 100
"""Linux takes 107 bytes for a socket's path, other systems 103."""


def socket_path(database: Path) -> Path:
    """Where the server of `database` listens: beside it, or below the temporary directory if too long."""
    path = database.absolute().with_name(database.name + ".sock")
    if len(os.fsencode(path)) <= _LONGEST_PATH:
        return path
    name = hashlib.sha256(os.fsencode(path)).hexdigest()[:32]
    return _spare_directory() / f"{name}.sock"


def _spare_directory() -> Path:
    return Path(tempfile.gettempdir()) / f"keyturn-{os.getuid()}"


def listen(path: Path) -> socket.socket:
    """A listening socket that only this user can connect to; a dead server's is replaced.

    Raises:
        OSError: it cannot be made here.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not _ours(path.parent):
        raise PermissionError(errno.EPERM, "this directory belongs to somebody else", str(path.parent))
    path.unlink(missing_ok=True)
    return _bound(path)


def _bound(path: Path) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    # The mode must be right before anybody can connect, so it is set by the mask, not afterwards.
    mask = os.umask(0o177)
    try:
        listener.bind(str(path))
    finally:
        os.umask(mask)
    listener.listen()
    return listener


Command = Callable[[dict[str, Any]], Awaitable[Any]]
"""What a command does with the object it is sent; what it returns is answered as JSON."""


def admin_app(agents: Agents, more: Mapping[str, Command] | None = None) -> Starlette:
    """The commands as routes. There is no token: the socket's mode is the authority.

    Args:
        more: Commands of other parts, by path without the slash in front.
    """

    async def add(body: dict[str, Any]) -> Any:
        return {"token": await agents.add(**body)}

    async def rotate(body: dict[str, Any]) -> Any:
        return {"token": await agents.rotate(body["name"])}

    async def revoke(body: dict[str, Any]) -> Any:
        await agents.revoke(body["name"])
        return {}

    async def listing(_body: dict[str, Any]) -> Any:
        return {"agents": [as_row(agent) for agent in await agents.all()]}

    async def secret(body: dict[str, Any]) -> Any:
        return {"secret": await agents.webhook_secret(body["name"])}

    commands = {"add": add, "rotate": rotate, "revoke": revoke, "list": listing, "webhook-secret": secret}
    every = {f"agents/{name}": run for name, run in commands.items()} | dict(more or {})
    return Starlette(routes=[Route(f"/{path}", _route(run), methods=["POST"]) for path, run in every.items()])


def as_row(agent: Agent) -> dict[str, Any]:
    """An agent as `keyturn agents list` prints it."""
    return {
        "name": agent.name,
        "owner": agent.owner,
        "scopes": sorted(agent.scopes),
        "rate": agent.rate,
        "callback_hosts": list(agent.callback_hosts),
        "created_at": rfc3339(agent.created_at),
        "revoked_at": optional_rfc3339(agent.revoked_at),
    }


class RemoteAgents:
    """The running server's agents, by its socket."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def running(self) -> bool:
        """Whether somebody listens."""
        return running(self._path)

    async def add(self, name: str, **facts: Any) -> str:
        """As `Agents.add`."""
        return str((await self._call("add", name=name, **facts))["token"])

    async def rotate(self, name: str) -> str:
        """As `Agents.rotate`."""
        return str((await self._call("rotate", name=name))["token"])

    async def revoke(self, name: str) -> None:
        """As `Agents.revoke`."""
        await self._call("revoke", name=name)

    async def rows(self) -> Sequence[dict[str, Any]]:
        """Every agent, as `as_row` shows it."""
        rows: list[dict[str, Any]] = (await self._call("list"))["agents"]
        return rows

    async def webhook_secret(self, name: str) -> str:
        """As `Agents.webhook_secret`."""
        return str((await self._call("webhook-secret", name=name))["secret"])

    async def _call(self, command: str, **body: Any) -> dict[str, Any]:
        return await call(self._path, f"agents/{command}", body)


def _ours(directory: Path) -> bool:
    """Whether it is ours to trust: in the temporary directory anybody may have taken our name first."""
    if directory != _spare_directory():
        return True
    found = directory.lstat()
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid() and not found.st_mode & 0o077


def running(path: Path) -> bool:
    """Whether a server of ours listens at this socket."""
    if not path.parent.is_dir() or not _ours(path.parent):
        return False
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(str(path))
        except OSError:
            return False
    return True


async def call(path: Path, command: str, body: Mapping[str, Any]) -> dict[str, Any]:
    """The running server's answer to one command.

    Raises:
        KeyturnError: it refused, or it ended meanwhile.
    """
    transport = httpx.AsyncHTTPTransport(uds=str(path))
    # Cancelling what is pending may take a while.
    async with httpx.AsyncClient(transport=transport, base_url="http://keyturn", timeout=60) as client:
        try:
            response = await client.post(f"/{command}", json=dict(body))
            answer: dict[str, Any] = response.json()
        except (httpx.TransportError, ValueError) as trouble:
            raise Unavailable("The server did not answer; look into its log, then try again.") from trouble
    if response.status_code != httpx.codes.OK:
        raise _REFUSALS.get(answer["code"], Unavailable)(answer["message"])
    return answer


_REFUSALS: dict[str, type[KeyturnError]] = {"invalid_request": InvalidRequest, "not_found": NotFound}


def _route(run: Callable[[dict[str, Any]], Awaitable[Any]]) -> Callable[[Request], Awaitable[Response]]:
    async def handle(request: Request) -> Response:
        try:
            return JSONResponse(await run(await request.json()))
        except KeyturnError as refusal:
            return JSONResponse({"code": refusal.code, "message": refusal.message}, status_code=400)

    return handle
