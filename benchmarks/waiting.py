"""From a reviewer's click to the waiting agent's answer, with many agents waiting.

Each waiter is a connection of its own that holds `GET /v1/requests/{id}?wait=55`. A click is a
signed interaction over HTTP, as Slack sends it.

The promise is about the way from the decision to the agent. It runs from `decided_at`, the time on the
record, which is taken when the rule has been asked and before the write is queued, until the agent has
read its answer: the queue, the transaction, the durable commit, the wake-up, the answer, both sockets.
Server and agents read one machine's clock. What comes before it (the click's way here, Slack's signature,
Bolt, who the reviewer is) belongs to the click; the whole, from before the click's bytes are sent, stands
beside it.

A waiter's memory is that of its connection and of the call that it holds, by how much the server's
resident memory grows while they connect and begin to wait, all at the same moment.
"""

import asyncio
import random
import time
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import uvloop

from benchmarks.machine import resident_kib, say
from benchmarks.product import REVIEWER, Keyturn, Template
from benchmarks.report import Section, Target
from benchmarks.rounds import percentile
from benchmarks.wire import Connection, json_of
from tests.processes import block_action, signed

POSTERS = 32
"""Connections that make the requests, and that cancel them at the end."""
POLLS = (1, 3, 5)
"""Seconds between two looks of an agent that polls."""
BODY = (
    b'{"type":"deployment","description":"Ship it.","params":{"environment":"production","version":"7"},'
    b'"session_id":null}'
)


@dataclass(frozen=True, slots=True)
class Woken:
    """What was measured. Times in milliseconds."""

    waiters: int
    wakes: list[float]
    """From the decision on record to the agent."""
    clicks: list[float]
    """From before the click was sent to the agent."""
    acks: list[float]
    """From before the click was sent to the answer that Slack gets."""
    get_ms: float
    """One GET of a request, without waiting."""
    connection_kib: float
    call_kib: float
    bulk: int
    bulk_ms: float


