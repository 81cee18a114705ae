"""Policy files mean the same whichever of the two YAML libraries reads them."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.core.policy import PolicyError
from bot.services import yaml_nodes
from bot.services.policies import parse

SHIPPED = sorted(Path(__file__).parents[2].glob("policies/**/*.yaml"))
PARTS = [
    line for file in SHIPPED for line in file.read_text().splitlines(keepends=True) if line.strip()
] + [
    'a: "x" # c\n', '"b":1\n', "c: &x [1, 2]\n", "d: *x\n", "e: !!str 5\n", "f: |\n  x\n", "? k\n: v\n",
    "---\n", "...\n", "%YAML 1.1\n", "g: yes\n", "{'h':1, \"i\": 0x1F}\n", "j: 1_000\n", "k: 2026-01-31\n",
    "<<: {l: 1}\n",
]  # fmt: skip
SPECIAL = st.sampled_from(
    [": ", ":", ",", "[", "]", "{", "}", "#", " #", "&", "*", "!", "|", ">", "'", '"', "%", "@", "`", "- ",
     "?", "\n", " ", "\t", "\r", "\x85", "\u2028", "\ufeff", "\x00", "---", "\\", "~", "é", "😀", "\x7f"]
)  # fmt: skip


@st.composite
def texts(draw: st.DrawFn) -> str:
    """Lines of policies, with what is special to YAML in odd places."""
    text = "".join(draw(st.lists(st.sampled_from(PARTS), max_size=6)))
    for _ in range(draw(st.integers(0, 4))):
        at = draw(st.integers(0, len(text)))
        text = text[:at] + draw(SPECIAL) + text[at + draw(st.integers(0, 2)) :]
    return text


def _read(text: str) -> object:
    """Everything that reading gives: value and places, or what is wrong."""
    try:
        found = parse("p.yaml", text.encode(), top=(object,))
    except PolicyError as error:
        return str(error)
    return repr(found.value), found.marks


def _read_slowly(text: str) -> object:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(yaml_nodes, "CParser", None)
        return _read(text)


@given(texts())
def test_a_file_means_the_same_whichever_library_reads_it(text):
    assert _read(text) == _read_slowly(text)


@pytest.mark.parametrize("file", SHIPPED, ids=lambda file: file.name)
def test_shipped_files_mean_the_same_whichever_library_reads_them(file):
    assert _read(file.read_text()) == _read_slowly(file.read_text())


@pytest.mark.parametrize(
    "text", ["--- a\n", "[a]:1", "%YAML 1.2\n---\na: 1\n", "a: |\n \n  y\n", "a: b\x85c: d\n", "! ''"]
)
def test_what_the_libraries_read_differently_is_left_to_one(text):
    assert _read(text) == _read_slowly(text)


def test_plain_files_are_read_by_libyaml_alone(monkeypatch):
    monkeypatch.delattr(yaml_nodes, "YAML")

    found = parse("p.yaml", b'name: a\nallow:\n  - {name: b, path_pattern: ["/c/**"], max_risk: low}  # d\n')

    assert found.value["allow"] == [{"name": "b", "path_pattern": ["/c/**"], "max_risk": "low"}]
    assert found.marks["allow", 0, "max_risk"] == (3, 40)


@pytest.mark.parametrize("nesting", ["[", "- ", "{a: ", "? "])
def test_endless_nesting_is_refused_and_breaks_nothing(nesting):
    assert "p.yaml" in str(_read(nesting * 100_000))
