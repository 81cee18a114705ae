"""What Slack sends an app, as pure functions of the workspace: the same for Socket Mode and HTTP.

Shapes follow docs.slack.dev/reference/interaction-payloads and the logged samples of slackapi/java-slack-sdk.
"""

from collections.abc import Mapping
from typing import Any

from bot.sandbox.forms import state_values
from bot.sandbox.model import Channel, Json, Message, Modal, User
from bot.sandbox.workspace import Workspace


def actor(workspace: Workspace, user: User) -> Json:
    """The parts every interaction shares: who did it, in which team, with which app.

    `team` is the person's own team, which for someone from a Slack Connect partner is not the app's.
    """
    own = user.team_id == workspace.team["id"]
    domain = workspace.team["domain"] if own else user.team_id.lower()
    return {
        "team": {"id": user.team_id, "domain": domain},
        "user": {"id": user.id, "username": user.name, "name": user.name, "team_id": user.team_id},
        "api_app_id": workspace.bot["app_id"],
        "token": "sandbox-verification-token",
        "enterprise": None,
        "is_enterprise_install": False,
    }


def message_payload(workspace: Workspace, message: Message, *, metadata: bool = False) -> Json:
    """A message as the Web API returns it; `metadata` only when it was asked for."""
    bot = message.user == workspace.bot["user_id"]
    payload: Json = {"type": "message", "user": message.user, "ts": message.ts, "text": message.text}
    payload["team"] = workspace.users[message.user].team_id
    if bot:
        payload |= {"bot_id": workspace.bot["bot_id"], "app_id": workspace.bot["app_id"]}
        payload["bot_profile"] = bot_profile(workspace)
    for name in ("blocks", "attachments", "files", "thread_ts"):
        if value := getattr(message, name):
            payload[name] = value
    if message.reply_broadcast:
        payload["subtype"] = "thread_broadcast"
    if message.edited:
        payload["edited"] = {"user": message.user, "ts": message.ts}
    if message.reactions:
        payload["reactions"] = [
            {"name": name, "users": users, "count": len(users)} for name, users in message.reactions.items()
        ]
    if metadata and message.metadata:
        payload["metadata"] = message.metadata
    return payload | _thread_summary(workspace, message)


def _thread_summary(workspace: Workspace, message: Message) -> Json:
    replies = workspace.messages(message.channel).replies(message.ts)
    if not replies:
        return {}
    users = sorted({reply.user for reply in replies})
    return {
        "thread_ts": message.ts,
        "reply_count": len(replies),
        "reply_users": users,
        "reply_users_count": len(users),
        "latest_reply": replies[-1].ts,
    }


def bot_profile(workspace: Workspace) -> Json:
    """Who posted, for messages by the app."""
    bot = workspace.bot
    return {
        "id": bot["bot_id"],
        "app_id": bot["app_id"],
        "user_id": bot["user_id"],
        "name": bot["name"],
        "deleted": False,
        "team_id": workspace.team["id"],
    }


def view_payload(workspace: Workspace, modal: Modal, values: Mapping[str, Any] | None = None) -> Json:
    """A view as Slack returns and delivers it, with the state of its inputs."""
    view = modal.view
    common = {
        "id": modal.id,
        "team_id": workspace.team["id"],
        "type": view["type"],
        "blocks": view["blocks"],
        "private_metadata": view.get("private_metadata") or "",
        "callback_id": view.get("callback_id") or "",
        "external_id": view.get("external_id") or "",
        "state": {"values": state_values(view["blocks"], values)},
        "hash": modal.hash,
        "title": view.get("title"),
        "submit": view.get("submit"),
        "close": view.get("close"),
        "root_view_id": modal.root_view_id,
        "previous_view_id": modal.previous_view_id,
        "app_id": workspace.bot["app_id"],
        "app_installed_team_id": workspace.team["id"],
        "bot_id": workspace.bot["bot_id"],
    }
    switches = ("clear_on_close", "notify_on_close", "submit_disabled")
    return common | {name: bool(view.get(name)) for name in switches}


