"""`config_restore`: one setting, compared and set, in a file or in a store that the agent registered.

`store` is the name of a registered store, or the absolute path of a JSON, YAML, TOML or env file.
"""

import re
from collections.abc import Callable, Sequence
from hashlib import sha256
from pathlib import PurePath
from typing import Any, Protocol, TypeVar

from keyturn import exact
from keyturn.rollback import places
from keyturn.rollback.foreseen import file_after
from keyturn.rollback.formats import MISSING, format_of
from keyturn.rollback.parts import (
    LONGEST_DIFF,
    Preview,
    Step,
    UndoConflict,
    UndoFailed,
    objection,
    text_diff,
)
from keyturn.rollback.places import Found

T = TypeVar("T")

_SECRET = re.compile(
    r"(?i)pass(?:word|wd|phrase)|pwd|secret|token|credential|bearer|cookie"
    r"|(?:api|access|private|signing|encryption|auth)[-_. ]?key|authorization"
)
"""Names of settings whose values no sentence says: previews and reports are read by people and audited."""


class Store(Protocol):
    """Settings somewhere else: a database table, a key-value service, a secret manager."""

    def get(self, key: str) -> Any:
        """The value; MISSING when there is none."""
        ...

    def compare_and_set(self, key: str, expected: Any, value: Any) -> bool:
        """Set the value (MISSING: take it out) if it is `expected`, in one step; False when it is not."""
        ...


class ConfigRestore:
    """Puts settings back."""

    def __init__(self) -> None:
        self._stores: dict[str, Store] = {}

    def register(self, name: str, store: Store) -> None:
        """Say what rollback data means by the store `name`."""
        self._stores[name] = store

    def store(self, name: str) -> Store:
        """The store of a name or a path.

        Raises:
            UndoFailed: nothing of this name is registered, and it is no path of a known kind of file.
        """
        found = self._stores.get(name)
        if found is not None:
            return found
        if not PurePath(name).is_absolute():
            known = ", ".join(sorted(self._stores)) or "none"
            raise UndoFailed(f"No store {name!r} is registered with this agent's worker; known: {known}")
        return FileStore(name)

    def preview(self, step: Step, before: Sequence[Step] = ()) -> Preview:
        """As `Kind.preview`."""
        name, key = str(step["store"]), str(step["key"])
        present, wanted = self._foreseen(name, key, before), _old(step)
        label = f"{name}: {key}"
        if same(present, wanted):
            told = f"{label} is as it was before the action; nothing will be changed."
            return Preview(told, None, (label,), None, _state(present))
        does = (
            f"Take {key} out of {name}."
            if wanted is MISSING
            else f"Set {key} of {name} back to {_shown(key, wanted)}."
        )
        if "expected" not in step:
            does += " Whether it was changed since cannot be checked."
        conflict = _conflict(step, present)
        return Preview(does, _diff(key, present, wanted), (label,), conflict, _state(present))

    def refusal(
        self, step: Step, before: Sequence[Step], *, force: bool, shown: str | None
    ) -> UndoConflict | None:
        """As `Kind.refusal`."""
        return _refusal(step, self._foreseen(str(step["store"]), str(step["key"]), before), force, shown)

    def _foreseen(self, name: str, key: str, before: Sequence[Step]) -> Any:
        """The value once the steps before are applied."""
        store = self.store(name)
        if isinstance(store, FileStore):
            return store.value_in(file_after(name, before), key)
        earlier = [step for step in before if step["key"] == key]
        return _old(earlier[-1]) if earlier else store.get(key)

    def apply(self, step: Step, *, force: bool, shown: str | None = None) -> str:
        """As `Kind.apply`."""
        name, key = str(step["store"]), str(step["key"])
        store = self.store(name)
        present, wanted = store.get(key), _old(step)
        if same(present, wanted):
            return f"{key} of {name} is as it was before the action."
        if (refused := _refusal(step, present, force, shown)) is not None:
            raise refused
        if not store.compare_and_set(key, present, wanted):
            raise UndoConflict(f"{key} of {name} was changed at this very moment; nothing was changed.")
        return (
            f"Took {key} out of {name}."
            if wanted is MISSING
            else f"Set {key} of {name} back to {_shown(key, wanted)}."
        )

    def in_place(self, step: Step) -> bool | None:
        """As `Kind.in_place`."""
        return same(self.store(str(step["store"])).get(str(step["key"])), _old(step))


