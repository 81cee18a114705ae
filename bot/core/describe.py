"""An action in words for people: one line, its target, and how much care an approval takes.

Pure functions of the action. What the agent chose stands inside “…”, made visible and cut, so no
value can end its quotes, start a new line, reorder the text or hide in it. Nothing else that the
agent says (description, reason, preview) has any influence here.
"""

import re
import shlex
from collections.abc import Callable, Iterator
from decimal import Decimal
from enum import StrEnum
from typing import Any
from urllib.parse import urlsplit

from bot.core import jsontext, redaction
from bot.core.models import Action, JsonObject, RiskLevel
from bot.core.visible import fitting, visible

TARGET_LENGTH = 40
"""A target is typed by hand, on a phone too."""

LONGEST_VALUE = 160
"""Characters of one value in an action line unless the caller allows more."""

_LISTED = 4


class Ceremony(StrEnum):
    """What a person must do to approve."""

    ONE_TAP = "one_tap"
    CONFIRM = "confirm"
    """A confirmation that names action and target."""
    TYPED = "typed"
    """A form with a reason and the target typed."""


def ceremony(level: RiskLevel) -> Ceremony:
    """One tap up to medium, a confirmation at high, a typed form at critical."""
    if level is RiskLevel.CRITICAL:
        return Ceremony.TYPED
    return Ceremony.CONFIRM if level is RiskLevel.HIGH else Ceremony.ONE_TAP


def action_line(action: Action, *, longest: int = LONGEST_VALUE) -> str:
    """What would happen, in one line built by us, such as `Delete “/var/data” and everything below it`.

    Args:
        longest: Characters shown of each value; what is left out is counted beside it.
    """
    say = Quoted(longest)
    params: JsonObject = redaction.own().value(action.params)
    sentence = _SENTENCES.get(action.type)
    known = "" if sentence is None else sentence(params, say)
    return known or f"{action.type}{_any_params(params, say)}"


def target(action: Action) -> str:
    """What a critical approval makes the reviewer type; at most 40 characters, never empty.

    The last path segment, environment, database, host or program; the action's type when it names
    none, or one that cannot be typed as it is shown.
    """
    for candidate in _candidates(action):
        typed = candidate.strip()[:TARGET_LENGTH].strip()
        if typed and visible(typed) == typed and not set(typed) & set('"“”'):
            return typed
    return action.type[:TARGET_LENGTH]


def json_text(value: Any) -> str:
    """JSON on one line, numbers exactly as they came; not made visible yet."""
    return jsontext.dumps(value).decode()


class Quoted:
    """Puts values in quotes that they cannot close."""

    def __init__(self, longest: int) -> None:
        self._longest = longest

    def __call__(self, value: Any) -> str:
        text = redaction.own().text(value if isinstance(value, str) else json_text(value))
        # Cut first: what is not shown need not be made visible.
        size = fitting(text, self._longest)
        shown = visible(text[:size]).replace("“", r"\u201c").replace("”", r"\u201d")
        left_out = len(text) - size
        if not left_out:
            return f"“{shown}”"
        return f"“{shown}…” (and {left_out:,} more character{_plural(left_out)})"


_Sentence = Callable[[JsonObject, Quoted], str]


def _file_write(params: JsonObject, say: Quoted) -> str:
    if "path" not in params:
        return ""
    verb = "Create file" if params.get("overwrite") is False else "Write file"
    content = params.get("content")
    size = f" ({len(content):,} character{_plural(len(content))})" if isinstance(content, str) else ""
    return f"{verb} {say(params['path'])}{size}"


def _file_delete(params: JsonObject, say: Quoted) -> str:
    if "path" not in params:
        return ""
    below = " and everything below it" if params.get("recursive") is True else ""
    return f"Delete {say(params['path'])}{below}"


def _command(params: JsonObject, say: Quoted) -> str:
    if not isinstance(params.get("command"), str):
        return ""
    line, arguments = params["command"], params.get("args")
    if isinstance(arguments, list) and arguments:
        line = shlex.join([line, *(a if isinstance(a, str) else json_text(a) for a in arguments)])
    where = f" in {say(params['cwd'])}" if params.get("cwd") else ""
    return f"Run {say(line)}{where}"


def _network(params: JsonObject, say: Quoted) -> str:
    if "url" not in params:
        return ""
    method = params.get("method", "GET")
    plain = isinstance(method, str) and re.fullmatch(r"[A-Za-z]{1,10}", method)
    return f"Send {method.upper() if plain else say(method)} to {say(params['url'])}"


def _database(params: JsonObject, say: Quoted) -> str:
    if "query" not in params:
        return ""
    values = params.get("params")
    count = len(values) if isinstance(values, list) else 0
    given = f" with {count} parameter{_plural(count)}" if count else ""
    where = f" on database {say(params['database'])}" if params.get("database") else ""
    return f"Run SQL {say(params['query'])}{given}{where}"


