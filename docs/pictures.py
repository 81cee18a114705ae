"""Take the pictures in docs/pictures from a running demo: `make pictures`.

One round of the demo's agent runs for real; between the steps a Chromium looks at the sandbox's page as
one of the people. The cards, forms and decisions are what a person sees, at twice the size.
"""

import asyncio
import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
from playwright.async_api import Browser, Locator, Page, async_playwright, expect

from bot.demo import headless, shop
from bot.demo.children import both, while_alive
from bot.demo.reviewer import DANA, PRIYA, RAFAEL, SAM, SUKI, Card, Reviewer
from bot.demo.stage import Stage, directory, stage

PICTURES = Path(__file__).parent / "pictures"
DESK = {"width": 1180, "height": 820}
TALL = {"width": 1060, "height": 1800}
PHONE = {"width": 430, "height": 932}
AROUND_FORM = (24, 24)
AROUND_CARD = (0, 6)
"""CSS pixels of the page beside and above what is pictured; a card reaches from edge to edge."""

_CHROMIUM = ("chromium", "chromium-browser", "google-chrome")


class Camera:
    """Looks at the page as one person after the other."""

    def __init__(self, browser: Browser, page: str) -> None:
        self._browser = browser
        self._page = page

    @asynccontextmanager
    async def looking(
        self, as_user: str, card: Card, *, theme: str = "light", window: dict[str, int] | None = None
    ) -> AsyncIterator[Page]:
        """The page, with the card in view."""
        size = window or DESK
        context = await self._browser.new_context(
            viewport={"width": size["width"], "height": size["height"]},
            device_scale_factor=2,
            reduced_motion="reduce",
            locale="en-GB",
            timezone_id="Europe/Berlin",
        )
        try:
            page = await context.new_page()
            await page.goto(f"{self._page}/?as={as_user}&theme={theme}#/archives/C0APPROVE")
            await shown(page, card).scroll_into_view_if_needed()
            await page.evaluate("document.fonts.ready")
            yield page
        finally:
            await context.close()

    async def card(self, name: str, as_user: str, card: Card, theme: str = "light") -> None:
        """A picture of the card alone."""
        async with self.looking(as_user, card, theme=theme, window=TALL) as page:
            await around(page, shown(page, card), name, AROUND_CARD)

    async def window(self, name: str, as_user: str, card: Card, theme: str = "light") -> None:
        """A picture of the whole workspace."""
        async with self.looking(as_user, card, theme=theme) as page:
            await save(page, name)

    async def form(self, name: str, as_user: str, card: Card, button: str, **texts: str) -> None:
        """A picture of the form behind a button, with some fields filled in; it is closed unsent."""
        async with self.looking(as_user, card) as page:
            await shown(page, card).get_by_role("button", name=button).click()
            modal = page.get_by_test_id("modal")
            for label, text in texts.items():
                await modal.get_by_label(label).fill(text)
            await expect(modal.get_by_test_id("modal-close")).to_be_visible()
            await around(page, modal, name, AROUND_FORM)
            await modal.get_by_test_id("modal-x").click()
            await expect(modal).to_have_count(0)


def shown(page: Page, card: Card) -> Locator:
    """The card on the page."""
    return page.locator(f"[data-message-ts='{card.ts}']").first


async def around(page: Page, what: Locator, name: str, margin: tuple[int, int]) -> None:
    """Save a part of the page with a little of what surrounds it."""
    box = await what.bounding_box()
    size = page.viewport_size
    if box is None or size is None:
        raise RuntimeError(f"{name}: nothing to take a picture of")
    beside, above = margin
    left, top = max(0, box["x"] - beside), max(0, box["y"] - above)
    right = min(size["width"], box["x"] + box["width"] + beside)
    bottom = min(size["height"], box["y"] + box["height"] + above)
    await page.screenshot(
        path=PICTURES / f"{name}.png",
        animations="disabled",
        clip={"x": left, "y": top, "width": right - left, "height": bottom - top},
    )
    print(f"docs/pictures/{name}.png", flush=True)


async def save(page: Page, name: str) -> None:
    """Save what the window shows."""
    await page.screenshot(path=PICTURES / f"{name}.png", animations="disabled")
    print(f"docs/pictures/{name}.png", flush=True)


async def take(ready: Stage, browser: Browser) -> None:
    """Play the reviewers of one round, and look."""
    camera = Camera(browser, ready.page)
    async with httpx.AsyncClient(base_url=ready.page, trust_env=False) as http:
        people = Reviewer(http)
        await modified(people, camera)
        await migrated(people, camera)
        await deployed(people, camera)
        await rejected(people, camera)


async def modified(people: Reviewer, camera: Camera) -> None:
    card = await people.card("Change setting")
    await camera.form("modify-form", DANA, card, "Modify", new_value="100")
    await people.click(DANA, card, "request.modify")
    await people.fill_in(DANA, "request.modify", **{"param:/new_value": "100"})


async def migrated(people: Reviewer, camera: Camera) -> None:
    card = await people.card("Run SQL")
    await camera.card("card-pending", SAM, card)
    await camera.card("card-pending-dark", SAM, card, "dark")
    await camera.form("details", SAM, card, "Details")
    await people.click(SAM, card, "request.approve")


async def deployed(people: Reviewer, camera: Camera) -> None:
    card = await people.card("Deploy")
    await people.click(RAFAEL, card, "request.approve")
    await people.saying(card, "Rafael Ito")
    await camera.window("workspace", SUKI, card)
    await camera.window("workspace-dark", SUKI, card, "dark")
    await people.click(SUKI, card, "request.approve")
    await people.saying(card, "Done")
    await camera.card("card-decided", SUKI, card)


async def rejected(people: Reviewer, camera: Camera) -> None:
    card = await people.card("rm -rf")
    await camera.form("reject-form", PRIYA, card, "Reject", Reason=headless.WHY_NOT)
    async with camera.looking(PRIYA, card, window=PHONE) as page:
        await save(page, "phone")
    await people.click(PRIYA, card, "request.reject")
    await people.fill_in(PRIYA, "request.reject", reason=headless.WHY_NOT)


async def one_round(ready: Stage) -> None:
    """The agent's work on one side, the camera on the other."""
    shop.stock(ready.shop, 1)
    agent = await ready.start_agent()
    try:
        async with chromium() as browser:
            await both(agent.tell(lambda line: print(f"  {line}", flush=True)), take(ready, browser))
        await agent.finished()
    finally:
        await agent.stop()


@asynccontextmanager
async def chromium() -> AsyncIterator[Browser]:
    """The machine's Chromium, else Playwright's own."""
    found = next((path for name in _CHROMIUM if (path := shutil.which(name))), None)
    arguments = ["--no-sandbox"] if os.geteuid() == 0 else []  # Chromium refuses to be root without it
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=found, args=arguments)
        try:
            yield browser
        finally:
            await browser.close()


async def main() -> None:
    PICTURES.mkdir(exist_ok=True)
    async with directory(keep=False) as home, stage(home, port=None) as ready:
        await while_alive(ready.parts, one_round(ready))


if __name__ == "__main__":
    asyncio.run(main())