class FileStore:
    """The settings of one file."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._format = format_of(path)

    def get(self, key: str) -> Any:
        """As `Store.get`."""
        return self.value_in(places.read(self._path), key)

    def value_in(self, found: Found | None, key: str) -> Any:
        """The value in a state of the file, which may be another than the present one."""
        return self._readable(lambda: self._format.value(self._text(found), key))

    def settings(self) -> dict[str, Any]:
        """All of them, to be compared."""
        return self._readable(lambda: self._format.settings(self._text(places.read(self._path))))

    def compare_and_set(self, key: str, expected: Any, value: Any) -> bool:
        """As `Store.compare_and_set`; the file is replaced at once, and keeps its mode."""
        found = places.read(self._path)
        text = self._text(found)
        if not same(self._readable(lambda: self._format.value(text, key)), expected):
            return False
        fresh = self._readable(lambda: self._format.changed(text, key, value))
        if not same(self._readable(lambda: self._format.value(fresh, key)), value):
            raise UndoFailed(
                f"{self._path}: {key} could not be set exactly; set it by hand. Nothing was changed."
            )
        places.replace(self._path, fresh.encode("utf-8"), None, found)
        return True

    def _readable(self, look: Callable[[], T]) -> T:
        try:
            return look()
        except UndoFailed:
            raise
        except Exception as error:  # each library has errors of its own for text it cannot read
            raise UndoFailed(
                f"{self._path} cannot be read as settings: {error}. Nothing was changed."
            ) from error

    def _text(self, found: Found | None) -> str:
        if found is None:
            raise UndoFailed(f"{self._path} is gone; put it back first. Nothing was changed.")
        if not found.whole:
            raise UndoFailed(
                f"{self._path} has {found.size:,} bytes, too many for settings. Nothing was changed."
            )
        return found.content.decode("utf-8")


def _old(step: Step) -> Any:
    return step.get("old_value") if step["had_value"] else MISSING


def same(one: Any, other: Any) -> bool:
    """Whether two values are written alike; MISSING is only like itself."""
    if one is MISSING or other is MISSING:
        return one is other
    return exact.same(one, other)


def _state(present: Any) -> str:
    """Without the value itself, which may be a secret."""
    return "nothing" if present is MISSING else sha256(exact.dumps(present).encode()).hexdigest()


def _refusal(step: Step, present: Any, force: bool, shown: str | None) -> UndoConflict | None:
    wanted = _old(step)
    if same(present, wanted):
        return None
    said = objection(
        f"{step['key']} of {step['store']}",
        _state(present),
        _conflict(step, present),
        recorded="expected" in step,
        force=force,
        shown=shown,
    )
    return None if said is None else UndoConflict(said, _diff(str(step["key"]), present, wanted))


def _conflict(step: Step, present: Any) -> str | None:
    if "expected" not in step:
        return None
    left = step["expected"]
    # An action that took the setting out leaves nothing, which JSON can only call null.
    if same(present, left) or (left is None and present is MISSING):
        return None
    said = [_shown(str(step["key"]), value) for value in (left, present)]
    return f"{step['key']} has changed since the action: it left {said[0]}, there is {said[1]} now."


def _shown(key: str, value: Any, *, longest: int = 200) -> str:
    """A value for people; what its name calls a secret stays one."""
    if value is MISSING:
        return "nothing"
    text = exact.dumps(value)
    if _SECRET.search(key) and value not in (None, "", True, False):
        return f"a secret of {len(str(value))} characters"
    return text if len(text) <= longest else f"{text[:longest]}…"


def _diff(key: str, present: Any, wanted: Any) -> str:
    now, then = (
        "" if value is MISSING else f"{key} = {_shown(key, value, longest=LONGEST_DIFF)}\n"
        for value in (present, wanted)
    )
    return text_diff(now, then, key)
