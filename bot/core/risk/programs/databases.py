"""Database clients: the SQL they are given is read as SQL."""

import re

from bot.core.risk import sql
from bot.core.risk.facts import Access, Signal, SqlWorst
from bot.core.risk.options import Options, read
from bot.core.risk.programs import cloud
from bot.core.risk.reading import Call, Handler
from bot.core.risk.statements import Statements
from bot.core.risk.tables import names
from bot.core.risk.words import Word

_CLIENTS = {
    "psql": (
        "c command",
        "f file",
        "h host d dbname U p v set P pset variable username port L o output F R T",
        "postgres",
    ),
    "pgcli": ("", "", "h d U p", "postgres"),
    "mysql": ("e execute init-command", "", "h host D database u P S user port", "mysql"),
    "mariadb": ("e execute init-command", "", "h host D database u P S user port", "mysql"),
    "cockroach": ("e execute", "f file", "host url database", "postgres"),
    "sqlcmd": ("Q q", "i", "S d U P o", "tsql"),
    "clickhouse-client": ("q query", "queries-file", "h host d database u", "clickhouse"),
    "clickhouse": ("q query", "queries-file", "h host d database u", "clickhouse"),
    "snowsql": ("q query", "f filename", "a d dbname s w r c", "snowflake"),
    "trino": ("execute", "f file", "server catalog schema", "trino"),
    "presto": ("execute", "f file", "server catalog schema", "presto"),
    "beeline": ("e", "f", "u n p", "hive"),
    "hive": ("e", "f", "database", "hive"),
    "impala-shell": ("q query", "f", "i d", "hive"),
    "usql": ("c command", "f file", "", "postgres"),
    "cqlsh": ("e execute", "f file", "k u p", "postgres"),
}
"""Client: flags with SQL, flags with files of SQL, other flags with values, dialect."""


def client(call: Call) -> None:
    """SQL clients with the SQL in a flag, a file or their input."""
    inline, files, valued, dialect = _CLIENTS[call.name]
    # MySQL's -p takes its value only when that is attached to it.
    words = [w for w in call.args if not re.match(r"-p(?!$)", w.text)] if dialect == "mysql" else call.args
    options = read(words, f"{inline} {files} {valued}".split())
    for text in options.all(*inline.split()):
        _statement(call, text, dialect)
    given = [word for word in options.all(*files.split()) if word.text not in ("-", "/dev/stdin")]
    if given:
        call.touch(given, Access.READ)
        _unseen(call)
    elif not options.all(*inline.split()):
        _input(call, dialect)
    _places(call, options)


def sqlite(call: Call) -> None:
    """`sqlite3 FILE 'SQL'` and duckdb: dot commands can run programs and write files."""
    options = call.options("cmd init separator nullvalue newline c s")
    database, *texts = options.operands or [Word("")]
    statements = [*texts, *options.all("cmd", "c", "s")]
    for text in statements:
        if text.text.lstrip().startswith("."):
            _dot_command(call, text.text.strip())
        else:
            _statement(call, text, "duckdb" if call.name == "duckdb" else "sqlite")
    if not statements:
        _input(call, "sqlite")
    writes = call.facts.sql is not None and call.facts.sql is not SqlWorst.READ
    call.touch([database], Access.WRITE if writes else Access.READ)
    call.facts.name(database.text.rsplit("/", 1)[-1])


def _dot_command(call: Call, text: str) -> None:
    verb, _, rest = text.partition(" ")
    if verb in (".shell", ".system", ".load", ".import", ".read") or "|" in rest:
        call.opaque(f"sqlite's {verb} runs or loads something else")
        if verb in (".shell", ".system"):
            call.shell(rest)
    elif verb in (".output", ".once", ".backup", ".save", ".restore", ".clone"):
        call.touch([Word(rest.strip())], Access.WRITE)


def bigquery(call: Call) -> None:
    """`bq query 'SQL'`; its other verbs are those of a cloud tool."""
    options = call.options("project_id location format n max_rows")
    if options.texts[:1] != ["query"]:
        cloud.cloud(call)
        return
    for text in options.operands[1:]:
        _statement(call, text, "bigquery")
    if len(options.operands) < 2:
        _input(call, "bigquery")
    for project in options.all("project_id"):
        call.facts.name(project.text)


def redis(call: Call) -> None:
    """`redis-cli`."""
    options = call.options("h p a u n s", stop=True)
    words = [word.text.upper() for word in options.operands]
    text = call.input_text or ""
    if options.has("eval", "ldb", "rdb"):
        call.opaque("redis runs a script that cannot be read here")
    if re.search(r"\b(FLUSHALL|FLUSHDB|SHUTDOWN)\b", " ".join([*words, text.upper()])):
        call.signal(Signal.DESTRUCTIVE, "redis loses all its data")
    if call.in_bulk and words[:1] and words[0] in ("DEL", "UNLINK"):
        call.signal(Signal.DESTRUCTIVE, "redis deletes whatever keys it is given")
    if words[:1] and words[0] in ("EVAL", "SCRIPT", "MODULE", "CONFIG", "DEBUG", "SLAVEOF", "REPLICAOF"):
        call.opaque(f"redis {words[0]} changes or runs what cannot be read here")
    _places(call, options)


