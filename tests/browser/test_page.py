"""The sandbox's page in a real browser, with a real bot behind it."""

import re
from typing import Any

import pytest
from playwright.async_api import Browser, Page, expect

from bot.sandbox import Sandbox
from tests.browser.conftest import Bot, Json, text

pytestmark = pytest.mark.browser

DANA, SAM, GUS, ODD = "U0DANA001", "U0SRE0001", "U0GST0001", "U0OLD0001"
CHANNEL = "C0APPROVE"
HOSTILE = "<!channel> *x* <@U0DANA001> :tada:"


def mrkdwn(words: str, **more: Any) -> Json:
    return {"type": "section", "block_id": "words", "text": {"type": "mrkdwn", "text": words, **more}}


def buttons(*elements: Json) -> Json:
    return {"type": "actions", "block_id": "buttons", "elements": list(elements)}


def button(action_id: str, label: str, **more: Any) -> Json:
    return {"type": "button", "action_id": action_id, "text": text(label), "value": "req_1 sha256:ab", **more}


async def post(bot: Bot, *blocks: Json, channel: str = CHANNEL, words: str = "fallback") -> str:
    answer = await bot.client.chat_postMessage(channel=channel, text=words, blocks=list(blocks))
    return str(answer["ts"])


async def act_as(page: Page, user: str) -> None:
    await page.locator(f"[data-testid=person][data-user-id={user}]").click()
    await expect(page.get_by_test_id("myself")).to_have_attribute("data-user-id", user)


async def open_form(page: Page, bot: Bot) -> None:
    await post(bot, buttons(button("open_form", "Open the form")))
    await page.get_by_role("button", name="Open the form").click()
    await expect(page.get_by_role("dialog", name="Approve")).to_be_visible()
    await bot.next()


async def test_a_message_that_the_bot_posts_appears_by_itself(page: Page, bot: Bot) -> None:
    ts = await post(bot, mrkdwn("*Deploy* `payments-api` for <@U0SRE0001> to <#C0GENERAL>"))
    message = page.locator(f"[data-message-ts='{ts}']")
    await expect(message).to_contain_text("Deploy payments-api for @Sam Novak to #general")
    await expect(message.get_by_text("APP", exact=True)).to_be_visible()
    await expect(page.get_by_test_id("live")).to_contain_text("Keyturn in #approvals: fallback")


async def test_an_update_repaints_the_message_in_place(page: Page, bot: Bot) -> None:
    ts = await post(bot, buttons(button("approve", "Approve")))
    await expect(page.get_by_role("button", name="Approve")).to_be_visible()
    await bot.client.chat_update(channel=CHANNEL, ts=ts, text="done", blocks=[mrkdwn("*Approved*")])
    await expect(page.locator(f"[data-message-ts='{ts}']")).to_contain_text("Approved")
    await expect(page.get_by_role("button", name="Approve")).to_have_count(0)


async def test_a_click_reaches_the_bot_with_the_value_and_the_person(page: Page, bot: Bot) -> None:
    await post(bot, buttons(button("approve", "Approve", style="primary")))
    await act_as(page, SAM)
    await page.get_by_role("button", name="Approve").click()
    heard = await bot.next()
    action = heard["actions"][0]
    assert (heard["user"]["id"], action["action_id"], action["value"]) == (SAM, "approve", "req_1 sha256:ab")


async def test_a_denied_confirmation_sends_nothing_and_a_confirmed_one_does(page: Page, bot: Bot) -> None:
    confirm = {
        "title": text("Roll back?"),
        "text": text("It is undone."),
        "confirm": text("Undo"),
        "deny": text("Keep"),
    }
    await post(bot, buttons(button("undo", "Roll back", style="danger", confirm=confirm)))
    await page.get_by_role("button", name="Roll back").click()
    dialog = page.get_by_role("alertdialog", name="Roll back?")
    await expect(dialog).to_contain_text("It is undone.")
    await dialog.get_by_role("button", name="Keep").click()
    await expect(dialog).to_have_count(0)
    assert bot.heard.empty()
    await page.get_by_role("button", name="Roll back").click()
    await expect(dialog.get_by_role("button", name="Undo")).to_be_focused()
    await page.keyboard.press("Enter")
    assert (await bot.next())["actions"][0]["action_id"] == "undo"


