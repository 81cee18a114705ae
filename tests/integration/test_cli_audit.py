"""`keyturn audit`, `pause` and `resume` as they are typed: with no server, beside one, and on exports."""

import asyncio
import json
import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from bot.cli import app
from bot.services.checkpoints import Checkpoints, note_file, signing_key
from bot.store import Store
from bot.store.commands import CreateRequest, SaveTransition
from tests.integration.slack_desk import running_desk
from tests.store.conftest import HandClock
from tests.store.histories import approved, claimed, submitted

Keyturn = Callable[..., Result]


@pytest.fixture
def keyturn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Keyturn:
    """Runs the command on this directory's database."""
    monkeypatch.setenv("KEYTURN_DATABASE_URL", f"sqlite:///{tmp_path}/keyturn.db")
    monkeypatch.setenv("KEYTURN_KEY_DIR", str(tmp_path / "keys"))
    return lambda *words: CliRunner().invoke(app, [str(word) for word in words])


@pytest.fixture
async def database(tmp_path: Path) -> Path:
    """A database with two requests of two agents, signed, that no server has open."""
    path = tmp_path / "keyturn.db"
    async with Store.open(f"sqlite:///{path}", clock=HandClock()) as store:
        for number, agent in ((1, "builder"), (2, "other")):
            step = submitted(number, agent=agent, session_id=f"run{number}")
            await store.write(CreateRequest(step))
            decided = approved(step.request)
            await store.write(SaveTransition(decided))
            await store.write(SaveTransition(claimed(decided.request)))
        signer = Checkpoints(store, HandClock(), signing_key(tmp_path / "keys"), note_file(path))
        assert await signer.sign() is not None
        await signer.keep()
    return path


def tamper(path: Path, statement: str) -> None:
    with closing(sqlite3.connect(path)) as raw, raw:
        triggers = raw.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall()
        for (trigger,) in triggers:
            raw.execute(f"DROP TRIGGER {trigger}")
        raw.executescript(statement)


async def typed(keyturn: Keyturn, *words: object) -> Result:
    """The command in a thread: it brings its own event loop."""
    return await asyncio.to_thread(keyturn, *words)


async def test_query_prints_seq_first_and_the_newest_first(keyturn: Keyturn, database: Path) -> None:
    done = await typed(keyturn, "audit", "query", "--agent", "builder")
    lines = [line.split() for line in done.stdout.splitlines()]
    assert done.exit_code == 0
    assert [int(line[0]) for line in lines] == sorted((int(line[0]) for line in lines), reverse=True)
    assert lines[0][2] == "action_claimed"


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        (["--event", "action_claimed"], 2),
        (["--actor", "U0ANA0001"], 4),
        (["--session-id", "run2", "--event", "session_started"], 1),
        (["--request-id", submitted(2).request.id], 5),
        (["--action-type", "database_modify", "--event", "policy_applied"], 2),
        (["--risk", "medium", "--agent", "other", "--event", "action_approved"], 1),
        (["--risk", "high"], 0),
        (["--reversible"], 0),
        (["--since", "2026-11-22T12:00:02Z", "--event", "action_claimed"], 2),
        (["--until", "2026-11-22T12:00:00Z"], 0),
        (["--until", "2026-11-22"], 0),
        (["--since", "2026-11-22", "--event", "action_claimed"], 2),
        (["--limit", "3"], 3),
        (["--before", "4"], 3),
    ],
)
async def test_every_filter_works_on_a_database_and_on_an_export(
    keyturn: Keyturn, database: Path, tmp_path: Path, flags: list[str], expected: int
) -> None:
    on_database = await typed(keyturn, "audit", "query", *flags)
    copy = tmp_path / "audit.jsonl"
    copy.write_text((await typed(keyturn, "audit", "export")).stdout)
    on_export = await typed(keyturn, "audit", "query", copy, *flags)
    assert len(on_database.stdout.splitlines()) == expected
    assert on_export.stdout == on_database.stdout


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--event", "action_aproved"], "did you mean action_approved?"),
        (["--risk", "huge"], "risk is one of"),
        (["--since", "soon"], "is no time"),
        (["--until", "2026-02-30"], "is no time"),
        (["--agent", ""], "1 to 300 characters"),
    ],
)
async def test_a_filter_that_cannot_be_meant_is_refused(
    keyturn: Keyturn, database: Path, flags: list[str], said: str
) -> None:
    for command in ("query", "export"):
        done = await typed(keyturn, "audit", command, *flags)
        assert (done.exit_code, done.stdout) == (2, "")
        assert said in done.stderr


