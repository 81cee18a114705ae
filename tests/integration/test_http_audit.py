"""The audit over HTTP: pages and filters, verification, exports that resume and verify offline."""

import csv
import io
import json
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import httpx
import pytest

from bot.services.audit import verify_export
from tests.integration.http_face import ALLOWED, ASK, World, served


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with served(tmp_path) as made:
        yield made


@pytest.fixture
async def auditor(world: World) -> AsyncIterator[httpx.AsyncClient]:
    token = await world.token("watcher", scopes=["auditor"])
    headers = {"Authorization": f"Bearer {token}"}
    async with httpx.AsyncClient(base_url=world.url, headers=headers, timeout=60) as client:
        yield client


async def ran(world: World, **changes: object) -> str:
    """A request that was approved by its policy and executed."""
    request = (await world.client.post("/v1/requests", json={**ALLOWED, **changes})).json()
    one = f"/v1/requests/{request['id']}"
    await world.client.post(f"{one}/claim", json={"digest": request["decision"]["digest"]})
    undo = {"type": "custom", "handler": "back"}
    await world.client.post(f"{one}/outcome", json={"success": True, "rollback": undo})
    return str(request["id"])


async def items(client: httpx.AsyncClient, **filters: object) -> list[dict[str, object]]:
    answer = await client.get("/v1/audit", params=filters)
    assert answer.status_code == 200, answer.text
    found: list[dict[str, object]] = answer.json()["items"]
    return found


async def test_only_auditors_read_the_audit(world: World, auditor: httpx.AsyncClient) -> None:
    for path in ("/v1/audit", "/v1/audit/verify", "/v1/audit/export"):
        refused = await world.client.get(path)
        assert (refused.status_code, refused.json()["code"]) == (403, "missing_scope")
        assert (await auditor.get(path)).status_code == 200


async def test_an_event_looks_as_it_is_chained(world: World, auditor: httpx.AsyncClient) -> None:
    made = (await world.client.post("/v1/requests", json=ASK)).json()
    [event] = await items(auditor, event="action_requested")
    assert set(event) == {
        *("seq", "at", "event", "actor", "via", "agent"),
        *("request_id", "session_id", "body", "prev_hash", "hash"),
    }
    assert event["actor"] == {"type": "agent", "id": "builder", "name": "builder"}
    assert (event["request_id"], event["agent"], event["via"]) == (made["id"], "builder", "http")


async def test_a_request_that_a_person_approves_leaves_each_event_once(
    world: World, auditor: httpx.AsyncClient
) -> None:
    made = (await world.client.post("/v1/requests", json=ASK)).json()
    await world.approve(made["id"])
    story = [event["event"] for event in reversed(await items(auditor, request_id=made["id"]))]
    assert story == ["action_requested", "policy_applied", "review_recorded", "action_approved"]


async def test_every_filter_narrows(world: World, auditor: httpx.AsyncClient) -> None:
    one = await ran(world, session_id="run-1")
    made = (await world.client.post("/v1/requests", json=ASK)).json()
    await world.reject(made["id"])
    every = await items(auditor)
    now = every[0]["at"]
    for filters, expected in (
        ({"event": "action_rejected"}, {made["id"]}),
        ({"actor": "U0ANA0001"}, {made["id"]}),
        ({"action_type": "always_allowed", "event": "action_executed"}, {one}),
        ({"session_id": "run-1", "event": "action_claimed"}, {one}),
        ({"request_id": made["id"]}, {made["id"]}),
        ({"reversible": "true"}, {one}),
        ({"reversible": "false"}, set()),
        ({"risk": "critical"}, set()),
        ({"agent": "nobody"}, set()),
        ({"since": now, "event": "action_rejected"}, {made["id"]}),
        ({"until": every[-1]["at"]}, set()),
    ):
        found = {event["request_id"] for event in await items(auditor, **filters)}
        assert found == expected, filters
    assert {e["agent"] for e in await items(auditor, agent="builder")} == {"builder"}
    assert await items(auditor, risk="medium", event="action_requested")


