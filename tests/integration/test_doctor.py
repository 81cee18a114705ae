"""`keyturn doctor` names each fault by its part, and changes nothing."""

import socket
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from bot import doctor
from bot.doctor import examine
from bot.sandbox import Sandbox, running_sandbox
from bot.store import Store
from bot.system import SystemClock
from tests.processes import BotProcess

PARTS = ["settings", "address", "keys", "database", "policies", "notifications", "slack"]


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    async with running_sandbox() as sandbox:
        yield sandbox


@pytest.fixture
def environment(sandbox: Sandbox, tmp_path: Path) -> dict[str, str]:
    return BotProcess(tmp_path, sandbox.environment()).environment


async def faults(environment: dict[str, str]) -> dict[str, str]:
    """What is wrong, by part."""
    return {check.name: check.detail for check in await examine(environment) if not check.ok}


def files_below(directory: Path) -> list[Path]:
    return sorted(directory.rglob("*"))


async def test_all_is_well_before_the_first_start_and_nothing_is_made(
    environment: dict[str, str], tmp_path: Path
) -> None:
    before = files_below(tmp_path)
    found = await examine(environment)
    assert [check.name for check in found] == PARTS
    assert [check.detail for check in found if not check.ok] == []
    assert files_below(tmp_path) == before


async def test_a_faulty_sqlite_is_something_to_beware_of_and_no_fault(
    environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor, "sqlite_warning", lambda: "Beware.")
    found = await examine(environment)
    assert [(check.name, check.detail) for check in found if check.doubtful] == [("sqlite", "Beware.")]
    assert all(check.ok for check in found)


def bad_policy(environment: dict[str, str]) -> None:
    Path(environment["KEYTURN_POLICIES"], "policy.yaml").write_text("name: tests\nquorums: 2\n")


def no_database(environment: dict[str, str]) -> None:
    Path(environment["KEYTURN_DATABASE_URL"].removeprefix("sqlite:///")).write_bytes(b"something else" * 100)


def open_keys(environment: dict[str, str]) -> None:
    keys = Path(environment["KEYTURN_KEY_DIR"])
    keys.mkdir()
    (keys / "callbacks.key").write_bytes(b"secret")
    (keys / "callbacks.key").chmod(0o644)


def other(name: str, value: str) -> Callable[[dict[str, str]], None]:
    return lambda environment: environment.update({name: value})


@pytest.mark.parametrize(
    ("part", "breaks", "told"),
    [
        ("address", other("KEYTURN_HOST", "192.0.2.1"), "KEYTURN_HOST"),
        ("keys", open_keys, "chmod 600"),
        ("database", no_database, "keyturn.db"),
        ("policies", bad_policy, "quorums"),
        ("notifications", other("KEYTURN_SMTP_URL", "mail.example.com"), "KEYTURN_SMTP_URL"),
        ("notifications", other("KEYTURN_WEBHOOK_ALLOW", "10.0.0.0/8,,x"), "KEYTURN_WEBHOOK_ALLOW"),
        ("slack", other("SLACK_BOT_TOKEN", "xoxb-wrong"), "SLACK_BOT_TOKEN"),
        ("slack", other("SLACK_APP_TOKEN", "xapp-wrong"), "SLACK_APP_TOKEN"),
        ("settings", other("SLACK_BOT_TOKEN", ""), "SLACK_BOT_TOKEN is set but empty"),
    ],
)
async def test_a_fault_is_named_by_its_part(
    environment: dict[str, str], part: str, breaks: Callable[[dict[str, str]], None], told: str
) -> None:
    breaks(environment)
    found = await faults(environment)
    assert set(found) - ({"slack"} if part == "policies" else set()) == {part}
    assert told in found[part]


async def test_a_port_that_another_program_has_is_named(environment: dict[str, str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        environment["KEYTURN_PORT"] = str(taken.getsockname()[1])
        assert "Address already in use" in (await faults(environment))["address"]


async def test_a_database_is_looked_at_without_being_taken(environment: dict[str, str]) -> None:
    async with Store.open(environment["KEYTURN_DATABASE_URL"], clock=SystemClock()):
        assert await faults(environment) == {}
