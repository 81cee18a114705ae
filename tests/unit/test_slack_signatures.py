"""Signed HTTP: the raw bytes are judged first, and what is signed garbage is 400, never 5xx."""

import hashlib
import hmac
import json
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from slack_bolt.async_app import AsyncApp
from slack_bolt.authorization import AuthorizeResult

from bot.slack.signed_http import LARGEST, SignedHttp, Verifier

SECRET, NEXT = "8f742231b10e8888abcd99yyyzzz85a5", "next-secret"
NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


class Fixed:
    def __init__(self, now: datetime = NOW) -> None:
        self._now = now

    def now(self) -> datetime:
        return self._now


def signature(body: bytes, timestamp: bytes, secret: str = SECRET) -> bytes:
    made = hmac.new(secret.encode(), b"v0:" + timestamp + b":" + body, hashlib.sha256)
    return b"v0=" + made.hexdigest().encode()


def stamp(offset: timedelta = timedelta(0)) -> bytes:
    return str(int((NOW + offset).timestamp())).encode()


@pytest.fixture
def heard() -> list[dict[str, Any]]:
    return []


@pytest.fixture
def http(heard: list[dict[str, Any]]) -> SignedHttp:
    return make_http(heard)


def make_http(heard: list[dict[str, Any]]) -> SignedHttp:
    async def authorize(enterprise_id: str | None, team_id: str | None) -> AuthorizeResult:
        return AuthorizeResult(enterprise_id=None, team_id="T0", bot_token="xoxb-test")

    app = AsyncApp(authorize=authorize, request_verification_enabled=False)

    @app.action("request.approve")
    @app.view("request.reject")
    async def clicked(ack: Any, body: dict[str, Any]) -> None:
        heard.append(body)
        await ack()

    return SignedHttp(app, Verifier([SECRET, NEXT], Fixed()))


async def post(http: SignedHttp, body: bytes, headers: dict[bytes, bytes], method: str = "POST") -> int:
    sent: list[Any] = []
    chunks = [body[:7], body[7:]]

    async def receive() -> dict[str, Any]:
        chunk = chunks.pop(0)
        return {"type": "http.request", "body": chunk, "more_body": bool(chunks)}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "http", "method": method, "headers": list(headers.items())}
    await http(scope, receive, send)
    return int(sent[0]["status"])


def signed(body: bytes, *, secret: str = SECRET, kind: bytes = b"application/x-www-form-urlencoded") -> Any:
    return {
        b"content-type": kind,
        b"x-slack-request-timestamp": stamp(),
        b"x-slack-signature": signature(body, stamp(), secret),
    }


CLICK = {
    "type": "block_actions",
    "user": {"id": "U1", "team_id": "T0"},
    "team": {"id": "T0"},
    "actions": [{"action_id": "request.approve", "block_id": "b", "value": "x"}],
    "trigger_id": "1.2.3",
}


def form(payload: Any) -> bytes:
    return urlencode({"payload": json.dumps(payload)}).encode()


def test_slacks_published_example_verifies() -> None:
    # docs.slack.dev, authentication/verifying-requests-from-slack
    body = (
        b"token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V"
        b"&channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text="
        b"&response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F"
        b"96rGlfmibIGlgcZRskXaIFfN&trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c"
    )
    verifier = Verifier([SECRET], Fixed(datetime.fromtimestamp(1531420618, tz=UTC)))
    published = b"v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503"
    assert verifier.accepts(body, b"1531420618", published)
    assert not verifier.accepts(body + b" ", b"1531420618", published)


async def test_a_signed_click_reaches_its_listener(http: SignedHttp, heard: list[dict[str, Any]]) -> None:
    assert await post(http, form(CLICK), signed(form(CLICK))) == 200
    assert heard == [CLICK]


async def test_a_form_need_not_say_that_it_is_a_modal(http: SignedHttp, heard: list[dict[str, Any]]) -> None:
    body = form({"type": "view_submission", "user": {"id": "U1"}, "view": {"callback_id": "request.reject"}})
    assert await post(http, body, signed(body)) == 200
    assert len(heard) == 1


async def test_while_a_secret_is_replaced_both_are_good(http: SignedHttp) -> None:
    assert await post(http, form(CLICK), signed(form(CLICK), secret=NEXT)) == 200
    assert await post(http, form(CLICK), signed(form(CLICK), secret="old")) == 401