def document_store(call: Call) -> None:
    """`mongo --eval`: JavaScript."""
    options = call.options("eval host port u p username password db f file")
    code = " ".join([*(w.text for w in options.all("eval")), call.input_text or ""])
    if re.search(r"\b(dropDatabase|drop|deleteMany|remove|dropUser|dropIndexes|shutdownServer)\s*\(", code):
        call.signal(Signal.DESTRUCTIVE, "it drops or deletes in the database")
    elif code.strip():
        call.opaque(f"{call.name} runs code given on the command line")
    for name in options.operands[:1]:
        call.facts.name(name.text)
    _places(call, options)


def migrate(call: Call) -> None:
    """Migration tools and the admin clients of queues and stores: by their words."""
    options = call.options(
        "schema url c config config-file host h topic bucket bootstrap-server name n env e"
    )
    words = " ".join([*options.texts, *options.flags])
    if found := re.search(_UNDOES, words):
        call.signal(Signal.DESTRUCTIVE, f"{call.name} {found[1]} loses data")
    _places(call, options)


_UNDOES = re.compile(
    r"(?:^|[\s:])(reset|drop\S*|clean|downgrade|rollback\S*|delete\S*|del|revert|undo|purge\S*|accept-data-loss|force-reset"
    r"|fresh|destroy)(?=[\s:]|$)",
    re.IGNORECASE,
)


def drop(call: Call) -> None:
    """`dropdb`, `dropuser`."""
    call.signal(Signal.DESTRUCTIVE, f"{call.name} drops it with all it holds")
    options = call.options("h p U host port username")
    _places(call, options)
    for name in options.operands:
        call.facts.name(name.text)


def administer(call: Call) -> None:
    """`mysqladmin drop`, `pg_restore --clean`, `pg_dump`: by their words."""
    file_flag = "" if call.name == "mysqladmin" else "f"  # there it is --force
    options = call.options(
        f"{file_flag} h host d dbname U u p port file P username o databases database Z j F n t a"
    )
    texts = {word.text for word in options.operands}
    if texts & {"drop", "shutdown", "flush-hosts"} or (
        options.has("clean", "c") and call.name == "pg_restore"
    ):
        call.signal(Signal.DESTRUCTIVE, f"{call.name} drops what is there")
    call.touch(options.all("f", "file"), Access.READ if call.name == "pg_restore" else Access.WRITE)
    _places(call, options)


_MOST_BATCHES = 6
"""Batches of SQL that are read of one action; garbage costs about 2 ms each, in every dialect."""


def _statement(call: Call, text: Word, dialect: str) -> None:
    for line in text.text.splitlines():
        if re.match(r"\s*\\(!|copy\b.*\bprogram\b|g\s*\||o\s*\|)", line):
            call.opaque("the client runs a shell command")
            call.shell(line.strip()[2:])
    plain = "\n".join(line for line in text.text.splitlines() if not line.lstrip().startswith("\\"))
    if not plain.strip():
        return
    call.reading.batches += 1
    if call.reading.batches > _MOST_BATCHES:
        call.opaque(f"it hands {call.name} and its kin more batches of SQL than are read")
        return
    sql.note(call.facts, sql.assess_text(plain if text.known else "", dialect))


def _input(call: Call, dialect: str) -> None:
    text = call.input_text
    if text is not None:
        _statement(call, Word(text), dialect)
    elif call.piped or call.input_redirected:
        call.opaque(f"{call.name} runs statements read from its input")


def _unseen(call: Call) -> None:
    """Statements in a file: it is known that there are some, not which."""
    sql.note(call.facts, Statements(SqlWorst.WRITE, None, "statements from a file", privilege=False))


def _places(call: Call, options: Options) -> None:
    for name in ("h", "host", "d", "D", "dbname", "database", "S", "u", "url", "server"):
        for word in options.all(name):
            if name != "u" or "://" in word.text:
                _place(call, word.text)
    if call.name not in ("redis-cli", "sqlite3", "duckdb"):
        for word in options.operands[:2]:
            _place(call, word.text)


def _place(call: Call, text: str) -> None:
    found = re.match(r"\w+://(?:[^@/]*@)?([^/?]*)/?([^?]*)", text)
    for part in (found[1], found[2]) if found else (text,):
        call.facts.name(part)


HANDLERS: dict[str, Handler] = {
    **dict.fromkeys(_CLIENTS, client),
    "sqlite3": sqlite,
    "sqlite": sqlite,
    "duckdb": sqlite,
    "bq": bigquery,
    "redis-cli": redis,
    "valkey-cli": redis,
    "keydb-cli": redis,
    "mongo": document_store,
    "mongosh": document_store,
    "dropdb": drop,
    "dropuser": drop,
    **dict.fromkeys(
        names(
            "alembic prisma sequelize sequelize-cli knex flyway liquibase typeorm drizzle-kit diesel sqlx "
            "goose dbmate flask influx kafka-topics kafka-topics.sh rabbitmqctl rabbitmqadmin etcdctl "
            "mongorestore nats"
        ),
        migrate,
    ),
    **dict.fromkeys(names("mysqladmin pg_restore pg_dump pg_dumpall mysqldump createdb"), administer),
}
