"""Calls that hold their answer: waits and event streams.

A held call ends early when its caller hangs up, when the agent's token is revoked, and when
Keyturn stops. Nothing else ends it: a waiting agent is never dropped.
"""

import asyncio
import math
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from contextlib import AsyncExitStack
from typing import Any, TypeVar

from starlette.requests import Request
from starlette.types import Receive

from bot.core.errors import Unauthorized
from bot.core.models import Agent, Status
from bot.services.agents import Agents
from bot.store import Changed

T = TypeVar("T")

Caller = tuple[str, str | None]
"""An agent's name and the credential it called with: another one of its tokens is another caller."""

HEARTBEAT = 15.0
"""Seconds between two signs of life on a stream."""

_TICKS = 10
"""In a second: waits that are over in the same tick share a timer."""


class HungUp(Exception):
    """The caller has gone; there is nobody to answer."""


class Stopping(Exception):
    """Keyturn is stopping; answer with what is known."""


class TimeOver(Exception):
    """The caller wanted to wait no longer; answer with what is known."""


class Held:
    """One held call: the task that holds it, and what ended it."""

    __slots__ = ("_agent", "ended_by", "task")

    def __init__(self, agent: Agent) -> None:
        task = asyncio.current_task()
        assert task is not None, "a coroutine runs in a task"
        self.task = task
        self._agent = agent
        self.ended_by: Exception | None = None

    @property
    def caller(self) -> Caller:
        """Who calls."""
        return self._agent.name, self._agent.credential

    def end(self, why: Exception) -> None:
        """Let its task raise `why`, unless something has ended it before."""
        if self.ended_by is None:
            self.ended_by = why
            self.task.cancel()


class Wait(Held):
    """A call that sleeps until its request is decided.

    Ten thousand may sleep at once, so it has neither a task nor an event nor a timer of its own: it
    sleeps in `receive`, where it notices that its caller hangs up, and is woken from outside.
    """

    __slots__ = ("_asleep", "_change", "_woken", "tick")

    def __init__(self, agent: Agent) -> None:
        super().__init__(agent)
        self.tick = 0
        self._asleep = self._woken = False
        self._change: Changed | None = None

    def hear(self, change: Changed | None) -> None:
        """Wake up, unless it is known that nobody has decided yet."""
        if change is None or change.request.status is not Status.PENDING:
            self._change = change
            self._wake()

    def end(self, why: Exception) -> None:
        """Wake up and raise `why`, unless something has ended it before."""
        if self.ended_by is None:
            self.ended_by = why
            self._wake()

    async def sleep(self, receive: Receive) -> Changed | None:
        """Until the request is decided: how the decision left it, or None if a look must show.

        Raises:
            HungUp, Unauthorized, Stopping, TimeOver: what ended the call.
        """
        if not self._woken:
            self._asleep = True
            try:
                while (await receive())["type"] != "http.disconnect":
                    pass
                self.ended_by = HungUp()
            except asyncio.CancelledError:
                # Its own cancellation is how it is woken; anybody else's stays one.
                if self._asleep or self.task.uncancel() > 0:
                    raise
            except Exception as trouble:  # a broken connection must end its own call, not everybody's
                self.ended_by = HungUp(str(trouble))
            finally:
                self._asleep = False
        if self.ended_by is not None:
            raise self.ended_by.with_traceback(None)  # others may be ended by the same
        self._woken = False
        return self._change

    def _wake(self) -> None:
        self._woken = True
        if self._asleep:
            self._asleep = False
            self.task.cancel()


