"""`keyturn policy …`: policies checked, tested, explained and tried before they are in force.

Nothing here writes, and nothing needs Slack. Exit codes: 0 all is well, 1 something was found,
2 the command was not given what it needs.
"""

import asyncio
import os
import re
import sys
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

import typer

from bot.commands.saying import Commands, clear_errors, refuse, say
from bot.config import StoreSettings
from bot.core import jsontext
from bot.core.describe import action_line
from bot.core.digest import digest_of
from bot.core.errors import KeyturnError
from bot.core.models import ACTION_TYPE, Action
from bot.core.policy import PolicyError, PolicySet, Problem
from bot.http import wire
from bot.services import policy_check, policy_tests
from bot.services.approvals import Evaluation
from bot.services.policies import load
from bot.services.policy_replay import Asked, Group, Ruled, differences, recorded, replay
from bot.services.policy_report import explain as report
from bot.services.policy_schema import SCHEMAS, schema_text
from bot.store import Store
from bot.system import SystemClock

app = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    help="Check, test and explain policies, and try changes on what was asked before.",
    epilog="Before every change: keyturn policy check && keyturn policy test && keyturn policy simulate",
)

_Directory = Annotated[
    Path | None,
    typer.Argument(help="Directory of the policies (KEYTURN_POLICIES).", exists=True, file_okay=False),
]
_AsJson = Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")]
_Database = Annotated[
    str | None, typer.Option("--database", metavar="URL", help="Where requests are (KEYTURN_DATABASE_URL).")
]
_Since = Annotated[str, typer.Option("--since", help="How far back: 12h, 30d …")]
_Most = Annotated[int, typer.Option("--most", help="At most so many requests, the newest.", min=1)]


@app.command(epilog="Example: keyturn policy check policies --strict")
def check(
    directory: _Directory = None,
    strict: Annotated[bool, typer.Option("--strict", help="Exit with 1 for warnings too.")] = False,
    as_json: _AsJson = False,
) -> None:
    """Find what is wrong, with file, line, key and what to write instead, and what is suspicious.

    Exit code 0 when the policies can be used, 1 when they cannot.
    """
    findings = policy_check.check(_directory(directory))
    failed = findings.policies is None or (strict and bool(findings.warnings))
    if as_json:
        _json(
            {
                "ok": not failed,
                "version": None if findings.policies is None else findings.policies.version,
                "problems": [_problem(problem) for problem in findings.problems],
                "warnings": [_problem(warning) for warning in findings.warnings],
            }
        )
        raise typer.Exit(int(failed))
    for problem in findings.problems:
        say(f"error: {problem}")
    for warning in findings.warnings:
        say(f"warning: {warning}")
    if findings.policies is not None:
        say(_summary(findings.policies))
    raise typer.Exit(int(failed))


@app.command("test", epilog="Example: keyturn policy test policies")
def run_tests(
    directory: _Directory = None,
    strict: Annotated[bool, typer.Option("--strict", help="Exit with 1 for untested rules too.")] = False,
    as_json: _AsJson = False,
) -> None:
    """Run the tests under DIRECTORY/tests, and say which rules none of them reaches.

    Exit code 0 when all pass, 1 when one fails or the policies cannot be used.
    """
    with _findings():
        found = policy_tests.run(_directory(directory))
    wrong = [outcome for outcome in found.outcomes if not outcome.passed]
    failed = bool(wrong) or (strict and bool(found.untested))
    if as_json:
        _json(
            {
                "ok": not failed,
                "passed": len(found.outcomes) - len(wrong),
                "failed": [_plain(outcome) for outcome in wrong],
                "untested": [_plain(rule) for rule in found.untested],
            }
        )
        raise typer.Exit(int(failed))
    for outcome in wrong:
        say(f"FAIL {outcome.file}:{outcome.line} {outcome.name}")
        for difference in outcome.differences:
            say(f"     {difference}")
        say(f"     {outcome.explanation}")
    for rule in found.untested:
        say(f"no test reaches the {rule.kind} rule {rule.rule} of {rule.file}")
    say(f"{len(found.outcomes) - len(wrong)} passed, {len(wrong)} failed")
    raise typer.Exit(int(failed))


