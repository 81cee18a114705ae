"""The workspace: people, channels, messages and views, in memory, with Slack's rules for changing them.

It is the far side of the network, so memory is all it has; it starts fresh every time. Every change bumps
`signal`, which is also the version the page sees.
"""

import json
import re
import time
from collections.abc import Callable
from dataclasses import fields
from importlib import resources
from pathlib import Path
from typing import Any
from zoneinfo import available_timezones

from bot.sandbox.errors import SlackError
from bot.sandbox.forms import blocks_with_ids
from bot.sandbox.messages import MessageLog
from bot.sandbox.model import Channel, Command, Json, Message, StoredFile, User, UserGroup
from bot.sandbox.signals import Signal
from bot.sandbox.tickets import ResponseUrls, Triggers
from bot.sandbox.viewstacks import ViewStacks

MAX_REVISIONS = 20

Clock = Callable[[], float]


class Workspace:
    """A workspace with one app in it.

    Args:
        data: As in `default_workspace.json`.
        clock: Unix seconds; drives timestamps and every expiry.
    """

    def __init__(self, data: Json, clock: Clock = time.time) -> None:
        self.clock = clock
        self.mail: list[Json] = []
        self.signal = Signal()
        self.team: Json = data["team"]
        self.bot: Json = data["bot"]
        self.users = {user.id: user for user in map(self._user_from, data["users"])}
        self.usergroups = {group["id"]: UserGroup(**group) for group in data.get("usergroups", [])}
        self.channels: dict[str, Channel] = {}
        self._names: dict[str, str] = {}
        self._logs: dict[str, MessageLog] = {}
        for given in data.get("channels", []):
            self._add_channel(self._channel_from(given))
        self.commands = {given["command"]: Command(**given) for given in data.get("commands", [])}
        self.files: dict[str, StoredFile] = {}
        self.views = ViewStacks(clock, self.changed)
        self.triggers = Triggers(clock)
        self.response_urls = ResponseUrls(clock)
        self._last_micros = 0

    def _user_from(self, given: Json) -> User:
        email = "" if given.get("is_bot") else f"{given['name']}@example.com"
        return User(**{"team_id": self.team["id"], "email": email, **given})

    def _channel_from(self, given: Json) -> Channel:
        present = {user.id for user in self.users.values() if not user.deleted}
        members = set(given["members"]) if "members" in given else present
        channel = Channel(**{**given, "members": members})
        channel.bot_is_member = given.get("bot_is_member", self.bot["user_id"] in members)
        return channel

    def _add_channel(self, channel: Channel) -> Channel:
        self.channels[channel.id] = channel
        self._logs[channel.id] = MessageLog()
        if channel.name:
            self._names[channel.name] = channel.id
        return channel

    def changed(self) -> None:
        """Count one change of the state."""
        self.signal.bump()

    def new_ts(self) -> str:
        """A timestamp no other message has, later than all before."""
        self._last_micros = max(self._last_micros + 1, int(self.clock() * 1_000_000))
        return f"{self._last_micros // 1_000_000}.{self._last_micros % 1_000_000:06d}"

    # People and groups

    def user(self, user_id: str) -> User:
        """The user with this id, or SlackError `user_not_found`."""
        if user_id not in self.users:
            raise SlackError("user_not_found")
        return self.users[user_id]

    def change_user(self, user_id: str, changes: Json) -> None:
        """Set attributes of a person; SlackError `invalid_arguments` for what a person cannot have."""
        user = self.user(user_id)
        if changes.get("tz", user.tz) not in available_timezones():
            raise SlackError("invalid_arguments", [f"no such time zone: {changes['tz']}"])
        _set_all(user, changes)
        self.changed()

    def escaped(self, text: str) -> str:
        """Typed words as an app gets them that asked for ids (docs.slack.dev, slash commands, escaping)."""
        names = sorted(self._named().items(), key=lambda pair: -len(pair[0]))
        known = {_safe(name): reference for name, reference in names}
        spelled = "|".join(map(re.escape, known))
        return re.sub(rf"(?<!\S)(?:{spelled})(?![\w-])", lambda found: known[found[0]], _safe(text))

    def _named(self) -> dict[str, str]:
        """What may be typed for people, user groups and channels, and what stands for it."""
        people = {
            f"@{name}": f"<@{user.id}|{user.name}>"
            for user in self.users.values()
            for name in (user.name, user.real_name)
        }
        groups = {
            f"@{group.handle}": f"<!subteam^{group.id}|@{group.handle}>" for group in self.usergroups.values()
        }
        return people | groups | {f"#{name}": f"<#{id}|{name}>" for name, id in self._names.items()}

    def usergroup(self, group_id: str) -> UserGroup:
        """The user group with this id, or SlackError `no_such_subteam`."""
        if group_id not in self.usergroups:
            raise SlackError("no_such_subteam")
        return self.usergroups[group_id]

    def set_usergroup(self, group_id: str, users: list[str]) -> None:
        """Replace the members of a group; SlackError for unknown groups and people."""
        self.usergroup(group_id).users = [self.user(user).id for user in users]
        self.changed()

    # Channels

    def channel(self, channel_id: str) -> Channel:
        """The channel or DM with this id, or SlackError `channel_not_found`."""
        if channel_id not in self.channels:
            raise SlackError("channel_not_found")
        return self.channels[channel_id]

    def channel_to_post(self, target: str) -> Channel:
        """Where a message to `target` goes: a channel id, a `#name`, or a user id (their DM).

        Raises:
            SlackError: `channel_not_found`, `is_archived` or `not_in_channel`.
        """
        if target in self.users:
            channel = self.open_dm(target)
        else:
            channel = self.channel(self._names.get(target.removeprefix("#"), target))
        return self.writable(channel)

    def writable(self, channel: Channel) -> Channel:
        """The channel, if the bot may write there; else SlackError `is_archived` or `not_in_channel`."""
        if channel.is_archived:
            raise SlackError("is_archived")
        if not channel.bot_is_member:
            raise SlackError("not_in_channel")
        return channel

    def open_dm(self, user_id: str) -> Channel:
        """The DM between the bot and a person, made when it is not there yet."""
        user = self.users.get(user_id)
        if user is None or user.deleted or user.is_bot:
            raise SlackError("channel_not_found")
        channel_id = "D" + user_id[1:]
        if channel_id in self.channels:
            return self.channels[channel_id]
        members = {user_id, self.bot["user_id"]}
        channel = self._add_channel(Channel(channel_id, f"@{user.name}", "dm", user_id, members))
        self.changed()
        return channel

    # Messages

    def messages(self, channel_id: str) -> MessageLog:
        """Every message of a channel."""
        return self._logs[self.channel(channel_id).id]

    def message(self, channel_id: str, ts: str) -> Message:
        """The message with this timestamp, or SlackError `message_not_found`."""
        message = self.messages(channel_id).get(ts)
        if message is None:
            raise SlackError("message_not_found")
        return message

    def post(self, channel: Channel, user: str, **content: Any) -> Message:
        """Add a message by `user`; `content` are the other fields of `Message`."""
        content["blocks"] = blocks_with_ids(content.get("blocks") or [])
        message = Message(self.new_ts(), channel.id, user, **content)
        self._logs[channel.id].add(message)
        self.changed()
        return message

    def edit(self, message: Message, **content: Any) -> None:
        """Change fields of a message; what it showed before stays clickable for slow clients."""
        if "blocks" in content:
            message.revisions = [*message.revisions, message.blocks][-MAX_REVISIONS:]
            content["blocks"] = blocks_with_ids(content["blocks"])
        for name, value in content.items():
            setattr(message, name, value)
        self.changed()

    def delete(self, message: Message) -> None:
        """Take a message away."""
        self._logs[message.channel].remove(message.ts)
        self.changed()

    def react(self, message: Message, name: str, user: str) -> None:
        """Add a reaction, or SlackError `already_reacted`."""
        users = message.reactions.setdefault(name, [])
        if user in users:
            raise SlackError("already_reacted")
        users.append(user)
        self.changed()

    def change_channel(self, channel_id: str, changes: Json) -> None:
        """Archive a channel, or add or remove the bot (`bot_is_member`)."""
        channel = self.channel(channel_id)
        _set_all(channel, changes)
        (channel.members.add if channel.bot_is_member else channel.members.discard)(self.bot["user_id"])
        self.changed()


def _set_all(target: Any, changes: Json) -> None:
    known = {field.name for field in fields(target)} - {"id"}
    reasons = [f"unknown field: {name}" for name in sorted(set(changes) - known)]
    for name in sorted(set(changes) & known):
        if type(changes[name]) is not type(getattr(target, name)):
            reasons.append(f"{name} must be like {getattr(target, name)!r}")
    if reasons:
        raise SlackError("invalid_arguments", reasons)
    for name, value in changes.items():
        setattr(target, name, value)


def load_workspace(path: Path | None = None, clock: Clock = time.time) -> Workspace:
    """A fresh workspace from a JSON file, or the default one.

    Raises:
        ValueError: the file is not such a workspace; the message says why.
    """
    source = path or resources.files("bot.sandbox") / "default_workspace.json"
    try:
        return Workspace(json.loads(source.read_text(encoding="utf-8")), clock)
    except (KeyError, TypeError, json.JSONDecodeError) as error:
        raise ValueError(
            f"{source} is not a sandbox workspace ({error}). It needs team, bot, users and channels, "
            "as in bot/sandbox/default_workspace.json."
        ) from error


def _safe(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