async def test_selects_and_overflows_send_the_chosen_option(page: Page, bot: Bot) -> None:
    options = [{"text": text(name), "value": name} for name in ("one", "two")]
    await post(
        bot,
        buttons(
            {
                "type": "static_select",
                "action_id": "pick",
                "placeholder": text("Pick one"),
                "options": options,
            },
            {"type": "overflow", "action_id": "more", "options": options},
        ),
    )
    await page.get_by_label("Pick one").select_option("two")
    assert (await bot.next())["actions"][0]["selected_option"]["value"] == "two"
    await page.get_by_role("button", name="More actions").click()
    await page.keyboard.press("ArrowDown")
    await page.keyboard.press("Enter")
    assert (await bot.next())["actions"][0]["selected_option"]["value"] == "two"


@pytest.mark.parametrize("sandbox", [1.0], indirect=True)
async def test_a_bot_that_does_not_acknowledge_is_reported_beside_the_message(page: Page, bot: Bot) -> None:
    ts = await post(bot, buttons(button("never_acknowledged", "Wait")))
    await page.get_by_role("button", name="Wait").click()
    problem = page.locator(f"[data-message-ts='{ts}']").get_by_test_id("click-failure")
    await expect(problem).to_contain_text("Something went wrong")


async def test_a_modal_is_filled_and_submitted_with_the_keyboard_alone(page: Page, bot: Bot) -> None:
    await open_form(page, bot)
    dialog = page.get_by_role("dialog", name="Approve")
    await expect(dialog.get_by_label("Type the target")).to_be_focused()
    for keys in ("staging", "Tab", "It is time", "Tab", "Tab", "Space", "Tab"):
        await (page.keyboard.press(keys) if keys in ("Tab", "Space") else page.keyboard.type(keys))
    await page.keyboard.type("us")
    await page.keyboard.press("Control+Enter")
    await expect(dialog.get_by_text("Type exactly: production")).to_be_visible()
    await expect(dialog.get_by_label("Type the target")).to_be_focused()
    await bot.next()
    await page.keyboard.press("Control+A")
    await page.keyboard.type("production")
    await page.keyboard.press("Enter")
    await expect(dialog).to_have_count(0)
    values = (await bot.next())["view"]["state"]["values"]
    assert values["target"]["value"]["value"] == "production"
    assert values["reason"]["value"]["value"] == "It is time"
    assert values["replicas"]["value"]["value"] == "3"
    assert values["strategy"]["value"]["selected_option"]["value"] == "rolling"
    assert values["region"]["value"]["selected_option"]["value"] == "us"
    assert values["not_before"]["value"]["selected_date_time"] is None


async def test_a_date_and_time_is_sent_as_unix_seconds_of_the_device_zone(page: Page, bot: Bot) -> None:
    await open_form(page, bot)
    dialog = page.get_by_role("dialog")
    await dialog.get_by_label("Type the target").fill("production")
    await dialog.get_by_label("Reason").fill("later")
    await dialog.get_by_label("rolling").check()
    await dialog.get_by_label("Region").select_option("eu")
    await dialog.get_by_label("Not before").fill("2030-01-02T13:00")
    await dialog.get_by_role("button", name="Approve").click()
    values = (await bot.next())["view"]["state"]["values"]
    assert values["not_before"]["value"]["selected_date_time"] == 1893585600


async def test_required_fields_are_asked_for_before_the_bot_is(page: Page, bot: Bot) -> None:
    await open_form(page, bot)
    await page.keyboard.press("Enter")
    await expect(page.get_by_text("Please complete this required field.")).to_have_count(4)
    assert bot.heard.empty()


