"""From files to a compiled `PolicySet`, or to every reason why not.

Files are checked one by one and then as a whole: undefined groups, thresholds that overlap, a
quorum that nobody can fill and rules that can never match are faults, not surprises later.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from pydantic import BaseModel, ValidationError

from bot.core.digest import canonical, sha256
from bot.core.models import ApproverSet, Requirement, RiskLevel, Terms
from bot.core.policy import checks, escalating, patterns, scheduling
from bot.core.policy.format import (
    Approvers,
    EscalationRule,
    LimitRule,
    PolicyFile,
    RequireRule,
    Rule,
)
from bot.core.policy.globs import compile_path
from bot.core.policy.judging import (
    NEVER_APPROVE,
    NEVER_REJECT,
    Escalation,
    Policy,
    PolicySet,
    Workspace,
)
from bot.core.policy.limits import Limit
from bot.core.policy.patterns import Condition, Pattern, Test
from bot.core.policy.problems import Location
from bot.core.policy.rules import Rule as CompiledRule
from bot.core.policy.rules import Rules
from bot.core.policy.subject import Match
from bot.core.policy.where import compile_where
from bot.core.policy.wording import fault, telling
from bot.core.policy.workspace import WORKSPACE, People, WorkspaceFile
from bot.core.risk.weights import POINTS, TIERS, Money, Weights

_CRITICAL = RiskLevel.CRITICAL.rank


@dataclass(frozen=True, slots=True)
class Fault:
    """A problem whose line is still to be looked up."""

    file: str
    location: Location
    wrong: str
    instead: str


def build(files: Mapping[str, Any], kinds: Collection[str] = ()) -> PolicySet | list[Fault]:
    """Compile parsed files.

    Args:
        files: What each file holds, by file name, in the order in which policies are tried.
        kinds: Of targets, beside those that Keyturn brings.
    """
    faults: list[Fault] = []
    models: dict[str, BaseModel] = {}
    for name, content in files.items():
        kind: type[BaseModel] = WorkspaceFile if name == WORKSPACE else PolicyFile
        try:
            models[name] = kind.model_validate(content, context={"kinds": kinds})
        except ValidationError as error:
            faults.extend(Fault(name, *fault(detail, kind)) for detail in telling(error.errors()))
    workspace = models.pop(WORKSPACE, WorkspaceFile())
    assert isinstance(workspace, WorkspaceFile)
    policies = {name: model for name, model in models.items() if isinstance(model, PolicyFile)}
    whole = not faults
    faults.extend(Fault(*found) for found in checks.faults(workspace, policies, whole=whole))
    if faults:
        return faults
    version = sha256(canonical({name: _plain(content) for name, content in files.items()}))
    return _compiled(workspace, policies, version)


def _plain(value: Any) -> Any:
    """Numbers as text, so that the version tells apart what a double cannot."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return value if isinstance(value, str | bool) or value is None else str(value)


# -- compiling ------------------------------------------------------------------------------


def _compiled(shared: WorkspaceFile, policies: Mapping[str, PolicyFile], version: str) -> PolicySet:
    groups = {name: _people(people, name) for name, people in shared.groups.items()}
    workspace = Workspace(
        shared.admin_channel,
        _people(shared.operators, "operators"),
        _people(shared.auditors, "auditors"),
        groups,
        {name: scheduling.compiled(name, file) for name, file in shared.schedules.items()},
        shared.audit_channel or shared.admin_channel,
        shared.audit_webhook,
    )
    compiled = [_policy(file, model, workspace, shared) for file, model in policies.items()]
    compiled.sort(key=lambda policy: policy.is_default)
    return PolicySet(version, workspace, tuple(compiled))


def _people(people: People | None, name: str, *, seat: bool = True) -> ApproverSet:
    if people is None:
        return ApproverSet(name, "users", (), seat)
    if people.schedule is not None:
        return ApproverSet(name, f"schedule:{people.schedule}", None, seat)
    if people.slack_usergroup is not None:
        return ApproverSet(name, f"slack_usergroup:{people.slack_usergroup}", None, seat)
    return ApproverSet(name, "users", people.users or (), seat)


def _policy(file: str, model: PolicyFile, workspace: Workspace, shared: WorkspaceFile) -> Policy:
    applies = model.applies_to
    groups = workspace.groups
    name = model.name or file.rsplit(".", 1)[0]
    requirement = _requirement(model.approvers, groups)
    return Policy(
        name=name,
        file=file,
        agents=_when(applies.agents if applies else None, patterns.agent),
        types=_when(applies.action_types if applies else None, patterns.action_type),
        is_default=applies is None,
        approve_up_to=_rank(model.auto_approve_threshold, NEVER_APPROVE),
        reject_from=_rank(model.auto_reject_threshold, NEVER_REJECT),
        thresholds=(model.auto_approve_threshold, model.auto_reject_threshold),
        weights=_weights(model),
        block=Rules([_rule(rule, groups) for rule in model.block]),
        require=Rules([_rule(rule, groups) for rule in model.require]),
        allow=Rules([_rule(rule, groups, allow=True) for rule in model.allow]),
        requirement=requirement,
        terms=Terms(
            channel=model.channel or workspace.admin_channel,
            level_wait=model.default_timeout,
            approval_valid_for=model.approval_valid_for,
            agent_may_escalate_to=tuple(groups[name] for name in model.agent_may_escalate_to),
            grant_max_risk=model.grant_max_risk,
            standing=requirement,
            remind=escalating.remind(model.remind),
            ack_for=model.ack_for,
        ),
        rollback_until=model.rollback_until,
        escalations=_escalations(model.escalation_rules, groups, shared),
        limits=tuple(_limit(name, limit, groups) for limit in model.limits),
    )


