"""Everything that leaves Keyturn, sent after the change that caused it is on disk.

A row is leased, sent, and then completed, put off or given up. A process that dies in
between leaves the lease to run out, so each message is sent at least once; senders make a
second copy harmless. Trouble with sending never decides anything.
"""

import asyncio
import logging
import math
import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol

from bot.core import climbing
from bot.core.clock import Clock
from bot.core.errors import Unavailable
from bot.core.models import Actor, Event, Outgoing, RequestId, Via
from bot.core.notifying import unreachable_alert
from bot.store import Store
from bot.store.commands import (
    CompleteOutbox,
    EnqueueOutbox,
    FailOutbox,
    LeaseOutbox,
    OutboxItem,
    RetryOutbox,
)
from bot.store.outbox import RenewLease

log = logging.getLogger(__name__)

LEASE = timedelta(seconds=30)
"""How long a row is one sender's without word from it; longer than any single call to the outside."""

_RENEW_EVERY = 10.0
"""Seconds after which a sender that is still at work, as on a long report, says so."""

_SETTLE_AGAIN = (0.1, 0.5, 2.0, 5.0)
"""Seconds between tries to record what became of a delivery; together well within the lease."""

_AT_ONCE = 20
"""Rows that are being sent at the same time."""

_FIRST_WAIT = 1.0  # seconds
_LONGEST_WAIT = 60.0  # seconds
_SHORTEST_SLEEP = 0.02  # seconds; what is due but leased or paced does not spin
_LONGEST_SLEEP = 5.0  # seconds; what another process stored is seen by then

_NO_FAULT = frozenset({"no_card"})
"""Failures that only follow from another one, of which the admins are told."""


@dataclass(frozen=True, slots=True)
class Sent:
    """It arrived. `events` and `outbox` are committed together with the row's completion."""

    events: tuple[Event, ...] = ()
    outbox: tuple[Outgoing, ...] = ()


@dataclass(frozen=True, slots=True)
class Later:
    """It did not arrive and may be tried again; `retry_after` is the receiver's own wish."""

    error: str
    retry_after: timedelta | None = None


@dataclass(frozen=True, slots=True)
class Failed:
    """It cannot arrive. `code` says why, in the receiver's vocabulary."""

    code: str
    events: tuple[Event, ...] = ()


@dataclass(frozen=True, slots=True)
class Unclear:
    """It may have arrived. The next try must look before it sends again."""

    error: str


Delivery = Sent | Later | Failed | Unclear


class Sender(Protocol):
    """Sends one kind of row, or several."""

    @property
    def kinds(self) -> frozenset[str]:
        """The kinds it sends."""
        ...

    async def send(self, item: OutboxItem) -> Delivery:
        """Try once. Anything raised counts as unclear."""
        ...


