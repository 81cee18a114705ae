"""What an action changes of a settings file beside the settings that it named: no undo would bring it back.

When that is seen the action has run already, so it is told to the author, in the log, and is no error.
"""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from typing import Any

from keyturn.errors import KeyturnError
from keyturn.rollback.configs import FileStore, Store
from keyturn.rollback.settingpaths import MISSING, found_at, path_of, put

_MOST_NAMED = 10

_keepers: ContextVar[tuple[list[tuple[str, str | None]], ...]] = ContextVar("keyturn_undo_kept", default=())
"""For each block that runs what it keeps of which file, and what ended blocks inside it kept."""

_log = logging.getLogger("keyturn")


@contextmanager
def keeping(store: str, key: str | None) -> Iterator[Callable[[], set[str | None]]]:
    """What is kept of a file while the block runs: by it, by those around it and by those inside it.

    Yields:
        A function: the keys that are kept of it by now; None among them stands for the whole file.
    """
    around, mine = _keepers.get(), [(store, key)]
    token = _keepers.set((*around, mine))
    try:
        yield lambda: {of for kept in (*around, mine) for place, of in kept if place == store}
    finally:
        _keepers.reset(token)
        if around:
            around[-1].extend(mine)


def settings_of(source: Store) -> dict[str, Any] | None:
    """All settings of a file; None where they cannot be told."""
    try:
        return source.settings() if isinstance(source, FileStore) else None
    except KeyturnError:
        return None


def tell_what_is_not_kept(
    store: str,
    before: dict[str, Any] | None,
    after: dict[str, Any] | None,
    kept: Callable[[], set[str | None]],
) -> None:
    """Warn of what has changed and is not among the keys that were kept."""
    keys = kept()
    if before is None or after is None or None in keys:
        return
    for key in map(str, keys):
        was_there = found_at(before, path_of(before, key)) is not MISSING
        path = path_of(before if was_there else after, key)
        with suppress(KeyturnError):
            put(after, path, found_at(before, path))
    others = [
        name for name in {**before, **after} if _differ(before.get(name, MISSING), after.get(name, MISSING))
    ]
    if others:
        _log.warning(
            "The action changed settings of %s that config_value(...) was not told of, so no undo "
            "brings them back: %s. Name each of them, or keep the whole file with changed_file(...).",
            store,
            ", ".join(others[:_MOST_NAMED]) + (" …" if len(others) > _MOST_NAMED else ""),
            extra={"event": "undo_incomplete"},
        )


def _differ(one: Any, other: Any) -> bool:
    """A number that is none is not equal to itself, and is written alike."""
    return bool(one != other) and repr(one) != repr(other)
