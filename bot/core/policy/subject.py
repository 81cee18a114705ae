"""What the conditions of a pattern look at, and how a match can turn out."""

from dataclasses import dataclass
from enum import IntEnum

from bot.core.models import RiskAssessment
from bot.core.risk.facts import Facts


class Match(IntEnum):
    """How a condition turns out. UNREADABLE: its subject is there and nobody can tell."""

    NO = 0
    YES = 1
    UNREADABLE = 2


@dataclass(frozen=True, slots=True)
class Subject:
    """An action as it is judged."""

    facts: Facts
    agent: str
    risk: RiskAssessment
    rank: int
    """Of the risk level, 0 for none to 4 for critical."""
