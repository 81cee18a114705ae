"""How much a batch of SQL can lose, by parsing it.

Every statement counts, also inside CTEs and after a semicolon; the worst decides. Dialects are
tried one after the other, and text that means something else in another one is judged by the
worst of them; what none of them reads counts as destructive without a bound.
"""

import re
from collections.abc import Callable

from sqlglot import exp

from bot.core.risk.dialects import likeliest, trees
from bot.core.risk.facts import Facts, Signal, SqlWorst
from bot.core.risk.statements import (
    ACTS,
    FOREIGN_CODE,
    NOTHING,
    SERVER_SETTING,
    UNREADABLE,
    USER_DDL,
    Statements,
    destructive,
    kept_as_text,
    rights,
    without_strings,
    write,
)

LONGEST = 20_000
"""Characters that are parsed; a longer batch is unreadable."""

_EXECUTABLE_COMMENT = re.compile(r"/\*M?!\d*\s*(.*?)\*/", re.DOTALL)
"""MySQL and MariaDB run what stands in these."""

_AMBIGUOUS = re.compile(r"\\['\"`]|#|\$\w*\$|--(?=\S)|[^\w\s\])]\s*\[")
"""What ends a string or starts a comment in one dialect and does not in another."""

_SAVEPOINT = re.compile(
    r"(^|;)\s*(?:SAVEPOINT|RELEASE(?:\s+SAVEPOINT)?|ROLLBACK\s+TO(?:\s+SAVEPOINT)?)\s+\w+\s*(?=;|$)",
    re.IGNORECASE,
)
"""Statements that change nothing, and that the parser takes for expressions."""

_OUTFILE = re.compile(r"\bINTO\s+(?:OUT|DUMP)FILE\b", re.IGNORECASE)

_RUNS_TEXT = re.compile(
    r"\b(?:EXEC(?:UTE)?\s*\(|EXECUTE\s+IMMEDIATE\b|SP_EXECUTESQL\b)"
    r"(?:\s*N?'((?:[^']|'')*)'(?!\s*(?:\+|\|\|)))?",
    re.IGNORECASE,
)
"""What runs a text as SQL, and the text where it is given as it is."""

_MOST_TEXTS = 10

_ENDS = re.compile(r";|\*/")
"""What ends a statement, or a comment, to some database."""

_LOSES = re.compile(
    r"\b(?:DELETE|DROP|TRUNCATE|UPDATE|ALTER|GRANT|REVOKE|EXEC(?:UTE)?|CALL)\b", re.IGNORECASE
)


def assess_text(text: str, dialect: str | None = None) -> Statements:
    """Read a batch. `dialect` is tried first."""
    if len(text) > LONGEST:
        return UNREADABLE
    text = _SAVEPOINT.sub(r"\1 SELECT 1 ", text)
    plain = text
    if "/*" in text:
        end = text.rfind("*/") + 2  # behind it the expression would look for an end again and again
        plain = _EXECUTABLE_COMMENT.sub(r" ; \1 ; ", text[:end]) + text[end:]
    if not plain.strip(" \t\r\n;"):
        return UNREADABLE if text.strip() or not text else NOTHING
    if _OUTFILE.search(plain) and _OUTFILE.search(without_strings(plain)):
        return Statements(
            SqlWorst.DESTRUCTIVE, None, "it writes a file on the database server", privilege=False
        )
    try:
        return _worst([_read(plain, dialect), *_texts_run(plain, dialect)])
    except RecursionError:
        return UNREADABLE


def _read(text: str, dialect: str | None) -> Statements:
    if dialect is None and (_AMBIGUOUS.search(text) or _nests_comments(text)):
        return _worst_reading(text)
    parsed = _parsed(text, dialect)
    return UNREADABLE if parsed is None else _worst([_statement(tree) for tree in parsed if tree])


def _texts_run(text: str, dialect: str | None) -> list[Statements]:
    """Judge the texts that a batch runs as SQL; one that is only put together then cannot be read."""
    if "exec" not in text.lower() or not _RUNS_TEXT.search(without_strings(text)):
        return []
    texts = [found[1] for found in _RUNS_TEXT.finditer(text)]
    if None in texts or len(texts) > _MOST_TEXTS:
        return [UNREADABLE]
    return [assess_text(text.replace("''", "'"), dialect) for text in texts]


