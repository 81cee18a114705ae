"""Judging with what happened before: the policy says what it depends on, the store knows it.

Nothing is read unless the policy that applies has a limit or a trigger on repeated rejections, or
allows grants.
"""

from collections.abc import Awaitable, Callable
from datetime import datetime

from bot.core.digest import digest_of
from bot.core.lifecycle import Judged
from bot.core.models import Action
from bot.core.policy import NO_HISTORY, History, Judgement, PolicySet, Wants
from bot.store.reads import Reads

Covering = Callable[[Judgement], Awaitable[str | None]]
"""Finds the grant that covers what a judgement would put before people; None when none does."""


async def judge(
    policies: PolicySet,
    action: Action,
    agent: str,
    *,
    reads: Reads,
    now: datetime,
    covering: Covering | None = None,
) -> Judged:
    """Risk and ruling of an action that `agent` asks for at `now`.

    Args:
        covering: None when no grant counts, as for an edit.

    Raises:
        Unavailable: what happened before cannot be read.
    """
    history = NO_HISTORY
    while True:
        found = policies.judge(action, agent=agent, history=history)
        if not found.wants:
            return Judged(action, found.risk, found.ruling)
        history = history.plus(await _learned(found.wants, action, agent, reads, now))
        if found.wants.grant is not None:
            grant = None if covering is None else await covering(found)
            history = history.plus(History(grants={found.wants.grant: grant}))


async def _learned(wants: Wants, action: Action, agent: str, reads: Reads, now: datetime) -> History:
    used = {charge.limit: await reads.used(charge, now) for charge in wants.charges}
    digest = digest_of(action) if wants.rejections else ""
    rejections = {within: await reads.rejections(agent, digest, now - within) for within in wants.rejections}
    return History(used, rejections)
