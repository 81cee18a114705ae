"""When to look: APScheduler ticks, the rows say what is due.

Its jobs live in memory and hold nothing that a restart could lose. One job stands at the
next deadline and is moved up when a nearer one is stored; a sweep runs the same pass every
half minute, which also catches steps of the clock and what other processes stored.
"""

import logging
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

from apscheduler.schedulers.asyncio import AsyncIOScheduler

from bot.core.errors import Unavailable
from bot.store import Store

log = logging.getLogger(__name__)

SWEEP = timedelta(seconds=30)
_NOTICE = timedelta(seconds=5)
_DAILY = timedelta(days=1)

Pass = Callable[[], Awaitable[object]]


class Scheduler:
    """The ticks of the passes.

    Args:
        beat: Told the name of each pass that was completed.
    """

    def __init__(self, store: Store, beat: Callable[[str], None]) -> None:
        self._store = store
        self._beat = beat
        self._due: Pass | None = None
        self._armed_at: datetime | None = None
        self._scheduler = AsyncIOScheduler(
            timezone=UTC, job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": None}
        )

    async def start(self, *, due: Pass, notice: Pass, prune: Pass) -> None:
        """Handle what fell due while nobody looked, then tick.

        Args:
            due: The pass over what is due (`Escalations.run_once`).
            notice: The pass that looks for what other processes changed.
            prune: The pass that forgets what has outlived its use.
        """
        self._due = due
        for name, work, every in (
            ("sweep", self._pass_over_due, SWEEP),
            ("notice", self._guarded("notice", notice), _NOTICE),
            ("prune", self._guarded("prune", prune), _DAILY),
        ):
            self._scheduler.add_job(work, "interval", seconds=every.total_seconds(), id=name)
        self._scheduler.start()
        await self._pass_over_due()

    def stop(self) -> None:
        """No more ticks."""
        self._scheduler.shutdown(wait=False)

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

    async def _pass_over_due(self) -> None:
        assert self._due is not None, "only a started scheduler ticks"
        self._armed_at = None
        try:
            await self._due()
            self.note(await self._store.reads.next_deadline())
            self._beat("escalations")
        except Unavailable as trouble:
            log.warning("escalation pass failed: %s", trouble.message, extra={"event": "pass_failed"})

    def _guarded(self, name: str, work: Pass) -> Pass:
        async def run() -> None:
            try:
                await work()
                self._beat(name)
            except Unavailable as trouble:
                log.warning("%s pass failed: %s", name, trouble.message, extra={"event": "pass_failed"})

        return run
