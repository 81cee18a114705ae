"""chat.* and reactions.*: posting, changing and removing messages."""

import json
from typing import Any

from bot.sandbox import limits
from bot.sandbox.content import check_blocks, content_from
from bot.sandbox.errors import RateLimited, SlackError
from bot.sandbox.model import Channel, Json, Message
from bot.sandbox.payloads import message_payload
from bot.sandbox.webapi.calls import Call, method


@method("chat.postMessage")
def post_message(call: Call) -> Json:
    """Post as the bot, at most one message a second and channel (with a little burst)."""
    channel = call.workspace.channel_to_post(call.required("channel"))
    content = _content(call)
    metadata = _metadata(call)
    thread_ts = _thread(call, channel)
    if not call.services.pace.admit(channel.id):
        raise RateLimited(1)
    message = call.workspace.post(
        channel,
        call.workspace.bot["user_id"],
        **content,
        metadata=metadata,
        thread_ts=thread_ts,
        reply_broadcast=bool(thread_ts) and call.flag("reply_broadcast"),
    )
    answer: Json = {"channel": channel.id, "ts": message.ts}
    answer["message"] = message_payload(call.workspace, message, metadata=True)
    if not content["text"] and content["blocks"]:
        answer["warning"] = "missing_text_in_message"
        answer["response_metadata"] = {"warnings": ["missing_text_in_message"]}
    return answer


@method("chat.postEphemeral")
def post_ephemeral(call: Call) -> Json:
    """Post a message only one member of the channel sees."""
    channel = call.workspace.channel_to_post(call.required("channel"))
    user = call.required("user")
    if user not in channel.members:
        raise SlackError("user_not_in_channel")
    message = call.workspace.post(
        channel,
        call.workspace.bot["user_id"],
        **_content(call),
        ephemeral_to=user,
        thread_ts=_thread(call, channel),
    )
    return {"message_ts": message.ts}


@method("chat.update")
def update(call: Call) -> Json:
    """Change one of the bot's own messages; text alone removes the blocks, as in Slack."""
    message = _own_message(call, "cant_update_message")
    if len(call.text("text") or "") > limits.MAX_UPDATE_TEXT:
        raise SlackError("msg_too_long")
    content = _content(call)
    if "text" not in call.arguments:
        content["text"] = message.text
    if "attachments" not in call.arguments:
        content["attachments"] = message.attachments
    if "metadata" in call.arguments:
        content["metadata"] = _metadata(call)
    if not content["blocks"]:
        content["edited"] = True
    call.workspace.edit(message, **content)
    payload = message_payload(call.workspace, message, metadata=True)
    return {"channel": message.channel, "ts": message.ts, "text": message.text, "message": payload}


@method("chat.delete")
def delete(call: Call) -> Json:
    """Remove one of the bot's own messages."""
    message = _own_message(call, "cant_delete_message")
    call.workspace.delete(message)
    return {"channel": message.channel, "ts": message.ts}


@method("chat.getPermalink")
def get_permalink(call: Call) -> Json:
    """A link to the message on the sandbox's page."""
    message = call.workspace.message(call.required("channel"), call.required("message_ts"))
    place = f"archives/{message.channel}/p{message.ts.replace('.', '')}"
    return {"channel": message.channel, "permalink": f"{call.services.url}/#/{place}"}


@method("reactions.add")
def add_reaction(call: Call) -> Json:
    """React to a message as the bot."""
    message = call.workspace.message(call.required("channel"), call.required("timestamp"))
    name = call.required("name").strip(":")
    if not name.replace("_", "").replace("-", "").replace("+", "").isalnum():
        raise SlackError("invalid_name")
    call.workspace.react(message, name, call.workspace.bot["user_id"])
    return {}


@method("blocks.validate")
def validate(call: Call) -> Json:
    """Check `blocks`, a `view` or a `message` against the limits without sending anything."""
    if view := call.structure("view"):
        if reasons := limits.view_problems(view):
            raise SlackError("invalid_blocks", reasons)
        return {}
    message = call.structure("message")
    blocks = call.structure("blocks", "invalid_blocks_format")
    if isinstance(message, dict):
        blocks = message.get("blocks")
    if not blocks:
        raise SlackError("invalid_arguments", ["must provide one of: blocks, view, message"])
    check_blocks(blocks)
    return {}


def _own_message(call: Call, refusal: str) -> Message:
    channel = call.workspace.channel(call.required("channel"))
    message = call.workspace.message(channel.id, call.required("ts"))
    if message.ephemeral_to:
        raise SlackError("message_not_found")
    call.workspace.writable(channel)
    if message.user != call.workspace.bot["user_id"]:
        raise SlackError(refusal)
    return message


def _content(call: Call) -> dict[str, Any]:
    """Text, blocks and attachments of the call; `markdown_text` becomes a markdown block."""
    given: Json = {
        "text": call.text("text"),
        "blocks": call.structure("blocks", "invalid_blocks_format"),
        "attachments": call.structure("attachments", "invalid_attachments"),
    }
    if markdown := call.text("markdown_text"):
        if given["text"] or given["blocks"]:
            raise SlackError("markdown_text_conflict")
        if len(markdown) > limits.MAX_MARKDOWN:
            raise SlackError("msg_too_long")
        given |= {"text": markdown, "blocks": [{"type": "markdown", "text": markdown}]}
    return content_from(given)


def _metadata(call: Call) -> Json | None:
    """The metadata of the call; None when there is none or it is `{}`."""
    metadata = call.structure("metadata", "invalid_metadata_format")
    if not metadata:
        return None
    if not isinstance(metadata, dict) or not isinstance(metadata.get("event_type"), str):
        raise SlackError("invalid_metadata_format")
    if not isinstance(metadata.get("event_payload"), dict):
        raise SlackError("invalid_metadata_schema")
    if len(json.dumps(metadata).encode()) > limits.MAX_METADATA_BYTES:
        raise SlackError("metadata_too_large")
    return metadata


def _thread(call: Call, channel: Channel) -> str | None:
    """The parent a reply belongs to: naming a reply means its parent."""
    thread_ts = call.text("thread_ts")
    if not thread_ts:
        return None
    parent = call.workspace.messages(channel.id).get(thread_ts)
    if parent is None or parent.ephemeral_to:
        raise SlackError("thread_not_found")
    return parent.thread_ts or parent.ts
