"""Escalation rules from their file: compiled, and what is wrong with those that are each well-formed."""

import difflib
from collections.abc import Iterator, Mapping

from bot.core.models import ApproverSet, Hours, LadderRule, Remind, Target
from bot.core.policy.format import EscalationRule, PolicyFile, RemindFile
from bot.core.policy.problems import Location
from bot.core.policy.workspace import WorkspaceFile


def rung(rule: EscalationRule, groups: Mapping[str, ApproverSet], workspace: WorkspaceFile) -> LadderRule:
    """The rule as a request's ladder takes it."""
    asked = groups[rule.escalate_to]
    return LadderRule(
        name=rule.name,
        after=rule.trigger.after,
        wait=rule.wait,
        escalate_to=ApproverSet(asked.group, asked.source, asked.users, seat=False),
        may_approve=rule.may_approve,
        notify=tuple(Target(kind, address) for target in rule.notify for kind, address in target.items()),
        remind=remind(rule.remind),
        during=_hours(rule, workspace),
    )


def remind(file: RemindFile | None) -> Remind | None:
    """How often people are reminded."""
    return None if file is None else Remind(file.every, file.times)


def faults(policy: PolicyFile, workspace: WorkspaceFile) -> Iterator[tuple[Location, str, str]]:
    """What is wrong with the rules' triggers and hours: where, what, what instead."""
    for at, rule in enumerate(policy.escalation_rules):
        where: Location = ("escalation_rules", at)
        if rule.trigger == type(rule.trigger)():
            yield (
                (*where, "trigger"),
                "never acts",
                "write after: 5m, or one of risk_at_least, action_types, where and repeated_rejections",
            )
        elif rule.trigger.after is None:
            yield from _immediate(where, rule)
        if rule.during is not None and rule.during not in workspace.business_hours:
            yield (*where, "during"), *_undefined(rule.during, workspace)
        if rule.outside is not None and rule.during is None:
            yield (*where, "outside"), "has no hours to be outside of", "add during: NAME, or remove it"


def _immediate(where: Location, rule: EscalationRule) -> Iterator[tuple[Location, str, str]]:
    """Keys that only a level of its own has."""
    for key in ("wait", "during", "remind"):
        if getattr(rule, key) is not None:
            yield (
                (*where, key),
                "belongs to a rule with a level of its own, and this one acts at once",
                "add after to its trigger, or remove the key",
            )


def _hours(rule: EscalationRule, workspace: WorkspaceFile) -> Hours | None:
    if rule.during is None:
        return None
    spans = workspace.business_hours[rule.during]
    windows = tuple(span.window for span in spans)
    return Hours(rule.during, windows, spans[0].zone.key, hold=rule.outside == "hold")


def _undefined(name: str, workspace: WorkspaceFile) -> tuple[str, str]:
    close = difflib.get_close_matches(name, list(workspace.business_hours), n=1)
    meant = f"did you mean {close[0]}? Else define them" if close else "define them"
    return f"there are no business hours {name}", f"{meant} under business_hours in workspace.yaml"
