"""Dialects of SQL: which to read a batch in, and what its statements are in one of them."""

import logging
import re
from collections.abc import Iterator

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

# The library logs the text of statements it only half understands, and texts hold secrets.
logging.getLogger("sqlglot").disabled = True

_READ = 9_000
"""Characters that are read of one batch over all dialects: each takes about 4 ms for a thousand."""

DIALECTS = ("postgres", "mysql", "tsql", "sqlite", "oracle", "snowflake", "bigquery")

_CUES = {
    "mysql": r"`|#|\bON\s+DUPLICATE\s+KEY\b|\bAUTO_INCREMENT\b|\bREPLACE\s+INTO\b",
    "tsql": r"\[\w|@\w|\bTOP\b|\bEXEC\b|\bGO\b|\bN'",
    "sqlite": r"\bPRAGMA\b|\bAUTOINCREMENT\b|\bATTACH\b",
    "oracle": r"\bDUAL\b|\bVARCHAR2\b|\bROWNUM\b|\bEXECUTE\s+IMMEDIATE\b",
    "snowflake": r"\$\$|\bQUALIFY\b|\bVARIANT\b|\bCLONE\b",
    "bigquery": r"`[\w-]+\.|\bSTRUCT\s*[(<]|\bUNNEST\b",
}
"""What tells a dialect, so that a long batch is read by the likeliest ones."""


def trees(text: str, dialect: str) -> list[exp.Expr | None] | None:
    """The statements to one dialect; None when they are none."""
    try:
        found: list[exp.Expr | None] = list(sqlglot.parse(text, dialect=dialect))
    except (SqlglotError, ValueError, TypeError, AttributeError, IndexError, KeyError):
        # All but the first are what a hand-written parser throws at garbage.
        return None
    if any(isinstance(tree, exp.Condition | exp.Alias | exp.Identifier) for tree in found):
        return None  # the words happen to make an expression, such as `EXEC procedure` read as an alias
    return found


def likeliest(text: str, dialect: str | None = None, *, least: int) -> Iterator[str]:
    """The dialects to try, as many as there is time for: the first, those with a cue, the rest."""
    first = dialect or DIALECTS[0]
    yield first  # it mostly does, so nothing else is looked for before
    most = max(least, _READ // max(len(text), 1))
    told = [name for name, cue in _CUES.items() if re.search(cue, text, re.IGNORECASE)]
    yield from [name for name in dict.fromkeys((*told, *DIALECTS)) if name != first][: most - 1]
