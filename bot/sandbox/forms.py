"""Interactive elements: finding them in blocks, and the `state.values` a person's input becomes.

Pure. Slack reports every stateful element of a view, filled in or not, under its block id and action id.
"""

import secrets
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal, InvalidOperation
from typing import Any, NamedTuple

from bot.sandbox.errors import PersonError
from bot.sandbox.model import Json

REQUIRED = "Please complete this required field."


class ValueKeys(NamedTuple):
    """Where an element type keeps its value in `state.values`, and its preset in the block."""

    value: str
    initial: str


STATEFUL: dict[str, ValueKeys] = {
    **{
        kind: ValueKeys("value", "initial_value")
        for kind in ("plain_text_input", "email_text_input", "url_text_input", "number_input")
    },
    **{
        kind: ValueKeys("selected_option", "initial_option")
        for kind in ("static_select", "external_select", "radio_buttons")
    },
    **{
        kind: ValueKeys("selected_options", "initial_options")
        for kind in ("multi_static_select", "multi_external_select", "checkboxes")
    },
    "users_select": ValueKeys("selected_user", "initial_user"),
    "multi_users_select": ValueKeys("selected_users", "initial_users"),
    "channels_select": ValueKeys("selected_channel", "initial_channel"),
    "multi_channels_select": ValueKeys("selected_channels", "initial_channels"),
    "conversations_select": ValueKeys("selected_conversation", "initial_conversation"),
    "multi_conversations_select": ValueKeys("selected_conversations", "initial_conversations"),
    "datepicker": ValueKeys("selected_date", "initial_date"),
    "timepicker": ValueKeys("selected_time", "initial_time"),
    "datetimepicker": ValueKeys("selected_date_time", "initial_date_time"),
    "rich_text_input": ValueKeys("rich_text_value", "initial_value"),
    "file_input": ValueKeys("files", "initial_files"),
}
LISTS = ("selected_options", "selected_users", "selected_channels", "selected_conversations", "files")


class Control(NamedTuple):
    """An element with an action id, in its block."""

    block: Json
    element: Json


def controls(blocks: Sequence[Json]) -> Iterator[Control]:
    """Every interactive element of a list of blocks, nested ones too."""
    for block in blocks:
        candidates = [block.get("accessory"), block.get("element"), *block.get("actions", [])]
        candidates += [item for item in block.get("elements", []) if item.get("type") != "card"]
        for element in candidates:
            if element and "action_id" in element:
                yield Control(block, element)
        nested = [item for item in block.get("elements", []) if item.get("type") == "card"]
        yield from controls([*nested, *block.get("child_blocks", [])])


def find_control(blocks: Sequence[Json], block_id: str | None, action_id: str) -> Control | None:
    """The element with these ids; without a block id, the first with that action id."""
    for control in controls(blocks):
        if control.element["action_id"] == action_id and block_id in (None, control.block["block_id"]):
            return control
    return None


_WITHOUT_ACTION = ("image", "plain_text", "mrkdwn", "url", "card")


def blocks_with_ids(blocks: Sequence[Json]) -> list[Json]:
    """A copy of the blocks in which every block and interactive element has an id, as Slack fills them in."""
    copied: list[Json] = _without_nulls(list(blocks))
    for block in copied:
        _fill_ids(block)
    return copied


def with_ids(view: Json) -> Json:
    """A copy of a view with the ids of its blocks filled in."""
    return {**_without_nulls(view), "blocks": blocks_with_ids(view["blocks"])}


def _without_nulls(value: Any) -> Any:
    """A deep copy without the fields that are null, which to Slack are not there."""
    if isinstance(value, dict):
        return {key: _without_nulls(item) for key, item in value.items() if item is not None}
    return [_without_nulls(item) for item in value] if isinstance(value, list) else value


def _fill_ids(block: Json) -> None:
    if not block.get("block_id"):
        block["block_id"] = secrets.token_urlsafe(4)
    nested = block.get("elements", []) if block["type"] != "rich_text" else []
    for element in [block.get("accessory"), block.get("element"), *nested, *block.get("actions", [])]:
        if element and element["type"] not in _WITHOUT_ACTION and not element.get("action_id"):
            element["action_id"] = secrets.token_urlsafe(4)
    for child in [*(item for item in nested if item["type"] == "card"), *block.get("child_blocks", [])]:
        _fill_ids(child)


