"""How long a policy of 200 rules takes to rule, beside Cedar with the same 200 rules.

Rules differ in action type, environment, risk, path, amount and tag. Half of the requests match
nothing, so the whole list is walked; a quarter each match early and late. Both engines must
give the same answer to every request before anything is measured.
"""

import json
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import cedarpy

from benchmarks.report import Section, Target
from bot.core.models import Action, RiskLevel
from bot.core.policy import PolicySet, build
from bot.core.policy.subject import Subject
from bot.core.risk import analyse, assess
from bot.services.policies import parse

RULES = 200
REQUESTS = 200
PROMISE_US = 25.0
_VERBS = ("deploy", "delete", "refund", "email", "grant", "query", "scale", "rotate", "export", "merge")
_PLACES = ("staging", "eu-west", "us-east")
_LEVELS = ("none", "low", "medium")


@dataclass(frozen=True, slots=True)
class Spec:
    """One rule, before it is written for an engine."""

    name: str
    kind: str
    environment: str
    level: str
    path: str | None = None
    amount: int | None = None
    tag: str | None = None


def specs() -> list[Spec]:
    """The rules: each for its own service, by turns with a path, an amount, a tag or nothing more."""
    return [_spec(at) for at in range(RULES)]


def _spec(at: int) -> Spec:
    verb = _VERBS[at % 10]
    return Spec(
        name=f"r{at}",
        kind=f"{verb}.svc{at}",
        environment=_PLACES[at % 3],
        level=_LEVELS[at % 3],
        path=f"/srv/svc{at}" if at % 4 == 1 else None,
        amount=at * 10 if at % 4 == 2 else None,
        tag=f"tag{at % 20}" if at % 4 == 3 else None,
    )


def requests(rules: Sequence[Spec]) -> list[Action]:
    """What is asked: every other request matches nothing, the rest match early or late."""
    return [
        _unmatched(at) if at % 2 else _matching(rules[at // 4 if at % 4 else RULES - 1 - at // 4])
        for at in range(REQUESTS)
    ]


def _unmatched(at: int) -> Action:
    params = {"environment": "staging", "path": "/srv/other/x", "amount": 10, "tag": "none"}
    return Action(f"unknown.svc{at}.run", params)


def _matching(rule: Spec) -> Action:
    params: dict[str, Any] = {"environment": rule.environment, "amount": 1_000_000, "tag": rule.tag or "none"}
    params["path"] = f"{rule.path or '/srv/any'}/x"
    return Action(f"{rule.kind}.run", params)


def keyturn(rules: Sequence[Spec]) -> PolicySet:
    """The rules as a policy file."""
    text = "name: bench\napprovers: {groups: [people]}\nauto_reject_threshold: never\nrequire:\n"
    text += "\n".join(f"  - {json.dumps(_rule(rule))}" for rule in rules)
    workspace = "groups: {people: {users: [U0DANA001]}}"
    files = {"workspace.yaml": workspace, "bench.yaml": text}
    built = build({name: parse(name, content.encode()).value for name, content in files.items()})
    assert isinstance(built, PolicySet), built
    return built


def _rule(rule: Spec) -> dict[str, Any]:
    found: dict[str, Any] = {
        "name": rule.name,
        "action_type": f"{rule.kind}.*",
        "environment": rule.environment,
        "min_risk": rule.level,
    }
    if rule.path is not None:
        found["path_pattern"] = f"{rule.path}/**"
    where: dict[str, Any] = {}
    if rule.amount is not None:
        where["amount"] = {"gt": rule.amount}
    if rule.tag is not None:
        where["tag"] = {"eq": rule.tag}
    return found | ({"where": where} if where else {})


def cedar(rules: Sequence[Spec]) -> str:
    """The rules as Cedar policies; Cedar evaluates all of them, and the first of those that hold counts."""
    return "\n".join(
        f'@id("{rule.name}") permit(principal, action, resource) when {{ {_when(rule)} }};' for rule in rules
    )


def _when(rule: Spec) -> str:
    tests = [
        f'context.type like "{rule.kind}.*"',
        f'context.environment == "{rule.environment}"',
        f"context.risk >= {RiskLevel(rule.level).rank}",
    ]
    if rule.path is not None:
        tests.append(f'context.path like "{rule.path}/*"')
    if rule.amount is not None:
        tests.append(f"context.amount > {rule.amount}")
    if rule.tag is not None:
        tests.append(f'context.tag == "{rule.tag}"')
    return " && ".join(tests)


def _cedar_request(action: Action) -> dict[str, Any]:
    risk = assess(action).level.rank
    return {
        "principal": 'Agent::"a"',
        "action": 'Action::"run"',
        "resource": 'Resource::"r"',
        "context": {"type": action.type, "risk": risk, **action.params},
    }


def policy(*, rounds: int) -> Section:
    """Measure both on the same requests, by turns."""
    rules = specs()
    actions = requests(rules)
    policy_set, text = keyturn(rules), cedar(rules)
    compiled = policy_set.policies[0]
    subjects = [_subject(action) for action in actions]
    asked = [_cedar_request(action) for action in actions]
    _same(policy_set, text, actions, asked)
    ours, whole, theirs = [], [], []
    for _ in range(rounds):
        ours.append(_timed(lambda: [compiled.decide(subject, "v") for subject in subjects]))
        whole.append(_timed(lambda: [policy_set.judge(action, agent="a") for action in actions]))
        theirs.append(_timed(lambda: [cedarpy.is_authorized(one, text, []) for one in asked], passes=1))
    return _section(ours, whole, theirs)


def _subject(action: Action) -> Subject:
    risk = assess(action)
    return Subject(analyse(action), "a", risk, risk.level.rank)


def _same(
    policy_set: PolicySet, text: str, actions: Sequence[Action], asked: Sequence[dict[str, Any]]
) -> None:
    for action, one in zip(actions, asked, strict=True):
        rule = policy_set.judge(action, agent="a").ruling.policy.rule
        answer = cedarpy.is_authorized(one, text, [])
        assert answer.allowed == (rule.startswith("r") and rule[1:].isdigit()), (action, rule, answer)


def _timed(work: Callable[[], object], *, passes: int = 40) -> float:
    """Microseconds for each request, of the best of the passes: the rest measure the neighbours."""
    best = float("inf")
    for _ in range(passes):
        start = time.perf_counter()
        work()
        best = min(best, time.perf_counter() - start)
    return best / REQUESTS * 1e6


def _section(ours: Sequence[float], whole: Sequence[float], theirs: Sequence[float]) -> Section:
    ratio = statistics.median(theirs) / statistics.median(ours)
    middle = statistics.median(ours)
    return Section(
        title="Policy",
        about=f"{RULES} rules (action type, environment, risk, path, amount, tag), first match, {REQUESTS}"
        " requests of which half match nothing. Cedar is cedarpy with the policies given as text; it"
        " evaluates every rule. Ours includes the explanation; all types were asked for before.",
        head=("what", "us a request"),
        rows=[
            ["ruling and explanation", f"{middle:.1f} ({min(ours):.1f} to {max(ours):.1f})"],
            ["reading the action, risk and ruling", f"{statistics.median(whole):.1f}"],
            ["Cedar, the same rules", f"{statistics.median(theirs):.0f}"],
        ],
        targets=[
            Target(f"{RULES} rules <= {PROMISE_US:.0f} us", f"{middle:.1f} us", middle <= PROMISE_US),
            Target("10 x faster than Cedar beside it", f"{ratio:.0f} x", ratio >= 10),
        ],
    )
