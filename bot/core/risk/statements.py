"""What one statement of SQL can lose, and statements that a parser keeps as text."""

import re
from dataclasses import dataclass

from bot.core.risk.facts import SqlWorst
from bot.core.risk.tables import names


@dataclass(frozen=True, slots=True)
class Statements:
    """What a batch does. `unbounded` says why it has no bound; `privilege`: it hands out rights."""

    worst: SqlWorst
    unbounded: str | None
    detail: str
    privilege: bool


UNREADABLE = Statements(
    SqlWorst.DESTRUCTIVE, "the SQL cannot be read", "SQL that cannot be read", privilege=False
)
NOTHING = Statements(SqlWorst.READ, None, "nothing", privilege=False)

ACTS = re.compile(
    r"\b(xp_cmdshell|xp_reg\w+|sp_oacreate|sp_configure|lo_export|lo_import|pg_read_file|pg_write_file|pg_ls_dir"
    r"|pg_terminate_backend|pg_cancel_backend|dblink\w*|openrowset|opendatasource|openquery|load_extension|sys_exec"
    r"|sys_eval|utl_(?:file|http|tcp|smtp|mail)|dbms_(?:scheduler|job|java|sql|xmlquery|xmlgen|ldap)"
    r"|pg_file_write|query_to_xml|load_file|setval|pg_reload_conf|pg_switch_wal|writefile|fts3_tokenizer)\b",
    re.IGNORECASE,
)
FOREIGN_CODE = re.compile(
    r"CREATE\b.*(\bLANGUAGE\s+'?(plpython\w*u|plperlu|pltclu|plsh|c)\b|\bSONAME\b)"
    r"|CREATE\s+EXTENSION\s+(IF\s+NOT\s+EXISTS\s+)?\W?(plpython\w*u|plperlu|pltclu|plsh|file_fdw|adminpack)\b"
    r"|VACUUM\s+(\w+\s+)?INTO\b",
    re.IGNORECASE | re.DOTALL,
)
"""What loads code that runs as the server, or makes a file there."""

USER_DDL = re.compile(
    r"(CREATE|ALTER|DROP)\s+(OR\s+REPLACE\s+)?(USER|ROLE|LOGIN|GROUP|POLICY)\b|SET\s+(LOCAL\s+|SESSION\s+)?"
    r"(ROLE|SESSION\s+AUTHORIZATION|PASSWORD)\b|(GRANT|REVOKE|DENY)\b|ALTER\s+DEFAULT\s+PRIVILEGES|REASSIGN\s+OWNED",
    re.IGNORECASE,
)
SERVER_SETTING = re.compile(r"(?:\bSET|,)\s+(?:@@)?(?:GLOBAL|PERSIST(?:_ONLY)?)\b", re.IGNORECASE)
"""A setting that is not the session's own."""

_ADDS = re.compile(r"TABLE\s+(IF\s+EXISTS\s+)?(ONLY\s+)?\S+\s+ADD\b", re.IGNORECASE)
_VERBS = re.compile(
    r"\b(DELETE|DROP|TRUNCATE|UPDATE|INSERT|ALTER|GRANT|REVOKE|CREATE|EXEC(UTE)?|CALL|COPY|MERGE)\b",
    re.IGNORECASE,
)
_BODIES = re.compile(
    r"(OR\s+(REPLACE|ALTER)\s+)?(\w+\s+)?(FUNCTION|PROC|PROCEDURE|TRIGGER|RULE|EVENT|PACKAGE)\b",
    re.IGNORECASE,
)
"""What is made of statements that run another time."""

_COMMAND_READS = frozenset(
    names(
        "SHOW EXPLAIN DESCRIBE DESC ANALYZE USE BEGIN START COMMIT ROLLBACK SAVEPOINT RELEASE END "
        "HELP VALUES TABLE CHECKPOINT FETCH CLOSE DECLARE DISCARD LISTEN PRAGMA SET RESET"
    )
)
_COMMAND_WRITES = frozenset(
    names(
        "REPLACE VACUUM REINDEX CREATE COMMENT ANALYZE OPTIMIZE REFRESH CLUSTER LOCK UNLOCK NOTIFY "
        "UPSERT IMPORT INSERT UNLISTEN CACHE LOAD PUT GET ATTACH DETACH"
    )
)


def write(detail: str) -> Statements:
    """A write that loses nothing."""
    return Statements(SqlWorst.WRITE, None, detail, privilege=False)


def destructive(detail: str, unbounded: str | None = None) -> Statements:
    """A statement that loses something; `unbounded` says why it may lose everything."""
    return Statements(SqlWorst.DESTRUCTIVE, unbounded, detail, privilege=False)


def rights(detail: str) -> Statements:
    """A statement that changes who may do what."""
    return Statements(SqlWorst.DESTRUCTIVE, None, detail, privilege=True)


def without_strings(text: str) -> str:
    """SQL with its string literals emptied."""
    return re.sub(r"'(?:[^']|'')*'", "''", text)


def kept_as_text(verb: str, rest: str) -> Statements | str:
    """Judge by the leading words; unknown ones are destructive. A text is to be assessed in its place."""
    whole = f"{verb} {rest}".strip()
    if USER_DDL.match(whole):
        removed = f"{verb} removes all of it" if verb == "DROP" else None
        return Statements(SqlWorst.DESTRUCTIVE, removed, f"{verb} changes who may do what", privilege=True)
    if verb in ("EXPLAIN", "DESCRIBE"):
        analyses = re.match(r"(\(.*?\banaly[sz]e\b.*?\)|analy[sz]e)\s*(.*)", rest, re.IGNORECASE | re.DOTALL)
        return analyses[2] if analyses else NOTHING
    if verb in ("PREPARE",):
        return rest.partition(" AS ")[2] or rest.partition(" as ")[2]
    if ACTS.search(whole) or FOREIGN_CODE.search(whole):
        return destructive(f"{verb} acts outside of the tables")
    if verb == "ALTER" and _ADDS.match(rest):
        dropped = re.search(r"\bDROP\b", rest, re.IGNORECASE)
        return (
            destructive("ALTER that drops", "it drops a column or a constraint")
            if dropped
            else write("ALTER that adds")
        )
    if verb in ("DROP", "TRUNCATE", "FLUSH", "PURGE") or re.match(r"RESET\s+(MASTER|SLAVE|REPLICA)\b", whole):
        return destructive(verb, f"{verb} removes all of it")
    # T-SQL needs nothing between statements, so another may stand behind this one.
    if (
        verb != "SHOW"
        and not (verb == "CREATE" and _BODIES.match(rest))
        and _VERBS.search(without_strings(rest))
    ):
        return UNREADABLE
    if verb == "SET" and SERVER_SETTING.search(without_strings(whole)):
        return write("SET of the whole server")
    if verb in _COMMAND_READS:
        return NOTHING
    return write(verb) if verb in _COMMAND_WRITES else destructive(f"{verb}, whose effect cannot be read")
