"""Policies tested like code: cases of an action and what the policies must make of it.

A file under `policies/tests/` is a list of cases, or a mapping with `tests` and `against`, an
example to be tested in place of the policies that are in force:

    against: examples/strict.yaml
    tests:
      - name: production takes two people
        given: {agent: deployer, type: deployment, params: {environment: production}}
        expect: {effect: review, level: medium, rule: deployments, approvers: {quorum: 2}}
      - name: the day is used up
        given: {type: transfer, params: {amount: 400}, used: {daily: {count: 3, amount: 9800}}}
        expect: {effect: review, rule: "budget:daily"}
"""

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, ValidationError

from bot.core.models import ACTION_TYPE, Action, Charge, Effect, RiskLevel, Used
from bot.core.policy import (
    History,
    Judgement,
    Policy,
    PolicyError,
    PolicySet,
    Problem,
    Wants,
    dotted,
)
from bot.core.policy.format import Strict
from bot.core.policy.problems import Location
from bot.core.policy.wording import fault, telling
from bot.services.policies import Document, load, load_one, parse


class GivenUsed(Strict):
    """How much of a limit is used up before."""

    count: Annotated[int, Field(ge=0)] = 0
    amount: Annotated[Decimal, Field(ge=0)] = Decimal(0)


class Given(Strict):
    """The action, who asks, and what happened before: of limits by their names, and rejections."""

    agent: str = "agent"
    type: Annotated[str, Field(pattern=ACTION_TYPE)]
    params: dict[str, Any] = Field(default_factory=dict)
    used: dict[str, GivenUsed] = Field(default_factory=dict)
    rejections: Annotated[int, Field(ge=0)] = 0


class ExpectedApprovers(Strict):
    """Who must be asked. What is left out is not compared; the order does not matter."""

    quorum: int | None = None
    groups: frozenset[str] | None = None
    users: frozenset[str] | None = None
    one_from_each: bool | None = None


class Expect(Strict):
    """What the ruling must be. What is left out is not compared."""

    effect: Effect | None = None
    level: RiskLevel | None = None
    score: Decimal | None = None
    policy: str | None = None
    rule: str | None = None
    approvers: ExpectedApprovers | None = None


class Case(Strict):
    """One test."""

    name: str | None = None
    given: Given
    expect: Expect


class CaseFile(Strict):
    """A file of tests."""

    against: str | None = None
    tests: Annotated[tuple[Case, ...], Field(min_length=1)]


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one case went. `differences` says what was expected and what came; empty when it passed."""

    file: str
    line: int
    name: str
    differences: tuple[str, ...]
    explanation: str

    @property
    def passed(self) -> bool:
        """Whether everything was as expected."""
        return not self.differences


@dataclass(frozen=True, slots=True)
class Untested:
    """A rule that decided no test. `kind` is its list: block, require, allow or limits."""

    file: str
    kind: str
    rule: str


@dataclass(frozen=True, slots=True)
class Report:
    """How every test went, and what none of them reached."""

    outcomes: tuple[Outcome, ...]
    untested: tuple[Untested, ...]


def run(directory: Path) -> Report:
    """Run every test under `directory/tests` against the policies of `directory`.

    Raises:
        PolicyError: the policies or a file of tests cannot be read.
    """
    sets = _Sets(directory)
    paths = sorted((directory / "tests").glob("*.y*ml"))
    outcomes = tuple(outcome for path in paths for outcome in _run_file(path, sets))
    return Report(outcomes, tuple(sets.untested()))


def cases(directory: Path) -> Iterator[Given]:
    """What every test under `directory/tests` is about, examples left out.

    Raises:
        PolicyError: a file of tests cannot be read.
    """
    for path in sorted((directory / "tests").glob("*.y*ml")):
        file = _file(path)[1]
        if file.against is None:
            yield from (case.given for case in file.tests)


def judge(policies: PolicySet, given: Given) -> Judgement:
    """Judge an action with what the test says happened before."""

    def before(wants: Wants) -> History:
        used = {charge.limit: _used(given, charge) for charge in wants.charges}
        return History(used, dict.fromkeys(wants.rejections, given.rejections))

    action = Action(given.type, given.params)
    return policies.judge_knowing(action, agent=given.agent, learn=before)


def _used(given: Given, charge: Charge) -> Used:
    before = given.used.get(charge.limit.rpartition("/")[2], GivenUsed())
    return Used(before.count, before.amount)


class _Sets:
    """The sets that tests are run against, and which rules of each have decided."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._sets: dict[str | None, PolicySet] = {None: load(directory)}
        self._decided: set[tuple[str | None, str | None, str]] = set()

    def judge(self, against: str | None, given: Given) -> Judgement:
        if against not in self._sets:
            assert against is not None, "the set in force is there from the start"
            self._sets[against] = load_one(self._directory, against)
        judgement = judge(self._sets[against], given)
        policy = judgement.ruling.policy
        self._decided.add((against, policy.name, policy.rule))
        return judgement

    def untested(self) -> Iterator[Untested]:
        for against, policies in self._sets.items():
            for policy in policies.policies:
                for kind, name, rule in _rules(policy):
                    if (against, policy.name, rule) not in self._decided:
                        yield Untested(against or policy.file, kind, name)


