"""Dialects of SQL: which to read a batch in, and what its statements are in one of them."""

import logging
import re
from collections.abc import Iterator, Sequence
from functools import cache

from sqlglot import Token, TokenType, exp
from sqlglot.dialects.dialect import Dialect
from sqlglot.errors import SqlglotError

# The library logs the text of statements it only half understands, and texts hold secrets.
logging.getLogger("sqlglot").disabled = True

_READ = 9_000
"""Characters that are read of one batch over all dialects: each takes about 4 ms for a thousand."""

_DEEPEST = 100
"""Brackets inside of brackets that are parsed, and CASEs inside of CASEs. The compiled parser recurses on
the C stack, whose end is the end of the process; what else nests, it gives up on in time."""

_BRACKETS = {
    TokenType.L_PAREN: 1,
    TokenType.L_BRACKET: 1,
    TokenType.L_BRACE: 1,
    TokenType.R_PAREN: -1,
    TokenType.R_BRACKET: -1,
    TokenType.R_BRACE: -1,
}
_CASES = {TokenType.CASE: 1, TokenType.END: -1}

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
    """The statements to one dialect; None when they are none.

    Raises:
        RecursionError: they nest too deeply to be read.
    """
    known = _dialect(dialect)
    try:
        tokens = known.tokenize(text)
        _check_depth(tokens)
        found: list[exp.Expr | None] = list(known.parser().parse(tokens, text))
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


@cache
def _dialect(name: str) -> Dialect:
    return Dialect.get_or_raise(name)


def _check_depth(tokens: Sequence[Token]) -> None:
    if len(tokens) <= _DEEPEST:
        return
    for nesting in (_BRACKETS, _CASES):  # each on its own, for END may be a name and close nothing
        depth = 0
        for token in tokens:
            depth = max(0, depth + nesting.get(token.token_type, 0))
            if depth > _DEEPEST:
                raise RecursionError(f"more than {_DEEPEST} of one kind inside of each other")
