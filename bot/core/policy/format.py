"""The format of the files under `policies/`, as pydantic models.

Everything is strict: unknown keys, wrong types and empty lists are refused. Messages say what
to write instead; the loader adds file, line and key. `json_schema` is what editors check with.
"""

import re
from collections.abc import Mapping
from datetime import timedelta
from decimal import Decimal
from typing import Annotated, Any, Literal

import re2
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema, field_validator
from pydantic_core import PydanticCustomError

from bot.core.models import RiskLevel
from bot.core.policy.globs import BadPattern, compile_path
from bot.core.policy.patterns import command_regex
from bot.core.policy.targets import EMAIL, SLACK_CHANNEL, SLACK_USER, notify_target
from bot.core.policy.where import OPERATORS, contradict
from bot.core.risk.facts import Access
from bot.core.risk.money import amount_of
from bot.core.risk.weights import POINTS

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def _duration(value: object) -> timedelta:
    found = re.fullmatch(r"([1-9][0-9]{0,6})(s|m|h|d)", value) if isinstance(value, str) else None
    if found is None:
        raise ValueError("is not a duration; write a whole number with its unit: 90s, 5m, 2h or 1d")
    return timedelta(**{_UNITS[found[2]]: int(found[1])})


def _texts(value: object) -> tuple[str, ...]:
    items = value if isinstance(value, list) else [value]
    if not items:
        raise ValueError("is an empty list and would match nothing; remove the key or name something")
    for item in items:
        if not isinstance(item, str):
            raise ValueError(f"takes text or a list of texts, not {_kind(item)}; put it in quotes")
        if not item.strip():
            raise ValueError("is an empty pattern and would match nothing; remove it or write one")
    return tuple(items)


def _types(value: object) -> tuple[str, ...]:
    globs = _texts(value)
    for glob in globs:
        if not re.fullmatch(r"[a-z0-9_.:\-*?\[\]!^]+", glob):
            snake = re.sub(r"(?<=[a-z])(?=[A-Z])|\s+", "_", glob).lower()
            plain = re.sub(r"[^a-z0-9_.:*?-]", "_", snake)
            raise ValueError(
                f"{glob!r} is no action's type, which has small letters, digits and _ . : -; write {plain}"
            )
    return globs


def _agents(value: object) -> tuple[str, ...]:
    globs = _texts(value)
    for glob in globs:
        if not re.fullmatch(r"!?[a-z0-9_.\-*?\[][a-z0-9_.\-*?\[\]!^]*", glob):
            plain = re.sub(r"[^a-z0-9_.*?-]", "-", glob.lower().removeprefix("!")) or "!ci-*"
            raise ValueError(
                f"{glob!r} is no agent's name, which has small letters, digits and _ . -; write {plain}"
            )
    return globs


def _paths(value: object) -> tuple[str, ...]:
    patterns = _texts(value)
    for pattern in patterns:
        try:
            compile_path(pattern)
        except BadPattern as error:
            raise ValueError(f"{pattern!r}: {error}") from None
    return patterns


def _command(value: object) -> str:
    if not isinstance(value, str) or not value.strip():
        raise ValueError("takes a regular expression as text; write for example '^git (status|log)'")
    try:
        command_regex(value, lines=True)
    except re2.error as error:
        reason = error.args[0].decode() if error.args and isinstance(error.args[0], bytes) else str(error)
        if re.search(r"perl operator|escape sequence", reason):
            raise ValueError(
                f"is not a regular expression that runs in linear time ({reason}); "
                "look-around and back-references are not available, write it without them"
            ) from None
        raise ValueError(
            f"is not a regular expression ({reason}); "
            "escape what should mean itself, and write .* for any text: '^rm .*'"
        ) from None
    return value


def _accesses(value: object) -> tuple[Access, ...]:
    texts = _texts(value)
    allowed = ("read", "write", "delete")
    for text in texts:
        if text not in allowed:
            raise ValueError(f"{text!r} is not a kind of access; write read, write or delete")
    return tuple(Access(text) for text in texts)


_NO_COMMAS = "numbers have no commas between their digits, write 10000 or 1.1"


def _number(value: object) -> Decimal:
    number = amount_of(value)
    if isinstance(value, str) and number is not None:
        raise ValueError(f"takes a number, not text; write {value} without quotes")
    if isinstance(value, str) and re.search(r"[0-9],[0-9]", value):
        raise ValueError(f"takes a number, not {value!r}; {_NO_COMMAS}")
    if number is None:
        raise ValueError(f"takes a number, not {_kind(value)}; write digits, as in 1000 or 0.5")
    return number


def _where(value: object) -> dict[str, dict[str, Any]]:
    if not isinstance(value, Mapping) or not value:
        raise ValueError("takes params with comparisons; write {amount: {gt: 1000}}")
    for key, comparisons in value.items():
        _comparisons(key, comparisons)
    return {key: dict(comparisons) for key, comparisons in value.items()}


