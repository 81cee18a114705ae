"""conversations.*: channels, DMs and what was said in them."""

from bot.sandbox.errors import SlackError
from bot.sandbox.model import Channel, Json
from bot.sandbox.payloads import message_payload
from bot.sandbox.webapi.calls import Call, method


@method("conversations.open")
def open_conversation(call: Call) -> Json:
    """The DM with one person, made if need be."""
    if channel_id := call.text("channel"):
        channel = call.workspace.channel(channel_id)
    else:
        users = [user for user in call.required("users").split(",") if user]
        if len(users) != 1:
            raise SlackError("not_enough_users" if not users else "too_many_users")
        if call.workspace.user(users[0]).deleted:
            raise SlackError("user_disabled")
        channel = call.workspace.open_dm(users[0])
    if call.flag("return_im"):
        return {"channel": channel_payload(call, channel)}
    return {"channel": {"id": channel.id}}


@method("conversations.info")
def info(call: Call) -> Json:
    """One channel."""
    return {"channel": channel_payload(call, call.workspace.channel(call.required("channel")))}


@method("conversations.list")
def list_conversations(call: Call) -> Json:
    """Channels, and DMs when `types` names `im`."""
    kinds = (call.text("types") or "public_channel").split(",")
    wanted = {"dm"} if "im" in kinds else set()
    wanted |= {"channel"} if "public_channel" in kinds else set()
    hidden = call.flag("exclude_archived")
    found = [
        channel
        for channel in call.workspace.channels.values()
        if channel.kind in wanted and not (hidden and channel.is_archived)
    ]
    channels, following = call.page(found)
    payloads = [channel_payload(call, channel) for channel in channels]
    return {"channels": payloads, "response_metadata": {"next_cursor": following}}


@method("conversations.members")
def members(call: Call) -> Json:
    """Who is in a channel."""
    channel = call.workspace.channel(call.required("channel"))
    found, following = call.page(sorted(channel.members))
    return {"members": found, "response_metadata": {"next_cursor": following}}


@method("conversations.history")
def history(call: Call) -> Json:
    """The top-level messages of a channel, newest first."""
    channel = _readable(call)
    # The cursor is the last timestamp of the page before; it narrows `latest`.
    cursor = call.text("cursor")
    latest = cursor or call.text("latest") or ""
    inclusive = call.flag("inclusive") and not cursor
    messages, has_more = call.workspace.messages(channel.id).history(
        call.text("oldest") or "", latest, inclusive, call.limit()
    )
    metadata = call.flag("include_all_metadata")
    return {
        "messages": [message_payload(call.workspace, message, metadata=metadata) for message in messages],
        "has_more": has_more,
        "pin_count": 0,
        "response_metadata": {"next_cursor": messages[-1].ts if has_more else ""},
    }


@method("conversations.replies")
def replies(call: Call) -> Json:
    """A thread, its parent first."""
    channel = _readable(call)
    log = call.workspace.messages(channel.id)
    parent = log.get(call.required("ts"))
    if parent is None or parent.ephemeral_to:
        raise SlackError("thread_not_found")
    thread, following = call.page([parent, *log.replies(parent.ts)])
    metadata = call.flag("include_all_metadata")
    return {
        "messages": [message_payload(call.workspace, message, metadata=metadata) for message in thread],
        "has_more": bool(following),
        "response_metadata": {"next_cursor": following},
    }


def channel_payload(call: Call, channel: Channel) -> Json:
    """A channel or DM as conversations.* return it."""
    common: Json = {
        "id": channel.id,
        "is_archived": channel.is_archived,
        "is_im": channel.kind == "dm",
        "is_channel": channel.kind == "channel",
        "is_group": False,
        "is_mpim": False,
        "is_private": channel.kind == "dm",
        "is_member": channel.bot_is_member,
        "context_team_id": call.workspace.team["id"],
    }
    if channel.kind == "dm":
        return common | {"user": channel.user, "is_open": True}
    return common | {
        "name": channel.name,
        "name_normalized": channel.name,
        "num_members": len(channel.members),
        "topic": {"value": "", "creator": "", "last_set": 0},
        "purpose": {"value": "", "creator": "", "last_set": 0},
    }


def _readable(call: Call) -> Channel:
    channel = call.workspace.channel(call.required("channel"))
    if not channel.bot_is_member:
        raise SlackError("not_in_channel")
    return channel