def _rank(threshold: str, never: int) -> int:
    return never if threshold == "never" else RiskLevel(threshold).rank


def _when(globs: Sequence[str] | None, compiled: Callable[[Sequence[str]], Test]) -> tuple[Condition, ...]:
    return () if globs is None else (Condition(compiled(globs), ""),)


def _weights(model: PolicyFile) -> Weights:
    tiers = model.money.tiers or TIERS
    money = Money(model.money.base, dict(model.money.rates), tuple(sorted(tiers)))
    return Weights({**POINTS, **model.weights}, money)


def _requirement(approvers: Approvers, groups: Mapping[str, ApproverSet]) -> Requirement:
    sets = [groups[name] for name in approvers.groups or ()]
    if approvers.users:
        sets.append(ApproverSet(None, "users", approvers.users))
    seats = len(approvers.groups or ()) if approvers.one_from_each else 0
    return Requirement(max(approvers.quorum, seats), approvers.one_from_each, tuple(sets))


def _rule(rule: Rule, groups: Mapping[str, ApproverSet], *, allow: bool = False) -> CompiledRule:
    approvers = rule.approvers if isinstance(rule, RequireRule) else None
    return CompiledRule(
        name=rule.name,
        pattern=_pattern(rule, allow=allow),
        types=rule.action_type,
        requirement=_requirement(approvers, groups) if approvers else None,
    )


def _limit(policy: str, limit: LimitRule, groups: Mapping[str, ApproverSet]) -> Limit:
    return Limit(
        name=limit.name,
        key=f"{policy}/{limit.name}",
        pattern=_pattern(limit, allow=False),
        per=limit.per,
        most=limit.count,
        sum_of=limit.sum_of,
        most_amount=limit.max,
        across=limit.across is not None,
        requirement=_requirement(limit.approvers, groups) if limit.approvers else None,
    )


def _pattern(rule: Rule, *, allow: bool) -> Pattern:
    lowest = rule.min_risk or RiskLevel.NONE
    highest = rule.max_risk or (RiskLevel.MEDIUM if allow else RiskLevel.CRITICAL)
    return Pattern(
        min_rank=lowest.rank,
        max_rank=highest.rank,
        takes=patterns.one_of(rule.action_type or ("*",)),
        below=f"{rule.name} (the risk is below {lowest.value})",
        above=f"{rule.name} (the risk is above {highest.value})",
        other=f"{rule.name} (action_type is not {_listed(rule.action_type or ())})",
        conditions=tuple(
            Condition(test, f"{rule.name} ({key} is not {said})")
            for key, test, said in _conditions(rule, allow=allow)
        ),
    )


def _conditions(rule: Rule, *, allow: bool) -> Iterator[tuple[str, Test, str]]:
    """Key, test and what it wants, cheap ones first."""
    if rule.agent:
        yield "agent", patterns.agent(rule.agent), _listed(rule.agent)
    if rule.environment:
        yield "environment", patterns.environment(rule.environment, every=allow), _listed(rule.environment)
    yield from _comparisons(rule.where)
    if rule.path_pattern:
        globs = [glob for pattern in rule.path_pattern for glob in compile_path(pattern)]
        access = frozenset(rule.access or ())
        if allow:
            test = patterns.every_path(globs, access, with_command=rule.command_pattern is not None)
        else:
            test = patterns.any_path(globs, access)
        yield "path", test, _listed(rule.path_pattern)
    if rule.command_pattern:
        compiled = patterns.every_command if allow else patterns.any_command
        yield "command", compiled(rule.command_pattern), rule.command_pattern


def _comparisons(where: Mapping[str, Mapping[str, Any]] | None) -> Iterator[tuple[str, Test, str]]:
    for key, comparisons in (where or {}).items():
        said = " and ".join(_compared(name, operand) for name, operand in comparisons.items())
        yield key, compile_where(key, comparisons), said


def _compared(name: str, operand: Any) -> str:
    if name == "exists":
        return "there" if operand else "absent"
    return f"{name} {_listed([str(item) for item in operand]) if isinstance(operand, list) else operand}"


def _escalations(
    rules: Sequence[EscalationRule], groups: Mapping[str, ApproverSet], shared: WorkspaceFile
) -> tuple[Escalation, ...]:
    ordered = sorted(rules, key=lambda rule: rule.priority)
    return tuple(
        Escalation(escalating.rung(rule, groups, shared), tuple(_trigger(rule)), _rejections(rule))
        for rule in ordered
    )


def _rejections(rule: EscalationRule) -> tuple[int, timedelta] | None:
    repeated = rule.trigger.repeated_rejections
    return None if repeated is None else (repeated.count, repeated.within)


def _trigger(rule: EscalationRule) -> Iterator[Condition]:
    trigger = rule.trigger
    if trigger.risk_at_least is not None:
        yield Condition(_at_least(trigger.risk_at_least.rank), "")
    if trigger.action_types:
        yield Condition(patterns.action_type(trigger.action_types), "")
    yield from (Condition(test, "") for _, test, _ in _comparisons(trigger.where))


def _at_least(rank: int) -> Test:
    return lambda subject: Match.YES if subject.rank >= rank else Match.NO


def _listed(items: Sequence[str]) -> str:
    return " or ".join(items[:3]) + (" …" if len(items) > 3 else "")
