"""A sandbox, a small Bolt bot connected to it over Socket Mode, and a Chromium that looks at its page."""

import asyncio
import os
import re
import shutil
from collections.abc import AsyncIterator
from typing import Any

import pytest
from playwright.async_api import Browser, Page, async_playwright, expect
from slack_bolt.adapter.socket_mode.async_handler import AsyncSocketModeHandler
from slack_bolt.async_app import AsyncApp
from slack_sdk.web.async_client import AsyncWebClient

from bot.sandbox import Sandbox, running_sandbox
from tests.patience import LONG, patience

__all__ = ["patience"]

Json = dict[str, Any]

expect.set_options(timeout=LONG * 1000)

CHROMIUM = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--disable-quic",
)


def text(words: str) -> Json:
    return {"type": "plain_text", "text": words}


def field(block_id: str, label: str, kind: str = "plain_text_input", **element: Any) -> Json:
    return {
        "type": "input",
        "block_id": block_id,
        "label": text(label),
        "element": {"type": kind, "action_id": "value", **element},
    }


FORM: Json = {
    "type": "modal",
    "callback_id": "form",
    "title": text("Approve"),
    "submit": text("Approve"),
    "blocks": [
        field("target", "Type the target"),
        field("reason", "Reason", multiline=True, max_length=200),
        field("replicas", "Replicas", "number_input", is_decimal_allowed=False, initial_value="3"),
        field(
            "strategy",
            "Strategy",
            "radio_buttons",
            options=[{"text": text(name), "value": name} for name in ("rolling", "blue")],
        ),
        field(
            "region",
            "Region",
            "static_select",
            options=[{"text": text(name), "value": name} for name in ("eu", "us")],
        ),
        field("not_before", "Not before", "datetimepicker") | {"optional": True},
    ],
}


class Bot:
    """A bot that remembers what it was told and answers as each action's name says."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.client = AsyncWebClient(token=sandbox.bot_token, base_url=sandbox.api_url)
        self.heard: asyncio.Queue[Json] = asyncio.Queue()
        self.app = AsyncApp(client=self.client)
        self.app.action(re.compile(".*"))(self._action)
        self.app.view("form")(self._submission)
        self.app.view_closed("form")(self._record)
        self.app.command("/keyturn")(self._command)
        self.app.event("app_home_opened")(self._home)
        self.app.event("message")(self._record)

    async def next(self) -> Json:
        return await asyncio.wait_for(self.heard.get(), LONG)

    async def _record(self, ack: Any, body: Json) -> None:
        await ack()
        await self.heard.put(body)

    async def _action(self, ack: Any, body: Json) -> None:
        name = body["actions"][0]["action_id"]
        if name == "never_acknowledged":
            return
        await ack()
        await self.heard.put(body)
        if name == "open_form":
            await self.client.views_open(trigger_id=body["trigger_id"], view=FORM)

    async def _submission(self, ack: Any, body: Json) -> None:
        typed = body["view"]["state"]["values"]["target"]["value"]["value"]
        if typed != "production":
            await ack(response_action="errors", errors={"target": "Type exactly: production"})
        else:
            await ack()
        await self.heard.put(body)

    async def _command(self, ack: Any, body: Json) -> None:
        await ack(f"You asked for {body['text']}")
        await self.heard.put(body)

    async def _home(self, event: Json) -> None:
        section = {"type": "section", "text": {"type": "mrkdwn", "text": f"Hello <@{event['user']}>"}}
        button = {
            "type": "actions",
            "elements": [{"type": "button", "action_id": "at_home", "text": text("Go")}],
        }
        await self.client.views_publish(
            user_id=event["user"], view={"type": "home", "blocks": [section, button]}
        )


@pytest.fixture
async def sandbox(request: pytest.FixtureRequest) -> AsyncIterator[Sandbox]:
    """A sandbox without a pace; its parameter, if a test gives one, is how long it waits for the bot."""
    async with running_sandbox(ack_seconds=getattr(request, "param", LONG), pace=False) as running:
        yield running


@pytest.fixture
async def bot(sandbox: Sandbox) -> AsyncIterator[Bot]:
    bot = Bot(sandbox)
    handler = AsyncSocketModeHandler(bot.app, sandbox.app_token, web_client=bot.client)
    await handler.connect_async()  # type: ignore[no-untyped-call]  # Bolt leaves it untyped
    await sandbox.until_connected()
    yield bot
    await handler.close_async()  # type: ignore[no-untyped-call]  # Bolt leaves it untyped


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    chromium = os.environ.get("CHROMIUM") or shutil.which("chromium")
    assert chromium, "Install Chromium, or name it in CHROMIUM"
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=chromium, args=list(CHROMIUM), timeout=2 * LONG * 1000
        )
        yield browser
        await browser.close()


@pytest.fixture
async def page(browser: Browser, bot: Bot, sandbox: Sandbox) -> AsyncIterator[Page]:
    """The page at desktop size, in Berlin; the test fails when the page logs an error."""
    context = await browser.new_context(viewport={"width": 1280, "height": 860}, timezone_id="Europe/Berlin")
    page = await context.new_page()
    problems: list[str] = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("console", lambda said: problems.append(said.text) if said.type == "error" else None)
    await page.goto(sandbox.url)
    await expect(page.get_by_test_id("myself")).to_be_visible()
    yield page
    await context.close()
    assert problems == []
