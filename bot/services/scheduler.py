"""When to look: APScheduler ticks, the rows say what is due.

Its jobs live in memory and hold nothing that a restart could lose. One job stands at the
next deadline and is moved up when a nearer one is stored; a sweep runs the same pass every
half minute, which also catches what other processes stored. APScheduler waits on a clock that no
step of the wall clock moves, so a watch looks for such steps, and for a machine that has slept.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta

from apscheduler.schedulers.asyncio import AsyncIOScheduler

from bot.core.clock import Clock
from bot.core.errors import Unavailable
from bot.store import Store
from bot.store.upkeep import SetBack

log = logging.getLogger(__name__)

SWEEP = timedelta(seconds=30)
_NOTICE = timedelta(seconds=5)
_CHECKPOINT = timedelta(seconds=60)
_HOURLY = timedelta(hours=1)
"""Pruning; a server that is restarted every night must come to it, too."""

_WATCH = timedelta(seconds=5)
_STEP = timedelta(seconds=2)
"""By how much the two clocks may part between two looks before it counts as a step."""

_AFTER_TROUBLE = timedelta(seconds=2)
"""When a pass that failed is tried again, which is sooner than the next sweep."""

_OVERLAPPING = 100
"""Ticks that may come while a pass runs; all but the pass itself only ask for another one."""

Pass = Callable[[], Awaitable[object]]


class Scheduler:
    """The ticks of the passes.

    Args:
        beat: Told the name of each pass that was completed.
    """

    def __init__(self, store: Store, beat: Callable[[str], None], clock: Clock) -> None:
        self._store = store
        self._beat = beat
        self._clock = clock
        self._running = False
        self._again = False
        self._every: dict[str, timedelta] = {}
        self._due: Pass | None = None
        self._checkpoint: Pass | None = None
        self._armed_at: datetime | None = None
        self._scheduler = AsyncIOScheduler(
            timezone=UTC,
            job_defaults={"coalesce": True, "max_instances": _OVERLAPPING, "misfire_grace_time": None},
        )

    async def start(self, *, due: Pass, notice: Pass, checkpoint: Pass, prune: Pass) -> None:
        """Tick from now on; what fell due while nobody looked is handled first, beside everything else.

        Args:
            due: The pass over what is due (`Escalations.run_once`).
            notice: The pass that looks for what other processes changed.
            checkpoint: The pass that signs the audit's end (`Checkpoints.run_once`).
            prune: The pass that forgets what has outlived its use; nothing waits for it.
        """
        self._due = due
        self._checkpoint = self._guarded("checkpoint", checkpoint, beats=False)
        for name, work, every in (
            ("sweep", self._pass_over_due, SWEEP),
            ("notice", self._guarded("notice", notice), _NOTICE),
            ("checkpoint", self._checkpoint, _CHECKPOINT),
            ("prune", self._guarded("prune", prune, beats=False), _HOURLY),
        ):
            self._scheduler.add_job(work, "interval", seconds=every.total_seconds(), id=name)
            self._every[name] = every
        self._scheduler.start()
        self._scheduler.add_job(self._pass_over_due, id="first")
        await self._guarded("notice", notice)()

    def next_at(self, name: str) -> datetime | None:
        """When a job comes next by APScheduler's clock: `sweep`, `notice`, `checkpoint` or `prune`.

        None when it is stopped.
        """
        job = self._scheduler.get_job(name)
        return None if job is None else job.next_run_time

    def stop(self) -> None:
        """No more ticks."""
        self._scheduler.shutdown(wait=False)

    async def watch(self, stop: asyncio.Event, every: timedelta = _WATCH) -> None:
        """Look for steps of the wall clock until `stop`."""
        loop = asyncio.get_running_loop()
        while not stop.is_set():
            wall, steady = self._clock.now(), loop.time()
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), every.total_seconds())
            drift = self._clock.now() - wall - timedelta(seconds=loop.time() - steady)
            if abs(drift) > _STEP:
                await self.clock_stepped(drift)

    async def clock_stepped(self, drift: timedelta) -> None:
        """The wall clock is no longer where it was: every tick is set anew, and what is due handled."""
        if not self._scheduler.running:
            return  # it is being stopped, and its jobs are gone
        moved = drift.total_seconds()
        log.warning("the clock moved by %+.0f s", moved, extra={"event": "clock_stepped"})
        if drift < timedelta(0):
            await self._set_back(-drift)
        for name, every in self._every.items():
            self._scheduler.reschedule_job(name, trigger="interval", seconds=every.total_seconds())
        await self._pass_over_due()

    async def _set_back(self, by: timedelta) -> None:
        try:
            await self._store.write(SetBack(by))
        except Unavailable as trouble:
            _log_failed("clock", trouble)

    def note(self, deadline: datetime | None) -> None:
        """A deadline was stored: look then, unless a nearer one is armed."""
        if self._due is None or deadline is None:
            return  # the first pass looks at everything
        if self._armed_at is not None and self._armed_at <= deadline:
            return
        self._armed_at = deadline
        # A date in the past runs at once: `misfire_grace_time=None` never drops it.
        self._scheduler.add_job(
            self._pass_over_due, "date", run_date=deadline, id="due", replace_existing=True
        )

    def checkpoint_now(self) -> None:
        """So much happened that the next checkpoint is not waited for."""
        if self._checkpoint is not None:
            self._scheduler.add_job(self._checkpoint, id="checkpoint now", replace_existing=True)

    async def _pass_over_due(self) -> None:
        """One pass at a time; a tick that comes meanwhile makes it look once more."""
        assert self._due is not None, "only a started scheduler ticks"
        self._again = True
        if self._running:
            return
        self._running = True
        try:
            while self._again:
                self._again = False
                self._armed_at = None  # what was armed has come, or the end of this pass looks again
                await self._due()
                self.note(await self._store.reads.next_deadline())
            self._beat("escalations")
            self._try_again(False)
        except Exception as trouble:
            _log_failed("escalations", trouble)
            self._try_again(True)
        finally:
            self._running = False

    def _try_again(self, again: bool) -> None:
        """Tick faster than the sweep from a pass that failed until one that did not."""
        if again and self._scheduler.running:
            seconds = _AFTER_TROUBLE.total_seconds()
            self._scheduler.add_job(
                self._pass_over_due, "interval", seconds=seconds, id="again", replace_existing=True
            )
        elif self._scheduler.get_job("again") is not None:
            self._scheduler.remove_job("again")

    def _guarded(self, name: str, work: Pass, *, beats: bool = True) -> Pass:
        async def run() -> None:
            try:
                await work()
                if beats:
                    self._beat(name)
            except Exception as trouble:
                _log_failed(name, trouble)

        return run


def _log_failed(name: str, trouble: Exception) -> None:
    """A pass failed; without its beat readiness says so. Storage trouble passes, anything else is a bug."""
    if isinstance(trouble, Unavailable):
        log.warning("%s pass failed: %s", name, trouble.message, extra={"event": "pass_failed"})
    else:
        log.error("%s pass broke", name, exc_info=trouble, extra={"event": "pass_broke"})
