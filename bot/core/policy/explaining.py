"""Why a policy ruled as it did, in sentences."""

from typing import TYPE_CHECKING

from bot.core.policy.subject import Subject

if TYPE_CHECKING:
    from bot.core.policy.judging import Policy, Rules

MOST_RULES = 4
"""Earlier rules that are explained one by one; the rest are counted."""

_LEVELS = ("none", "low", "medium", "high", "critical")


def explain(policy: "Policy", subject: Subject, rule: str, why: str) -> str:
    """Which rule, why the ones before it did not match, what would have changed it.

    Args:
        rule: The name of the rule that decided.
        why: `block`, `unreadable`, `require`, `allow`, `approve`, `reject` or `default`.
    """
    return f"{_decided(policy, subject, rule, why)} {_instead(policy, subject, why)}{_before(policy, subject, rule, why)}"


def _risk(subject: Subject) -> str:
    return f"risk {subject.risk.level.value} ({subject.risk.score.normalize():f})"


def _decided(policy: "Policy", subject: Subject, rule: str, why: str) -> str:
    match why:
        case "block":
            return f"Blocked by the rule {rule} of {policy.name}."
        case "unreadable":
            return f"The block rule {rule} of {policy.name} may apply, but a part of the action cannot be read, so a person decides."
        case "require":
            return f"The rule {rule} of {policy.name} requires people to decide."
        case "allow":
            return f"Allowed by the rule {rule} of {policy.name}."
        case "approve":
            return f"Approved: {_risk(subject)} is within auto_approve_threshold {policy.thresholds[0]} of {policy.name}."
        case "reject":
            return f"Rejected: {_risk(subject)} reaches auto_reject_threshold {policy.thresholds[1]} of {policy.name}."
    return (
        f"A person decides: {_risk(subject)} lies between auto_approve_threshold {policy.thresholds[0]} "
        f"and auto_reject_threshold {policy.thresholds[1]} of {policy.name}."
    )


def _instead(policy: "Policy", subject: Subject, why: str) -> str:
    match why:
        case "block":
            return "It could run only if the rule did not match it."
        case "unreadable":
            return "Written out in full it could be told apart."
        case "require" | "allow":
            return f"Without the rule, {_by_threshold(policy, subject.rank)}."
        case "approve":
            return _next(policy, subject.rank)
    largest = max(subject.risk.factors, key=lambda factor: factor.points, default=None)
    reason = f" Most of the risk is {largest.name}: {largest.detail}." if largest is not None else ""
    if why == "reject":
        return f"Below that level it would not be rejected.{reason}"
    at = (
        f"At {_LEVELS[policy.approve_up_to]} or below it would run at once."
        if policy.approve_up_to >= 0
        else ""
    )
    return f"{at}{reason}".strip()


def _by_threshold(policy: "Policy", rank: int) -> str:
    level = _LEVELS[rank]
    if rank >= policy.reject_from:
        return f"risk {level} would be rejected"
    return (
        f"risk {level} would be approved"
        if rank <= policy.approve_up_to
        else f"risk {level} would ask a person"
    )


def _next(policy: "Policy", rank: int) -> str:
    above = policy.approve_up_to + 1
    said = "rejected" if above >= policy.reject_from else "put before a person"
    return f"From risk {_LEVELS[above]} on it would be {said}."


def _before(policy: "Policy", subject: Subject, rule: str, why: str) -> str:
    said: list[str] = []
    others = 0
    for rules, last in (
        (policy.block, ("block",)),
        (policy.require, ("require",)),
        (policy.allow, ("allow",)),
    ):
        if rules.all:
            others += _failed(rules, subject, rule if why in last else None, said)
        if why in last or (why == "unreadable" and rules is policy.block):
            break
    if not said and not others:
        return ""
    rest = f"{' and ' if said else ''}{others} for other actions" if others else ""
    return f" Before it, these did not match: {'; '.join(said)}{rest}."


def _failed(rules: "Rules", subject: Subject, until: str | None, said: list[str]) -> int:
    """Add why rules failed to `said`; return how many were left out."""
    candidates = rules.of(subject.facts.type)
    before = len(candidates)
    for at, rule in enumerate(candidates):
        if rule.name == until:
            before = at
            break
        if len(said) < MOST_RULES and (reason := rule.pattern.failing(subject)):
            said.append(f"{rule.name} ({reason})")
    passed = len(rules.all) if before == len(candidates) else rules.all.index(candidates[before])
    return max(
        0,
        passed - sum(1 for rule in candidates[:before] if any(s.startswith(f"{rule.name} (") for s in said)),
    )
