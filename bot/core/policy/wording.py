"""Faults of a file's form in words: what is wrong with a value, and what to write instead."""

import difflib
import inspect
import re
import typing
from collections.abc import Iterator, Sequence

from pydantic import BaseModel
from pydantic_core import ErrorDetails

from bot.core.policy.problems import Location

_EXAMPLES = {
    "approvers": "approvers: {quorum: 1, groups: [oncall]}", "name": "name: production",
    "trigger": "trigger: {after: 5m}", "auto_approve_threshold": "auto_approve_threshold: low",
    "auto_reject_threshold": "auto_reject_threshold: critical", "default_timeout": "default_timeout: 5m",
    "approval_valid_for": "approval_valid_for: 15m", "rollback_until": "rollback_until: 24h",
    "grant_max_risk": "grant_max_risk: medium", "agents": 'agents: ["billing-*"]',
    "action_types": "action_types: [transfer]", "action_type": "action_type: transfer",
    "path_pattern": "path_pattern: /srv/cache/**", "access": "access: [write, delete]",
    "command_pattern": "command_pattern: '^git push'", "environment": "environment: production",
    "agent": 'agent: "billing-*"', "min_risk": "min_risk: high", "max_risk": "max_risk: low",
    "where": "where: {amount: {gt: 1000}}", "sum_of": "sum_of: amount",
    "one_from_each": "one_from_each: true",
    "risk_at_least": "risk_at_least: high",
    "repeated_rejections": "repeated_rejections: {count: 3, within: 1h}",
    "priority": "a whole number, the smallest of which comes first", "wait": "wait: 10m",
    "may_approve": "may_approve: false", "audit_channel": "a channel id such as C0123456, or \"#name\"",
    "audit_webhook": "a URL such as https://audit.example.com/keyturn",
    "schedules": "schedules: {primary: {layers: [{rotation: weekly, handover: \"Mon 09:00\", …}]}}",
    "start": "the first day of the first shift: 2026-01-31", "shift": "shift: 12h",
    "restrict": "restrict: [{days: [Mon-Fri], from: \"09:00\", to: \"17:00\"}]",
    "days": "days: [Mon-Fri]", "from": 'from: "09:00"', "to": 'to: "17:00"',
    "given": "given: {type: deployment, params: {environment: staging}}", "tests": "a list of tests",
    "expect": "expect: {effect: review, rule: production}", "effect": "one of approve, review and reject",
    "level": "one of none, low, medium, high and critical", "score": "a number from 0 to 100",
    "type": "the type of an action: deployment", "params": "params: {environment: staging}",
    "used": "used: {daily: {count: 3, amount: 9800}}", "amount": "a number from 0 on",
    "rejections": "a whole number from 0 on", "against": "against: examples/strict.yaml",
    "rule": "the name of a rule, or budget:NAME for a limit", "policy": "the name of a policy",
    "escalate_to": "escalate_to: security", "after": "after: 5m",
    "channel": "a channel id such as C0123456, or \"#name\"",
    "admin_channel": "a channel id such as C0123456, or \"#name\"",
    "users": "a list of Slack ids (U…) and e-mail addresses",
    "slack_usergroup": "the id of a Slack user group, S…", "quorum": "a whole number from 1 on",
    "rotation": "rotation: weekly", "handover": 'handover: "Mon 09:00"', "zone": "zone: Europe/Berlin",
    "layers": "a list of rotations", "schedule": "the name of a schedule",
    "base": "a currency in capitals such as USD",
    "block": "a list of rules: [{name: system, path_pattern: /etc/**}]",
    "require": "a list of rules: [{name: deployments, action_type: deployment}]",
    "allow": "a list of rules: [{name: cache, path_pattern: /srv/cache/**}]",
    "escalation_rules": "a list of rules: [{name: stale, trigger: {after: 5m}, escalate_to: manager}]",
    "notify": "a list of targets: [{slack_dm: manager}]",
    "applies_to": 'applies_to: {agents: ["billing-*"], action_types: [transfer]}',
    "agent_may_escalate_to": "a list of group names",
    "groups": "a list of group names, or in workspace.yaml a mapping of names to people",
    "operators": "operators: {users: [U0123456]}", "auditors": "auditors: {users: [U0123456]}",
    "per": "per: 1d", "within": "within: 1h", "count": "a whole number from 1 on", "across": "across: agents",
    "every": "every: 10m", "times": "a whole number from 1 on", "remind": "remind: {every: 10m, times: 3}",
    "outside": "outside: hold", "during": "the name of business hours", "ack_for": "ack_for: 10m",
    "business_hours": 'office: {days: [Mon-Fri], from: "09:00", to: "17:00", zone: Europe/Berlin}',
    "max": "a number above 0, at most 1000000000000",
    "limits": "a list of limits: [{name: daily, action_type: transfer, per: 1d, count: 20}]",
    "weights": "weights: {file_deletion: 40}", "money": "money: {base: USD, rates: {EUR: 1.1}}",
    "rates": "what one unit is worth in the base, for example EUR: 1.1",
    "tiers": "pairs of least amount and points: [[1000, 20], [10000, 40]]",
}  # fmt: skip

