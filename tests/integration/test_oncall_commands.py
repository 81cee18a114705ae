"""`keyturn oncall …` as a person or a pipeline runs it."""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner

from bot.cli import app
from bot.core.covering import Deal, offer
from bot.core.models import Person, SlackId
from bot.services.policies import load
from bot.store import Store
from bot.store.oncall import AcceptCover, OfferCover
from bot.system import SystemClock

SAM, SUKI = "U0SRE0001", "U0SRE0002"
WORKSPACE = """
groups: {sre: {users: [U0SRE0001]}}
schedules:
  primary:
    layers:
      - {rotation: weekly, handover: "Mon 09:00", zone: Europe/Berlin, users: [U0SRE0001, U0SRE0002]}
  office:
    layers:
      - rotation: daily
        handover: "09:00"
        zone: Europe/Berlin
        users: [U0SRE0001]
        restrict: [{days: [Mon-Fri], from: "09:00", to: "17:00"}]
      - rotation: daily
        handover: "09:00"
        zone: Europe/Berlin
        users: [U0SRE0002]
        restrict: [{days: [Mon-Fri], from: "08:00", to: "20:00"}]
  kept: {slack_usergroup: S0614TZR7}
"""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "policies").mkdir()
    (tmp_path / "policies" / "workspace.yaml").write_text(WORKSPACE)
    (tmp_path / "policies" / "default.yaml").write_text("approvers: {groups: [sre]}\n")
    monkeypatch.setenv("KEYTURN_POLICIES", str(tmp_path / "policies"))
    monkeypatch.setenv("KEYTURN_DATABASE_URL", f"sqlite:///{tmp_path}/keyturn.db")
    return tmp_path


def keyturn(*words: str, code: int = 0) -> tuple[list[str], str]:
    """Run `keyturn oncall …`; the lines it said and what it said on standard error."""
    result = CliRunner().invoke(app, ["oncall", *words])
    assert result.exit_code == code, (result.exit_code, result.output, result.exception)
    return result.stdout.splitlines(), result.stderr


@pytest.mark.usefixtures("home")
def test_the_timetable_is_printed_in_the_schedule_s_own_zone() -> None:
    lines, _ = keyturn("show", "primary", "--from", "2026-03-23 09:00", "--to", "2026-04-06 09:00")
    assert lines[0] == "primary (Europe/Berlin)"
    assert [line.split("  ")[1] for line in lines[1:]] == [
        "Mon 2026-03-23 09:00 to Mon 2026-03-30 09:00",
        "Mon 2026-03-30 09:00 to Mon 2026-04-06 09:00",
    ]
    assert sorted(line.split("  ")[2] for line in lines[1:]) == [SAM, SUKI]


@pytest.mark.usefixtures("home")
def test_times_are_shown_in_any_zone_and_as_json_in_utc() -> None:
    span = ("primary", "--from", "2026-03-30", "--to", "2026-03-31")
    lines, _ = keyturn("show", *span, "--zone", "America/New_York")
    assert "Mon 2026-03-30 03:00" in lines[1]
    rows = [json.loads(line) for line in keyturn("show", *span, "--json")[0]]
    assert [(row["from"], row["layer"], row["covers"]) for row in rows] == [
        ("2026-03-29T22:00:00.000000Z", 1, None),
        ("2026-03-30T07:00:00.000000Z", 1, None),
    ]


@pytest.mark.usefixtures("home")
def test_check_names_each_gap_and_each_overlap_and_fails_for_gaps_alone() -> None:
    span = ("--from", "2026-11-23 08:00", "--to", "2026-11-23 21:00")
    lines, _ = keyturn("check", "office", *span, code=1)
    assert lines == [
        "office: 1 gap, 1 overlap until Mon 2026-11-23 21:00",
        "  gap      Mon 2026-11-23 20:00 to Mon 2026-11-23 21:00",
        f"  overlap  Mon 2026-11-23 09:00 to Mon 2026-11-23 17:00  {SAM} is on call, {SUKI} would be too",
    ]
    assert keyturn("check", "primary", *span)[0] == [
        "primary: no gaps, no overlaps until Mon 2026-11-23 21:00"
    ]


@pytest.mark.usefixtures("home")
def test_who_says_until_when_and_fails_when_nobody_is() -> None:
    lines, _ = keyturn("who", "office", "--at", "2026-11-23 10:00")
    assert lines == [f"office           Mon 2026-11-23 10:00 to Mon 2026-11-23 17:00  {SAM}"]
    lines, error = keyturn("who", "--at", "2026-11-22 10:00", code=1)
    assert [line.split()[-1] for line in lines] == [SUKI if SUKI in lines[0] else SAM, "nobody"]
    assert "kept is kept in Slack, in the user group S0614TZR7" in error


def test_agreed_covers_are_part_of_the_timetable(home: Path) -> None:
    schedule = load(home / "policies").workspace.schedules["primary"]
    sam, suki = (Person(SlackId(id), "T0KEYTURN", id) for id in (SAM, SUKI))
    start = datetime(2030, 1, 8, 12, tzinfo=UTC)

    async def agree() -> None:
        async with Store.open(f"sqlite:///{home}/keyturn.db", clock=SystemClock()) as store:
            now = SystemClock().now()
            for number, (one, other) in enumerate([(sam, suki), (suki, sam)]):
                deal = Deal(one, other, True, start, start + timedelta(hours=4))
                made = offer(schedule, deal, id=f"cov_{number}", now=now)
                await store.write(OfferCover(made, ()))
                await store.write(AcceptCover(made, other, now))

    asyncio.run(agree())
    lines, _ = keyturn("show", "primary", "--from", "2030-01-08", "--to", "2030-01-09")
    assert len(lines) == 4
    assert "Tue 2030-01-08 13:00 to Tue 2030-01-08 17:00" in lines[2]
    assert lines[2].endswith((f"{SAM}  covers {SUKI}", f"{SUKI}  covers {SAM}"))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("show", "secondary"), "There is no schedule secondary; workspace.yaml has: primary, office, kept."),
        (("who", "--at", "noon"), "'noon' is not a time; write a time such as 14:20"),
        (("show", "--zone", "Mars/Olympus"), "Mars/Olympus is not a time zone"),
        (("check", "--from", "2026-11-23", "--to", "2026-11-22"), "--to is not after --from"),
    ],
)
@pytest.mark.usefixtures("home")
def test_a_faulty_call_says_what_to_write(words: tuple[str, ...], said: str) -> None:
    _, error = keyturn(*words, code=2)
    assert said in error


def test_without_schedules_it_says_where_to_write_them(home: Path) -> None:
    (home / "policies" / "workspace.yaml").write_text("groups: {sre: {users: [U0SRE0001]}}\n")
    _, error = keyturn("check", code=2)
    assert "workspace.yaml has no schedules" in error


@pytest.mark.parametrize("command", ["who", "show", "check"])
def test_help_has_an_example(command: str) -> None:
    lines, _ = keyturn(command, "--help")
    assert any(f"keyturn oncall {command}" in line for line in lines)