def waiting(directory: Path, template: Template, *, waiters: int, samples: int) -> Section:
    """The whole case, on one server."""
    with (
        Keyturn(template, template.copy(directory / "waiting")) as server,
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        woken = runner.run(_measure(server, waiters, samples))
    return section(woken)


def section(woken: Woken) -> Section:
    """What it says."""
    p50, p99 = percentile(woken.wakes, 0.5), percentile(woken.wakes, 0.99)
    kib = woken.connection_kib + woken.call_kib
    rows = [
        ["Keyturn, held call, from the decision", f"{p50:.1f}", f"{p99:.1f}", "none"],
        ["Keyturn, held call, from the click", *_both(woken.clicks), "none"],
        *(_polling(seconds, woken) for seconds in POLLS),
        ["(the click's own answer to Slack)", *_both(woken.acks), ""],
        [f"(all other {woken.bulk:,}, cancelled at once)", f"{woken.bulk_ms:.0f} in all", "", ""],
    ]
    return Section(
        title="Decision to waiting agent",
        about=f"{woken.waiters:,} agents wait, each on a request and a connection of its own;"
        f" {len(woken.wakes)} of the requests, chosen at random, are approved one after the other by signed"
        " clicks. From the decision: from the time on its record, taken before it is committed, until the"
        " agent has read it. From the click: from before the click is sent. Beside it, what an agent that"
        " asks again every few seconds would get: half its period at the median, plus one GET"
        f" ({woken.get_ms:.1f} ms here). A waiter takes {kib:.1f} KiB: its connection"
        f" {woken.connection_kib:.1f}, its held call {woken.call_kib:.1f}.",
        head=("the agent", "p50 ms", "p99 ms", f"load of {woken.waiters:,} agents"),
        rows=rows,
        targets=[
            Target("decision to agent, p50 <= 2 ms", f"{p50:.1f} ms", p50 <= 2),
            Target("decision to agent, p99 <= 10 ms", f"{p99:.1f} ms", p99 <= 10),
            Target("<= 12 KiB a waiter, its connection included", f"{kib:.1f} KiB", kib <= 12),
        ],
        notes=[] if woken.waiters >= 10_000 else ["The promise is for 10,000 waiters: `--waiters 10000`"],
    )


def _both(took: list[float]) -> tuple[str, str]:
    return f"{percentile(took, 0.5):.1f}", f"{percentile(took, 0.99):.1f}"


def _polling(seconds: int, woken: Woken) -> list[str]:
    return [
        f"polls every {seconds} s",
        f"{seconds * 500 + woken.get_ms:,.0f}",
        f"{seconds * 990 + woken.get_ms:,.0f}",
        f"{woken.waiters / seconds:,.0f} GET/s",
    ]


class _Waiter:
    """An agent that waits for one request, again and again until it is decided."""

    def __init__(self, connection: Connection, request: dict[str, Any], headers: dict[str, str]) -> None:
        self.id: str = request["id"]
        self.digest: str = request["digest"]
        self._connection = connection
        self._headers = headers
        self._decided: asyncio.Future[tuple[float, float]] = asyncio.get_running_loop().create_future()

    async def run(self) -> None:
        """Wait; note the moment at which the decision was read, and how old it was."""
        while True:
            answer = await self._connection.call("GET", f"/v1/requests/{self.id}?wait=55", self._headers)
            read, read_at = time.perf_counter(), time.time()
            request = json_of(answer)
            if request["status"] != "pending":
                decided_at = datetime.fromisoformat(request["decision"]["decided_at"]).timestamp()
                self._decided.set_result((read, (read_at - decided_at) * 1000))
                return

    async def told(self) -> tuple[float, float]:
        """The moment at which the decision was read, and the milliseconds since `decided_at`."""
        return await self._decided


async def _measure(server: Keyturn, count: int, samples: int) -> Woken:
    headers = {"Authorization": f"Bearer {server.token}", "Content-Type": "application/json"}
    posters = [await Connection.open(server.url) for _ in range(min(POSTERS, count))]
    say(f"posting {count:,} requests")
    requests = await _spread(posters, [("POST", "/v1/requests", BODY)] * count, headers, expected=201)
    await _warm(server, posters[0], headers)
    at_first = resident_kib(server.pid)
    connections = await _connect(server.url, count)
    connected = resident_kib(server.pid)
    waiters = [_Waiter(c, r, headers) for c, r in zip(connections, requests, strict=True)]
    async with asyncio.TaskGroup() as tasks:
        for waiter in waiters:
            tasks.create_task(waiter.run())
        await _until_waiting(posters[0], count)
        await asyncio.sleep(1)  # for the server to find that each of them has something to wait for
        waiting = resident_kib(server.pid)
        say(f"{count:,} agents wait, {(waiting - at_first) / count:.1f} KiB each; clicking {samples} times")
        chosen = random.sample(waiters, min(samples, count // 2))
        wakes, clicks, acks = await _clicks(server, chosen)
        get_ms = await _get_ms(posters[0], chosen[0].id, headers)
        rest = [waiter for waiter in waiters if waiter not in set(chosen)]
        say(f"cancelling the other {len(rest):,}")
        bulk_ms = await _cancel_all(posters, rest, headers)
    for connection in [*connections, *posters]:
        await connection.close()
    return Woken(
        waiters=count,
        wakes=wakes,
        clicks=clicks,
        acks=acks,
        get_ms=get_ms,
        connection_kib=(connected - at_first) / count,
        call_kib=(waiting - connected) / count,
        bulk=len(rest),
        bulk_ms=bulk_ms,
    )


async def _connect(url: str, count: int) -> list[Connection]:
    connections: list[Connection] = []
    while len(connections) < count:
        some = min(200, count - len(connections))
        connections += await asyncio.gather(*(Connection.open(url) for _ in range(some)))
    return connections


async def _warm(server: Keyturn, connection: Connection, headers: dict[str, str]) -> None:
    """A few clicks, so that Slack has been asked who the reviewer is and every module is loaded."""
    for _ in range(20):
        request = json_of(await connection.call("POST", "/v1/requests", headers, BODY), 201)
        body, click = signed(server.signing_secret, _approval(request["id"], request["digest"]))
        await connection.call("POST", "/slack/events", click, body)
        json_of(await connection.call("GET", f"/v1/requests/{request['id']}?wait=5", headers))


async def _until_waiting(connection: Connection, count: int) -> None:
    """Until the server says that all of them wait."""
    async with asyncio.timeout(120):
        while True:
            _, text = await connection.call("GET", "/metrics", {})
            if f"\nkeyturn_waiters {float(count)}\n" in text.decode():
                return
            await asyncio.sleep(0.05)


async def _clicks(server: Keyturn, chosen: list[_Waiter]) -> tuple[list[float], list[float], list[float]]:
    """Milliseconds of each: from the decision and from the click to the agent, and to Slack's answer."""
    connection = await Connection.open(server.url)
    wakes, clicks, acks = [], [], []
    for waiter in chosen:
        body, headers = signed(server.signing_secret, _approval(waiter.id, waiter.digest))
        began = time.perf_counter()
        connection.send("POST", "/slack/events", headers, body)
        async with asyncio.timeout(30):
            read, age = await waiter.told()
            status, answer = await connection.answer()
        acked = time.perf_counter()
        if status != 200:
            raise RuntimeError(f"a click was answered {status}: {answer.decode(errors='replace')[:500]}")
        wakes.append(age)
        clicks.append((read - began) * 1000)
        acks.append((acked - began) * 1000)
        await asyncio.sleep(random.uniform(0.002, 0.01))  # not in step with anything the server does
    await connection.close()
    return wakes, clicks, acks


def _approval(id: str, digest: str) -> dict[str, Any]:
    trigger = f"{random.getrandbits(48)}.1"
    return block_action("request.approve", f"{id} {digest}", REVIEWER, trigger=trigger)


async def _get_ms(connection: Connection, id: str, headers: dict[str, str]) -> float:
    took = []
    for _ in range(100):
        began = time.perf_counter()
        json_of(await connection.call("GET", f"/v1/requests/{id}", headers))
        took.append((time.perf_counter() - began) * 1000)
    return percentile(took, 0.5)


async def _cancel_all(posters: list[Connection], rest: list[_Waiter], headers: dict[str, str]) -> float:
    """Cancel them as fast as it goes; milliseconds until the last of them has heard of it."""
    calls = [("POST", f"/v1/requests/{waiter.id}/cancel", b"{}") for waiter in rest]
    began = time.perf_counter()
    await _spread(posters, calls, headers, expected=200)
    told = [await waiter.told() for waiter in rest]
    return (max((read for read, _ in told), default=began) - began) * 1000


async def _spread(
    connections: list[Connection],
    calls: list[tuple[str, str, bytes]],
    headers: dict[str, str],
    *,
    expected: int,
) -> list[dict[str, Any]]:
    """Make the calls over all connections at once; their answers."""
    left = iter(calls)
    answers: list[dict[str, Any]] = []

    async def work(connection: Connection) -> None:
        for method, path, body in left:
            answers.append(json_of(await connection.call(method, path, headers, body), expected))

    async with asyncio.TaskGroup() as tasks:
        for connection in connections:
            tasks.create_task(work(connection))
    return answers
