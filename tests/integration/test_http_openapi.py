"""The OpenAPI document and the running face say the same: schemathesis, with every check, finds nothing."""

import asyncio
import re
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tests.integration.http_face import ALLOWED, ASK, BLOCKED, World, served

EXAMPLES = 10
"""For each operation and phase; the coverage phase adds its own, systematic ones."""

CONFIG = """
[[operations]]
# A schema cannot say whether a group may be escalated to, a host called, an own schema satisfied,
# a time has passed, or a number is exact.
include-name = [
    "POST /v1/requests",
    "POST /v1/evaluate",
    "POST /v1/requests/{{id}}/outcome",
    "POST /v1/sessions",
    "POST /compat/safeguards/request-approval",
]

[operations.checks.positive_data_acceptance]
expected-statuses = ["2xx", "401", "403", "404", "409", "422", "429"]

[[operations]]
# There is seldom any work here, so each example would be held for as long as it asks.
include-name = "GET /v1/rollbacks"
parameters = {{ wait = 0 }}

[[operations]]
include-name = ["POST /v1/requests/{{id}}/messages"]
parameters = {{ id = "{pending}" }}

[[operations]]
# Decided, so that no example is held.
include-name = [
    "GET /v1/requests/{{id}}",
    "GET /v1/requests/{{id}}/events",
    "POST /v1/requests/{{id}}/cancel",
]
parameters = {{ id = "{decided}" }}

[[operations]]
include-name = ["POST /v1/requests/{{id}}/claim"]
parameters = {{ id = "{approved}" }}

[[operations]]
include-name = ["POST /v1/requests/{{id}}/outcome"]
parameters = {{ id = "{claimed}" }}

[[operations]]
include-name = ["POST /v1/requests/{{id}}/rollback"]
parameters = {{ id = "{done}" }}

[[operations]]
include-name = [
    "GET /v1/rollbacks/{{id}}",
    "POST /v1/rollbacks/{{id}}/claim",
    "POST /v1/rollbacks/{{id}}/outcome",
]
parameters = {{ id = "{rollback}" }}

[[operations]]
include-name = [
    "GET /v1/sessions/{{id}}",
    "GET /v1/sessions/{{id}}/timeline",
    "POST /v1/sessions/{{id}}/rollback",
]
parameters = {{ id = "run-1" }}

[[operations]]
include-name = ["GET /compat/safeguards/requests/{{client_id}}"]
parameters = {{ client_id = "alert-1" }}
"""
CALLS = {
    "POST /v1/requests",
    "GET /v1/requests",
    "GET /v1/requests/{id}",
    "GET /v1/requests/{id}/events",
    "POST /v1/requests/{id}/cancel",
    "POST /v1/requests/{id}/claim",
    "POST /v1/requests/{id}/outcome",
    "POST /v1/requests/{id}/messages",
    "POST /v1/evaluate",
    "POST /v1/sessions",
    "POST /v1/sessions/{id}/end",
    "GET /v1/sessions/{id}",
    "GET /v1/sessions/{id}/timeline",
    "GET /v1/rollbacks",
    "GET /v1/rollbacks/{id}",
    "POST /v1/rollbacks/{id}/claim",
    "POST /v1/rollbacks/{id}/outcome",
    "POST /v1/requests/{id}/rollback",
    "POST /v1/sessions/{id}/rollback",
    "GET /v1/audit",
    "GET /v1/audit/verify",
    "GET /v1/audit/export",
    "POST /compat/safeguards/request-approval",
    "GET /compat/safeguards/requests/{client_id}",
    "GET /healthz",
    "GET /readyz",
    "GET /metrics",
    "GET /.well-known/jwks.json",
}
UNDO = {"type": "custom", "handler": "rebuild"}


async def test_schemathesis_finds_nothing(tmp_path: Path) -> None:
    async with _prepared(tmp_path) as (world, config):
        text = await _schemathesis(world, config)
    assert _number("Tested: +([0-9]+)", text) == len(CALLS)
    assert _number("([0-9]+) generated", text) > 50 * len(CALLS)
    assert "Rate limited" not in text