async def test_a_pipe_is_refused_since_it_can_be_read_only_once(
    keyturn: Keyturn, database: Path, tmp_path: Path
) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    done = await typed(keyturn, "audit", "verify", pipe)
    assert (done.exit_code, done.stdout) == (2, "")
    assert "is no file" in done.stderr


async def test_checkpoints_copied_out_of_slack_are_compared(
    keyturn: Keyturn, database: Path, tmp_path: Path
) -> None:
    [note] = note_file(database).notes()
    copied = tmp_path / "copied.txt"
    copied.write_text(f"Rows up to 12, signed at 12:00:00 UTC\r\n{note}")
    tamper(database, "DELETE FROM audit WHERE seq > 7; DELETE FROM checkpoint; UPDATE chain_head SET seq = 7,"
           " hash = (SELECT hash FROM audit WHERE seq = 7)")  # fmt: skip
    os.remove(f"{database}.checkpoints")
    assert (await typed(keyturn, "audit", "verify", "--fast")).exit_code == 0
    found = await typed(keyturn, "audit", "verify", "--checkpoints", copied)
    assert (found.exit_code, "row 8 (truncated)" in found.stdout) == (1, True)


@pytest.mark.parametrize("format", ["jsonl", "csv"])
async def test_an_export_verifies_with_the_checkpoints_beside_it(
    keyturn: Keyturn, database: Path, tmp_path: Path, format: str
) -> None:
    text = (await typed(keyturn, "audit", "export", "--format", format)).stdout
    copy = tmp_path / f"audit.{format}"
    copy.write_text(text)
    notes = ["--checkpoints", f"{database}.checkpoints"]
    assert (await typed(keyturn, "audit", "verify", copy, *notes)).exit_code == 0
    copy.write_text("".join(text.splitlines(keepends=True)[:5]))
    cut = await typed(keyturn, "audit", "verify", copy, *notes)
    assert cut.exit_code == 1
    assert "truncated" in cut.stdout


