"""What Slack accepts as a block, written down as tables.

The numbers are those of docs.slack.dev/reference/block-kit/blocks. Whole messages and views are judged in
`limits.py`, which knows about surfaces and totals.
"""

from collections.abc import Iterator
from typing import Any

from bot.sandbox.element_rules import (
    ACCESSORIES,
    ACTIONS,
    ELEMENTS,
    INPUTS,
    SLACK_FILE,
    URL,
    at_least_one,
    exactly_one,
    plain,
    text,
)
from bot.sandbox.schema import (
    Problem,
    Rule,
    anything,
    by_type,
    choice,
    flag,
    items,
    record,
    string,
    whole,
)

BLOCK_ID = string(255)

CONTEXT: dict[str, Rule] = {
    "plain_text": text(3000, "plain_text"),
    "mrkdwn": text(3000, "mrkdwn"),
    "image": ELEMENTS["image"],
}

# The leaves of rich text carry styles Slack keeps adding to, so their other fields stay open.
RICH_LEAVES: dict[str, Rule] = {
    "text": record({"text": string(minimum=1)}, required=("text",), closed=False),
    "link": record({"url": URL, "text": string()}, required=("url",), closed=False),
    "user": record({"user_id": string(minimum=1)}, required=("user_id",), closed=False),
    "usergroup": record({"usergroup_id": string(minimum=1)}, required=("usergroup_id",), closed=False),
    "channel": record({"channel_id": string(minimum=1)}, required=("channel_id",), closed=False),
    "emoji": record({"name": string(minimum=1)}, required=("name",), closed=False),
    "broadcast": record({"range": choice("here", "channel", "everyone")}, required=("range",), closed=False),
    "date": record(
        {"timestamp": whole(), "format": string(minimum=1)}, required=("timestamp", "format"), closed=False
    ),
    "color": record({"value": string(minimum=1)}, required=("value",), closed=False),
    "team": record({"team_id": string(minimum=1)}, required=("team_id",), closed=False),
}
_LEAVES = items(by_type(RICH_LEAVES))
_SECTION = record({"elements": _LEAVES}, required=("elements",))
RICH_ELEMENTS: dict[str, Rule] = {
    "rich_text_section": _SECTION,
    "rich_text_quote": record({"elements": _LEAVES, "border": whole(0, 1)}, required=("elements",)),
    "rich_text_preformatted": record(
        {
            "elements": items(by_type(RICH_LEAVES, "text", "link")),
            "border": whole(0, 1),
            "language": string(),
        },
        required=("elements",),
    ),
    "rich_text_list": record(
        {
            "style": choice("bullet", "ordered"),
            "elements": items(by_type({"rich_text_section": _SECTION})),
            "indent": whole(0, 8),
            "offset": whole(0),
            "border": whole(0, 3),
        },
        required=("style", "elements"),
    ),
}


def _block(required: tuple[str, ...] = (), also: Rule = anything, **fields: Rule) -> Rule:
    return record({"block_id": BLOCK_ID, **fields}, required=required, also=also)


RICH_TEXT = _block(required=("elements",), elements=items(by_type(RICH_ELEMENTS)))
_CELL: dict[str, Rule] = {
    "raw_text": record({"text": string(minimum=1)}, required=("text",)),
    "raw_number": record({"value": anything, "text": string(minimum=1)}, required=("value",)),
    "rich_text": RICH_TEXT,
}


def _even_rows(value: Any, at: str) -> Iterator[Problem]:
    widths = {len(row) for row in value["rows"]}
    if len(widths) > 1:
        yield f"{at}/rows", "every row must have the same number of columns"
    if value.get("column_settings") and len(value["column_settings"]) > max(widths, default=0):
        yield f"{at}/column_settings", "must not have more items than there are columns"


_LABEL = string(20, 1)
_SEGMENT = record({"label": _LABEL, "value": anything}, required=("label", "value"))
_SERIES = record({"name": _LABEL, "data": items(_SEGMENT, 20, 1)}, required=("name", "data"))
_AXES = record(
    {"categories": items(_LABEL, 20, 1), "x_label": string(50), "y_label": string(50)},
    required=("categories",),
)
_LINES = record({"series": items(_SERIES, 12, 1), "axis_config": _AXES}, required=("series", "axis_config"))


