"""What people do in the sandbox reaches a real Bolt app, over Socket Mode and over signed HTTP alike."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from slack_sdk.errors import SlackApiError

from tests.integration.sandbox_bot import CARD, DONE, FORM, World, connected, filled_in

SAMPLES = Path(__file__).parent.parent / "fixtures" / "slack" / "java-slack-sdk"
SECOND = FORM | {"title": {"type": "plain_text", "text": "Two"}}
DANA, SAM, EVE = "U0DANA001", "U0SRE0001", "U0EXT0001"


@pytest.fixture(params=["socket", "http"])
async def world(request: pytest.FixtureRequest) -> AsyncIterator[World]:
    async with connected(request.param) as running:
        yield running


def opens(world: World, **changes: Any) -> None:
    """Make the bot open FORM, changed, when GO is clicked."""

    @world.app.action("go")
    async def open_form(ack: Any, body: Any, client: Any) -> None:
        await client.views_open(trigger_id=body["trigger_id"], view=FORM | changes)
        await ack()


async def open_form(world: World, **changes: Any) -> str:
    """Dana clicks and gets FORM; returns its view id."""
    opens(world, **changes)
    ts = await world.post()
    assert (await world.sandbox.people.click(DANA, "C0APPROVE", ts, "go"))["ok"]
    modal = world.sandbox.modal(DANA)
    assert modal is not None
    return modal.id


def keys(sample: str) -> set[str]:
    """The field names of a logged payload, without those only some apps get."""
    only_some = {"bot_access_token", "function_data", "interactivity"}
    return set(json.loads((SAMPLES / sample).read_text())) - only_some


async def test_a_click_reaches_the_bot_with_everything_it_needs(world: World) -> None:
    @world.app.action("go")
    async def note(ack: Any, body: Any) -> None:
        world.seen.append(body)
        await ack()

    ts = await world.post()
    assert await world.sandbox.people.click(DANA, "C0APPROVE", ts, "go") == {"ok": True}

    (body,) = world.seen
    assert body["user"] == {"id": DANA, "username": "dana", "name": "dana", "team_id": "T0KEYTURN"}
    assert body["team"] == {"id": "T0KEYTURN", "domain": "acme"}
    assert body["container"] == {
        "type": "message",
        "message_ts": ts,
        "channel_id": "C0APPROVE",
        "is_ephemeral": False,
    }
    assert body["message"]["blocks"] == CARD
    assert body["message"]["bot_id"] == "B0KEYTURN"
    (action,) = body["actions"]
    assert {key: action[key] for key in ("action_id", "block_id", "value", "type")} == {
        "action_id": "go",
        "block_id": "decide",
        "value": "v1",
        "type": "button",
    }
    assert body["response_url"].startswith(world.sandbox.url)


async def test_a_stranger_brings_their_own_team(world: World) -> None:
    @world.app.action("go")
    async def note(ack: Any, body: Any) -> None:
        world.seen.append(body)
        await ack()

    await world.sandbox.people.click(EVE, "C0APPROVE", await world.post(), "go")
    assert world.seen[0]["user"]["team_id"] == world.seen[0]["team"]["id"] == "T0OTHER"


async def test_the_bot_updates_the_card_and_answers_the_clicker_alone(world: World) -> None:
    @world.app.action("go")
    async def decide(ack: Any, body: Any, client: Any, respond: Any) -> None:
        await ack()
        await client.chat_update(channel="C0APPROVE", ts=body["message"]["ts"], text="Approved", blocks=DONE)
        await respond("Thank you", replace_original=False)

    ts = await world.post()
    await world.sandbox.people.click(DANA, "C0APPROVE", ts, "go")
    card, thanks = await world.sandbox.until(
        lambda: found if len(found := world.sandbox.messages("C0APPROVE")) == 2 else None
    )
    assert (card.text, card.blocks, card.edited) == ("Approved", DONE, False)
    assert (thanks.text, thanks.ephemeral_to) == ("Thank you", DANA)


async def test_a_click_on_a_button_that_is_gone_arrives_late_as_from_a_slow_client(world: World) -> None:
    @world.app.action("go")
    async def note(ack: Any, body: Any) -> None:
        world.seen.append(body)
        await ack()

    ts = await world.post()
    await world.client.chat_update(channel="C0APPROVE", ts=ts, text="Approved", blocks=DONE)
    assert (await world.sandbox.people.click(SAM, "C0APPROVE", ts, "go", value="v1"))["ok"]
    assert world.seen[0]["actions"][0]["value"] == "v1"
    never = await world.sandbox.people.click(SAM, "C0APPROVE", ts, "go", value="forged")
    assert never["error"] == "action_not_found"


async def test_a_handler_that_fails_shows_the_person_an_error(world: World) -> None:
    async with connected(world.sandbox.delivery.transport.kind, ack_seconds=0.3) as hasty:

        @hasty.app.action("go")
        async def forget(body: Any) -> None:
            """Never acknowledge."""

        answer = await hasty.sandbox.people.click(DANA, "C0APPROVE", await hasty.post(), "go")
    assert answer["ok"] is False
    assert answer["error"] in ("operation_timeout", "dispatch_failed")


async def test_a_modal_opens_takes_errors_and_closes_when_accepted(world: World) -> None:
    @world.app.view("form")
    async def submitted(ack: Any, body: Any, view: Any) -> None:
        world.seen.append(body)
        if view["state"]["values"]["reason"]["value"]["value"] == "no":
            await ack(response_action="errors", errors={"reason": "Say more."})
        else:
            await ack()

    view_id = await open_form(world)
    refused = await world.sandbox.people.submit(DANA, view_id, filled_in("no"))
    assert refused == {"ok": True, "response_action": "errors", "errors": {"reason": "Say more."}}
    modal = world.sandbox.modal(DANA)
    assert modal is not None
    assert modal.errors == {"reason": "Say more."}

    accepted = await world.sandbox.people.submit(DANA, view_id, filled_in("it is the wrong file"))
    assert accepted == {"ok": True, "response_action": "close"}
    assert world.sandbox.modal(DANA) is None

    body = world.seen[0]
    assert keys("ViewSubmissionPayload.json") - {"is_cleared"} <= set(body)
    sample = json.loads((SAMPLES / "ViewSubmissionPayload.json").read_text())
    assert set(sample["view"]) <= set(body["view"])
    assert body["view"]["private_metadata"] == "req_1"
    assert body["view"]["hash"] == modal.hash


async def test_the_client_does_not_submit_an_empty_required_input(world: World) -> None:
    view_id = await open_form(world)
    answer = await world.sandbox.people.submit(DANA, view_id, filled_in(""))
    assert answer["error"] == "invalid_input"
    assert answer["errors"] == {"reason": "Please complete this required field."}


@pytest.mark.parametrize(
    ("response", "titles"),
    [
        (
            {"response_action": "update", "view": FORM | {"title": {"type": "plain_text", "text": "Two"}}},
            ["Two"],
        ),
        (
            {"response_action": "push", "view": FORM | {"title": {"type": "plain_text", "text": "Two"}}},
            ["Reject", "Two"],
        ),
        ({"response_action": "clear"}, []),
    ],
    ids=["update", "push", "clear"],
)
async def test_a_submission_can_be_answered_with_a_view(
    world: World, response: Any, titles: list[str]
) -> None:
    @world.app.view("form")
    async def submitted(ack: Any) -> None:
        await ack(**response)

    view_id = await open_form(world)
    answer = await world.sandbox.people.submit(DANA, view_id, filled_in("because"))
    assert answer == {"ok": True, "response_action": response["response_action"]}
    stack = world.sandbox.workspace.views.stacks.get(DANA, [])
    assert [modal.view["title"]["text"] for modal in stack] == titles


@pytest.mark.parametrize(
    "response",
    [
        {"response_action": "errors", "errors": {"no_such_block": "?"}},
        {"response_action": "update", "view": FORM | {"title": {"type": "plain_text", "text": "x" * 25}}},
        {"response_action": "dance"},
    ],
    ids=["errors", "view", "action"],
)
async def test_an_answer_slack_could_not_use_is_an_error_and_leaves_the_modal(
    world: World, response: Any
) -> None:
    @world.app.view("form")
    async def submitted(ack: Any) -> None:
        await ack(response)

    view_id = await open_form(world)
    answer = await world.sandbox.people.submit(DANA, view_id, filled_in("because"))
    assert answer["error"] == "invalid_response"
    assert world.sandbox.modal(DANA) is not None


@pytest.mark.parametrize("notify", [True, False])
async def test_closing_is_told_only_to_views_that_asked(world: World, notify: bool) -> None:
    @world.app.view_closed("form")
    async def closed(ack: Any, body: Any) -> None:
        world.seen.append(body)
        await ack()

    view_id = await open_form(world, notify_on_close=notify)
    assert await world.sandbox.people.close(DANA, view_id, clear=True) == {"ok": True}
    assert world.sandbox.modal(DANA) is None
    assert [body["is_cleared"] for body in world.seen] == ([True] if notify else [])
    assert not notify or keys("ViewClosedPayload.json") <= set(world.seen[0])


async def test_a_trigger_opens_one_view(world: World) -> None:
    @world.app.action("go")
    async def twice(ack: Any, body: Any, client: Any) -> None:
        await ack()
        await client.views_open(trigger_id=body["trigger_id"], view=FORM)
        with pytest.raises(SlackApiError, match="exchanged_trigger_id"):
            await client.views_open(trigger_id=body["trigger_id"], view=FORM)
        world.seen.append(body)
        world.sandbox.wake.bump()

    await world.sandbox.people.click(DANA, "C0APPROVE", await world.post(), "go")
    await world.sandbox.until(lambda: world.seen)


async def test_a_slash_command_carries_its_fields_and_answers_its_author(
    world: World,
) -> None:
    @world.app.command("/keyturn")
    async def answer(ack: Any, body: Any) -> None:
        world.seen.append(body)
        await ack("Three are waiting.")

    assert await world.sandbox.people.command(DANA, "C0GENERAL", "/keyturn", "queue") == {"ok": True}
    only_some = {"enterprise_id", "enterprise_name"}
    sample = json.loads((SAMPLES / "SlashCommandPayload.json").read_text())
    assert set(sample) - only_some == set(world.seen[0])
    assert (world.seen[0]["text"], world.seen[0]["channel_name"]) == ("queue", "general")
    (message,) = world.sandbox.messages("C0GENERAL")
    assert (message.text, message.ephemeral_to) == ("Three are waiting.", DANA)


async def test_people_and_channels_in_a_command_reach_the_bot_as_ids(world: World) -> None:
    @world.app.command("/keyturn")
    async def answer(ack: Any, body: Any) -> None:
        world.seen.append(body)
        await ack("Noted.")

    typed = "cover @rafael in #general a<b & @nobody x@rafael"
    await world.sandbox.people.command(DANA, "C0GENERAL", "/keyturn", typed)
    told = "cover <@U0REL0001|rafael> in <#C0GENERAL|general> a&lt;b &amp; @nobody x@rafael"
    assert world.seen[0]["text"] == told


async def test_an_unknown_command_does_not_reach_the_bot(world: World) -> None:
    answer = await world.sandbox.people.command(DANA, "C0GENERAL", "/nope", "")
    assert answer["error"] == "unknown_command"


async def test_opening_the_home_tells_the_bot_which_publishes_a_view(world: World) -> None:
    home = {"type": "home", "blocks": CARD}

    @world.app.event("app_home_opened")
    async def publish(body: Any, client: Any) -> None:
        world.seen.append(body)
        await client.views_publish(user_id=body["event"]["user"], view=home)

    assert await world.sandbox.people.open_home(DANA) == {"ok": True}
    published = await world.sandbox.until(lambda: world.sandbox.workspace.views.homes.get(DANA))
    assert published.view["blocks"] == CARD
    sample = json.loads((SAMPLES / "AppHomeOpenedPayload.json").read_text())
    only_some = {"enterprise_id", "authed_users", "authed_teams"}
    assert set(sample) - only_some <= set(world.seen[0])

    await world.sandbox.people.open_home(DANA)
    await world.sandbox.until(lambda: len(world.seen) == 2)
    assert world.seen[1]["event"]["view"]["id"] == published.id


async def test_a_click_in_the_home_names_the_view(world: World) -> None:
    @world.app.action("go")
    async def note(ack: Any, body: Any) -> None:
        world.seen.append(body)
        await ack()

    await world.client.views_publish(user_id=DANA, view={"type": "home", "blocks": CARD})
    home = world.sandbox.workspace.views.homes[DANA]
    assert await world.sandbox.people.click_in_view(DANA, home.id, "go") == {"ok": True}
    assert world.seen[0]["container"] == {"type": "view", "view_id": home.id}
    assert world.seen[0]["view"]["id"] == home.id


async def test_a_select_reports_its_whole_option(world: World) -> None:
    options = [{"text": {"type": "plain_text", "text": word}, "value": word} for word in ("one", "two")]
    menu = {"type": "static_select", "action_id": "pick", "options": options}

    @world.app.action("pick")
    async def note(ack: Any, body: Any) -> None:
        world.seen.append(body)
        await ack()

    ts = await world.post(blocks=[{"type": "actions", "block_id": "b", "elements": [menu]}])
    await world.sandbox.people.click(DANA, "C0APPROVE", ts, "pick", selected_option="two")
    assert world.seen[0]["actions"][0]["selected_option"] == options[1]
    composed = await world.sandbox.people.click(DANA, "C0APPROVE", ts, "pick", selected_option="three")
    assert composed["error"] == "no_such_option"


async def test_a_direct_message_is_an_event_and_a_channel_message_is_not(world: World) -> None:
    @world.app.event("message")
    async def echo(event: Any, say: Any) -> None:
        await say(f"You said {event['text']}")

    channel = (await world.client.conversations_open(users=DANA))["channel"]["id"]
    await world.sandbox.people.write(DANA, "C0GENERAL", "nobody listens")
    await world.sandbox.people.write(DANA, channel, "hello")
    messages = await world.sandbox.until(
        lambda: found if len(found := world.sandbox.messages(DANA)) == 2 else None
    )
    assert [message.text for message in messages] == ["hello", "You said hello"]


@pytest.mark.parametrize(
    ("user", "channel", "error"),
    [
        (SAM, "D0DANA001", "channel_not_found"),
        ("U0NOBODY1", "C0APPROVE", "user_not_found"),
        ("U0KEYTURN", "C0APPROVE", "is_bot"),
    ],
)
async def test_a_person_can_only_click_what_they_see(
    world: World, user: str, channel: str, error: str
) -> None:
    ts = await world.post(channel=DANA if channel.startswith("D") else channel)
    assert (await world.sandbox.people.click(user, channel, ts, "go"))["error"] == error


async def test_an_ephemeral_message_is_seen_clicked_and_dismissed_by_one_person_only(world: World) -> None:
    @world.app.action("go")
    async def replace(ack: Any, body: Any, respond: Any) -> None:
        world.seen.append(body)
        await respond("Replaced", replace_original=True)
        await ack()

    answer = await world.client.chat_postEphemeral(channel="C0APPROVE", user=DANA, text="?", blocks=CARD)
    ts = answer["message_ts"]
    others = await world.sandbox.people.click(SAM, "C0APPROVE", ts, "go")
    assert others["error"] == "message_not_found"
    assert (await world.sandbox.people.click(DANA, "C0APPROVE", ts, "go"))["ok"]
    assert world.seen[0]["container"]["is_ephemeral"] is True
    assert "message" not in world.seen[0]
    (message,) = world.sandbox.messages("C0APPROVE")
    assert (message.text, message.blocks) == ("Replaced", [])
    assert (await world.sandbox.people.dismiss(DANA, "C0APPROVE", ts))["ok"]
    assert world.sandbox.messages("C0APPROVE") == []


async def test_several_stacked_views_are_limited_to_three(world: World) -> None:
    @world.app.view("form")
    async def push(ack: Any) -> None:
        await ack(response_action="push", view=FORM)

    view_id = await open_form(world)
    for _ in range(2):
        assert (await world.sandbox.people.submit(DANA, view_id, filled_in("more")))["ok"]
        below, modal = view_id, world.sandbox.modal(DANA)
        assert modal is not None
        assert modal.previous_view_id == below
        view_id = modal.id
    fourth = await world.sandbox.people.submit(DANA, view_id, filled_in("more"))
    assert fourth["error"] == "push_limit_reached"
    covered = world.sandbox.workspace.views.stacks[DANA][0]
    assert (await world.sandbox.people.submit(DANA, covered.id, filled_in("x")))["error"] == "view_not_found"
