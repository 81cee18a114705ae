"""What Slack accepts as a composition object or as an element of a block, written down as tables.

The numbers are those of docs.slack.dev/reference/block-kit (composition-objects, block-elements).
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


def exactly_one(*names: str) -> Rule:
    """An object with one of these fields, and not two."""

    def check(value: Any, at: str) -> Iterator[Problem]:
        given = [name for name in names if value.get(name) is not None]
        if len(given) != 1:
            yield at, f"must provide exactly one of: {', '.join(names)}"

    return check


def at_least_one(*names: str) -> Rule:
    """An object with one of these fields or more."""

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
SLACK_FILE = record({"id": string(), "url": string()}, also=exactly_one("id", "url"))
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
_FROM_OPTIONS = both(exactly_one("options", "option_groups"), _initial_is_an_option)
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
        also=exactly_one("image_url", "slack_file"),
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
