"""How long it takes to read an action and rate its risk, and to load a large set of policies.

Typical actions are what agents really send. The fuzzed corpus mutates them from a fixed seed and adds
what is known to make readers slow: nesting, long pipelines, quotes that never end, huge batches.
"""

import random
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.report import Section, Target
from bot.core.models import Action
from bot.core.risk import assess
from bot.services.policies import load

TYPICAL_US, WORST_MS, LOAD_S = 200.0, 50.0, 1.0
"""What is promised: of a typical action, of the worst of the corpus, of a set of `RULES` rules."""

RULES = 1_000
_SEED = 20_240_607
_LONGEST = 4_096  # characters of a fuzzed text

COMMANDS = (
    "ls -la src",
    "git status",
    "npm run build",
    "rm -rf node_modules",
    "grep -rn 'retry' src | head -20",
    "kubectl apply -n staging -f deploy.yaml",
    "docker run --rm -v $PWD:/app -w /app node:20 npm test",
    "cd /srv/app && git pull --ff-only && systemctl restart app",
    "find . -name '*.pyc' -delete",
    "curl -fsSL https://get.example.com/install.sh | sh",
)
STATEMENTS = (
    "SELECT id, name FROM users WHERE id = 1",
    "UPDATE orders SET status = 'paid' WHERE id = 42",
    "DELETE FROM sessions WHERE expires_at < now()",
    "INSERT INTO audit (at, who) VALUES (now(), 'a')",
    "WITH old AS (SELECT id FROM t WHERE at < 5) DELETE FROM t WHERE id IN (SELECT id FROM old)",
)
_SLOW = (
    "(" * 1_500 + ")" * 1_500,
    "$(" * 700 + "ls" + ")" * 700,
    "a | " * 1_000 + "b",
    "'" * 3_999,
    "bash -c '" * 400,
    "x=$((" * 600,
    "rm " + "/a/../" * 600,
    "{a,b}" * 700,
    "cat <<E\n" * 400,
    "env " * 1_000 + "rm x",
    "${x:=`" * 600,
    ">(" * 1_500,
    "psql -c 'x y z'; " * 240,
)
_SLOW_SQL = (
    "SELECT " + "(" * 1_200 + "1" + ")" * 1_200,
    "DELETE FROM t; " * 250,
    "/*" * 1_500,
    "SELECT 1 UNION " * 250 + "SELECT 1",
    "SELECT * FROM t WHERE " + "a = 1 AND " * 380 + "b = 2",
    "SELECT * FROM t WHERE " + "a = 1 AND " * 380 + "(b = 2",
    "WITH a AS (" * 360,
    "CASE WHEN " * 400,
    "/*!" * 1_300,
    "INSERT INTO t VALUES " + "('it\\'s'), " * 300 + "('x')",
)


_SLOW_MS = 20.0


def assessing(*, rounds: int, fuzzed: int) -> Section:
    """Measure typical actions, the corpus, and loading."""
    commands = [Action("command_execute", {"command": text}) for text in COMMANDS]
    statements = [Action("database_modify", {"query": text}) for text in STATEMENTS]
    command_us = [_median_us(commands) for _ in range(rounds)]
    statement_us = [_median_us(statements) for _ in range(rounds)]
    worst_ms, worst = max(
        ((_again_ms(action), action) for action in corpus(fuzzed)), key=lambda found: found[0]
    )
    load_s = [_load_s() for _ in range(rounds)]
    slowest = max(statistics.median(command_us), statistics.median(statement_us))
    shown = next(iter(worst.params.values()))[:40].replace("|", "\\|").replace("\n", " ")
    return Section(
        title="Risk",
        about=f"Reading an action and rating it: {len(commands)} commands and {len(statements)} statements,"
        f" then {fuzzed} fuzzed ones of up to {_LONGEST} characters (seed {_SEED}), best of four for those"
        f" that take {_SLOW_MS:.0f} ms; loading {RULES} rules.",
        head=("what", "time"),
        rows=[
            ["a command, median", f"{statistics.median(command_us):.0f} us"],
            ["a statement, median", f"{statistics.median(statement_us):.0f} us"],
            ["the worst of the fuzzed corpus", f"{worst_ms:.1f} ms, `{shown}`"],
            [f"loading {RULES} rules", f"{statistics.median(load_s):.2f} s"],
        ],
        targets=[
            Target(f"typical <= {TYPICAL_US:.0f} us", f"{slowest:.0f} us", slowest <= TYPICAL_US),
            Target(f"worst of the corpus <= {WORST_MS:.0f} ms", f"{worst_ms:.1f} ms", worst_ms <= WORST_MS),
            Target(
                f"{RULES} rules load in <= {LOAD_S:.0f} s",
                f"{statistics.median(load_s):.2f} s",
                statistics.median(load_s) <= LOAD_S,
            ),
        ],
    )


def corpus(count: int) -> Iterator[Action]:
    """The fuzzed actions, the same at each call: a third of them SQL."""
    chance = random.Random(_SEED)
    for text in _SLOW:
        yield Action("command_execute", {"command": text[:_LONGEST]})
    for text in _SLOW_SQL:
        yield Action("database_modify", {"query": text[:_LONGEST]})
    for at in range(count - len(_SLOW) - len(_SLOW_SQL)):
        if at % 3:
            yield Action("command_execute", {"command": _mutated(chance, COMMANDS + _SLOW)})
        else:
            yield Action("database_modify", {"query": _mutated(chance, STATEMENTS + _SLOW_SQL)})


def _mutated(chance: random.Random, seeds: tuple[str, ...]) -> str:
    text = chance.choice(seeds)
    for _ in range(chance.randrange(1, 8)):
        at = chance.randrange(len(text) + 1)
        match chance.randrange(4):
            case 0:
                text = text[:at] + chance.choice("'\"`$(){};|&<>\\\n*?[]#%/ é\u202e") + text[at:]
            case 1:
                text = text[:at] + chance.choice(seeds) + text[at:]
            case 2:
                text = text[:at] + text[at + chance.randrange(20) :]
            case _:
                text = text[:at] + text[at : at + 30] * chance.randrange(1, 12) + text[at:]
        text = text[:_LONGEST]
    return text


def _median_us(actions: list[Action]) -> float:
    return statistics.median(_once_ms(action) for _ in range(50) for action in actions) * 1_000


def _once_ms(action: Action) -> float:
    start = time.perf_counter()
    assess(action)
    return (time.perf_counter() - start) * 1_000


def _again_ms(action: Action) -> float:
    """The time of one action; a slow one is asked three times more, for the machine may have paused."""
    took = _once_ms(action)
    return took if took < _SLOW_MS else min(took, *(_once_ms(action) for _ in range(3)))


def _load_s() -> float:
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        (directory / "workspace.yaml").write_text("groups: {people: {users: [U0DANA001]}}\n")
        for file in range(10):
            applies = f"applies_to: {{agents: team-{file}-*}}\n" if file else ""
            head = f"name: policy-{file}\n{applies}approvers: {{groups: [people]}}\nrequire:\n"
            rules = (
                f"  - {{name: r{at}, action_type: kind{at}, path_pattern: /srv/{file}/{at}/**,"
                f" where: {{n: {{gt: {at}}}}}}}\n"
                for at in range(RULES // 10)
            )
            (directory / f"{file}.yaml").write_text(head + "".join(rules))
        start = time.perf_counter()
        load(directory)
        return time.perf_counter() - start