@pytest.mark.parametrize(
    "offset", [timedelta(seconds=-301), timedelta(seconds=301), timedelta(days=-365), timedelta(days=365)]
)
async def test_a_replay_after_five_minutes_is_refused(http: SignedHttp, offset: timedelta) -> None:
    body = form(CLICK)
    headers = {
        b"x-slack-request-timestamp": stamp(offset),
        b"x-slack-signature": signature(body, stamp(offset)),
    }
    assert await post(http, body, headers) == 401


@pytest.mark.parametrize(
    "timestamp", [b"", b"abc", b"1e9", b"-1", b" 1795348800", b"1795348800.0", "١٢٣".encode()]
)
async def test_a_timestamp_that_is_no_number_is_refused(http: SignedHttp, timestamp: bytes) -> None:
    body = form(CLICK)
    headers = {
        b"x-slack-request-timestamp": timestamp,
        b"x-slack-signature": signature(body, timestamp),
    }
    assert await post(http, body, headers) == 401


@pytest.mark.parametrize(
    "given_signature", [b"", b"v0=", b"v1=" + b"0" * 64, b"v0=" + b"0" * 64, b"v0=\xff\xfe"]
)
async def test_a_wrong_signature_is_refused_before_anything_is_parsed(
    http: SignedHttp, given_signature: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    body = b"payload=%7Bnot json SECRET-BODY"
    headers = {b"x-slack-request-timestamp": stamp(), b"x-slack-signature": given_signature}
    assert await post(http, body, headers) == 401
    assert "SECRET-BODY" not in caplog.text


async def test_missing_headers_are_refused(http: SignedHttp) -> None:
    assert await post(http, form(CLICK), {}) == 401


GARBAGE: list[bytes] = [
    b"",
    b"\xff\xfe",
    b"payload=",
    b"payload=%7B",
    b"payload=[]",
    b"payload=1",
    b"payload=%7B%22type%22%3A%22block_actions%22%7D",
    form({"type": "block_actions", "user": "U1", "actions": []}),
    form({"type": "block_actions", "user": {"id": "U1"}, "actions": [[]]}),
    form({"type": "view_submission", "user": {"id": "U1"}, "view": []}),
    form({"type": "nonsense", "user": {"id": "U1"}}),
    form({"type": "nonsense", "user": {"id": "U1"}, "view": [1]}),
    form({**CLICK, "team": 7, "enterprise": [1], "channel": "x", "container": 5}),
    b"hello",
    b"payload=" + b"[" * 20_000,
]


@pytest.mark.parametrize("body", GARBAGE)
async def test_signed_garbage_is_400(http: SignedHttp, body: bytes) -> None:
    assert await post(http, body, signed(body)) == 400
    status = await post(http, body, signed(body, kind=b"application/json"))
    assert status == 400


@settings(max_examples=80, deadline=None)
@given(
    body=st.one_of(
        st.binary(max_size=80),
        st.recursive(
            st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=10)),
            lambda inner: st.one_of(
                st.lists(inner, max_size=3),
                st.dictionaries(
                    st.sampled_from(["type", "user", "id", "actions", "action_id", "team", "view", "event"]),
                    inner,
                    max_size=5,
                ),
            ),
        ).map(form),
    ),
    kind=st.sampled_from([b"application/json", b"application/x-www-form-urlencoded", b""]),
)
async def test_no_signed_bytes_make_a_server_error(body: bytes, kind: bytes) -> None:
    assert await post(make_http([]), body, signed(body, kind=kind)) < 500


async def test_a_body_beyond_the_limit_is_refused_unread(http: SignedHttp) -> None:
    body = b"x" * (LARGEST + 1)
    assert await post(http, body, signed(body)) == 413


async def test_only_posts_are_deliveries(http: SignedHttp) -> None:
    assert await post(http, b"", {}, method="GET") == 405


@pytest.mark.parametrize("secrets", [[], [""], [SECRET, ""]])
def test_an_empty_secret_is_no_secret(secrets: list[str]) -> None:
    with pytest.raises(ValueError, match="empty signing secret"):
        Verifier(secrets, Fixed())