def _comparisons(key: object, comparisons: object) -> None:
    if not isinstance(key, str) or not key:
        raise ValueError(f"{key!r} is not the name of a param; write it as text")
    if not isinstance(comparisons, Mapping) or not comparisons:
        raise ValueError(f"{key} takes comparisons; write {{eq: …}} or {{gt: …}}")
    for operator, operand in comparisons.items():
        _comparison(key, operator, operand)
    if comparisons.get("exists") is False and len(comparisons) > 1:
        raise ValueError(
            f"{key}: a param that does not exist cannot be compared; remove the other comparisons"
        )
    if contradict(comparisons):
        raise ValueError(f"{key}: no value meets all of these, so it matches nothing; correct one of them")


def _comparison(key: str, operator: object, operand: object) -> None:
    if str(operator).isdecimal():
        raise ValueError(f"{key}: {operator!r} is not a comparison; {_NO_COMMAS}")
    if operator not in OPERATORS:
        raise ValueError(f"{key}: {operator!r} is not a comparison; write one of {', '.join(OPERATORS)}")
    if operator in ("gt", "gte", "lt", "lte") and amount_of(operand) is None:
        raise ValueError(f"{key}: {operator} compares with a number; write for example {{{operator}: 1000}}")
    if operator == "in" and (not isinstance(operand, list) or not operand):
        raise ValueError(f"{key}: in takes a list that is not empty; write {{in: [a, b]}}")
    if operator == "glob" and (not isinstance(operand, str) or not operand):
        raise ValueError(f"{key}: glob takes a pattern as text; write for example {{glob: '*.example.com'}}")
    if operator == "exists" and not isinstance(operand, bool):
        raise ValueError(f"{key}: exists is true or false; write {{exists: true}} or {{exists: false}}")
    if operator in ("eq", "ne") and operand is None:
        raise ValueError(f"{key}: {operator} has no value; write one, or {{exists: false}} for no such param")
    if operator in ("eq", "ne") and isinstance(operand, list | Mapping):
        raise ValueError(f"{key}: {operator} compares with a single value; use in for several")


def _kind(value: object) -> str:
    if isinstance(value, bool):
        return "true or false"
    if value is None:
        return "nothing"
    return {str: "text", int: "a number", Decimal: "a number", list: "a list", dict: "a mapping"}.get(
        type(value), type(value).__name__
    )


Duration = Annotated[
    timedelta,
    BeforeValidator(_duration),
    WithJsonSchema(
        {"type": "string", "pattern": "^[1-9][0-9]{0,6}(s|m|h|d)$", "examples": ["90s", "5m", "2h", "1d"]}
    ),
]
_LIST_SCHEMA = WithJsonSchema(
    {
        "anyOf": [
            {"type": "string", "minLength": 1},
            {"type": "array", "items": {"type": "string"}, "minItems": 1},
        ]
    }
)
Texts = Annotated[tuple[str, ...], BeforeValidator(_texts), _LIST_SCHEMA]
TypeGlobs = Annotated[tuple[str, ...], BeforeValidator(_types), _LIST_SCHEMA]
AgentGlobs = Annotated[tuple[str, ...], BeforeValidator(_agents), _LIST_SCHEMA]
Paths = Annotated[tuple[str, ...], BeforeValidator(_paths), _LIST_SCHEMA]
Accesses = Annotated[
    tuple[Access, ...],
    BeforeValidator(_accesses),
    WithJsonSchema({"anyOf": [{"enum": ["read", "write", "delete"]}, {"type": "array", "minItems": 1,
                   "items": {"enum": ["read", "write", "delete"]}}]}),
]  # fmt: skip
Regex = Annotated[str, BeforeValidator(_command), WithJsonSchema({"type": "string", "minLength": 1})]
Number = Annotated[Decimal, BeforeValidator(_number), WithJsonSchema({"type": "number"})]
Where = Annotated[
    dict[str, dict[str, Any]],
    BeforeValidator(_where),
    WithJsonSchema({"type": "object", "additionalProperties": {"type": "object", "minProperties": 1,
                    "propertyNames": {"enum": list(OPERATORS)}}}),
]  # fmt: skip
Notify = Annotated[
    dict[str, str],
    BeforeValidator(notify_target),
    WithJsonSchema({"type": "object", "minProperties": 1, "maxProperties": 1,
                    "additionalProperties": {"type": "string"}}),
]  # fmt: skip
Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_.-]{0,63}$")]
Person = Annotated[str, Field(pattern=rf"^(?:{SLACK_USER}|{EMAIL})$")]
Channel = Annotated[str, Field(pattern=rf"^(?:{SLACK_CHANNEL}|#[a-z0-9_-]+)$")]
Level = Literal[RiskLevel.NONE, RiskLevel.LOW, RiskLevel.MEDIUM, RiskLevel.HIGH, RiskLevel.CRITICAL]


class Strict(BaseModel):
    """What all parts of the files have in common: unknown keys and keys without a value are refused."""

    model_config = ConfigDict(extra="forbid", strict=False, frozen=True)

    @field_validator("*", mode="before")
    @classmethod
    def _told(cls, value: object) -> object:
        """Refuse a key without a value: read as no condition, it would let a rule match more than it says."""
        if value is None:
            raise PydanticCustomError("no_value", "has no value")
        return value


