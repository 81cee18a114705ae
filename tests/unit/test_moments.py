"""Moments as people type them, in their own zone."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from bot.core.moments import parse

BERLIN = ZoneInfo("Europe/Berlin")
NOW = datetime(2026, 11, 22, 12, 30, tzinfo=UTC)  # a Sunday, 13:30 in Berlin


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("now", "2026-11-22T12:30"),
        ("14:20", "2026-11-22T13:20"),
        ("13:00", "2026-11-23T12:00"),
        ("9:05", "2026-11-23T08:05"),
        ("today", "2026-11-21T23:00"),
        ("today 09:00", "2026-11-22T08:00"),
        ("tomorrow 09:00", "2026-11-23T08:00"),
        ("Mon 09:00", "2026-11-23T08:00"),
        ("sun 18:00", "2026-11-22T17:00"),
        ("Sun 09:00", "2026-11-29T08:00"),
        ("2026-12-24", "2026-12-23T23:00"),
        ("2026-12-24 09:00", "2026-12-24T08:00"),
        ("2026-12-24T09:00", "2026-12-24T08:00"),
        ("2027-07-01 09:00", "2027-07-01T07:00"),
        ("2027-07-01T09:00:00Z", "2027-07-01T09:00"),
        ("2027-07-01T09:00+02:00", "2027-07-01T07:00"),
        ("2026-10-25T00:30:00.000000Z", "2026-10-25T00:30"),
    ],
)
def test_a_moment_is_the_one_that_person_means(text: str, meant: str) -> None:
    assert parse(text, now=NOW, zone=BERLIN) == datetime.fromisoformat(meant).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    "text",
    ["", "noon", "25:00", "2026-13-01", "2026-02-30 09:00", "9", "09:00 Mon", "14:7", "2026-02-30T09:00Z"],
)
def test_anything_else_is_refused_with_what_to_write(text: str) -> None:
    with pytest.raises(ValueError, match="is not a time; write a time such as"):
        parse(text, now=NOW, zone=BERLIN)


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("tomorrow 12:00", "2026-11-23T11:00"),
        ("12:00", "2026-11-23T11:00"),
        ("09:00", "2026-11-24T08:00"),
        ("Mon 18:00", "2026-11-23T17:00"),
        ("Mon 09:00", "2026-11-30T08:00"),
        ("today 20:00", "2026-11-22T19:00"),
    ],
)
def test_the_end_of_a_span_follows_its_beginning_and_tomorrow_stays_tomorrow(text: str, meant: str) -> None:
    begins = parse("tomorrow 10:00", now=NOW, zone=BERLIN)
    found = parse(text, now=NOW, zone=BERLIN, after=begins)
    assert found == datetime.fromisoformat(meant).replace(tzinfo=UTC)
