"""What is wrong with policies that are each well-formed: contradictions and things undefined."""

import difflib
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta

from bot.core.models import RiskLevel, SlackId
from bot.core.policy import escalating, scheduling
from bot.core.policy.format import Approvers, PolicyFile, Rule
from bot.core.policy.problems import Location
from bot.core.policy.workspace import WORKSPACE, WorkspaceFile
from bot.core.quorum import seats_fillable
from bot.core.risk.actions import KNOWN_TYPES

Found = tuple[str, Location, str, str]
"""File, location, what is wrong, what to write instead."""

RESERVED = frozenset({"auto_approve_threshold", "auto_reject_threshold", "paused", "no_policy", "default"})
"""Rule names that Keyturn itself gives."""

LONGEST_WINDOW = timedelta(days=366)
"""How far back limits and rejections may look."""

_WITH_PATHS = frozenset({"file_write", "file_delete", "command_execute", "network_request"})


def faults(workspace: WorkspaceFile, policies: Mapping[str, PolicyFile], *, whole: bool) -> Iterator[Found]:
    """Everything that is wrong with the set.

    Args:
        whole: All files could be read, so that what is not there is really not there.
    """
    yield from _workspace(workspace)
    if whole:
        yield from _defaults(policies)
    for file, policy in policies.items():
        yield from _thresholds(file, policy)
        yield from _money(file, policy)
        yield from _rules(file, policy)
        yield from _limits(file, policy)
        yield from _rejections(file, policy)
        for location, approvers in _all_approvers(policy):
            yield from _approvers(file, location, approvers, workspace, whole=whole)
        yield from _escalations(file, policy, workspace, whole=whole)


def _workspace(workspace: WorkspaceFile) -> Iterator[Found]:
    for location, people in workspace.people().items():
        if people.named != 1:
            yield (
                WORKSPACE,
                tuple(location),
                "names people in no way or in several",
                "write one of users: [U…, e-mail], slack_usergroup: S… and schedule: NAME",
            )
    for where, wrong, instead in scheduling.faults(workspace):
        yield WORKSPACE, where, wrong, instead


def _defaults(policies: Mapping[str, PolicyFile]) -> Iterator[Found]:
    defaults = [file for file, policy in policies.items() if policy.applies_to is None]
    for file in defaults[1:]:
        yield file, (), f"has no applies_to, as {defaults[0]} has none", "give one of them an applies_to"
    names: dict[str, str] = {}
    for file, policy in policies.items():
        name = policy.name or file.rsplit(".", 1)[0]
        if name in names:
            yield file, ("name",), f"the name {name} is taken by {names[name]}", "give each policy its own"
        names[name] = file
    for file, policy in policies.items():
        if policy.applies_to is not None and not (policy.applies_to.agents or policy.applies_to.action_types):
            yield (
                file,
                ("applies_to",),
                "says nothing",
                "name agents or action_types, or remove it for the default",
            )


def _thresholds(file: str, policy: PolicyFile) -> Iterator[Found]:
    approve, reject = policy.auto_approve_threshold, policy.auto_reject_threshold
    if "never" in (approve, reject):
        return
    if RiskLevel(approve).rank >= RiskLevel(reject).rank:
        yield (
            file,
            ("auto_approve_threshold",),
            f"{approve} overlaps auto_reject_threshold {reject}",
            "approve only below the level that is rejected",
        )


def _money(file: str, policy: PolicyFile) -> Iterator[Found]:
    for factor, points in policy.weights.items():
        if (factor == "temporary_path") != (points < 0) and points != 0:
            sign = "zero or negative" if factor == "temporary_path" else "zero or positive"
            yield file, ("weights", factor), f"{points} has the wrong sign", f"write a number that is {sign}"
        elif abs(points) > 1000:
            yield (
                file,
                ("weights", factor),
                f"{points} is out of range",
                "write a number up to 1000; scores end at 100",
            )
    if policy.money.base in policy.money.rates:
        yield (
            file,
            ("money", "rates", policy.money.base),
            "is the base currency",
            "remove its rate, which is 1",
        )
    amounts = [least for least, _ in policy.money.tiers or ()]
    points_of = [points for _, points in policy.money.tiers or ()]
    if (
        amounts != sorted(set(amounts))
        or points_of != sorted(points_of)
        or any(a < 0 for a in [*amounts, *points_of])
    ):
        yield file, ("money", "tiers"), "amounts and points do not rise", "order them from small to large"


