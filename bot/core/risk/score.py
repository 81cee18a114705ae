"""Facts to factors, factors to a score, a score to a level."""

from collections.abc import Iterator
from decimal import Decimal

from bot.core.models import MONEY_TYPES, RiskAssessment, RiskFactor, RiskLevel
from bot.core.risk import money, paths
from bot.core.risk.actions import KNOWN_TYPES
from bot.core.risk.facts import Access, Facts, Signal, SqlWorst, Touched
from bot.core.risk.names import is_production, is_sensitive, texts_in
from bot.core.risk.weights import Weights

_BANDS = ((10, RiskLevel.NONE), (30, RiskLevel.LOW), (50, RiskLevel.MEDIUM), (80, RiskLevel.HIGH))
_RECOMMENDATIONS = {
    RiskLevel.NONE: "auto_approve",
    RiskLevel.LOW: "auto_approve",
    RiskLevel.MEDIUM: "require_approval",
    RiskLevel.HIGH: "require_approval",
    RiskLevel.CRITICAL: "block",
}
_LEAST, _MOST = Decimal(0), Decimal(100)
_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})

Part = tuple[str, Decimal, str]


def score(facts: Facts, weights: Weights) -> RiskAssessment:
    """Weigh the facts of an action."""
    factors = tuple([RiskFactor(*part) for part in _parts(facts, weights) if part[1]])
    total = sum([factor.points for factor in factors], _LEAST)
    clamped = min(max(total, _LEAST), _MOST)
    level = level_of(clamped)
    return RiskAssessment(level, clamped, factors, _RECOMMENDATIONS[level])


def level_of(points: Decimal) -> RiskLevel:
    """The band a score lies in."""
    return next((level for limit, level in _BANDS if points < limit), RiskLevel.CRITICAL)


def _parts(facts: Facts, weights: Weights) -> Iterator[Part]:
    match facts.type:
        case "file_delete":
            yield _file_deletion(facts, weights)
        case "file_write":
            yield _file_write(facts, weights)
        case "command_execute":
            yield from _command(facts, weights)
        case "network_request":
            yield from _network(facts, weights)
        case "deployment":
            yield _deployment(facts, weights)
        case "user_data_access":
            yield _user_data(facts, weights)
        case "config_change" | "system_modification" | "external_api_call":
            yield (
                facts.type,
                weights.points[facts.type],
                f"actions of the type {facts.type} change other systems",
            )
        case _ if facts.type in MONEY_TYPES:
            yield _money(facts, weights)
        case _ if facts.type not in KNOWN_TYPES:
            yield "unknown_type", weights.points["unknown_type"], f"nothing is known of the type {facts.type}"
    if facts.sql is not None:
        yield from _sql(facts, weights)
    yield from _signals(facts, weights)
    yield from _paths(facts, weights)
    yield from _production(facts, weights)


def _file_deletion(facts: Facts, weights: Weights) -> Part:
    if facts.params.get("recursive") not in (None, False):
        return "file_deletion", weights.points["file_deletion"], "deletes a directory with all below it"
    return "file_deletion", weights.share("file_deletion", 1, 2), "deletes a file"


def _file_write(facts: Facts, weights: Weights) -> Part:
    if (
        facts.params.get("overwrite") is False
        and facts.paths
        and all(paths.is_temporary(p.path) for p in facts.paths)
    ):
        return "file_write", Decimal(0), ""
    return "file_write", weights.points["file_write"], "writes a file"


_DANGERS = (Signal.DANGEROUS, Signal.PRIVILEGE, Signal.DESTRUCTIVE, Signal.OPAQUE)


def _command(facts: Facts, weights: Weights) -> Iterator[Part]:
    reasons = [facts.signals[signal] for signal in _DANGERS if signal in facts.signals]
    if facts.sql is SqlWorst.DESTRUCTIVE:
        reasons.append(f"its SQL is destructive: {facts.sql_detail}")
    if reasons:
        yield "system_command", weights.points["system_command"], reasons[0]
    else:
        yield "system_command", weights.share("system_command", 3, 10), "runs a command"
    if detail := facts.signals.get(Signal.DESTRUCTIVE):
        yield "destructive_command", weights.points["destructive_command"], detail
        return
    if detail := facts.signals.get(Signal.OPAQUE):
        yield "opaque_command", weights.points["opaque_command"], detail
    if detail := facts.signals.get(Signal.REMOTE):
        yield "remote_change", weights.points["remote_change"], detail


