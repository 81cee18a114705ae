"""Waits, keys and filters, as callers write them."""

import pytest

from bot.core.errors import InvalidRequest
from bot.http.asked import LONGEST_WAIT, filters_of, idempotency_key, last_event, preferred_wait, wait_of


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        (["wait=5"], 5),
        (["WAIT=5"], 5),
        (["respond-async, wait=10"], 10),
        (['wait="7"'], 7),
        (["wait = 7"], 7),
        (["wait=7; foo=bar"], 7),
        (["return=minimal", "wait=3"], 3),
        (["wait=0"], 0),
        (["wait=55"], 55),
        (["wait=56"], LONGEST_WAIT),
        (["wait=" + "9" * 5000], LONGEST_WAIT),
        (["wait=000000000000000007"], 7),
        (["wait=1, wait=9"], 1),
    ],
)
def test_a_readable_preference_is_taken_and_clamped(headers: list[str], seconds: int) -> None:
    assert preferred_wait(headers) == seconds


@pytest.mark.parametrize(
    "header",
    ["", "wait", "wait=", "wait=-1", "wait=5.5", "wait=five", "wait=٣", "waiting=5", "wait=5 6", "="],
)
def test_a_preference_that_cannot_be_read_is_ignored(header: str) -> None:
    assert preferred_wait([header]) is None


def test_a_wait_in_the_query_is_clamped_too() -> None:
    assert [wait_of(given) for given in ([], ["0"], ["20"], ["600"])] == [0, 0, 20, LONGEST_WAIT]


@pytest.mark.parametrize("query", ["", "-1", "1.5", "+1", " 1", "1 ", "x", "1e1", "٣", "0x1"])
def test_a_wait_that_is_no_whole_number_is_refused(query: str) -> None:
    with pytest.raises(InvalidRequest, match="whole number"):
        wait_of([query])


@pytest.mark.parametrize("key", ["k", "a b c", "0f8fad5b-d9cb-469f-a165-70867728950e", "x" * 255])
def test_a_printable_key_is_taken(key: str) -> None:
    assert idempotency_key([key]) == key


@pytest.mark.parametrize("key", ["", "x" * 256, "é", "a\tb"])
def test_another_key_is_refused(key: str) -> None:
    with pytest.raises(InvalidRequest, match="Idempotency-Key"):
        idempotency_key([key])


def test_what_may_stand_once_is_refused_twice() -> None:
    assert idempotency_key([]) is None
    with pytest.raises(InvalidRequest, match="once"):
        idempotency_key(["a", "a"])
    with pytest.raises(InvalidRequest, match="one whole number"):
        wait_of(["1", "1"])


def test_only_an_event_id_of_ours_resumes() -> None:
    assert [last_event(h) for h in (None, "", "x", "-1", "9" * 19)] == [None] * 5
    assert last_event("17") == 17


def test_a_list_has_fifty_entries_unless_asked_otherwise() -> None:
    assert filters_of([]).limit == 50
    assert filters_of([("limit", "200")]).limit == 200


@pytest.mark.parametrize(
    "query",
    [
        [("limit", "0")],
        [("limit", "201")],
        [("limit", "x")],
        [("limit", "")],
        [("limit", "5.0")],
        [("status", "done")],
        [("state", "pending")],
        [("type", "a"), ("type", "b")],
    ],
)
def test_a_filter_that_would_be_misread_is_refused(query: list[tuple[str, str]]) -> None:
    with pytest.raises(InvalidRequest):
        filters_of(query)
