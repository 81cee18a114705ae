"""The sandbox's Block Kit rules, held against what slackblocks and Slack's SDKs publish."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bot.sandbox.block_rules import BLOCKS
from bot.sandbox.element_rules import ELEMENTS
from bot.sandbox.limits import (
    HOME,
    MAX_MARKDOWN,
    MESSAGE,
    MODAL,
    SURFACES,
    blocks_problems,
    message_problems,
    message_text_length,
    view_problems,
)
from bot.sandbox.schema import by_type

FIXTURES = Path(__file__).parent.parent / "fixtures" / "slack"
SLACKBLOCKS = FIXTURES / "slackblocks"
INVALID = json.loads((SLACKBLOCKS / "invalid.json").read_text())["cases"]

Json = dict[str, Any]


def load(path: Path) -> Any:
    return json.loads(path.read_text())


def files(*parts: str) -> list[Any]:
    found = sorted(FIXTURES.joinpath(*parts[:-1]).glob(parts[-1]))
    assert found, parts
    return [pytest.param(load(path), id=path.stem) for path in found]


def plain(length: int) -> Json:
    return {"type": "plain_text", "text": "x" * length}


def mrkdwn(length: int) -> Json:
    return {"type": "mrkdwn", "text": "x" * length}


def example(name: str, **changes: Any) -> Json:
    """A valid block or element of slackblocks, changed."""
    folder = "blocks" if (SLACKBLOCKS / "valid" / "blocks" / f"{name}.json").exists() else "elements"
    return {**load(SLACKBLOCKS / "valid" / folder / f"{name}.json"), **changes}


def option(**changes: Any) -> Json:
    return {"text": plain(1), "value": "v", **changes}


def accessory(element: Json) -> Json:
    return {"type": "section", "text": plain(1), "accessory": element}


def button(**changes: Any) -> Json:
    return accessory(example("button_basic", **changes))


def confirm(**changes: Any) -> Json:
    dialog = {"title": plain(1), "text": plain(1), "confirm": plain(1), "deny": plain(1)}
    return button(confirm=dialog | changes)


def select(**changes: Any) -> Json:
    return accessory(example("select_menu_static", **changes))


def groups(count: int, options: int, label: int = 1) -> Json:
    menu = example(
        "select_menu_static", option_groups=[{"label": plain(label), "options": [option()] * options}] * count
    )
    del menu["options"]
    return accessory(menu)


def choices(name: str, count: int) -> Json:
    menu = example(name, options=[option()] * count)
    return accessory({key: value for key, value in menu.items() if not key.startswith("initial")})


def overflow(count: int, **changes: Any) -> Json:
    return accessory(example("overflow_menu_basic", options=[option(**changes)] * count))


def typed(**element: Any) -> Json:
    return {"type": "input", "label": plain(1), "element": element}


def modal(**changes: Any) -> Json:
    return {**load(SLACKBLOCKS / "valid" / "views" / "modal_with_blocks.json"), **changes}


def rows(count: int, columns: int, text: str = "x") -> list[list[Json]]:
    return [[{"type": "raw_text", "text": text}] * columns for _ in range(count)]


def source(url: str) -> Json:
    return example("task_card_block", sources=[{"type": "url", "url": url, "text": "t"}])


def feedback(**changes: Any) -> Json:
    good = {"text": plain(1), "value": "v", **changes}
    element = {"type": "feedback_buttons", "action_id": "a", "positive_button": good, "negative_button": good}
    return {"type": "context_actions", "elements": [element]}


def icon_button(**changes: Any) -> Json:
    return {"type": "icon_button", "icon": "trash", "text": plain(1), "action_id": "a", **changes}


def pie(segments: list[Json]) -> Json:
    return example("data_visualization_pie", chart={"type": "pie", "segments": segments})


def segment(label: int = 1, value: float = 1) -> Json:
    return {"label": "x" * label, "value": value}


def bar(series: list[Json] | None = None, **axes: Any) -> Json:
    chart = load(SLACKBLOCKS / "valid" / "blocks" / "data_visualization_bar.json")["chart"]
    chart["axis_config"] |= axes
    return example("data_visualization_bar", chart=chart | ({} if series is None else {"series": series}))


def line(name: int = 1, points: int = 1, label: int = 1) -> Json:
    return {"name": "x" * name, "data": [segment(label)] * points}


CARD = {"type": "card", "title": plain(1)}
SECTION = {"type": "section", "text": plain(1)}

# One broken block, or view, per case of slackblocks' list of what must be rejected.
BROKEN: dict[str, Callable[[], Json]] = {
    "text-empty": lambda: {"type": "section", "text": mrkdwn(0)},
    "text-too-long": lambda: {"type": "section", "text": mrkdwn(3001)},
    "button-action-id-too-long": lambda: button(action_id="x" * 256),
    "button-text-too-long": lambda: button(text=plain(76)),
    "button-url-too-long": lambda: button(url="x" * 3001),
    "button-value-too-long": lambda: button(value="x" * 2001),
    "confirmation-title-too-long": lambda: confirm(title=plain(101)),
    "confirmation-text-too-long": lambda: confirm(text=plain(301)),
    "confirmation-confirm-too-long": lambda: confirm(confirm=plain(31)),
    "confirmation-deny-too-long": lambda: confirm(deny=plain(31)),
    "option-text-too-long": lambda: overflow(1, text=plain(76)),
    "option-value-too-long": lambda: overflow(1, value="x" * 151),
    "option-url-too-long": lambda: overflow(1, url="😀" * 3001),
    "option-description-too-long": lambda: overflow(1, description=plain(76)),
    "option-group-label-too-long": lambda: groups(1, 1, label=76),
    "option-group-empty": lambda: groups(1, 0),
    "option-group-too-many-options": lambda: groups(1, 101),
    "select-placeholder-too-long": lambda: select(placeholder=plain(151)),
    "select-too-many-options": lambda: select(options=[option()] * 101),
    "select-too-many-option-groups": lambda: groups(101, 1),
    "overflow-empty": lambda: overflow(0),
    "overflow-too-many-options": lambda: overflow(6),
    "checkboxes-empty": lambda: choices("checkbox_basic", 0),
    "checkboxes-too-many-options": lambda: choices("checkbox_basic", 11),
    "radio-buttons-empty": lambda: choices("radio_button_group_basic", 0),
    "radio-buttons-too-many-options": lambda: choices("radio_button_group_basic", 11),
    "url-source-url-empty": lambda: source(""),
    "url-source-url-too-long": lambda: source("x" * 3001),
    "table-too-many-rows": lambda: {"type": "table", "rows": rows(101, 1)},
    "table-ragged-rows": lambda: {"type": "table", "rows": [*rows(1, 1), *rows(1, 2)]},
    "table-column-settings-mismatch": lambda: {
        "type": "table",
        "rows": rows(1, 1),
        "column_settings": [{}, {}],
    },
    "file-input-max-files-too-small": lambda: typed(type="file_input", max_files=0),
    "file-input-max-files-too-large": lambda: typed(type="file_input", max_files=11),
    "plain-text-input-max-length-too-large": lambda: typed(type="plain_text_input", max_length=3001),
    "actions-too-many-elements": lambda: {
        "type": "actions",
        "elements": [example("button_basic", action_id=f"a{n}") for n in range(26)],
    },
    "context-too-many-elements": lambda: {"type": "context", "elements": [mrkdwn(1)] * 11},
    "header-text-too-long": lambda: {"type": "header", "text": plain(151)},
    "image-url-too-long": lambda: example("image_block_only", image_url="x" * 3001),
    "image-alt-text-too-long": lambda: example("image_block_only", alt_text="x" * 2001),
    "input-label-too-long": lambda: example("input_block_only", label=plain(2001)),
    "input-hint-too-long": lambda: example("input_block_only", hint=plain(2001)),
    "markdown-empty": lambda: {"type": "markdown", "text": ""},
    "markdown-too-long": lambda: {"type": "markdown", "text": "x" * 12001},
    "section-text-too-long": lambda: {"type": "section", "text": plain(3001)},
    "section-too-many-fields": lambda: {"type": "section", "fields": [mrkdwn(1)] * 11},
    "section-field-too-long": lambda: {"type": "section", "fields": [mrkdwn(2001)]},
    "video-alt-text-empty": lambda: example("video_block_basic", alt_text=""),
    "video-alt-text-too-long": lambda: example("video_block_basic", alt_text="x" * 201),
    "video-title-too-long": lambda: example("video_block_basic", title=plain(201)),
    "video-author-name-too-long": lambda: example("video_block_basic", author_name="x" * 51),
    "video-description-too-long": lambda: example("video_block_basic", description=plain(201)),
    "video-provider-name-too-long": lambda: example("video_block_basic", provider_name="x" * 51),
    "view-missing-blocks": lambda: modal(blocks=[]),
    "view-too-many-blocks": lambda: modal(blocks=[{"type": "divider"}] * 101),
    "view-private-metadata-too-long": lambda: modal(private_metadata="x" * 3001),
    "view-callback-id-too-long": lambda: modal(callback_id="x" * 256),
    "view-title-too-long": lambda: modal(title=plain(25)),
    "view-close-too-long": lambda: modal(close=plain(25)),
    "view-submit-too-long": lambda: modal(submit=plain(25)),
    "section-missing-content": lambda: {"type": "section"},
    "static-select-options-and-groups": lambda: select(
        option_groups=[{"label": plain(1), "options": [option()]}]
    ),
    "image-url-and-slack-file": lambda: example("image_block_only", slack_file={"id": "F1"}),
    "number-input-inverted-range": lambda: typed(
        type="number_input", is_decimal_allowed=False, min_value="10", max_value="9"
    ),
    "context-invalid-element": lambda: {"type": "context", "elements": [example("button_basic")]},
    "input-invalid-element": lambda: typed(**example("button_basic")),
    "block-id-too-long": lambda: {"type": "divider", "block_id": "x" * 256},
    "button-accessibility-label-too-long": lambda: button(accessibility_label="x" * 76),
    "alert-text-too-long": lambda: modal(blocks=[{"type": "alert", "text": plain(201)}]),
    "card-title-too-long": lambda: CARD | {"title": plain(151)},
    "card-subtitle-too-long": lambda: CARD | {"subtitle": plain(151)},
    "card-body-too-long": lambda: CARD | {"body": plain(201)},
    "card-too-many-actions": lambda: CARD | {"actions": [example("button_basic")] * 4},
    "card-subtext-too-long": lambda: CARD | {"subtext": plain(201)},
    "carousel-empty": lambda: {"type": "carousel", "elements": []},
    "carousel-too-many-cards": lambda: {"type": "carousel", "elements": [CARD] * 11},
    "container-title-too-long": lambda: example("container_block", title=plain(151)),
    "container-subtitle-too-long": lambda: example("container_block", subtitle=plain(151)),
    "container-too-many-child-blocks": lambda: example("container_block", child_blocks=[SECTION] * 11),
    "context-actions-too-many-elements": lambda: {
        "type": "context_actions",
        "elements": [icon_button(action_id=f"a{n}") for n in range(6)],
    },
    "feedback-button-text-too-long": lambda: feedback(text=plain(76)),
    "feedback-button-value-too-long": lambda: feedback(value="x" * 2001),
    "feedback-button-accessibility-label-too-long": lambda: feedback(accessibility_label="x" * 76),
    "icon-button-too-many-visible-users": lambda: {
        "type": "context_actions",
        "elements": [icon_button(visible_to_user_ids=["U1"] * 11)],
    },
    "data-table-too-few-rows": lambda: example("data_table_block", rows=rows(1, 2)),
    "data-table-too-many-rows": lambda: example("data_table_block", rows=rows(202, 2)),
    "data-table-too-few-columns": lambda: example("data_table_block", rows=rows(2, 0)),
    "data-table-too-many-columns": lambda: example("data_table_block", rows=rows(2, 21)),
    "data-table-page-size-too-small": lambda: example("data_table_block", page_size=0),
    "data-table-page-size-too-large": lambda: example("data_table_block", page_size=101),
    "data-table-cell-text-empty": lambda: example("data_table_block", rows=rows(2, 2, text="")),
    "data-table-content-too-long": lambda: example("data_table_block", rows=rows(2, 10, text="x" * 1001)),
    "data-visualization-title-too-long": lambda: example("data_visualization_pie", title="x" * 51),
    "pie-chart-empty": lambda: pie([]),
    "pie-chart-too-many-segments": lambda: pie([segment()] * 13),
    "chart-segment-label-too-long": lambda: pie([segment(label=21)]),
    "chart-segment-value-not-positive": lambda: pie([segment(value=0)]),
    "chart-series-empty": lambda: bar([]),
    "chart-too-many-series": lambda: bar([line()] * 13),
    "data-series-name-too-long": lambda: bar([line(name=21)]),
    "data-series-empty": lambda: bar([line(points=0)]),
    "data-series-too-many-points": lambda: bar([line(points=21)]),
    "data-point-label-too-long": lambda: bar([line(label=21)]),
    "axis-categories-empty": lambda: bar(categories=[]),
    "axis-too-many-categories": lambda: bar(categories=["x"] * 21),
    "axis-category-label-too-long": lambda: bar(categories=["x" * 21]),
    "axis-label-too-long": lambda: bar(x_label="x" * 51),
}


@pytest.mark.parametrize("block", files("slackblocks", "valid", "blocks", "*.json"))
def test_a_block_slackblocks_calls_valid_is_accepted_where_it_belongs(block: Json) -> None:
    for surface in SURFACES[block["type"]]:
        assert list(blocks_problems([block], surface)) == []


@pytest.mark.parametrize("element", files("slackblocks", "valid", "elements", "*.json"))
def test_an_element_slackblocks_calls_valid_is_accepted(element: Json) -> None:
    assert list(by_type(ELEMENTS)(element, "")) == []


@pytest.mark.parametrize(
    "view",
    [*files("slackblocks", "valid", "views", "*.json"), *files("python-slack-sdk", "view_*.json")],
)
def test_a_view_of_slacks_own_tests_is_accepted(view: Json) -> None:
    assert view_problems(view) == []


def test_every_case_of_slackblocks_list_is_tried() -> None:
    assert set(BROKEN) == {case["id"] for case in INVALID}


@pytest.mark.parametrize("case", INVALID, ids=lambda case: case["id"])
def test_what_slackblocks_says_must_be_rejected_is_rejected(case: Json) -> None:
    broken = BROKEN[case["id"]]()
    assert view_problems(broken) if broken["type"] == "modal" else message_problems([broken]), case[
        "description"
    ]


def leaves(limits: Json, path: tuple[str, ...] = ()) -> set[tuple[str, ...]]:
    nested = [leaves(value, (*path, key)) for key, value in limits.items() if isinstance(value, dict)]
    return set().union(
        *nested, {(*path, key) for key, value in limits.items() if not isinstance(value, dict)}
    )


def test_the_cases_cover_every_number_in_slackblocks_table_of_limits() -> None:
    covered = {tuple(case["constraint"].split(".")) for case in INVALID}
    missing = {".".join(leaf) for leaf in leaves(load(SLACKBLOCKS / "limits.json")) - covered}
    assert missing == set()


@pytest.mark.parametrize("kind", sorted(BLOCKS))
def test_every_block_has_a_surface_and_is_refused_on_the_others(kind: str) -> None:
    assert SURFACES[kind]
    block = next(
        param.values[0]
        for param in files("slackblocks", "valid", "blocks", "*.json")
        if param.values[0]["type"] == kind
    )
    for surface in {MESSAGE, MODAL, HOME} - SURFACES[kind]:
        assert any("not available" in reason for _, reason in blocks_problems([block], surface))


def test_reasons_name_the_place_in_slacks_words() -> None:
    assert message_problems([{"type": "section", "text": mrkdwn(3001)}]) == [
        "failed to match all allowed schemas [json-pointer:/blocks/0/text]",
        "must be less than 3001 characters [json-pointer:/blocks/0/text/text]",
    ]


@pytest.mark.parametrize(
    ("blocks", "reason"),
    [
        ([{"type": "divider"}] * 51, "no more than 50 items allowed"),
        ([{"type": "divider", "block_id": "a"}] * 2, "block_id must be unique"),
        ([{"type": "actions", "elements": [example("button_basic")] * 2}], "action_id must be unique"),
        ([{"type": "markdown", "text": "x" * (MAX_MARKDOWN // 2 + 1)}] * 2, "characters together"),
        ([{"type": "table", "rows": rows(1, 1)}] * 2, "no more than 1 table"),
        ([{"type": "section", "text": plain(1), "color": "red"}], "invalid additional property: color"),
        ([button(style="default")], "must be a valid enum value"),
        ([{"type": "header", "text": mrkdwn(3)}], "unsupported type: mrkdwn"),
        ([{"type": "sparkle"}], "unsupported type: sparkle"),
        ([{}], "missing required field: type"),
        (["text"], "must provide an object"),
        ("text", "must provide an array"),
        ([CARD | {"title": None}], "at least one of"),
        ([select(initial_option=option(value="other"))], "must exactly match an option"),
        ([typed(type="number_input", is_decimal_allowed=True, min_value="ten")], "must provide a number"),
    ],
)
def test_what_slack_refuses_about_a_message_is_refused(blocks: Any, reason: str) -> None:
    assert any(reason in problem for problem in message_problems(blocks))


def test_a_modal_with_inputs_needs_a_submit_button() -> None:
    asking = modal(blocks=[example("input_block_only")])
    assert view_problems(asking) == []
    assert any("submit" in problem for problem in view_problems(asking | {"submit": None}))


def test_a_home_has_no_title() -> None:
    home = {"type": "home", "blocks": [{"type": "divider"}], "title": plain(1)}
    assert view_problems(home, HOME) == ["invalid additional property: title [json-pointer:/view]"]


def test_text_is_counted_wherever_it_is_nested() -> None:
    quoted = {"type": "rich_text_preformatted", "elements": [{"type": "text", "text": "x" * 7}]}
    assert (
        message_text_length(
            [{"type": "rich_text", "elements": [quoted]}, {"type": "section", "text": plain(3)}]
        )
        == 10
    )
