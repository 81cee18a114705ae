"""What an action would do, read once from its type and params.

Risk scores these facts and policy patterns look at them, so both always judge the same
reading. What could not be read is kept as unreadable, never dropped.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class Access(StrEnum):
    """What is done to a path. UNKNOWN counts as all of them."""

    READ = "read"
    WRITE = "write"
    DELETE = "delete"
    UNKNOWN = "unknown"


class Signal(StrEnum):
    """Something a command does that its score depends on."""

    DANGEROUS = "dangerous"
    PRIVILEGE = "privilege"
    DESTRUCTIVE = "destructive"
    OPAQUE = "opaque"
    REMOTE = "remote"
    INTERNAL = "internal"


class SqlWorst(StrEnum):
    """The worst statement of a batch."""

    READ = "read"
    WRITE = "write"
    DESTRUCTIVE = "destructive"


@dataclass(frozen=True, slots=True)
class Touched:
    """A path the action touches, in normal form.

    `glob` is true when the shell expands it; `readable` is false when a part of it is unknown,
    and `path` is then the best guess.
    """

    path: str
    access: Access
    recursive: bool = False
    glob: bool = False
    readable: bool = True


@dataclass(frozen=True, slots=True)
class Line:
    """One simple command as patterns see it.

    `text` has its words quoted where a shell would need it; `forms` are all spellings a block or
    require pattern is searched in. `writes` is true when its output is redirected into a file.
    """

    text: str
    forms: tuple[str, ...]
    readable: bool = True
    writes: bool = False


@dataclass(slots=True)
class Facts:
    """Everything that risk and policy know of one action."""

    type: str
    params: Mapping[str, Any]
    paths: list[Touched] = field(default_factory=list)
    lines: list[Line] = field(default_factory=list)
    signals: dict[Signal, str] = field(default_factory=dict)
    environments: list[str] = field(default_factory=list)
    """Names of the places the action works on: environments, databases, clusters, hosts."""
    sql: SqlWorst | None = None
    sql_detail: str = ""
    unbounded: str | None = None
    """Why a SQL statement has no bound, or None."""
    file_tools_only: bool = True
    unreadable_paths: bool = False
    """It may touch paths beside the ones above, and nobody can tell which."""

    def signal(self, signal: Signal, detail: str) -> None:
        """Note what the action does; the first detail is kept."""
        self.signals.setdefault(signal, detail)

    def name(self, place: str) -> None:
        """Note the name of an environment, database, cluster or host."""
        if place and place not in self.environments:
            self.environments.append(place)
