"""The nouns of a Slack workspace, as the sandbox remembers them.

Blocks and views stay the plain JSON they arrived as: the sandbox must give back what it was given.
"""

from dataclasses import dataclass, field
from typing import Any

Json = dict[str, Any]


@dataclass(slots=True)
class User:
    """A person or a bot. `team_id` differs from the workspace's for Slack Connect strangers."""

    id: str
    team_id: str
    name: str
    real_name: str
    title: str = ""
    email: str = ""
    tz: str = "Etc/UTC"
    color: str = "4a154b"
    is_bot: bool = False
    is_restricted: bool = False
    is_ultra_restricted: bool = False
    is_admin: bool = False
    deleted: bool = False
    presence: str = "active"
    status_text: str = ""
    status_emoji: str = ""
    status_expiration: int = 0
    dnd_enabled: bool = False
    next_dnd_start_ts: int = 1
    next_dnd_end_ts: int = 1


@dataclass(slots=True)
class UserGroup:
    """A user group; `users` are ids."""

    id: str
    handle: str
    name: str
    users: list[str]


@dataclass(slots=True)
class Message:
    """One message. `revisions` are the blocks it showed before, oldest first: slow clients click them."""

    ts: str
    channel: str
    user: str
    text: str = ""
    blocks: list[Json] = field(default_factory=list)
    attachments: list[Json] = field(default_factory=list)
    thread_ts: str | None = None
    reply_broadcast: bool = False
    edited: bool = False
    reactions: dict[str, list[str]] = field(default_factory=dict)
    metadata: Json | None = None
    ephemeral_to: str | None = None
    files: list[Json] = field(default_factory=list)
    revisions: list[list[Json]] = field(default_factory=list)


@dataclass(slots=True)
class Channel:
    """A channel or a DM with the bot (`kind` is `channel` or `dm`); `user` is the other person of a DM."""

    id: str
    name: str
    kind: str = "channel"
    user: str | None = None
    members: set[str] = field(default_factory=set)
    is_archived: bool = False
    bot_is_member: bool = True


@dataclass(slots=True)
class Modal:
    """One view in a person's stack, or their App Home.

    `view` is what the app sent, with ids filled in; `errors` is what the last submission was refused with.
    """

    id: str
    user: str
    view: Json
    hash: str
    root_view_id: str
    previous_view_id: str | None = None
    errors: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class StoredFile:
    """An uploaded file; `content` is None until its bytes arrived."""

    id: str
    name: str
    length: int
    title: str = ""
    mimetype: str = "application/octet-stream"
    content: bytes | None = None
    shared_at: int = 0


@dataclass(frozen=True, slots=True)
class Command:
    """A slash command the app registered."""

    command: str
    description: str = ""
    usage_hint: str = ""
    should_escape: bool = False
    """Whether `@name` and `#channel` reach the app as ids, and `&<>` escaped."""
