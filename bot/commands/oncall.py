"""`keyturn oncall …`: who is on call, the timetable, and where it has gaps.

Reads the policies and, when there is one, the database with its covers, beside a running server or
with none; asks Slack nothing. Exit codes: 0 all is well, 1 nobody is on call at some time, 2 the
command was not given what it needs.
"""

import asyncio
import json
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated, Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import typer

from bot.commands.saying import Commands, clear_errors, refuse, say
from bot.config import StoreSettings
from bot.core import moments
from bot.core.oncall import Shift, gaps, overlaps
from bot.core.times import rfc3339
from bot.services.oncall import Timetables
from bot.services.policies import load
from bot.store import Store
from bot.system import SystemClock

app = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    help="Who is on call, the timetable with the covers people have agreed on, and where it has gaps.",
    epilog="Example: keyturn oncall check && keyturn oncall show primary --from today --to 2026-12-31",
)

_Name = Annotated[str | None, typer.Argument(help="A schedule of workspace.yaml; all of them by default.")]
_Policies = Annotated[
    Path | None,
    typer.Option("--policies", help="Directory of the policies (KEYTURN_POLICIES).", file_okay=False),
]
_Zone = Annotated[
    str | None, typer.Option("--zone", help="Zone to show times in; the schedule's own by default.")
]
_From = Annotated[str, typer.Option("--from", help=f"Beginning: {moments.HELP.removeprefix('write ')}.")]
_AsJson = Annotated[bool, typer.Option("--json", help="One JSON object a line.")]

_WEEKS = timedelta(weeks=8)
"""Every weekly rotation of up to eight people comes around once."""


@app.command(epilog="Example: keyturn oncall who primary --at 'Sat 03:00'")
def who(
    name: _Name = None,
    at: Annotated[str, typer.Option(help="When, instead of now.")] = "now",
    zone: _Zone = None,
    policies: _Policies = None,
    as_json: _AsJson = False,
) -> None:
    """Print who is on call, and until when. Exit code 1 when nobody is."""

    async def look(desk: "_Desk") -> bool:
        anybody = True
        for schedule in desk.rotations(name):
            moment = desk.moment(at, schedule)
            first = (await desk.timetables.timetable(schedule, moment, moment + _WEEKS))[0]
            anybody &= first.person is not None
            desk.print(schedule, first, head=f"{schedule:16} ", as_json=as_json)
        return anybody

    _run(look, policies, zone)


@app.command(epilog="Example: keyturn oncall show primary --from 2026-12-01 --to 2027-01-01 --zone UTC")
def show(
    name: _Name = None,
    start: _From = "now",
    end: Annotated[str | None, typer.Option("--to", help="End; two weeks on by default.")] = None,
    zone: _Zone = None,
    policies: _Policies = None,
    as_json: _AsJson = False,
) -> None:
    """Print the timetable: one line for each shift and each gap."""

    async def look(desk: "_Desk") -> bool:
        for schedule in desk.rotations(name):
            begins, ends = desk.span(start, end, schedule, timedelta(weeks=2))
            if not as_json:
                say(f"{schedule} ({desk.zone_of(schedule)})")
            for shift in await desk.timetables.timetable(schedule, begins, ends):
                desk.print(schedule, shift, head="  ", as_json=as_json)
        return True

    _run(look, policies, zone)


@app.command(epilog="Example: keyturn oncall check --from today --to 2027-03-31")
def check(
    name: _Name = None,
    start: _From = "now",
    end: Annotated[str | None, typer.Option("--to", help="End; eight weeks on by default.")] = None,
    zone: _Zone = None,
    policies: _Policies = None,
) -> None:
    """Find gaps, in which nobody is on call, and overlaps, in which only the first of several is.

    Exit code 1 when there is a gap. An overlap is no fault: later layers stand by for earlier ones.
    """

    async def look(desk: "_Desk") -> bool:
        whole = True
        for schedule in desk.rotations(name):
            begins, ends = desk.span(start, end, schedule, _WEEKS)
            shifts = await desk.timetables.timetable(schedule, begins, ends)
            found, double = gaps(shifts), overlaps(shifts)
            whole &= not found
            counted = f"{_count(found, 'gap')}, {_count(double, 'overlap')}"
            say(f"{schedule}: {counted} until {desk.told(ends, schedule)}")
            for shift in found:
                say(f"  gap      {desk.when(shift, schedule)}")
            for shift in double:
                also = ", ".join(shift.also)
                say(
                    f"  overlap  {desk.when(shift, schedule)}  {shift.person} is on call, {also} would be too"
                )
        return whole

    _run(look, policies, zone)


