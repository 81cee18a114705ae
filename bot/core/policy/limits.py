"""Limits: how much may be approved without a person in a rolling window, by count and by sum.

A limit never approves and never rejects. Over it, an action that would run at once needs a
person, and so does one whose amount cannot be read.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal

from bot.core.models import Charge, Requirement, Used
from bot.core.policy.patterns import Pattern
from bot.core.policy.subject import Match, Subject
from bot.core.policy.where import look
from bot.core.risk.money import worth
from bot.core.risk.weights import Money


@dataclass(frozen=True, slots=True)
class History:
    """What happened before, as far as a judgement depends on it."""

    used: Mapping[str, Used] = field(default_factory=dict)
    """By `Charge.limit`. What is not there counts as unused."""
    rejections: Mapping[timedelta, int] = field(default_factory=dict)
    """Rejections of the agent's requests, or of this very action if those are more, in each window."""
    grants: Mapping[str, str | None] = field(default_factory=dict)
    """By rule, the id of the grant that covers the action, None for none."""

    def plus(self, more: "History") -> "History":
        """Both together."""
        return History(
            {**self.used, **more.used},
            {**self.rejections, **more.rejections},
            {**self.grants, **more.grants},
        )


NO_HISTORY = History()


@dataclass(frozen=True, slots=True)
class Wants:
    """What else a judgement depends on: it is of no use until it was made again with these known."""

    charges: tuple[Charge, ...] = ()
    rejections: frozenset[timedelta] = frozenset()
    grant: str | None = None
    """The rule for which a grant may cover the action."""

    def __bool__(self) -> bool:
        return bool(self.charges or self.rejections or self.grant)


NOTHING = Wants()


@dataclass(frozen=True, slots=True)
class Limit:
    """A compiled limit. `sum_of` is the key of the param whose amounts are added up."""

    name: str
    key: str
    pattern: Pattern
    per: timedelta
    most: int | None
    sum_of: str | None
    most_amount: Decimal | None
    across: bool
    requirement: Requirement | None

    def counts(self, subject: Subject) -> bool:
        """Whether the limit is for this action, as far as that can be told."""
        return self.pattern.match(subject) in (Match.YES, Match.UNREADABLE)

    def charge(self, subject: Subject, money: Money) -> Charge | None:
        """What the action would use up; None when its amount cannot be read."""
        amount = None
        if self.sum_of is not None:
            params = subject.facts.params
            amount = worth(look(self.sum_of)(params), params.get("currency"), money)
            if amount is None:
                return None
        agent = None if self.across else subject.agent
        return Charge(self.key, agent, self.per, amount, self.most, self.most_amount)

    def standing(self, used: Used, charge: Charge | None, money: Money) -> str:
        """How full the limit is, in words: `19 of 20 approvals and 9500 of 10000 USD in 1d`."""
        parts = []
        if self.most is not None:
            parts.append(f"{used.count} of {self.most} approvals")
        if self.most_amount is not None:
            parts.append(f"{used.amount:f} of {self.most_amount:f} {money.base}")
        said = f"{' and '.join(parts)} are used in {spelled(self.per)}"
        if charge is None:
            return f"{said} and {self.sum_of} of this action cannot be read"
        return said if charge.amount is None else f"{said} and this action needs {charge.amount:f}"


def spelled(duration: timedelta) -> str:
    """A duration as policy files write it: `90s`, `5m`, `2h`, `1d`."""
    seconds = int(duration.total_seconds())
    for unit, length in (("d", 86_400), ("h", 3_600), ("m", 60)):
        if seconds % length == 0:
            return f"{seconds // length}{unit}"
    return f"{seconds}s"
