"""The demo's processes: started in sessions of their own, watched, and stopped without leaving any.

A process of its own session does not get the terminal's Ctrl-C: the demo alone decides who stops when.
What they print goes to a log file each; when one dies, its last lines say why.
"""

import asyncio
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Self, TypeVar

T = TypeVar("T")
U = TypeVar("U")

START_SECONDS = 60.0
"""How long a part may take to be ready; seconds on a slow machine, about one on a fast one."""

STOP_SECONDS = 10.0
"""How long a part may take to end after SIGTERM."""

_LOOK_SECONDS = 0.05
_LAST_LINES = 15
_PROXIES = frozenset({"http_proxy", "https_proxy", "all_proxy"})


class DemoError(Exception):
    """The demo cannot go on; the message says why, for a person."""


def environment(given: Mapping[str, str], **own: str) -> dict[str, str]:
    """The environment of a part: the user's, without settings meant for a real Keyturn, Slack or proxy."""
    kept = {
        name: value
        for name, value in given.items()
        if not name.startswith(("KEYTURN_", "SLACK_")) and name.lower() not in _PROXIES
    }
    return {**kept, "PYTHONUNBUFFERED": "1", **own}


class Child:
    """One running process of the demo.

    Attributes:
        name: What people call it.
        log: Where its output goes.
    """

    def __init__(self, name: str, process: asyncio.subprocess.Process, log: Path) -> None:
        self.name = name
        self.log = log
        self._process = process

    @classmethod
    async def start(
        cls,
        name: str,
        arguments: Sequence[str],
        *,
        env: Mapping[str, str],
        cwd: Path,
        logs: Path,
        told: bool = False,
    ) -> Self:
        """Start `python ARGUMENTS`.

        Args:
            told: Its output is read with `tell`, and must be; else it goes to the log by itself.
        """
        log = logs / f"{name}.log"
        with log.open("ab") as output:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                *arguments,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE if told else output,
                stderr=asyncio.subprocess.STDOUT if told else output,
                env=env,
                cwd=cwd,
                start_new_session=True,
            )
        return cls(name, process, log)

    async def tell(self, say: Callable[[str], None]) -> None:
        """Say every line it prints, and log it, until it prints no more."""
        output = self._process.stdout
        if output is None:
            raise ValueError(f"The {self.name} was not started to be told")
        with self.log.open("ab") as log:
            async for line in output:
                log.write(line)
                log.flush()
                say(line.decode("utf-8", "replace").rstrip())

    async def until(self, ready: Callable[[], Awaitable[T | None]], what: str) -> T:
        """The first answer of `ready` that is not None, asked again and again while the process lives.

        Raises:
            DemoError: it ended, or took longer than START_SECONDS.
        """
        try:
            async with asyncio.timeout(START_SECONDS):
                while (found := await ready()) is None:
                    if self._process.returncode is not None:
                        raise self._died(self._process.returncode)
                    await asyncio.sleep(_LOOK_SECONDS)
                return found
        except TimeoutError:
            raise DemoError(
                f"The {self.name} is not ready after {START_SECONDS:.0f} s: {what}.{self._last_lines()}"
            ) from None

    async def finished(self) -> None:
        """Return when it ended well.

        Raises:
            DemoError: it ended with another code than 0.
        """
        if code := await self._process.wait():
            raise self._died(code)

    async def runs_on(self) -> None:
        """Never return: this process is meant to stay.

        Raises:
            DemoError: it ended.
        """
        raise self._died(await self._process.wait())

    async def stop(self) -> None:
        """End it and whatever it started: kindly first, by force after STOP_SECONDS."""
        for signum in (signal.SIGTERM, signal.SIGKILL):
            if self._process.returncode is not None:
                return
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signum)
            with suppress(TimeoutError):
                await asyncio.wait_for(self._process.wait(), STOP_SECONDS)

    def _died(self, code: int) -> DemoError:
        how = f"was killed by signal {-code}" if code < 0 else f"ended with code {code}"
        return DemoError(f"The {self.name} {how}.{self._last_lines()}")

    def _last_lines(self) -> str:
        lines = self.log.read_text("utf-8", "replace").splitlines()[-_LAST_LINES:]
        return "".join(f"\n  | {line}" for line in lines) or " It said nothing."


async def both(one: Coroutine[Any, Any, T], other: Coroutine[Any, Any, U]) -> tuple[T, U]:
    """Two pieces of work side by side.

    Raises:
        DemoError: one of them failed; the other was cancelled.
    """
    try:
        async with asyncio.TaskGroup() as group:
            first, second = group.create_task(one), group.create_task(other)
        return first.result(), second.result()
    except* DemoError as problems:
        raise _first(problems) from None


async def while_alive(children: Sequence[Child], work: Coroutine[Any, Any, T]) -> T:
    """The result of `work`, unless one of the children ends first.

    Raises:
        DemoError: one ended; `work` was cancelled.
    """
    try:
        async with asyncio.TaskGroup() as group:
            watches = [group.create_task(child.runs_on()) for child in children]
            result = await work
            for watch in watches:
                watch.cancel()
        return result
    except* DemoError as problems:
        raise _first(problems) from None


def _first(problems: BaseExceptionGroup[DemoError]) -> DemoError:
    found = problems.exceptions[0]
    return _first(found) if isinstance(found, BaseExceptionGroup) else found
