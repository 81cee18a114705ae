"""Reading the text and blocks of a message an app sends, by whatever way it sends it."""

from typing import Any

from bot.sandbox import limits
from bot.sandbox.errors import SlackError
from bot.sandbox.model import Json


def content_from(given: Json) -> dict[str, Any]:
    """The checked `text`, `blocks` and `attachments` of a message.

    Raises:
        SlackError: `no_text`, `invalid_blocks` with its reasons, `invalid_blocks_format`,
            `invalid_attachments` or `msg_blocks_too_long`.
    """
    blocks = given.get("blocks") or []
    attachments = given.get("attachments") or []
    check_blocks(blocks)
    if reasons := limits.attachment_problems(attachments):
        raise SlackError("invalid_attachments", reasons)
    text = given.get("text") or ""
    if not isinstance(text, str):
        raise SlackError("invalid_arguments", ["must provide a string [json-pointer:/text]"])
    if not (text.strip() or blocks or attachments):
        raise SlackError("no_text")
    return {"text": text[: limits.MAX_TEXT_KEPT], "blocks": blocks, "attachments": attachments}


def check_blocks(blocks: Any) -> None:
    """Refuse blocks that Slack would refuse in a message."""
    if not isinstance(blocks, list):
        raise SlackError("invalid_blocks_format")
    if reasons := limits.message_problems(blocks):
        raise SlackError("invalid_blocks", reasons)
    if limits.message_text_length(blocks) > limits.MAX_MESSAGE_TEXT:
        raise SlackError("msg_blocks_too_long")
