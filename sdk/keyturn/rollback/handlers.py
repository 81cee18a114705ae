"""`custom`: what only the agent knows how to undo, by handlers it registered."""

from collections.abc import Callable, Sequence
from typing import Any

from keyturn.rollback.parts import Preview, Step, UndoConflict, UndoFailed, objection

Apply = Callable[[Any], str | None]
"""Undoes, given the step's `data`; returns one sentence, or None. Whatever it raises: not undone."""

Show = Callable[[Any], str | Preview]
"""Says what would be undone, and changes nothing."""


class Custom:
    """Calls handlers by name."""

    def __init__(self) -> None:
        self._handlers: dict[str, tuple[Apply, Show | None]] = {}

    def register(self, name: str, apply: Apply, preview: Show | None = None) -> None:
        """Say what undoes the steps whose `handler` is `name`."""
        self._handlers[name] = (apply, preview)

    def preview(self, step: Step, before: Sequence[Step] = ()) -> Preview:
        """As `Kind.preview`."""
        name, (_, show) = str(step["handler"]), self._handler(step)
        if show is None:
            return Preview(f"Call the agent's handler {name!r}. What it will change cannot be checked.")
        try:
            shown = show(step.get("data"))
        except Exception as error:
            raise UndoFailed(
                f"The preview of the handler {name!r} failed: {type(error).__name__}: {error}"
            ) from error
        return shown if isinstance(shown, Preview) else Preview(f"{shown} (This cannot be checked.)")

    def refusal(
        self, step: Step, before: Sequence[Step], *, force: bool, shown: str | None
    ) -> UndoConflict | None:
        """As `Kind.refusal`: a conflict that its preview finds; forced, only where it names the state."""
        seen = self.preview(step, before)
        if seen.conflict is None or (force and seen.state is None):
            return None
        what = f"What the handler {step['handler']!r} undoes"
        said = objection(what, seen.state or "", seen.conflict, recorded=True, force=force, shown=shown)
        return None if said is None else UndoConflict(said, seen.diff)

    def apply(self, step: Step, *, force: bool, shown: str | None = None) -> str:
        """As `Kind.apply`; a handler may raise UndoConflict itself."""
        name, (handler, _) = str(step["handler"]), self._handler(step)
        try:
            said = handler(step.get("data"))
        except UndoFailed:
            raise
        except Exception as error:
            raise UndoFailed(
                f"The handler {name!r} failed: {type(error).__name__}: {error}. "
                "It may have done a part of its work."
            ) from error
        return said or f"The handler {name!r} ran."

    def in_place(self, step: Step) -> bool | None:
        """As `Kind.in_place`: nobody can tell."""
        return None

    def _handler(self, step: Step) -> tuple[Apply, Show | None]:
        found = self._handlers.get(str(step["handler"]))
        if found is None:
            known = ", ".join(sorted(self._handlers)) or "none"
            raise UndoFailed(
                f"No handler {step['handler']!r} is registered with this agent's worker; known: {known}"
            )
        return found
