"""Signed callbacks to a real receiver on this machine."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from email.utils import format_datetime

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from standardwebhooks import Webhook, WebhookVerificationError

from bot.notify import posting
from bot.notify.channel import RETRIES
from bot.notify.webhook import Callback, WebhookSender
from bot.services.outbox import Failed, Later, Sent
from bot.store.outbox import OutboxItem

SECRET = "whsec_" + "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
DATA = {"id": "req_1", "status": "approved", "params": {"amount": Decimal("2500.00")}}
Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


class RealClock:
    """The machine's clock: the independent verifier reads it too."""

    def now(self) -> datetime:
        return datetime.now(UTC)


@dataclass
class Receiver:
    """A receiver, and what it got."""

    url: str = ""
    answer: Answer | None = None
    got: list[tuple[dict[str, str], bytes]] = field(default_factory=list)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.got.append((dict(request.headers), await request.read()))
        return web.Response() if self.answer is None else await self.answer(request)


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as receiver:
        yield receiver


@asynccontextmanager
async def receiving() -> AsyncIterator[Receiver]:
    receiver = Receiver()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", receiver.handle)
    async with TestServer(app) as server:
        receiver.url = str(server.make_url("/hook"))
        yield receiver


async def callback_of(request_id: str) -> Callback | None:
    return Callback(SECRET, DATA) if request_id == "req_1" else None


def sender(*allow: str) -> WebhookSender:
    return WebhookSender(callback_of, RealClock(), allow=allow or ("127.0.0.1",))


def item(url: str, *, attempts: int = 1, request_id: str | None = "req_1") -> OutboxItem:
    now = datetime.now(UTC)
    return OutboxItem(
        id=7,
        kind="callback",
        order_key="callback:req_1",
        coalesce_key=None,
        request_id=request_id,
        payload={"url": url, "type": "request.decided"},
        attempts=attempts,
        generation=1,
        unclear=False,
        first_attempt_at=now,
        created_at=now,
        lease_until=now + timedelta(seconds=30),
        last_error=None,
    )


def status(code: int, **headers: str) -> Answer:
    async def answer(_request: web.Request) -> web.StreamResponse:
        return web.Response(status=code, headers={k.replace("_", "-"): v for k, v in headers.items()})

    return answer


async def test_an_independent_verifier_accepts_the_signature(receiver: Receiver) -> None:
    assert await sender().send(item(receiver.url)) == Sent()
    (headers, body) = receiver.got[0]
    told = Webhook(SECRET).verify(body, headers)
    assert (told["type"], told["data"]["status"]) == ("request.decided", "approved")
    assert b'"amount":2500.00' in body
    assert headers["Content-Type"] == "application/json"
    with pytest.raises(WebhookVerificationError):
        Webhook(SECRET).verify(body + b" ", headers)


async def test_a_retry_has_the_same_id_and_the_same_body(receiver: Receiver) -> None:
    receiver.answer = status(500)
    first = item(receiver.url)
    for attempts in (1, 2):
        await sender().send(replace(first, attempts=attempts))
    (before, body), (after, again) = receiver.got
    assert before["webhook-id"] == after["webhook-id"]
    assert body == again


@pytest.mark.parametrize("code", [200, 201, 204, 299])
async def test_any_2xx_is_a_receipt(receiver: Receiver, code: int) -> None:
    receiver.answer = status(code)
    assert await sender().send(item(receiver.url)) == Sent()


@pytest.mark.parametrize("code", [300, 400, 401, 404, 429, 500, 502, 503, 504])
async def test_anything_else_is_tried_again(receiver: Receiver, code: int) -> None:
    receiver.answer = status(code)
    delivery = await sender().send(item(receiver.url))
    assert isinstance(delivery, Later)
    assert delivery.error == f"http_{code}"


async def test_a_redirect_is_not_followed(receiver: Receiver) -> None:
    receiver.answer = status(307, Location="/elsewhere")
    assert isinstance(await sender().send(item(receiver.url)), Later)
    assert len(receiver.got) == 1


