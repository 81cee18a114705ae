"""What is wrong with a set of policies, so that a person can mend it at once."""

from collections.abc import Sequence
from dataclasses import dataclass

Location = tuple[str | int, ...]
"""Keys and list positions that lead to a value."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One fault: where it is, what is wrong, what to write instead. Lines and columns count from 1."""

    file: str
    line: int
    column: int
    key: str
    """Dotted, with list positions: `block[0].path_pattern`; empty for the file itself."""
    wrong: str
    instead: str

    def __str__(self) -> str:
        key = f"{self.key}: " if self.key else ""
        return f"{self.file}:{self.line}:{self.column}: {key}{self.wrong}; {self.instead}"


class PolicyError(Exception):
    """The policies cannot be used as they are.

    Args:
        problems: Every fault that was found, at least one.
    """

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(map(str, self.problems)))


def dotted(location: Location) -> str:
    """`block[0].path_pattern` for `("block", 0, "path_pattern")`."""
    text = ""
    for step in location:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else str(step)
    return text
