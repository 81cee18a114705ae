"""`command_undo`: one program with its arguments, without a shell, within a time limit."""

import os
import shlex
import signal
import subprocess
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from typing import IO

from keyturn.rollback.parts import Preview, Step, UndoConflict, UndoFailed

TIME_LIMIT = 300.0
"""Seconds a command may take unless the resources say otherwise."""

LONGEST_OUTPUT = 2000
"""Characters of the end of its output that are kept."""


class CommandUndo:
    """Runs the commands that undo.

    Args:
        time_limit: Seconds; then the command and its children are killed, and the undo has failed.
    """

    def __init__(self, time_limit: float = TIME_LIMIT) -> None:
        self._time_limit = time_limit

    def preview(self, step: Step, before: Sequence[Step] = ()) -> Preview:
        """As `Kind.preview`."""
        line, cwd = shlex.join(map(str, step["argv"])), step.get("cwd")
        where = f" in {cwd}" if cwd else ""
        return Preview(
            f"Run `{line}`{where}. What it will change cannot be checked.", None, (str(step["argv"][0]),)
        )

    def refusal(
        self, step: Step, before: Sequence[Step], *, force: bool, shown: str | None
    ) -> UndoConflict | None:
        """As `Kind.refusal`: there is no state to check."""
        return None

    def apply(self, step: Step, *, force: bool, shown: str | None = None) -> str:
        """As `Kind.apply`; there is no state to check, so `force` changes nothing."""
        argv = [str(word) for word in step["argv"]]
        line = shlex.join(argv)
        # A file and no pipe: something that the command leaves running would hold a pipe open.
        with tempfile.TemporaryFile() as output:
            code = self._finished(self._started(argv, step.get("cwd"), output), line, output)
            if code:
                raise UndoFailed(f"`{line}` ended with exit code {code}. {_end(output)}")
            return f"Ran `{line}`. {_end(output)}".strip()

    def in_place(self, step: Step) -> bool | None:
        """As `Kind.in_place`: nobody can tell."""
        return None

    def _started(self, argv: list[str], cwd: str | None, output: IO[bytes]) -> subprocess.Popen[bytes]:
        try:
            return subprocess.Popen(
                argv,
                cwd=cwd,
                env={name: value for name, value in os.environ.items() if name != "KEYTURN_TOKEN"},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        except OSError as error:
            raise UndoFailed(
                f"{argv[0]} could not be started: {error.strerror}: {error.filename}. Nothing was changed."
            ) from error

    def _finished(self, process: subprocess.Popen[bytes], line: str, output: IO[bytes]) -> int:
        try:
            return process.wait(self._time_limit)
        except subprocess.TimeoutExpired:
            with suppress(ProcessLookupError):  # it may end at this very moment
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            raise UndoFailed(
                f"`{line}` was stopped after {self._time_limit:g} s; "
                f"it may have done a part of its work. {_end(output)}"
            ) from None


def _end(output: IO[bytes]) -> str:
    """The end of what a command wrote, for people."""
    size = output.seek(0, os.SEEK_END)
    output.seek(max(0, size - 4 * LONGEST_OUTPUT))
    text = output.read().decode("utf-8", "replace").replace("\x00", "\ufffd").strip()
    if not text:
        return ""
    cut = text if len(text) <= LONGEST_OUTPUT else "…" + text[-LONGEST_OUTPUT:]
    return f"Its output: {cut}"
