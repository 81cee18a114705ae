"""The whole state as one JSON document, for the page."""

from dataclasses import asdict

from bot.sandbox.model import Channel, Json, Message, Modal, User
from bot.sandbox.workspace import Workspace


def snapshot(workspace: Workspace, *, connected: bool, transport: str) -> Json:
    """Everything a person could see, and how the bot is connected (`transport`: `socket` or `http`)."""
    views = workspace.views
    return {
        "version": workspace.signal.count,
        "now": workspace.clock(),
        "team": workspace.team,
        "bot": {**workspace.bot, "connected": connected, "transport": transport},
        "users": [_user(user) for user in workspace.users.values()],
        "usergroups": [asdict(group) for group in workspace.usergroups.values()],
        "channels": [_channel(workspace, channel) for channel in workspace.channels.values()],
        "modals": {user: [_modal(modal) for modal in stack] for user, stack in views.stacks.items() if stack},
        "homes": {user: _modal(home) for user, home in views.homes.items()},
        "commands": [asdict(command) for command in workspace.commands.values()],
        "mail": list(workspace.mail),
    }


def _user(user: User) -> Json:
    who = ("id", "team_id", "name", "real_name", "title", "email", "tz", "color")
    return {name: getattr(user, name) for name in (*who, "is_bot", "is_restricted", "deleted")}


def _channel(workspace: Workspace, channel: Channel) -> Json:
    messages = sorted(workspace.messages(channel.id), key=lambda message: message.ts)
    return {
        "id": channel.id,
        "name": channel.name,
        "kind": channel.kind,
        "user": channel.user,
        "members": sorted(channel.members),
        "is_archived": channel.is_archived,
        "bot_is_member": channel.bot_is_member,
        "messages": [_message(message) for message in messages],
    }


def _message(message: Message) -> Json:
    plain = ("ts", "user", "text", "blocks", "attachments", "thread_ts", "reply_broadcast", "edited")
    kept = (*plain, "metadata", "ephemeral_to", "files")
    reactions = [{"name": name, "users": users} for name, users in message.reactions.items()]
    return {name: getattr(message, name) for name in kept} | {"reactions": reactions}


def _modal(modal: Modal) -> Json:
    return {"id": modal.id, "hash": modal.hash, "view": modal.view, "errors": modal.errors}