class OpenCalls:
    """Every call that is being held. Enter it before the first call and leave it after the last."""

    def __init__(self, agents: Agents) -> None:
        self._agents = agents
        self._held: dict[Caller, set[Held]] = {}
        self._watchers: dict[Caller, asyncio.Task[None]] = {}
        self._ending: dict[int, set[Wait]] = {}
        self._lifetime = AsyncExitStack()
        self._tasks: asyncio.TaskGroup | None = None
        self._stopping = False

    async def __aenter__(self) -> "OpenCalls":
        self._tasks = await self._lifetime.enter_async_context(asyncio.TaskGroup())
        return self

    async def __aexit__(self, *exc: object) -> None:
        self.stop()
        for watcher in self._watchers.values():
            watcher.cancel()
        await self._lifetime.aclose()

    def __len__(self) -> int:
        return sum(len(calls) for calls in self._held.values())

    def stop(self) -> None:
        """End every held call, and every later one at once."""
        self._stopping = True
        for calls in list(self._held.values()):
            _end(calls, Stopping())

    async def hold(
        self,
        request: Request,
        agent: Agent,
        work: Coroutine[Any, Any, T],
        *,
        check: Callable[[], Awaitable[None]],
        idle: Callable[[], Awaitable[None]] | None = None,
    ) -> T:
        """The result of `work`, unless something ends the call before.

        Args:
            agent: Whoever calls.
            check: Asked once the call is listed; what it raises ends the call. It closes the gap
                between the look at the token and the moment from which its revocation is noticed.
            idle: Called every `HEARTBEAT` seconds while the call is held.

        Raises:
            HungUp, Unauthorized, Stopping: what ended the call.
        """
        if self._tasks is None or self._stopping:
            work.close()
            raise Stopping
        held = Held(agent)
        self._add(held, agent)
        listener = self._tasks.create_task(_listen(held, request.receive, idle))
        try:
            await check()
            return await work
        except asyncio.CancelledError:
            if held.ended_by is None or held.task.uncancel() > 0:
                raise
            raise held.ended_by from None
        finally:
            work.close()  # a coroutine that was never begun would complain
            listener.cancel()
            self._remove(held)

    def begin(self, agent: Agent, seconds: float) -> Wait:
        """List the present task's call as a wait of at most `seconds`; `finish` it when it is over.

        Raises:
            Stopping: Keyturn stops.
        """
        if self._tasks is None or self._stopping:
            raise Stopping
        wait = Wait(agent)
        self._add(wait, agent)
        loop = asyncio.get_running_loop()
        # A timer for each of ten thousand waits would take as much memory as all the rest of them.
        wait.tick = math.ceil((loop.time() + seconds) * _TICKS)
        if wait.tick not in self._ending:
            self._ending[wait.tick] = set()
            loop.call_at(wait.tick / _TICKS, self._time_over, wait.tick)
        self._ending[wait.tick].add(wait)
        return wait

    def finish(self, wait: Wait) -> None:
        """The wait is over, however it ended."""
        self._ending.get(wait.tick, set()).discard(wait)
        self._remove(wait)

    def _time_over(self, tick: int) -> None:
        _end(self._ending.pop(tick), TimeOver())

    def _add(self, held: Held, agent: Agent) -> None:
        caller = held.caller
        self._held.setdefault(caller, set()).add(held)
        if caller not in self._watchers and self._tasks is not None:
            # Fetched here, not in the task: a revocation between now and its first step must count.
            revoked = self._agents.revocation(agent)
            self._watchers[caller] = self._tasks.create_task(self._watch(caller, revoked))

    def _remove(self, held: Held) -> None:
        calls = self._held[held.caller]
        calls.discard(held)
        if not calls:
            del self._held[held.caller]
            if (watcher := self._watchers.pop(held.caller, None)) is not None:
                watcher.cancel()

    async def _watch(self, caller: Caller, revoked: asyncio.Event) -> None:
        await revoked.wait()
        self._watchers.pop(caller, None)
        _end(self._held.get(caller, set()), Unauthorized("This token was revoked."))


def _end(calls: Iterable[Held], why: Exception) -> None:
    for held in list(calls):
        held.end(why)


async def _listen(held: Held, receive: Receive, idle: Callable[[], Awaitable[None]] | None) -> None:
    """Wait for the caller to hang up; between times, show that the call is alive."""
    try:
        if idle is None:
            await _gone(receive)
        else:
            await _kept_alive(receive, idle)
    except Exception as trouble:  # a broken connection must end its own call, not everybody's
        held.end(HungUp(str(trouble)))
        return
    held.end(HungUp())


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _kept_alive(receive: Receive, idle: Callable[[], Awaitable[None]]) -> None:
    while True:
        try:
            async with asyncio.timeout(HEARTBEAT):
                await _gone(receive)
            return
        except TimeoutError:
            await idle()