def _config(params: JsonObject, say: Quoted) -> str:
    if "key" not in params:
        return ""
    old = f" from {say(params['old_value'])}" if "old_value" in params else ""
    new = f" to {say(params['new_value'])}" if "new_value" in params else ""
    return f"Change setting {say(params['key'])}{old}{new}"


def _deployment(params: JsonObject, say: Quoted) -> str:
    services = params.get("services")
    what = f" {_several(services, say)}" if isinstance(services, list) and services else ""
    version = f" version {say(params['version'])}" if params.get("version") else ""
    named = params.get("environment")
    return f"Deploy{what}{version} to {say(named) if named else 'an environment that is not named'}"


def _user_data(params: JsonObject, say: Quoted) -> str:
    what = say(params["data_type"]) if params.get("data_type") else "data"
    whose = f" of user {say(params['user_id'])}" if params.get("user_id") else ""
    purpose = f" for {say(params['purpose'])}" if params.get("purpose") else ""
    return f"Access {what}{whose}{purpose}"


def _external_call(params: JsonObject, say: Quoted) -> str:
    if "service" not in params and "endpoint" not in params:
        return ""
    endpoint = f" {say(params['endpoint'])}" if params.get("endpoint") else ""
    service = f" of {say(params['service'])}" if params.get("service") else ""
    return f"Call{endpoint}{service}"


def _system(params: JsonObject, say: Quoted) -> str:
    if "target" not in params and "operation" not in params:
        return ""
    operation = say(params["operation"]) if params.get("operation") else "Change"
    where = f" on {say(params['target'])}" if params.get("target") else ""
    return f"System: {operation}{where}"


def _money(verb: str) -> _Sentence:
    def sentence(params: JsonObject, say: Quoted) -> str:
        amount = _amount(params, say)
        to = next((params[key] for key in _RECIPIENTS if params.get(key)), None)
        return f"{verb} {amount}" + (f" to {say(to)}" if to is not None else "")

    return sentence


_RECIPIENTS = ("to", "recipient", "destination", "beneficiary", "payee", "account")


def _amount(params: JsonObject, say: Quoted) -> str:
    if "amount" not in params:
        return "an amount that is not given"
    amount, currency = params["amount"], params.get("currency")
    exact = isinstance(amount, int | Decimal) and not isinstance(amount, bool)
    plain = isinstance(amount, str) and re.fullmatch(r"-?\d{1,40}(\.\d{1,20})?", amount, re.ASCII)
    figure = str(amount) if (exact or plain) and len(str(amount)) <= 60 else say(amount)
    if currency is None:
        return figure
    known = isinstance(currency, str) and re.fullmatch(r"[A-Z]{3}", currency)
    return f"{figure} {currency if known else say(currency)}"


def _any_params(params: JsonObject, say: Quoted) -> str:
    """The first few params, for an action without a sentence of its own."""
    if not params:
        return " without parameters"
    shown = [f"{say(key)} = {say(params[key])}" for key in list(params)[:_LISTED]]
    return f" with {', '.join(shown)}{_rest(len(params))}"


def _plural(count: int) -> str:
    return "" if count == 1 else "s"


def _several(values: list[Any], say: Quoted) -> str:
    return ", ".join(say(value) for value in values[:_LISTED]) + _rest(len(values))


def _rest(count: int) -> str:
    return f" and {count - _LISTED} more" if count > _LISTED else ""


_SENTENCES: dict[str, _Sentence] = {
    "file_write": _file_write,
    "file_delete": _file_delete,
    "command_execute": _command,
    "network_request": _network,
    "database_modify": _database,
    "config_change": _config,
    "deployment": _deployment,
    "user_data_access": _user_data,
    "external_api_call": _external_call,
    "system_modification": _system,
    "transaction": _money("Make a transaction of"),
    "transfer": _money("Transfer"),
    "payment": _money("Pay"),
    "refund": _money("Refund"),
    "withdrawal": _money("Withdraw"),
    "payout": _money("Pay out"),
}


def _candidates(action: Action) -> Iterator[str]:
    """Texts that could serve as the target, best first."""
    params = action.params
    for key, read in _TARGET_KEYS.items():
        # Neither the secret nor its mask: who approves must be able to type what the form quotes.
        if isinstance(value := params.get(key), str) and not redaction.hidden(found := read(value)):
            yield found


def _last_segment(path: str) -> str:
    return re.split(r"[/\\]", path.rstrip("/\\"))[-1] or path.strip()[:1]


def _host(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""


def _program(command: str) -> str:
    words = command.split()
    return _last_segment(words[0]) if words else ""


_TARGET_KEYS: dict[str, Callable[[str], str]] = {
    "path": _last_segment,
    "environment": str,
    "database": str,
    "host": str,
    "url": _host,
    "command": _program,
    "key": str,
    "target": str,
    "service": str,
    "user_id": str,
}