def _nests_comments(text: str) -> bool:
    """Whether a comment starts inside of another, which to some databases is none."""
    start = text.find("/*")
    while start >= 0:
        inner, end = text.find("/*", start + 2), text.find("*/", start + 2)
        if inner >= 0 and (end < 0 or inner < end):
            return True
        start = inner if end >= 0 else -1
    return False


def _worst_reading(text: str) -> Statements:
    """Judge text that is other statements to another database, by the worst of its readings."""
    readings = []
    for name in likeliest(text, least=2):
        # To MySQL two hyphens without white space behind them are no comment.
        found = trees(re.sub(r"--(?=\S)", "- -", text) if name == "mysql" else text, name)
        if found is not None:
            readings.append(found)
        elif (end := _ENDS.search(text)) and _LOSES.search(text, end.end()):
            return UNREADABLE  # some databases run what comes before the fault
    if not readings:
        return UNREADABLE
    return _worst([_statement(tree) for reading in readings for tree in reading if tree])


def note(facts: Facts, found: Statements) -> None:
    """Add what was found to the facts; the worst batch of an action counts."""
    if facts.sql is None or _RANK[found.worst] > _RANK[facts.sql]:
        facts.sql, facts.sql_detail = found.worst, found.detail
    facts.unbounded = facts.unbounded or found.unbounded
    if found.privilege:
        facts.signal(Signal.PRIVILEGE, found.detail)


def _parsed(text: str, dialect: str | None) -> list[exp.Expr | None] | None:
    """The statements by the first dialect that understands all of them, else by the first that reads any."""
    fallback = None
    for name in likeliest(text, dialect, least=1):
        found = trees(text, name)
        if found is None:
            continue
        if not any(isinstance(tree, exp.Command) for tree in found):
            return found
        fallback = fallback or found
    return fallback


_RANK = {worst: rank for rank, worst in enumerate(SqlWorst)}


def _worst(found: list[Statements]) -> Statements:
    if not found:
        return NOTHING
    if len(found) == 1:
        return found[0]
    worst = max(found, key=lambda one: _RANK[one.worst])
    unbounded = next((s.unbounded for s in found if s.unbounded), None)
    rights = next((s for s in found if s.privilege), None)
    detail = rights.detail if rights is not None and worst.worst is SqlWorst.DESTRUCTIVE else worst.detail
    return Statements(worst.worst, unbounded, detail, rights is not None)


def _statement(tree: exp.Expr) -> Statements:
    """Judge one statement by every node in it that acts; one of a kind nobody knows is destructive."""
    found = [judge(node) for node in tree.walk() if (judge := _JUDGES[type(node)]) is not None]
    if _JUDGES[type(tree)] is None and not isinstance(tree, _HARMLESS):
        found.append(destructive(f"{type(tree).__name__.upper()}, whose effect cannot be read"))
    return _worst(found)


Judge = Callable[[exp.Expr], Statements]


class _Judges(dict[type, Judge | None]):
    """By class of node: its own judge, or that of the nearest class above it that has one."""

    def __missing__(self, kind: type) -> Judge | None:
        found = next((self[base] for base in kind.__mro__[1:] if base in self), None)
        self[kind] = found
        return found


def _delete(node: exp.Expr) -> Statements:
    return destructive("DELETE", _no_bound(node, "DELETE"))


def _update(node: exp.Expr) -> Statements:
    if isinstance(node.parent, exp.When):
        return write("MERGE")  # its condition is the one that MERGE matches by
    reason = _no_bound(node, "UPDATE")
    return destructive("UPDATE of every row", reason) if reason else write("UPDATE")


def _no_bound(node: exp.Expr, verb: str) -> str | None:
    where = node.args.get("where")
    if where is None:
        return f"{verb} without WHERE"
    if _always(where.this):
        return f"{verb} with a condition that is always true"
    return None


def _always(node: exp.Expr) -> bool:
    """Whether a condition holds for every row as far as its constants tell."""
    node = node.unnest()
    if isinstance(node, exp.Or):
        choices = list(node.flatten())
        return any(map(_always, choices)) or any(map(_complements, choices, choices[1:]))
    if isinstance(node, exp.And):
        return all(map(_always, node.flatten()))
    if isinstance(node, exp.Not):
        return _never(node.this)
    if isinstance(node, exp.Boolean):
        return bool(node.this)
    if isinstance(node, exp.Exists):
        return not any(node.find_all(exp.Column))
    if _same_column(node):
        return True
    return _constant(node, wanted=True)