async def test_escape_closes_the_modal_and_focus_goes_back(page: Page, bot: Bot) -> None:
    await open_form(page, bot)
    await page.keyboard.press("Escape")
    await expect(page.get_by_role("dialog")).to_have_count(0)
    await expect(page.get_by_role("button", name="Open the form")).to_be_focused()


async def test_everyone_has_their_own_modals_and_keeps_what_they_typed(page: Page, bot: Bot) -> None:
    await open_form(page, bot)
    await page.get_by_label("Type the target").fill("half typed")
    await act_as(page, SAM)
    await expect(page.get_by_role("dialog")).to_have_count(0)
    await act_as(page, DANA)
    await expect(page.get_by_label("Type the target")).to_have_value("half typed")


async def test_switching_the_person_changes_what_is_seen(page: Page, bot: Bot) -> None:
    await bot.client.chat_postEphemeral(channel=CHANNEL, user=SAM, text="for Sam alone")
    await post(bot, words="for Dana alone", channel=DANA)
    await expect(page.get_by_test_id("go-dm")).to_contain_text("1")
    await expect(page.get_by_text("for Sam alone")).to_have_count(0)
    await act_as(page, SAM)
    await expect(page).to_have_url(re.compile(f"as={SAM}"))
    await expect(page.get_by_text("Only visible to you")).to_be_visible()
    await page.get_by_test_id("dismiss").click()
    await expect(page.get_by_text("for Sam alone")).to_have_count(0)
    await page.get_by_test_id("go-dm").click()
    await expect(page.get_by_text("for Dana alone")).to_have_count(0)


async def test_guests_and_deactivated_people_are_marked(page: Page) -> None:
    people = page.get_by_role("group", name="Act as")
    await expect(people.locator(f"[data-user-id={GUS}]")).to_have_accessible_name(re.compile("guest"))
    await expect(people.locator(f"[data-user-id={ODD}]")).to_have_accessible_name(re.compile("deactivated"))
    await expect(people.locator(f"[data-user-id={DANA}]")).to_have_accessible_name(
        re.compile("Engineering manager")
    )


async def test_hostile_text_is_shown_as_it_is_wherever_slack_shows_it_so(page: Page, bot: Bot) -> None:
    preformatted = {"type": "rich_text_preformatted", "elements": [{"type": "text", "text": HOSTILE}]}
    escaped = HOSTILE.replace("<", "&lt;").replace(">", "&gt;")
    ts = await post(
        bot,
        {"type": "rich_text", "block_id": "exact", "elements": [preformatted]},
        {"type": "section", "block_id": "plain", "text": {**text(HOSTILE), "emoji": False}},
        {**mrkdwn(escaped.replace("*", "").replace(":", ""), verbatim=True), "block_id": "escaped"},
        {**mrkdwn("<!here> and *bold*", verbatim=True), "block_id": "parsed"},
    )
    message = page.locator(f"[data-message-ts='{ts}']")
    await expect(message.locator("[data-block-id=exact] pre")).to_have_text(HOSTILE)
    await expect(message.locator("[data-block-id=plain]")).to_have_text(HOSTILE)
    await expect(message.locator("[data-block-id=escaped]")).to_have_text("<!channel> x <@U0DANA001> tada")
    await expect(message.locator("[data-block-id=parsed]")).to_have_text("@here and bold")
    await expect(message.locator("[data-broadcast]")).to_have_count(1)
    await expect(message.locator("[data-user-id].mention")).to_have_count(0)


async def test_dates_are_shown_in_the_zone_of_the_device(page: Page, bot: Bot) -> None:
    await post(
        bot, mrkdwn("until <!date^1893585600^{date_num} {time_secs}|12:00 UTC> or <!date^1^{nonsense}|never>")
    )
    await expect(page.locator("[data-block-id=words]")).to_contain_text(
        "until 2030-01-02 1:00:00 PM or never"
    )


