"""`keyturn doctor`: looks at everything a start needs and says what to fix.

It changes nothing. Each check stands alone, so one fault does not hide the next.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

import aiohttp
from slack_sdk.errors import SlackApiError, SlackClientError
from slack_sdk.web.async_client import AsyncWebClient

from bot.config import ConfigError, Settings
from bot.core.policy import PolicyError
from bot.http.admin import RemoteAgents, socket_path
from bot.services import policies
from bot.slack.app import web_client
from bot.store import CannotOpen, Store, sqlite_version
from bot.system import SystemClock
from bot.wiring import slack_access


@dataclass(frozen=True, slots=True)
class Check:
    """One finding: what was looked at, whether it is well, and the detail or the fix."""

    name: str
    ok: bool
    detail: str


async def examine(environment: Mapping[str, str]) -> list[Check]:
    """Every check, in the order a start needs them."""
    try:
        settings = Settings.read(environment)
    except ConfigError as fault:
        return [Check("settings", False, str(fault))]
    mode = "Socket Mode" if settings.slack_app_token else "signed HTTP"
    where = "a sandbox on this machine" if settings.sandbox else "Slack"
    found = [Check("settings", True, f"{mode}, talking to {where}")]
    for name, look in (("database", _database), ("policies", _policies), ("slack", _slack)):
        found.append(await _checked(name, look, settings))
    return found


async def _checked(name: str, look: Callable[[Settings], Awaitable[str]], settings: Settings) -> Check:
    try:
        return Check(name, True, await look(settings))
    except (CannotOpen, PolicyError, OSError, _NotWell) as fault:
        return Check(name, False, str(fault))


class _NotWell(Exception):
    """A check's own finding."""


async def _database(settings: Settings) -> str:
    path = settings.database_path
    if RemoteAgents(socket_path(path)).running():
        return f"{path} is open in a running server (SQLite {sqlite_version()})"
    if not path.exists():
        return f"{path} will be made at the first start (SQLite {sqlite_version()})"
    async with Store.open(settings.keyturn_database_url, clock=SystemClock()) as store:
        head = await store.reads.chain_head()
    return f"{path} is sound, {head.seq} audit rows (SQLite {sqlite_version()})"


async def _policies(settings: Settings) -> str:
    found = policies.load(settings.keyturn_policies)
    return f"{settings.keyturn_policies} is valid, version {found.version[:19]}…"


async def _slack(settings: Settings) -> str:
    async with web_client(slack_access(settings)) as client:
        try:
            me = await client.auth_test()
            await _channel(client, policies.load(settings.keyturn_policies).workspace.admin_channel)
        except SlackApiError as refused:
            code = refused.response["error"]
            raise _NotWell(f"Slack refuses: {code}. {_FIXES.get(code, '')}".strip()) from refused
        except (SlackClientError, aiohttp.ClientError, TimeoutError) as trouble:
            raise _NotWell(f"Slack cannot be reached at {settings.slack_api_url}: {trouble}") from trouble
    return f"signed in as {me['user']} in {me['team']}"


async def _channel(client: AsyncWebClient, channel: str | None) -> None:
    if channel is not None and not channel.startswith("#"):
        info = await client.conversations_info(channel=channel)
        if not info["channel"].get("is_member", True):
            raise _NotWell(f"the bot is not in {channel}; invite it there with /invite")


_FIXES = {
    "invalid_auth": "Copy the Bot User OAuth Token (xoxb-…) into SLACK_BOT_TOKEN again.",
    "token_revoked": "Install the app again and copy its new token.",
    "account_inactive": "The app was removed from the workspace; install it again.",
    "channel_not_found": "The admin channel of workspace.yaml does not exist, or the bot is not in it.",
    "missing_scope": "Update the app from `keyturn manifest` and install it again.",
}