def _never(node: exp.Expr) -> bool:
    node = node.unnest()
    if isinstance(node, exp.Boolean):
        return not node.this
    if isinstance(node, exp.Not):
        return _always(node.this)
    return _constant(node, wanted=False)


def _complements(left: exp.Expr, right: exp.Expr) -> bool:
    """`a OR NOT a`, `x = 1 OR x <> 1`."""
    left, right = left.unnest(), right.unnest()
    if {type(left), type(right)} in _OPPOSITES:
        return bool(left.this == right.this and left.expression == right.expression)
    return _positive(left) == _positive(right) and _is_negated(left) is not _is_negated(right)


_OPPOSITES = ({exp.EQ, exp.NEQ}, {exp.GT, exp.LTE}, {exp.LT, exp.GTE})
"""Comparisons of which one holds for whatever is not NULL."""


def _is_negated(node: exp.Expr) -> bool:
    """`NOT a`, and `a IS NOT NULL`, which is read as an IS that is negated."""
    return isinstance(node, exp.Not) or bool(node.args.get("negate"))


def _positive(node: exp.Expr) -> exp.Expr:
    if isinstance(node, exp.Not):
        inner: exp.Expr = node.this.unnest()
        return inner
    return exp.Is(this=node.this.copy(), expression=node.expression.copy()) if _is_negated(node) else node


def _same_column(node: exp.Expr) -> bool:
    """`id = id`, `id >= id`, `name LIKE '%'`."""
    if isinstance(node, exp.EQ | exp.GTE | exp.LTE | exp.NullSafeEQ):
        return bool(node.left.unnest() == node.right.unnest())
    if isinstance(node, exp.Like | exp.ILike):
        return isinstance(node.expression, exp.Literal) and set(node.expression.this) == {"%"}
    return False


def _constant(node: exp.Expr, *, wanted: bool) -> bool:
    """Whether a condition without columns has the wanted value; what cannot be computed counts as true."""
    if any(node.find_all(exp.Column, exp.Placeholder, exp.Parameter, exp.Subquery, exp.Select)):
        return False
    if isinstance(node, exp.Literal):
        return (node.this not in ("0", "", "f", "false")) is wanted
    left, right = node.args.get("this"), node.args.get("expression")
    if isinstance(left, exp.Literal) and isinstance(right, exp.Literal):
        return _compare(node, left, right) is wanted
    return wanted


def _compare(node: exp.Expr, left: exp.Literal, right: exp.Literal) -> bool:
    try:
        x, y = float(left.this), float(right.this)
    except ValueError:
        if isinstance(node, exp.EQ | exp.NEQ):
            return (left.this == right.this) is isinstance(node, exp.EQ)
        return True
    match node:
        case exp.EQ():
            return x == y
        case exp.NEQ():
            return x != y
        case exp.GT():
            return x > y
        case exp.GTE():
            return x >= y
        case exp.LT():
            return x < y
        case exp.LTE():
            return x <= y
    return True


def _drop(node: exp.Expr) -> Statements:
    kind = str(node.args.get("kind") or "").upper() or "TABLE"
    if USER_DDL.match(f"DROP {kind}"):
        return Statements(
            SqlWorst.DESTRUCTIVE, f"DROP {kind}", f"DROP {kind} changes who may do what", privilege=True
        )
    return destructive(f"DROP {kind}", f"DROP {kind} removes all of it")


def _truncate(node: exp.Expr) -> Statements:
    return destructive("TRUNCATE", "TRUNCATE removes every row")


def _alter(node: exp.Expr) -> Statements:
    kind = str(node.args.get("kind") or "").upper()
    if USER_DDL.match(f"ALTER {kind}"):
        return rights(f"ALTER {kind} changes who may do what")
    actions = node.args.get("actions") or []
    if any(isinstance(action, exp.Drop) for action in actions):
        return destructive("ALTER that drops", "it drops a column or a constraint with all it holds")
    adds = (exp.ColumnDef, exp.AddConstraint, exp.AddPartition)
    if actions and all(isinstance(action, adds) for action in actions):
        return write("ALTER that adds")
    return destructive("ALTER")


