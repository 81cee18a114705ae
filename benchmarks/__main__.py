"""`make bench`: every benchmark in one run, and the report."""

import argparse
import shlex
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.assessing import assessing
from benchmarks.auditing import auditing
from benchmarks.lateness import lateness
from benchmarks.machine import REPO, facts, need_wrk, say, step_aside
from benchmarks.policy import policy
from benchmarks.posts import accepted, idle
from benchmarks.product import Template, local_slack
from benchmarks.report import Run, Section, markdown, section_text
from benchmarks.starting import starting
from benchmarks.waiting import waiting

REPORT = REPO / "docs" / "benchmarks.md"
EXAMPLES = """
examples:
  make bench                                      everything, written to docs/benchmarks.md
  make bench ARGS=--quick                         short rounds, printed: does it all work?
  make bench ARGS="--only accepted --rounds 7"    one benchmark, printed
  make bench ARGS="--waiters 1000"                fewer waiting agents than the promise is for
  make bench ARGS="--quick --out /tmp/bench.md"   short rounds, written where you say

Use a quiet machine with two cores or more and a real disk, and believe ratios only.
"""


def main() -> None:
    """Parse, measure, report."""
    options = _options()
    need_wrk()
    step_aside()
    with tempfile.TemporaryDirectory(prefix="keyturn-bench-", dir=options.dir) as name:
        directory = Path(name)
        run = Run(_command(), time.strftime("%Y-%m-%d %H:%M %Z"), facts(directory))
        with local_slack(directory / "slack") as slack:
            template = Template(directory, slack)
            for title, case in _cases(options, directory, template).items():
                if options.only in (None, title):
                    say(title)
                    run.sections.append(case())
                    print(section_text(run.sections[-1]), flush=True)
    out = options.out or (None if options.quick or options.only else REPORT)
    if out is None:
        print("Not written: a short or partial run. Name a file with --out to keep it.", file=sys.stderr)
        return
    out.write_text(markdown(run))
    print(f"Written to {out}", file=sys.stderr)


def _cases(
    options: argparse.Namespace, directory: Path, template: Template
) -> dict[str, Callable[[], Section]]:
    quick: bool = options.quick
    rounds: int = options.rounds or (2 if quick else 5)
    seconds = 2.0 if quick else 5.0
    waiters: int = options.waiters or (200 if quick else 10_000)
    rows = 50_000 if quick else 1_000_000
    pending, overdue = (5_000, 1_000) if quick else (100_000, 10_000)
    return {
        "accepted": lambda: accepted(directory, template, rounds=rounds, seconds=seconds),
        "idle": lambda: idle(directory, template, rounds=rounds, seconds=seconds),
        "waiting": lambda: waiting(directory, template, waiters=waiters, samples=50 if quick else 300),
        "policy": lambda: policy(rounds=rounds),
        "risk": lambda: assessing(rounds=rounds, fuzzed=300 if quick else 3_000),
        "lateness": lambda: lateness(directory, template, seconds=5 if quick else 20),
        "starting": lambda: starting(directory, template, pending=pending, overdue=overdue),
        "audit": lambda: auditing(directory, template, rows=rows, pages=200 if quick else 1000),
    }


_NAMES = ("accepted", "idle", "waiting", "policy", "risk", "lateness", "starting", "audit")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Measure Keyturn against floors in the same run, and write docs/benchmarks.md.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--quick", action="store_true", help="short rounds; prints the report only")
    parser.add_argument("--only", choices=_NAMES, help="run one benchmark; prints it only")
    parser.add_argument("--rounds", type=int, metavar="N", help="paired rounds (5, quick 2)")
    parser.add_argument("--waiters", type=int, metavar="N", help="waiting agents (10000, quick 200)")
    parser.add_argument("--out", type=Path, metavar="FILE", help="where to write the report")
    parser.add_argument(
        "--dir", type=Path, metavar="DIR", help="where databases are made; a disk, not memory"
    )
    options = parser.parse_args()
    if options.waiters is not None and not 2 <= options.waiters <= 10_000:
        parser.error("--waiters must be from 2 to 10000")
    if options.rounds is not None and options.rounds < 1:
        parser.error("--rounds must be at least 1")
    return options


def _command() -> str:
    words = " ".join(shlex.quote(word) for word in sys.argv[1:])
    return f'make bench ARGS="{words}"' if words else "make bench"


if __name__ == "__main__":
    main()
