"""Undo data, made while the agent works.

Each of these is a context manager around a change. It looks at the state before, refuses what it could
not bring back, and adds the undo to the guarded action that is running, which reports it.

    with client.approved("file_write", params, "Raise the limit"):
        with changed_file("settings.json"):
            rewrite("settings.json")
"""

import base64
import os
import stat
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

from keyturn import exact
from keyturn.errors import KeyturnError
from keyturn.guard import Action, running_action
from keyturn.rollback import places
from keyturn.rollback.configs import FileStore, Store, same
from keyturn.rollback.directories import is_directory
from keyturn.rollback.foreseen import things_of
from keyturn.rollback.inverse import Inverse
from keyturn.rollback.settingpaths import MISSING
from keyturn.rollback.unkept import keeping, settings_of, tell_what_is_not_kept

LARGEST = 180_000
"""Bytes of undo data that fit a report, which may have 256 KiB, beside everything else it holds."""

_SURPLUS = 256

_reserved: ContextVar[int] = ContextVar("keyturn_undo_bytes", default=0)
"""Bytes that the captures around this one keep and have not added to the action yet."""


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
    before = _captured(place, largest)
    with _room_for([before], largest, place), keeping(place, None), _added() as captured:
        yield captured
        if (step := _with_after(before)) is not None:
            captured.steps.append(step)


@contextmanager
def deleted_path(path: str | os.PathLike[str], *, largest: int = LARGEST) -> Iterator[Captured]:
    """A file, or a directory with everything below it, that the block deletes.

    Every file and every directory comes back with its bytes and its mode; times, groups and extended
    attributes do not.

    Raises:
        CannotCapture: too large in all, or it holds what could not come back as it was: links (hard links
            too), other things that are no regular files, what belongs to another user, or what cannot be
            read.
    """
    place = _real(path)
    before = list(_tree(place, largest))
    with _room_for(before, largest, place), _added() as captured:
        yield captured
        captured.steps += [step for entry in before if (step := _with_after(entry)) is not None]


