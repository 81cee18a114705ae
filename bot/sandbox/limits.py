"""What Slack refuses about a whole message or view: surfaces, totals, identifiers that must be unique.

Pure: data in, reasons out. Sources: docs.slack.dev reference/block-kit and reference/views; the two totals
that Slack enforces without documenting a number name their source beside them.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from bot.sandbox.block_rules import BLOCKS
from bot.sandbox.element_rules import plain
from bot.sandbox.schema import Problem, Rule, by_type, flag, record, string

MESSAGE, MODAL, HOME = "message", "modal", "home"
MAX_BLOCKS = {MESSAGE: 50, MODAL: 100, HOME: 100}
MAX_MARKDOWN = 12_000
MAX_DATA_TABLE_TEXT = 20_000
# Not documented: messages whose blocks hold about 13,200 characters are refused as `msg_blocks_too_long`
# whatever the single limits say (slackapi/bolt-js issue 2509).
MAX_MESSAGE_TEXT = 13_200
MAX_VIEW_BYTES = 250_000
MAX_TEXT_KEPT = 40_000
MAX_UPDATE_TEXT = 4_000
MAX_METADATA_BYTES = 16_000

_EVERYWHERE = frozenset({MESSAGE, MODAL, HOME})
_MESSAGE_AND_HOME = frozenset({MESSAGE, HOME})
_MESSAGE_ONLY = frozenset({MESSAGE})
SURFACES: dict[str, frozenset[str]] = {
    **dict.fromkeys(("actions", "card", "context", "divider", "header", "image", "input"), _EVERYWHERE),
    **dict.fromkeys(("rich_text", "section", "video"), _EVERYWHERE),
    **dict.fromkeys(("container", "carousel", "data_table", "data_visualization"), _MESSAGE_AND_HOME),
    "table": _MESSAGE_AND_HOME,
    **dict.fromkeys(("context_actions", "file", "markdown", "task_card", "plan"), _MESSAGE_ONLY),
    "alert": frozenset({MODAL}),
}

_VIEW_FIELDS: dict[str, Rule] = {
    "blocks": lambda value, at: blocks_problems(value, HOME, at),
    "private_metadata": string(3000),
    "callback_id": string(255),
    "external_id": string(255),
}
_MODAL_FIELDS: dict[str, Rule] = {
    **_VIEW_FIELDS,
    "blocks": lambda value, at: blocks_problems(value, MODAL, at),
    "title": plain(24),
    "submit": plain(24),
    "close": plain(24),
    "clear_on_close": flag,
    "notify_on_close": flag,
    "submit_disabled": flag,
}


def _submit_for_inputs(value: Any, at: str) -> Iterator[Problem]:
    if not value.get("submit") and any(block["type"] == "input" for block in value["blocks"]):
        yield at, "missing required field: submit (a modal with input blocks needs it)"


VIEWS: dict[str, Rule] = {
    HOME: record(_VIEW_FIELDS, required=("blocks",)),
    MODAL: record(_MODAL_FIELDS, required=("title", "blocks"), also=_submit_for_inputs),
}


def view_problems(view: Any, kind: str | None = None) -> list[str]:
    """Why Slack would refuse this view (`kind` None: modal or home); empty when it would not."""
    return _worded(by_type(VIEWS, *([kind] if kind else []))(view, "/view"))


def message_problems(blocks: Any) -> list[str]:
    """Why Slack would refuse these blocks in a message as `invalid_blocks`; empty when it would not."""
    return _worded(blocks_problems(blocks, MESSAGE, "/blocks"))


def attachment_problems(attachments: Any) -> list[str]:
    """The same for the blocks inside legacy attachments."""
    if not isinstance(attachments, list) or not all(isinstance(item, dict) for item in attachments):
        return ["must provide an array of objects [json-pointer:/attachments]"]
    found: list[Problem] = []
    for index, attachment in enumerate(attachments):
        found += blocks_problems(attachment.get("blocks", []), MESSAGE, f"/attachments/{index}/blocks")
    return _worded(found)


def blocks_problems(blocks: Any, surface: str, at: str = "/blocks") -> Iterator[Problem]:
    """Everything wrong with a list of blocks on one surface (`message`, `modal`, `home`)."""
    if not isinstance(blocks, list):
        yield at, "must provide an array"
        return
    if len(blocks) > MAX_BLOCKS[surface]:
        yield at, f"no more than {MAX_BLOCKS[surface]} items allowed"
    if surface != MESSAGE and not blocks:
        yield at, "no fewer than 1 items allowed"
    shape = list(_each_block(blocks, surface, at))
    yield from shape or _together(blocks, at)


def message_text_length(blocks: Sequence[dict[str, Any]]) -> int:
    """How many characters of text the blocks hold, counted as Slack does for `msg_blocks_too_long`."""
    return sum(len(found) for found in _texts(list(blocks)))


def _each_block(blocks: list[Any], surface: str, at: str) -> Iterator[Problem]:
    rule = by_type(BLOCKS)
    for index, block in enumerate(blocks):
        here = f"{at}/{index}"
        problems = list(rule(block, here))
        yield from problems
        if not problems and surface not in SURFACES[block["type"]]:
            yield f"{here}/type", f"unsupported type: {block['type']} is not available in a {surface}"


def _together(blocks: list[dict[str, Any]], at: str) -> Iterator[Problem]:
    yield from _unique_block_ids(blocks, at)
    for index, block in enumerate(blocks):
        yield from _unique_action_ids(block, f"{at}/{index}")
    if sum(len(block["text"]) for block in blocks if block["type"] == "markdown") > MAX_MARKDOWN:
        yield at, f"markdown blocks must be less than {MAX_MARKDOWN + 1} characters together"
    if sum(block["type"] == "table" for block in blocks) > 1:
        yield at, "no more than 1 table allowed"
    tables = [block for block in blocks if block["type"] == "data_table"]
    if sum(len(found) for found in _texts(tables)) > MAX_DATA_TABLE_TEXT:
        yield at, f"data tables must be less than {MAX_DATA_TABLE_TEXT + 1} characters together"


def _unique_block_ids(blocks: list[dict[str, Any]], at: str) -> Iterator[Problem]:
    seen: set[str] = set()
    for index, block in enumerate(blocks):
        block_id = block.get("block_id")
        if block_id and block_id in seen:
            yield f"{at}/{index}/block_id", f"block_id must be unique: {block_id}"
        seen.add(block_id or "")


def _unique_action_ids(block: dict[str, Any], at: str) -> Iterator[Problem]:
    seen: set[str] = set()
    for index, element in enumerate(block.get("elements") or []):
        action_id = element.get("action_id")
        if action_id and action_id in seen:
            yield f"{at}/elements/{index}/action_id", f"action_id must be unique in its block: {action_id}"
        seen.add(action_id or "")


def _texts(value: Any) -> Iterator[str]:
    """Every text a reader could see: the strings under `text`, wherever they are nested."""
    if isinstance(value, list):
        for item in value:
            yield from _texts(item)
    elif isinstance(value, dict):
        for key, item in value.items():
            if key == "text" and isinstance(item, str):
                yield item
            else:
                yield from _texts(item)


def _worded(problems: Any) -> list[str]:
    return [f"{reason} [json-pointer:{at}]" for at, reason in problems]
