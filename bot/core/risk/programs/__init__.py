"""What well-known programs do with their arguments.

Each module reads one family and exports `HANDLERS`, programs by base name. `is_dangerous` tells
those that by themselves make a command a dangerous one; `FILE_TOOLS` only work on the files
they are given.
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from bot.core.risk.programs import (
    archives,
    cloud,
    containers,
    databases,
    files,
    git,
    interpreters,
    network,
    packages,
    searches,
    system,
    windows,
    wrappers,
)
from bot.core.risk.reading import Handler
from bot.core.risk.words import Word

HANDLERS: Mapping[str, Handler] = MappingProxyType(
    {
        **searches.HANDLERS,
        **files.HANDLERS,
        **archives.HANDLERS,
        **system.HANDLERS,
        **windows.HANDLERS,
        **interpreters.HANDLERS,
        **network.HANDLERS,
        **databases.HANDLERS,
        **packages.HANDLERS,
        **cloud.HANDLERS,
        **containers.HANDLERS,
        **git.HANDLERS,
        **wrappers.HANDLERS,
    }
)

FILE_TOOLS: frozenset[str] = files.FILE_TOOLS | searches.READERS | archives.FILE_TOOLS

_DANGEROUS = files.DANGEROUS | system.DANGEROUS


def is_dangerous(name: str, arguments: Sequence[Word]) -> bool:
    """Whether a program makes a command a dangerous one, unless it is only asked to show something."""
    if name not in _DANGEROUS:
        return False
    return not system.is_harmless(name, " ".join(word.text for word in arguments))
