"""The sandbox's parts on their own: forms, tickets, message logs, faults, signals."""

import asyncio
import copy
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.sandbox.errors import PersonError, SlackError
from bot.sandbox.faults import Faults
from bot.sandbox.forms import blocks_with_ids, find_control, missing_inputs, state_values
from bot.sandbox.limits import HOME, MESSAGE, MODAL, SURFACES, blocks_problems, view_problems
from bot.sandbox.messages import MessageLog
from bot.sandbox.model import Message
from bot.sandbox.signals import Signal, Tasks
from bot.sandbox.tickets import MAX_KEPT, Triggers
from bot.sandbox.traffic import KEPT, Traffic
from bot.sandbox.workspace import load_workspace

FIXTURES = Path(__file__).parent.parent / "fixtures" / "slack" / "slackblocks"

Json = dict[str, Any]


def word(text: str) -> Json:
    return {"type": "plain_text", "text": text}


OPTIONS = [{"text": word(value), "value": value} for value in ("one", "two")]


def asking(element: Any, **block: Any) -> list[Json]:
    return [
        {
            "type": "input",
            "block_id": "b",
            "label": word("?"),
            "element": {"action_id": "a", **element},
            **block,
        }
    ]


@pytest.mark.parametrize(
    ("element", "entry"),
    [
        ({"type": "plain_text_input"}, {"value": None}),
        ({"type": "plain_text_input", "initial_value": "x"}, {"value": "x"}),
        ({"type": "static_select", "options": OPTIONS}, {"selected_option": None}),
        ({"type": "checkboxes", "options": OPTIONS}, {"selected_options": []}),
        (
            {"type": "checkboxes", "options": OPTIONS, "initial_options": OPTIONS},
            {"selected_options": OPTIONS},
        ),
        ({"type": "datepicker", "initial_date": "2026-01-31"}, {"selected_date": "2026-01-31"}),
        ({"type": "multi_users_select"}, {"selected_users": []}),
    ],
)
def test_every_input_is_reported_filled_in_or_not(element: Json, entry: Json) -> None:
    assert state_values(asking(element)) == {"b": {"a": {"type": element["type"], **entry}}}


def test_a_chosen_option_is_the_elements_own() -> None:
    blocks = asking({"type": "static_select", "options": OPTIONS})
    values = state_values(blocks, {"b": {"a": {"selected_option": {"value": "two"}}}})
    assert values["b"]["a"]["selected_option"] == OPTIONS[1]
    with pytest.raises(PersonError, match="no option"):
        state_values(blocks, {"b": {"a": {"selected_option": {"value": "three"}}}})


def test_an_option_of_a_group_or_of_the_app_can_be_chosen() -> None:
    grouped = asking({"type": "static_select", "option_groups": [{"label": word("g"), "options": OPTIONS}]})
    values = state_values(grouped, {"b": {"a": {"selected_option": "one"}}})
    assert values["b"]["a"]["selected_option"] == OPTIONS[0]
    external = asking({"type": "multi_external_select"})
    values = state_values(external, {"b": {"a": {"selected_options": OPTIONS}}})
    assert values["b"]["a"]["selected_options"] == OPTIONS


def test_what_is_not_in_the_form_cannot_be_filled_in() -> None:
    with pytest.raises(PersonError, match="no input b/other"):
        state_values(asking({"type": "plain_text_input"}), {"b": {"other": {"value": "x"}}})


@pytest.mark.parametrize(
    ("element", "typed", "refused"),
    [
        ({"type": "plain_text_input", "max_length": 3}, "four", True),
        ({"type": "plain_text_input", "min_length": 5}, "four", True),
        ({"type": "plain_text_input", "min_length": 4, "max_length": 4}, "four", False),
        ({"type": "plain_text_input"}, "", True),
        ({"type": "number_input", "is_decimal_allowed": False}, "4", False),
        ({"type": "number_input", "is_decimal_allowed": False}, "4.5", True),
        ({"type": "number_input", "is_decimal_allowed": True}, "4.5", False),
        ({"type": "number_input", "is_decimal_allowed": True}, "four", True),
        ({"type": "number_input", "is_decimal_allowed": True}, "NaN", True),
        ({"type": "number_input", "is_decimal_allowed": True, "min_value": "5"}, "4", True),
        ({"type": "number_input", "is_decimal_allowed": True, "max_value": "3"}, "4", True),
        ({"type": "email_text_input"}, "dana@example.com", False),
    ],
)
def test_the_client_checks_what_was_typed_before_it_submits(element: Json, typed: str, refused: bool) -> None:
    blocks = asking(element)
    assert bool(missing_inputs(blocks, state_values(blocks, {"b": {"a": {"value": typed}}}))) == refused


def test_an_optional_input_may_stay_empty() -> None:
    blocks = asking({"type": "plain_text_input"}, optional=True)
    assert missing_inputs(blocks, state_values(blocks)) == {}