def _positive_segments(value: Any, at: str) -> Iterator[Problem]:
    for index, segment in enumerate(value["segments"]):
        if not isinstance(segment["value"], int | float) or segment["value"] <= 0:
            yield f"{at}/segments/{index}/value", "must be greater than 0"


CHARTS: dict[str, Rule] = {
    "pie": record({"segments": items(_SEGMENT, 12, 1)}, required=("segments",), also=_positive_segments),
    "bar": _LINES,
    "line": _LINES,
    "area": _LINES,
}
_RICH_TEXT_ONLY = by_type({"rich_text": RICH_TEXT})
_TASK = {
    "details": _RICH_TEXT_ONLY,
    "output": _RICH_TEXT_ONLY,
    "task_id": string(minimum=1),
    "title": string(minimum=1),
    "status": choice("pending", "in_progress", "complete", "error"),
    "sources": items(by_type(ELEMENTS, "url")),
}

CARD = _block(
    hero_image=by_type(ELEMENTS, "image"),
    icon=by_type(ELEMENTS, "image"),
    slack_icon=anything,
    title=text(150),
    subtitle=text(150),
    body=text(200),
    subtext=text(200),
    actions=items(by_type(ELEMENTS, "button", "icon_button"), 3),
    also=at_least_one("hero_image", "title", "actions", "body"),
)

BLOCKS: dict[str, Rule] = {
    "section": _block(
        text=text(3000),
        fields=items(text(2000), 10, 1),
        accessory=by_type(ELEMENTS, *ACCESSORIES),
        expand=flag,
        also=at_least_one("text", "fields"),
    ),
    "divider": _block(),
    "header": _block(required=("text",), text=plain(150), level=whole(1, 6)),
    "context": _block(required=("elements",), elements=items(by_type(CONTEXT), 10, 1)),
    "actions": _block(required=("elements",), elements=items(by_type(ELEMENTS, *ACTIONS), 25, 1)),
    "image": _block(
        required=("alt_text",),
        image_url=URL,
        slack_file=SLACK_FILE,
        alt_text=string(2000),
        title=plain(2000),
        also=exactly_one("image_url", "slack_file"),
    ),
    "input": _block(
        required=("label", "element"),
        label=plain(2000),
        element=by_type(ELEMENTS, *INPUTS),
        hint=plain(2000),
        optional=flag,
        dispatch_action=flag,
    ),
    "rich_text": RICH_TEXT,
    "video": _block(
        required=("alt_text", "title", "thumbnail_url", "video_url"),
        alt_text=string(200, 1),
        title=plain(200),
        title_url=URL,
        thumbnail_url=URL,
        video_url=URL,
        author_name=string(50),
        description=plain(200),
        provider_icon_url=URL,
        provider_name=string(50),
    ),
    "markdown": _block(required=("text",), text=string(12000, 1)),
    "file": _block(required=("external_id", "source"), external_id=string(), source=choice("remote")),
    "alert": _block(
        required=("text",), text=text(200), level=choice("default", "info", "warning", "error", "success")
    ),
    "card": CARD,
    "carousel": _block(required=("elements",), elements=items(by_type({"card": CARD}), 10, 1)),
    "context_actions": _block(
        required=("elements",), elements=items(by_type(ELEMENTS, "feedback_buttons", "icon_button"), 5, 1)
    ),
    "table": _block(
        required=("rows",),
        rows=items(items(by_type(_CELL), 20, 1), 100, 1),
        column_settings=items(anything, 20),
        also=_even_rows,
    ),
    "data_table": _block(
        required=("rows", "caption"),
        rows=items(items(by_type(_CELL), 20, 1), 201, 2),
        caption=string(minimum=1),
        page_size=whole(1, 100),
        row_header_column_index=whole(0),
        also=_even_rows,
    ),
    "data_visualization": _block(required=("title", "chart"), title=string(50, 1), chart=by_type(CHARTS)),
    "task_card": _block(required=("task_id", "title"), **_TASK),
    "plan": _block(required=("title",), title=string(minimum=1), tasks=items(record(_TASK, closed=False))),
}
_CHILDREN = tuple(name for name in BLOCKS if name not in ("alert", "input", "plan", "task_card"))
BLOCKS["container"] = _block(
    required=("child_blocks",),
    title=text(150),
    subtitle=text(150),
    child_blocks=items(by_type(BLOCKS, *_CHILDREN), 10, 1),
    width=string(),
    is_collapsible=flag,
    default_collapsed=flag,
    has_header_divider=flag,
)
