"""Every example of docs/sdk.md runs as it stands, against a server that approves."""

import re
from pathlib import Path
from typing import Any

import pytest

from keyturn import errors
from tests.stub_keyturn import TOKEN, running_stub

PAGE = (Path(__file__).parents[2] / "docs" / "sdk.md").read_text("utf-8")
COMPILED_ONLY = "<!-- compiled only"
EXAMPLES = [
    pytest.param(
        match["code"], match["mark"] is not None, id=f"line {PAGE[: match.start()].count(chr(10)) + 1}"
    )
    for match in re.finditer(
        r"^(?P<mark><!-- compiled only.*\n)?```python\n(?P<code>.*?)^```$", PAGE, re.MULTILINE | re.DOTALL
    )
]


@pytest.mark.parametrize(("code", "compiled_only"), EXAMPLES)
def test_an_example_runs(code: str, compiled_only: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    program = compile(code, "docs/sdk.md", "exec", dont_inherit=True)
    if compiled_only:
        return
    with running_stub() as stub:
        stub.on_request = lambda request_id: stub.decide(request_id, "approved")
        monkeypatch.setenv("KEYTURN_URL", stub.url)
        monkeypatch.setenv("KEYTURN_TOKEN", TOKEN)
        namespace: dict[str, Any] = {"__name__": "example"}
        exec(program, namespace)
        assert stub.log


def test_the_page_has_its_examples() -> None:
    assert len(EXAMPLES) >= 8
    assert PAGE.count(COMPILED_ONLY) == 2


def test_the_table_of_errors_names_only_what_exists() -> None:
    table = PAGE.split("## What can be raised")[1].split("## Numbers")[0]
    rows = [line.split("|")[1] for line in table.splitlines() if line.startswith("| `")]
    named = {name for row in rows for name in re.findall(r"`(\w+)`", row)}
    assert named
    assert named <= set(dir(errors))