@contextmanager
def config_value(
    store: str | os.PathLike[str], key: str, *, using: Store | None = None
) -> Iterator[Captured]:
    """A setting that the block changes; one that it leaves as it is needs no undo.

    Where the block changes other settings of the file, which nothing keeps, a warning in the log says so.

    Args:
        store: A JSON, YAML, TOML or env file, or the name of a store registered with the worker.
        key: A name at the top, names joined by dots, or a JSON Pointer.
        using: The store itself, where `store` is a name.

    Raises:
        CannotCapture: it cannot be read.
    """
    name = str(store) if using is not None else _real(store)
    if using is None and not os.path.lexists(name):
        raise CannotCapture(f"There is no {name} yet; keep what makes it with changed_file(...)")
    source = using if using is not None else _readable(lambda: FileStore(name))
    before = _readable(lambda: source.get(key))
    old = {} if before is MISSING else {"old_value": before}
    step = {"type": "config_restore", "store": name, "key": key, "had_value": before is not MISSING, **old}
    at_first = settings_of(source)
    with _room_for([old], LARGEST, f"{key} of {name}"), keeping(name, key) as kept, _added() as captured:
        yield captured
        tell_what_is_not_kept(name, at_first, settings_of(source), kept)
        try:
            after = source.get(key)
        except Exception:  # as in _with_after: the block has run, so its undo must not get lost
            captured.steps.append(step)
            return
        if not same(before, after):
            captured.steps.append({**step, "expected": None if after is MISSING else after})


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
        CannotCapture: the rows are too large.
    """
    derived = None if inverse is not None else Inverse.of(connection, statement, params)
    # An inverse names a row as it was and as the statement left it.
    kept = inverse if derived is None else [*derived.before, *derived.before]
    with _room_for(kept or (), LARGEST, f"The statement on {database}"), _added() as captured:
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
    """Undo data that goes to the running action, when there is one and the block did not fail.

    In the order in which the blocks began: what a block inside this one changed is undone before it. Of a
    file that this one brings back as a whole, what was kept inside is dropped: it is a step on the way.
    """
    captured, action = Captured([]), running_action()
    place = 0 if action is None else len(_steps_of(action))
    yield captured
    if action is not None and captured.steps:
        kept = _steps_of(action)
        whole = {("file", str(step["path"])) for step in captured.steps if step["type"] == "file_restore"}
        inside = [step for step in kept[place:] if whole.isdisjoint(things_of(step))]
        merged = [*kept[:place], *captured.steps, *inside]
        action.rollback = merged[0] if len(merged) == 1 else merged


def _steps_of(action: Action) -> list[Any]:
    kept = action.rollback
    return [] if kept is None else kept if isinstance(kept, list) else [kept]


@contextmanager
def _room_for(steps: Sequence[Mapping[str, Any]], largest: int, what: str) -> Iterator[None]:
    """Refuse undo data that does not fit one report, beside what the running action keeps already.

    Raises:
        CannotCapture: nothing was changed yet.
    """
    # Some bytes more for each: the names, and what the action left, which is added afterwards.
    try:
        kept_steps = [exact.plain(step, what) for step in steps]
    except (TypeError, ValueError) as error:
        raise CannotCapture(f"No report can hold it: {error}") from error
    for step in kept_steps:
        _refuse_inexact(step, what)
    size = sum(len(exact.dumps(step).encode()) + _SURPLUS for step in kept_steps)
    action = running_action()
    kept = 0 if action is None or action.rollback is None else len(exact.dumps(exact.plain(action.rollback)))
    reserved = _reserved.get()
    if size > largest or kept + reserved + size > LARGEST:
        raise CannotCapture(_too_large(what, min(largest, max(0, LARGEST - kept - reserved))))
    token = _reserved.set(reserved + size)
    try:
        yield
    finally:
        _reserved.reset(token)


def _refuse_inexact(value: Any, what: str) -> None:
    """Refuse numbers that no report can hold: larger than 2^53-1, or with more digits than a double has."""
    if isinstance(value, dict | list):
        for below in value.values() if isinstance(value, dict) else value:
            _refuse_inexact(below, what)
    elif isinstance(value, int | Decimal) and not isinstance(value, bool):
        held = abs(value) < 2**53 if isinstance(value, int) else value == Decimal(repr(float(value)))
        if not held:
            raise CannotCapture(f"{what} holds the number {value}, which no report can hold exactly")


def _real(path: str | os.PathLike[str]) -> str:
    """The absolute path with every link resolved but the last: what is restored is what was looked at."""
    place = Path(os.path.abspath(path))
    return _named(str(Path(os.path.realpath(place.parent)) / place.name))


def _named(path: str) -> str:
    """The path, if a report can say it.

    Raises:
        CannotCapture: it is not UTF-8.
    """
    try:
        path.encode("utf-8")
    except UnicodeEncodeError as error:
        raise CannotCapture(
            f"{path!r} is not UTF-8, so no undo could name it. Nothing was changed"
        ) from error
    return path


def _captured(path: str, largest: int) -> dict[str, Any]:
    """The step that brings the file back as it is now; its size is known before it is read."""
    size = os.lstat(path).st_size if os.path.isfile(path) and not os.path.islink(path) else 0
    if size > largest:
        raise CannotCapture(_too_large(path, largest))
    found = _readable(lambda: places.read(path))
    if found is None:
        return {"type": "file_restore", "path": path, "existed": False}
    return {"type": "file_restore", "path": path, "existed": True, **_content(found), "mode": found.mode}


def _content(found: places.Found) -> dict[str, str]:
    try:
        text = found.content.decode("utf-8")
    except UnicodeDecodeError:
        return {"original_base64": _base64(found.content)}
    return {"original_base64": _base64(found.content)} if "\x00" in text else {"original_content": text}


def _base64(content: bytes) -> str:
    return base64.b64encode(content).decode("ascii")


def _with_after(step: dict[str, Any]) -> dict[str, Any] | None:
    """The step with what the action left; None when it changed nothing.

    Of a link or a directory that it left nothing can be said. The change has happened, so the step is kept
    all the same: its preview will say what is in the way, and no undo passes for whole without it.
    """
    try:
        if is_directory(step):
            return _directory_with_after(step)
        found = places.read(step["path"])
    except KeyturnError:
        return step
    if found is None:
        return {**step, "after_sha256": None} if step["existed"] else None
    if step["existed"] and _content(found).items() <= step.items() and found.mode == step["mode"]:
        return None
    return {**step, "after_sha256": found.digest}


def _directory_with_after(step: dict[str, Any]) -> dict[str, Any] | None:
    mode = places.directory_mode(step["path"])
    return None if mode == step["mode"] else {**step, "after_sha256": None} if mode is None else step


def _tree(path: str, largest: int) -> Iterator[dict[str, Any]]:
    mode = os.lstat(path).st_mode if os.path.lexists(path) else None
    if mode is None:
        raise CannotCapture(f"There is nothing at {path}")
    size = 0
    for place in _below(path) if stat.S_ISDIR(mode) else [path]:
        found = os.lstat(_named(place))
        _refuse_what_would_come_back_otherwise(place, found)
        size += _SURPLUS if stat.S_ISDIR(found.st_mode) else _SURPLUS + found.st_size
        if size > largest + _SURPLUS:
            raise CannotCapture(_too_large(path, largest))
        yield _captured_directory(place, found) if stat.S_ISDIR(found.st_mode) else _captured(place, largest)


def _below(path: str) -> Iterator[str]:
    """The directory and all that is in it; each directory before what it holds, so it is undone after it."""
    for directory, below, names in os.walk(path, onerror=_unreadable):
        below.sort()
        yield directory
        links = [entry for entry in below if os.path.islink(os.path.join(directory, entry))]
        yield from (os.path.join(directory, name) for name in sorted([*names, *links]))


def _refuse_what_would_come_back_otherwise(place: str, found: os.stat_result) -> None:
    if not stat.S_ISREG(found.st_mode) and not stat.S_ISDIR(found.st_mode):
        raise CannotCapture(f"{place} is a link or no regular file; it could not be brought back")
    if stat.S_ISREG(found.st_mode) and found.st_nlink > 1:
        raise CannotCapture(f"{place} has another name (a hard link), from which an undo would part it")
    if found.st_uid != os.geteuid():
        raise CannotCapture(f"{place} belongs to another user, to whom an undo would not give it back")


def _captured_directory(path: str, found: os.stat_result) -> dict[str, Any]:
    mode = stat.S_IMODE(found.st_mode)
    return {"type": "file_restore", "path": f"{path}/", "existed": True, "original_content": "", "mode": mode}


def _unreadable(error: OSError) -> None:
    raise CannotCapture(f"{error.filename} cannot be read: {error.strerror}. Nothing was changed") from error


def _too_large(path: str, largest: int) -> str:
    return (
        f"{path} is too large to be kept for an undo (more than {largest:,} bytes of undo data in all). "
        "Nothing was changed. Move it aside instead, with custom(...) as the undo, or do without one"
    )


def _readable(look: Any) -> Any:
    try:
        return look()
    except KeyturnError as error:
        raise CannotCapture(f"It could not be brought back: {error}") from error
