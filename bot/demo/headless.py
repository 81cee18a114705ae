"""The demo without a person: the reviewers' part is played, and every effect is checked.

The story is fixed: one setting is changed to a smaller value, a migration is approved after the agent's
owner was refused, a deployment is approved by two people, the backups are kept, and nobody answers the
last one. Then files, records and the audit have to say so.
"""

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from bot.demo import shop
from bot.demo.children import DemoError
from bot.demo.reviewer import DANA, OLGA, PATIENCE_SECONDS, PRIYA, RAFAEL, SAM, SUKI, Reviewer
from bot.demo.stage import Stage

SETTLED_FOR = "100"
"""What Dana allows for `max_connections`, instead of the agent's 500."""

WHY_NOT = "We may need them: the migration ran five minutes ago. Delete those older than 30 days instead."


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    what: str
    expected: object
    found: object

    @property
    def ok(self) -> bool:
        """Whether it is as it should be."""
        return self.expected == self.found

    def __str__(self) -> str:
        if self.ok:
            return f"  ok       {self.what}"
        return f"  DIFFERS  {self.what}: expected {self.expected!r}, found {self.found!r}"


async def review(page: str) -> None:
    """Play the reviewers of one round.

    Raises:
        DemoError: something did not appear, or was not accepted.
    """
    async with _at(page) as http:
        people = Reviewer(http)
        await _modify(people)
        await _approve(people)
        await _approve_as_two(people)
        await _reject(people)


def _at(url: str, headers: dict[str, str] | None = None) -> httpx.AsyncClient:
    return httpx.AsyncClient(base_url=url, headers=headers, trust_env=False, timeout=PATIENCE_SECONDS)


async def _modify(people: Reviewer) -> None:
    card = await people.card("Change setting")
    await people.click(DANA, card, "request.modify")
    values = {"param:/new_value": SETTLED_FOR, "reason": "The database takes 120 at most."}
    await people.fill_in(DANA, "request.modify", **values)
    await people.decided(card)


async def _approve(people: Reviewer) -> None:
    card = await people.card("Run SQL")
    await people.click(OLGA, card, "request.approve")
    await people.told(OLGA)
    await people.click(SAM, card, "request.approve")
    await people.decided(card)


async def _approve_as_two(people: Reviewer) -> None:
    card = await people.card("Deploy")
    await people.click(RAFAEL, card, "request.approve")
    await people.click(SUKI, card, "request.approve")
    await people.decided(card)


async def _reject(people: Reviewer) -> None:
    card = await people.card("rm -rf")
    await people.click(PRIYA, card, "request.reject")
    await people.fill_in(PRIYA, "request.reject", reason=WHY_NOT)
    await people.decided(card)


async def findings(stage: Stage) -> list[Finding]:
    """What the files, Keyturn's records and its audit say after one round.

    Raises:
        DemoError: Keyturn does not tell.
    """
    bearer = {"Authorization": f"Bearer {stage.token}"}
    async with _at(stage.server, bearer) as http:
        requests = await _items(http, "/v1/requests")
        session = requests[0]["session_id"] if requests else ""
        events = await _items(http, f"/v1/sessions/{session}/timeline")
    return [*effects(stage.shop), *_records(requests), *_stories(requests, events)]


async def roll_back(stage: Stage) -> list[Finding]:
    """Let an operator roll the session back from Slack, and look at the files and the records.

    Raises:
        DemoError: something did not appear, was not accepted, or Keyturn does not tell.
    """
    bearer = {"Authorization": f"Bearer {stage.token}"}
    async with _at(stage.page) as slack, _at(stage.server, bearer) as server:
        people = Reviewer(slack)
        requests = await _items(server, "/v1/requests")
        await people.command(
            SAM, "/rollback", f"session {requests[0]['session_id']} The shop was slow all night"
        )
        await people.fill_in(SAM, "rollback.confirm", reason="Back to how it was before the evening.")
        requests = await _settled(server)
    return [*_put_back(stage.shop), *_undone(requests)]