def state_values(
    blocks: Sequence[Json], given: Mapping[str, Any] | None = None
) -> dict[str, dict[str, Json]]:
    """`state.values` of the blocks: what was given, else the presets.

    Args:
        given: Values in the same shape, for some or all elements.

    Raises:
        PersonError: `given` names a block or action that is not there.
    """
    values: dict[str, dict[str, Json]] = {}
    for block, element in controls(blocks):
        keys = STATEFUL.get(element["type"])
        if keys:
            empty: Any = [] if keys.value in LISTS else None
            preset = element.get(keys.initial, empty)
            entry = {"type": element["type"], keys.value: preset}
            values.setdefault(block["block_id"], {})[element["action_id"]] = entry
    for block_id, by_action in (given or {}).items():
        for action_id, value in by_action.items():
            if action_id not in values.get(block_id, {}):
                raise PersonError("no_such_input", f"There is no input {block_id}/{action_id} to fill in.")
            control = find_control(blocks, block_id, action_id)
            if control:
                values[block_id][action_id].update(_completed(control.element, value))
    return values


def missing_inputs(blocks: Sequence[Json], values: Mapping[str, Mapping[str, Json]]) -> dict[str, str]:
    """Why the client would not submit, as a sentence by block id: empty required inputs, wrong lengths."""
    problems: dict[str, str] = {}
    for block, element in controls(blocks):
        if block["type"] != "input":
            continue
        keys = STATEFUL[element["type"]]
        value = values[block["block_id"]][element["action_id"]].get(keys.value)
        if value in (None, "", []):
            if not block.get("optional"):
                problems[block["block_id"]] = REQUIRED
        elif sentence := _wrong_value(element, value):
            problems[block["block_id"]] = sentence
    return problems


def _wrong_value(element: Json, value: Any) -> str | None:
    match element["type"]:
        case "plain_text_input":
            return _wrong_length(element, value)
        case "number_input":
            return _wrong_number(element, value)
    return None


def _wrong_length(element: Json, value: str) -> str | None:
    if len(value) > element.get("max_length", 3000):
        return f"Please enter at most {element.get('max_length', 3000)} characters."
    if len(value) < element.get("min_length", 0):
        return f"Please enter at least {element['min_length']} characters."
    return None


def _wrong_number(element: Json, value: str) -> str | None:
    try:
        number = Decimal(value)
    except InvalidOperation:
        return "Please enter a number."
    if not number.is_finite() or (not element["is_decimal_allowed"] and number != int(number)):
        return "Please enter a whole number."
    if "min_value" in element and number < Decimal(element["min_value"]):
        return f"Please enter {element['min_value']} or more."
    if "max_value" in element and number > Decimal(element["max_value"]):
        return f"Please enter {element['max_value']} or less."
    return None


def _completed(element: Json, value: Json) -> Json:
    """The given value, its options replaced by the element's own: a person picks, they do not compose."""
    value = {key: content for key, content in value.items() if key != "type"}
    if value.get("value") == "" and STATEFUL[element["type"]].value == "value":
        value["value"] = None
    if value.get("selected_option") is not None:
        value["selected_option"] = own_option(element, value["selected_option"])
    if value.get("selected_options") is not None:
        value["selected_options"] = [own_option(element, option) for option in value["selected_options"]]
    return value


def own_option(element: Json, chosen: Any) -> Json:
    """The element's option with the chosen value (an option object, or just the value)."""
    wanted = chosen.get("value") if isinstance(chosen, dict) else chosen
    if "external" in element["type"] and isinstance(chosen, dict):
        return dict(chosen)
    groups = element.get("option_groups", [])
    for option in [*element.get("options", []), *(item for group in groups for item in group["options"])]:
        if option["value"] == wanted:
            return dict(option)
    raise PersonError("no_such_option", f"{element['action_id']} has no option {wanted!r}.")
