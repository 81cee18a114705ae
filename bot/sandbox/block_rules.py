"""What Slack accepts as a block, an element or a composition object, written down as tables.

The numbers are those of docs.slack.dev/reference/block-kit (blocks, block-elements, composition-objects).
Whole messages and views are judged in `limits.py`, which knows about surfaces and totals.
"""

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from bot.sandbox.schema import (
    Problem,
    Rule,
    anything,
    both,
    by_type,
    choice,
    flag,
    items,
    number_in_text,
    record,
    string,
    whole,
)

BLOCK_ID = string(255)
ACTION_ID = string(255)
URL = string(3000, 1)


def text(maximum: int = 3000, *kinds: str, minimum: int = 1) -> Rule:
    """A text object of at most `maximum` code points; any kind unless some are named."""
    allowed = kinds or ("plain_text", "mrkdwn")
    fields = {
        "plain_text": {"text": string(maximum, minimum), "emoji": flag},
        "mrkdwn": {"text": string(maximum, minimum), "verbatim": flag},
    }
    rule = by_type({kind: record(fields[kind], required=("text",)) for kind in allowed})

    def check(value: Any, at: str) -> Iterator[Problem]:
        problems = list(rule(value, at))
        if problems:
            yield at, "failed to match all allowed schemas"
        yield from problems

    return check


def plain(maximum: int, minimum: int = 1) -> Rule:
    """A `plain_text` object of at most `maximum` code points."""
    return text(maximum, "plain_text", minimum=minimum)


def _exactly_one(*names: str) -> Rule:
    def check(value: Any, at: str) -> Iterator[Problem]:
        given = [name for name in names if value.get(name) is not None]
        if len(given) != 1:
            yield at, f"must provide exactly one of: {', '.join(names)}"

    return check


def _at_least_one(*names: str) -> Rule:
    def check(value: Any, at: str) -> Iterator[Problem]:
        if not any(value.get(name) for name in names):
            yield at, f"must provide at least one of: {', '.join(names)}"

    return check


def _ordered(low: str, high: str) -> Rule:
    def check(value: Any, at: str) -> Iterator[Problem]:
        if (
            value.get(low) is not None
            and value.get(high) is not None
            and Decimal(value[low]) > Decimal(value[high])
        ):
            yield f"{at}/{low}", f"must not be greater than {high}"

    return check


def _initial_is_an_option(value: Any, at: str) -> Iterator[Problem]:
    groups = value.get("option_groups") or []
    known = [*(value.get("options") or []), *(option for group in groups for option in group["options"])]
    preset = value.get("initial_option")
    for option in [*([preset] if preset else []), *(value.get("initial_options") or [])]:
        if option not in known:
            yield at, "initial option must exactly match an option"


CONFIRM = record(
    {
        "title": plain(100),
        "text": text(300),
        "confirm": plain(30),
        "deny": plain(30),
        "style": choice("primary", "danger"),
    },
    required=("title", "text", "confirm", "deny"),
)


def _option(*kinds: str, url: bool = False) -> Rule:
    fields = {"text": text(75, *kinds), "value": string(150, 0), "description": text(75, *kinds)}
    return record({**fields, "url": URL} if url else fields, required=("text", "value"))


OPTION = _option("plain_text")
RICH_OPTION = _option()
OVERFLOW_OPTION = _option("plain_text", url=True)
OPTION_GROUP = record({"label": plain(75), "options": items(OPTION, 100, 1)}, required=("label", "options"))
DISPATCH = record(
    {"trigger_actions_on": items(choice("on_enter_pressed", "on_character_entered"), minimum=1)},
    required=("trigger_actions_on",),
)
SLACK_FILE = record({"id": string(), "url": string()}, also=_exactly_one("id", "url"))
CONVERSATION_FILTER = record(
    {
        "include": items(choice("im", "mpim", "private", "public"), minimum=1),
        "exclude_external_shared_channels": flag,
        "exclude_bot_users": flag,
    }
)
_PARAMETERS = items(record({"name": string(), "value": string()}))
_TRIGGER = record({"url": URL, "customizable_input_parameters": _PARAMETERS}, required=("url",))
WORKFLOW = record({"trigger": _TRIGGER}, required=("trigger",))


def _element(required: tuple[str, ...] = (), also: Rule = anything, **fields: Rule) -> Rule:
    return record({"action_id": ACTION_ID, **fields}, required=required, also=also)


def _menu(also: Rule = anything, **fields: Rule) -> Rule:
    common = {"action_id": ACTION_ID, "placeholder": plain(150), "confirm": CONFIRM, "focus_on_load": flag}
    return record({**common, **fields}, also=also)


def _multi(also: Rule = anything, **fields: Rule) -> Rule:
    return _menu(also, **{"max_selected_items": whole(1), **fields})


def _typed_input(**fields: Rule) -> Rule:
    common = {"placeholder": plain(150), "focus_on_load": flag, "dispatch_action_config": DISPATCH}
    return record({"action_id": ACTION_ID, **common, **fields})


_OPTIONS: dict[str, Rule] = {"options": items(OPTION, 100, 1), "option_groups": items(OPTION_GROUP, 100, 1)}
_FROM_OPTIONS = both(_exactly_one("options", "option_groups"), _initial_is_an_option)
_CONVERSATIONS: dict[str, Rule] = {"default_to_current_conversation": flag, "filter": CONVERSATION_FILTER}
_STRINGS = items(string())

