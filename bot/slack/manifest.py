"""The Slack app as a manifest: what an admin pastes at api.slack.com/apps, for either transport.

It asks for no more than is used. `manifest.yml` at the top of the repository is the Socket Mode one.
"""

from typing import Any
from urllib.parse import urlsplit

from bot.slack import audit_desk, undo
from bot.slack.commands import COMMAND, WORDS

SCOPES = (
    "chat:write",  # cards, threads, private answers
    "commands",
    "files:write",  # exports and reports for auditors
    "im:write",  # DMs to the people an escalation asks
    "users:read",  # who clicked: a person of this workspace, no guest, no bot
    "users:read.email",  # approvers that a policy names by e-mail address
    "usergroups:read",  # approver groups that are user groups
    "dnd:read",  # whom of several to ask first
    "channels:history",  # after an unclear post: is the card there already?
    "groups:history",
    "im:history",
)


def manifest(http_url: str | None) -> dict[str, Any]:
    """The app manifest as JSON.

    Args:
        http_url: Where Slack reaches this server, such as `https://keyturn.example.com`; None for
            Socket Mode, which needs no address.

    Raises:
        ValueError: `http_url` is not an https address.
    """
    events = None if http_url is None else _events_url(http_url)
    return {
        "_metadata": {"major_version": 2},
        "display_information": {
            "name": "Keyturn",
            "description": "Asks people before AI agents act",
            "background_color": "#1f3d36",
        },
        "features": {
            "app_home": {
                "home_tab_enabled": True,
                "messages_tab_enabled": True,
                "messages_tab_read_only_enabled": True,
            },
            "bot_user": {"display_name": "keyturn", "always_online": True},
            "slash_commands": _commands(events),
        },
        "oauth_config": {"scopes": {"bot": list(SCOPES)}},
        "settings": {
            "event_subscriptions": _with_url(events, {"bot_events": ["app_home_opened"]}),
            "interactivity": _with_url(events, {"is_enabled": True}),
            "org_deploy_enabled": False,
            "socket_mode_enabled": events is None,
            "token_rotation_enabled": False,
        },
    }


def _events_url(http_url: str) -> str:
    parts = urlsplit(http_url)
    if parts.scheme != "https" or not parts.hostname:
        raise ValueError(f"Slack delivers to https addresses only, not to {http_url!r}.")
    return f"{http_url.rstrip('/').removesuffix('/slack/events')}/slack/events"


def _commands(events: str | None) -> list[dict[str, Any]]:
    described = (
        (COMMAND, "What waits for you, who is on call, the pause switch, and help", list(WORDS)),
        (audit_desk.COMMAND, "What is on record, for auditors", ["req_…", *audit_desk.WORDS]),
        (undo.NAME, "Undo what an agent did, for operators", ["req_…", "session"]),
    )
    commands = (
        {
            "command": name,
            "description": words,
            "usage_hint": " | ".join(usage),
            "should_escape": True,  # a person named in a command arrives as an id
        }
        for name, words, usage in described
    )
    return [command if events is None else {**command, "url": events} for command in commands]


def _with_url(events: str | None, setting: dict[str, Any]) -> dict[str, Any]:
    return setting if events is None else {"request_url": events, **setting}
