"""Policies tested like code: cases of an action and what the policies must make of it.

A file under `policies/tests/` is a list of cases, or a mapping with `tests` and `against`, an
example to be tested in place of the policies that are in force:

    against: examples/strict.yaml
    tests:
      - name: production takes two people
        given: {agent: deployer, type: deployment, params: {environment: production}}
        expect: {effect: review, level: medium, rule: deployments, approvers: {quorum: 2}}
"""

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from bot.core.models import ACTION_TYPE, Action, Effect, RiskLevel
from bot.core.policy import Judgement, PolicyError, PolicySet, Problem, dotted
from bot.services.policies import Document, load, load_one, parse


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Given(_Strict):
    """The action, and who asks."""

    agent: str = "agent"
    type: Annotated[str, Field(pattern=ACTION_TYPE)]
    params: dict[str, Any] = Field(default_factory=dict)


class ExpectedApprovers(_Strict):
    """Who must be asked. What is left out is not compared; the order does not matter."""

    quorum: int | None = None
    groups: frozenset[str] | None = None
    users: frozenset[str] | None = None
    one_from_each: bool | None = None


class Expect(_Strict):
    """What the ruling must be. What is left out is not compared."""

    effect: Effect | None = None
    level: RiskLevel | None = None
    score: Decimal | None = None
    policy: str | None = None
    rule: str | None = None
    approvers: ExpectedApprovers | None = None


class Case(_Strict):
    """One test."""

    name: str | None = None
    given: Given
    expect: Expect


class CaseFile(_Strict):
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


def run(directory: Path) -> tuple[Outcome, ...]:
    """Run every test under `directory/tests` against the policies of `directory`.

    Raises:
        PolicyError: the policies or a file of tests cannot be read.
    """
    policies = load(directory)
    return tuple(
        outcome
        for path in sorted((directory / "tests").glob("*.y*ml"))
        for outcome in _run_file(path, directory, policies)
    )


def _run_file(path: Path, directory: Path, policies: PolicySet) -> Iterator[Outcome]:
    document = parse(path.name, path.read_bytes(), top=(dict, list))
    prefix: tuple[str, ...] = ()
    value = document.value
    if isinstance(value, dict):
        prefix = ("tests",)
    else:
        value = {"tests": value}
    file = _checked(document, value, wrapped=not prefix)
    if file.against is not None:
        policies = load_one(directory, file.against)
    for at, case in enumerate(file.tests):
        line, _ = document.marks.get((*prefix, at), (1, 1))
        yield _outcome(case, path.name, line, at, policies)


def _checked(document: Document, value: dict[str, Any], *, wrapped: bool) -> CaseFile:
    try:
        return CaseFile.model_validate(value)
    except ValidationError as error:
        raise PolicyError(list(_problems(document, error, wrapped=wrapped))) from None


def _problems(document: Document, error: ValidationError, *, wrapped: bool) -> Iterator[Problem]:
    for detail in error.errors():
        location = detail["loc"][1:] if wrapped else detail["loc"]
        known = location
        while known and known not in document.marks:
            known = known[:-1]
        line, column = document.marks.get(known, (1, 1))
        message = detail["msg"][:1].lower() + detail["msg"][1:]
        yield Problem(
            document.name, line, column, dotted(location), message, "cases have name, given and expect"
        )


def _outcome(case: Case, file: str, line: int, at: int, policies: PolicySet) -> Outcome:
    judgement = policies.judge(Action(case.given.type, case.given.params), agent=case.given.agent)
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
