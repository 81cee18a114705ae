"""Lists of compiled rules, and which of them an action's type can match.

A long list costs little: rules are found by the first word of the type, and for the types that were
seen last they are remembered.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from bot.core.models import Requirement
from bot.core.policy.explaining import MOST_RULES
from bot.core.policy.patterns import Pattern

_TYPES_AT_HAND = 256
"""Action types whose rules are remembered: agents send few, again and again."""

_WORD = re.compile(r"[^a-zA-Z0-9]")


@dataclass(frozen=True, slots=True)
class Rule:
    """A compiled rule of one of the lists. `types` are its action types as written, None for any."""

    name: str
    pattern: Pattern
    types: tuple[str, ...] | None
    requirement: Requirement | None = None


class Rules:
    """One list of rules. `of` gives those that are worth a look for an action type, in file order."""

    def __init__(self, rules: Sequence[Rule]) -> None:
        self.all = tuple(rules)
        self.positions = {rule.name: at for at, rule in enumerate(rules)}
        heads = [_heads(rule.types) for rule in rules]
        self._by_head: dict[str, list[Rule]] = {head: [] for own in heads for head in own or ()}
        self._others: list[Rule] = []
        for rule, own in zip(rules, heads, strict=True):
            for head in self._by_head if own is None else own:
                self._by_head[head].append(rule)
            if own is None:
                self._others.append(rule)
        self.of = lru_cache(_TYPES_AT_HAND)(self._of)

    def _of(self, kind: str) -> tuple[Rule, ...]:
        """The rules that take a type, and as many others of the same first word as an explanation names."""
        found, others = [], 0
        for rule in self._by_head.get(_head(kind), self._others):
            taken = rule.pattern.takes(kind)
            others += not taken
            if taken or others <= MOST_RULES:
                found.append(rule)
        return tuple(found)


def _head(kind: str) -> str:
    return _WORD.split(kind, 1)[0]


def _heads(types: Sequence[str] | None) -> frozenset[str] | None:
    """First words of the types that globs can match; None when one of them can match any."""
    if types is None:
        return None
    heads = set()
    for glob in types:
        head = _head(glob)
        if not head or glob[len(head) : len(head) + 1] in ("*", "?", "["):
            return None
        heads.add(head)
    return frozenset(heads)
