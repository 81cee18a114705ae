"""A pattern: an AND of conditions on an action.

A condition whose subject is absent does not match. Block and require look whether *any*
touched path or command matches, allow whether *all* do for certain; what cannot be read is
`UNREADABLE` to the former and no match to the latter.
"""

import fnmatch
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import re2

from bot.core.policy.globs import PathGlob, home_forms
from bot.core.policy.subject import Match, Subject
from bot.core.risk.facts import Access, Line, Signal, Touched
from bot.core.risk.names import is_production

_NO, _YES, _UNREADABLE = Match.NO, Match.YES, Match.UNREADABLE

Test = Callable[[Subject], Match]


@dataclass(frozen=True, slots=True)
class Condition:
    """One key of a pattern, compiled. `refusal` says for people that it did not match."""

    test: Test
    refusal: str


@dataclass(frozen=True, slots=True)
class Pattern:
    """The compiled conditions of a rule, cheap ones first. The texts say what did not match."""

    min_rank: int
    max_rank: int
    takes: Callable[[str], object]
    """Whether it is for an action type."""
    below: str
    above: str
    other: str
    conditions: tuple[Condition, ...]

    def match(self, subject: Subject) -> Match | str:
        """YES, UNREADABLE when a condition cannot be told, or why the first one that fails does."""
        if subject.rank < self.min_rank:
            return self.below
        if subject.rank > self.max_rank:
            return self.above
        if not self.takes(subject.facts.type):
            return self.other
        outcome = _YES
        for condition in self.conditions:
            found = condition.test(subject)
            if found is _NO:
                return condition.refusal
            if found is _UNREADABLE:
                outcome = _UNREADABLE
        return outcome


def command_regex(pattern: str, *, lines: bool) -> "re2._Regexp[str]":
    """Compile a command pattern; with `lines` a dot also matches a line break.

    Raises:
        re2.error: not a regex that runs in linear time.
    """
    options = re2.Options()
    options.log_errors = False
    options.dot_nl = lines
    options.max_mem = 1 << 22
    return re2.compile(pattern, options)


# -- action_type, agent, environment ------------------------------------------------------


def one_of(globs: Sequence[str]) -> Callable[[str], object]:
    """What tells whether a text is one of these, all in one expression since it is asked often."""
    return re.compile("|".join(map(fnmatch.translate, globs))).match


def action_type(globs: Sequence[str]) -> Test:
    """Whether the type is one of these."""
    match = one_of(globs)

    def test(subject: Subject) -> Match:
        return _YES if match(subject.facts.type) else _NO

    return test


def agent(globs: Sequence[str]) -> Test:
    """Whether the agent's name is one of these and none of those after a `!`; only such take all others."""
    wanted = one_of([glob for glob in globs if not glob.startswith("!")] or ["*"])
    unwanted = [one_of([glob[1:]]) for glob in globs if glob.startswith("!")]

    def test(subject: Subject) -> Match:
        name = subject.agent
        return _YES if wanted(name) and not any(match(name) for match in unwanted) else _NO

    return test


def environment(globs: Sequence[str], *, every: bool) -> Test:
    """Whether a named place is one of these; `production` also means its usual other names."""
    match = one_of([glob.lower() for glob in globs])
    production = any(not _is_magic(glob) and is_production(glob) for glob in globs)

    def one(name: str) -> bool:
        return match(name.strip().lower()) is not None or (production and is_production(name))

    def test(subject: Subject) -> Match:
        names = subject.facts.environments
        if not names:
            return _NO
        unknown = any("$" in name or "`" in name for name in names)
        if every:
            return _YES if not unknown and all(map(one, names)) else _NO
        if any(map(one, names)):
            return _YES
        return _UNREADABLE if unknown else _NO

    return test


def _is_magic(glob: str) -> bool:
    return re.search(r"[*?\[]", glob) is not None


# -- path_pattern -------------------------------------------------------------------------


def any_path(globs: Sequence[PathGlob], access: frozenset[Access]) -> Test:
    """Whether something the action touches may lie where the patterns point."""

    def test(subject: Subject) -> Match:
        facts = subject.facts
        unreadable = facts.unreadable_paths
        for touched in facts.paths:
            if not _of_interest(touched, access):
                continue
            if not touched.readable:
                unreadable = True
            elif _reached(globs, touched):
                return _YES
        return _UNREADABLE if unreadable else _NO

    return test


def every_path(globs: Sequence[PathGlob], access: frozenset[Access], *, with_command: bool) -> Test:
    """Whether all that the action touches certainly lies where the patterns point."""

    def test(subject: Subject) -> Match:
        facts = subject.facts
        if facts.type == "command_execute" and not with_command:
            return _NO
        if not facts.paths or facts.unreadable_paths or Signal.OPAQUE in facts.signals:
            return _NO
        for touched in facts.paths:
            if access and touched.access not in access:
                return _NO
            if not touched.readable or not _contained(globs, touched):
                return _NO
        return _YES

    return test


def _of_interest(touched: Touched, access: frozenset[Access]) -> bool:
    return not access or touched.access in access or touched.access is Access.UNKNOWN


def _reached(globs: Sequence[PathGlob], touched: Touched) -> bool:
    recursive = touched.recursive and touched.access is not Access.READ
    return any(
        glob.reaches(form, glob=touched.glob, recursive=recursive)
        for form in home_forms(touched.path)
        for glob in globs
    )


def _contained(globs: Sequence[PathGlob], touched: Touched) -> bool:
    return any(glob.contains(touched.path, glob=touched.glob, recursive=touched.recursive) for glob in globs)


# -- command_pattern ----------------------------------------------------------------------


def any_command(pattern: str) -> Test:
    """Whether the regex is found in a simple command, in any of its spellings."""
    search = command_regex(pattern, lines=True).search
    program = _program_of(pattern)

    def test(subject: Subject) -> Match:
        facts = subject.facts
        unreadable = Signal.OPAQUE in facts.signals
        for line in facts.lines:
            if any(search(form) for form in line.forms):
                return _YES
            unreadable = unreadable or (not line.readable and _could_be(line, program))
        return _UNREADABLE if unreadable else _NO

    return test


def every_command(pattern: str) -> Test:
    """Whether the regex matches every simple command from end to end; a redirection must be written in it."""
    fullmatch = command_regex(pattern, lines=False).fullmatch
    redirects = ">" in pattern

    def test(subject: Subject) -> Match:
        facts = subject.facts
        if not facts.lines or Signal.OPAQUE in facts.signals:
            return _NO
        for line in facts.lines:
            if not line.readable or (line.writes and not redirects) or not fullmatch(line.text):
                return _NO
        return _YES

    return test


_PROGRAM = re.compile(r"\^?(?:\\b)?([a-z][a-z0-9_]*)(?:\\b|\\s| |$)")


def _program_of(pattern: str) -> str | None:
    """The program a pattern plainly names at its start."""
    if "|" in re.sub(r"\([^()]*\)", "", pattern):
        return None  # an alternative outside of parentheses may name another
    found = _PROGRAM.match(pattern)
    return found[1] if found else None


def _could_be(line: Line, program: str | None) -> bool:
    """Whether a command with unknown arguments might match: not when it is plainly another program."""
    name = line.forms[-1].partition(" ")[0]
    return program is None or name == program or not name.isidentifier()