async def _settled(server: httpx.AsyncClient) -> list[dict[str, Any]]:
    """The requests once both undos have ended."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            requests = await _items(server, "/v1/requests")
            states = {r["type"]: r["execution"]["state"] for r in requests}
            if states["file_delete"] == states["config_change"] == "rolled_back":
                return requests
            await asyncio.sleep(0.1)


def _put_back(place: Path) -> list[Finding]:
    settings = (place / "settings.json").read_bytes()
    return [
        Finding("rolled back: the settings are back, to the byte", shop.FIRST_SETTINGS, settings),
        Finding("rolled back: the image cache is back, to the byte", shop.IMAGES, shop.whole_images(place)),
        Finding("not to be undone: the new version stays live", shop.version(1), shop.live_version(place)),
    ]


def _undone(requests: list[dict[str, Any]]) -> list[Finding]:
    found = {r["type"]: r["execution"]["state"] for r in requests}
    return [
        Finding(f"on record: {name} after the rollback", "rolled_back", found[name])
        for name in ("file_delete", "config_change")
    ]


async def _items(http: httpx.AsyncClient, path: str) -> list[dict[str, Any]]:
    answer = await http.get(path)
    if answer.status_code != 200:
        raise DemoError(f"GET {path} answered {answer.status_code}: {answer.text}")
    return list(answer.json()["items"])


def effects(place: Path) -> list[Finding]:
    """What the round should have done to the shop at `place`, and what is there."""
    return [
        Finding("auto-approved: the image cache is empty", 0, shop.images(place)),
        Finding("blocked: /etc was not written to", False, Path("/etc/keyturn-demo.conf").exists()),
        Finding(f"modified: max_connections is {SETTLED_FOR}", int(SETTLED_FOR), shop.limit(place)),
        Finding("approved: the migration is applied", [shop.migration(1)], shop.migrations(place)),
        Finding("approved: orders has its new column", True, "note_1" in shop.columns(place, "orders")),
        Finding("approved: the old carts are dropped", [], shop.columns(place, "carts_2023")),
        Finding("approved by two: the new version is live", shop.version(1), shop.live_version(place)),
        Finding("rejected: the backups are still there", 3, shop.backups(place)),
        Finding("timed out: no customer was written to", False, shop.wrote_to_customers(place)),
    ]


def _records(requests: list[dict[str, Any]]) -> list[Finding]:
    """How Keyturn remembers it; requests come newest first."""
    expected = {
        "file_delete": ("approved", "policy_rule", [], "succeeded"),
        "file_write": ("rejected", "policy_rule", [], "not_started"),
        "config_change": ("modified", "human", [DANA], "succeeded"),
        "database_modify": ("approved", "human", [SAM], "succeeded"),
        "deployment": ("approved", "human", [RAFAEL, SUKI], "succeeded"),
        "command_execute": ("rejected", "human", [PRIYA], "not_started"),
        "external_api_call": ("timed_out", "timeout", [], "not_started"),
    }
    found = {
        r["type"]: (r["status"], r["cause"], [p["id"] for p in r["decision"]["by"]], r["execution"]["state"])
        for r in requests
        if r["decision"]
    }
    return [Finding(f"on record: {name}", outcome, found.get(name)) for name, outcome in expected.items()]


def _stories(requests: list[dict[str, Any]], events: list[dict[str, Any]]) -> list[Finding]:
    """How the audit tells each request, apart from the deliveries to Slack, whose order is free."""
    asked, ran = ["action_requested", "policy_applied"], ["action_claimed", "action_executed"]
    expected = {
        "file_delete": [*asked, "action_approved", *ran],
        "file_write": [*asked, "action_rejected"],
        "config_change": [*asked, "review_recorded", "action_modified", *ran],
        "database_modify": [*asked, "review_refused", "review_recorded", "action_approved", *ran],
        "deployment": [*asked, "review_recorded", "review_recorded", "action_approved", *ran],
        "command_execute": [*asked, "review_recorded", "action_rejected"],
        "external_api_call": [*asked, "escalation_triggered", "escalation_triggered", "action_timed_out"],
    }
    found: dict[str, list[str]] = {request["type"]: [] for request in requests}
    types = {request["id"]: request["type"] for request in requests}
    for event in events:
        if event["request_id"] in types and not event["event"].startswith("notification_"):
            found[types[event["request_id"]]].append(event["event"])
    return [Finding(f"in the audit: {name}", story, found.get(name)) for name, story in expected.items()]
