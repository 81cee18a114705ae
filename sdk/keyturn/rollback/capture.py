"""Undo data, made while the agent works.

Each of these is a context manager around a change. It looks at the state before, refuses what it could
not bring back, and adds the undo to the guarded action that is running, which reports it.

    with client.approved("file_write", params, "Raise the limit"):
        with changed_file("settings.json"):
            rewrite("settings.json")
"""

import base64
import json
import os
import stat
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from keyturn.errors import KeyturnError
from keyturn.guard import running_action
from keyturn.rollback import places
from keyturn.rollback.configs import FileStore, Store, same
from keyturn.rollback.formats import MISSING
from keyturn.rollback.inverse import Inverse

LARGEST = 180_000
"""Bytes of undo data that fit a report, which may have 256 KiB, beside everything else it holds."""


class CannotCapture(KeyturnError):
    """What is about to be changed could not be brought back; nothing was changed yet."""


@dataclass
class Captured:
    """Undo data as it comes to be.

    Attributes:
        steps: What undoes the change; complete once the block has ended.
    """

    steps: list[dict[str, Any]]

    @property
    def data(self) -> dict[str, Any] | list[dict[str, Any]] | None:
        """As an outcome takes it: nothing, one step, or a list."""
        return self.steps[0] if len(self.steps) == 1 else self.steps or None


@contextmanager
def changed_file(path: str | os.PathLike[str], *, largest: int = LARGEST) -> Iterator[Captured]:
    """A file that the block writes, makes or removes.

    Args:
        largest: Bytes of undo data; a file that needs more is refused before the block runs.

    Raises:
        CannotCapture: too large, no regular file, or it cannot be read.
    """
    place = _real(path)
    before = _captured(place)
    _check_size([before], largest, place)
    with _added() as captured:
        yield captured
        if (step := _with_after(before)) is not None:
            captured.steps.append(step)


@contextmanager
def deleted_path(path: str | os.PathLike[str], *, largest: int = LARGEST) -> Iterator[Captured]:
    """A file, or a directory with everything below it, that the block deletes.

    Empty directories do not come back, and those that do have default modes.

    Raises:
        CannotCapture: too large in all, or it holds links or other things that are no regular files.
    """
    before = list(_tree(_real(path), largest))
    _check_size(before, largest, str(path))
    with _added() as captured:
        yield captured
        captured.steps += [step for entry in before if (step := _with_after(entry)) is not None]


@contextmanager
def config_value(
    store: str | os.PathLike[str], key: str, *, using: Store | None = None
) -> Iterator[Captured]:
    """A setting that the block changes.

    Args:
        store: A JSON, YAML, TOML or env file, or the name of a store registered with the worker.
        key: A name at the top, names joined by dots, or a JSON Pointer.
        using: The store itself, where `store` is a name.

    Raises:
        CannotCapture: it cannot be read.
    """
    name = str(store) if using is not None else _real(store)
    source = using if using is not None else _readable(lambda: FileStore(name))
    before = _readable(lambda: source.get(key))
    with _added() as captured:
        yield captured
        after = source.get(key)
        if same(before, after):
            return
        step = {"type": "config_restore", "store": name, "key": key, "had_value": before is not MISSING}
        old = {} if before is MISSING else {"old_value": before}
        captured.steps.append({**step, **old, "expected": None if after is MISSING else after})


@contextmanager
def sql(
    database: str,
    connection: Any,
    statement: str,
    params: Sequence[Any] = (),
    *,
    inverse: Sequence[Mapping[str, Any]] | None = None,
) -> Iterator[Captured]:
    """A statement that the block runs on a database.

    Without `inverse` it is derived, on SQLite and where that is safe: one INSERT with its keys given,
    or one UPDATE or DELETE of a table with a primary key that the UPDATE leaves alone.

    Args:
        database: The name under which the worker has the database registered.
        inverse: `[{"sql": …, "params": […]}]`, in the order in which they are to be run.

    Raises:
        NotDerivable: give `inverse`; the message says why.
    """
    derived = None if inverse is not None else Inverse.of(connection, statement, params)
    with _added() as captured:
        yield captured
        statements: Sequence[Mapping[str, Any]] = inverse if inverse is not None else ()
        if derived is not None:
            statements = derived.statements(connection)
        if statements:
            listed = [dict(one) for one in statements]
            captured.steps.append({"type": "database_restore", "database": database, "statements": listed})


