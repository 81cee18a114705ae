"""What is suspicious in policies that are valid: rules that never decide, names that nothing has.

Only what is certain from the files alone is told as unreachable, so every warning is worth a look.
"""

import difflib
import fnmatch
from collections.abc import Iterator, Mapping, Sequence

from bot.core.models import RiskLevel
from bot.core.policy.checks import Found
from bot.core.policy.format import PolicyFile, Rule
from bot.core.policy.problems import Location
from bot.core.policy.workspace import WORKSPACE, WorkspaceFile
from bot.core.risk import KNOWN_TYPES

Lists = tuple[tuple[str, Sequence[Rule]], ...]

_CLOSE = 0.75
"""How alike two names must be for one to be a likely slip for the other."""


def warnings(workspace: WorkspaceFile, policies: Mapping[str, PolicyFile]) -> Iterator[Found]:
    """Everything suspicious, file by file."""
    yield from _covered_policies(policies)
    for file, policy in policies.items():
        yield from _unknown_types(file, policy)
        yield from _covered_rules(file, policy)
    yield from _unused_groups(workspace, policies)


def _lists(policy: PolicyFile) -> Lists:
    return ("block", policy.block), ("require", policy.require), ("allow", policy.allow)


# -- unreachable ----------------------------------------------------------------------------


def _covered_policies(policies: Mapping[str, PolicyFile]) -> Iterator[Found]:
    special = [(file, policy.applies_to) for file, policy in policies.items() if policy.applies_to]
    for at, (file, applies) in enumerate(special):
        for earlier, before in special[:at]:
            if _globs_cover(before.agents, applies.agents) and _globs_cover(
                before.action_types, applies.action_types
            ):
                yield (
                    file,
                    ("applies_to",),
                    f"is never reached: {earlier} comes first and takes all of it",
                    "rename the file so that it sorts before, or narrow the other's applies_to",
                )
                break


def _covered_rules(file: str, policy: PolicyFile) -> Iterator[Found]:
    before: list[tuple[str, Rule]] = []
    for kind, rules in _lists(policy):
        for at, rule in enumerate(rules):
            found = next((b for b in before if _covers(b[0], b[1], kind, rule)), None)
            if found is not None:
                yield (
                    file,
                    (kind, at),
                    f"{rule.name} is never reached: whatever it matches, the {found[0]} rule "
                    f"{found[1].name} has matched before",
                    f"{'move it up, ' if found[0] == kind else ''}narrow the other rule, or remove it",
                )
            before.append((kind, rule))


def _covers(kind: str, earlier: Rule, later_kind: str, later: Rule) -> bool:
    """Whether `earlier` decides every action that `later` matches.

    A block rule whose subject cannot be read leaves the people that a require rule names.
    """
    if kind == "allow" and earlier.path_pattern and later.command_pattern and not earlier.command_pattern:
        return False  # a path alone never allows a command
    if kind == "block" and later_kind == "require" and not _readable(earlier):
        return False
    return (
        _globs_cover(earlier.action_type, later.action_type)
        and _globs_cover(earlier.agent, later.agent)
        and _globs_cover(earlier.environment, later.environment)
        and (earlier.command_pattern is None or earlier.command_pattern == later.command_pattern)
        and _paths_cover(earlier, later)
        and _risk_covers(kind, earlier, later_kind, later)
        and all((later.where or {}).get(key) == value for key, value in (earlier.where or {}).items())
    )


def _readable(rule: Rule) -> bool:
    """Whether the rule looks only at what can always be read."""
    return not (rule.path_pattern or rule.command_pattern or rule.environment or rule.where)


def _globs_cover(wide: Sequence[str] | None, narrow: Sequence[str] | None) -> bool:
    if wide is None or wide == narrow:
        return True
    if any(glob.startswith("!") for glob in wide):
        return False
    if "*" in wide:
        return True
    if any(glob.startswith("!") for glob in narrow or ()):
        return False
    return narrow is not None and all(any(_glob_covers(w, n) for w in wide) for n in narrow)


def _glob_covers(wide: str, narrow: str) -> bool:
    if wide == narrow:
        return True
    if not set(narrow) & set("*?["):
        return fnmatch.fnmatchcase(narrow, wide)
    stem = wide.removesuffix("*")
    return stem != wide and not set(stem) & set("*?[") and narrow.startswith(stem)


def _paths_cover(earlier: Rule, later: Rule) -> bool:
    if earlier.path_pattern is None:
        return True
    if later.path_pattern is None:
        return False
    if earlier.access and not set(later.access or ()) <= set(earlier.access):
        return False
    if earlier.access and not later.access:
        return False
    return all(any(_path_covers(w, n) for w in earlier.path_pattern) for n in later.path_pattern)


def _path_covers(wide: str, narrow: str) -> bool:
    below = wide.removesuffix("**")
    plain = wide.endswith("/**") and not set(below) & set("*?[{\\")
    return wide in (narrow, "**") or (plain and narrow.startswith(below))


def _risk_covers(kind: str, earlier: Rule, later_kind: str, later: Rule) -> bool:
    low, high = _ranks(kind, earlier)
    later_low, later_high = _ranks(later_kind, later)
    return low <= later_low and later_high <= high


def _ranks(kind: str, rule: Rule) -> tuple[int, int]:
    highest = rule.max_risk or (RiskLevel.MEDIUM if kind == "allow" else RiskLevel.CRITICAL)
    return (rule.min_risk or RiskLevel.NONE).rank, highest.rank


# -- names that nothing has -----------------------------------------------------------------


def _unknown_types(file: str, policy: PolicyFile) -> Iterator[Found]:
    for location, types in _named_types(policy):
        for kind in types or ():
            if set(kind) & set("*?["):
                continue
            close = difflib.get_close_matches(kind, sorted(KNOWN_TYPES), n=1, cutoff=_CLOSE)
            if kind not in KNOWN_TYPES and close:
                yield (
                    file,
                    location,
                    f"{kind} is not a type that Keyturn knows, so only agents that use that very name match",
                    f"did you mean {close[0]}?",
                )


def _named_types(policy: PolicyFile) -> Iterator[tuple[Location, Sequence[str] | None]]:
    if policy.applies_to is not None:
        yield ("applies_to", "action_types"), policy.applies_to.action_types
    for kind, rules in (*_lists(policy), ("limits", policy.limits)):
        for at, rule in enumerate(rules):
            yield (kind, at, "action_type"), rule.action_type
    for at, escalation in enumerate(policy.escalation_rules):
        yield ("escalation_rules", at, "trigger", "action_types"), escalation.trigger.action_types


def _unused_groups(workspace: WorkspaceFile, policies: Mapping[str, PolicyFile]) -> Iterator[Found]:
    used = {name for policy in policies.values() for name in _groups(policy)}
    for name in workspace.groups:
        if name not in used:
            yield (
                WORKSPACE,
                ("groups", name),
                f"no policy asks the group {name}",
                "use it or remove it",
            )


def _groups(policy: PolicyFile) -> Iterator[str]:
    yield from policy.approvers.groups or ()
    yield from policy.agent_may_escalate_to
    asked = [rule.approvers for rule in policy.require] + [limit.approvers for limit in policy.limits]
    for approvers in asked:
        if approvers is not None:
            yield from approvers.groups or ()
    for escalation in policy.escalation_rules:
        yield escalation.escalate_to
        yield from (address for target in escalation.notify for address in target.values())
