"""Signed callbacks to agents, after the Standard Webhooks specification 1.0.0.

A callback is tried on that specification's schedule until the receiver answers 2xx. It never
reaches an address that is not public, unless the operator has named it; the connection goes to
the very addresses that were checked. Redirects are not followed and little is read of an answer.
"""

import asyncio
import random
import socket
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from standardwebhooks import Webhook

from bot.core import jsontext
from bot.core.clock import Clock
from bot.core.models import JsonObject
from bot.core.times import rfc3339
from bot.notify.addresses import Allowed, Forbidden, Unresolved, checked_addresses
from bot.services.outbox import Delivery, Failed, Later, Sent
from bot.store.outbox import OutboxItem

RETRIES = tuple(
    timedelta(**step)
    for step in (
        {"seconds": 5},
        {"minutes": 5},
        {"minutes": 30},
        {"hours": 2},
        {"hours": 5},
        {"hours": 10},
        {"hours": 14},
        {"hours": 20},
        {"hours": 24},
    )
)
"""How long to wait after each try: the specification's example schedule, 75 h 35 min 5 s in all."""

LONGEST_CALL = 15.0
"""Seconds, from looking up the name to the end of the answer."""

LARGEST_ANSWER = 64 * 1024
"""Bytes read of an answer."""

_JITTER = 0.1
_KEPT_GONE = 1000


@dataclass(frozen=True, slots=True)
class Callback:
    """What one callback says and with what it is signed.

    Args:
        secret: `whsec_…`, the agent's.
        data: The request as agents see it.
    """

    secret: str
    data: JsonObject


class WebhookSender:
    """Sends outbox rows of kind `callback`.

    Args:
        callback_of: What to say of a request by its id; None when there is no such request.
    """

    kinds = frozenset({"callback"})

    def __init__(
        self,
        callback_of: Callable[[str], Awaitable[Callback | None]],
        clock: Clock,
        *,
        allow: Sequence[str] = (),
    ) -> None:
        self._callback_of = callback_of
        self._clock = clock
        self._allowed = Allowed(allow)
        self._gone: OrderedDict[str, None] = OrderedDict()

    async def send(self, item: OutboxItem) -> Delivery:
        """Try once. The receiver may get the same message twice, with the same `webhook-id`."""
        url = item.payload["url"]
        if url in self._gone:
            return Failed("gone")
        callback = None if item.request_id is None else await self._callback_of(item.request_id)
        if callback is None:
            return Failed("request_unknown")
        try:
            async with asyncio.timeout(LONGEST_CALL):
                return await self._post(url, item, callback)
        except Forbidden as refusal:
            return Failed(refusal.code)
        except Unresolved:
            return self._later(item, "unresolved")
        except TimeoutError:
            return self._later(item, "timeout")
        except (aiohttp.ClientError, OSError, ValueError) as trouble:
            return self._later(item, type(trouble).__name__)

    async def _post(self, url: str, item: OutboxItem, callback: Callback) -> Delivery:
        addresses = await checked_addresses(urlsplit(url), self._allowed)
        body = self._body(item, callback)
        connector = aiohttp.TCPConnector(
            resolver=_Pinned(addresses), force_close=True, use_dns_cache=False, limit=1
        )
        async with (
            aiohttp.ClientSession(
                connector=connector,
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
                trust_env=False,
            ) as session,
            session.post(
                url, data=body, headers=self._headers(item, body, callback), allow_redirects=False
            ) as answer,
        ):
            await answer.content.read(LARGEST_ANSWER)
            return self._judge(url, item, answer.status, answer.headers.get("Retry-After"))

    def _body(self, item: OutboxItem, callback: Callback) -> bytes:
        return jsontext.dumps(
            {
                "type": item.payload["type"],
                "timestamp": rfc3339(item.created_at),
                "data": callback.data,
            }
        )

    def _headers(self, item: OutboxItem, body: bytes, callback: Callback) -> dict[str, str]:
        id, now = f"msg_{item.request_id}_{item.id}", self._clock.now()
        return {
            "Content-Type": "application/json",
            "User-Agent": "Keyturn",
            "webhook-id": id,
            "webhook-timestamp": str(int(now.timestamp())),
            "webhook-signature": Webhook(callback.secret).sign(id, now, body.decode()),
        }

    def _judge(self, url: str, item: OutboxItem, status: int, retry_after: str | None) -> Delivery:
        if 200 <= status < 300:
            return Sent()
        if status == 410:
            self._disable(url)
            return Failed("gone")
        return self._later(item, f"http_{status}", asked=_seconds(retry_after, self._clock.now()))

    def _later(self, item: OutboxItem, error: str, *, asked: timedelta | None = None) -> Delivery:
        """The next try by the schedule, or later when the receiver asks for it."""
        if item.attempts > len(RETRIES):
            return Failed(error)
        wait = RETRIES[item.attempts - 1] * (1 + random.uniform(0, _JITTER))
        return Later(error, max(wait, asked) if asked is not None else wait)

    def _disable(self, url: str) -> None:
        """Not called again by this process; after a restart the receiver is asked once more."""
        self._gone[url] = None
        if len(self._gone) > _KEPT_GONE:
            self._gone.popitem(last=False)


class _Pinned(AbstractResolver):
    """Answers with the addresses that were checked, whatever the name says by then."""

    def __init__(self, addresses: Sequence[str]) -> None:
        self._addresses = addresses

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """One entry for each checked address."""
        return [
            ResolveResult(
                hostname=host,
                host=address,
                port=port,
                family=socket.AF_INET6 if ":" in address else socket.AF_INET,
                proto=0,
                flags=socket.AI_NUMERICHOST,
            )
            for address in self._addresses
        ]

    async def close(self) -> None:
        """Nothing is held."""


def _seconds(header: str | None, now: datetime) -> timedelta | None:
    """`Retry-After`, in seconds or as a date, at most a day."""
    if header is None:
        return None
    if header.isascii() and header.isdecimal() and len(header) < 10:
        asked = timedelta(seconds=int(header))
    else:
        try:
            moment = parsedate_to_datetime(header)
        except ValueError:
            return None
        asked = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - now
    return min(max(asked, timedelta(0)), RETRIES[-1])