@contextmanager
def command(*, undo: Sequence[str], cwd: str | os.PathLike[str] | None = None) -> Iterator[Captured]:
    """A command that the block runs, and the one that undoes it: arguments, without a shell."""
    step: dict[str, Any] = {"type": "command_undo", "argv": [str(word) for word in undo]}
    with _added() as captured:
        yield captured
        captured.steps.append(step if cwd is None else {**step, "cwd": _real(cwd)})


@contextmanager
def custom(handler: str, data: Any = None) -> Iterator[Captured]:
    """Anything that a handler registered with the worker can undo."""
    with _added() as captured:
        yield captured
        captured.steps.append({"type": "custom", "handler": handler, "data": data})


@contextmanager
def _added() -> Iterator[Captured]:
    """Undo data that goes to the running action, when there is one and the block did not fail."""
    captured = Captured([])
    yield captured
    action = running_action()
    if action is not None and captured.steps:
        present = action.rollback
        earlier = [] if present is None else present if isinstance(present, list) else [present]
        merged = [*earlier, *captured.steps]
        action.rollback = merged[0] if len(merged) == 1 else merged


def _real(path: str | os.PathLike[str]) -> str:
    """The absolute path with every link resolved but the last: what is restored is what was looked at."""
    place = Path(os.path.abspath(path))
    return str(Path(os.path.realpath(place.parent)) / place.name)


def _captured(path: str) -> dict[str, Any]:
    found = _readable(lambda: places.read(path))
    if found is None:
        return {"type": "file_restore", "path": path, "existed": False}
    try:
        text = found.content.decode("utf-8")
        kept = {"original_base64": _base64(found.content)} if "\x00" in text else {"original_content": text}
    except UnicodeDecodeError:
        kept = {"original_base64": _base64(found.content)}
    return {"type": "file_restore", "path": path, "existed": True, **kept, "mode": found.mode}


def _base64(content: bytes) -> str:
    return base64.b64encode(content).decode("ascii")


def _with_after(step: dict[str, Any]) -> dict[str, Any] | None:
    """The step with what the action left; None when it changed nothing."""
    found = places.read(step["path"])
    if found is None:
        return {**step, "after_sha256": None} if step["existed"] else None
    left = {**step, "after_sha256": sha256(found.content).hexdigest()}
    return None if _captured(step["path"]) == step else left


def _tree(path: str, largest: int) -> Iterator[dict[str, Any]]:
    mode = os.lstat(path).st_mode if os.path.lexists(path) else None
    if mode is None:
        raise CannotCapture(f"There is nothing at {path}")
    if stat.S_ISREG(mode):
        yield _captured(path)
        return
    if not stat.S_ISDIR(mode):
        raise CannotCapture(f"{path} is a link or no regular file; it could not be brought back")
    size = 0
    for directory, below, names in os.walk(path):
        for name in sorted(
            [*names, *(entry for entry in below if os.path.islink(os.path.join(directory, entry)))]
        ):
            place = os.path.join(directory, name)
            if not stat.S_ISREG(os.lstat(place).st_mode):
                raise CannotCapture(f"{place} is a link or no regular file; it could not be brought back")
            size += os.lstat(place).st_size
            if size > largest:
                raise CannotCapture(_too_large(path, largest))
            yield _captured(place)


def _check_size(steps: Sequence[Mapping[str, Any]], largest: int, path: str) -> None:
    # 80 bytes more for each: what the action left is added afterwards.
    if sum(len(json.dumps(step)) + 96 for step in steps) > largest:
        raise CannotCapture(_too_large(path, largest))


def _too_large(path: str, largest: int) -> str:
    return (
        f"{path} is too large to be kept for an undo (more than {largest:,} bytes of undo data). "
        "Nothing was changed. Move it aside instead, with custom(...) as the undo, or do without one"
    )


def _readable(look: Any) -> Any:
    try:
        return look()
    except KeyturnError as error:
        raise CannotCapture(f"It could not be brought back: {error}") from error
