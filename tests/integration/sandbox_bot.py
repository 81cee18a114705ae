"""A small real Bolt app on either transport, for tests of the sandbox it talks to."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp.test_utils import TestServer
from slack_bolt.adapter.socket_mode.async_handler import AsyncSocketModeHandler
from slack_bolt.async_app import AsyncApp
from slack_sdk.web.async_client import AsyncWebClient

from bot.sandbox import Sandbox, running_sandbox

Json = dict[str, Any]

GO = {"type": "button", "action_id": "go", "value": "v1", "text": {"type": "plain_text", "text": "Go"}}
CARD: list[Json] = [
    {"type": "section", "block_id": "what", "text": {"type": "mrkdwn", "text": "Delete it?"}},
    {"type": "actions", "block_id": "decide", "elements": [GO]},
]
DONE: list[Json] = CARD[:1]
REASON = {
    "type": "input",
    "block_id": "reason",
    "label": {"type": "plain_text", "text": "Why"},
    "element": {"type": "plain_text_input", "action_id": "value"},
}
FORM: Json = {
    "type": "modal",
    "callback_id": "form",
    "private_metadata": "req_1",
    "title": {"type": "plain_text", "text": "Reject"},
    "submit": {"type": "plain_text", "text": "Reject"},
    "blocks": [REASON],
}


def filled_in(reason: str) -> Json:
    """What a person typed into FORM."""
    return {"reason": {"value": {"type": "plain_text_input", "value": reason}}}


@dataclass
class World:
    """A sandbox and a bot that is connected to it. `seen` is for handlers to note bodies in."""

    sandbox: Sandbox
    app: AsyncApp
    client: AsyncWebClient
    seen: list[Json] = field(default_factory=list)

    async def post(self, channel: str = "C0APPROVE", **changes: Any) -> str:
        """Post CARD and return its timestamp."""
        answer = await self.client.chat_postMessage(
            channel=channel, **{"text": "Delete it?", "blocks": CARD, **changes}
        )
        return str(answer["ts"])


def client_of(sandbox: Sandbox, **options: Any) -> AsyncWebClient:
    """A Web API client with the sandbox's bot token."""
    return AsyncWebClient(token=sandbox.bot_token, base_url=sandbox.api_url, **options)


@asynccontextmanager
async def connected(transport: str, **options: Any) -> AsyncIterator[World]:
    """A sandbox and a bot on `socket` or `http`; options go to `running_sandbox`."""
    async with running_sandbox(transport=transport, **options) as sandbox:
        client = client_of(sandbox)
        app = AsyncApp(client=client, signing_secret=sandbox.signing_secret)
        world = World(sandbox, app, client)
        if transport == "socket":
            handler = AsyncSocketModeHandler(app, sandbox.app_token)
            await handler.connect_async()  # type: ignore[no-untyped-call] # Bolt leaves it untyped
            try:
                await sandbox.until_connected()
                yield world
            finally:
                await handler.close_async()  # type: ignore[no-untyped-call] # Bolt leaves it untyped
        else:
            async with TestServer(app.web_app(path="/slack/events")) as server:
                sandbox.deliver_to(str(server.make_url("/slack/events")))
                yield world
