"""How many points each factor is worth, and what counts as much money."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from functools import lru_cache
from types import MappingProxyType

POINTS: Mapping[str, Decimal] = MappingProxyType(
    {
        name: Decimal(points)
        for name, points in {
            "file_deletion": "30",
            "file_write": "10",
            "system_path": "50",
            "secret_path": "50",
            "temporary_path": "-15",
            "system_command": "25",
            "privilege": "15",
            "destructive_command": "35",
            "opaque_command": "25",
            "remote_change": "25",
            "database_modification": "20",
            "unbounded_statement": "30",
            "deployment": "25",
            "production": "20",
            "user_data": "35",
            "money_movement": "15",
            "internal_address": "40",
            "config_change": "15",
            "system_modification": "30",
            "external_api_call": "10",
            "network_request": "10",
            "unknown_type": "30",
        }.items()
    }
)
"""Full points of every factor. A milder case of a factor gets its share of them."""

TIERS = ((Decimal(1_000), Decimal(20)), (Decimal(10_000), Decimal(40)), (Decimal(100_000), Decimal(65)))


@dataclass(frozen=True, slots=True)
class Money:
    """What amounts are compared in, and the points that large ones add.

    `rates` say how much of the base one unit of a currency is worth. `tiers` are (least amount,
    points), ascending; they replace each other.
    """

    base: str = "USD"
    rates: Mapping[str, Decimal] = field(default_factory=dict)
    tiers: tuple[tuple[Decimal, Decimal], ...] = TIERS


@dataclass(frozen=True, slots=True)
class Weights:
    """What a policy makes of the facts: points by factor, and money."""

    points: Mapping[str, Decimal] = field(default_factory=lambda: POINTS)
    money: Money = field(default_factory=Money)

    def share(self, factor: str, part: int, whole: int) -> Decimal:
        """`part` of `whole` of a factor's full points, to two places."""
        return _share(self.points[factor], part, whole)


@lru_cache(256)
def _share(points: Decimal, part: int, whole: int) -> Decimal:
    share = points * part / whole
    return share if share == share.to_integral_value() else share.quantize(Decimal("0.01")).normalize()


DEFAULT_WEIGHTS = Weights()
