"""Calls that hold their answer: waits and event streams.

A held call ends early when its caller hangs up, when the agent's token is revoked, and when
Keyturn stops. Nothing else ends it: a waiting agent is never dropped.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import AsyncExitStack
from typing import Any, TypeVar

from starlette.requests import Request
from starlette.types import Receive

from bot.core.errors import Unauthorized
from bot.core.models import Agent
from bot.services.agents import Agents

T = TypeVar("T")

Caller = tuple[str, str | None]
"""An agent's name and the credential it called with: another one of its tokens is another caller."""

HEARTBEAT = 15.0
"""Seconds between two signs of life on a stream."""


class HungUp(Exception):
    """The caller has gone; there is nobody to answer."""


class Stopping(Exception):
    """Keyturn is stopping; answer with what is known."""


class OpenCalls:
    """Every call that is being held. Enter it before the first call and leave it after the last."""

    def __init__(self, agents: Agents) -> None:
        self._agents = agents
        self._held: dict[Caller, set[_Held]] = {}
        self._watchers: dict[Caller, asyncio.Task[None]] = {}
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
        task = asyncio.current_task()
        assert task is not None, "a coroutine runs in a task"
        held = _Held(task)
        caller = (agent.name, agent.credential)
        self._add(caller, agent, held)
        listener = self._tasks.create_task(_listen(held, request.receive, idle))
        try:
            await check()
            return await work
        except asyncio.CancelledError:
            if held.ended_by is None or task.uncancel() > 0:
                raise
            raise held.ended_by from None
        finally:
            work.close()  # a coroutine that was never begun would complain
            listener.cancel()
            self._remove(caller, held)

    def _add(self, caller: Caller, agent: Agent, held: "_Held") -> None:
        calls = self._held.setdefault(caller, set())
        calls.add(held)
        if caller not in self._watchers and self._tasks is not None:
            # Fetched here, not in the task: a revocation between now and its first step must count.
            revoked = self._agents.revocation(agent)
            self._watchers[caller] = self._tasks.create_task(self._watch(caller, revoked))

    def _remove(self, caller: Caller, held: "_Held") -> None:
        calls = self._held[caller]
        calls.discard(held)
        if not calls:
            del self._held[caller]
            if (watcher := self._watchers.pop(caller, None)) is not None:
                watcher.cancel()

    async def _watch(self, caller: Caller, revoked: asyncio.Event) -> None:
        await revoked.wait()
        self._watchers.pop(caller, None)
        _end(self._held.get(caller, set()), Unauthorized("This token was revoked."))


class _Held:
    """One held call: the task that holds it, and what ended it."""

    __slots__ = ("ended_by", "task")

    def __init__(self, task: asyncio.Task[Any]) -> None:
        self.task = task
        self.ended_by: Exception | None = None

    def end(self, why: Exception) -> None:
        if self.ended_by is None:
            self.ended_by = why
            self.task.cancel()


def _end(calls: set[_Held], why: Exception) -> None:
    for held in list(calls):
        held.end(why)


async def _listen(held: _Held, receive: Receive, idle: Callable[[], Awaitable[None]] | None) -> None:
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
