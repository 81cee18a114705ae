"""Times as text: RFC 3339 in UTC with `Z`, the one form in answers, audit rows and receipts."""

from datetime import UTC, datetime


def rfc3339(moment: datetime) -> str:
    """`2026-11-22T10:15:00.250000Z`; microseconds always shown, so that text sorts as time does.

    Raises:
        ValueError: `moment` is naive.
    """
    if moment.tzinfo is None:
        raise ValueError("a naive datetime has no place on a time line; give it a zone")
    return moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def optional_rfc3339(moment: datetime | None) -> str | None:
    """The same, None for None."""
    return None if moment is None else rfc3339(moment)