async def test_tries_follow_the_specifications_schedule_and_then_end(receiver: Receiver) -> None:
    receiver.answer = status(500)
    for attempts, wait in enumerate(RETRIES, start=1):
        delivery = await sender().send(item(receiver.url, attempts=attempts))
        assert isinstance(delivery, Later)
        assert delivery.retry_after is not None
        assert wait <= delivery.retry_after <= wait * 1.1
    assert await sender().send(item(receiver.url, attempts=len(RETRIES) + 1)) == Failed("http_500")
    assert sum(RETRIES, timedelta(0)) == timedelta(hours=75, minutes=35, seconds=5)


async def test_a_receiver_that_asks_for_more_time_gets_it(receiver: Receiver) -> None:
    later = format_datetime(datetime.now(UTC) + timedelta(hours=1), usegmt=True)
    for header, least, most in (("600", 600, 600), (later, 3000, 3601), ("1", 5, 6), ("soon", 5, 6)):
        receiver.answer = status(429, Retry_After=header)
        delivery = await sender().send(item(receiver.url))
        assert isinstance(delivery, Later)
        assert delivery.retry_after is not None
        assert least <= delivery.retry_after.total_seconds() <= most


async def test_a_receiver_that_is_gone_is_not_called_again(receiver: Receiver) -> None:
    receiver.answer = status(410)
    once = sender()
    assert [await once.send(item(receiver.url)) for _ in "ab"] == [Failed("gone")] * 2
    assert len(receiver.got) == 1


async def test_without_the_operators_word_nothing_on_this_machine_is_called(receiver: Receiver) -> None:
    plain, port = sender("192.0.2.1"), receiver.url.split(":")[2]
    assert await plain.send(item(receiver.url)) == Failed("https_required")
    assert await plain.send(item(f"https://127.0.0.1:{port}")) == Failed("private_address")
    assert await plain.send(item(f"https://localhost:{port}")) == Failed("private_address")
    assert receiver.got == []


async def test_the_connection_goes_to_the_address_that_was_checked(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    real = socket.getaddrinfo

    def rebinding(host: str, port: int, *args: object, **options: object) -> object:
        asked.append(host)
        address = "127.0.0.1" if len(asked) == 1 else "10.255.255.1"
        return real(address, port, type=socket.SOCK_STREAM)

    monkeypatch.setattr(socket, "getaddrinfo", rebinding)
    port = receiver.url.split(":")[2].split("/")[0]
    assert await sender("hooks.example.com").send(item(f"http://hooks.example.com:{port}/x")) == Sent()
    assert asked == ["hooks.example.com"]
    assert receiver.got[0][0]["Host"] == f"hooks.example.com:{port}"


async def test_a_receiver_that_never_answers_is_given_up_for_the_moment(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = asyncio.Event()

    async def silent(_request: web.Request) -> web.StreamResponse:
        await left.wait()
        return web.Response()

    receiver.answer = silent
    monkeypatch.setattr(posting, "LONGEST_CALL", 0.2)
    delivery = await sender().send(item(receiver.url))
    left.set()
    assert isinstance(delivery, Later)
    assert delivery.error == "timeout"


async def test_an_endless_answer_is_read_only_so_far(receiver: Receiver) -> None:
    written = 0

    async def endless(request: web.Request) -> web.StreamResponse:
        nonlocal written
        answer = web.StreamResponse()
        await answer.prepare(request)
        for _ in range(2000):
            await answer.write(b"x" * 65536)
            written += 65536
        return answer

    receiver.answer = endless
    assert await sender().send(item(receiver.url)) == Sent()
    assert written < 2000 * 65536


async def test_a_refused_connection_is_tried_again() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        delivery = await sender().send(item(f"http://127.0.0.1:{taken.getsockname()[1]}/"))
    assert isinstance(delivery, Later)


async def test_a_request_that_is_not_there_is_not_told_of(receiver: Receiver) -> None:
    for request_id in ("req_2", None):
        assert await sender().send(item(receiver.url, request_id=request_id)) == Failed("request_unknown")
    assert receiver.got == []
