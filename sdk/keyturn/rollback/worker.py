"""The agent's worker: asks for undo work, shows previews, claims, applies, reports.

    with keyturn.rollback.Worker(resources=resources):
        ...  # the agent works; undos that people confirmed are applied meanwhile

It survives restarts: what was begun is in a journal on disk, and is settled before anything new is
taken. Nothing is applied that was not claimed, and nothing is applied twice.
"""

import asyncio
import hashlib
import logging
import os
import threading
from collections.abc import Callable, Generator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from uuid import uuid4

import httpx

from keyturn import flows
from keyturn.client import Client
from keyturn.errors import (
    ApiError,
    KeyturnError,
    MissingScope,
    NotApproved,
    RateLimited,
    Unauthorized,
    Unavailable,
    Unreachable,
)
from keyturn.exchange import Call, Sleep
from keyturn.http import exchanged, http_options
from keyturn.rollback.applying import apply, preview_outcome
from keyturn.rollback.journal import Entry, Journal
from keyturn.rollback.resources import Resources
from keyturn.settings import Settings, configured

LONGEST_POLL = 50
"""Seconds for which the server is asked to hold its answer while there is nothing to do."""

_PAUSE = 5.0
"""Seconds after trouble with the server, before it is asked again."""

_LOST = (Unreachable, Unavailable, RateLimited)
_FATAL = (Unauthorized, MissingScope)
_log = logging.getLogger("keyturn")


@dataclass(frozen=True, slots=True)
class Local:
    """Work on this machine, which may block."""

    call: Callable[[], Any]


Work = Generator[Call | Sleep | Local, Any, int]


def one_pass(settings: Settings, resources: Resources, journal: Journal, wait: int) -> Work:
    """Settle what was begun, then do what the server has; how many pieces of work were done."""
    done = 0
    for entry in list(journal.entries()):
        done += yield from _settle(settings, resources, journal, entry)
    for work in (yield from flows.rollback_queue(settings, wait)):
        if work["kind"] == "preview":
            told = yield Local(partial(preview_outcome, resources, journal, work))
            if not (yield from _report(settings, str(work["id"]), told)):
                journal.forget_shown(str(work["id"]))
                yield Sleep(_PAUSE)  # it will be asked for again, and asking at once would spin
        else:
            entry = journal.write(Entry(id=str(work["id"]), key=str(uuid4())))
            yield from _settle(settings, resources, journal, entry)
        done += 1
    return done


def _settle(settings: Settings, resources: Resources, journal: Journal, entry: Entry) -> Work:
    """Bring one entry to its end: claimed, applied, reported."""
    if entry.work is None:
        try:
            claimed = yield from flows.claim_rollback(settings, entry.id, entry.key)
        except (ApiError, NotApproved) as refused:
            if isinstance(refused, (*_LOST, *_FATAL)):
                raise
            # Somebody else has it, it has expired, or it was never confirmed: it is not ours to apply.
            _log.info("%s is not applied: %s", entry.id, refused, extra={"event": "undo_not_claimed"})
            journal.forget(entry)
            return 0
        entry = journal.changed(entry, work=dict(claimed))
    if entry.outcome is None:
        entry = yield Local(partial(apply, resources, journal, entry))
    assert entry.outcome is not None, "what was applied has an outcome"
    yield from _report(settings, entry.id, entry.outcome)
    journal.forget(entry)
    return 1


def _report(settings: Settings, id: str, told: dict[str, Any]) -> Generator[Call | Sleep, Any, bool]:
    """Tell the server; whether it took the report."""
    try:
        yield from flows.report_rollback(settings, id, told)
    except ApiError as refused:
        if isinstance(refused, (*_LOST, *_FATAL)):
            raise
        _log.error("The report of %s was refused: %s", id, refused, extra={"event": "undo_report_refused"})
        return False
    return True


def default_journal(settings: Settings) -> Path:
    """A directory for the journal of this server's agent, below XDG_STATE_HOME."""
    state = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    server = hashlib.sha256(settings.url.encode()).hexdigest()[:16]
    return Path(state) / "keyturn" / f"rollbacks-{server}"


