"""However deeply SQL nests, the process that reads it lives on."""

import resource
import subprocess
import sys

import pytest

from bot.core.models import Action
from bot.core.risk import assess
from bot.core.risk.sql import LONGEST, assess_text
from bot.core.risk.statements import UNREADABLE

NESTS = {
    "brackets": ("(", "1", ")"),
    "calls": ("f(", "1", ")"),
    "calls that quote what closes them": ("f(')', ", "1", ")"),
    "arrays": ("ARRAY[", "1", "]"),
    "subqueries": ("(SELECT ", "1", ")"),
    "joins": ("(a JOIN ", "b", " ON x)"),
    "cases": ("CASE WHEN a THEN ", "1", " END"),
    "cases that are named END": ("CASE WHEN END THEN ", "1", ""),
    "negations": ("NOT ", "a", ""),
    "signs": ("- ", "a", ""),
    "structures": ("{'a': ", "1", "}"),
}
SMALL_STACK = 2 * 1024 * 1024
"""Bytes: a quarter of what a process usually has."""

READ = """
import sys
from bot.core.risk.sql import assess_text
for dialect in (None, "mysql", "snowflake", "tsql"):
    print(assess_text(sys.argv[1], dialect).worst.value)
"""


def _nested(kind: str, deep: int) -> str:
    opens, inner, closes = NESTS[kind]
    return "SELECT " + opens * deep + inner + closes * deep


@pytest.mark.parametrize("kind", NESTS)
def test_the_deepest_text_that_is_read_ends_no_process(kind: str) -> None:
    opens, _, closes = NESTS[kind]
    text = _nested(kind, (LONGEST - 10) // len(opens + closes))
    assert len(text) <= LONGEST
    done = subprocess.run(
        [sys.executable, "-c", READ, text],
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=_with_a_small_stack,
    )
    assert done.returncode == 0, done.stderr[-500:]
    unknown_dialect, *told = done.stdout.split()
    assert unknown_dialect == "destructive"
    assert len(told) == 3  # to T-SQL, [ quotes a name, and the rest is one long one


def _with_a_small_stack() -> None:
    _, most = resource.getrlimit(resource.RLIMIT_STACK)
    resource.setrlimit(resource.RLIMIT_STACK, (SMALL_STACK, most))


def test_a_hundred_brackets_are_read_and_more_are_not() -> None:
    assert assess_text(_nested("calls", 100)).worst.value == "read"
    assert assess_text(_nested("calls", 101)) == UNREADABLE


def test_brackets_in_a_row_are_no_depth() -> None:
    rows = ", ".join(f"({number})" for number in range(1000))
    assert assess(Action("database_modify", {"query": f"INSERT INTO t VALUES {rows}"})).score == 8