def _rules(policy: Policy) -> Iterator[tuple[str, str, str]]:
    """List, name, and the name under which it decides."""
    for kind, rules in (("block", policy.block), ("require", policy.require), ("allow", policy.allow)):
        yield from ((kind, rule.name, rule.name) for rule in rules.all)
    yield from (("limits", limit.name, f"budget:{limit.name}") for limit in policy.limits)


def _run_file(path: Path, sets: _Sets) -> Iterator[Outcome]:
    document, file = _file(path)
    prefix: Location = ("tests",) if isinstance(document.value, dict) else ()
    for at, case in enumerate(file.tests):
        line, _ = document.marks.get((*prefix, at), (1, 1))
        yield _outcome(case, document.name, line, at, sets.judge(file.against, case.given))


def _file(path: Path) -> tuple[Document, CaseFile]:
    # With its directory: a policy and its tests often have the same name.
    document = parse(f"{path.parent.name}/{path.name}", path.read_bytes(), top=(dict, list))
    if isinstance(document.value, dict):
        return document, _checked(document, document.value, wrapped=False)
    return document, _checked(document, {"tests": document.value}, wrapped=True)


def _checked(document: Document, value: dict[str, Any], *, wrapped: bool) -> CaseFile:
    try:
        return CaseFile.model_validate(value)
    except ValidationError as error:
        raise PolicyError(list(_problems(document, error, wrapped=wrapped))) from None


def _problems(document: Document, error: ValidationError, *, wrapped: bool) -> Iterator[Problem]:
    for detail in telling(error.errors()):
        location, wrong, instead = fault(detail, CaseFile)
        location = location[1:] if wrapped else location
        known = location
        while known and known not in document.marks:
            known = known[:-1]
        line, column = document.marks.get(known, (1, 1))
        yield Problem(document.name, line, column, dotted(location), wrong, instead)


def _outcome(case: Case, file: str, line: int, at: int, judgement: Judgement) -> Outcome:
    return Outcome(
        file=file,
        line=line,
        name=case.name or f"case {at + 1}",
        differences=tuple(_differences(case.expect, judgement)),
        explanation=judgement.ruling.policy.explanation,
    )


def _differences(expect: Expect, judgement: Judgement) -> Iterator[str]:
    risk, ruling = judgement.risk, judgement.ruling
    found = {
        "effect": ruling.policy.effect,
        "level": risk.level,
        "score": risk.score,
        "policy": ruling.policy.name,
        "rule": ruling.policy.rule,
    }
    for key, came in found.items():
        wanted = getattr(expect, key)
        if wanted is not None and wanted != came:
            yield f"{key}: expected {wanted}, came {came}"
    if expect.approvers is not None:
        yield from _approver_differences(expect.approvers, judgement)


def _approver_differences(expect: ExpectedApprovers, judgement: Judgement) -> Iterator[str]:
    requirement = judgement.ruling.requirement
    if requirement is None:
        yield "approvers: expected people to be asked, nobody is"
        return
    found = {
        "quorum": requirement.quorum,
        "one_from_each": requirement.one_from_each,
        "groups": frozenset(entry.group for entry in requirement.approvers if entry.group is not None),
        "users": frozenset(
            user for entry in requirement.approvers if entry.group is None for user in entry.users or ()
        ),
    }
    for key, came in found.items():
        wanted = getattr(expect, key)
        if wanted is not None and wanted != came:
            yield f"approvers.{key}: expected {_shown(wanted)}, came {_shown(came)}"


def _shown(value: object) -> str:
    return ", ".join(sorted(value)) or "none" if isinstance(value, frozenset) else str(value)
