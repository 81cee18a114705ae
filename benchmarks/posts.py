"""How many requests a second Keyturn accepts, beside bare servers that store as much or nothing.

A request here is one that needs a person: it is authenticated, validated, scored, judged by the
policy, and stored with its audit rows, its card and its idempotency key before the 201 is sent.
"""

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.machine import Floor, Load, cpu_seconds, say, wrk
from benchmarks.product import Keyturn, Template
from benchmarks.report import Section, Target
from benchmarks.rounds import Ratio, ratio, turned, uneven

CONNECTIONS = 64
KEYTURN, RELAXED = "Keyturn", "Keyturn, NORMAL"
FLOOR, LEAN, NAIVE, BARE = "commit floor", "commit floor, small rows", "commit each", "bare"
_MODES = {FLOOR: "group", LEAN: "group", NAIVE: "naive", BARE: "none"}
_PADDED = frozenset({FLOOR, NAIVE})
"""Floors that store as many bytes for a request as Keyturn does."""

_SYNCHRONOUS = {KEYTURN: "FULL", RELAXED: "NORMAL"}
WARM_UP = 1.0
"""Seconds before anything counts: imports, caches and prepared statements."""


@dataclass(slots=True)
class Measured:
    """One server's rounds."""

    loads: list[Load] = field(default_factory=list)
    cpu_us: list[float] = field(default_factory=list)
    """Processor time for each accepted request, in microseconds."""
    stored_kib: list[float] = field(default_factory=list)

    @property
    def per_second(self) -> list[float]:
        """Accepted requests a second, by round."""
        return [load.per_second for load in self.loads]


Results = Mapping[str, Measured]


def accepted(directory: Path, template: Template, *, rounds: int, seconds: float) -> Section:
    """The rate at 64 connections."""
    pad = padding(directory, template)
    results = _run(directory, template, list(_MODES | _SYNCHRONOUS), CONNECTIONS, rounds, seconds, pad)
    return rate_section(results)


def idle(directory: Path, template: Template, *, rounds: int, seconds: float) -> Section:
    """The latency of one connection that sends one request after another."""
    pad = padding(directory, template)
    return idle_section(_run(directory, template, [FLOOR, KEYTURN], 1, rounds, seconds, pad))


def padding(directory: Path, template: Template) -> int:
    """By how many bytes Keyturn stores more for a request than the floor with small rows."""
    lean, keyturn = Measured(), Measured()
    with tempfile.TemporaryDirectory(prefix="size-", dir=directory) as sizes:
        for name, into in ((LEAN, lean), (KEYTURN, keyturn)):
            _one(name, Path(sizes) / name, template, CONNECTIONS, WARM_UP, into, 0)
    return max(0, round((keyturn.stored_kib[0] - lean.stored_kib[0]) * 1024))


def rate_section(results: Results) -> Section:
    """What the rounds at 64 connections say."""
    rate = {name: result.per_second for name, result in results.items()}
    floor = ratio(rate[KEYTURN], rate[FLOOR])
    naive = ratio(rate[KEYTURN], rate[NAIVE])
    durable = ratio(rate[KEYTURN], rate[RELAXED])
    return Section(
        title="Accepted requests",
        about=f"POST /v1/requests of 560 bytes over {CONNECTIONS} connections, each with a key of its own,"
        " one server process on one core. After each round of Keyturn the 201s it counted equal the"
        " requests in its database, and no call failed.",
        head=(
            "server",
            "requests/s",
            "of the commit floor",
            "p50 / p99 ms",
            "CPU us each",
            "KiB stored each",
        ),
        rows=[_rate_row(name, result, rate[FLOOR]) for name, result in results.items()],
        targets=[
            _target(">= 0.60 of a bare server that commits the same bytes durably", floor, 0.60),
            _target(">= 2.5 times a server that commits each request", naive, 2.5),
            _target("synchronous=FULL >= 0.90 of NORMAL", durable, 0.90),
        ],
        notes=uneven({FLOOR: rate[FLOOR], NAIVE: rate[NAIVE]}),
    )