def test_ids_are_filled_in_for_blocks_and_controls_and_nothing_else() -> None:
    image = {"type": "image", "image_url": "https://example.com/a.png", "alt_text": "a"}
    button = {"type": "button", "text": word("x")}
    text = {"type": "rich_text_section", "elements": [{"type": "text", "text": "x"}]}
    given_blocks: list[Json] = [
        {"type": "section", "text": word("x"), "accessory": button},
        {"type": "context", "elements": [image, word("x")]},
        {"type": "rich_text", "elements": [text]},
        {"type": "carousel", "elements": [{"type": "card", "title": word("x"), "actions": [button]}]},
        {"type": "container", "child_blocks": [{"type": "actions", "elements": [button]}]},
        {"type": "divider", "block_id": "mine"},
    ]
    section, context, rich, carousel, container, divider = blocks_with_ids(given_blocks)
    assert section["block_id"]
    assert section["accessory"]["action_id"]
    assert context["elements"] == [image, word("x")]
    assert rich["elements"] == [text]
    assert carousel["elements"][0]["actions"][0]["action_id"]
    assert container["child_blocks"][0]["elements"][0]["action_id"]
    assert divider == {"type": "divider", "block_id": "mine"}
    assert "block_id" not in given_blocks[0]
    nested = container["child_blocks"][0]["elements"][0]["action_id"]
    assert find_control([section, carousel, container], None, nested) is not None


def test_a_trigger_is_good_for_three_seconds_and_one_use() -> None:
    now = [100.0]
    triggers = Triggers(lambda: now[0])
    slow, quick = triggers.issue("U1"), triggers.issue("U1")
    now[0] += 3
    assert triggers.exchange(quick).user == "U1"
    with pytest.raises(SlackError, match="exchanged_trigger_id"):
        triggers.exchange(quick)
    now[0] += 0.1
    with pytest.raises(SlackError, match="expired_trigger_id"):
        triggers.exchange(slow)


def test_old_triggers_are_forgotten() -> None:
    triggers = Triggers(lambda: 0.0)
    first = triggers.issue("U1")
    for _ in range(MAX_KEPT):
        triggers.issue("U1")
    with pytest.raises(SlackError, match="invalid_trigger_id"):
        triggers.exchange(first)


@given(
    replies=st.lists(st.booleans(), max_size=30),
    removed=st.sets(st.integers(0, 29)),
    limit=st.integers(1, 10),
    inclusive=st.booleans(),
    bounds=st.tuples(st.integers(0, 30), st.integers(0, 30)),
)
def test_history_is_what_a_scan_would_find(
    replies: list[bool], removed: set[int], limit: int, inclusive: bool, bounds: tuple[int, int]
) -> None:
    log = MessageLog()
    kept: list[str] = []
    for index, is_reply in enumerate(replies):
        ts = f"1700000000.{index:06d}"
        log.add(Message(ts, "C1", "U1", thread_ts="1700000000.000000" if is_reply and index else None))
    for index, is_reply in enumerate(replies):
        ts = f"1700000000.{index:06d}"
        if index in removed:
            log.remove(ts)
        elif not (is_reply and index):
            kept.append(ts)
    oldest, latest = (f"1700000000.{bound:06d}" for bound in bounds)
    wanted = [
        ts
        for ts in kept
        if oldest < ts < latest or (inclusive and ts in (oldest, latest) and oldest <= latest)
    ]
    found, has_more = log.history(oldest, latest, inclusive, limit)
    assert [message.ts for message in found] == wanted[::-1][:limit]
    assert has_more == (len(wanted) > limit)


def test_a_fault_plays_as_often_as_it_says_and_for_its_method_only() -> None:
    faults = Faults(lambda: 0.0)
    faults.add({"fault": "error", "method": "chat.update", "count": 2})
    assert faults.take(("error",), "chat.postMessage") is None
    assert faults.take(("rate_limited",), "chat.update") is None
    assert [bool(faults.take(("error",), "chat.update")) for _ in range(3)] == [True, True, False]


def test_a_fault_ends_with_its_time() -> None:
    now = [0.0]
    faults = Faults(lambda: now[0])
    faults.add({"fault": "rate_limited", "seconds": 10})
    now[0] = 9.9
    assert faults.take(("rate_limited",), "x")
    assert faults.take(("rate_limited",), "x")
    now[0] = 10
    assert faults.take(("rate_limited",), "x") is None


def test_the_log_keeps_the_last_entries_only() -> None:
    traffic = Traffic(Signal())
    for _ in range(KEPT + 5):
        traffic.record("web_api", "auth.test", {}, {}, started=0.0)
    entries = traffic.after(0)
    assert (len(entries), entries[0].n, entries[-1].n) == (KEPT, 6, KEPT + 5)
    assert [entry.n for entry in traffic.after(KEPT + 3)] == [KEPT + 4, KEPT + 5]


