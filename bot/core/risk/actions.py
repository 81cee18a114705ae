"""What an action of each type would do."""

import re
from collections.abc import Callable, Iterable

from bot.core.models import MONEY_TYPES, Action
from bot.core.risk import paths, shell, sql
from bot.core.risk.expansions import MOST_WORDS
from bot.core.risk.facts import Access, Facts, Signal, Touched
from bot.core.risk.names import host_of, is_internal, texts_in
from bot.core.risk.programs import FILE_TOOLS, HANDLERS, is_dangerous
from bot.core.risk.programs.unknown import looks_like_path, unknown_program
from bot.core.risk.reading import Reading
from bot.core.risk.tables import names
from bot.core.risk.words import Simple, Word

_PLACES = ("environment", "database", "cluster", "namespace", "host")
"""Params that name where an action works."""

_READING_TYPE = re.compile(r"(.*[_.:-])?(read|get|list|stat|view|show|fetch|open|search|download)([_.:-].*)?")


def analyse(action: Action) -> Facts:
    """Read an action; never raises on parsed JSON."""
    facts = Facts(action.type, action.params)
    for key in _PLACES:
        if key in action.params:
            for name in texts_in(action.params[key]):
                facts.name(name)
    _READERS.get(action.type, _unknown)(facts)
    return facts


def _path(facts: Facts, access: Access, *, recursive: bool = False) -> None:
    value = facts.params.get("path")
    if not isinstance(value, str) or not value:
        facts.unreadable_paths |= value is not None
    _touch(facts, texts_in(value), access, recursive=recursive)


def _touch(facts: Facts, found: Iterable[str], access: Access, *, recursive: bool = False) -> None:
    cwd = facts.params.get("cwd")
    for text in filter(None, found):
        place = paths.resolve(text, cwd if isinstance(cwd, str) else None)
        for form in place.forms:
            facts.paths.append(Touched(form, access, recursive, paths.is_glob(form), place.readable))


def _file_write(facts: Facts) -> None:
    _path(facts, Access.WRITE)


def _file_delete(facts: Facts) -> None:
    _path(facts, Access.DELETE, recursive=facts.params.get("recursive") not in (None, False))


def _command(facts: Facts) -> None:
    command, args, cwd = (facts.params.get(key) for key in ("command", "args", "cwd"))
    reading = Reading(
        facts,
        HANDLERS,
        unknown_program,
        FILE_TOOLS,
        is_dangerous,
        cwd if isinstance(cwd, str) and cwd else None,
    )
    if not isinstance(command, str) or not command.strip():
        facts.signal(Signal.OPAQUE, "there is no command to read")
        facts.unreadable_paths = True
        return
    if args is None:
        reading.shell(command)
        return
    if not isinstance(args, list) or not all(isinstance(arg, str | int) for arg in args):
        facts.signal(Signal.OPAQUE, "the arguments are not a list of texts")
        facts.unreadable_paths = True
        args = [arg for arg in args if isinstance(arg, str)] if isinstance(args, list) else []
    if len(args) > MOST_WORDS or sum(len(str(arg)) for arg in args) > shell.LONGEST:
        facts.signal(Signal.OPAQUE, "there are more arguments than are read")
        facts.unreadable_paths = True
        args = args[: shell.MOST_COMMANDS]  # enough to see the worst of what is not hidden
    _argv(reading, command, [str(arg) for arg in args])


def _argv(reading: Reading, command: str, args: list[str]) -> None:
    """A program with its arguments, started without a shell; or a shell line with more words at its end."""
    if not args or re.search(r"\s", command.strip()):
        # Agents put whole lines here; a runner that splits or shells them would run the line.
        reading.shell(" ".join([command, *(_quoted(arg) for arg in args)]))
        return
    simple = Simple([Word(command.strip()), *(Word(arg) for arg in args)])
    reading.simple(simple)
    if not _OPERATORS.isdisjoint(args):
        # No program takes these alone: whoever sends them expects a shell to read them.
        reading.shell(" ".join([command, *args]))


_OPERATORS = frozenset({"&&", "||", "|", "|&", "&", ";", ">", ">>", "<"})


def _quoted(arg: str) -> str:
    return arg if re.fullmatch(r"[\w@%+=:,./*?\[\]~-]+", arg) else "'" + arg.replace("'", "'\\''") + "'"


def _database(facts: Facts) -> None:
    query = facts.params.get("query")
    found = sql.assess_text(query if isinstance(query, str) else "")
    sql.note(facts, found)


def _network(facts: Facts) -> None:
    url = facts.params.get("url")
    host = host_of(url) if isinstance(url, str) else ""
    if is_internal(host):
        facts.signal(Signal.INTERNAL, f"{host} is inside the network")
    elif not host:
        facts.signal(Signal.INTERNAL, "the address cannot be read")
    if isinstance(url, str) and url.lower().startswith("file:"):
        place = paths.resolve(url)
        facts.paths.append(Touched(place.path, Access.READ, readable=place.readable))


def _nothing(facts: Facts) -> None:
    """Types whose score is told by their params alone."""


_PATH_PARAMS = frozenset(
    names(
        "path paths file files filename filepath filepaths source sourcepath destination destinationpath src "
        "dst dest oldpath newpath target targetpath directory dir"
    )
)
"""Params that tools nobody knows give paths in; case, `_` and `-` do not matter."""


def _unknown(facts: Facts) -> None:
    access = Access.READ if _READING_TYPE.fullmatch(facts.type) is not None else Access.UNKNOWN
    _path(facts, access)
    for key, value in facts.params.items():
        if key != "path" and re.sub(r"[_-]", "", key).lower() in _PATH_PARAMS:
            _touch(facts, filter(looks_like_path, texts_in(value)), access)


_READERS: dict[str, Callable[[Facts], None]] = {
    "file_write": _file_write,
    "file_delete": _file_delete,
    "command_execute": _command,
    "network_request": _network,
    "database_modify": _database,
    **dict.fromkeys(
        (
            "config_change",
            "deployment",
            "user_data_access",
            "external_api_call",
            "system_modification",
            *MONEY_TYPES,
        ),
        _nothing,
    ),
}

KNOWN_TYPES = frozenset(_READERS)
"""Action types that Keyturn knows; any other is allowed and counts as unknown."""
