"""Why a policy ruled as it did, in sentences."""

from operator import attrgetter
from typing import TYPE_CHECKING

from bot.core.models import Ruling
from bot.core.policy.subject import Subject

if TYPE_CHECKING:
    from bot.core.policy.judging import Policy, Walk
    from bot.core.policy.limits import Limit

MOST_RULES = 4
"""Rules that did not match are explained up to this many; the rest are counted."""

_LEVELS = ("none", "low", "medium", "high", "critical")

_POINTS = attrgetter("points")


def blocked(policy: "Policy", walk: "Walk", rule: str) -> str:
    """Which rule forbids it."""
    return (
        f"Blocked by the rule {rule} of {policy.name}. "
        f"It could run only if the rule did not match it.{_before(walk)}"
    )


def unreadable(policy: "Policy", walk: "Walk", rule: str) -> str:
    """Which rule may forbid it."""
    return (
        f"The rule {rule} of {policy.name} may block it; part of it cannot be read, so people decide. "
        f"Written out in full it could be told apart.{_before(walk)}"
    )


def required(policy: "Policy", walk: "Walk", rule: str) -> str:
    """Which rule puts it before people."""
    return (
        f"The rule {rule} of {policy.name} requires people to decide. "
        f"Without the rule, {_by_threshold(policy, walk.subject.rank)}.{_before(walk)}"
    )


def allowed(policy: "Policy", walk: "Walk", rule: str) -> str:
    """Which rule lets it run."""
    return (
        f"Allowed by the rule {rule} of {policy.name}. "
        f"Without the rule, {_by_threshold(policy, walk.subject.rank)}.{_before(walk)}"
    )


def rejected(policy: "Policy", walk: "Walk") -> str:
    """By how much its risk is too high."""
    subject = walk.subject
    return (
        f"Rejected: {_risk(subject)} reaches auto_reject_threshold {policy.thresholds[1]} of {policy.name}. "
        f"At a lower risk it would not be rejected.{_most_of(subject)}{_before(walk)}"
    )


def approved(policy: "Policy", walk: "Walk") -> str:
    """That its risk is low, and from what level on it would not be."""
    above = policy.approve_up_to + 1
    otherwise = "rejected" if above >= policy.reject_from else "put before people"
    return (
        f"Approved: {_risk(walk.subject)} is within auto_approve_threshold {policy.thresholds[0]} "
        f"of {policy.name}. From risk {_LEVELS[above]} on it would be {otherwise}.{_before(walk)}"
    )


def undecided(policy: "Policy", walk: "Walk") -> str:
    """That nothing but its risk counts, which lies between the thresholds."""
    subject, (approve, reject) = walk.subject, policy.thresholds
    if policy.approve_up_to < 0:
        otherwise = "Without an allow rule nothing runs at once."
    else:
        otherwise = f"At risk {_LEVELS[policy.approve_up_to]} or lower it would run at once."
    return (
        f"People decide: {_risk(subject)} lies between auto_approve_threshold {approve} "
        f"and auto_reject_threshold {reject} of {policy.name}. {otherwise}{_most_of(subject)}{_before(walk)}"
    )


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
    return f"risk {_LEVELS[subject.rank]} ({subject.risk.score:f})"


def _most_of(subject: Subject) -> str:
    largest = max(subject.risk.factors, key=_POINTS, default=None)
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
