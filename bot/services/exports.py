"""The audit as a file: JSON lines or CSV, and reading such a file back.

Rows stand in the order of the chain. A line holds everything that the chain covers, so that an export
is verified as the database is. JSON lines are the canonical bytes themselves with the two hashes added.
"""

import csv
import io
import json
from collections.abc import Iterable, Iterator, Mapping
from enum import StrEnum
from typing import Any

from bot.core import jsontext
from bot.core.chain import Link
from bot.core.digest import canonical


class Format(StrEnum):
    """How an export is written."""

    JSONL = "jsonl"
    CSV = "csv"


MEDIA_TYPES = {Format.JSONL: "application/jsonl", Format.CSV: "text/csv; charset=utf-8"}

_COLUMNS = (
    "seq",
    "at",
    "event",
    "actor_type",
    "actor_id",
    "actor_name",
    "via",
    "agent",
    "request_id",
    "session_id",
    "body",
    "prev_hash",
    "hash",
)
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "'")
"""A spreadsheet would run a cell that begins so; it gets an apostrophe in front."""


class Unreadable(ValueError):
    """A line is no audit event of an export."""

    def __init__(self, line: int) -> None:
        super().__init__(f"line {line} is no event of an audit export")
        self.line = line


def header(format: Format) -> bytes:
    """What stands above the first row."""
    return _csv([_COLUMNS]) if format is Format.CSV else b""


def lines(rows: Iterable[Link], format: Format) -> bytes:
    """Rows as text of an export."""
    if format is Format.CSV:
        return _csv(_cells(row) for row in rows)
    return b"".join(json_of(row) + b"\n" for row in rows)


def json_of(row: Link) -> bytes:
    """The event on the wire: its canonical bytes with the two hashes added."""
    hashes = b',"hash":"%b","prev_hash":"%b"}' % (row.hash.hex().encode(), row.prev_hash.hex().encode())
    return row.canonical[:-1] + hashes


def events(file: Iterable[str]) -> Iterator[dict[str, Any]]:
    """The events of an export in either format, with their hashes, in the order of the file.

    Raises:
        Unreadable: a line is none.
    """
    return (event for _, event in _numbered(file))


def links(file: Iterable[str]) -> Iterator[Link]:
    """The same as rows of the chain.

    Raises:
        Unreadable: a line is none.
    """
    for number, event in _numbered(file):
        try:
            yield link_of(event)
        except (KeyError, ValueError, TypeError):
            raise Unreadable(number) from None


def link_of(event: Mapping[str, Any]) -> Link:
    """The row of the chain that an exported event is.

    Raises:
        KeyError, ValueError, TypeError: it is none.
    """
    said = {name: value for name, value in event.items() if name not in ("hash", "prev_hash")}
    return Link(event["seq"], canonical(said), _hash(event["prev_hash"]), _hash(event["hash"]))


def _numbered(file: Iterable[str]) -> Iterator[tuple[int, dict[str, Any]]]:
    """Each event with the number of the line on which it ends."""
    source = enumerate(file, start=1)
    for number, line in source:
        if number == 1 and line.rstrip("\r\n") == ",".join(_COLUMNS):
            yield from _from_csv(text for _, text in source)
            return
        if line.strip():
            yield number, _from_json(number, line)


def _cells(row: Link) -> list[str]:
    said = jsontext.reread(row.canonical)
    actor = said["actor"]
    found = [
        *(said["seq"], said["at"], said["event"]),
        *(actor["type"], actor["id"], actor["name"], said["via"]),
        *(said["agent"], said["request_id"], said["session_id"]),
        canonical(said["body"]).decode(),
        row.prev_hash.hex(),
        row.hash.hex(),
    ]
    return ["" if cell is None else _harmless(str(cell)) for cell in found]


def _harmless(cell: str) -> str:
    return f"'{cell}" if cell.startswith(_FORMULA) else cell


def _csv(rows: Iterable[Iterable[str]]) -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue().encode()


def _from_json(number: int, line: str) -> dict[str, Any]:
    try:
        event = jsontext.reread(line)
    except (json.JSONDecodeError, RecursionError):
        raise Unreadable(number) from None
    if not isinstance(event, dict):
        raise Unreadable(number)
    return event


def _from_csv(rest: Iterable[str]) -> Iterator[tuple[int, dict[str, Any]]]:
    csv.field_size_limit(1 << 30)
    for number, cells in _rows(rest):
        if not cells:
            continue
        try:
            found = {
                name: cell.removeprefix("'") if cell[1:].startswith(_FORMULA) and cell[0] == "'" else cell
                for name, cell in zip(_COLUMNS, cells, strict=True)
            }
            event = _event(found)
        except (ValueError, RecursionError):
            raise Unreadable(number) from None
        yield number, event


def _rows(rest: Iterable[str]) -> Iterator[tuple[int, list[str]]]:
    """The rows of a CSV file below its header, each with the number of its line."""
    reader = csv.reader(rest, strict=True)
    try:
        for cells in reader:
            yield reader.line_num + 1, cells
    except csv.Error:
        raise Unreadable(reader.line_num + 1) from None


def _hash(text: str) -> bytes:
    found = bytes.fromhex(text)
    if found.hex() != text:
        raise ValueError("a hash is written in small letters and nothing else")
    return found


def _event(cells: Mapping[str, str]) -> dict[str, Any]:
    return {
        "seq": int(cells["seq"]),
        "at": cells["at"],
        "event": cells["event"],
        "actor": {"type": cells["actor_type"], "id": cells["actor_id"], "name": cells["actor_name"]},
        "via": cells["via"],
        "agent": cells["agent"] or None,
        "request_id": cells["request_id"] or None,
        "session_id": cells["session_id"] or None,
        "body": jsontext.reread(cells["body"]),
        "prev_hash": cells["prev_hash"],
        "hash": cells["hash"],
    }
