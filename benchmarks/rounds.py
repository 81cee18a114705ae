"""Paired rounds and what is made of them: ratios inside one run, never absolute figures.

What is compared runs side by side in every round, in turned order, so that warm caches and busy
neighbours favour nobody; a ratio is the median of the rounds' own ratios.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from statistics import median

TOO_UNEVEN = 0.35
"""Spread of a baseline above which a run says nothing and should be repeated."""


@dataclass(frozen=True, slots=True)
class Ratio:
    """The median of the rounds' ratios, and the rounds furthest from it."""

    median: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.median:.2f} ({self.low:.2f} to {self.high:.2f})"


def turned(names: Sequence[str], round: int) -> list[str]:
    """The names in the order of this round: each round begins with the next one."""
    start = round % len(names)
    return [*names[start:], *names[:start]]


def ratio(of: Sequence[float], to: Sequence[float]) -> Ratio:
    """`of` as a share of `to`, round by round.

    Raises:
        ValueError: the two did not run in the same rounds.
    """
    shares = [a / b for a, b in zip(of, to, strict=True)]
    if not shares:
        raise ValueError("a ratio needs at least one round")
    return Ratio(median(shares), min(shares), max(shares))


def spread(values: Sequence[float]) -> float:
    """How far apart the values lie, as a share of their median."""
    return (max(values) - min(values)) / median(values)


def percentile(values: Sequence[float], share: float) -> float:
    """The value that `share` of the values do not exceed (nearest rank)."""
    ordered = sorted(values)
    return ordered[max(0, ceil(share * len(ordered)) - 1)]


def uneven(baselines: Mapping[str, Sequence[float]]) -> list[str]:
    """A sentence for each baseline that spreads too far to be judged against."""
    return [
        f"{name} spread by {spread(values):.0%} over the rounds (more than {TOO_UNEVEN:.0%}):"
        " the machine was busy, repeat the run before judging"
        for name, values in baselines.items()
        if len(values) > 1 and spread(values) > TOO_UNEVEN
    ]
