"""What a call asks for beside its body: how long to hold the answer, which key, from which event on."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from bot.core.errors import InvalidRequest
from bot.http.fields import Body, read

LONGEST_WAIT = 55
"""Seconds an answer is held at most: proxies and load balancers commonly give up after 60."""

IDEMPOTENCY_KEY = r"^[\x20-\x7e]{1,255}$"

LONGEST_PAGE = 200

CURSOR = r"^[0-9]{1,18}\.[A-Za-z0-9_]{1,64}$"
"""What a `next_cursor` looks like; what it means is the store's."""

SEQ_CURSOR = r"^[0-9]{1,18}$"
"""The same of a list of audit events."""


def whole(value: object) -> object:
    """The number of digits in a query string; anything else as it is, for the field to refuse."""
    return int(value) if isinstance(value, str) and re.fullmatch("[0-9]{1,9}", value, re.ASCII) else value


class Filters(Body):
    """Which requests of a list, and how many."""

    status: Literal["pending", "approved", "modified", "rejected", "timed_out", "cancelled"] | None = None
    type: str | None = None
    session_id: str | None = None
    limit: Annotated[int, BeforeValidator(whole), Field(ge=1, le=LONGEST_PAGE)] = 50
    cursor: Annotated[str | None, Field(pattern=CURSOR)] = None


def filters_of(query: Sequence[tuple[str, str]]) -> Filters:
    """The filters in a query string.

    Raises:
        InvalidRequest: an unknown filter, one given twice, or a value that cannot be.
    """
    return read(Filters, once(query))


class Whose(Body):
    """Whose session is meant, of those with the same id."""

    agent: str | None = None


class TimelinePlace(Whose):
    """And from where on its timeline is read."""

    cursor: Annotated[str | None, Field(pattern=SEQ_CURSOR)] = None


def whose(query: Sequence[tuple[str, str]]) -> Whose:
    """Whose session a query string asks for.

    Raises:
        InvalidRequest: something unknown, or given twice.
    """
    return read(Whose, once(query))


def place_of(query: Sequence[tuple[str, str]]) -> TimelinePlace:
    """The part of a timeline that a query string asks for.

    Raises:
        InvalidRequest: something unknown, given twice, or a cursor of another list.
    """
    return read(TimelinePlace, once(query))


def once(query: Sequence[tuple[str, str]]) -> dict[str, str]:
    """A query string in which nothing stands twice.

    Raises:
        InvalidRequest: something does.
    """
    for name, times in Counter(name for name, _ in query).items():
        if times > 1:
            raise InvalidRequest(f"{name}: may be given once.")
    return dict(query)


_WHOLE = re.compile(r"[0-9]+", re.ASCII)
_KEY = re.compile(r"[\x20-\x7e]{1,255}")
# RFC 7240: preferences are separated by commas, a value may be quoted, parameters follow `;`.
_WAIT = re.compile(r'[ \t]*wait[ \t]*=[ \t]*(?:"([0-9]+)"|([0-9]+))[ \t]*(?:;.*)?', re.ASCII | re.IGNORECASE)


def preferred_wait(prefer: Iterable[str]) -> int | None:
    """Seconds of the first readable `wait` among the `Prefer` headers, clamped; None when there is none."""
    for header in prefer:
        for preference in header.split(","):
            found = _WAIT.fullmatch(preference)
            if found:
                return _clamped(found[1] or found[2])
    return None


def wait_of(given: Sequence[str]) -> int:
    """Seconds of `?wait=`, clamped; 0 when it is not given.

    Raises:
        InvalidRequest: not a whole number, or given twice.
    """
    if not given:
        return 0
    if len(given) > 1 or not _WHOLE.fullmatch(given[0]):
        raise InvalidRequest("wait: must be one whole number of seconds, 0 or more.")
    return _clamped(given[0])


def idempotency_key(given: Sequence[str]) -> str | None:
    """The key, if one was given.

    Raises:
        InvalidRequest: empty, longer than 255 characters, not printable ASCII, or given twice.
    """
    if not given:
        return None
    if len(given) > 1 or not _KEY.fullmatch(given[0]):
        raise InvalidRequest("Idempotency-Key: must be 1 to 255 printable ASCII characters, given once.")
    return given[0]


def last_event(header: str | None) -> int | None:
    """The seq after which to resume; None when there is none or it is not one of ours."""
    if header is None or not _WHOLE.fullmatch(header) or len(header) > _SEQ_DIGITS:
        return None
    return int(header)


_SEQ_DIGITS = 18
"""Fewer than a 64-bit integer has, so that every accepted value is one."""


def _clamped(digits: str) -> int:
    significant = digits.lstrip("0") or "0"
    return LONGEST_WAIT if len(significant) > 2 else min(int(significant), LONGEST_WAIT)
