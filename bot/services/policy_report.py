"""What `keyturn policy explain` says: the whole reading of one action, line by line."""

from collections.abc import Iterator

from bot.core.models import Action, Requirement
from bot.core.policy import Policy, PolicySet
from bot.core.policy.judging import UNUSED
from bot.core.policy.limits import spelled
from bot.core.policy.rules import Rules
from bot.core.policy.subject import Match, Subject
from bot.core.risk import analyse, score


def explain(policies: PolicySet, action: Action, *, agent: str) -> str:
    """Risk with every factor, the policy, every rule and how it turned out, and the ruling."""
    return "\n".join(_lines(policies, action, agent))


def _lines(policies: PolicySet, action: Action, agent: str) -> Iterator[str]:
    judgement = policies.judge(action, agent=agent)
    risk, ruling = judgement.risk, judgement.ruling
    yield f"Risk {risk.level.value}, {risk.score:f} of 100"
    for factor in risk.factors:
        yield f"  {factor.points:+f}  {factor.name}: {factor.detail}"
    yield from _reading(action)
    policy = next((p for p in policies.policies if p.name == ruling.policy.name), None)
    if policy is not None:
        yield f"Policy {policy.name} ({policy.file})"
        yield from _rules(policy, action, agent)
    yield f"Ruling: {ruling.policy.effect.value}, by {ruling.policy.rule}"
    yield f"  {ruling.policy.explanation}"
    if ruling.requirement is not None:
        yield f"  {_people(ruling.requirement)}"
    for rung in ruling.ladder:
        when = "at once" if rung.after is None else f"after {spelled(rung.after)}"
        yield f"  {when}: {rung.name} asks {rung.escalate_to.group}"


def _reading(action: Action) -> Iterator[str]:
    facts = analyse(action)
    for line in facts.lines:
        unsure = "" if line.readable else "  (part of it is only known when it runs)"
        yield f"  runs: {line.text[:200]}{unsure}"
    for touched in facts.paths:
        whole = " with all below" if touched.recursive else ""
        unsure = "" if touched.readable else "  (cannot be read)"
        yield f"  {touched.access.value}: {touched.path[:200]}{whole}{unsure}"


def _rules(policy: Policy, action: Action, agent: str) -> Iterator[str]:
    risk = score(analyse(action), policy.weights)
    subject = Subject(analyse(action), agent, risk, risk.level.rank)
    for kind, rules in (("block", policy.block), ("require", policy.require), ("allow", policy.allow)):
        yield from _list(kind, rules, subject)
    yield from _limits(policy, subject)


def _list(kind: str, rules: Rules, subject: Subject) -> Iterator[str]:
    for rule in rules.all:
        outcome = rule.pattern.match(subject)
        if outcome is Match.YES:
            said = "matches"
        elif outcome is Match.UNREADABLE:
            said = "may match: part of the action cannot be read"
        else:
            reason = str(outcome).partition(" (")[2].removesuffix(")")
            said = f"does not match: {reason}"
        yield f"  {kind} {rule.name} {said}"


def _limits(policy: Policy, subject: Subject) -> Iterator[str]:
    money = policy.weights.money
    for limit in policy.limits:
        if not limit.counts(subject):
            yield f"  limit {limit.name} is for other actions"
            continue
        charge = limit.charge(subject, money)
        whose = "all agents together" if limit.across else "each agent"
        yield f"  limit {limit.name} counts it, for {whose}: {limit.standing(UNUSED, charge, money)}"


def _people(requirement: Requirement) -> str:
    sets = [entry.group or ", ".join(entry.users or ()) for entry in requirement.approvers]
    each = ", one from each" if requirement.one_from_each else ""
    return f"{requirement.needed} must agree, of {' and '.join(sets)}{each}"
