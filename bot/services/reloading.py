"""Changed policies, taken over while the server runs: after a change of the files, or on SIGHUP.

A new set is on record before anything is judged by it, and a refused one changes nothing. Both are
audited and told to the admin channel. Requests in flight keep the set that they began with.
"""

import asyncio
import logging
from collections.abc import Sequence
from contextlib import aclosing
from pathlib import Path

from watchfiles import awatch

from bot.core.clock import Clock
from bot.core.errors import Unavailable
from bot.core.models import Actor, Event, Outgoing, Via
from bot.core.policy import PolicySet, Problem
from bot.services.policies import Policies
from bot.store import Store
from bot.store.commands import RecordEvents

log = logging.getLogger(__name__)

_QUIET = 200  # milliseconds without a further change, after which the files are read
_LOOK_ANYWAY = 5_000  # milliseconds; what the system does not report is found by looking
_TOLD = 10
_LONGEST_NOTICE = 2_800  # characters; Slack cuts longer ones into several messages


class Reloads:
    """The one that watches the policies' directory and takes over what is good."""

    def __init__(self, policies: Policies, store: Store, clock: Clock) -> None:
        self._policies = policies
        self._store = store
        self._clock = clock
        self._asked = asyncio.Event()
        self._one_at_a_time = asyncio.Lock()
        self._refused: tuple[Problem, ...] = ()

    def ask(self) -> None:
        """Read the files now, changed or not (SIGHUP)."""
        self._asked.set()

    async def started(self) -> None:
        """Audit the set that the server starts with, unless it is the one it ran with last.

        Raises:
            Unavailable: it could not be stored.
        """
        last = await self._store.reads.audit_page(event="policy_loaded", limit=1)
        present = self._policies.current
        if last and last[0].body.get("version") == present.version:
            return
        before = str(last[0].body["version"]) if last else None
        await self._record(_loaded(present, before, "start", Via.SCHEDULER))

    async def run(self, stop: asyncio.Event) -> None:
        """Take over changes until `stop`."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._watch(stop))
            tasks.create_task(self._obey(stop))

    async def reload(self, *, asked: bool) -> None:
        """Read the files, and judge by them if they are good.

        Args:
            asked: By a person, who is told of the same problems again.

        Raises:
            Unavailable: it could not be put on record, so the old set stays in force.
        """
        async with self._one_at_a_time:
            found = await asyncio.to_thread(self._policies.read)
            via = Via.CLI if asked else Via.SCHEDULER
            if found.policies is None:
                await self._refuse(found.problems, via, asked=asked)
            else:
                await self._adopt(found.policies, via)

    async def _adopt(self, fresh: PolicySet, via: Via) -> None:
        before = self._policies.current
        if fresh.version != before.version or self._policies.stale:
            notice = _notice(fresh, f"Policies loaded: {_short(fresh.version)} is in force.")
            await self._record(_loaded(fresh, before.version, "reload", via), notice)
            log.info("policies loaded: %s", fresh.version, extra={"event": "policy_loaded"})
        self._policies.adopt(fresh)
        self._refused = ()

    async def _refuse(self, problems: tuple[Problem, ...], via: Via, *, asked: bool) -> None:
        present = self._policies.current
        self._policies.refuse()
        if problems == self._refused and not asked:
            return
        log.error("policies refused: %s", "; ".join(map(str, problems)), extra={"event": "policy_refused"})
        await self._record(_refusal(present, problems, via), _notice(present, _told(present, problems)))
        self._refused = problems

    async def _record(self, event: Event, *outbox: Outgoing | None) -> None:
        mail = tuple(outgoing for outgoing in outbox if outgoing is not None)
        await self._store.write(RecordEvents((event,), self._clock.now(), mail))

    async def _watch(self, stop: asyncio.Event) -> None:
        """Reload after changes. What could not be put on record is tried again at the next look."""
        directory, owed = self._policies.directory, True  # it may have changed since it was loaded
        polling: bool | None = None
        while not stop.is_set():
            try:
                changes = awatch(
                    directory,
                    watch_filter=None,
                    step=_QUIET,
                    stop_event=stop,
                    rust_timeout=_LOOK_ANYWAY,
                    yield_on_timeout=True,
                    recursive=False,
                    force_polling=polling,
                )
                last = read = await asyncio.to_thread(_look, directory)
                async with aclosing(changes):
                    async for changed in changes:
                        look = await asyncio.to_thread(_look, directory)
                        replaced = look[:1] != last[:1]
                        settled = look == last  # what still changes may be half written
                        if changed or owed or replaced or (settled and look != read):
                            owed, read = not await self._reloaded(asked=False), look
                        if replaced:
                            break
                        last = look
            except OSError as trouble:
                log.warning("cannot watch %s: %s", directory, trouble, extra={"event": "policy_watch"})
                await self._reloaded(asked=False)
                owed = True  # whatever comes in its place has not been read
                # The system has no more watches to give, unless it is the directory that is gone.
                polling = polling or not isinstance(trouble, FileNotFoundError) or None
                await _wait(stop, _LOOK_ANYWAY / 1000)

    async def _obey(self, stop: asyncio.Event) -> None:
        while await _either(self._asked, stop):
            self._asked.clear()
            await self._reloaded(asked=True)

    async def _reloaded(self, *, asked: bool) -> bool:
        try:
            await self.reload(asked=asked)
        except Unavailable as trouble:
            log.warning("policies stay as they are: %s", trouble.message, extra={"event": "policy_owed"})
            return False
        return True


def _look(directory: Path) -> list[tuple[object, ...]]:
    """Which directory it is, and how each of its files looks.

    No watch reports that a deployment put another directory in its place, that the file behind a link
    was edited, or that another machine changed a shared one.
    """
    try:
        found = directory.stat()
        return [(found.st_dev, found.st_ino), *sorted(_sight(path) for path in directory.iterdir())]
    except OSError:
        return []


def _sight(path: Path) -> tuple[object, ...]:
    try:
        found = path.stat()
    except OSError:
        return (path.name,)
    return path.name, found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns


async def _either(asked: asyncio.Event, stop: asyncio.Event) -> bool:
    """True once `asked` is set, False once `stop` is."""
    waits = [asyncio.ensure_future(event.wait()) for event in (asked, stop)]
    try:
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()
        await asyncio.gather(*waits, return_exceptions=True)
    return not stop.is_set()


async def _wait(stop: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await stop.wait()
    except TimeoutError:
        return


def _loaded(fresh: PolicySet, before: str | None, why: str, via: Via) -> Event:
    body = {
        "version": fresh.version,
        "before": before,
        "why": why,
        "policies": [policy.name for policy in fresh.policies],
    }
    return Event("policy_loaded", Actor.system("policies"), via, body)


def _refusal(present: PolicySet, problems: Sequence[Problem], via: Via) -> Event:
    body = {
        "in_force": present.version,
        "count": len(problems),
        "problems": [str(problem)[:500] for problem in problems[:_TOLD]],
    }
    return Event("policy_refused", Actor.system("policies"), via, body)


def _told(present: PolicySet, problems: Sequence[Problem]) -> str:
    lines = [str(problem) for problem in problems[:_TOLD]]
    if len(problems) > _TOLD:
        lines.append(f"and {len(problems) - _TOLD} more; keyturn policy check shows them all")
    head = f"Policies refused: {_short(present.version)} stays in force until the files are corrected."
    text = "\n".join([head, *lines])
    return text if len(text) <= _LONGEST_NOTICE else text[: _LONGEST_NOTICE - 1] + "…"


def _notice(policies: PolicySet, text: str) -> Outgoing | None:
    channel = policies.workspace.admin_channel
    if channel is None:
        return None
    return Outgoing("slack.notice", {"channel": channel, "text": text}, order=f"channel:{channel}")


def _short(version: str) -> str:
    return version[:19] + "…"