class Outbox:
    """One pass over what is unsent, again and again."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        senders: Sequence[Sender],
        note_deadline: Callable[[datetime | None], None] = lambda _at: None,
        admin_channel: Callable[[], str | None] = lambda: None,
    ) -> None:
        """`admin_channel` hears of whom a policy names and nothing can reach."""
        self._admin_channel = admin_channel
        self._store = store
        self._note_deadline = note_deadline
        self._clock = clock
        self._senders = {kind: sender for sender in senders for kind in sender.kinds}
        self._woken = asyncio.Event()
        self._under_way = 0
        store.on_commit(lambda _changes: self._woken.set())

    @property
    def under_way(self) -> int:
        """Rows that are being sent at this moment."""
        return self._under_way

    async def tell(
        self, channel: str, user: str, text: str, *, request_id: str | None, thread_ts: str | None = None
    ) -> None:
        """Say something to one person alone, where they clicked."""
        payload = {"channel": channel, "user": user, "text": text, "thread_ts": thread_ts}
        await self.enqueue(
            Outgoing("slack.ephemeral", payload, order=f"ephemeral:{user}", request_id=request_id)
        )

    async def enqueue(self, *outgoing: Outgoing) -> None:
        """Store work that no change of a request brings with it."""
        await self._store.write(EnqueueOutbox(outgoing, self._clock.now()))

    async def run(self, stop: asyncio.Event, beat: "Beat") -> None:
        """Send until `stop`, then let what is under way end. One slow receiver holds up nobody else."""
        async with asyncio.TaskGroup() as tasks:
            while not stop.is_set():
                self._woken.clear()
                try:
                    items = await self._lease()
                    beat("outbox")
                    for item in items:
                        tasks.create_task(self._deliver(item))
                    if not items:
                        await self._sleep(stop, await self._store.reads.next_outbox_at())
                except Unavailable as trouble:
                    log.warning("outbox pass failed: %s", trouble.message, extra={"event": "outbox_failed"})
                    await self._sleep(stop, None)

    async def run_once(self) -> int:
        """Send what is due now and wait for all of it; how many rows were tried."""
        items = await self._lease()
        async with asyncio.TaskGroup() as tasks:
            for item in items:
                tasks.create_task(self._deliver(item))
        return len(items)

    async def _lease(self) -> Sequence[OutboxItem]:
        """Take what is due, as far as there is room for it."""
        room = _AT_ONCE - self._under_way
        if room <= 0:
            return ()
        items = await self._store.write(LeaseOutbox(self._clock.now(), room, LEASE, frozenset(self._senders)))
        self._under_way += len(items)
        return items

    async def _deliver(self, item: OutboxItem) -> None:
        try:
            await self._record(item, await self._tried(item))
        finally:
            self._under_way -= 1
            self._woken.set()

    async def _record(self, item: OutboxItem, delivery: Delivery) -> None:
        """Settle it. What cannot be recorded as it is, is put off with the name of the fault.

        One row that breaks may not end the process, which would begin with that row again.
        """
        try:
            await self._in_spite_of_trouble(item, lambda: self._settle(item, delivery))
        except Exception as fault:
            log.exception("%s cannot be settled", item.kind, extra={"event": "settle_broke"})
            now = self._clock.now()
            again = RetryOutbox(
                item.id, now, now + _backoff(item.attempts), type(fault).__name__, unclear=True
            )
            await self._in_spite_of_trouble(item, lambda: self._store.write(again))

    async def _in_spite_of_trouble(self, item: OutboxItem, write: Callable[[], Awaitable[None]]) -> None:
        """Write, again and again while storage has trouble: until then the row's whole lane waits."""
        for pause in _SETTLE_AGAIN:
            try:
                return await write()
            except Unavailable as trouble:
                log.warning(
                    "%s not settled: %s", item.kind, trouble.message, extra={"event": "outbox_failed"}
                )
                await asyncio.sleep(pause)
        # The lease runs out, and the next claimant looks before it sends again.
        return None

    async def _tried(self, item: OutboxItem) -> Delivery:
        async with asyncio.TaskGroup() as tasks:
            renewing = tasks.create_task(self._renew(item))
            try:
                return await self._send(item)
            finally:
                renewing.cancel()

    async def _renew(self, item: OutboxItem) -> None:
        """Keep the lease while the sender is at work, until it is another's."""
        renewed = True
        while renewed:
            await asyncio.sleep(_RENEW_EVERY)
            try:
                until = self._clock.now() + LEASE
                renewed = await self._store.write(RenewLease(item.id, item.attempts, until))
            except Unavailable:
                continue  # the next try may still come in time

    async def _send(self, item: OutboxItem) -> Delivery:
        try:
            return await self._senders[item.kind].send(item)
        except Unavailable as trouble:
            return Later(trouble.code)
        except Exception as trouble:
            log.exception("sender of %s broke", item.kind, extra={"event": "sender_broke"})
            return Unclear(type(trouble).__name__)

    async def _settle(self, item: OutboxItem, delivery: Delivery) -> None:
        now = self._clock.now()
        match delivery:
            case Sent(events, outbox):
                await self._store.write(CompleteOutbox(item.id, item.generation, now, events, outbox))
            case Failed(code, events):
                await self._give_up(item, code, events, now)
            case Later(error, retry_after):
                await self._put_off(item, error, retry_after or _backoff(item.attempts), now, unclear=False)
            case Unclear(error):
                await self._put_off(item, error, _backoff(item.attempts), now, unclear=True)

    async def _give_up(self, item: OutboxItem, code: str, events: tuple[Event, ...], now: datetime) -> None:
        log.warning("%s failed: %s", item.kind, code, extra={"event": "delivery_failed"})
        failure = await self._failure(item, code)
        asked = _asks(item)
        told = unreachable_alert(item.request_id, failure.body, self._admin_channel())
        alerts = told if asked and code not in _NO_FAULT else ()
        await self._store.write(FailOutbox(item.id, now, code, (failure, *events), alerts, wake=asked))
        if asked:
            self._note_deadline(now)

    async def _put_off(
        self, item: OutboxItem, error: str, wait: timedelta, now: datetime, *, unclear: bool
    ) -> None:
        """Try again later. What asks somebody is audited at each try, and waited for only if that is soon."""
        if not _asks(item):
            await self._store.write(RetryOutbox(item.id, now, now + wait, error, unclear=unclear))
            return
        failure = await self._failure(item, error, again_in_seconds=math.ceil(wait.total_seconds()))
        wake = not climbing.waits(failure.body)
        await self._store.write(
            RetryOutbox(item.id, now, now + wait, error, unclear=unclear, events=(failure,), wake=wake)
        )
        if wake:
            self._note_deadline(now)

    async def _failure(self, item: OutboxItem, code: str, **facts: Any) -> Event:
        """`notification_failed`, filed under the request that it is about."""
        about = None if item.request_id is None else RequestId(item.request_id)
        request = None if about is None else await self._store.reads.request(about)
        return Event(
            name="notification_failed",
            actor=Actor.system("outbox"),
            via=Via.SCHEDULER,
            body={**_about(item), "code": code, "attempts": item.attempts, **facts},
            agent=None if request is None else request.agent,
            request_id=item.request_id,
            session_id=None if request is None else request.submission.session_id,
        )

    async def _sleep(self, stop: asyncio.Event, until: datetime | None) -> None:
        """Until something is committed or sent, `until`, or five seconds have passed."""
        longest = _LONGEST_SLEEP
        if until is not None:
            longest = min(longest, max((until - self._clock.now()).total_seconds(), _SHORTEST_SLEEP))
        waits = [asyncio.ensure_future(self._woken.wait()), asyncio.ensure_future(stop.wait())]
        try:
            await asyncio.wait(waits, timeout=longest, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
            await asyncio.gather(*waits, return_exceptions=True)


class Beat(Protocol):
    """Says that a loop has completed a pass (`Health.beat`)."""

    def __call__(self, name: str) -> None:
        """Note it."""
        ...


def _asks(item: OutboxItem) -> bool:
    """Whether somebody is asked by it, so that it matters to the ladder whether it arrives."""
    return "level" in item.payload


def _about(item: OutboxItem) -> dict[str, Any]:
    """What a row is about; a knock of the ladder, as the event of its level names it."""
    if _asks(item):
        return climbing.knock_of(item.kind, item.payload)
    return {"kind": item.kind, "to": item.order_key}


def _backoff(attempts: int) -> timedelta:
    """Twice as long after each try, with jitter so that many rows do not come back at once."""
    longest = min(_FIRST_WAIT * 2 ** (attempts - 1), _LONGEST_WAIT)
    return timedelta(seconds=random.uniform(longest / 2, longest))
