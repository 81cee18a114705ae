"""Addresses of cards in Slack, as people open them."""

import logging

import aiohttp
from slack_sdk.errors import SlackClientError
from slack_sdk.web.async_client import AsyncWebClient

from bot.core.models import ApprovalRequest
from bot.store import Place, Store

log = logging.getLogger(__name__)


class CardLinks:
    """Permalinks, made from the workspace's own address (`auth.test`) without a call for each."""

    def __init__(self, client: AsyncWebClient, store: Store) -> None:
        self._client = client
        self._store = store
        self._workspace: str | None = None

    async def of(self, request: ApprovalRequest) -> str | None:
        """The address of the request's first card; None while there is none, or Slack is away."""
        if not request.plan:
            return None  # decided without people, so nothing was posted
        cards = await self._store.reads.cards(request.id)
        posted = (card for card in cards if card.state == "posted")
        return await self.at(
            next(((card.channel, card.ts) for card in posted if card.channel and card.ts), None)
        )

    async def at(self, place: Place | None) -> str | None:
        """The address of a card that stands in this place."""
        workspace = await self._address()
        if place is None or workspace is None:
            return None
        channel, ts = place
        return f"{workspace}archives/{channel}/p{ts.replace('.', '')}"

    async def _address(self) -> str | None:
        if self._workspace is None:
            try:
                url: str | None = (await self._client.auth_test()).get("url")
                self._workspace = f"{url.rstrip('/')}/" if url else None
            except (SlackClientError, aiohttp.ClientError, TimeoutError) as trouble:
                log.info("no links to cards: %s", type(trouble).__name__, extra={"event": "links_unknown"})
        return self._workspace
