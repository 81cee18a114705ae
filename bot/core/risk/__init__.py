"""How dangerous an action is, and why.

`analyse` reads an action once into `Facts`; `score` weighs them; `assess` does both. All are
pure and take any parsed JSON: what cannot be read raises the score, never an exception.
"""

from bot.core.models import Action, RiskAssessment
from bot.core.risk.actions import KNOWN_TYPES, analyse
from bot.core.risk.facts import Facts
from bot.core.risk.score import score
from bot.core.risk.weights import DEFAULT_WEIGHTS, Money, Weights

__all__ = ["DEFAULT_WEIGHTS", "KNOWN_TYPES", "Facts", "Money", "Weights", "analyse", "assess", "score"]


def assess(action: Action, weights: Weights = DEFAULT_WEIGHTS) -> RiskAssessment:
    """Score an action from its type and params alone; never raises on parsed JSON."""
    return score(analyse(action), weights)
