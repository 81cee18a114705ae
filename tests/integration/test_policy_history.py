"""Limits and repeated rejections, as agents meet them over HTTP."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.integration.http_face import World, served

POLICY = """
name: money
auto_approve_threshold: medium
default_timeout: 5m
approvers: {quorum: 1, users: [U0ANA0001, U0BEN0001, U0CLEO001]}
limits:
  - {name: daily, action_type: transfer, per: 1d, sum_of: amount, max: 1000}
  - {name: hourly, action_type: refund, per: 1h, count: 2, across: agents}
escalation_rules:
  - name: repeated
    trigger: {after: 5m, repeated_rejections: {count: 2, within: 1h}}
    escalate_to: manager
"""


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with served(tmp_path, policy=POLICY) as world:
        yield world


async def ask(world: World, kind: str, token: str | None = None, **params: Any) -> Any:
    """An agent asks; the request as it was answered."""
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    body = {"type": kind, "params": params, "description": "Please."}
    answer = await world.client.post("/v1/requests", json=body, headers=headers)
    assert answer.status_code == 201, answer.text
    return answer.json()


def ruled(request: Any) -> tuple[str, str]:
    return request["policy"]["effect"], request["policy"]["rule"]


async def test_transfers_run_until_the_day_is_used_up_and_again_a_day_later(world: World) -> None:
    found = [ruled(await ask(world, "transfer", amount="400.00")) for _ in range(3)]
    assert found == [("approve", "auto_approve_threshold")] * 2 + [("review", "budget:daily")]
    assert ruled(await ask(world, "transfer", amount="200.00")) == ("approve", "auto_approve_threshold")

    world.clock.shift += timedelta(days=1)
    assert ruled(await ask(world, "transfer", amount="400.00")) == ("approve", "auto_approve_threshold")


async def test_transfers_of_the_same_moment_do_not_slip_under_the_limit(world: World) -> None:
    asked = await asyncio.gather(*(ask(world, "transfer", amount="300", n=n) for n in range(12)))
    assert sorted(request["status"] for request in asked) == ["approved"] * 3 + ["pending"] * 9
    assert {ruled(r)[1] for r in asked if r["status"] == "pending"} == {"budget:daily"}


async def test_an_agent_has_its_own_day_but_shares_what_is_across_agents(world: World) -> None:
    other = await world.token("other")
    assert ruled(await ask(world, "transfer", amount="900"))[0] == "approve"
    assert ruled(await ask(world, "transfer", other, amount="900"))[0] == "approve"
    for token, expected in ((None, "approve"), (other, "approve"), (None, "review"), (other, "review")):
        assert ruled(await ask(world, "refund", token, amount="1"))[0] == expected


async def test_evaluating_tells_of_the_limit_and_uses_nothing_up(world: World) -> None:
    body = {"type": "transfer", "params": {"amount": "900"}, "description": "Please."}
    for _ in range(3):
        assert (await world.client.post("/v1/evaluate", json=body)).json()["effect"] == "approve"
    await ask(world, "transfer", amount="900")
    evaluation = (await world.client.post("/v1/evaluate", json=body)).json()
    assert ruled(evaluation) == ("review", "budget:daily")
    assert "900 of 1000 USD are used in 1d" in evaluation["policy"]["explanation"]


async def test_a_retry_under_its_key_is_not_counted_twice(world: World) -> None:
    body = {"type": "transfer", "params": {"amount": "600"}, "description": "Please."}
    headers = {"Idempotency-Key": "k1"}
    first = await world.client.post("/v1/requests", json=body, headers=headers)
    again = await world.client.post("/v1/requests", json=body, headers=headers)
    assert (first.status_code, again.status_code) == (201, 200)
    assert ruled(await ask(world, "transfer", amount="400")) == ("approve", "auto_approve_threshold")


async def test_only_what_ran_by_itself_is_counted_and_stays_so_however_the_rest_ends(world: World) -> None:
    assert ruled(await ask(world, "transfer", amount="700"))[0] == "approve"
    approved, rejected, cancelled, _ = [
        (await ask(world, "transfer", amount="400", n=n))["id"] for n in range(4)
    ]
    await world.approve(approved)
    await world.reject(rejected)
    await world.client.post(f"/v1/requests/{cancelled}/cancel", json={"reason": "No longer needed."})

    assert ruled(await ask(world, "transfer", amount="300"))[0] == "approve"
    world.clock.shift += timedelta(hours=1)  # neither approval was claimed in time; the fourth has no answer
    assert ruled(await ask(world, "transfer", amount="1")) == ("review", "budget:daily")


async def test_an_agent_whose_requests_were_rejected_again_and_again_gets_a_further_level(
    world: World,
) -> None:
    for number in range(2):
        request = await ask(world, "database_modify", query=f"DROP TABLE t{number}")
        assert request["next_escalation_at"] is None
        await world.reject(request["id"])
    assert (await ask(world, "database_modify", query="DROP TABLE t"))["next_escalation_at"] is not None

    world.clock.shift += timedelta(hours=1)
    assert (await ask(world, "database_modify", query="DROP TABLE t"))["next_escalation_at"] is None
