"""What would differ if actions were judged by other policies.

Actions are replayed oldest first, and what would have run at once is counted, so that limits fill
up as they would have. What people decided stays as it was: rejections count when they were given.
"""

from bisect import bisect_right
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from functools import partial

from bot.core.digest import digest_of
from bot.core.models import (
    Action,
    ApprovalRequest,
    Cause,
    Charge,
    Effect,
    Requirement,
    RiskLevel,
    Status,
    Used,
)
from bot.core.policy import History, PolicySet, Wants
from bot.store.reads import Reads

_PAGE = 200
_EXAMPLES = 3
_PERMISSIVE = (Effect.APPROVE, Effect.REVIEW, Effect.REJECT)


@dataclass(frozen=True, slots=True)
class Ruled:
    """What policies made of an action, as far as it is compared."""

    effect: Effect
    rule: str
    level: RiskLevel
    requirement: Requirement | None


@dataclass(frozen=True, slots=True)
class Asked:
    """An action as it was asked. `id` is the request's, or names the test it comes from."""

    id: str
    agent: str
    action: Action
    at: datetime
    ruled: Ruled | None = None
    """What was ruled then; None when something other than a policy's rule decided."""
    rejected_at: datetime | None = None
    """When a person rejected it."""


class Direction(StrEnum):
    """What a difference means."""

    LOOSER = "more permissive"
    STRICTER = "stricter"
    OTHER = "as strict"


@dataclass(slots=True)
class Group:
    """Differences of one kind, with the first few actions as examples."""

    before: str
    after: str
    direction: Direction
    count: int = 0
    examples: list[Asked] = field(default_factory=list)


async def recorded(reads: Reads, *, since: datetime, most: int) -> AsyncIterator[Asked]:
    """Requests from the database, newest first, back to `since` and at most so many.

    Raises:
        Unavailable: the database cannot be read.
    """
    cursor: str | None = None
    left = most
    while left > 0:
        page, cursor = await reads.requests(cursor=cursor, limit=min(_PAGE, left))
        for request in page:
            if request.created_at < since:
                return
            yield _asked(request)
        left -= len(page)
        if cursor is None:
            return


def replay(policies: PolicySet, asked: Sequence[Asked]) -> Iterator[Ruled]:
    """What `policies` make of each action, in order; `asked` is oldest first."""
    past = _Past(asked)
    for one in asked:
        judgement = policies.judge_knowing(one.action, agent=one.agent, learn=partial(past.before, one))
        past.spend(judgement.ruling.charges, one.at)
        policy = judgement.ruling.policy
        yield Ruled(policy.effect, policy.rule, judgement.risk.level, judgement.ruling.requirement)


def differences(pairs: Iterable[tuple[Asked, Ruled, Ruled]]) -> list[Group]:
    """What differs, grouped: what became more permissive first, the most frequent first."""
    groups: dict[tuple[str, str], Group] = {}
    for asked, before, after in pairs:
        if before == after:
            continue
        said = _said(before, after), _said(after, before)
        group = groups.setdefault(said, Group(*said, _direction(before, after)))
        group.count += 1
        if len(group.examples) < _EXAMPLES:
            group.examples.append(asked)
    order = list(Direction)
    return sorted(groups.values(), key=lambda group: (order.index(group.direction), -group.count))


class _Past:
    """What happened before each action of a replay."""

    def __init__(self, asked: Iterable[Asked]) -> None:
        self._spent: defaultdict[tuple[str, str | None], deque[tuple[datetime, Decimal]]] = defaultdict(deque)
        self._rejected: defaultdict[str, list[datetime]] = defaultdict(list)
        for one in asked:
            if one.rejected_at is not None:
                for key in _keys(one):
                    self._rejected[key].append(one.rejected_at)
        for times in self._rejected.values():
            times.sort()

    def before(self, asked: Asked, wants: Wants) -> History:
        """What a judgement of `asked` depends on."""
        used = {charge.limit: self._used(charge, asked.at) for charge in wants.charges}
        rejections = {
            within: max(self._rejections(key, asked.at, within) for key in _keys(asked))
            for within in wants.rejections
        }
        return History(used, rejections)

    def spend(self, charges: Iterable[Charge], at: datetime) -> None:
        """Count an approval."""
        for charge in charges:
            self._spent[charge.limit, charge.agent].append((at, charge.amount or Decimal(0)))

    def _used(self, charge: Charge, at: datetime) -> Used:
        spent = self._spent[charge.limit, charge.agent]
        while spent and spent[0][0] <= at - charge.per:
            spent.popleft()
        return Used(len(spent), sum((amount for _, amount in spent), Decimal(0)))

    def _rejections(self, key: str, at: datetime, within: timedelta) -> int:
        times = self._rejected.get(key, [])
        return bisect_right(times, at) - bisect_right(times, at - within)


def _keys(asked: Asked) -> tuple[str, str]:
    return asked.agent, digest_of(asked.action)


def _asked(request: ApprovalRequest) -> Asked:
    policy = request.policy
    ruled = Ruled(policy.effect, policy.rule, request.risk.level, request.requirement)
    by_person = request.status is Status.REJECTED and request.cause is Cause.HUMAN
    return Asked(
        id=request.id,
        agent=request.agent,
        action=request.action,
        at=request.created_at,
        ruled=None if request.cause in (Cause.PAUSED, Cause.GRANT) else ruled,
        rejected_at=request.decision.decided_at if by_person and request.decision else None,
    )


def _said(one: Ruled, other: Ruled) -> str:
    """A ruling in words, with what the other has in common left out."""
    parts = [f"{one.effect.value} by {one.rule}"]
    if one.level is not other.level:
        parts.append(f"at risk {one.level.value}")
    if one.requirement != other.requirement and one.requirement is not None:
        parts.append(f"asking {people(one.requirement)}")
    return " ".join(parts)


def people(requirement: Requirement) -> str:
    """Who is asked: `2 of release, sre, one from each`."""
    sets = [entry.group or ", ".join(entry.users or ()) for entry in requirement.approvers]
    each = ", one from each" if requirement.one_from_each else ""
    return f"{requirement.needed} of {', '.join(sets)}{each}"


def _direction(before: Ruled, after: Ruled) -> Direction:
    old, new = (_PERMISSIVE.index(ruled.effect) for ruled in (before, after))
    if old == new == _PERMISSIVE.index(Effect.REVIEW) and before.requirement and after.requirement:
        old, new = before.requirement.needed, after.requirement.needed
    if old == new:
        return Direction.OTHER
    return Direction.LOOSER if new < old else Direction.STRICTER
