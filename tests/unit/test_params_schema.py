"""A schema of an agent's own: what it says is kept to, and none of it can keep Keyturn busy."""

from typing import Any

import pytest

from bot.core import schema_work
from bot.core.params_schema import UnusableSchema, faults

TOO_LONG = "take too long to check against params_schema; send a simpler schema or less"

Json = dict[str, Any]


def doubling(keyword: str, times: int, last: Json) -> Json:
    """A schema of a few lines whose plain evaluation takes 2^times steps."""
    steps = {
        f"s{n}": {keyword: [{"$ref": f"#/$defs/s{n + 1}"}, {"$ref": f"#/$defs/s{n + 1}"}]}
        for n in range(times)
    }
    return {"$defs": {**steps, f"s{times}": last}, "$ref": "#/$defs/s0"}


def nested(times: int) -> Json:
    value: Json = {}
    for _ in range(times):
        value = {"a": value}
    return value


def looking_again(times: int) -> Json:
    schema: Json = {"properties": {"z": True}}
    for _ in range(times):
        schema = {"unevaluatedProperties": False, "allOf": [schema]}
    return schema


DEEPER: Json = {"properties": {"a": {"$ref": "#"}}}


@pytest.mark.parametrize(
    ("schema", "params"),
    [
        (doubling("anyOf", 60, {"type": "string"}), {}),
        (doubling("allOf", 60, {"type": "object"}), {}),
        (doubling("anyOf", 400, {"type": "string"}), {}),
        ({"anyOf": [{**DEEPER, "required": ["a"]}, {**DEEPER, "required": ["b"]}]}, nested(30)),
        (looking_again(40), {"z": 1}),
        ({"properties": {"n": {"items": {"allOf": [{"minimum": 0}] * 1500}}}}, {"n": [1] * 50_000}),
        ({"properties": {"t": {"allOf": [{"pattern": "a.*b"}] * 900}}}, {"t": "a" * 100_000}),
        ({"properties": {"t": {"pattern": "(a[^x]{0,100}){8}[xy]"}}}, {"t": "ab" * 50_000}),
        ({"patternProperties": {f"a.*{n}": {} for n in range(1000)}}, {"a" * n: 1 for n in range(500)}),
        (
            {"properties": {"n": {"items": {"enum": [{"a": n} for n in range(1000)]}}}},
            {"n": [{"a": 0}] * 9999},
        ),
        ({"properties": {"n": {"items": {"multipleOf": 7}}}}, {"n": [7] * 50_000}),
    ],
)
def test_what_would_take_long_is_refused_before_it_begins(schema: Json, params: Json) -> None:
    assert faults(schema, params) == [("", TOO_LONG)]


def test_patterns_are_held_to_a_size_together() -> None:
    heavy = {"allOf": [{"pattern": rf"\p{{L}}{{{30 + n % 10}}}"} for n in range(1000)]}
    with pytest.raises(UnusableSchema, match="linear-time"):
        faults(heavy, {})
    light = {"properties": {f"p{n}": {"pattern": "^[a-z]+$"} for n in range(500)}}
    assert faults(light, {"p3": "abc"}) == []


TREE: Json = {
    "type": "object",
    "properties": {"left": {"$ref": "#"}, "right": {"$ref": "#"}, "n": {"type": "integer"}},
    "additionalProperties": False,
}


def tree(depth: int) -> Json:
    return {"n": 1} if depth == 0 else {"left": tree(depth - 1), "right": tree(depth - 1)}


@pytest.mark.parametrize(
    ("schema", "params"),
    [
        (TREE, tree(10)),
        ({"properties": {"rows": {"items": TREE}}}, {"rows": [{"n": n} for n in range(8000)]}),
        ({"properties": {"ids": {"items": {"type": "integer"}}}}, {"ids": list(range(40_000))}),
        ({"properties": {"text": {"pattern": "^#!/bin/sh\n"}}}, {"text": "#!/bin/sh\n" + "x" * 200_000}),
        ({"properties": {"mail": {"pattern": "^[^@]{1,64}@[^@]{1,255}$"}}}, {"mail": "a@example.com"}),
        ({"$defs": {"a/b": {"type": "object"}}, "$ref": "#/$defs/a~1b"}, {}),
        ({"$defs": {"a": {"$anchor": "here", "type": "object"}}, "$ref": "#here"}, {}),
        ({"anyOf": [{"type": "string"}, {"minProperties": 0}]}, {}),
    ],
)
def test_what_people_write_is_checked_however_large(schema: Json, params: Json) -> None:
    assert faults(schema, params) == []


def test_each_fault_is_told_where_it_is() -> None:
    schema = {"properties": {"a": {"type": "string"}, "b": {"items": {"maximum": 3}}}, "required": ["c"]}
    found = faults(schema, {"a": 1, "b": [1, 5]})
    assert {pointer for pointer, _ in found} == {"", "/a", "/b/1"}


def test_the_faults_of_much_are_told_in_one_sentence() -> None:
    assert faults(TREE, {**tree(10), "more": 1}) == [("", "do not satisfy params_schema")]


@pytest.mark.parametrize("schema", [{"$ref": "#"}, {"anyOf": [{"$ref": "#"}, {}]}, {"not": {"$ref": "#"}}])
def test_a_schema_that_asks_itself_about_the_same_value_is_refused(schema: Json) -> None:
    assert "refers to itself" in faults(schema, {})[0][1]


def test_a_reference_does_not_lead_out_of_the_schema() -> None:
    metaschema = {"$ref": "https://json-schema.org/draft/2020-12/schema"}
    assert "elsewhere" in faults(metaschema, {})[0][1]
    with pytest.raises(UnusableSchema):
        faults({"$ref": "#/$defs/nothing"}, {})


def test_the_same_work_is_counted_once_and_added_each_time() -> None:
    one = schema_work.steps(doubling("allOf", 1, {}), {}, per_character=1)
    two = schema_work.steps(doubling("allOf", 2, {}), {}, per_character=1)
    ten = schema_work.steps(doubling("allOf", 10, {}), {}, per_character=1)
    assert one < two < ten
    assert 2**10 <= ten < 16 * 2**10