@dataclass(frozen=True, slots=True)
class _Desk:
    """The schedules, and how times are read and shown."""

    timetables: Timetables
    now: datetime
    zone: ZoneInfo | None

    def rotations(self, name: str | None) -> list[str]:
        """The schedules to look at; those kept in Slack are only named."""
        if name is not None:
            self.timetables.schedule(name)
        elif not self.timetables.schedules:
            refuse("workspace.yaml has no schedules; docs/oncall.md shows how to write one.")
        wanted = []
        for schedule in self.timetables.schedules.values():
            if name not in (None, schedule.name):
                continue
            if schedule.usergroup is None:
                wanted.append(schedule.name)
            else:
                typer.echo(
                    f"{schedule.name} is kept in Slack, in the user group {schedule.usergroup}.", err=True
                )
        return wanted

    def zone_of(self, schedule: str) -> ZoneInfo:
        return self.zone or self.timetables.schedule(schedule).zone or ZoneInfo("UTC")

    def moment(self, text: str, schedule: str) -> datetime:
        return moments.parse(text, now=self.now, zone=self.zone_of(schedule))

    def span(
        self, start: str, end: str | None, schedule: str, length: timedelta
    ) -> tuple[datetime, datetime]:
        begins = self.moment(start, schedule)
        if end is None:
            return begins, begins + length
        ends = moments.parse(end, now=self.now, zone=self.zone_of(schedule), after=begins)
        if ends <= begins:
            refuse("--to is not after --from.")
        return begins, ends

    def told(self, moment: datetime, schedule: str) -> str:
        return f"{moment.astimezone(self.zone_of(schedule)):%a %Y-%m-%d %H:%M}"

    def when(self, shift: Shift, schedule: str) -> str:
        return f"{self.told(shift.starts_at, schedule)} to {self.told(shift.ends_at, schedule)}"

    def print(self, schedule: str, shift: Shift, *, head: str, as_json: bool) -> None:
        if as_json:
            say(json.dumps(_row(schedule, shift)))
            return
        covers = f"  covers {shift.covered}" if shift.covered else ""
        say(f"{head}{self.when(shift, schedule)}  {shift.person or 'nobody'}{covers}")


def _run(look: Callable[[_Desk], Awaitable[bool]], policies: Path | None, zone: str | None) -> None:
    with clear_errors():
        whole = asyncio.run(_looked(look, policies, zone))
    raise typer.Exit(0 if whole else 1)


async def _looked(look: Callable[[_Desk], Awaitable[bool]], policies: Path | None, zone: str | None) -> bool:
    settings = StoreSettings.read(os.environ)
    schedules = load(policies or settings.keyturn_policies).workspace.schedules
    async with _timetables(settings, schedules) as timetables:
        return await look(_Desk(timetables, SystemClock().now(), _zone(zone)))


@asynccontextmanager
async def _timetables(settings: StoreSettings, schedules: Any) -> AsyncIterator[Timetables]:
    """With the covers of the database, if there is one yet."""
    if not settings.database_path.exists():
        yield Timetables(lambda: schedules, None)
        return
    async with Store.reading(settings.keyturn_database_url) as reads:
        yield Timetables(lambda: schedules, reads)


def _zone(name: str | None) -> ZoneInfo | None:
    try:
        return None if name is None else ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        refuse(f"{name} is not a time zone; write its IANA name, such as Europe/Berlin or UTC.")


def _count(found: list[Shift], what: str) -> str:
    return f"{len(found) or 'no'} {what}{'' if len(found) == 1 else 's'}"


def _row(schedule: str, shift: Shift) -> dict[str, Any]:
    return {
        "schedule": schedule,
        "from": rfc3339(shift.starts_at),
        "to": rfc3339(shift.ends_at),
        "person": shift.person,
        "layer": shift.layer,
        "covers": shift.covered,
        "also": list(shift.also),
    }