async def test_without_a_key_it_says_that_no_signature_was_checked(
    keyturn: Keyturn, database: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "not checked" not in (await typed(keyturn, "audit", "verify")).stdout
    monkeypatch.setenv("KEYTURN_KEY_DIR", str(tmp_path / "elsewhere"))
    done = await typed(keyturn, "audit", "verify")
    assert done.exit_code == 0
    assert "though by whom was not checked: no key" in done.stdout


async def test_a_table_that_broke_off_goes_on_without_a_second_head(
    keyturn: Keyturn, database: Path, tmp_path: Path
) -> None:
    whole = (await typed(keyturn, "audit", "export", "--format", "csv")).stdout.splitlines()
    rest = (await typed(keyturn, "audit", "export", "--format", "csv", "--after", "6")).stdout.splitlines()
    assert rest[: len(whole) - 7] == whole[7:]
    joined = tmp_path / "joined.csv"
    joined.write_text("\n".join([*whole[:7], *rest, ""]))
    assert (await typed(keyturn, "audit", "verify", joined)).exit_code == 0


async def test_an_export_that_broke_off_goes_on(keyturn: Keyturn, database: Path) -> None:
    whole = (await typed(keyturn, "audit", "export")).stdout.splitlines()
    rest = (await typed(keyturn, "audit", "export", "--after", "6")).stdout.splitlines()
    assert rest[: len(whole) - 6] == whole[6:]
    exported = json.loads(rest[-1])
    assert (exported["event"], exported["via"], exported["body"]["format"]) == (
        "audit_exported",
        "cli",
        "jsonl",
    )


async def test_rows_left_out_by_filters_are_told_from_missing_ones(
    keyturn: Keyturn, database: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "some.jsonl"
    copy.write_text((await typed(keyturn, "audit", "export", "--event", "action_requested")).stdout)
    found = await typed(keyturn, "audit", "verify", copy)
    assert (found.exit_code, "--partial" in found.stderr) == (1, True)
    found = await typed(keyturn, "audit", "verify", copy, "--partial")
    assert (found.exit_code, "--partial" in found.stderr) == (0, False)


@pytest.mark.parametrize(
    ("statement", "row", "kind"),
    [
        ("UPDATE audit SET canonical = x'7b7d' WHERE seq = 3", 3, "edited"),
        ("DELETE FROM audit WHERE seq = 4", 4, "missing"),
        ("DELETE FROM audit WHERE seq > 7", 8, "truncated"),
        (
            "DELETE FROM audit WHERE seq > 7; UPDATE chain_head SET seq = 7,"
            " hash = (SELECT hash FROM audit WHERE seq = 7)",
            8,
            "truncated",
        ),
    ],
)
async def test_verify_names_the_first_bad_row(
    keyturn: Keyturn, database: Path, statement: str, row: int, kind: str
) -> None:
    assert (await typed(keyturn, "audit", "verify", "--full")).exit_code == 0
    tamper(database, statement)
    for flags in ([], ["--full"], ["--fast"]):
        found = await typed(keyturn, "audit", "verify", *flags)
        assert found.exit_code == 1
        assert f"row {row} ({kind})" in found.stdout
    said = json.loads((await typed(keyturn, "audit", "verify", "--json")).stdout)
    assert (said["ok"], said["problem"]["seq"]) == (False, row)


@pytest.mark.parametrize(
    ("statement", "row", "kind"),
    [
        ("UPDATE audit SET event = 'action_rejected' WHERE seq = 3", 3, "miscopied"),
        ("UPDATE audit SET action_type = 'file_delete' WHERE seq = 1", 1, "miscopied"),
        ("UPDATE audit SET risk_level = 'none' WHERE seq = 4", 4, "miscopied"),
        ("UPDATE chain_head SET at = at + 1", 13, "miscopied"),
        ("UPDATE checkpoint SET hash = zeroblob(32)", 12, "miscopied"),
        ("DELETE FROM checkpoint", 12, "missing"),
    ],
)
async def test_what_repeats_the_signed_bytes_is_compared_unless_a_fast_look_is_asked_for(
    keyturn: Keyturn, database: Path, statement: str, row: int, kind: str
) -> None:
    tamper(database, statement)
    found = await typed(keyturn, "audit", "verify")
    assert (found.exit_code, f"row {row} ({kind})" in found.stdout) == (1, True), found.stdout
    assert (await typed(keyturn, "audit", "verify", "--fast")).exit_code == 0


@pytest.mark.parametrize(
    ("statement", "row", "kind"),
    [
        (
            "DELETE FROM audit WHERE seq <= 4; UPDATE audit_base SET seq = 4,"
            " hash = (SELECT prev_hash FROM audit WHERE seq = 5)",
            1,
            "missing",
        ),
        ("UPDATE audit SET seq = -3 WHERE seq = 13; UPDATE chain_head SET seq = 12", -3, "inserted"),
        ("DELETE FROM chain_head", 1, "inserted"),
    ],
)
async def test_rows_gone_in_front_and_rows_outside_are_found(
    keyturn: Keyturn, database: Path, statement: str, row: int, kind: str
) -> None:
    tamper(database, statement)
    for flags in ([], ["--fast"]):
        found = await typed(keyturn, "audit", "verify", *flags)
        assert (found.exit_code, f"row {row} ({kind})" in found.stdout) == (1, True), found.output


async def test_another_database_in_its_place_is_found_by_the_checkpoints_that_stayed(
    keyturn: Keyturn, database: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other.db"
    async with Store.open(f"sqlite:///{other}", clock=HandClock()) as store:
        for number in range(10, 20):
            await store.write(CreateRequest(submitted(number)))
    other.replace(database)
    found = await typed(keyturn, "audit", "verify")
    assert found.exit_code == 1
    assert "row 1 (rewritten)" in found.stdout


async def test_checkpoints_of_another_key_do_not_count(
    keyturn: Keyturn, database: Path, tmp_path: Path
) -> None:
    (tmp_path / "keys" / "checkpoints.pem").unlink()
    signing_key(tmp_path / "keys")
    found = await typed(keyturn, "audit", "verify")
    assert found.exit_code == 1
    assert "forged" in found.stdout


async def test_pruning_removes_what_a_checkpoint_signed_and_the_rest_verifies(
    keyturn: Keyturn, database: Path
) -> None:
    refused = await typed(keyturn, "audit", "prune", "--keep", "forever")
    assert refused.exit_code == 2
    nothing = await typed(keyturn, "audit", "prune", "--keep", "99999d")
    assert "Nothing was removed" in nothing.stdout
    # The rows are of a day that may lie before or after the machine's own.
    with closing(sqlite3.connect(database)) as raw, raw:
        [[signed]] = raw.execute("SELECT seq FROM checkpoint")
        raw.execute("DROP TRIGGER audit_no_update")
        raw.execute("UPDATE audit SET at = 0")
    done = await typed(keyturn, "audit", "prune", "--keep", "1d")
    assert f"up to {signed}" in done.stdout
    # Fast, since the times were set back beside the signed bytes.
    assert (await typed(keyturn, "audit", "verify", "--fast")).exit_code == 0
    copy = database.with_name("kept.jsonl")
    copy.write_text((await typed(keyturn, "audit", "export")).stdout)
    assert (await typed(keyturn, "audit", "verify", copy)).exit_code == 0
    copy.write_text(copy.read_text().split("\n", 1)[1])
    assert "row 1 (missing)" in (await typed(keyturn, "audit", "verify", copy)).stdout
    left = (await typed(keyturn, "audit", "query")).stdout.splitlines()
    assert [int(line.split()[0]) for line in left] == [signed + 3, signed + 2, signed + 1]
    assert "audit_pruned" in left[1]
    with closing(sqlite3.connect(database)) as raw, pytest.raises(sqlite3.IntegrityError, match="prefix"):
        raw.execute("DELETE FROM audit WHERE seq > 0")


async def test_pausing_works_with_no_server(keyturn: Keyturn, database: Path) -> None:
    done = await typed(keyturn, "pause", "agent:builder", "cancel", "--reason", "Incident 4711")
    assert done.exit_code == 0, done.stderr
    assert "Agent builder is paused: Incident 4711. 0 pending cancelled." in done.stdout
    wrong = await typed(keyturn, "pause", "biulder")
    assert wrong.exit_code == 2
    assert "biulder" in wrong.stderr
    assert (await typed(keyturn, "resume", "agent:builder")).exit_code == 0
    assert (await typed(keyturn, "resume", "builder")).exit_code == 2


async def test_commands_reach_the_running_server(keyturn: Keyturn, tmp_path: Path) -> None:
    async with running_desk(tmp_path) as desk:
        request = await desk.ask()
        assert (await typed(keyturn, "audit", "verify", "--full")).exit_code == 0
        paused = await typed(keyturn, "pause", "deploy-bot", "cancel", "--reason", "Stop.")
        assert "1 pending cancelled" in paused.stdout
        assert (await desk.now(request)).status == "cancelled"
        exported = await typed(keyturn, "audit", "export")
        assert exported.exit_code == 0
        assert json.loads(exported.stdout.splitlines()[0])["seq"] == 1
        [event] = await desk.bot.store.reads.audit_page(event="audit_exported")
        assert event.actor.id == "cli"
