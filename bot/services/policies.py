"""Policies on disk: reading them, and keeping the last good set.

A set is read as a whole. One fault anywhere refuses all of it, so nobody runs with half of what
was meant; every fault is reported at once, with file, line and column.
"""

import logging
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.reader import ReaderError

from bot.core.policy import WORKSPACE, Fault, PolicyError, PolicySet, Problem, build, dotted
from bot.core.policy.problems import Location
from bot.services import plugins
from bot.services.yaml_nodes import Node, compose
from bot.services.yaml_slips import Slip, place, slip, unreadable

log = logging.getLogger(__name__)

LARGEST = 1 << 20
"""Bytes of one file."""

_MOST_NODES = 50_000
"""Values in one file, counting each use of an alias: a few lines of them can stand for billions."""

_DEEPEST = 20

_MOST_DIGITS = 60
"""Of a number before or behind its point: sums of larger ones overflow."""


@dataclass(frozen=True, slots=True)
class Document:
    """A parsed file: its value, and where each part of it stands (line and column from 1)."""

    name: str
    value: Any
    marks: dict[Location, tuple[int, int]]


def load(directory: Path) -> PolicySet:
    """Read every policy directly in a directory.

    Raises:
        PolicyError: with every problem that was found.
    """
    documents, problems = read_documents(directory)
    if problems:
        raise PolicyError(problems)
    return _built(documents)


def load_one(directory: Path, name: str) -> PolicySet:
    """Read one policy of a directory, an example for instance, with the workspace it is made for.

    Raises:
        PolicyError: with every problem that was found.
    """
    path = directory / name
    if not path.is_file():
        raise PolicyError([Problem(name, 1, 1, "", "is not there", f"name a file below {directory}")])
    workspace = directory / WORKSPACE
    documents = {path.name: parse(path.name, path.read_bytes())}
    if workspace.is_file():
        documents[WORKSPACE] = parse(WORKSPACE, workspace.read_bytes())
    return _built(documents)


def _built(documents: dict[str, Document]) -> PolicySet:
    values = {name: document.value for name, document in documents.items()}
    built = build(values, kinds=plugins.installed())
    if isinstance(built, PolicySet):
        return built
    raise PolicyError([located(fault, documents[fault.file]) for fault in built])


@dataclass(frozen=True, slots=True)
class Reading:
    """What a look at the directory found: a good set, or all that is wrong."""

    policies: PolicySet | None
    problems: tuple[Problem, ...] = ()


class Policies:
    """The set in force: the last one that was good."""

    def __init__(self, directory: Path) -> None:
        """Read the directory; a broken set refuses to start.

        Raises:
            PolicyError: with every problem that was found.
        """
        self._directory = directory
        self._current = load(directory)
        self._stale = False

    @property
    def current(self) -> PolicySet:
        """What actions are judged by."""
        return self._current

    @property
    def directory(self) -> Path:
        """Where the files are."""
        return self._directory

    @property
    def stale(self) -> bool:
        """Whether the files have become unusable since, so that an older set is in force."""
        return self._stale

    def read(self) -> Reading:
        """Look at the files as they are; nothing changes. It may take a second: call it in a thread."""
        try:
            return Reading(load(self._directory))
        except PolicyError as error:
            return Reading(None, error.problems)
        except Exception as error:
            # Whatever it is that we did not foresee in a file: the set in force must outlive it.
            log.exception("policies cannot be read", extra={"event": "policy_unreadable"})
            where, wrong = str(self._directory), f"cannot be read: {type(error).__name__}"
            return Reading(None, (Problem(where, 1, 1, "", wrong, "undo the last change, and report this"),))

    def adopt(self, fresh: PolicySet) -> None:
        """Judge by this set from here on; what is being judged keeps the one it began with."""
        self._current, self._stale = fresh, False

    def refuse(self) -> None:
        """Note that the files are unusable; the set in force stays."""
        self._stale = True


def read_documents(directory: Path) -> tuple[dict[str, Document], list[Problem]]:
    """Every file directly in a directory, parsed, and what is wrong with those that cannot be."""
    if not directory.is_dir():
        where = str(directory)
        return {}, [Problem(where, 1, 1, "", "is not a directory", "point KEYTURN_POLICIES at the policies")]
    documents: dict[str, Document] = {}
    problems: list[Problem] = []
    for path in sorted(found for found in directory.iterdir() if _is_policy(found)):
        if path.stem.lower() == "workspace" and path.name != WORKSPACE:
            problems.append(
                Problem(path.name, 1, 1, "", "is no policy, and no workspace", f"rename it to {WORKSPACE}")
            )
            continue
        try:
            documents[path.name] = parse(path.name, path.read_bytes())
        except PolicyError as error:
            problems.extend(error.problems)
        except OSError as error:
            problems.append(
                Problem(path.name, 1, 1, "", f"cannot be read: {error.strerror}", "mend its permissions")
            )
    if not problems and not documents.keys() - {WORKSPACE}:
        problems.append(
            Problem(
                str(directory), 1, 1, "", "holds no policy", "add one; policies/default.yaml is a safe start"
            )
        )
    return documents, problems


def _is_policy(path: Path) -> bool:
    """Also in capitals: what looks like a policy must not be left out without a word."""
    return path.suffix.lower() in (".yaml", ".yml") and path.is_file()