@app.command(
    epilog="""Example: keyturn policy explain --type command_execute --param command='rm -rf build'"""
)
def explain(
    file: Annotated[
        Path | None, typer.Argument(help="The request as JSON, as agents POST it; - for standard input.")
    ] = None,
    kind: Annotated[str | None, typer.Option("--type", help="Type of the action, instead of FILE.")] = None,
    param: Annotated[
        list[str] | None,
        typer.Option(help="A param as NAME=VALUE; repeatable. A VALUE that is JSON is read as it."),
    ] = None,
    agent: Annotated[str, typer.Option(help="Name of the agent that asks.")] = "agent",
    policies: Annotated[
        Path | None,
        typer.Option(help="Directory of the policies (KEYTURN_POLICIES).", exists=True, file_okay=False),
    ] = None,
    as_json: _AsJson = False,
) -> None:
    """Say what would happen to an action and why: every factor of its risk, every rule, who decides.

    It is the same judgement as POST /v1/evaluate; limits and rejections count as if nothing had
    happened before.
    """
    with clear_errors():
        action = _action(file, kind, param or [])
    with _findings():
        rules = load(_directory(policies))
    if not as_json:
        say(report(rules, action, agent=agent))
        return
    judged = rules.judge(action, agent=agent)
    ruling = judged.ruling
    asked = ruling.requirement if ruling.effect_is_review else None
    _json(wire.evaluation(Evaluation(digest_of(action), judged.risk, ruling.policy, asked)))


@app.command(epilog="Example: keyturn policy simulate ./changed-policies --since 30d")
def simulate(
    directory: _Directory = None,
    database: _Database = None,
    since: _Since = "30d",
    most: _Most = 10_000,
    as_json: _AsJson = False,
) -> None:
    """Judge recorded requests again, by changed files, and print what would differ.

    Exit code 0 when nothing would, 1 when something would.
    """
    with _findings():
        rules = load(_directory(directory))
    asked = [one for one in _recorded(database, since, most) if one.ruled is not None]
    new = _replayed(rules, asked)
    pairs = [(one, one.ruled, after) for one, after in zip(asked, new, strict=True) if one.ruled]
    _differ(differences(pairs), len(pairs), as_json=as_json)


@app.command(epilog="Example: keyturn policy diff policies ./changed-policies --tests")
def diff(
    old: Annotated[
        Path, typer.Argument(help="Directory of the policies as they are.", exists=True, file_okay=False)
    ],
    new: Annotated[Path, typer.Argument(help="Directory of the changed ones.", exists=True, file_okay=False)],
    tests: Annotated[
        bool, typer.Option("--tests", help="Compare on the actions of the tests, not on recorded requests.")
    ] = False,
    database: _Database = None,
    since: _Since = "30d",
    most: _Most = 10_000,
    as_json: _AsJson = False,
) -> None:
    """Judge the same actions by two directories of policies, and print what differs.

    Exit code 0 when nothing does, 1 when something does.
    """
    with _findings():
        before, after = load(old), load(new)
        asked = _tested(old, new) if tests else _recorded(database, since, most)
    pairs = zip(asked, _replayed(before, asked), _replayed(after, asked), strict=True)
    _differ(differences(pairs), len(asked), as_json=as_json)


@app.command(epilog="Example: keyturn policy schema policy > policy.schema.json")
def schema(
    of: Annotated[str, typer.Argument(help=f"Of what: {', '.join(SCHEMAS)}.")] = "policy",
) -> None:
    """Print the JSON Schema of the format, which editors complete and check YAML with."""
    if of not in SCHEMAS:
        refuse(f"There is no schema of {of}; write one of {', '.join(SCHEMAS)}.")
    typer.echo(schema_text(of), nl=False)


# -- what is asked --------------------------------------------------------------------------


def _directory(given: Path | None) -> Path:
    with clear_errors():
        return given or StoreSettings.read(os.environ).keyturn_policies


def _action(file: Path | None, kind: str | None, given: Sequence[str]) -> Action:
    if (file is None) is (kind is None):
        refuse("Give the request as FILE (- for standard input), or its --type with --param, one of both.")
    if kind is not None:
        return Action(_type(kind), dict(_param(one) for one in given))
    content = sys.stdin.buffer.read() if str(file) == "-" else Path(str(file)).read_bytes()
    try:
        body = jsontext.loads(content)
    except KeyturnError as error:
        refuse(f"{file}: {error.message}")
    if not isinstance(body, dict) or not isinstance(body.get("type"), str):
        refuse(f'{file}: not a request; write {{"type": "…", "params": {{…}}}}')
    params = body.get("params", {})
    if not isinstance(params, dict):
        refuse(f"{file}: params is not an object")
    return Action(_type(body["type"]), params)