async def test_a_thread_opens_beside_and_takes_replies(page: Page, bot: Bot) -> None:
    ts = await post(bot, mrkdwn("the root"))
    await bot.client.chat_postMessage(channel=CHANNEL, text="a reply", thread_ts=ts)
    await expect(page.get_by_text("a reply")).to_have_count(0)
    await page.get_by_test_id("replies").click()
    thread = page.get_by_test_id("thread")
    await expect(thread.get_by_text("a reply")).to_be_visible()
    await thread.get_by_test_id("thread-composer").fill("my answer")
    await page.keyboard.press("Enter")
    await expect(thread.get_by_text("my answer")).to_be_visible()
    await expect(page.get_by_test_id("replies")).to_contain_text("2 replies")


async def test_a_permalink_focuses_its_message(page: Page, bot: Bot, sandbox: Sandbox) -> None:
    answer = await bot.client.chat_postMessage(channel="C0GENERAL", text="look here")
    link = await bot.client.chat_getPermalink(channel="C0GENERAL", message_ts=answer["ts"])
    await page.goto(str(link["permalink"]))
    await expect(page.locator(f"[data-message-ts='{answer['ts']}'].focused")).to_be_in_viewport()


async def test_slash_commands_are_offered_and_sent(page: Page, bot: Bot) -> None:
    await page.get_by_test_id("composer").press_sequentially("/key")
    await expect(page.get_by_role("option", name="/keyturn")).to_be_visible()
    await page.keyboard.press("Tab")
    await page.keyboard.type("who @dana whit")
    await page.keyboard.press("Tab")
    await page.keyboard.press("Enter")
    heard = await bot.next()
    assert (heard["command"], heard["text"]) == ("/keyturn", f"who <@{DANA}|dana>")
    await expect(page.get_by_text("You asked for who @Dana Whitfield")).to_be_visible()


async def test_what_is_typed_is_escaped_like_slack_does(page: Page, bot: Bot) -> None:
    await page.goto(f"{page.url.split('#')[0]}#/archives/{CHANNEL}")
    await page.get_by_test_id("composer").fill("<!channel> & *bold*")
    await page.keyboard.press("Enter")
    message = page.locator("[data-testid=message]").last
    await expect(message).to_contain_text("<!channel> & bold")
    await expect(message.locator("[data-broadcast]")).to_have_count(0)


async def test_the_home_tab_is_the_persons_own(page: Page, bot: Bot) -> None:
    await page.get_by_test_id("go-home").click()
    await expect(page.get_by_test_id("home")).to_contain_text("Hello @Dana Whitfield")
    await act_as(page, SAM)
    await expect(page.get_by_test_id("home")).to_contain_text("Hello @Sam Novak")
    await page.get_by_role("button", name="Go").click()
    assert (await bot.next())["user"]["id"] == SAM


async def test_traffic_shows_each_call_with_its_payload(page: Page, bot: Bot) -> None:
    await page.get_by_test_id("open-traffic").click()
    await post(bot, mrkdwn("a needle in the wire"))
    traffic = page.get_by_test_id("traffic")
    await traffic.get_by_label("Filter traffic").fill("needle")
    call = traffic.get_by_test_id("call")
    await expect(call).to_have_count(1)
    await expect(call).to_contain_text("chat.postMessage")
    await expect(call).to_contain_text("200")
    await call.get_by_role("button").first.click()
    await expect(call).to_contain_text(f'channel: "{CHANNEL}"')
    await expect(traffic).not_to_contain_text("xoxb-0")


async def test_a_fault_is_played_and_cleared(page: Page, bot: Bot, sandbox: Sandbox) -> None:
    await page.get_by_test_id("open-faults").click()
    faults = page.get_by_test_id("faults")
    await faults.get_by_role("button", name="Play 500 Server error").click()
    await expect(page.get_by_test_id("active-faults")).to_have_text(
        "server_error method=chat.postMessage count=1"
    )
    await page.get_by_test_id("clear-faults").click()
    await expect(faults.get_by_text("No fault.")).to_be_visible()
    assert sandbox.faults.active() == []


