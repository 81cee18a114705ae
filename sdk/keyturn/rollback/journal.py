"""What a worker has begun, on disk before it is done, so that a crash makes nothing happen twice.

One small file for each undo. A step is written down before it is applied and again after; what came
of it stays until the server has it. One process at a time uses a journal.
"""

import fcntl
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from keyturn import exact
from keyturn.errors import ConfigurationError


@dataclass(frozen=True, slots=True)
class Entry:
    """One undo that was taken, or is being taken.

    Attributes:
        key: The idempotency key of its claim: asked again with it, the server gives the same answer.
        work: The claimed work as the server gave it; None until the claim was answered.
        done: How many steps are applied.
        begun: Whether the next step was begun.
        said: One sentence for each applied step.
        outcome: What is to be reported; None until the end.
    """

    id: str
    key: str
    work: dict[str, Any] | None = None
    done: int = 0
    begun: bool = False
    said: tuple[str, ...] = field(default=())
    outcome: dict[str, Any] | None = None


MOST_SHOWN = 200
"""Notes of what was shown that are kept; of undos that were never confirmed nobody says so to the worker."""


class Journal:
    """The entries of one agent, in a directory of its own.

    Raises:
        ConfigurationError: another process uses the directory.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._lock = os.open(directory / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._lock)
            raise ConfigurationError(
                f"Another worker uses the journal {directory}; give each its own with journal=…"
            ) from None

    def close(self) -> None:
        """Let others use it."""
        os.close(self._lock)

    def entries(self) -> Iterator[Entry]:
        """What was begun and not reported to its end, oldest first."""
        for path in sorted(self.directory.glob("*.json"), key=lambda path: path.stat().st_mtime_ns):
            found = exact.loads(path.read_bytes())
            yield Entry(**{**found, "said": tuple(found["said"])})

    def write(self, entry: Entry) -> Entry:
        """Keep the entry; it is on disk when this returns."""
        self._put(self._path(entry.id), asdict(entry))
        return entry

    def changed(self, entry: Entry, **changes: Any) -> Entry:
        """Keep the entry with `changes`."""
        return self.write(replace(entry, **changes))

    def forget(self, entry: Entry) -> None:
        """The server knows how it ended. Of an undo that stopped half-way the finished steps are kept."""
        work, outcome = entry.work, entry.outcome
        if work is not None and outcome is not None:
            kept = self._path(str(work["request_id"])).with_suffix(".done")
            if outcome["state"] == "succeeded" or not entry.done:
                kept.unlink(missing_ok=True)
            else:
                self._put(kept, {"digest": work["digest"], "done": entry.done, "said": entry.said})
        self._path(entry.id).unlink(missing_ok=True)
        self.forget_shown(entry.id)
        self._sync()

    def done_before(self, work: Mapping[str, Any]) -> tuple[int, tuple[str, ...]]:
        """How many steps of this very undo were applied by an earlier try, and what was said of them."""
        kept = self._path(str(work["request_id"])).with_suffix(".done")
        if not kept.exists():
            return 0, ()
        found = exact.loads(kept.read_bytes())
        if found["digest"] != work["digest"]:
            return 0, ()
        return int(found["done"]), tuple(found["said"])

    def note_shown(self, id: str, states: Sequence[str | None]) -> None:
        """Keep the state of each step as the preview of this undo shows it, until the undo has ended."""
        self._put(self._note(id), {"states": list(states)})
        notes = sorted(self.directory.glob("*.shown"), key=lambda path: path.stat().st_mtime_ns)
        for old in notes[:-MOST_SHOWN]:
            old.unlink(missing_ok=True)

    def shown(self, id: str) -> Sequence[str | None]:
        """What was noted; empty where nothing is."""
        try:
            return list(exact.loads(self._note(id).read_bytes())["states"])
        except FileNotFoundError:
            return []

    def forget_shown(self, id: str) -> None:
        """The note is of a preview that nobody was shown, or of an undo that has ended."""
        self._note(id).unlink(missing_ok=True)

    def _note(self, id: str) -> Path:
        return self._path(id).with_suffix(".shown")

    def _put(self, path: Path, value: Mapping[str, Any]) -> None:
        temporary = path.with_suffix(".new")
        with temporary.open("w", encoding="utf-8") as file:
            file.write(exact.dumps(value))
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        self._sync()

    def _path(self, id: str) -> Path:
        if not re.fullmatch(r"[A-Za-z0-9_.-]{1,128}", id):
            raise ValueError(f"{id!r} is no id of a rollback")
        return self.directory / f"{id}.json"

    def _sync(self) -> None:
        directory = os.open(self.directory, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)
