"""`keyturn audit …`: read, verify, export and report what is on record.

Works on the database file, beside a running server or with none, on a copy of it, and on an export.
Exit codes: 0 all is well, 1 the audit is not whole, 2 the command was not given what it needs.
"""

import asyncio
import json
import os
import re
import sys
from collections import deque
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from bot.commands.operating import ask
from bot.commands.saying import Commands, clear_errors, refuse, say
from bot.config import StoreSettings
from bot.core.checkpoint import NoteKey
from bot.core.times import rfc3339
from bot.core.verifying import Verification
from bot.core.visible import visible
from bot.services import audit as auditing
from bot.services.audit_filters import moment, read_filter
from bot.services.checkpoints import kept_notes, known_key, note_file
from bot.services.exports import Format, events
from bot.services.matching import Matcher
from bot.services.reporting import Reporting
from bot.store import Store
from bot.store.auditing import AuditFilter
from bot.store.reads import Reads
from bot.system import SystemClock

app = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    help="Read, verify, export and report what is on record.",
    epilog="Example: keyturn audit verify && keyturn audit export --format csv > audit.csv",
)

_File = Annotated[
    Path | None,
    typer.Argument(help="A database file or an export; KEYTURN_DATABASE_URL by default.", dir_okay=False),
]
_Event = Annotated[str | None, typer.Option(help="Only this event, such as action_approved.")]
_Actor = Annotated[str | None, typer.Option(help="Only what this actor did: a Slack id, an agent's name.")]
_Agent = Annotated[str | None, typer.Option(help="Only what is about this agent.")]
_Type = Annotated[str | None, typer.Option("--action-type", help="Only what is about this type of action.")]
_Session = Annotated[str | None, typer.Option("--session-id", help="Only what is of this session.")]
_Request = Annotated[str | None, typer.Option("--request-id", help="Only what is about this request.")]
_Risk = Annotated[str | None, typer.Option(help="none, low, medium, high or critical.")]
_Reversible = Annotated[
    bool | None, typer.Option("--reversible/--not-reversible", help="Executions that can be undone, or not.")
]
_Since = Annotated[str | None, typer.Option(help="From this time on: 2026-01-31T09:00:00Z, 12h or 7d.")]
_Until = Annotated[str | None, typer.Option(help="Before this time.")]

_SQLITE = b"SQLite format 3\0"
_KEEP = re.compile(r"[0-9]{1,5}[smhdw]")


