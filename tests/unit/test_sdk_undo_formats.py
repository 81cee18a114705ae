"""A setting changed by an action and put back: not one other byte of its file moves."""

import pytest

from keyturn import exact
from keyturn.rollback import CannotCapture, Resources, config_value

YAML = """\
# top
server:
  host: "a.example" # why
  port: 8080
  rate: 1.10
  on: yes
  since: 2024-01-02
list:
  - one   # first
  - two
flow: {x: 1, y: text}
text: |
  many
  lines
base: &base 1
copy: *base
"""
TOML = """\
# c
title = "x" # t
[owner]
name = 'lit'
rate = 1.10
since = 2024-01-02
on = true
poem = \"\"\"
a
b\"\"\"
sizes = [
  1, # one
  2,
]
[[shop]]
n = 1
"""
ENV = """\
# c
export A=1 # note
B="two words"
C='x y' # why
  D=$HOME/x
E=
F = spaced
G=a#b
H="a\\nb"
I="\\$x"
"""


@pytest.mark.parametrize(
    ("name", "text", "key", "old", "new"),
    [
        ("a.yaml", YAML, "server.host", '"a.example"', '"b.example"'),
        ("a.yaml", YAML, "server.port", "8080", "9090"),
        ("a.yaml", YAML, "server.rate", "1.10", "2.5"),
        ("a.yaml", YAML, "server.on", "yes", "no"),
        ("a.yaml", YAML, "/list/1", "two", "three"),
        ("a.yaml", YAML, "list", "- two", "- three"),
        ("a.yaml", YAML, "flow.y", "text}", "other}"),
        ("a.yaml", YAML, "flow", "{x: 1", "{x: 2"),
        ("a.yaml", "---\na:   1\nb:\n    c: 2\n", "a", "1", "3"),
        ("a.toml", TOML, "title", '"x"', '"y"'),
        ("a.toml", TOML, "owner.name", "'lit'", "'lot'"),
        ("a.toml", TOML, "owner.rate", "1.10", "7"),
        ("a.toml", TOML, "owner.on", "true", "false"),
        ("a.toml", TOML, "owner.poem", "a\nb", "q\nb"),
        ("a.toml", TOML, "owner.sizes", "  1, #", "  7, #"),
        ("a.toml", TOML, "/shop/0/n", "n = 1\n", "n = 2\n"),
        ("a.env", ENV, "A", "A=1", "A=2"),
        ("a.env", ENV, "B", "two words", "three words"),
        ("a.env", ENV, "C", "x y", "y x"),
        ("a.env", ENV, "D", "$HOME/x", "$HOME/y"),
        ("a.env", ENV, "E", "E=\n", "E=1\n"),
        ("a.env", ENV, "F", "spaced", "other"),
        ("a.env", ENV, "G", "a#b", "a"),
        ("a.env", ENV, "H", "a\\nb", "a"),
        ("a.env", ENV.replace("\n", "\r\n"), "A", "A=1", "A=2"),
        (".env", ENV, "J", "# c\n", "J=1\n# c\n"),
    ],
)
def test_the_file_is_byte_for_byte_as_it_was(tmp_path, name, text, key, old, new):
    file = tmp_path.resolve() / name
    file.write_bytes(text.encode())
    assert text.count(old) == 1
    with config_value(file, key) as captured:
        file.write_bytes(text.replace(old, new).encode())
    data = exact.loads(exact.dumps(exact.plain(captured.data)))
    resources = Resources()
    assert resources.preview(data).conflict is None
    resources.kind(data).apply(data, force=False)
    assert file.read_bytes() == text.encode()


@pytest.mark.parametrize(
    ("name", "text", "key", "why"),
    [
        ("a.yaml", YAML, "server.since", "holds a date"),
        ("a.yaml", YAML, "server", "holds a date"),
        ("a.yaml", YAML, "base", "anchor"),
        ("a.yaml", YAML, "copy", "anchor"),
        ("a.toml", TOML, "owner.since", "holds a date"),
        ("a.env", ENV, "I", "escape"),
        ("a.env", 'A="x\ny"\n', "A", "quoted"),
    ],
)
def test_what_would_come_back_as_something_else_is_refused_before_it_is_changed(
    tmp_path, name, text, key, why
):
    file = tmp_path.resolve() / name
    file.write_text(text)
    with pytest.raises(CannotCapture, match=why), config_value(file, key):
        file.write_text("changed")
    assert file.read_text() == text


@pytest.mark.parametrize(
    ("name", "text", "after"),
    [
        ("a.yaml", "", "limit: 1\n"),
        ("a.yaml", "# only a comment\n", "limit: 1\n"),
        ("a.toml", "", "limit = 1\n"),
        ("a.json", "{}", '{"limit": 1}'),
    ],
)
def test_a_setting_comes_back_to_a_file_that_was_emptied_when_it_is_forced(tmp_path, name, text, after):
    file = tmp_path.resolve() / name
    file.write_text(text)
    step = {"type": "config_restore", "store": str(file), "key": "limit", "had_value": True, "old_value": 1}
    resources = Resources()
    shown = resources.preview({**step, "expected": 2})
    assert shown.conflict is not None
    resources.kind(step).apply({**step, "expected": 2}, force=True, shown=shown.state)
    assert file.read_text().endswith(after)
