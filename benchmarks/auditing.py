"""How fast a long audit is read, verified, exported and reported.

The rows are those of real requests, chained as the store chains them, but written straight into the
file: through the server they would take half an hour.
"""

import asyncio
import http.client
import json
import os
import sqlite3
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from datetime import timedelta
from decimal import Decimal
from itertools import islice
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from benchmarks.machine import REPO, say
from benchmarks.product import Keyturn, Template, settings
from benchmarks.report import Section, Target
from bot.core.chain import GENESIS, link
from bot.core.digest import digest_of
from bot.core.models import (
    Action,
    ApprovalRequest,
    ApproverSet,
    Cause,
    Decision,
    Effect,
    PolicyDecision,
    RequestId,
    Requirement,
    Reviewer,
    RiskAssessment,
    RiskLevel,
    SlackId,
    Status,
    Submission,
)
from bot.core.times import rfc3339
from bot.services import audit
from bot.services.exports import Format
from bot.services.reporting import Reporting
from bot.store import Store
from bot.store.auditing import EVERYTHING, AuditFilter
from bot.store.codec import moment
from bot.store.commands import INSERT_REQUEST
from bot.store.rows import request_columns
from bot.system import SystemClock

_AGENTS, _PEOPLE = 50, 40
_VALID = timedelta(minutes=15)
_EVENTS = ("action_requested", "policy_applied", "review_recorded", "action_approved", "action_claimed")
_BY_PEOPLE = ("review_recorded", "action_approved")
_ACTION = Action("deployment", {})
_DIGEST = digest_of(_ACTION)
_STEP = 1000
"""Microseconds between two rows."""


def auditing(directory: Path, template: Template, *, rows: int, pages: int) -> Section:
    """Pages over HTTP by every filter; verification, export and report on the file."""
    place = template.copy(directory / "audited")
    token = _auditor(place)
    say(f"writing {rows:,} audit rows")
    start = fill(place / "keyturn.db", rows)
    with Keyturn(template, place) as server:
        took = _pages(server.url, token, start, rows, pages)
    fast, full, jsonl, csv, report = asyncio.run(_offline(place / "keyturn.db", rows))
    worst = max(times[1] for times in took.values())
    return Section(
        title="Audit",
        about=f"{rows:,} rows. Pages of 50 over HTTP, one after the other on one connection, each filter from"
        " random places on. Verification, export and report read the file, without a server.",
        head=("", "p50 ms", "p99 ms"),
        rows=[
            *([name, f"{p50:.1f}", f"{p99:.1f}"] for name, (p50, p99) in took.items()),
            ["verify --fast, rows/s", f"{fast:,.0f}", ""],
            ["verify, rows/s", f"{full:,.0f}", ""],
            ["export jsonl, rows/s", f"{jsonl:,.0f}", ""],
            ["export csv, rows/s", f"{csv:,.0f}", ""],
            ["report of all rows, s", f"{report:.1f}", ""],
        ],
        targets=[
            Target(f"audit page p99 <= 10 ms at {rows:,} rows", f"{worst:.1f} ms", worst <= 10),
            Target("verification of the chain (--fast) >= 200,000 rows/s", f"{fast:,.0f}", fast >= 200_000),
        ],
        notes=[] if rows == 1_000_000 else ["The promises are for 1,000,000 rows"],
    )


