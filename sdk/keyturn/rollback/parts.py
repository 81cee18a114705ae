"""What the kinds of undo have in common: a preview, a conflict, an end."""

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from keyturn.errors import KeyturnError

Step = Mapping[str, Any]
"""One step of rollback data: `{"type": "file_restore", "path": …}`."""

LONGEST_DIFF = 60_000
"""Characters of a diff that are sent; what is left out is counted."""


class UndoFailed(KeyturnError):
    """The undo was not applied, or not to its end. The message says what remains to be done by hand."""


class UndoConflict(UndoFailed):
    """The present state is not the one the action left; nothing was changed.

    Attributes:
        diff: What differs.
    """

    def __init__(self, message: str, diff: str | None = None) -> None:
        super().__init__(message)
        self.diff = diff


@dataclass(frozen=True, slots=True)
class Preview:
    """What an undo would change.

    Attributes:
        summary: One sentence for people.
        affected: Paths, databases or settings that it touches.
        conflict: How the present state differs from the one the action left; None when it does not.
        state: A name of the present state, another for each other state; None when nobody can tell. A
            forced undo overwrites only the state that its preview named.
    """

    summary: str
    diff: str | None = None
    affected: tuple[str, ...] = field(default=())
    conflict: str | None = None
    state: str | None = None


class Kind(Protocol):
    """One kind of undo."""

    def preview(self, step: Step, before: Sequence[Step] = ()) -> Preview:
        """What the step would change; changes nothing.

        Args:
            before: Steps of the same undo that change the same thing first, in their order.

        Raises:
            UndoFailed: it cannot be done at all.
        """
        ...

    def refusal(
        self, step: Step, before: Sequence[Step], *, force: bool, shown: str | None
    ) -> UndoConflict | None:
        """Why the step may not be applied to what is there; None when it may. Changes nothing.

        Args:
            before: As for `preview`.
            force: What was changed after the action may be lost, as far as people were shown it.
            shown: The `state` that the preview named; None when no note of it was kept.

        Raises:
            UndoFailed: it cannot be done at all.
        """
        ...

    def apply(self, step: Step, *, force: bool, shown: str | None = None) -> str:
        """Do it and say so in one sentence; arguments as for `refusal`.

        Raises:
            UndoConflict: the state is one that may not be overwritten; nothing was changed.
            UndoFailed: it could not be done.
        """
        ...

    def in_place(self, step: Step) -> bool | None:
        """Whether the state is already the one from before the action; None when nobody can tell."""
        ...


def objection(
    what: str, state: str, conflict: str | None, *, recorded: bool, force: bool, shown: str | None
) -> str | None:
    """Why the present state may not be overwritten: it is neither what the action left nor what was shown.

    Args:
        conflict: How it differs from what the action left.
        recorded: Whether it is known what the action left.
    """
    if conflict is not None and not force:
        return conflict
    if shown == state or (recorded and conflict is None):
        return None
    if shown is None:
        return f"{what}: {_NO_NOTE}" if force else None
    left = "neither as the action left it nor" if recorded else "not"
    return f"{what} is {left} as it was when this undo was shown. {_AGAIN}"


_AGAIN = "Start the rollback again to see what it would overwrite now."
_NO_NOTE = f"this worker has no note of what was shown, so it overwrites nothing. {_AGAIN}"


def text_diff(before: str, after: str, name: str) -> str:
    """A unified diff from the present text to the one that comes back."""
    lines = difflib.unified_diff(
        _lines(before), _lines(after), f"{name} (now)", f"{name} (restored)", lineterm=""
    )
    return shortened("\n".join(lines))


def _lines(text: str) -> list[str]:
    """Lines that differ wherever the text does, in line ends and in a missing last one too."""
    *lines, last = text.split("\n")
    return [*lines, f"{last}\n\\ No newline at end of file"] if last else lines


def shortened(text: str) -> str:
    """At most LONGEST_DIFF characters, with a note of what is missing."""
    left_out = len(text) - LONGEST_DIFF
    return text if left_out <= 0 else f"{text[:LONGEST_DIFF]}\n… {left_out:,} more characters"