FEEDBACK = record(
    {"text": plain(75), "value": string(2000), "accessibility_label": string(75)}, required=("text", "value")
)

ELEMENTS: dict[str, Rule] = {
    "button": _element(
        required=("text",),
        text=plain(75),
        url=URL,
        value=string(2000),
        style=choice("primary", "danger"),
        confirm=CONFIRM,
        accessibility_label=string(75),
    ),
    "workflow_button": _element(
        required=("text", "workflow"),
        text=plain(75),
        workflow=WORKFLOW,
        style=choice("primary", "danger"),
        accessibility_label=string(75),
    ),
    "overflow": _element(required=("options",), options=items(OVERFLOW_OPTION, 5, 1), confirm=CONFIRM),
    "checkboxes": _element(
        required=("options",),
        options=items(RICH_OPTION, 10, 1),
        initial_options=items(RICH_OPTION, 10, 1),
        confirm=CONFIRM,
        focus_on_load=flag,
        also=_initial_is_an_option,
    ),
    "radio_buttons": _element(
        required=("options",),
        options=items(RICH_OPTION, 10, 1),
        initial_option=RICH_OPTION,
        confirm=CONFIRM,
        focus_on_load=flag,
        also=_initial_is_an_option,
    ),
    "static_select": _menu(_FROM_OPTIONS, **_OPTIONS, initial_option=OPTION),
    "multi_static_select": _multi(_FROM_OPTIONS, **_OPTIONS, initial_options=items(OPTION, 100, 1)),
    "external_select": _menu(initial_option=OPTION, min_query_length=whole(0)),
    "multi_external_select": _multi(initial_options=items(OPTION, 100, 1), min_query_length=whole(0)),
    "users_select": _menu(initial_user=string()),
    "multi_users_select": _multi(initial_users=_STRINGS),
    "channels_select": _menu(initial_channel=string(), response_url_enabled=flag),
    "multi_channels_select": _multi(initial_channels=_STRINGS),
    "conversations_select": _menu(**_CONVERSATIONS, initial_conversation=string(), response_url_enabled=flag),
    "multi_conversations_select": _multi(**_CONVERSATIONS, initial_conversations=_STRINGS),
    "datepicker": _menu(initial_date=string(10, 10)),
    "timepicker": _menu(initial_time=string(5, 5), timezone=string()),
    "datetimepicker": _element(initial_date_time=whole(0), confirm=CONFIRM, focus_on_load=flag),
    "plain_text_input": record(
        {
            "action_id": ACTION_ID,
            "placeholder": plain(150),
            "initial_value": string(3000),
            "multiline": flag,
            "min_length": whole(0, 3000),
            "max_length": whole(1, 3000),
            "dispatch_action_config": DISPATCH,
            "focus_on_load": flag,
        },
        also=_ordered("min_length", "max_length"),
    ),
    "email_text_input": _typed_input(initial_value=string()),
    "url_text_input": _typed_input(initial_value=string()),
    "number_input": record(
        {
            "action_id": ACTION_ID,
            "is_decimal_allowed": flag,
            "initial_value": number_in_text,
            "min_value": number_in_text,
            "max_value": number_in_text,
            "placeholder": plain(150),
            "focus_on_load": flag,
            "dispatch_action_config": DISPATCH,
        },
        required=("is_decimal_allowed",),
        also=_ordered("min_value", "max_value"),
    ),
    "rich_text_input": _typed_input(initial_value=anything),
    "file_input": _element(filetypes=_STRINGS, max_files=whole(1, 10)),
    "feedback_buttons": _element(
        required=("positive_button", "negative_button"), positive_button=FEEDBACK, negative_button=FEEDBACK
    ),
    "icon_button": _element(
        required=("icon", "text"),
        icon=string(),
        text=plain(75),
        value=string(2000),
        confirm=CONFIRM,
        accessibility_label=string(75),
        visible_to_user_ids=items(string(), 10),
    ),
    "image": record(
        {"image_url": URL, "alt_text": string(2000), "slack_file": SLACK_FILE},
        required=("alt_text",),
        also=_exactly_one("image_url", "slack_file"),
    ),
    "url": record({"url": URL, "text": string()}, required=("url",)),
}
_SELECTS = tuple(name for name in ELEMENTS if name.endswith("_select"))
_PICKERS = ("datepicker", "timepicker", "datetimepicker")
_CHOICES = ("checkboxes", "radio_buttons")
_BUTTONS = ("button", "overflow", "workflow_button")
ACCESSORIES = ("image", "datepicker", "timepicker", *_BUTTONS, *_CHOICES, *_SELECTS)
ACTIONS = ("rich_text_input", *_BUTTONS, *_PICKERS, *_CHOICES, *_SELECTS)
INPUTS = (
    "plain_text_input",
    "email_text_input",
    "url_text_input",
    "number_input",
    "rich_text_input",
    "file_input",
    *_PICKERS,
    *_CHOICES,
    *_SELECTS,
)

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
    also=_at_least_one("hero_image", "title", "actions", "body"),
)

BLOCKS: dict[str, Rule] = {
    "section": _block(
        text=text(3000),
        fields=items(text(2000), 10, 1),
        accessory=by_type(ELEMENTS, *ACCESSORIES),
        expand=flag,
        also=_at_least_one("text", "fields"),
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
        also=_exactly_one("image_url", "slack_file"),
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