class AsyncWorker:
    """Does the undo work of one agent: `async with AsyncWorker(...)`, or `run()` in a task of your own.

    What is undone runs in threads, so the event loop is never blocked.

    Args:
        url, token: The server and the agent; else `KEYTURN_URL` and `KEYTURN_TOKEN`.
        resources: What may be undone beside files, settings files and commands.
        journal: Where begun work is kept; a directory of its own for each worker. By default one below
            `XDG_STATE_HOME`, named after the server; several agents on one machine need one each.

    Raises:
        ConfigurationError: no server or token, or another worker uses the journal.
    """

    def __init__(
        self,
        url: str | None = None,
        token: str | None = None,
        *,
        resources: Resources | None = None,
        journal: Path | str | None = None,
    ) -> None:
        self._open(configured(url, token), resources, journal)

    @classmethod
    def of(cls, settings: Settings, resources: Resources | None, journal: Path | str | None) -> Self:
        """A worker with these very settings."""
        worker = cls.__new__(cls)
        worker._open(settings, resources, journal)
        return worker

    def _open(self, settings: Settings, resources: Resources | None, journal: Path | str | None) -> None:
        self._settings = settings
        self._resources = resources or Resources()
        self._journal = Journal(Path(journal) if journal is not None else default_journal(settings))
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self.run())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
        self.close()

    def close(self) -> None:
        """Let another worker use the journal."""
        self._journal.close()

    async def run(self) -> None:
        """Work until cancelled, through any outage of the server; what is in hand is brought to its end.

        Returns, with an error in the log, when the token is not accepted any more.
        """
        while True:
            try:
                await self.run_once(wait=LONGEST_POLL)
            except _FATAL as refused:
                _log.error("The rollback worker ends: %s", refused, extra={"event": "undo_worker_ended"})
                return
            except KeyturnError as trouble:
                _log.warning("The rollback worker waits: %s", trouble, extra={"event": "undo_worker_waits"})
                await asyncio.sleep(_PAUSE)
            except Exception:  # a full disk, an answer of another shape: no reason to be gone for good
                _log.exception("The rollback worker stumbled", extra={"event": "undo_worker_stumbled"})
                await asyncio.sleep(_PAUSE)

    async def run_once(self, *, wait: int = 0) -> int:
        """One pass: settle what was begun, do what there is; how many pieces of work were done.

        Args:
            wait: Seconds for which the server may hold its answer while there is nothing.

        Raises:
            KeyturnError: the server cannot be reached or refuses.
        """
        work = one_pass(self._settings, self._resources, self._journal, wait)
        result: Any = None
        async with httpx.AsyncClient(**http_options(self._settings)) as http:
            while True:
                try:
                    step = work.send(result)
                except StopIteration as done:
                    return int(done.value)
                if isinstance(step, Local):
                    result = await _to_its_end(step.call)
                elif isinstance(step, Sleep):
                    await asyncio.sleep(step.seconds)
                    result = None
                else:
                    result = await exchanged(http, self._settings, step)


class Worker:
    """The same for blocking code, in a thread of its own between `start` and `close`, or in `with`.

    Args:
        client: The agent's client; else server and token come from `KEYTURN_URL` and `KEYTURN_TOKEN`.
        resources, journal: As for `AsyncWorker`.

    Raises:
        ConfigurationError: as for `AsyncWorker`.
    """

    def __init__(
        self,
        client: Client | None = None,
        *,
        resources: Resources | None = None,
        journal: Path | str | None = None,
    ) -> None:
        settings = configured(None, None) if client is None else client.settings
        self._inner = AsyncWorker.of(settings, resources, journal)
        self._thread: threading.Thread | None = None
        self._ready = threading.Event()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def start(self) -> None:
        """Work in the background until `close`; returns at once."""
        if self._thread is None:
            # A daemon: a worker that nobody closed must not keep the program from ending.
            self._thread = threading.Thread(target=self.run, name="keyturn-rollbacks", daemon=True)
            self._thread.start()
            self._ready.wait()

    def close(self) -> None:
        """Stop; an undo in hand is brought to its end first."""
        if self._thread is not None:
            self._loop.call_soon_threadsafe(self._stop.set)
            self._thread.join()
        self._inner.close()

    def run(self) -> None:
        """Work in this thread until `close` is called from another, or the token is not accepted any more."""
        asyncio.run(self._until_closed())

    def run_once(self, *, wait: int = 0) -> int:
        """As `AsyncWorker.run_once`, blocking; not while the worker is started."""
        return asyncio.run(self._inner.run_once(wait=wait))

    async def _until_closed(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        self._ready.set()
        working = asyncio.create_task(self._inner.run())
        stopping = asyncio.create_task(self._stop.wait())
        await asyncio.wait([working, stopping], return_when=asyncio.FIRST_COMPLETED)
        working.cancel()
        with suppress(asyncio.CancelledError):
            await working
        await self._stop.wait()


async def _to_its_end(call: Callable[[], Any]) -> Any:
    """The result of a thread; a cancellation waits for it, since half an undo is worse than a late stop."""
    running = asyncio.ensure_future(asyncio.to_thread(call))
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        await running
        raise
