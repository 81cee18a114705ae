"""Rules that can never be reached, because an earlier one of their list takes all they match."""

import fnmatch
from collections.abc import Iterator, Sequence

from bot.core.models import RiskLevel
from bot.core.policy.format import PolicyFile, Rule
from bot.core.policy.problems import Location


def unreachable(policy: PolicyFile) -> Iterator[tuple[Location, str]]:
    """Where each rule stands that is never reached, and the name of the one before it.

    Only what is plain is found: the earlier rule has no condition that the later one lacks, and
    each is the same or wider.
    """
    lists: tuple[tuple[str, Sequence[Rule], RiskLevel], ...] = (
        ("block", policy.block, RiskLevel.CRITICAL),
        ("require", policy.require, RiskLevel.CRITICAL),
        ("allow", policy.allow, RiskLevel.MEDIUM),
    )
    for kind, rules, highest in lists:
        for at, later in enumerate(rules):
            earlier = next((rule for rule in rules[:at] if _covers(rule, later, highest)), None)
            if earlier is not None:
                yield (kind, at), earlier.name


def _covers(wide: Rule, narrow: Rule, highest: RiskLevel) -> bool:
    return (
        (wide.min_risk or RiskLevel.NONE).rank <= (narrow.min_risk or RiskLevel.NONE).rank
        and (wide.max_risk or highest).rank >= (narrow.max_risk or highest).rank
        and _names_cover(wide.action_type, narrow.action_type)
        and _names_cover(wide.agent, narrow.agent)
        and _names_cover(wide.environment, narrow.environment)
        and _paths_cover(wide, narrow)
        and (wide.command_pattern is None or wide.command_pattern == narrow.command_pattern)
        and (wide.where is None or wide.where == narrow.where)
    )


def _names_cover(wide: Sequence[str] | None, narrow: Sequence[str] | None) -> bool:
    """Whether every one of the narrow globs is plainly covered by a wide one."""
    if wide is None:
        return True
    return narrow is not None and all(
        any(one == other or _covers_name(other, one) for other in wide) for one in narrow
    )


def _covers_name(wide: str, narrow: str) -> bool:
    if not set(narrow) & set("*?["):
        return fnmatch.fnmatchcase(narrow, wide)
    return wide == "*" or (
        wide.endswith("*") and narrow.startswith(wide[:-1]) and not set(wide[:-1]) & set("*?[")
    )


def _paths_cover(wide: Rule, narrow: Rule) -> bool:
    if wide.path_pattern is None:
        return True
    if narrow.path_pattern is None or (wide.access and not set(narrow.access or ()) <= set(wide.access)):
        return False
    if wide.access and not narrow.access:
        return False
    return all(any(_covers_path(other, one) for other in wide.path_pattern) for one in narrow.path_pattern)


def _covers_path(wide: str, narrow: str) -> bool:
    if wide == narrow or wide == "**":
        return True
    return wide.endswith("/**") and not set(wide[:-3]) & set("*?[{\\") and narrow.startswith(wide[:-2])