_ITEMS = {
    "groups": "the name of a group",
    "users": "a Slack id (U…) or an e-mail address",
    "agent_may_escalate_to": "the name of a group",
    "block": "a rule: {name: system, path_pattern: /etc/**}",
    "require": "a rule: {name: deployments, action_type: deployment}",
    "allow": "a rule: {name: cache, path_pattern: /srv/cache/**}",
    "limits": "a limit: {name: daily, action_type: transfer, per: 1d, count: 20}",
    "escalation_rules": "a rule: {name: stale, trigger: {after: 5m}, escalate_to: manager}",
    "tiers": "a pair of least amount and points: [1000, 20]",
    "notify": "a target: {slack_dm: manager}",
    "tests": "a test: {name: …, given: {type: deployment}, expect: {effect: review}}",
}
"""How one item of a list is written."""

_VALUES = {
    "groups": "people: {users: [U0123456]}",
    "schedules": 'a schedule: {layers: [{rotation: weekly, handover: "Mon 09:00", …}]}',
}
"""How one value of a mapping whose keys people name is written."""

_FORMS = {
    "model_type": "is not a mapping of keys", "dict_type": "is not a mapping of keys",
    "tuple_type": "is not a list", "list_type": "is not a list",
    "string_type": "is not text", "bool_type": "is not true or false", "bool_parsing": "is not true or false",
    "int_type": "is not a whole number", "int_parsing": "is not a whole number",
    "int_from_float": "is not a whole number", "too_short": "has too few items", "too_long": "has too many",
    "decimal_parsing": "is not a number", "decimal_type": "is not a number",
    "frozen_set_type": "is not a list",
}  # fmt: skip


def example(location: Location) -> str:
    """How the value at a location is written."""
    *before, last = location or ("",)
    if last in _EXAMPLES:
        return _EXAMPLES[str(last)]
    parent = next((str(step) for step in reversed(before) if isinstance(step, str)), "")
    forms = _ITEMS if isinstance(last, int) else _VALUES
    return forms.get(parent) or _EXAMPLES.get(parent) or "a value as the documentation of this key shows it"


def suggestion(key: str, known: Sequence[str]) -> str:
    """What an unknown key may have been meant to be."""
    snake = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", key).lower()
    close = difflib.get_close_matches(snake, known, n=1) or [
        k for k in known if k.startswith(f"{snake}_") or k.endswith(f"_{snake}") or snake.startswith(f"{k}_")
    ]
    if close:
        return f"did you mean {close[0]}?"
    if key.isdecimal():
        return "numbers have no commas between their digits; write 10000"
    return f"remove it; known keys are {', '.join(known)}" if known else "remove it"


def keys_at(model: type[BaseModel], location: Location) -> list[str]:
    """The keys a model takes at a location."""
    here: type[BaseModel] | None = model
    for step in location:
        if here is None or isinstance(step, int):
            continue
        info = here.model_fields.get(str(step))
        here = _model_in(info.annotation) if info is not None else here
    return [info.alias or name for name, info in here.model_fields.items()] if here is not None else []


def _model_in(annotation: object) -> type[BaseModel] | None:
    if inspect.isclass(annotation) and issubclass(annotation, BaseModel):
        return annotation
    return next((m for part in typing.get_args(annotation) if (m := _model_in(part)) is not None), None)


def telling(details: Sequence[ErrorDetails]) -> Iterator[ErrorDetails]:
    """Without the complaint that a list is too short once its faulty items are left out."""
    for detail in details:
        where = detail["loc"]
        inside = (other["loc"] for other in details if len(other["loc"]) > len(where))
        if detail["type"] != "too_short" or all(loc[: len(where)] != where for loc in inside):
            yield detail


def fault(detail: ErrorDetails, model: type[BaseModel]) -> tuple[Location, str, str]:
    """Where a value is wrong, how, and what to write instead."""
    location = tuple(step for step in detail["loc"] if step != "[key]")
    key = str(location[-1]) if location else ""
    given = detail["input"]
    match detail["type"]:
        case "extra_forbidden":
            known = keys_at(model, location[:-1])
            return location, f"{key!r} is not a key that belongs here", suggestion(key, known)
        case "missing":
            return location, f"{key} is missing", f"add it: {example(location)}"
        case "value_error":
            wrong, _, instead = detail["msg"].removeprefix("Value error, ").rpartition("; ")
            return location, wrong or instead, instead if wrong else "correct it"
        case "string_pattern_mismatch":
            return location, f"{given!r} does not look right", f"write {_matching(location, str(given))}"
        case "literal_error" | "enum":
            choices = re.sub(r"<\w+\.\w+: ('\w+')>", r"\1", str(detail["ctx"]["expected"]))
            return location, f"{given!r} is not known", f"write one of {choices}"
    if given is None:
        return location, "has no value", f"remove the key, or write {example(location)}"
    message = detail["msg"].replace("Input should be", "is not")
    return location, _FORMS.get(detail["type"], message), f"write {example(location)}"


def _matching(location: Location, given: str) -> str:
    slug = re.sub(r"[^a-z0-9_.-]+", "-", given.lower()).strip("-._")[:64]
    if location[-1] == "name" and slug:
        return f"small letters, digits and hyphens: {slug}"
    return example(location)
