"""Why a policy ruled as it did, in sentences."""

from enum import Enum
from typing import TYPE_CHECKING

from bot.core.models import Ruling
from bot.core.policy.subject import Subject

if TYPE_CHECKING:
    from bot.core.policy.judging import Policy, Walk
    from bot.core.policy.limits import Limit

MOST_RULES = 4
"""Rules that did not match are explained up to this many; the rest are counted."""

_LEVELS = ("none", "low", "medium", "high", "critical")


class Why(Enum):
    """What decided: a rule of a list, a threshold, or nothing but the risk between them."""

    BLOCK = "block"
    UNREADABLE = "unreadable"
    REQUIRE = "require"
    ALLOW = "allow"
    APPROVE = "approve"
    REJECT = "reject"
    DEFAULT = "default"


def explain(policy: "Policy", walk: "Walk", rule: str, why: Why) -> str:
    """Which rule decided, what would have changed it, and why the ones before it did not match."""
    decided = _decided(policy, walk.subject, rule, why)
    return f"{decided} {_instead(policy, walk.subject, why)}{_before(walk)}"


def granted(policy: "Policy", walk: "Walk", rule: str, grant: str) -> str:
    """Which grant approved what which rule puts before people, and why the rules before did not match."""
    return (
        f"Approved by the grant {grant}: a person approved similar actions in advance. "
        f"Without it the rule {rule} of {policy.name} asks people.{_before(walk)}"
    )


def over_limit(policy: "Policy", walk: "Walk", limit: "Limit", standing: str, approved: Ruling) -> str:
    """Which limit is used up, how far, what would have happened within it, and which rules did not match."""
    return (
        f"People decide: the limit {limit.name} of {policy.name} has no room for it; {standing}. "
        f"Within it this would have run at once, by {approved.policy.rule}.{_before(walk)}"
    )


def _risk(subject: Subject) -> str:
    return f"risk {subject.risk.level.value} ({subject.risk.score:f})"


def _decided(policy: "Policy", subject: Subject, rule: str, why: Why) -> str:
    name, (approve, reject) = policy.name, policy.thresholds
    match why:
        case Why.BLOCK:
            return f"Blocked by the rule {rule} of {name}."
        case Why.UNREADABLE:
            return f"The rule {rule} of {name} may block it; part of it cannot be read, so people decide."
        case Why.REQUIRE:
            return f"The rule {rule} of {name} requires people to decide."
        case Why.ALLOW:
            return f"Allowed by the rule {rule} of {name}."
        case Why.APPROVE:
            return f"Approved: {_risk(subject)} is within auto_approve_threshold {approve} of {name}."
        case Why.REJECT:
            return f"Rejected: {_risk(subject)} reaches auto_reject_threshold {reject} of {name}."
    between = f"lies between auto_approve_threshold {approve} and auto_reject_threshold {reject}"
    return f"People decide: {_risk(subject)} {between} of {name}."


def _instead(policy: "Policy", subject: Subject, why: Why) -> str:
    match why:
        case Why.BLOCK:
            return "It could run only if the rule did not match it."
        case Why.UNREADABLE:
            return "Written out in full it could be told apart."
        case Why.REQUIRE | Why.ALLOW:
            return f"Without the rule, {_by_threshold(policy, subject.rank)}."
        case Why.APPROVE:
            above = policy.approve_up_to + 1
            said = "rejected" if above >= policy.reject_from else "put before people"
            return f"From risk {_LEVELS[above]} on it would be {said}."
        case Why.REJECT:
            return f"At a lower risk it would not be rejected.{_most_of(subject)}"
    if policy.approve_up_to < 0:
        return f"Without an allow rule nothing runs at once.{_most_of(subject)}"
    return f"At risk {_LEVELS[policy.approve_up_to]} or lower it would run at once.{_most_of(subject)}"


def _most_of(subject: Subject) -> str:
    largest = max(subject.risk.factors, key=lambda factor: factor.points, default=None)
    return "" if largest is None else f" Most of the risk is {largest.name}: {largest.detail}."


def _by_threshold(policy: "Policy", rank: int) -> str:
    if rank >= policy.reject_from:
        return f"risk {_LEVELS[rank]} would be rejected"
    return f"risk {_LEVELS[rank]} would {'be approved' if rank <= policy.approve_up_to else 'ask people'}"


def _before(walk: "Walk") -> str:
    if not walk.passed:
        return ""
    rest = walk.passed - len(walk.refusals)
    said = "; ".join(walk.refusals)
    more = f"{' and ' if said else ''}{rest} more" if rest > 0 else ""
    return f" Rules that did not match: {said}{more}."
