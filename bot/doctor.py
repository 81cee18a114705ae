"""`keyturn doctor`: looks at everything a start needs and says what to fix.

It changes nothing and makes no file. Each check stands alone, so one fault does not hide the next.
"""

import os
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import aiohttp
from slack_sdk.errors import SlackApiError, SlackClientError
from slack_sdk.web.async_client import AsyncWebClient

from bot.config import ConfigError, Settings
from bot.core.errors import Unavailable
from bot.core.policy import PolicyError
from bot.http import admin
from bot.notify.builtin import built_in
from bot.services import policies
from bot.serving import listen
from bot.slack.app import web_client
from bot.slack.client import error_code
from bot.store import CannotOpen, Store, sqlite_version, sqlite_warning
from bot.system import SystemClock
from bot.wiring import slack_access


@dataclass(frozen=True, slots=True)
class Check:
    """One finding: what was looked at, whether it is well, and the detail or the fix.

    `doubtful`: a start goes well, and yet there is something to beware of.
    """

    name: str
    ok: bool
    detail: str
    doubtful: bool = False


async def examine(environment: Mapping[str, str]) -> list[Check]:
    """Every check, in the order a start needs them."""
    try:
        settings = Settings.read(environment)
    except ConfigError as fault:
        return [Check("settings", False, str(fault))]
    mode = "Socket Mode" if settings.slack_app_token else "signed HTTP"
    where = "a sandbox on this machine" if settings.sandbox else "Slack"
    found = [Check("settings", True, f"{mode}, talking to {where}")]
    if (beware := sqlite_warning()) is not None:
        found.append(Check("sqlite", True, beware, doubtful=True))
    for name, look in _CHECKS:
        found.append(await _checked(name, look, settings))
    return found


async def _checked(name: str, look: Callable[[Settings], Awaitable[str]], settings: Settings) -> Check:
    try:
        return Check(name, True, await look(settings))
    except OSError as fault:
        return Check(name, False, fault.strerror or str(fault))
    except (CannotOpen, Unavailable, PolicyError, ValueError, _NotWell) as fault:
        return Check(name, False, str(fault))


class _NotWell(Exception):
    """A check's own finding."""


async def _address(settings: Settings) -> str:
    where = f"{settings.keyturn_host}:{settings.keyturn_port}"
    if admin.running(admin.socket_path(settings.database_path)):
        return f"{where}, or where the running server was told to listen"
    listen(settings.keyturn_host, settings.keyturn_port).close()
    return f"{where} is free; agents are told {settings.public_url}"


async def _keys(settings: Settings) -> str:
    place = settings.keyturn_key_dir
    if not place.exists():
        parent = next(parent for parent in place.absolute().parents if parent.exists())
        if not os.access(parent, os.W_OK | os.X_OK):
            raise _NotWell(f"{place} cannot be made in {parent}; point KEYTURN_KEY_DIR elsewhere")
        return f"{place} will be made at the first start"
    if not place.is_dir() or not os.access(place, os.R_OK | os.W_OK | os.X_OK):
        raise _NotWell(
            f"{place} is no directory that this user can write to; point KEYTURN_KEY_DIR elsewhere"
        )
    readable = [str(file) for file in sorted(place.iterdir()) if _is_open(file)]
    if readable:
        raise _NotWell(f"others can read the keys: chmod 600 {' '.join(readable)}")
    return f"{place} is this user's alone"


def _is_open(file: Path) -> bool:
    return file.is_file() and bool(file.stat().st_mode & 0o077)


async def _notifications(settings: Settings) -> str:
    smtp, secret = settings.keyturn_smtp_url, settings.keyturn_webhook_secret
    built_in(
        SystemClock(),
        smtp_url=None if smtp is None else smtp.get_secret_value(),
        webhook_secret=_ANY_SECRET if secret is None else secret.get_secret_value(),
        allow=settings.keyturn_webhook_allow,
    )
    return "webhooks and e-mail" if smtp else "webhooks; no e-mail, since KEYTURN_SMTP_URL is not set"


async def _database(settings: Settings) -> str:
    path = settings.database_path
    if admin.running(admin.socket_path(path)):
        return f"{path} is open in a running server (SQLite {sqlite_version()})"
    if not path.exists():
        return f"{path} will be made at the first start (SQLite {sqlite_version()})"
    async with Store.reading(settings.keyturn_database_url) as reads:
        head = await reads.chain_head()
    return f"{path} can be read, {head.seq} audit rows (SQLite {sqlite_version()})"


async def _policies(settings: Settings) -> str:
    found = policies.load(settings.keyturn_policies)
    return f"{settings.keyturn_policies} is valid, version {found.version[:19]}…"


async def _slack(settings: Settings) -> str:
    async with web_client(slack_access(settings)) as client:
        try:
            me = await client.auth_test()
            if settings.slack_app_token is not None:
                await client.apps_connections_open(app_token=settings.slack_app_token.get_secret_value())
            workspace = policies.load(settings.keyturn_policies).workspace
            for channel in {workspace.admin_channel, workspace.audit_channel}:
                await _channel(client, channel)
        except SlackApiError as refused:
            code, which = error_code(refused), str(refused.response.api_url).rpartition("/")[2]
            fix = _FIXES_OF_SOCKET if which == "apps.connections.open" else _FIXES.get(code, "")
            raise _NotWell(f"Slack refuses {which}: {code}. {fix}".strip()) from refused
        except (SlackClientError, aiohttp.ClientError, TimeoutError) as trouble:
            raise _NotWell(f"Slack cannot be reached at {settings.slack_api_url}: {trouble}") from trouble
    return f"signed in as {me['user']} in {me['team']}"


async def _channel(client: AsyncWebClient, channel: str | None) -> None:
    if channel is not None and not channel.startswith("#"):
        info = await client.conversations_info(channel=channel)
        if not info["channel"].get("is_member", True):
            raise _NotWell(f"the bot is not in {channel}; invite it there with /invite")


_CHECKS: tuple[tuple[str, Callable[[Settings], Awaitable[str]]], ...] = (
    ("address", _address),
    ("keys", _keys),
    ("database", _database),
    ("policies", _policies),
    ("notifications", _notifications),
    ("slack", _slack),
)

_ANY_SECRET = "whsec_" + "A" * 32
"""Stands for the one that a start makes."""

_FIXES_OF_SOCKET = "Make an app-level token (xapp-…) with connections:write and set SLACK_APP_TOKEN to it."
_FIXES = {
    "invalid_auth": "Copy the Bot User OAuth Token (xoxb-…) into SLACK_BOT_TOKEN again.",
    "token_revoked": "Install the app again and copy its new token.",
    "account_inactive": "The app was removed from the workspace; install it again.",
    "channel_not_found": "The bot does not see admin_channel or audit_channel of workspace.yaml; invite it.",
    "missing_scope": "Update the app from `keyturn manifest` and install it again.",
}