def _rules(file: str, policy: PolicyFile) -> Iterator[Found]:
    seen: dict[str, str] = {}
    lists: tuple[tuple[str, Sequence[Rule]], ...] = (
        ("block", policy.block),
        ("require", policy.require),
        ("allow", policy.allow),
    )
    for kind, rules in lists:
        for at, rule in enumerate(rules):
            where: Location = (kind, at)
            if rule.name in RESERVED:
                yield (
                    file,
                    (*where, "name"),
                    f"{rule.name} is a name that Keyturn gives itself",
                    "choose another",
                )
            if rule.name in seen:
                yield (
                    file,
                    (*where, "name"),
                    f"the name {rule.name} is taken by a {seen[rule.name]} rule",
                    "choose another",
                )
            seen[rule.name] = kind
            yield from _rule(file, where, rule, policy)


def _rule(file: str, where: Location, rule: Rule, policy: PolicyFile) -> Iterator[Found]:
    conditions = rule.model_fields_set - {"name", "approvers", "access"}
    if not conditions and where[0] not in ("require", "limits"):
        yield (
            file,
            where,
            "has no condition and would match every action",
            "name what it is for, for example action_type",
        )
    if rule.access and not rule.path_pattern:
        yield (
            file,
            (*where, "access"),
            "narrows a path_pattern, and there is none",
            "add path_pattern or remove it",
        )
    highest = rule.max_risk or (RiskLevel.MEDIUM if where[0] == "allow" else RiskLevel.CRITICAL)
    if rule.min_risk is not None and rule.min_risk.rank > highest.rank:
        yield (
            file,
            (*where, "min_risk"),
            f"{rule.min_risk.value} is above max_risk {highest.value}, so it matches nothing",
            "lower min_risk or raise max_risk",
        )
    yield from _impossible(file, where, rule)
    if where[0] == "allow":
        yield from _allow(file, where, rule, policy)


def _limits(file: str, policy: PolicyFile) -> Iterator[Found]:
    seen: set[str] = set()
    for at, limit in enumerate(policy.limits):
        where: Location = ("limits", at)
        if limit.name in seen:
            yield file, (*where, "name"), f"the name {limit.name} is taken by a limit", "choose another"
        seen.add(limit.name)
        if (limit.sum_of is None) != (limit.max is None):
            there, missing = ("max", "sum_of") if limit.sum_of is None else ("sum_of", "max")
            yield file, (*where, there), f"needs {missing}", "write for example sum_of: amount, max: 10000"
        elif limit.count is None and limit.max is None:
            yield file, where, "limits nothing", "add count, or sum_of with max"
        if limit.per > LONGEST_WINDOW:
            yield (
                file,
                (*where, "per"),
                "is longer than a year",
                f"write at most {LONGEST_WINDOW.days}d",
            )
        yield from _rule(file, where, limit, policy)


def _rejections(file: str, policy: PolicyFile) -> Iterator[Found]:
    for at, rule in enumerate(policy.escalation_rules):
        repeated = rule.trigger.repeated_rejections
        if repeated is not None and repeated.within > LONGEST_WINDOW:
            yield (
                file,
                ("escalation_rules", at, "trigger", "repeated_rejections", "within"),
                "is longer than a year",
                f"write at most {LONGEST_WINDOW.days}d",
            )


def _impossible(file: str, where: Location, rule: Rule) -> Iterator[Found]:
    kinds = rule.action_type or ()
    if any(set(kind) & set("*?[") or kind not in KNOWN_TYPES for kind in kinds) or not kinds:
        return
    if rule.path_pattern and not _WITH_PATHS.intersection(kinds):
        yield (
            file,
            (*where, "path_pattern"),
            f"actions of the type {', '.join(kinds)} have no path, so it matches nothing",
            "remove it, or compare a param with where",
        )
    if rule.command_pattern and "command_execute" not in kinds:
        yield (
            file,
            (*where, "command_pattern"),
            "only command_execute has a command, so it matches nothing",
            "write action_type: command_execute or remove it",
        )


def _allow(file: str, where: Location, rule: Rule, policy: PolicyFile) -> Iterator[Found]:
    if rule.path_pattern and not rule.command_pattern and rule.action_type == ("command_execute",):
        yield (
            file,
            (*where, "path_pattern"),
            "a path alone never allows a command, so it matches nothing",
            "add command_pattern with the commands that are allowed",
        )
    reject = policy.auto_reject_threshold
    if rule.min_risk is not None and reject != "never" and rule.min_risk.rank >= RiskLevel(reject).rank:
        yield (
            file,
            (*where, "min_risk"),
            f"actions at {reject} are rejected before they are allowed",
            "lower min_risk or raise auto_reject_threshold",
        )