@app.command(epilog="Example: keyturn audit query --event action_approved --since 7d")
def query(
    file: _File = None,
    event: _Event = None,
    actor: _Actor = None,
    agent: _Agent = None,
    action_type: _Type = None,
    session_id: _Session = None,
    request_id: _Request = None,
    risk: _Risk = None,
    reversible: _Reversible = None,
    since: _Since = None,
    until: _Until = None,
    limit: Annotated[int, typer.Option(min=1, help="At most so many, the newest.")] = 50,
    before: Annotated[int | None, typer.Option(min=1, help="Only events before this seq.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
) -> None:
    """Print events, newest first: seq, time, event, actor, agent, request, session."""
    with clear_errors():
        wanted = _filter(
            event, actor, agent, action_type, session_id, request_id, risk, reversible, since, until
        )
        for found in asyncio.run(_query(_source(file), wanted, limit, before)):
            say(json.dumps(found, ensure_ascii=False, default=str) if as_json else _line(found))


@app.command(epilog="Example: keyturn audit verify backup.db --key keyturn+1a2b3c4d+AY…")
def verify(
    file: _File = None,
    full: Annotated[
        bool,
        typer.Option(
            "--full/--fast",
            help="Compare all that repeats the signed bytes or gives authority, too; or the chain alone.",
        ),
    ] = True,
    partial: Annotated[
        bool, typer.Option("--partial", help="An export from which filters left rows out: check each alone.")
    ] = False,
    checkpoints: Annotated[
        Path | None,
        typer.Option(exists=True, help="Checkpoints kept elsewhere; beside the file if not given."),
    ] = None,
    key: Annotated[
        str | None, typer.Option(help="The key they must be signed with; by default that of KEYTURN_KEY_DIR.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="The answer as JSON.")] = False,
) -> None:
    """Check that the audit is whole, and name the first bad row. Works offline.

    Exit code 0 when it is whole, 1 when it is not.
    """
    with clear_errors():
        source = _source(file)
        notes = kept_notes(checkpoints) if checkpoints else note_file(source.path).notes()
        known = _key(key)
        found = asyncio.run(_verify(source, notes, known, full=full, partial=partial))
    say(
        json.dumps(found.as_json())
        if as_json
        else _verdict(found, compared=bool(notes) or source.is_database, keyed=known is not None)
    )
    if found.problem is not None and found.problem.kind == "missing" and not source.is_database:
        typer.echo("If filters left rows out of this export, --partial checks each row alone.", err=True)
    raise typer.Exit(0 if found.ok else 1)


@app.command(epilog="Example: keyturn audit export --format csv --since 30d > audit.csv")
def export(
    file: _File = None,
    format: Annotated[Format, typer.Option(help="jsonl or csv.")] = Format.JSONL,
    after: Annotated[int, typer.Option(min=0, help="Go on after this seq, when an export broke off.")] = 0,
    event: _Event = None,
    actor: _Actor = None,
    agent: _Agent = None,
    action_type: _Type = None,
    session_id: _Session = None,
    request_id: _Request = None,
    risk: _Risk = None,
    reversible: _Reversible = None,
    since: _Since = None,
    until: _Until = None,
) -> None:
    """Write events to standard output, oldest first. `keyturn audit verify FILE` checks the result.

    An export of the configured database is itself entered into the audit.
    """
    with clear_errors():
        wanted = _filter(
            event, actor, agent, action_type, session_id, request_id, risk, reversible, since, until
        )
        source = _source(file)
        if not source.is_database:
            refuse(f"{source.path} is an export already; name a database file.")
        asyncio.run(_export(source, wanted, format, after))


@app.command(epilog="Example: keyturn audit report --since 7d > report.html")
def report(
    file: _File = None,
    since: Annotated[str, typer.Option(help="From this time on: 7d, 12h, 2026-01-31T09:00:00Z.")] = "7d",
    until: _Until = None,
    agent: _Agent = None,
    out: Annotated[
        Path | None, typer.Option(help="Write here instead of to standard output.", dir_okay=False)
    ] = None,
) -> None:
    """Make one HTML page with charts: outcomes, times, escalations, reviewers. It needs no network."""
    with clear_errors():
        source = _source(file)
        if not source.is_database:
            refuse("A report is made from a database file.")
        given = {"agent": agent, "since": since, "until": until}
        set_ones = {name: value for name, value in given.items() if value is not None}
        wanted = read_filter(set_ones, now=SystemClock().now())
        page = asyncio.run(_report(source, wanted))
        if out is None:
            say(page)
        else:
            out.write_text(page, encoding="utf-8")
            typer.echo(f"Written to {out}.", err=True)


@app.command(epilog="Example: keyturn audit prune --keep 365d")
def prune(
    keep: Annotated[str, typer.Option(help="How much history to keep, such as 365d.")],
) -> None:
    """Remove old rows, as a whole prefix that a checkpoint signed; the rest still verifies.

    Export first: what is removed is gone.
    """
    with clear_errors():
        if not _KEEP.fullmatch(keep):
            refuse("--keep is a length of time, such as 365d.")
        before = moment(keep, SystemClock().now())
        answer = asyncio.run(ask(StoreSettings.read(os.environ), "audit/prune", {"before": rfc3339(before)}))
    if answer["through"] is None:
        say("Nothing was removed: no checkpoint is older than that.")
    else:
        say(f"Removed the rows up to {answer['through']}.")


@dataclass(frozen=True, slots=True)
class _Source:
    """Where the audit is read from."""

    path: Path
    is_database: bool
    configured: bool
    """Whether it is the database of this installation, and no copy."""


def _source(file: Path | None) -> _Source:
    configured = StoreSettings.read(os.environ).database_path
    path = configured if file is None else file
    if not path.exists():
        refuse(f"There is no {path}." if file else f"There is no database {path}; set KEYTURN_DATABASE_URL.")
    if not path.is_file():  # a pipe can be read only once, and is no longer whole after a first look
        refuse(f"{path} is no file; save what comes through a pipe first.")
    with path.open("rb") as opened:
        is_database = opened.read(len(_SQLITE)) == _SQLITE
    return _Source(path, is_database, is_database and path.resolve() == configured.resolve())


@asynccontextmanager
async def _reads(path: Path) -> AsyncIterator[Reads]:
    async with Store.reading(f"sqlite:///{path}") as reads:
        yield reads


@contextmanager
def _lines(path: Path) -> Iterator[Iterator[str]]:
    # What is not UTF-8 becomes another character, so that it is an edit of its row.
    with path.open(encoding="utf-8", errors="replace", newline="") as opened:
        yield iter(opened)


async def _query(
    source: _Source, wanted: AuditFilter, limit: int, before: int | None
) -> Sequence[dict[str, Any]]:
    if not source.is_database:
        return _query_export(source.path, wanted, limit, before)
    async with _reads(source.path) as reads:
        return [event.as_json() for event in await reads.audit_page(wanted, before_seq=before, limit=limit)]


def _query_export(path: Path, wanted: AuditFilter, limit: int, before: int | None) -> list[dict[str, Any]]:
    matcher = Matcher(wanted)
    if wanted.risk is not None or wanted.action_type is not None:
        with _lines(path) as lines:
            matcher.learn(events(lines))
    with _lines(path) as lines:
        taken = (event for event in events(lines) if before is None or event["seq"] < before)
        return [*deque((event for event in taken if matcher.takes(event)), maxlen=limit)][::-1]


async def _verify(
    source: _Source, notes: Sequence[str], key: NoteKey | None, *, full: bool, partial: bool
) -> Verification:
    with _progress("is the last seq verified") as progress:
        if not source.is_database:
            with _lines(source.path) as lines:
                return auditing.verify_export(lines, notes=notes, key=key, partial=partial, progress=progress)
        async with _reads(source.path) as reads:
            return await auditing.verify(reads, notes=notes, key=key, full=full, progress=progress)


async def _report(source: _Source, wanted: AuditFilter) -> str:
    async with _reads(source.path) as reads:
        return await Reporting(reads, SystemClock()).page(wanted)


async def _export(source: _Source, wanted: AuditFilter, format: Format, after: int) -> None:
    async with _reads(source.path) as reads:
        through = (await reads.chain_head()).seq
        if source.configured:
            body = {"format": format.value, "filters": auditing.filters_json(wanted)}
            await ask(
                StoreSettings.read(os.environ), "audit/exported", {**body, "after": after, "through": through}
            )
        with _progress("is the last seq written") as progress:
            pieces = auditing.export(reads, wanted, format, after=after, through=through, progress=progress)
            async for piece in pieces:
                sys.stdout.buffer.write(piece)
            sys.stdout.buffer.flush()


@contextmanager
def _progress(words: str) -> Iterator[auditing.Progress]:
    """A number on standard error that moves, where somebody looks; only the last one otherwise."""
    shown, last = sys.stderr.isatty(), 0

    def tell(count: int) -> None:
        nonlocal last
        last = count
        if shown:
            typer.echo(f"\r{count:,} {words}", err=True, nl=False)

    try:
        yield tell
    finally:  # also when it is broken off: an export goes on after the last seq
        if last:
            typer.echo(f"{chr(13) if shown else ''}{last:,} {words}", err=True)


def _key(text: str | None) -> NoteKey | None:
    if text is not None:
        return NoteKey.parse(text)
    key = known_key(StoreSettings.read(os.environ).keyturn_key_dir)
    if key is None:
        typer.echo("No key is known here, so the signatures of checkpoints are not checked: --key.", err=True)
    return key


def _filter(
    event: str | None,
    actor: str | None,
    agent: str | None,
    action_type: str | None,
    session_id: str | None,
    request_id: str | None,
    risk: str | None,
    reversible: bool | None,
    since: str | None,
    until: str | None,
) -> AuditFilter:
    flag = None if reversible is None else str(reversible)
    given = {
        "event": event,
        "actor": actor,
        "agent": agent,
        "action_type": action_type,
        "session_id": session_id,
        "request_id": request_id,
        "risk": risk,
        "reversible": flag,
        "since": since,
        "until": until,
    }
    set_ones = {name: value for name, value in given.items() if value is not None}
    return read_filter(set_ones, now=SystemClock().now())


def _line(event: dict[str, Any]) -> str:
    facts = [event["agent"], event["request_id"], event["session_id"]]
    about = "  ".join(fact for fact in facts if fact)
    body = event["body"]
    part = f"  (partial: {body['undone']} of {body['of']} undone)" if body.get("partial") is True else ""
    what = (
        f"{event['seq']:>8}  {event['at']}  {event['event']:<22} {event['actor']['name']:<20} {about}{part}"
    )
    return what.rstrip()


def _verdict(found: Verification, *, compared: bool, keyed: bool) -> str:
    if found.problem is not None:
        problem = found.problem
        return f"NOT WHOLE at row {problem.seq} ({problem.kind}): {visible(problem.detail)}"
    signed = found.checkpoint
    if signed is not None:
        until = f"signed up to row {signed.place.seq}"
        until += "" if keyed else ", though by whom was not checked: no key"
    else:
        until = "no checkpoint signs it yet" if compared else "compared with no checkpoint (--checkpoints)"
    return f"whole: {found.checked:,} rows, {until}; head {found.head.hash.hex()}"