def message_click(
    workspace: Workspace,
    user: User,
    channel: Channel,
    message: Message,
    action: Json,
    *,
    response_url: str,
    trigger_id: str,
) -> Json:
    """`block_actions` from a message."""
    container = {
        "type": "message",
        "message_ts": message.ts,
        "channel_id": channel.id,
        "is_ephemeral": message.ephemeral_to is not None,
    }
    if message.thread_ts:
        container["thread_ts"] = message.thread_ts
    payload = actor(workspace, user) | {
        "type": "block_actions",
        "container": container,
        "trigger_id": trigger_id,
        "channel": {"id": channel.id, "name": "directmessage" if channel.kind == "dm" else channel.name},
        "state": {"values": state_values(message.blocks)},
        "response_url": response_url,
        "actions": [action],
    }
    if message.ephemeral_to is None:
        payload["message"] = message_payload(workspace, message)
    return payload


def view_click(
    workspace: Workspace,
    user: User,
    modal: Modal,
    action: Json,
    *,
    values: Mapping[str, Any] | None,
    trigger_id: str,
) -> Json:
    """`block_actions` from a modal or the App Home."""
    view = view_payload(workspace, modal, values)
    return actor(workspace, user) | {
        "type": "block_actions",
        "container": {"type": "view", "view_id": modal.id},
        "trigger_id": trigger_id,
        "view": view,
        "state": view["state"],
        "actions": [action],
    }


def view_submission(
    workspace: Workspace, user: User, modal: Modal, values: Mapping[str, Any], trigger_id: str
) -> Json:
    """`view_submission` with everything the person filled in."""
    return actor(workspace, user) | {
        "type": "view_submission",
        "trigger_id": trigger_id,
        "view": view_payload(workspace, modal, values),
        "response_urls": [],
    }


def view_closed(workspace: Workspace, user: User, modal: Modal, *, is_cleared: bool) -> Json:
    """`view_closed`, which Slack sends only for views with `notify_on_close`."""
    view = view_payload(workspace, modal)
    return actor(workspace, user) | {"type": "view_closed", "view": view, "is_cleared": is_cleared}


def slash_command(
    workspace: Workspace,
    user: User,
    channel: Channel,
    command: str,
    text: str,
    *,
    response_url: str,
    trigger_id: str,
) -> dict[str, str]:
    """The form fields of a slash command; Socket Mode sends the same as an object."""
    who = actor(workspace, user)
    return {
        "token": who["token"],
        "team_id": who["team"]["id"],
        "team_domain": who["team"]["domain"],
        "channel_id": channel.id,
        "channel_name": "directmessage" if channel.kind == "dm" else channel.name,
        "user_id": user.id,
        "user_name": user.name,
        "command": command,
        "text": text,
        "api_app_id": who["api_app_id"],
        "is_enterprise_install": "false",
        "response_url": response_url,
        "trigger_id": trigger_id,
    }


def event_callback(workspace: Workspace, user: User, event: Json, event_id: str) -> Json:
    """An Events API delivery around one event."""
    return {
        "token": "sandbox-verification-token",
        "team_id": workspace.team["id"],
        "api_app_id": workspace.bot["app_id"],
        "event": event,
        "type": "event_callback",
        "event_id": event_id,
        "event_time": int(workspace.clock()),
        "authorizations": [
            {
                "enterprise_id": None,
                "team_id": workspace.team["id"],
                "user_id": workspace.bot["user_id"],
                "is_bot": True,
                "is_enterprise_install": False,
            }
        ],
        "is_ext_shared_channel": user.team_id != workspace.team["id"],
        "event_context": f"4-{event_id}",
    }


def app_home_opened(workspace: Workspace, user: User, channel: Channel) -> Json:
    """The event for opening the App Home; it carries the view when one was published."""
    event = {
        "type": "app_home_opened",
        "user": user.id,
        "channel": channel.id,
        "tab": "home",
        "event_ts": workspace.new_ts(),
    }
    home = workspace.views.homes.get(user.id)
    return event | ({"view": view_payload(workspace, home)} if home else {})


def message_event(workspace: Workspace, channel: Channel, message: Message) -> Json:
    """The event for a message written by a person."""
    event: Json = {
        "type": "message",
        "channel": channel.id,
        "user": message.user,
        "text": message.text,
        "ts": message.ts,
        "team": workspace.users[message.user].team_id,
        "event_ts": message.ts,
        "channel_type": "im" if channel.kind == "dm" else "channel",
    }
    return event | ({"thread_ts": message.thread_ts} if message.thread_ts else {})
