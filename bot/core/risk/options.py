"""Options and operands of a command line, by the conventions of getopt."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from bot.core.risk.words import Word


@dataclass(slots=True)
class Options:
    """A command's words, sorted.

    `flags` are single letters and long names without dashes; `values` the values of those that
    take one, in order; `operands` everything else.
    """

    flags: set[str] = field(default_factory=set)
    values: list[tuple[str, Word]] = field(default_factory=list)
    operands: list[Word] = field(default_factory=list)

    def has(self, *names: str) -> bool:
        """Whether any of the flags was given; a long name may be cut short, as getopt allows."""
        return any(
            name in self.flags
            or (len(name) > 3 and any(len(f) > 2 and name.startswith(f) for f in self.flags))
            for name in names
        )

    def all(self, *names: str) -> list[Word]:
        """The values given for any of the flags."""
        return [value for name, value in self.values if name in names]

    @property
    def texts(self) -> list[str]:
        """The operands as text."""
        return [word.text for word in self.operands]


def read(words: Sequence[Word], valued: Iterable[str] = (), *, stop: bool = False) -> Options:
    """Sort the words after a program's name.

    Args:
        valued: Flags that take a value: letters and long names.
        stop: End at the first operand, as wrappers do; all that follows are operands.
    """
    takes = frozenset(valued)
    found = Options()
    at = 0
    while at < len(words):
        text = words[at].text
        if text == "--":
            found.operands.extend(words[at + 1 :])
            break
        if len(text) < 2 or text[0] != "-":
            if stop:
                found.operands.extend(words[at:])
                break
            found.operands.append(words[at])
        elif text.startswith("--"):
            at += _long(found, words, at, takes)
        else:
            at += _short(found, words, at, takes)
        at += 1
    return found


def _long(found: Options, words: Sequence[Word], at: int, takes: frozenset[str]) -> int:
    """Note a long option; return how many further words it took."""
    name, equals, value = words[at].text[2:].partition("=")
    found.flags.add(name)
    if equals:
        found.values.append((name, Word(value, words[at].known, words[at].glob)))
    elif name in takes and at + 1 < len(words):
        found.values.append((name, words[at + 1]))
        return 1
    return 0


def _short(found: Options, words: Sequence[Word], at: int, takes: frozenset[str]) -> int:
    text = words[at].text[1:]
    if len(text) > 1 and text in takes:  # a long name with one dash, as find, terraform and Java take
        found.flags.add(text)
        if at + 1 < len(words):
            found.values.append((text, words[at + 1]))
        return 1
    name, equals, value = text.partition("=")
    if equals and len(name) > 1:
        found.flags.add(name)
        found.values.append((name, Word(value, words[at].known, words[at].glob)))
        return 0
    for place, letter in enumerate(text):
        found.flags.add(letter)
        if letter in takes:
            rest = text[place + 1 :]
            if rest:
                found.values.append((letter, Word(rest, words[at].known, words[at].glob)))
                return 0
            if at + 1 < len(words):
                found.values.append((letter, words[at + 1]))
            return 1
    return 0