def idle_section(results: Results) -> Section:
    """What the rounds at one connection say."""
    p50, p99 = (
        ratio(
            [pick(load) for load in results[KEYTURN].loads],
            [pick(load) for load in results[FLOOR].loads],
        )
        for pick in (lambda load: load.p50_ms, lambda load: load.p99_ms)
    )
    return Section(
        title="Latency when idle",
        about="One connection that posts one request after another: batching may not make a lone one wait.",
        head=("server", "p50 ms", "p99 ms"),
        rows=[
            [name, _middle(result, "p50_ms"), _middle(result, "p99_ms")] for name, result in results.items()
        ]
        + [["Keyturn / commit floor", str(p50), str(p99)]],
        targets=[Target("p50 <= 3 times the commit floor", str(p50), p50.median <= 3)],
        notes=uneven({FLOOR: [load.p50_ms for load in results[FLOOR].loads]}),
    )


def _run(
    directory: Path,
    template: Template,
    names: Sequence[str],
    connections: int,
    rounds: int,
    seconds: float,
    pad: int,
) -> dict[str, Measured]:
    results = {name: Measured() for name in names}
    for round in range(rounds):
        for name in turned(names, round):
            place = directory / f"{name.replace(', ', '-').replace(' ', '-')}-{connections}-{round}"
            _one(name, place, template, connections, seconds, results[name], pad)
            load = results[name].loads[-1]
            say(f"round {round + 1}/{rounds}  {name:24} {load.per_second:8,.0f}/s  p99 {load.p99_ms:.1f} ms")
    return results


def _one(
    name: str, place: Path, template: Template, connections: int, seconds: float, into: Measured, pad: int
) -> None:
    """Load one server and add what it did."""
    server: Floor | Keyturn
    if name in _MODES:
        server, token = Floor(_MODES[name], place, pad=pad if name in _PADDED else 0), ""
    else:
        server = Keyturn(template, template.copy(place), synchronous=_SYNCHRONOUS[name])
        token = template.token
    with server:
        warm = wrk(server.url, connections=connections, seconds=WARM_UP, token=token, tag="w")
        spent = cpu_seconds(server.pid)
        load = wrk(server.url, connections=connections, seconds=seconds, token=token)
        into.cpu_us.append((cpu_seconds(server.pid) - spent) / load.answers * 1e6)
        into.loads.append(load)
        if warm.errors + load.errors:
            raise RuntimeError(f"{name} failed {warm.errors + load.errors} calls; see {server.log}")
        if isinstance(server, Keyturn):
            _check(server, warm.answers + load.answers, 2 * connections)
    answers = warm.answers + load.answers
    size = server.database.stat().st_size if server.database.exists() else 0
    into.stored_kib.append(size / 1024 / answers)


def _check(server: Keyturn, seen: int, under_way: int) -> None:
    """Every 201 is a stored request and the other way round; wrk drops the last answers when it ends."""
    counted, stored = server.settled()
    if counted != stored or not seen <= stored <= seen + under_way:
        raise RuntimeError(f"wrk saw {seen} answers, Keyturn counted {counted} and stored {stored}")


def _rate_row(name: str, result: Measured, floor: Sequence[float]) -> list[str]:
    return [
        name,
        f"{_median(result.per_second):,.0f}",
        str(ratio(result.per_second, floor)),
        f"{_middle(result, 'p50_ms')} / {_middle(result, 'p99_ms')}",
        f"{_median(result.cpu_us):,.0f}",
        f"{_median(result.stored_kib):.1f}",
    ]


def _target(promise: str, measured: Ratio, least: float) -> Target:
    return Target(promise, str(measured), measured.median >= least)


def _middle(result: Measured, what: str) -> str:
    return f"{_median([getattr(load, what) for load in result.loads]):.2f}"


def _median(values: Sequence[float]) -> float:
    return sorted(values)[len(values) // 2]
