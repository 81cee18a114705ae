"""The agent's side of a rollback: its queue, its claims, its reports, and who waits for them.

Each call reads, asks the rule in `core.rollback`, and commits the step it returns; when somebody moved
first, it asks again.
"""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from bot.core import jsontext, rollback
from bot.core.clock import Clock
from bot.core.digest import sha256
from bot.core.errors import IdempotencyConflict, NotFound
from bot.core.models import Agent, RollbackState
from bot.core.rollback import Item, Report, Requests, Rollback
from bot.store import Committed, Store
from bot.store.commands import Idempotency
from bot.store.rollbacks import ClaimRollback, SaveRollback

_OURS = frozenset(
    {
        "rollback_requested",
        "rollback_previewed",
        "rollback_confirmed",
        "rollback_claimed",
        "rollback_expired",
        "rollback_failed",
        "action_rolled_back",
    }
)
"""Events after which somebody who waits should look."""

_LOOK_AGAIN = 5.0
"""Seconds after which a waiting agent looks again, for what another process stored."""


@dataclass(frozen=True, slots=True)
class Work:
    """Something for an agent to do: preview or apply one step."""

    kind: str
    rollback: Rollback
    item: Item


class RollbackWork:
    """What an agent is to undo, from the preview to the report."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._waiting: dict[str, set[asyncio.Event]] = {}
        store.on_commit(self._committed)

    async def get(self, agent: Agent, id: str) -> Rollback:
        """A rollback of this agent, by its id or that of one of its steps; auditors and operators see all.

        Raises:
            NotFound.
        """
        found = await self._store.reads.rollback(id)
        if found is None or not (found.agent == agent.name or agent.reads_all):
            raise NotFound(f"There is no rollback {id}, or it is not yours.")
        return found

    async def queue(self, agent: Agent, *, seconds: float) -> Sequence[Work]:
        """What the agent is to do now, oldest first; held until there is something, at most `seconds`."""
        with self._woken(agent.name) as woken:
            found = await self._work(agent.name)
            try:
                async with asyncio.timeout(seconds):
                    while not found:
                        await _set_within(woken, _LOOK_AGAIN)
                        woken.clear()
                        found = await self._work(agent.name)
            except TimeoutError:
                found = await self._work(agent.name)
        return found

    async def claim(self, agent: Agent, id: str, *, key: str | None, body: bytes) -> bytes:
        """Take a confirmed step, once; the answer's JSON `{id, request_id, kind, rollback, force, digest}`.

        Raises:
            NotFound, AlreadyClaimed, NotApproved, NotRollbackable, IdempotencyConflict.
        """
        idempotency = None if key is None else Idempotency(agent.name, f"rollback:{id}", key, sha256(body))
        while True:
            present = await self._own(agent, id)
            if idempotency is not None and (earlier := await self._answered(idempotency)) is not None:
                return earlier
            item = _item(present, id)
            step = rollback.claim(present, await self._requests(present), item.id, now=self._clock.now())
            answer = jsontext.dumps(as_work(Work("apply", present, item)))
            stored = await self._store.write(ClaimRollback(step, idempotency, answer))
            if stored is not None:
                return stored

    async def report(self, agent: Agent, id: str, told: Report) -> Rollback:
        """Take a preview, or what came of a claimed step.

        Raises:
            NotFound, NotClaimed, OutcomeConflict.
        """
        while True:
            present = await self._own(agent, id)
            item = _item(present, id)
            requests = await self._requests(present)
            step = rollback.outcome(present, requests, item.id, told, now=self._clock.now())
            if step is None:
                return present
            if item.unreported and told.state is RollbackState.SUCCEEDED:
                await self._end_later_ones(present, item)
                step = rollback.outcome(
                    present, await self._requests(present), item.id, told, now=self._clock.now()
                )
                assert step is not None, "it was not reported a moment ago"
            if await self._store.write(SaveRollback(step)):
                return step.rollback

    async def shown(self, id: str, *, seconds: float) -> Rollback:
        """The rollback once its preview is complete or it has ended, or as it stands after `seconds`."""
        present = await self._present(id)
        with self._woken(present.agent) as woken:
            try:
                async with asyncio.timeout(seconds):
                    while (present := await self._present(id)).state is RollbackState.REQUESTED:
                        await _set_within(woken, _LOOK_AGAIN)
                        woken.clear()
            except TimeoutError:
                return await self._present(id)
        return present

    async def _end_later_ones(self, present: Rollback, item: Item) -> None:
        """A step that was believed lost has succeeded: no other undo of that action may go on."""
        other = await self._store.reads.rollback_of_request(item.request_id)
        while other is not None and other.id != present.id and other.state.open:
            step = rollback.supersede(other, await self._requests(other), now=self._clock.now())
            await self._store.write(SaveRollback(step))
            other = await self._store.reads.rollback_of_request(item.request_id)

    async def _own(self, agent: Agent, id: str) -> Rollback:
        found = await self.get(agent, id)
        if found.agent != agent.name:
            raise NotFound(f"There is no rollback {id}, or it is not yours.")
        return found

    async def _present(self, id: str) -> Rollback:
        found = await self._store.reads.rollback(id)
        if found is None:
            raise NotFound(f"There is no rollback {id}.")
        return found

    async def _requests(self, present: Rollback) -> Requests:
        found = {}
        for item in present.items:
            request = await self._store.reads.request(item.request_id)
            assert request is not None, "a rollback's requests are kept with it"
            found[request.id] = request
        return found

    async def _work(self, agent: str) -> list[Work]:
        found = await self._store.reads.open_rollbacks(agent)
        now = self._clock.now()
        live = [present for present in found if present.due_at is None or now < present.due_at]
        return [Work(kind, present, item) for present in live for kind, item in rollback.work(present)]

    async def _answered(self, idempotency: Idempotency) -> bytes | None:
        earlier = await self._store.reads.idempotent(idempotency.agent, idempotency.scope, idempotency.key)
        if earlier is None:
            return None
        if earlier.body_digest != idempotency.body_digest:
            raise IdempotencyConflict()
        return earlier.answer

    @contextmanager
    def _woken(self, agent: str) -> Iterator[asyncio.Event]:
        event = asyncio.Event()
        self._waiting.setdefault(agent, set()).add(event)
        try:
            yield event
        finally:
            others = self._waiting[agent]
            others.discard(event)
            if not others:
                del self._waiting[agent]

    def _committed(self, changes: Sequence[Committed]) -> None:
        for change in changes:
            if change.agent is not None and change.event in _OURS:
                for event in self._waiting.get(change.agent, ()):
                    event.set()


def as_work(work: Work) -> Mapping[str, object]:
    """A piece of work as the agent gets it."""
    return {
        "id": work.item.id,
        "request_id": work.item.request_id,
        "kind": work.kind,
        "rollback": work.item.data,
        "force": work.rollback.force,
        "digest": work.item.digest,
    }


def _item(present: Rollback, id: str) -> Item:
    """The step that an id names: its own, or the only one of the rollback."""
    found = next((item for item in present.items if item.id == id), None)
    if found is None:
        raise NotFound(f"{id} has several steps; name one of them: {id}.1 and so on.")
    return found


async def _set_within(event: asyncio.Event, seconds: float) -> None:
    """Until the event is set, or `seconds` have passed."""
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return
