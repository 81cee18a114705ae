"""The report: what was measured, beside what was promised, in Markdown."""

from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Target:
    """A promised figure. `met` compares what was measured with what was promised."""

    promise: str
    measured: str
    met: bool


@dataclass(frozen=True, slots=True)
class Section:
    """One benchmark's part of the report."""

    title: str
    about: str
    """What was measured, and how, in a paragraph."""
    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    targets: Sequence[Target] = ()
    notes: Sequence[str] = ()
    """What a reader must know before believing the figures."""


@dataclass(frozen=True, slots=True)
class Run:
    """All of one run."""

    command: str
    date: str
    machine: Sequence[tuple[str, str]]
    sections: list[Section] = field(default_factory=list)


HOW_TO_READ = """\
## How to read this

Only ratios travel: absolute figures are this machine's, a ratio compares two servers that ran
side by side in the same rounds on the same core. A figure such as `0.62 (0.58 to 0.66)` is the
median of the rounds' ratios with the lowest and the highest round. `not yet` means what it says.

- **The commit floor** is a bare Starlette server that validates the same body and writes one row
  and two chained audit rows, 128 waiting requests at most in one commit, `synchronous=FULL`. Its
  row is padded until it stores as many bytes for a request as Keyturn (with *small rows* it is
  not). It has no authentication, risk, policy, cards, idempotency or audit queries.
- **Commit per request** is the same server with one commit for each request: what most services do.
- **The bare server** is the same server without any storage.
- wrk waits for an answer before it sends the next request on a connection, so its p99 says little
  about queueing under more load than the server can take.
- The server has one core to itself and the load another. A server left free to use both is slower.
- A disk that answers an fsync without writing makes every durable server look better; the ratios
  to the commit floor move least.
"""


def markdown(run: Run) -> str:
    """The whole report."""
    parts = [
        "# Benchmarks\n",
        f"Written by `{run.command}` on {run.date}. Run it again on your machine: `make bench`.\n",
        table(("machine", ""), run.machine),
        "## Promises\n",
        table(("", "promise", "measured", "stands"), _promises(run.sections)),
        *(section_text(section) for section in run.sections),
        HOW_TO_READ,
    ]
    return "\n".join(parts)


def section_text(section: Section) -> str:
    """One benchmark: its words, its table, its warnings."""
    parts = [f"## {section.title}\n", section.about + "\n", table(section.head, section.rows)]
    parts += [f"- {note}." for note in section.notes]
    return "\n".join(parts) + ("\n" if section.notes else "")


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [_row(head), _row(["---"] * len(head)), *(_row(row) for row in rows)]
    return "\n".join(lines) + "\n"


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _promises(sections: Sequence[Section]) -> list[list[str]]:
    return [
        [section.title, target.promise, target.measured, "met" if target.met else "**not yet**"]
        for section in sections
        for target in section.targets
    ]