async def test_pages_meet_every_event_once(world: World, auditor: httpx.AsyncClient) -> None:
    for _ in range(4):
        await ran(world)
    seen: list[int] = []
    cursor: str | None = None
    while True:
        more = {} if cursor is None else {"cursor": cursor}
        page = (await auditor.get("/v1/audit", params={"limit": 3, **more})).json()
        seen += [event["seq"] for event in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert seen == list(range(seen[0], 0, -1))


@pytest.mark.parametrize(
    "query",
    [
        "limit=0",
        "limit=201",
        "limit=x",
        "cursor=x",
        "risk=huge",
        "event=action_aproved",
        "event=",
        "reversible=maybe",
        "since=yesterday",
        "since=2026-01-31T09:00:00",
        "until=1",
        "event=a&event=b",
        "strange=1",
    ],
)
async def test_a_filter_that_cannot_be_is_refused(auditor: httpx.AsyncClient, query: str) -> None:
    refused = await auditor.get(f"/v1/audit?{query}")
    assert (refused.status_code, refused.json()["code"]) == (422, "invalid_request")


async def test_a_whole_audit_verifies(world: World, auditor: httpx.AsyncClient) -> None:
    await ran(world)
    signed = await world.checkpoints.sign()
    assert signed is not None
    for query in ("", "?full=true", "?full=false"):
        found = (await auditor.get(f"/v1/audit/verify{query}")).json()
        [last] = await items(auditor, limit=1)
        assert found == {
            "ok": True,
            "checked": last["seq"],
            "head": last["hash"],
            "checkpoint": signed.place.seq,
            "problem": None,
        }


async def test_one_changed_byte_is_named(world: World, auditor: httpx.AsyncClient, tmp_path: Path) -> None:
    await ran(world)
    [event] = await items(auditor, event="action_claimed")
    with closing(sqlite3.connect(tmp_path / "keyturn.db")) as raw, raw:
        raw.execute("DROP TRIGGER audit_no_update")
        edited = "CAST(replace(CAST(canonical AS TEXT), 'builder', 'Builder') AS BLOB)"
        raw.execute(f"UPDATE audit SET canonical = {edited} WHERE seq = ?", (event["seq"],))
    found = (await auditor.get("/v1/audit/verify")).json()
    assert found["ok"] is False
    assert (found["problem"]["seq"], found["problem"]["kind"]) == (event["seq"], "edited")


@pytest.mark.parametrize("column", ["event", "actor_id", "agent", "action_type", "risk_level"])
async def test_a_changed_column_is_named_unless_a_fast_look_is_asked_for(
    world: World, auditor: httpx.AsyncClient, tmp_path: Path, column: str
) -> None:
    await ran(world)
    [event] = await items(auditor, event="action_claimed")
    with closing(sqlite3.connect(tmp_path / "keyturn.db")) as raw, raw:
        raw.execute("DROP TRIGGER audit_no_update")
        raw.execute(f"UPDATE audit SET {column} = 'else' WHERE seq = ?", (event["seq"],))
    assert (await auditor.get("/v1/audit/verify", params={"full": "false"})).json()["ok"] is True
    found = (await auditor.get("/v1/audit/verify")).json()
    assert (found["problem"]["seq"], found["problem"]["kind"]) == (event["seq"], "miscopied")


@pytest.mark.parametrize("format", ["jsonl", "csv"])
async def test_an_export_is_whole_and_verifies_offline(
    world: World, auditor: httpx.AsyncClient, format: str
) -> None:
    await ran(world, description='Says "quotes", commas\nand =lines')
    answer = await auditor.get("/v1/audit/export", params={"format": format})
    [last] = await items(auditor, limit=1)
    result = verify_export(io.StringIO(answer.text, newline=""))
    assert result.ok, result.problem
    # The export's own entry comes after what it holds.
    assert result.checked == int(str(last["seq"])) - 1
    assert last["event"] == "audit_exported"
    assert last["body"] == {"format": format, "filters": {}, "after": 0, "through": result.checked}


async def test_an_export_that_broke_off_goes_on(world: World, auditor: httpx.AsyncClient) -> None:
    for _ in range(3):
        await ran(world)
    whole = (await auditor.get("/v1/audit/export")).text.splitlines()
    rest = (await auditor.get("/v1/audit/export", params={"after": 7})).text.splitlines()
    assert rest[: len(whole) - 7] == whole[7:]
    assert json.loads(rest[0])["seq"] == 8


async def test_an_export_is_filtered(world: World, auditor: httpx.AsyncClient) -> None:
    await ran(world)
    answer = await auditor.get("/v1/audit/export", params={"event": "action_claimed", "format": "csv"})
    [row] = csv.DictReader(io.StringIO(answer.text))
    assert row["event"] == "action_claimed"
    assert not verify_export(io.StringIO(answer.text, newline="")).ok
    assert verify_export(io.StringIO(answer.text, newline=""), partial=True).ok
    edited = answer.text.replace("builder", "Builder")
    problem = verify_export(io.StringIO(edited, newline=""), partial=True).problem
    assert problem is not None
    assert problem.kind == "edited"


async def test_a_cell_never_becomes_a_formula(world: World, auditor: httpx.AsyncClient) -> None:
    await ran(world)
    text = (await auditor.get("/v1/audit/export", params={"format": "csv"})).text
    assert all(
        not cell.startswith(("=", "+", "-", "@")) for row in csv.reader(io.StringIO(text)) for cell in row
    )