def test_secrets_are_masked_wherever_they_stand() -> None:
    traffic = Traffic(Signal())
    request = {"token": "abc", "text": ["see xoxb-12-ab and xapp-1-A0-cd"]}
    response = {
        "url": "ws://127.0.0.1:1/socket?ticket=s3cret&app_id=A0",
        "at": "http://127.0.0.1:1/response/k-_y",
    }
    traffic.record("web_api", "x", request, response, started=0.0)
    (entry,) = traffic.after(0)
    assert entry.request == {"token": "•••", "text": ["see xoxb-••• and xapp-•••"]}
    assert entry.response["url"] == "ws://127.0.0.1:1/socket?ticket=•••&app_id=A0"
    assert entry.response["at"] == "http://127.0.0.1:1/response/•••"


async def test_a_signal_wakes_everyone_who_waits() -> None:
    parent = Signal()
    signal = Signal(also=parent)
    async with asyncio.TaskGroup() as tasks:
        for waited in (signal, signal, parent):
            tasks.create_task(waited.until(lambda: signal.count == 2, 10))
        await asyncio.sleep(0)
        signal.bump()
        signal.bump()
    with pytest.raises(TimeoutError):
        await signal.until(lambda: False, 0.01)


async def test_stopping_tasks_ends_them_all() -> None:
    tasks = Tasks()
    running = [tasks.start(asyncio.sleep(3600)) for _ in range(3)]
    await tasks.stop()
    assert all(task.cancelled() for task in running)


def test_timestamps_never_repeat_even_when_the_clock_stands_still() -> None:
    workspace = load_workspace(clock=lambda: 1_700_000_000.0)
    stamps = [workspace.new_ts() for _ in range(3)]
    assert stamps == ["1700000000.000000", "1700000000.000001", "1700000000.000002"]


@pytest.mark.parametrize(
    "change", [{"tz": "Mars/Olympus"}, {"deleted": "yes"}, {"id": "U1"}, {"wings": 2}, {"real_name": None}]
)
def test_a_person_cannot_be_changed_into_nonsense(change: Json) -> None:
    workspace = load_workspace()
    before = workspace.users["U0DANA001"].tz, workspace.users["U0DANA001"].deleted
    with pytest.raises(SlackError, match="invalid_arguments"):
        workspace.change_user("U0DANA001", change)
    assert (workspace.users["U0DANA001"].tz, workspace.users["U0DANA001"].deleted) == before


KINDS = [
    *SURFACES,
    "button",
    "static_select",
    "number_input",
    "checkboxes",
    "plain_text",
    "mrkdwn",
    "card",
    "text",
]
KEYS = [
    "type",
    "text",
    "elements",
    "element",
    "accessory",
    "options",
    "option_groups",
    "initial_option",
    "label",
]
KEYS += ["fields", "rows", "chart", "segments", "value", "min_value", "max_value", "min_length", "max_length"]
KEYS += [
    "title",
    "blocks",
    "block_id",
    "action_id",
    "child_blocks",
    "caption",
    "is_decimal_allowed",
    "submit",
]
scalars = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=3), st.sampled_from(KINDS)
)
anything = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.sampled_from(KEYS), inner, max_size=5)
    ),
    max_leaves=20,
)


VALID = [
    json.loads(path.read_text())
    for folder in ("blocks", "elements", "views")
    for path in sorted((FIXTURES / "valid" / folder).glob("*.json"))
]


def places(value: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The path of everything inside a JSON value."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [at, *(place for key, item in inner for place in places(item, (*at, key)))]


@st.composite
def damaged(draw: st.DrawFn) -> Any:
    """A valid block, element or view with anything at all in one place."""
    whole = copy.deepcopy(draw(st.sampled_from(VALID)))
    place = draw(st.sampled_from(places(whole)))
    if not place:
        return draw(anything)
    inside = whole
    for key in place[:-1]:
        inside = inside[key]
    inside[place[-1]] = draw(anything)
    return whole


@given(damaged())
def test_no_damage_to_something_valid_breaks_the_rules(value: Any) -> None:
    for surface in (MESSAGE, MODAL, HOME):
        for blocks in (
            [value],
            [{"type": "section", "text": word("x"), "accessory": value}],
            [{"type": "input", "label": word("?"), "element": value}],
        ):
            problems = list(blocks_problems(blocks, surface))
            assert problems or blocks_with_ids(blocks)
    assert isinstance(view_problems(value), list)


NULLED = [
    {"type": "section", "text": word("x"), "accessory": None, "fields": None, "block_id": None},
    {"type": "card", "title": word("x"), "actions": None},
    {
        "type": "section",
        "text": word("x"),
        "accessory": {
            "type": "multi_static_select",
            "options": None,
            "option_groups": [{"label": word("g"), "options": OPTIONS}],
            "initial_options": None,
        },
    },
]


@pytest.mark.parametrize("block", NULLED)
def test_a_field_that_is_null_is_as_good_as_absent(block: Json) -> None:
    assert list(blocks_problems([block], MESSAGE)) == []
    (kept,) = blocks_with_ids([block])
    assert None not in kept.values()
    assert state_values([kept]) is not None


@given(anything)
def test_no_json_breaks_the_rules(value: Any) -> None:
    for surface in (MESSAGE, MODAL, HOME):
        assert isinstance(list(blocks_problems(value, surface)), list)
        assert isinstance(list(blocks_problems([value], surface)), list)
    assert isinstance(view_problems(value), list)