def _all_approvers(policy: PolicyFile) -> Iterator[tuple[Location, Approvers]]:
    yield ("approvers",), policy.approvers
    for at, rule in enumerate(policy.require):
        if rule.approvers is not None:
            yield ("require", at, "approvers"), rule.approvers
    for at, limit in enumerate(policy.limits):
        if limit.approvers is not None:
            yield ("limits", at, "approvers"), limit.approvers


def _approvers(
    file: str, where: Location, approvers: Approvers, workspace: WorkspaceFile, *, whole: bool
) -> Iterator[Found]:
    groups = approvers.groups or ()
    if not groups and not approvers.users:
        yield file, where, "names nobody, so nobody could ever approve", "name groups or users"
        return
    undefined = [(at, name) for at, name in enumerate(groups) if name not in workspace.groups]
    if undefined:
        if whole:
            for at, name in undefined:
                yield file, (*where, "groups", at), *_undefined(name, workspace)
        return
    if approvers.one_from_each and not groups:
        yield (
            file,
            (*where, "one_from_each"),
            "needs groups",
            "name the groups that must each give one approver",
        )
    if len(set(groups)) != len(groups):
        yield file, (*where, "groups"), "names a group twice", "name each once"
    most = _most(approvers, workspace)
    needed = max(approvers.quorum, len(groups) if approvers.one_from_each else 0)
    if most is not None and needed > most:
        yield (
            file,
            (*where, "quorum"),
            f"{needed} people must approve and these are only {most}",
            "lower the quorum or name more people",
        )
    elif approvers.one_from_each and not seats_fillable(groups, _by_person(groups, workspace)):
        yield (
            file,
            (*where, "one_from_each"),
            "one person stands for one group, and these share too few",
            "name people who are only in one of them, or fewer groups",
        )


def _by_person(groups: Sequence[str], workspace: WorkspaceFile) -> dict[SlackId, frozenset[str]]:
    """The groups of each person; somebody whom only Slack or a schedule knows stands for themselves."""
    found: dict[SlackId, frozenset[str]] = {}
    for name in groups:
        for person in workspace.groups[name].users or (
            f"somebody of {workspace.groups[name].schedule or name}",
        ):
            key = SlackId(person.lower())
            found[key] = found.get(key, frozenset()) | {name}
    return found


def _undefined(name: str, workspace: WorkspaceFile) -> tuple[str, str]:
    close = difflib.get_close_matches(name, list(workspace.groups), n=1)
    meant = f"did you mean {close[0]}? Else define it" if close else "define it"
    return f"there is no group {name}", f"{meant} under groups in workspace.yaml"


def _most(approvers: Approvers, workspace: WorkspaceFile) -> int | None:
    """How many people can approve at most; None when Slack knows. Of a rotation it is one at a time."""
    people, on_duty = set(approvers.users or ()), set[str]()
    for name in approvers.groups or ():
        group = workspace.groups[name]
        schedule = workspace.schedules.get(group.schedule or "")
        if schedule is not None and schedule.layers:
            on_duty.add(str(group.schedule))
        elif group.users is None:
            return None
        people.update(group.users or ())
    return len({person.lower() for person in people}) + len(on_duty)


def _escalations(file: str, policy: PolicyFile, workspace: WorkspaceFile, *, whole: bool) -> Iterator[Found]:
    if not whole:
        return
    for location, wrong, instead in escalating.faults(policy, workspace):
        yield file, location, wrong, instead
    for at, name in enumerate(policy.agent_may_escalate_to):
        if name not in workspace.groups:
            yield file, ("agent_may_escalate_to", at), *_undefined(name, workspace)
    seen: set[str] = set()
    for at, rule in enumerate(policy.escalation_rules):
        if rule.name in seen:
            yield file, ("escalation_rules", at, "name"), f"the name {rule.name} is taken", "choose another"
        seen.add(rule.name)
        if rule.escalate_to not in workspace.groups:
            yield file, ("escalation_rules", at, "escalate_to"), *_undefined(rule.escalate_to, workspace)
        for place, target in enumerate(rule.notify):
            schedule = target.get("oncall")
            if schedule is not None and schedule not in workspace.schedules:
                where = ("escalation_rules", at, "notify", place)
                yield file, where, *scheduling.undefined(schedule, workspace)
            address = target.get("slack_dm", "")
            if (
                address
                and address not in workspace.groups
                and not re.match(r"[UW][A-Z0-9]+$|[^@\s]+@", address)
            ):
                yield file, ("escalation_rules", at, "notify", place), *_undefined(address, workspace)
