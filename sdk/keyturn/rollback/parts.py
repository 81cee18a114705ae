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
    """

    summary: str
    diff: str | None = None
    affected: tuple[str, ...] = field(default=())
    conflict: str | None = None


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

    def apply(self, step: Step, *, force: bool) -> str:
        """Do it and say so in one sentence.

        Raises:
            UndoConflict: the state is another, and `force` is not given; nothing was changed.
            UndoFailed: it could not be done.
        """
        ...

    def in_place(self, step: Step) -> bool | None:
        """Whether the state is already the one from before the action; None when nobody can tell."""
        ...


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
