"""Signed POSTs after the Standard Webhooks specification 1.0.0, to addresses that somebody else names.

They never reach an address that is not public, unless the operator has named it; the connection
goes to the very addresses that were checked. Redirects are not followed and little is read of an answer.
"""

import asyncio
import socket
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from standardwebhooks import Webhook

from bot.core.clock import Clock
from bot.notify.addresses import Allowed, Forbidden, Unresolved, checked_addresses
from bot.notify.channel import RETRIES, TryLater, Undeliverable

LONGEST_CALL = 15.0
"""Seconds, from looking up the name to the end of the answer."""

LARGEST_ANSWER = 64 * 1024
"""Bytes read of an answer."""

_KEPT_GONE = 1000


@dataclass(frozen=True, slots=True)
class Letter:
    """One message: the same id and body at every try, signed anew."""

    id: str
    secret: str
    """`whsec_…`"""
    body: bytes


class SignedPosts:
    """Posts letters.

    Args:
        allow: Hosts, addresses and networks that may be called though they are not public.
    """

    def __init__(self, clock: Clock, *, allow: Sequence[str] = ()) -> None:
        self._clock = clock
        self._allowed = Allowed(allow)
        self._gone: OrderedDict[str, None] = OrderedDict()

    async def post(self, url: str, letter: Letter) -> None:
        """Try once. The receiver may get the same letter twice, with the same `webhook-id`.

        Raises:
            Undeliverable: the address may not be called, or answered 410.
            TryLater: it did not answer 2xx in time.
        """
        if url in self._gone:
            raise Undeliverable("gone")
        try:
            async with asyncio.timeout(LONGEST_CALL):
                await self._post(url, letter)
        except Forbidden as refusal:
            raise Undeliverable(refusal.code) from refusal
        except Unresolved as trouble:
            raise TryLater("unresolved") from trouble
        except TimeoutError as trouble:
            raise TryLater("timeout") from trouble
        except (aiohttp.ClientSSLError, aiohttp.ClientConnectorCertificateError) as trouble:
            raise TryLater("tls_failed", type(trouble).__name__) from trouble
        except (aiohttp.ClientError, OSError, ValueError) as trouble:
            raise TryLater("unreachable", type(trouble).__name__) from trouble

    async def _post(self, url: str, letter: Letter) -> None:
        addresses = await checked_addresses(urlsplit(url), self._allowed)
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
                url, data=letter.body, headers=self._headers(letter), allow_redirects=False
            ) as answer,
        ):
            await answer.content.read(LARGEST_ANSWER)
            self._judge(url, answer.status, answer.headers.get("Retry-After"))

    def _headers(self, letter: Letter) -> dict[str, str]:
        now = self._clock.now()
        return {
            "Content-Type": "application/json",
            "User-Agent": "Keyturn",
            "webhook-id": letter.id,
            "webhook-timestamp": str(int(now.timestamp())),
            "webhook-signature": Webhook(letter.secret).sign(letter.id, now, letter.body.decode()),
        }

    def _judge(self, url: str, status: int, retry_after: str | None) -> None:
        if 200 <= status < 300:
            return
        if status == 410:
            self._disable(url)
            raise Undeliverable("gone")
        raise TryLater(f"http_{status}", after=_seconds(retry_after, self._clock.now()))

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