async def test_at_phone_width_the_sidebar_is_a_drawer_and_nothing_overflows(
    browser: Browser, bot: Bot, sandbox: Sandbox
) -> None:
    context = await browser.new_context(viewport={"width": 390, "height": 780}, has_touch=True)
    page = await context.new_page()
    await page.goto(sandbox.url)
    await post(
        bot, mrkdwn("x" * 300), buttons(*(button(f"b{n}", f"A rather long button {n}") for n in range(5)))
    )
    await expect(page.get_by_role("button", name="A rather long button 4")).to_be_visible()
    await expect(page.get_by_test_id("sidebar")).not_to_be_in_viewport()
    assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    await page.get_by_role("button", name="Workspace", exact=True).click()
    await page.get_by_test_id("go-C0GENERAL").click()
    await expect(page.get_by_role("heading", name="# general")).to_be_visible()
    await expect(page.get_by_test_id("sidebar")).not_to_be_in_viewport()
    await context.close()


async def test_a_long_form_is_read_from_its_top_though_its_first_field_has_the_focus(
    page: Page, bot: Bot
) -> None:
    await post(bot, buttons(button("roll_back", "Roll back")))
    await page.get_by_role("button", name="Roll back").click()
    heard = await bot.next()
    told = [{"type": "section", "text": text(f"This would change, {n}")} for n in range(40)]
    asked = {"type": "input", "label": text("Reason"), "element": {"type": "plain_text_input"}}
    view = {"type": "modal", "title": text("Confirm"), "submit": text("Go"), "blocks": [*told, asked]}
    await bot.client.views_open(trigger_id=heard["trigger_id"], view=view)
    await expect(page.get_by_label("Reason")).to_be_focused()
    await expect(page.get_by_text("This would change, 0", exact=True)).to_be_in_viewport()


async def test_a_modal_with_long_words_fits_a_phone(browser: Browser, bot: Bot, sandbox: Sandbox) -> None:
    context = await browser.new_context(viewport={"width": 390, "height": 780}, has_touch=True)
    page = await context.new_page()
    await page.goto(sandbox.url)
    await post(bot, buttons(button("details", "Details")))
    await page.get_by_role("button", name="Details").click()
    heard = await bot.next()
    shown = {
        "type": "rich_text_preformatted",
        "elements": [{"type": "text", "text": f"digest\nsha256:{'0123456789abcdef' * 8}"}],
    }
    view = {
        "type": "modal",
        "title": text("Details"),
        "blocks": [{"type": "rich_text", "elements": [shown]}],
    }
    await bot.client.views_open(trigger_id=heard["trigger_id"], view=view)
    box = await page.get_by_test_id("modal").bounding_box()
    assert box is not None
    assert (box["x"], box["width"]) == (0, 390)
    await expect(page.get_by_test_id("modal-x")).to_be_in_viewport(ratio=1)
    await context.close()


@pytest.mark.parametrize(
    ("system", "query", "shown"),
    [("dark", "", "dark"), ("light", "", "light"), ("light", "?theme=dark", "dark")],
)
async def test_dark_and_light_follow_the_system_and_the_address(
    browser: Browser, bot: Bot, sandbox: Sandbox, system: Any, query: str, shown: str
) -> None:
    context = await browser.new_context(color_scheme=system)
    page = await context.new_page()
    await page.goto(f"{sandbox.url}/{query}")
    await expect(page.locator("html")).to_have_attribute("data-theme", shown)
    await page.get_by_test_id("theme").click()
    await expect(page.locator("html")).to_have_attribute("data-theme", "light" if shown == "dark" else "dark")
    await context.close()
