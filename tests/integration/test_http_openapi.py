"""The OpenAPI document and the running face say the same: schemathesis, with every check, finds nothing."""

import asyncio
import sys
from pathlib import Path

from tests.integration.http_face import World, served

EXAMPLES = 4
"""For each operation and phase; the coverage phase adds its own, systematic ones."""

CONFIG = """
[[operations]]
# A schema cannot say whether a group may be escalated to, a host called, an own schema satisfied,
# a time has passed, or a number is exact.
include-name = [
    "POST /v1/requests",
    "POST /v1/evaluate",
    "POST /v1/requests/{id}/outcome",
    "POST /v1/sessions",
    "POST /compat/safeguards/request-approval",
]

[operations.checks.positive_data_acceptance]
expected-statuses = ["2xx", "401", "403", "404", "409", "422", "429"]

[[operations]]
# There is never any work here, so each example would be held for as long as it asks.
include-name = "GET /v1/rollbacks"
parameters = { wait = 0 }
"""


async def test_schemathesis_finds_nothing(tmp_path: Path) -> None:
    async with served(tmp_path) as world:
        world.health.beat("outbox")
        beating = asyncio.create_task(_beat(world))
        scopes = ["agent", "auditor"]
        token = await world.token("tester", scopes=scopes, callback_hosts=["hooks.example.com"])
        found, text = await _schemathesis(world, token, tmp_path)
        beating.cancel()
    assert found == 0, text


async def _beat(world: World) -> None:
    """What the outbox's loop does, so that readiness holds for as long as the run takes."""
    while True:
        world.health.beat("outbox")
        await asyncio.sleep(5)


async def _schemathesis(world: World, token: str, directory: Path) -> tuple[int | None, str]:
    config = directory / "schemathesis.toml"
    config.write_text(CONFIG)
    process = await asyncio.create_subprocess_exec(
        str(Path(sys.executable).with_name("schemathesis")),
        f"--config-file={config}",
        "run",
        f"{world.url}/openapi.json",
        f"--header=Authorization: Bearer {token}",
        "--checks=all",
        f"--max-examples={EXAMPLES}",
        "--seed=1",
        "--no-color",
        cwd=directory,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    return process.returncode, output.decode()


async def test_the_document_names_every_call_and_its_security(tmp_path: Path) -> None:
    async with served(tmp_path) as world:
        document = (await world.client.get("/openapi.json")).json()
    calls = {f"{method.upper()} {path}" for path, item in document["paths"].items() for method in item}
    assert calls == {
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
    assert document["components"]["securitySchemes"]["token"]["scheme"] == "bearer"
    submit = document["paths"]["/v1/requests"]["post"]
    assert {p["name"] for p in submit["parameters"]} == {"Idempotency-Key", "Prefer"}
    assert set(submit["responses"]) == {
        *("200", "201", "400", "401", "403", "409", "413", "415", "422", "429", "503")
    }
    assert "x-reference" not in str(document)
