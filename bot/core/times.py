"""Times as text: RFC 3339 in UTC with `Z`, the one form in answers, audit rows and receipts."""

import re
from datetime import UTC, datetime

_RFC3339 = re.compile(
    r"(\d{4}-\d\d-\d\dT\d\d:\d\d:)(\d\d)((?:\.\d+)?(?:Z|[+-]\d\d:\d\d))", re.ASCII | re.IGNORECASE
)


def rfc3339(moment: datetime) -> str:
    """`2026-11-22T10:15:00.250000Z`; microseconds always shown, so that text sorts as time does.

    Raises:
        ValueError: `moment` is naive.
    """
    if moment.tzinfo is None:
        raise ValueError("a naive datetime has no place on a time line; give it a zone")
    if moment.tzinfo is UTC:  # every time of ours: eight of them in each request
        return moment.isoformat(timespec="microseconds")[:-6] + "Z"
    return moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def optional_rfc3339(moment: datetime | None) -> str | None:
    """The same, None for None."""
    return None if moment is None else rfc3339(moment)


def read_rfc3339(text: str) -> datetime:
    """The time that `text` says. A leap second counts as the one before it.

    Raises:
        ValueError: it is no RFC 3339 time, or has no zone.
    """
    found = _RFC3339.fullmatch(text)
    if found is None:
        raise ValueError("not a time; write RFC 3339 with a zone, such as 2026-01-31T09:00:00Z")
    second = "59" if found[2] == "60" else found[2]
    return datetime.fromisoformat(f"{found[1]}{second}{found[3]}".upper())