def _type(kind: str) -> str:
    if not re.fullmatch(ACTION_TYPE, kind):
        refuse(f"{kind!r} is no action's type; write small letters, digits and _ . : - as in file_write")
    return kind


def _param(given: str) -> tuple[str, Any]:
    name, sign, value = given.partition("=")
    if not name or not sign:
        refuse(f"--param {given}: write NAME=VALUE")
    try:
        return name, jsontext.loads(value.encode())
    except KeyturnError:
        return name, value


def _recorded(database: str | None, since: str, most: int) -> list[Asked]:
    """Recorded requests, oldest first."""
    environment = os.environ | ({} if database is None else {"KEYTURN_DATABASE_URL": database})

    async def read(url: str, start: datetime) -> list[Asked]:
        async with Store.reading(url) as reads:
            return [one async for one in recorded(reads, since=start, most=most)]

    with clear_errors():
        settings = StoreSettings.read(environment)
        start = SystemClock().now() - _duration(since)
        found = asyncio.run(read(settings.keyturn_database_url, start))
    return found[::-1]


def _duration(text: str) -> timedelta:
    units = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
    number, unit = text[:-1], text[-1:]
    if not (number.isascii() and number.isdigit() and unit in units and len(number) < 6):
        raise ValueError(f"--since {text}: write a whole number with its unit: 90m, 12h, 30d or 8w")
    return timedelta(**{units[unit]: int(number)})


def _tested(*directories: Path) -> list[Asked]:
    """The actions of the tests of both directories, each once."""
    found: dict[tuple[str, str], Asked] = {}
    start = datetime(2000, 1, 1, tzinfo=UTC)
    for directory in directories:
        for at, given in enumerate(policy_tests.cases(directory)):
            action = Action(given.type, given.params)
            # Further apart than any limit looks back, so that no test uses up another's.
            asked = Asked(f"test {at + 1}", given.agent, action, start + timedelta(days=400 * at))
            found.setdefault((given.agent, digest_of(action)), asked)
    return list(found.values())


def _replayed(policies: PolicySet, asked: Sequence[Asked]) -> list[Ruled]:
    shown = typer.progressbar(
        replay(policies, asked),
        length=len(asked),
        label="Judging",
        file=sys.stderr,
        hidden=not sys.stderr.isatty(),
    )
    with shown as steps:
        return list(steps)


# -- what is said ---------------------------------------------------------------------------


class _findings:  # reads as a statement: `with _findings():`
    """Policies that cannot be used are a finding: every problem, and exit code 1."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if isinstance(error, PolicyError):
            for problem in error.problems:
                typer.echo(f"error: {problem}", err=True)
            raise typer.Exit(1)


def _differ(groups: Sequence[Group], judged: int, *, as_json: bool) -> None:
    changed = sum(group.count for group in groups)
    if as_json:
        _json({"judged": judged, "differ": changed, "groups": [_group(group) for group in groups]})
        raise typer.Exit(int(changed > 0))
    for group in groups:
        say(f"{group.count:6}  {group.before}  ->  {group.after}  ({group.direction.value})")
        for one in group.examples:
            say(f"        {one.id} {one.agent}: {action_line(one.action)[:140]}")
    say(f"{changed} of {judged} would differ")
    raise typer.Exit(int(changed > 0))


def _group(group: Group) -> dict[str, Any]:
    return {
        "before": group.before,
        "after": group.after,
        "direction": group.direction.value,
        "count": group.count,
        "examples": [
            {"id": one.id, "agent": one.agent, "type": one.action.type, "params": one.action.params}
            for one in group.examples
        ],
    }


def _summary(policies: PolicySet) -> str:
    rules = sum(
        len(policy.block.all) + len(policy.require.all) + len(policy.allow.all) + len(policy.limits)
        for policy in policies.policies
    )
    names = ", ".join(policy.name for policy in policies.policies)
    return f"{names}: {rules} rules, version {policies.version}"


def _problem(problem: Problem) -> dict[str, Any]:
    return _plain(problem)


def _plain(value: Any) -> dict[str, Any]:
    """A frozen dataclass of plain values as a mapping."""
    return {name: getattr(value, name) for name in value.__slots__}


def _json(value: Any) -> None:
    say(jsontext.dumps(value).decode())