async def test_schemathesis_finds_nothing_with_an_operators_token(tmp_path: Path) -> None:
    async with _prepared(tmp_path) as (world, config):
        world.client.headers["authorization"] = f"Bearer {await world.token('ops', scopes=['operator'])}"
        text = await _schemathesis(world, config, "--include-path-regex=(cancel|rollback)$")
    assert _number("Tested: +([0-9]+)", text) == 3
    assert "401/403" not in text


@asynccontextmanager
async def _prepared(directory: Path) -> AsyncIterator[tuple[World, Path]]:
    """A face with something to find, and schemathesis's settings that name it."""
    async with served(directory) as world:
        world.health.beat("outbox")
        beating = asyncio.create_task(_beat(world))
        config = directory / "schemathesis.toml"
        config.write_text(CONFIG.format(**await _stored(world)))
        yield world, config
        beating.cancel()


def _number(pattern: str, text: str) -> int:
    found = re.search(pattern, text)
    assert found is not None, text
    return int(found[1])


async def _stored(world: World) -> dict[str, str]:
    """Ids of requests and of a rollback that have come far enough for every call to find its matter.

    The client is from here on an agent that may also audit.
    """
    token = await world.token("tester", scopes=["agent", "auditor"], callback_hosts=["hooks.example.com"])
    operator = {"Authorization": f"Bearer {await world.token('operator', scopes=['operator'])}"}
    world.client.headers["authorization"] = f"Bearer {token}"
    alert = {"id": "alert-1", "title": "T"}
    assert (await world.client.post("/compat/safeguards/request-approval", json=alert)).status_code == 202
    ids = {"pending": await _asked(world, ASK), "decided": await _asked(world, BLOCKED)}
    for name in ("approved", "claimed", "done", "undone"):
        ids[name] = await _asked(world, {**ALLOWED, "session_id": "run-1"})
    for name in ("claimed", "done", "undone"):
        one = f"/v1/requests/{ids[name]}"
        digest = (await world.client.get(one)).json()["digest"]
        await world.client.post(f"{one}/claim", json={"digest": digest})
        if name != "claimed":
            told = await world.client.post(f"{one}/outcome", json={"success": True, "rollback": UNDO})
            assert told.status_code == 200, told.text
    begun = await world.client.post(
        f"/v1/requests/{ids['undone']}/rollback", json={"reason": "It broke."}, headers=operator
    )
    assert begun.status_code == 202, begun.text
    return {**ids, "rollback": begun.json()["id"]}


async def _asked(world: World, body: dict[str, object]) -> str:
    made = await world.client.post("/v1/requests", json=body)
    assert made.status_code == 201, made.text
    return str(made.json()["id"])


async def _beat(world: World) -> None:
    """What the outbox's loop does, so that readiness holds for as long as the run takes."""
    while True:
        world.health.beat("outbox")
        await asyncio.sleep(5)


async def _schemathesis(world: World, config: Path, *options: str) -> str:
    """What it says; it must have found nothing."""
    process = await asyncio.create_subprocess_exec(
        str(Path(sys.executable).with_name("schemathesis")),
        f"--config-file={config}",
        "run",
        f"{world.url}/openapi.json",
        f"--header=Authorization: {world.client.headers['authorization']}",
        "--checks=all",
        f"--max-examples={EXAMPLES}",
        "--seed=1",
        "--no-color",
        *options,
        cwd=config.parent,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    assert process.returncode == 0, output.decode()
    return output.decode()


async def test_the_document_names_every_call_and_its_security(tmp_path: Path) -> None:
    async with served(tmp_path) as world:
        document = (await world.client.get("/openapi.json")).json()
    calls = {f"{method.upper()} {path}" for path, item in document["paths"].items() for method in item}
    assert calls == CALLS
    assert document["components"]["securitySchemes"]["token"]["scheme"] == "bearer"
    submit = document["paths"]["/v1/requests"]["post"]
    assert {p["name"] for p in submit["parameters"]} == {"Idempotency-Key", "Prefer"}
    assert set(submit["responses"]) == {
        *("200", "201", "400", "401", "403", "409", "413", "415", "422", "429", "503")
    }
    assert "x-reference" not in str(document)