def _copy(node: exp.Expr) -> Statements:
    text = node.sql()
    if re.search(r"\bPROGRAM\b", without_strings(text), re.IGNORECASE):
        return destructive("COPY runs a program on the database server")
    files = node.args.get("files") or []
    if not node.args.get("kind") and files:  # COPY … TO 'file'
        return destructive("COPY writes a file on the database server")
    return write("COPY")


def _merge(node: exp.Expr) -> Statements:
    if any(str(then.this).upper() == "DELETE" for then in node.find_all(exp.Var)):
        on = node.args.get("on")
        every = on is not None and _always(on)
        return destructive("MERGE that deletes", "MERGE matches every row" if every else None)
    return write("MERGE")


def _call(node: exp.Expr) -> Statements:
    return destructive("it runs a procedure whose effect cannot be read")


def _function(node: exp.Expr) -> Statements:
    name = str(node.this) if isinstance(node, exp.Anonymous) else type(node).__name__
    return destructive(f"{name} acts outside of the tables") if ACTS.fullmatch(name) else NOTHING


def _of_package(node: exp.Expr) -> Statements:
    """Oracle's `utl_http.request(…)`."""
    package = node.this.sql()
    return destructive(f"{package} acts outside of the tables") if ACTS.fullmatch(package) else NOTHING


def _create(node: exp.Expr) -> Statements:
    kind = str(node.args.get("kind") or "").upper()
    if USER_DDL.match(f"CREATE {kind}"):
        return rights(f"CREATE {kind} changes who may do what")
    if kind in ("FUNCTION", "PROCEDURE", "EXTENSION") and FOREIGN_CODE.search(node.sql()):
        return destructive(f"CREATE {kind} acts outside of the tables")
    replaces = bool(node.args.get("replace")) and kind == "TABLE"
    return (
        destructive("CREATE OR REPLACE TABLE", "it replaces a table with all it holds")
        if replaces
        else write("CREATE")
    )


def _insert(node: exp.Expr) -> Statements:
    if node.args.get("overwrite"):
        return destructive("INSERT OVERWRITE", "it replaces every row")
    return write("INSERT")


def _select(node: exp.Expr) -> Statements:
    return write("SELECT … INTO") if node.args.get("into") else NOTHING


def _set(node: exp.Expr) -> Statements:
    text = without_strings(node.sql())
    if USER_DDL.match(text):
        return rights("it changes the role or a password")
    return write("SET of the whole server") if SERVER_SETTING.search(text) else NOTHING


def _command(node: exp.Expr) -> Statements:
    """A statement that the library keeps as text."""
    argument = node.args.get("expression")
    rest = str(argument.this if isinstance(argument, exp.Literal) else argument or "")
    found = kept_as_text(str(node.this).upper(), rest)
    return assess_text(found) if isinstance(found, str) else found


def _kill(node: exp.Expr) -> Statements:
    return destructive("it ends other sessions")


def _pragma(node: exp.Expr) -> Statements:
    text = node.sql()
    return destructive("PRAGMA writable_schema") if "writable_schema" in text.lower() else NOTHING


def _right(node: exp.Expr) -> Statements:
    return rights(f"{type(node).__name__.upper()} changes who may do what")


def _plain_write(node: exp.Expr) -> Statements:
    return write(type(node).__name__.upper())


_HARMLESS = (
    exp.Query,
    exp.Describe,
    exp.Show,
    exp.Use,
    exp.Transaction,
    exp.Commit,
    exp.Rollback,
    exp.Values,
    exp.Table,
    exp.Semicolon,
    exp.EndStatement,
    exp.Analyze,
    exp.Detach,
)
"""Statements that by themselves change nothing."""

_JUDGES = _Judges(
    {
        exp.Alter: _alter,
        exp.Anonymous: _function,
        exp.Attach: _plain_write,
        exp.Command: _command,
        exp.Comment: _plain_write,
        exp.Copy: _copy,
        exp.Create: _create,
        exp.Delete: _delete,
        exp.Dot: _of_package,
        exp.Drop: _drop,
        exp.Execute: _call,
        exp.Grant: _right,
        exp.Insert: _insert,
        exp.Kill: _kill,
        exp.LoadData: _plain_write,
        exp.Merge: _merge,
        exp.Pragma: _pragma,
        exp.Revoke: _right,
        exp.Select: _select,
        exp.Set: _set,
        exp.TruncateTable: _truncate,
        exp.Update: _update,
    }
)
"""What a statement, or a part of one, does. What is not here does nothing by itself."""