def parse(name: str, content: bytes, *, top: tuple[type, ...] = (dict,)) -> Document:
    """Parse one YAML file; `top` is what it may hold at its top.

    Raises:
        PolicyError: not YAML, or YAML that readers disagree about.
    """
    text, reader = "", _Reader()
    try:
        if len(content) > LARGEST:
            raise _Refused(1, 1, "is larger than 1 MiB", "split it into several policies")
        text = content.decode("utf-8-sig")
        node = compose(text)
        value = {} if node is None else reader.value(node, (), 0)
        if not isinstance(value, top):
            raise _Refused(1, 1, "is not a mapping of keys", "start it with name: …")
    except UnicodeDecodeError as error:
        read = content[: error.start].decode("utf-8-sig")
        raise _slipped(name, Slip(*place(read, len(read)), "is not UTF-8 text", "save it as UTF-8")) from None
    except _Refused as error:
        raise PolicyError(
            [Problem(name, error.line, error.column, error.key, error.wrong, error.instead)]
        ) from None
    except ReaderError as error:
        raise _slipped(name, unreadable(text, error)) from None
    except MarkedYAMLError as error:
        raise _slipped(name, slip(text, error)) from None
    except (YAMLError, ValueError, RecursionError) as error:
        raise _slipped(name, Slip(1, 1, f"is not YAML: {error}")) from None
    return Document(name, value, reader.marks)


def _slipped(name: str, made: Slip) -> PolicyError:
    return PolicyError([Problem(name, made.line, made.column, "", made.wrong, made.instead)])


class _Refused(Exception):
    def __init__(self, line: int, column: int, wrong: str, instead: str, key: str = "") -> None:
        super().__init__(wrong)
        self.line, self.column, self.wrong, self.instead, self.key = line, column, wrong, instead, key


class _Reader:
    """YAML nodes to plain values: exact numbers, no duplicate keys, no tags, no endless aliases."""

    def __init__(self) -> None:
        self.marks: dict[Location, tuple[int, int]] = {}
        self.nodes = 0

    def value(self, node: Node, at: Location, depth: int) -> Any:
        self.nodes += 1
        mark = (node.start_mark.line + 1, node.start_mark.column + 1)
        self.marks.setdefault(at, mark)
        if depth > _DEEPEST or self.nodes > _MOST_NODES:
            raise _Refused(
                *mark, "is nested too deeply or too large", "write it out without aliases", dotted(at)
            )
        if node.id == "mapping":
            return self._mapping(node, at, depth)
        if node.id == "sequence":
            return [self.value(item, (*at, n), depth + 1) for n, item in enumerate(node.value)]
        return _scalar(node, mark, at)

    def _mapping(self, node: Node, at: Location, depth: int) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key_node, value_node in node.value:
            mark = (key_node.start_mark.line + 1, key_node.start_mark.column + 1)
            if key_node.id != "scalar" or key_node.value == "<<":
                raise _Refused(*mark, "keys must be plain text", "write the keys out", dotted(at))
            key = _whole(str(key_node.value), mark, at)
            if key in found:
                raise _Refused(*mark, f"the key {key} is there twice", "keep one of them", dotted((*at, key)))
            self.marks[(*at, key)] = mark
            found[key] = self.value(value_node, (*at, key), depth + 1)
        return found


def _scalar(node: Node, mark: tuple[int, int], at: Location) -> Any:
    tag = str(node.tag).rpartition(":")[2]
    text = str(node.value)
    match tag:
        case "str" | "timestamp":
            return _whole(text, mark, at)
        case "null":
            return None
        case "bool":
            return text.lower() in ("true", "yes", "on", "y")  # all but the first in YAML 1.1 alone
        case "int" | "float":
            return _number(text, mark, at)
    raise _Refused(
        *mark, f"the tag {node.tag} is not available", "write plain text, numbers, true or false", dotted(at)
    )


def _whole(text: str, mark: tuple[int, int], at: Location) -> str:
    """Text whose escaped surrogate pairs, as JSON writes them, are the characters that they stand for."""
    try:
        return text.encode("utf-16", "surrogatepass").decode("utf-16")
    except UnicodeDecodeError:
        raise _Refused(*mark, "holds half a character", "write the whole character", dotted(at)) from None


def _number(text: str, mark: tuple[int, int], at: Location) -> int | Decimal:
    plain = text.replace("_", "")
    try:
        number = int(plain) if plain.lstrip("+-").isdecimal() else Decimal(plain)
        if isinstance(number, Decimal) and abs(number.adjusted()) > _MOST_DIGITS:
            raise OverflowError
        return number
    except (ArithmeticError, ValueError):
        raise _Refused(
            *mark,
            f"{text[:40]} is not a decimal number of a usual size",
            "write digits, as in 1000 or 0.5",
            dotted(at),
        ) from None


def located(fault: Fault, document: Document) -> Problem:
    """Find the line of a fault: that of the longest part of its location that the file has."""
    location = fault.location
    while location and location not in document.marks:
        location = location[:-1]
    line, column = document.marks.get(location, (1, 1))
    return Problem(document.name, line, column, dotted(fault.location), fault.wrong, fault.instead)