def _network(facts: Facts, weights: Weights) -> Iterator[Part]:
    method = facts.params.get("method", "GET")
    if not isinstance(method, str) or method.strip().upper() not in _SAFE_METHODS:
        yield "network_request", weights.points["network_request"], f"sends something by {str(method)[:20]}"


def _deployment(facts: Facts, weights: Weights) -> Part:
    name = _environment(facts)
    if name is None:
        return "deployment", weights.points["deployment"], "deploys, and does not say where"
    if is_production(name):
        return "deployment", weights.points["deployment"], f"deploys to {name[:60]}"
    return "deployment", weights.share("deployment", 3, 10), f"deploys to {name[:60]}"


def _environment(facts: Facts) -> str | None:
    name = facts.params.get("environment")
    return name if isinstance(name, str) and name.strip() else None


def _user_data(facts: Facts, weights: Weights) -> Part:
    kind = facts.params.get("data_type")
    if (sensitive := next(filter(is_sensitive, texts_in(kind)), None)) is not None:
        return "user_data", weights.points["user_data"], f"reads sensitive data of a user: {sensitive[:60]}"
    return "user_data", weights.share("user_data", 9, 35), "reads data of a user"


def _money(facts: Facts, weights: Weights) -> Part:
    amount = money.in_base(facts.params, weights.money)
    extra, least = money.tier(amount, weights.money)
    points = weights.points["money_movement"] + extra
    if amount is None:
        return "money_movement", points, f"moves money: {money.why_unknown(facts.params, weights.money)}"
    reach = f", at least {least} {weights.money.base}" if least is not None else ""
    return "money_movement", points, f"moves money{reach}"


def _sql(facts: Facts, weights: Weights) -> Iterator[Part]:
    if facts.sql is SqlWorst.DESTRUCTIVE:
        yield (
            "database_modification",
            weights.points["database_modification"],
            f"destructive SQL: {facts.sql_detail}",
        )
    elif facts.sql is SqlWorst.WRITE:
        yield (
            "database_modification",
            weights.share("database_modification", 2, 5),
            f"SQL that writes: {facts.sql_detail}",
        )
    if facts.unbounded:
        yield "unbounded_statement", weights.points["unbounded_statement"], facts.unbounded


def _signals(facts: Facts, weights: Weights) -> Iterator[Part]:
    if detail := facts.signals.get(Signal.PRIVILEGE):
        yield "privilege", weights.points["privilege"], detail
    if detail := facts.signals.get(Signal.INTERNAL):
        yield "internal_address", weights.points["internal_address"], detail


def _paths(facts: Facts, weights: Weights) -> Iterator[Part]:
    if not facts.paths:
        return
    system = next((p for p in facts.paths if p.access is not Access.READ and paths.is_system(p.path)), None)
    if system is not None:
        yield (
            "system_path",
            weights.points["system_path"],
            f"{_done(system)} {system.path[:80]}, a system place",
        )
        return
    secret = next((p for p in facts.paths if _is_secret(p)), None)
    if secret is not None:
        yield (
            "secret_path",
            weights.points["secret_path"],
            f"{_done(secret)} {secret.path[:80]}, which holds secrets or runs later",
        )
        return
    if _temporary(facts):
        yield "temporary_path", weights.points["temporary_path"], "every path is below a temporary directory"


def _is_secret(touched: Touched) -> bool:
    if paths.is_secret(touched.path):
        return True
    return touched.access in (Access.WRITE, Access.UNKNOWN) and paths.runs_later(touched.path)


def _temporary(facts: Facts) -> bool:
    if not facts.paths or facts.unreadable_paths or facts.signals.keys() & {Signal.OPAQUE, Signal.PRIVILEGE}:
        return False
    if facts.type == "command_execute" and not facts.file_tools_only:
        return False
    if facts.type not in ("file_write", "file_delete", "command_execute") and not facts.type.startswith(
        "file_"
    ):
        return False
    return all(touched.readable and paths.is_temporary(touched.path) for touched in facts.paths)


def _done(touched: Touched) -> str:
    return {"read": "reads", "write": "writes", "delete": "deletes"}.get(touched.access.value, "uses")


def _production(facts: Facts, weights: Weights) -> Iterator[Part]:
    if facts.type == "deployment" and _environment(facts) is None:
        yield (
            "production",
            weights.points["production"],
            "a deployment without an environment counts as production",
        )
        return
    name = next((name for name in facts.environments if is_production(name)), None)
    if name is not None:
        meant = "" if name.lower() == "production" else ", which counts as production"
        detail = f"it works in {name[:60]}{meant}"
        yield "production", weights.points["production"], detail