def fill(database: Path, count: int) -> int:
    """Write `count` chained rows behind those that are there; the time of the first, in microseconds."""
    with closing(sqlite3.connect(database)) as file, file:
        seq, start, head = file.execute("SELECT seq, at, hash FROM chain_head").fetchone()
        rows = _rows(seq, start, head or GENESIS, count)
        last: Sequence[Any] = ()
        while batch := list(islice(rows, 10_000)):
            file.executemany(_INSERT, batch)
            last = batch[-1]
        file.executemany(INSERT_REQUEST, _requests(start, -(-count // len(_EVENTS))))
        seq, at, *_, hashed = last
        file.execute("UPDATE chain_head SET seq = ?, at = ?, hash = ?", (seq, at, hashed))
        file.execute("ANALYZE")
    return int(start)


def _requests(start: int, count: int) -> Iterator[dict[str, Any]]:
    """The requests that the rows are about, as they stand after their last event."""
    nothing = Submission(_ACTION, "Deploy it.")
    risk = RiskAssessment(RiskLevel.MEDIUM, Decimal(45), (), "require_approval")
    policy = PolicyDecision("default", "sha256:0", "default", Effect.REVIEW, "Nothing else matched.")
    for ask in range(count):
        at = moment(start + ask * len(_EVENTS) * _STEP)
        by = Reviewer(SlackId(_person(ask)), "Somebody")
        yield request_columns(
            ApprovalRequest(
                id=RequestId(f"req_{ask:032x}"),
                agent=f"agent-{ask % _AGENTS}",
                owner=None,
                submission=nothing,
                digest=_DIGEST,
                preview_digest=None,
                risk=risk,
                policy=policy,
                requirement=Requirement(1, False, (ApproverSet(None, "users", (by.id,)),)),
                status=Status.APPROVED,
                cause=Cause.HUMAN,
                decision=Decision(
                    Status.APPROVED, (by,), None, at, params={}, digest=_DIGEST, expires_at=at + _VALID
                ),
                created_at=at,
                updated_at=at,
                version=2,
            )
        )


def _person(ask: int) -> str:
    return f"U0PPL{ask % _PEOPLE:04d}"


def _rows(seq: int, start: int, prev: bytes, count: int) -> Iterator[Sequence[Any]]:
    for number in range(count):
        seq += 1
        at = start + number * _STEP
        ask, event = number // len(_EVENTS), _EVENTS[number % len(_EVENTS)]
        agent, session, request = f"agent-{ask % _AGENTS}", f"run-{ask // 20}", f"req_{ask:032x}"
        actor, said = _said(seq, at, event, _person(ask), agent, request, session)
        hashed = link(prev, said)
        yield seq, at, event, actor, agent, request, session, "deployment", "medium", said, prev, hashed
        prev = hashed


def _said(
    seq: int, at: int, event: str, person: str, agent: str, request: str, session: str
) -> tuple[str, bytes]:
    """Who acted, and the row's bytes."""
    actor = person if event in _BY_PEOPLE else agent
    after = {"status": "approved", "version": 2, "digest": _DIGEST, "decision": {"by": [person]}}
    body = {
        "after": after,
        "before": {"status": "pending", "version": 1},
        "risk": "medium",
        "type": "deployment",
    }
    kind = "agent" if actor == agent else "human"
    return actor, json.dumps(
        {
            "actor": {"id": actor, "name": actor, "type": kind},
            "agent": agent,
            "at": rfc3339(moment(at)),
            "body": body,
            "event": event,
            "request_id": request,
            "seq": seq,
            "session_id": session,
            "via": "http",
        },
        sort_keys=True,
        separators=(",", ":"),
    ).encode()


def _auditor(place: Path) -> str:
    command = [
        sys.executable,
        "-m",
        "bot.cli",
        "agents",
        "add",
        "watcher",
        "--no-owner",
        "--scope",
        "auditor",
    ]
    environment = {**os.environ, **settings(place), "PYTHONPATH": str(REPO)}
    done = subprocess.run(command, env=environment, cwd=place, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def _pages(url: str, token: str, start: int, rows: int, pages: int) -> dict[str, tuple[float, float]]:
    """p50 and p99 of a page, by filter."""
    say("reading pages")
    filters: dict[str, dict[str, str]] = {
        "newest": {},
        "event": {"event": "action_approved"},
        "actor": {"actor": "U0PPL0003"},
        "agent": {"agent": "agent-7"},
        "agent and event": {"agent": "agent-7", "event": "action_claimed"},
        "session": {"session_id": "run-77"},
        "request": {"request_id": f"req_{77:032x}"},
        "risk": {"risk": "medium"},
        "window of time": {
            "since": rfc3339(moment(start + rows // 4 * _STEP)),
            "until": rfc3339(moment(start + rows // 2 * _STEP)),
            "event": "action_requested",
        },
    }
    host = url.removeprefix("http://")
    with closing(http.client.HTTPConnection(host)) as connection:
        return {name: _timed(connection, token, given, rows, pages) for name, given in filters.items()}


def _timed(
    connection: http.client.HTTPConnection, token: str, given: dict[str, str], rows: int, pages: int
) -> tuple[float, float]:
    took = []
    for number in range(pages):
        cursor = {} if number == 0 else {"cursor": str(1 + number * 7919 * 31 % rows)}
        began = time.perf_counter()
        path = f"/v1/audit?{urlencode({**given, **cursor})}"
        connection.request("GET", path, headers={"Authorization": f"Bearer {token}"})
        answer = connection.getresponse()
        body = answer.read()
        took.append((time.perf_counter() - began) * 1000)
        if answer.status != 200:
            raise RuntimeError(f"{path}: {answer.status} {body[:300]!r}")
    return statistics.median(took), statistics.quantiles(took, n=100)[98]


async def _offline(database: Path, rows: int) -> tuple[float, float, float, float, float]:
    say("verifying, exporting, reporting")
    async with Store.reading(f"sqlite:///{database}") as reads:
        speeds = []
        for full in (False, True):
            began = time.perf_counter()
            found = await audit.verify(reads, full=full)
            speeds.append(found.checked / (time.perf_counter() - began))
            if not found.ok:
                raise RuntimeError(f"the audit is not whole: {found.problem}")
        for format in (Format.JSONL, Format.CSV):
            began = time.perf_counter()
            through = (await reads.chain_head()).seq
            async for _ in audit.export(reads, EVERYTHING, format, after=0, through=through):
                pass
            speeds.append(rows / (time.perf_counter() - began))
        began = time.perf_counter()
        await Reporting(reads, SystemClock()).page(AuditFilter())
        fast, full_speed, jsonl, csv = speeds
        return fast, full_speed, jsonl, csv, time.perf_counter() - began


_INSERT = (
    "INSERT INTO audit (seq, at, event, actor_id, agent, request_id, session_id, action_type, risk_level,"
    " canonical, prev_hash, hash) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
