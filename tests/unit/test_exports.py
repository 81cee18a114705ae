"""An export as a spreadsheet reads it."""

import csv
import io

import pytest

from bot.core.chain import GENESIS, Link, link
from bot.core.digest import canonical
from bot.services import exports
from bot.services.exports import Format


@pytest.mark.parametrize("first", ["=", "+", "-", "@", "\t", "\r", "'"])
def test_a_name_that_a_spreadsheet_would_run_is_text_in_it_and_itself_when_read_back(first: str) -> None:
    name = f'{first}HYPERLINK("x")'
    event = {
        **{"seq": 1, "at": "2026-01-01T00:00:00Z", "event": "review_recorded", "via": "slack"},
        **{"agent": None, "request_id": None, "session_id": None, "body": {}},
        "actor": {"type": "human", "id": "U1", "name": name},
    }
    row = Link(1, canonical(event), GENESIS, link(GENESIS, canonical(event)))
    written = (exports.header(Format.CSV) + exports.lines([row], Format.CSV)).decode()
    [_, cells] = csv.reader(io.StringIO(written, newline=""))
    assert cells[5] == f"'{name}"
    assert list(exports.links(io.StringIO(written, newline=""))) == [row]
