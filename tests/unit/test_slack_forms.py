"""Edit forms: types are kept, what came back as shown is exact, what cannot be shown is kept."""

import copy
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from bot.core.errors import InvalidFields
from bot.core.models import Alternative, ApprovalRequest, Digest, Proposal, Reviewer, RiskLevel, SlackId
from bot.sandbox.limits import MODAL, view_problems
from bot.slack import ids
from bot.slack.fields import edited_params
from bot.slack.forms import (
    alternative_form,
    approve_form,
    conditions_of,
    modify_form,
    reason_of,
    reject_form,
    target_of,
)
from tests.cards import make_request, make_risk


def inputs(view: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {block["block_id"]: block for block in view["blocks"] if block["type"] == "input"}


def filled(request: ApprovalRequest, **changes: str) -> dict[str, Any]:
    """The state of the form as it was shown, but for `changes` by param name or JSON Pointer."""
    shown = {
        block_id: block["element"].get("initial_value")
        for block_id, block in inputs(modify_form(request)).items()
        if block_id.startswith("param:")
    }
    pointers = {name if name.startswith("/") else ids.pointer(name): name for name in changes}
    shown |= {ids.param_block(pointer): changes[name] for pointer, name in pointers.items()}
    return {
        block_id: {"value": {"type": "plain_text_input", "value": value}} for block_id, value in shown.items()
    }


EXACT: dict[str, Any] = {
    "price": Decimal("2500.00"),
    "count": 3,
    "on": True,
    "none": None,
    "name": "x",
    "empty": "",
    "lines": "a\nb\n",
    "nested": {"b": [1, Decimal("1.50")], "a": {}, "deep": {"rate": Decimal("0.10"), "to": "ana"}},
    "list": [],
}


def test_a_form_that_comes_back_as_shown_keeps_every_value_exactly() -> None:
    request = make_request(type="tool", params=EXACT)
    params = edited_params(request, filled(request))
    assert dict(params) == EXACT
    assert list(params) == list(EXACT)
    assert str(params["price"]) == "2500.00"


@pytest.mark.parametrize(
    ("name", "typed", "value"),
    [
        ("price", "2500.50", Decimal("2500.50")),
        ("count", "4", 4),
        ("count", "4.5", Decimal("4.5")),
        ("on", "false", False),
        ("none", '"now a text"', "now a text"),
        ("name", "true", "true"),
        ("empty", "filled", "filled"),
        ("list", "[1]", [1]),
    ],
)
def test_an_edited_value_keeps_its_type(name: str, typed: str, value: Any) -> None:
    request = make_request(type="tool", params=EXACT)
    assert edited_params(request, filled(request, **{name: typed}))[name] == value


@pytest.mark.parametrize(
    ("name", "typed", "sentence"),
    [
        ("price", '"2500"', "must stay a number"),
        ("count", "true", "must stay a number"),
        ("on", "1", "must stay true or false"),
        ("list", "{}", "must stay a list"),
        ("nested/a", "[1]", "must stay an object"),
        ("nested/a", "{", "Write this as JSON"),
        ("nested/a", '{"a": 1, "a": 2}', "Write this as JSON"),
        ("nested/deep/rate", '"0.20"', "must stay a number"),
        ("price", "NaN", "Write this as a number."),
        ("price", "", "Write this as a number."),
        ("price", "0.1000000000000000055511151231257827", "cannot be kept exactly"),
    ],
)
def test_a_value_of_another_type_is_a_fault_of_its_field(name: str, typed: str, sentence: str) -> None:
    request = make_request(type="tool", params=EXACT)
    with pytest.raises(InvalidFields) as fault:
        edited_params(request, filled(request, **{f"/{name}": typed}))
    assert list(fault.value.fields) == [f"param:/{name}"]
    assert sentence in fault.value.fields[f"param:/{name}"]


@pytest.mark.parametrize(
    ("pointer", "typed", "value"),
    [
        ("/nested/b", '[2, 1.50, "new"]', [2, Decimal("1.50"), "new"]),
        ("/nested/a", '{"on": true}', {"on": True}),
        ("/nested/deep/rate", "0.20", Decimal("0.20")),
        ("/nested/deep/to", "ben", "ben"),
    ],
)
def test_each_leaf_of_a_nested_object_is_a_field_and_all_around_it_is_kept(
    pointer: str, typed: str, value: Any
) -> None:
    request = make_request(type="tool", params=EXACT)
    shown = inputs(modify_form(request))
    assert "param:/nested" not in shown
    assert shown[f"param:{pointer}"]["label"]["text"] == pointer[1:]
    edited = edited_params(request, filled(request, **{pointer: typed}))
    *around, name = pointer.split("/")[1:]
    expected: Any = copy.deepcopy(EXACT)
    inner = expected
    for outer in around:
        inner = inner[outer]
    inner[name] = value
    assert edited == expected
    assert list(edited["nested"]) == ["b", "a", "deep"]
    assert str(edited["price"]) == "2500.00"


def test_names_that_look_like_paths_have_fields_and_labels_of_their_own() -> None:
    request = make_request(type="tool", params={"a/b": "outer", "a": {"b": "inner"}})
    shown = inputs(modify_form(request))
    labels = {block_id: block["label"]["text"] for block_id, block in list(shown.items())[:2]}
    assert labels == {"param:/a~1b": "a~1b", "param:/a/b": "a/b"}
    edited = edited_params(request, filled(request, **{"/a/b": "changed"}))
    assert edited == {"a/b": "outer", "a": {"b": "changed"}}


def test_an_object_of_more_leaves_than_a_view_holds_is_one_field_of_json() -> None:
    params = {"many": {f"k{number}": number for number in range(100)}, "few": {"a": 1, "b": 2}}
    request = make_request(type="tool", params=params)
    view = modify_form(request)
    assert view_problems(view, MODAL) == []
    assert list(inputs(view))[:3] == ["param:/many", "param:/few/a", "param:/few/b"]
    assert edited_params(request, filled(request, many='{"k0": 1}'))["many"] == {"k0": 1}


def test_what_is_too_large_for_one_field_is_opened_as_far_as_a_view_holds_it() -> None:
    params = {"huge": {f"k{number}": "x" * 100 for number in range(100)}, "amount": 5}
    request = make_request(type="tool", params=params)
    view = modify_form(request)
    shown = [block_id for block_id in inputs(view) if block_id.startswith("param:")]
    assert view_problems(view, MODAL) == []
    assert len(shown) == 80
    assert shown[0] == "param:/huge/k0"
    assert shown[-1] == "param:/amount"  # what stands at the top goes first
    kept = str([block for block in view["blocks"] if block["type"] == "rich_text"])
    assert "huge/k98" in kept
    assert edited_params(request, filled(request, amount="6")) == {**params, "amount": 6}


def test_of_a_nested_object_only_what_cannot_be_shown_exactly_is_read_only() -> None:
    secret = "AKIA" + "IOSFODNN7EXAMPLE"
    params = {"data": {"key": secret, "long": "x" * 3001, "odd\u202e": "y", "note": "plain"}}
    request = make_request(type="tool", params=params)
    view = modify_form(request)
    shown = [block_id for block_id in inputs(view) if block_id.startswith("param:")]
    assert shown == ["param:/data/note"]
    assert secret not in str(view)
    edited = edited_params(request, filled(request, **{"/data/note": "new", "/data/key": "forged"}))
    assert edited == {"data": {**params["data"], "note": "new"}}


def test_the_agents_schema_reaches_into_nested_objects_also_by_reference() -> None:
    schema = {
        "properties": {"to": {"$ref": "#/$defs/account"}, "loop": {"$ref": "#/$defs/loop"}},
        "$defs": {
            "account": {
                "properties": {
                    "iban": {"description": "where the money goes", "readOnly": True},
                    "speed": {"enum": ["slow", "fast"], "description": "how fast"},
                }
            },
            "loop": {"$ref": "#/$defs/loop"},
        },
    }
    params = {"to": {"iban": "DE02", "speed": "slow"}, "loop": "x"}
    request = make_request(type="tool", params=params, params_schema=schema)
    shown = inputs(modify_form(request))
    assert shown["param:/to/speed"]["element"]["type"] == "static_select"
    assert shown["param:/to/speed"]["hint"]["text"] == "The agent says: how fast"
    assert "param:/to/iban" not in shown
    edited = edited_params(
        request, {"param:/to/speed": chosen("fast"), **filled(request, **{"/to/iban": "XX"})}
    )
    assert edited["to"]["iban"] == "DE02"


OPTIONAL = {
    "properties": {
        "path": {"type": "string"},
        "dry_run": {"type": "boolean", "description": "change nothing"},
        "level": {"enum": ["low", "high"]},
        "limit": {"type": ["integer", "null"]},
        "tags": {"type": "array"},
        "note": {"type": "string"},
        "fixed": {"type": "string", "readOnly": True},
        "any": {},
        "size": {"type": "object", "properties": {"max": {"type": "number"}}},
    }
}


def test_what_the_schema_allows_and_the_agent_left_out_is_an_empty_field() -> None:
    request = make_request(type="tool", params={"path": "/x", "size": {"min": 1}}, params_schema=OPTIONAL)
    shown = {name: block for name, block in inputs(modify_form(request)).items() if name.startswith("param:")}
    assert view_problems(modify_form(request), MODAL) == []
    left_out = ["dry_run", "level", "limit", "tags", "note"]
    assert list(shown) == [
        "param:/path",
        "param:/size/min",
        "param:/size/max",
        *(f"param:/{n}" for n in left_out),
    ]
    assert all(shown[f"param:/{name}"]["optional"] for name in left_out)
    assert "initial_option" not in shown["param:/dry_run"]["element"]
    assert shown["param:/dry_run"]["hint"]["text"].endswith("The agent says: change nothing")
    assert edited_params(request, filled(request)) == request.action.params
    filled_in = filled(request, limit="5", tags='["a"]', note="n", **{"/size/max": "1.50"})
    edited = edited_params(
        request, filled_in | {"param:/dry_run": chosen("true"), "param:/level": chosen("low")}
    )
    assert edited == {
        "path": "/x",
        "size": {"min": 1, "max": Decimal("1.50")},
        **{"dry_run": True, "level": "low", "limit": 5, "tags": ["a"], "note": "n"},
    }
    with pytest.raises(InvalidFields) as fault:
        edited_params(request, filled(request, limit='"5"', tags="{}"))
    assert fault.value.fields == {
        "param:/limit": "This must stay a number.",
        "param:/tags": "This must stay a list.",
    }


def test_what_could_be_takes_no_room_from_what_is() -> None:
    schema = {"properties": {f"maybe{number}": {"type": "string"} for number in range(200)}}
    params = {f"is{number}": "x" for number in range(79)}
    view = modify_form(make_request(type="tool", params=params, params_schema=schema))
    shown = [name for name in inputs(view) if name.startswith("param:")]
    assert shown == [*(f"param:/is{number}" for number in range(79)), "param:/maybe0"]
    assert "maybe1" not in str(view)


@pytest.mark.parametrize("value", ["x" * 3001, "a\u202eb", "tab\there", "\r\n", ["\u200b"], ["x" * 3000]])
def test_what_cannot_be_shown_exactly_is_read_only_and_kept(value: Any) -> None:
    request = make_request(type="tool", params={"odd": value, "plain": "x"})
    view = modify_form(request)
    assert view_problems(view, MODAL) == []
    assert "param:/odd" not in inputs(view)
    assert edited_params(request, filled(request, odd="forged", plain="y")) == {"odd": value, "plain": "y"}


def test_an_emptied_text_is_the_empty_text() -> None:
    request = make_request(type="tool", params={"name": "x"})
    values = {"param:/name": {"value": {"type": "plain_text_input", "value": None}}}
    assert edited_params(request, values) == {"name": ""}


def test_names_are_json_pointers_and_long_ones_are_hashed() -> None:
    long = "k" * 300
    request = make_request(type="tool", params={"a/b~c": 1, long: 2, "": 3})
    blocks = list(inputs(modify_form(request)))
    assert blocks[0] == "param:/a~1b~0c"
    assert blocks[1].startswith("param:")
    assert len(blocks[1]) == len("param:") + 64
    assert blocks[2] == "param:/"
    assert edited_params(request, filled(request, **{long: "5"}))[long] == 5


@pytest.mark.parametrize("count", [1, 50, 300])
def test_a_form_never_outgrows_slack(count: int) -> None:
    params = {f"param {number}": "x" * 2999 for number in range(count)}
    request = make_request(type="tool", params=params)
    assert view_problems(modify_form(request), MODAL) == []
    assert edited_params(request, filled(request)) == params


def test_forms_carry_the_request_and_the_digest_and_nothing_else() -> None:
    request = make_request(level="critical")
    for view in (approve_form(request), reject_form(request), modify_form(request)):
        assert view["private_metadata"] == f"{request.id} {request.digest}"
        assert view_problems(view, MODAL) == []


def test_only_a_critical_approval_wants_the_target_and_a_reason() -> None:
    critical, high = (inputs(approve_form(make_request(level=level))) for level in ("critical", "high"))
    assert critical["target"]["label"]["text"] == 'Type "production" to confirm'
    assert critical["reason"]["optional"] is False
    assert "target" not in high
    assert high["reason"]["optional"] is True
    assert list(high) == ["reason", "conditions", "not_before", "not_after"]
    assert list(inputs(reject_form(make_request()))) == ["reason"]


def test_the_agents_schema_helps_and_hides_nothing() -> None:
    schema = {"properties": {"version": {"description": "semver", "enum": ["1.4.2", "1.4.3"]}}}
    request = make_request(params_schema=schema)
    shown = inputs(modify_form(request))
    assert list(shown)[:3] == ["param:/environment", "param:/version", "param:/services"]
    version = shown["param:/version"]
    assert version["hint"]["text"] == "The agent says: semver"
    assert version["element"]["type"] == "static_select"
    assert [option["value"] for option in version["element"]["options"]] == ["1.4.2", "1.4.3"]
    assert version["element"]["initial_option"]["value"] == "1.4.2"
    odd = replace(request, submission=replace(request.submission, params_schema={"properties": [1]}))
    assert list(inputs(modify_form(odd))) == list(shown)


def chosen(value: str) -> dict[str, Any]:
    return {"value": {"type": "static_select", "selected_option": {"value": value}}}


def test_few_values_are_a_menu_and_come_back_with_their_type() -> None:
    schema = {"properties": {"size": {"enum": [1, Decimal("1.50"), 9]}, "note": {"enum": ["a\n", "b"]}}}
    params = {"size": Decimal("1.50"), "dry": True, "note": "b"}
    request = make_request(type="tool", params=params, params_schema=schema)
    shown = inputs(modify_form(request))
    assert view_problems(modify_form(request), MODAL) == []
    assert [option["value"] for option in shown["param:/size"]["element"]["options"]] == ["1", "1.50", "9"]
    assert [option["value"] for option in shown["param:/dry"]["element"]["options"]] == ["true", "false"]
    assert shown["param:/note"]["element"]["type"] == "plain_text_input"  # a menu would change its choices
    edited = edited_params(request, {"param:/size": chosen("9"), "param:/dry": chosen("false")})
    assert edited == {"size": 9, "dry": False, "note": "b"}
    kept = edited_params(request, {"param:/size": chosen("1.50"), "param:/dry": {"value": {}}})
    assert str(kept["size"]) == "1.50"
    assert kept["dry"] is True


def test_an_alternative_asks_for_its_own_target() -> None:
    other = Alternative("There", {"environment": "staging", "version": "1.4.2"})
    request = make_request(level="critical", alternatives=(other,))
    asked = inputs(alternative_form(request, 0, RiskLevel.CRITICAL))
    assert asked["target"]["label"]["text"] == 'Type "staging" to confirm'


def test_an_edit_can_name_its_target_whenever_it_may_be_critical() -> None:
    critical = make_request(level="critical")
    milder = Proposal(
        params={"environment": "staging"},
        digest=Digest("sha256:0"),
        risk=make_risk("high"),
        policy=critical.policy,
        requirement=critical.requirement,
        by=Reviewer(SlackId("U0REL0001"), "Rafael"),
    )
    assert "target" in inputs(modify_form(replace(critical, proposal=milder)))
    assert "target" in inputs(modify_form(critical))
    assert "target" not in inputs(modify_form(make_request(level="high")))


def test_blank_answers_are_none() -> None:
    assert reason_of({"reason": {"value": {"value": "  "}}}) is None
    assert target_of({"target": {"value": {"value": " prod "}}}) == "prod"
    assert conditions_of({}) is None
