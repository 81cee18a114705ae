"""What every Web API method shares: arguments in any of Slack's encodings, tokens, errors, the registry."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from bot.sandbox.errors import SlackError
from bot.sandbox.faults import Pace
from bot.sandbox.model import Json
from bot.sandbox.tickets import SocketTickets
from bot.sandbox.workspace import Workspace

SCOPES = (
    "chat:write,commands,im:write,im:history,channels:read,channels:history,users:read,users:read.email,"
    "usergroups:read,dnd:read,files:write,reactions:write"
)
PAGE = 100
MAX_PAGE = 1000


@dataclass(frozen=True, slots=True)
class Services:
    """What methods act on, besides their arguments. `url` is the sandbox's own address."""

    workspace: Workspace
    pace: Pace
    tickets: SocketTickets
    url: str
    bot_token: str
    app_token: str


@dataclass(frozen=True, slots=True)
class Call:
    """One call of a method: its services and arguments."""

    services: Services
    arguments: Mapping[str, Any]

    @property
    def workspace(self) -> Workspace:
        """The workspace the call is about."""
        return self.services.workspace

    def text(self, name: str, default: str | None = None) -> str | None:
        """A string argument, or the default when it is absent."""
        value = self.arguments.get(name)
        return default if value is None else str(value)

    def required(self, name: str) -> str:
        """A string argument that must be there, else SlackError `invalid_arguments`."""
        value = self.text(name)
        if not value:
            raise SlackError("invalid_arguments", [f"missing required field: {name}"])
        return value

    def flag(self, name: str, default: bool = False) -> bool:
        """A switch, in JSON or in the words forms use for it."""
        value = self.arguments.get(name)
        return default if value is None else str(value).lower() in ("1", "true", "yes")

    def whole(self, name: str, default: int) -> int:
        """A whole number, else SlackError `invalid_arguments`."""
        value = self.arguments.get(name)
        if value in (None, ""):
            return default
        try:
            return int(str(value))
        except ValueError:
            reason = f"must provide an integer [json-pointer:/{name}]"
            raise SlackError("invalid_arguments", [reason]) from None

    def structure(self, name: str, error: str = "invalid_arguments") -> Any:
        """A JSON argument, given as JSON or as a string holding it; SlackError `error` when it is neither."""
        value = self.arguments.get(name)
        if not isinstance(value, str):
            return value
        try:
            return json.loads(value) if value else None
        except json.JSONDecodeError:
            raise SlackError(error) from None

    def page(self, items: list[Any]) -> tuple[list[Any], str]:
        """The page of a list the caller asked for with `cursor` and `limit`, and the next cursor."""
        limit = self.limit()
        cursor = self.text("cursor") or "0"
        if not cursor.isdigit():
            raise SlackError("invalid_cursor")
        start = int(cursor)
        following = str(start + limit) if start + limit < len(items) else ""
        return items[start : start + limit], following

    def limit(self) -> int:
        """The page size asked for, within Slack's bounds."""
        return max(1, min(MAX_PAGE, self.whole("limit", PAGE)))


Method = Callable[[Call], Json]
METHODS: dict[str, Method] = {}
APP_TOKEN_METHODS = frozenset({"apps.connections.open"})
OPEN_METHODS = frozenset({"api.test", "blocks.validate"})


def method(name: str) -> Callable[[Method], Method]:
    """Register a function as a Web API method."""

    def register(function: Method) -> Method:
        METHODS[name] = function
        return function

    return register


def call(name: str, services: Services, arguments: Mapping[str, Any], token: str | None) -> Json:
    """Run one method and return its answer without `ok`.

    Raises:
        SlackError: with the code Slack would answer.
    """
    function = METHODS.get(name)
    if function is None:
        raise SlackError("unknown_method")
    if name not in OPEN_METHODS:
        _authenticate(name, services, token)
    return function(Call(services, arguments))


def _authenticate(name: str, services: Services, token: str | None) -> None:
    if not token:
        raise SlackError("not_authed")
    if token not in (services.bot_token, services.app_token):
        raise SlackError("invalid_auth")
    wanted = services.app_token if name in APP_TOKEN_METHODS else services.bot_token
    if token != wanted:
        raise SlackError("not_allowed_token_type")


async def read_arguments(request: web.Request) -> dict[str, Any]:
    """The arguments of a call: query, then JSON body or form; the body wins.

    Raises:
        SlackError: `invalid_json` or `json_not_object`.
    """
    arguments: dict[str, Any] = dict(request.query)
    if request.content_type == "application/json":
        arguments |= _parse_json(await request.text())
    elif request.method == "POST":
        form = await request.post()
        arguments |= {name: value for name, value in form.items() if isinstance(value, str)}
    return arguments


def _parse_json(text: str) -> Json:
    if not text:
        return {}
    try:
        parsed = json.loads(text)
    except json.JSONDecodeError:
        raise SlackError("invalid_json") from None
    if not isinstance(parsed, dict):
        raise SlackError("json_not_object")
    return parsed


def read_token(request: web.Request, arguments: dict[str, Any]) -> str | None:
    """The token from the Authorization header, else from the arguments (and out of them)."""
    argument = arguments.pop("token", None)
    scheme, _, value = request.headers.get("Authorization", "").partition(" ")
    return value.strip() if scheme.lower() == "bearer" and value else argument
