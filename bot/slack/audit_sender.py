"""The outbox's way to auditors: exports, reports and slow verifications, as direct messages."""

from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from bot.core.models import Actor, ActorType, Via
from bot.services.audit import Audit, filter_of
from bot.services.exports import Format
from bot.services.outbox import Delivery, Failed, Later, Sent, Unclear
from bot.services.reporting import Reporting
from bot.slack import audit_view
from bot.slack.client import error_code, status_of
from bot.store.outbox import OutboxItem

LARGEST = 100 * 1024 * 1024
"""Bytes of one file; beyond, the command line streams any size."""

_TRANSIENT = ("ratelimited", "internal_error", "fatal_error", "service_unavailable", "request_timeout")


class AuditSender:
    """Sends every `audit.*` kind."""

    def __init__(self, client: AsyncWebClient, audit: Audit, reporting: Reporting) -> None:
        self._client = client
        self._audit = audit
        self._reporting = reporting
        self._kinds: dict[str, Callable[[OutboxItem, str], Awaitable[Delivery]]] = {
            "audit.verify": self._verify,
            "audit.export": self._export,
            "audit.report": self._report,
        }

    @property
    def kinds(self) -> frozenset[str]:
        """The kinds it sends."""
        return frozenset(self._kinds)

    async def send(self, item: OutboxItem) -> Delivery:
        """Try once."""
        try:
            opened = await self._client.conversations_open(users=str(item.payload["user"]))
            return await self._kinds[item.kind](item, str(opened["channel"]["id"]))
        except SlackApiError as refused:
            code = error_code(refused)
            waits = code in _TRANSIENT or status_of(refused) >= 500
            return Later(code) if waits else Failed(code)
        except (aiohttp.ClientError, TimeoutError) as trouble:
            return Unclear(type(trouble).__name__)

    async def _verify(self, item: OutboxItem, channel: str) -> Delivery:
        found = await self._audit.verify(full=bool(item.payload["full"]))
        await self._client.chat_postMessage(channel=channel, text=audit_view.verdict(found))
        return Sent()

    async def _export(self, item: OutboxItem, channel: str) -> Delivery:
        payload = item.payload
        format = Format(payload["format"])
        actor = Actor(ActorType.HUMAN, str(payload["user"]), str(payload["name"]))
        pieces = await self._audit.export(
            filter_of(payload["filters"]), format, after=0, actor=actor, via=Via.SLACK
        )
        parts: list[bytes] = []
        size = 0
        async for piece in pieces:
            size += len(piece)
            if size > LARGEST:
                text = "This export is too large for Slack; `keyturn audit export` writes any size."
                await self._client.chat_postMessage(channel=channel, text=text)
                return Sent()
            parts.append(piece)
        await self._upload(channel, f"keyturn-audit.{format}", b"".join(parts), "The audit, as you asked.")
        return Sent()

    async def _report(self, item: OutboxItem, channel: str) -> Delivery:
        picture, words = await self._reporting.picture(filter_of(item.payload["filters"]))
        await self._upload(channel, "keyturn-report.png", picture, words)
        return Sent()

    async def _upload(self, channel: str, name: str, content: bytes, words: str) -> Any:
        return await self._client.files_upload_v2(
            channel=channel, filename=name, file=content, title=name, initial_comment=words
        )
