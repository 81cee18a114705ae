"""Server-sent events survive any cutting into pieces."""

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyturn import exact
from keyturn.errors import Unauthorized, Unreachable
from keyturn.exchange import Answer, NoAnswer
from keyturn.settings import Settings
from keyturn.stream import Lines, Stream
from tests.stub_keyturn import resource

SETTINGS = Settings(url="http://x", token="t", clock=lambda: 0.0)


def data(**changes: Any) -> bytes:
    body = resource("req_1", {"type": "custom", "params": {"text": "a\u2028b\x85c"}}) | changes
    del body["_body"]
    return exact.dumps(body).encode()


PENDING = data()
REJECTED = data(status="rejected", cause="human")
WIRE = (
    b": hello\n\nid: 7\nevent: state\ndata: " + PENDING + b"\n\n"
    b"id: 9\r\nevent: action_rejected\r\nretry: 5\r\ndata:" + REJECTED + b"\r\n\r\n: heartbeat\r\r"
)


@given(st.lists(st.integers(0, len(WIRE)), max_size=6))
def test_events_are_the_same_however_the_bytes_arrive(cuts: list[int]) -> None:
    stream = Stream(SETTINGS, "req_1", None)
    places = [0, *sorted(cuts), len(WIRE)]
    events = [event for a, b in pairwise(places) for event in stream.feed(WIRE[a:b])]
    assert [(event.seq, event.event, event.request.status) for event in events] == [
        ("7", "state", "pending"),
        ("9", "action_rejected", "rejected"),
    ]
    assert events[0].request.params == {"text": "a\u2028b\x85c"}


@given(st.lists(st.sampled_from([b"a", b"\r", b"\n", b"\xe2\x80\xa8"]), max_size=12), st.integers(1, 4))
def test_lines_end_at_cr_lf_and_crlf_only(parts: list[bytes], step: int) -> None:
    wire = b"".join(parts) + b"\n"
    lines = Lines()
    seen = [line for at in range(0, len(wire), step) for line in lines.feed(wire[at : at + step])]
    assert seen == wire.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")[:-1]


def test_a_broken_stream_resumes_after_the_last_whole_event() -> None:
    stream = Stream(SETTINGS, "req_1", None)
    assert "Last-Event-ID" not in stream.call().headers
    stream.feed(b"id: 7\nevent: state\ndata: " + PENDING + b"\n\nid: 8\ndata: {half")
    assert stream.resume_in(NoAnswer(ConnectionResetError(), sent=True)) is not None
    assert stream.call().headers["Last-Event-ID"] == "7"
    assert stream.feed(b"data: x") == []


def test_a_stream_ends_when_the_request_is_settled_and_not_before() -> None:
    stream = Stream(SETTINGS, "req_1", None)
    stream.feed(b"data: " + PENDING + b"\n\n")
    assert stream.resume_in(None) is not None
    stream.feed(b"data: " + REJECTED + b"\n\n")
    assert stream.resume_in(None) is None


def test_a_refused_stream_raises_and_does_not_reconnect() -> None:
    body = b'{"code": "unauthorized", "detail": "revoked"}'
    with pytest.raises(Unauthorized, match="revoked"):
        Stream(SETTINGS, "req_1", None).resume_in(
            Answer(401, {"content-type": "application/problem+json"}, body)
        )


def test_data_that_is_no_request_is_refused() -> None:
    with pytest.raises(Unreachable, match="KEYTURN_URL"):
        Stream(SETTINGS, "req_1", None).feed(b"data: hello\n\n")
