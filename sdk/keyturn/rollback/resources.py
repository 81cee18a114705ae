"""What a worker may undo and how: the five kinds, and what the agent registered for them."""

from collections.abc import Iterator, Sequence
from typing import Any

from keyturn.rollback.commands import TIME_LIMIT, CommandUndo
from keyturn.rollback.configs import ConfigRestore, Store
from keyturn.rollback.databases import Connect, DatabaseRestore
from keyturn.rollback.files import FileRestore
from keyturn.rollback.foreseen import things_of
from keyturn.rollback.handlers import Apply, Custom, Show
from keyturn.rollback.parts import Kind, Preview, Step, UndoConflict, UndoFailed, shortened


class Resources:
    """Databases, stores and handlers by the names that rollback data uses.

        resources = Resources()
        resources.database("shop", lambda: sqlite3.connect("shop.db"))
        resources.handler("rebuild-cache", rebuild_cache)

    Args:
        command_seconds: How long one `command_undo` may take.
    """

    def __init__(self, *, command_seconds: float = TIME_LIMIT) -> None:
        self._databases = DatabaseRestore()
        self._configs = ConfigRestore()
        self._custom = Custom()
        self._kinds: dict[str, Kind] = {
            "file_restore": FileRestore(),
            "command_undo": CommandUndo(command_seconds),
            "database_restore": self._databases,
            "config_restore": self._configs,
            "custom": self._custom,
        }

    def database(self, name: str, connect: Connect) -> None:
        """Register how to connect: a function that returns a new DB-API connection, or an asyncpg one.

        It is called for each preview and each undo, and what it returns is closed afterwards. For
        asyncpg give a coroutine function: `lambda: asyncpg.connect(dsn)`.
        """
        self._databases.register(name, connect)

    def store(self, name: str, store: Store) -> None:
        """Register a store of settings; JSON, YAML, TOML and env files need no registration."""
        self._configs.register(name, store)

    def handler(self, name: str, apply: Apply, preview: Show | None = None) -> None:
        """Register what undoes `custom` steps of this name, and what tells beforehand what it would do."""
        self._custom.register(name, apply, preview)

    def kind(self, step: Step) -> Kind:
        """What undoes a step.

        Raises:
            UndoFailed: this version does not know its type.
        """
        found = self._kinds.get(str(step.get("type")))
        if found is None:
            raise UndoFailed(
                f"This version of keyturn-sdk cannot undo {step.get('type')!r}; upgrade the agent"
            )
        return found

    def preview(self, data: Any, *, done: int = 0) -> Preview:
        """What a whole undo would change: a list is undone in reverse.

        Args:
            done: How many steps an earlier try has applied; they are not done again.

        Raises:
            UndoFailed: a step cannot be done at all.
        """
        return merged(self.previews(data, done=done))

    def previews(self, data: Any, *, done: int = 0) -> Sequence[Preview]:
        """The same for each step that is left, in the order in which they are undone."""
        return [self.kind(step).preview(step, before) for step, before in _chained(in_order(data)[done:])]

    def refusal(
        self, data: Any, *, done: int, force: bool, shown: Sequence[str | None]
    ) -> UndoConflict | None:
        """Why no step of what is left may be applied; None when all may.

        Args:
            shown: The state that the preview of each step named, of those that are done too.

        Raises:
            UndoFailed: a step cannot be done at all.
        """
        found = []
        for (step, before), state in zip(_chained(in_order(data)[done:]), shown[done:], strict=True):
            refused = self.kind(step).refusal(step, before, force=force, shown=state)
            found += [] if refused is None else [refused]
        if not found:
            return None
        diffs = [refused.diff for refused in found if refused.diff]
        return UndoConflict(shortened_list([str(refused) for refused in found]), joined(diffs))


def merged(seen: Sequence[Preview]) -> Preview:
    """The previews of several steps as one."""
    if len(seen) == 1:
        return seen[0]
    conflicts = [preview.conflict for preview in seen if preview.conflict is not None]
    return Preview(
        summary=shortened_list([preview.summary for preview in seen]),
        diff=joined([preview.diff for preview in seen if preview.diff]),
        affected=tuple(dict.fromkeys(name for preview in seen for name in preview.affected))[:1000],
        conflict=shortened_list(conflicts) if conflicts else None,
    )


def _chained(steps: Sequence[Step]) -> Iterator[tuple[Step, Sequence[Step]]]:
    """Each step with those before it that change the same thing."""
    earlier: dict[tuple[str, str], list[Step]] = {}
    for step in steps:
        things = things_of(step)
        yield step, [known for thing in things for known in earlier.get(thing, ())]
        for thing in things:
            earlier.setdefault(thing, []).append(step)


def joined(diffs: Sequence[str]) -> str | None:
    """The diffs one below the other."""
    return shortened("\n".join(diffs)) if diffs else None


def in_order(data: Any) -> Sequence[Step]:
    """The steps of rollback data in the order in which they are undone."""
    return list(reversed(data)) if isinstance(data, list) else [data]


def affected_by(step: Step) -> str | None:
    """What a step changes, by name; None for what only its handler knows."""
    match step.get("type"):
        case "file_restore":
            return str(step["path"])
        case "config_restore":
            return f"{step['store']}: {step['key']}"
        case "database_restore":
            return str(step["database"])
        case "command_undo":
            return str(step["argv"][0])
    return None


MOST_SENTENCES = 20
"""Sentences of a long undo that are told; of the others only how many there are."""


def shortened_list(sentences: Sequence[str], *, count: int | None = None) -> str:
    """The sentences one after the other; of many, `count` in all, the first, and how many more."""
    shown = " ".join(_sentence(text) for text in sentences[:MOST_SENTENCES])
    left_out = (len(sentences) if count is None else count) - len(sentences[:MOST_SENTENCES])
    text = shown if left_out <= 0 else f"{shown} … and {left_out} more steps."
    return text if len(text) <= 2900 else f"{text[:2900]}…"


def _sentence(text: str) -> str:
    return text if text.endswith((".", "!", "?", ".)", "…")) else f"{text}."