class Approvers(Strict):
    """Who may approve, and how many must."""

    quorum: Annotated[int, Field(ge=1, le=50)] = 1
    groups: Annotated[tuple[Name, ...], Field(min_length=1)] | None = None
    users: Annotated[tuple[Person, ...], Field(min_length=1)] | None = None
    one_from_each: bool = False


class Rule(Strict):
    """What all rules have: a name and conditions, all of which must hold."""

    name: Name
    action_type: TypeGlobs | None = None
    path_pattern: Paths | None = None
    access: Accesses | None = None
    command_pattern: Regex | None = None
    environment: Texts | None = None
    agent: AgentGlobs | None = None
    min_risk: Level | None = None
    max_risk: Level | None = None
    where: Where | None = None


class RequireRule(Rule):
    """A rule that asks people, perhaps others than the policy's."""

    approvers: Approvers | None = None


class LimitRule(Rule):
    """How much of what the conditions match may be approved without a person, in a rolling window."""

    per: Duration
    count: Annotated[int, Field(ge=1, le=1_000_000_000)] | None = None
    sum_of: Annotated[str, Field(min_length=1, max_length=200)] | None = None
    max: Annotated[Number, Field(gt=0, le=1_000_000_000_000)] | None = None
    across: Literal["agents"] | None = None
    approvers: Approvers | None = None


class RepeatedRejections(Strict):
    """So many rejections by people, of the agent's requests or of this very action, within a time."""

    count: Annotated[int, Field(ge=1, le=1000)]
    within: Duration


class Trigger(Strict):
    """When an escalation rule acts: some time after the request, or without `after` at once; and only
    if the rest holds."""

    after: Duration | None = None
    risk_at_least: Level | None = None
    action_types: TypeGlobs | None = None
    where: Where | None = None
    repeated_rejections: RepeatedRejections | None = None


class RemindFile(Strict):
    """How often people are reminded while a level waits."""

    every: Duration
    times: Annotated[int, Field(ge=1, le=100)]


class EscalationRule(Strict):
    """A further level: when it opens, whom it asks, how long it lasts; or more people for the first."""

    name: Name
    trigger: Trigger
    escalate_to: Name
    priority: Annotated[int, Field(ge=0, le=1_000_000)] = 50
    wait: Duration | None = None
    may_approve: bool = True
    notify: tuple[Notify, ...] = ()
    remind: RemindFile | None = None
    during: Name | None = None
    outside: Literal["skip", "hold"] | None = None


class AppliesTo(Strict):
    """Which agents and action types a policy is for; both must match."""

    agents: AgentGlobs | None = None
    action_types: TypeGlobs | None = None


class MoneyFile(Strict):
    """The base currency, what others are worth in it, and where amounts become large."""

    base: Annotated[str, Field(pattern=r"^[A-Z]{3,10}$")] = "USD"
    rates: dict[Annotated[str, Field(pattern=r"^[A-Z]{3,10}$")], Annotated[Number, Field(gt=0)]] = Field(
        default_factory=dict
    )
    tiers: Annotated[tuple[tuple[Number, Number], ...], Field(min_length=1)] | None = None


class PolicyFile(Strict):
    """One policy."""

    name: Name | None = None
    applies_to: AppliesTo | None = None
    auto_approve_threshold: Literal["never", "none", "low", "medium", "high"] = "low"
    auto_reject_threshold: Literal["low", "medium", "high", "critical", "never"] = "critical"
    default_timeout: Duration = timedelta(minutes=5)
    approval_valid_for: Duration = timedelta(minutes=15)
    rollback_until: Duration = timedelta(hours=24)
    remind: RemindFile | None = None
    ack_for: Duration = timedelta(minutes=10)
    channel: Channel | None = None
    approvers: Approvers
    grant_max_risk: Level | None = None
    agent_may_escalate_to: tuple[Name, ...] = ()
    block: tuple[Rule, ...] = ()
    require: tuple[RequireRule, ...] = ()
    allow: tuple[Rule, ...] = ()
    limits: tuple[LimitRule, ...] = ()
    escalation_rules: tuple[EscalationRule, ...] = ()
    weights: dict[Literal[tuple(POINTS)], Number] = Field(default_factory=dict)  # type: ignore[valid-type]  # the names are data
    money: MoneyFile = Field(default_factory=MoneyFile)


def json_schema(model: type[BaseModel] = PolicyFile) -> dict[str, Any]:
    """JSON Schema 2020-12 of a policy file, or of `WorkspaceFile`."""
    return editor_schema(model.model_json_schema())


def editor_schema(schema: dict[str, Any]) -> dict[str, Any]:
    """A schema as editors take it, of files in which a key has a value or is left out."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **_without_null(schema)}


def _without_null(part: Any) -> Any:
    if isinstance(part, list):
        return [_without_null(item) for item in part]
    if not isinstance(part, dict):
        return part
    kept = {key: _without_null(value) for key, value in part.items() if (key, value) != ("default", None)}
    if "anyOf" in kept:
        options = [option for option in kept.pop("anyOf") if option != {"type": "null"}]
        return {**options[0], **kept} if len(options) == 1 else {"anyOf": options, **kept}
    return kept
