"""The sandbox's Web API as the real client sees it: what works, and how the rest is refused."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from bot.sandbox import Sandbox, running_sandbox
from tests.integration.sandbox_bot import CARD, DONE, FORM, client_of

SAMPLES = Path(__file__).parent.parent / "fixtures" / "slack" / "java-slack-sdk"
DANA = "U0DANA001"
LONG_SECTION = {"type": "section", "text": {"type": "mrkdwn", "text": "x" * 3000}}


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    async with running_sandbox(pace=False) as running:
        yield running


@pytest.fixture
def client(sandbox: Sandbox) -> AsyncWebClient:
    return client_of(sandbox)


async def refused(call: Any) -> dict[str, Any]:
    """The answer of a call that Slack refuses."""
    with pytest.raises(SlackApiError) as caught:
        await call
    answer = caught.value.response
    return dict(answer.data)


async def code(call: Any) -> str:
    """The error code of a call that Slack refuses."""
    return str((await refused(call))["error"])


async def test_a_wrong_token_and_no_token_are_refused(sandbox: Sandbox) -> None:
    wrong = AsyncWebClient(token="xoxb-wrong", base_url=sandbox.api_url)
    assert await code(wrong.auth_test()) == "invalid_auth"
    nobody = AsyncWebClient(base_url=sandbox.api_url)
    assert await code(nobody.auth_test()) == "not_authed"
    app = AsyncWebClient(token=sandbox.app_token, base_url=sandbox.api_url)
    assert await code(app.auth_test()) == "not_allowed_token_type"


async def test_tokens_are_fresh_at_every_start(sandbox: Sandbox) -> None:
    async with running_sandbox() as other:
        assert other.bot_token != sandbox.bot_token
        assert other.app_token != sandbox.app_token
        assert other.signing_secret != sandbox.signing_secret


async def test_an_unknown_method_is_said_to_be_unknown(client: AsyncWebClient) -> None:
    assert await code(client.api_call("chat.postTelegram")) == "unknown_method"


async def test_every_encoding_bolt_and_others_use_is_read(sandbox: Sandbox) -> None:
    headers = {"Authorization": f"Bearer {sandbox.bot_token}"}
    as_strings = {"channel": "C0GENERAL", "text": "hello", "blocks": json.dumps(CARD)}
    url = f"{sandbox.api_url}chat.postMessage"
    async with aiohttp.ClientSession(headers=headers) as session:
        encodings: tuple[dict[str, Any], ...] = (
            {"json": {**as_strings, "blocks": CARD}},
            {"json": as_strings},
            {"data": as_strings},
            {"params": as_strings},
            {"data": aiohttp.FormData(as_strings, default_to_multipart=True)},
        )
        for sent in encodings:
            async with session.post(url, **sent) as response:
                answer = await response.json()
                assert answer["ok"], answer
        async with session.get(url, params=as_strings) as response:
            assert (await response.json())["ok"]
        async with session.post(url, data={**as_strings, "token": sandbox.bot_token}, headers={}) as response:
            assert (await response.json())["ok"]
    messages = sandbox.messages("C0GENERAL")
    assert [(message.text, message.blocks) for message in messages] == [("hello", CARD)] * 7


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"channel": "C0NOWHERE", "text": "x"}, "channel_not_found"),
        ({"channel": "U0OLD0001", "text": "x"}, "channel_not_found"),
        ({"channel": "C0ARCHIV1", "text": "x"}, "is_archived"),
        ({"channel": "C0GENERAL"}, "no_text"),
        ({"channel": "C0GENERAL", "text": " "}, "no_text"),
        ({"text": "x"}, "invalid_arguments"),
        ({"channel": "C0GENERAL", "text": "x", "blocks": "[{"}, "invalid_blocks_format"),
        ({"channel": "C0GENERAL", "text": "x", "blocks": [{"type": "alert", "text": {}}]}, "invalid_blocks"),
        ({"channel": "C0GENERAL", "text": "x", "blocks": [LONG_SECTION] * 5}, "msg_blocks_too_long"),
        ({"channel": "C0GENERAL", "text": "x", "markdown_text": "*x*"}, "markdown_text_conflict"),
        ({"channel": "C0GENERAL", "text": "x", "thread_ts": "1.000001"}, "thread_not_found"),
        ({"channel": "C0GENERAL", "text": "x", "metadata": {"event_payload": {}}}, "invalid_metadata_format"),
        ({"channel": "C0GENERAL", "text": "x", "metadata": {"event_type": "e"}}, "invalid_metadata_schema"),
        (
            {
                "channel": "C0GENERAL",
                "text": "x",
                "metadata": {"event_type": "e", "event_payload": {"k": "x" * 16000}},
            },
            "metadata_too_large",
        ),
    ],
)
async def test_a_message_slack_would_refuse_is_refused(
    sandbox: Sandbox, client: AsyncWebClient, arguments: dict[str, Any], error: str
) -> None:
    assert await code(client.api_call("chat.postMessage", json=arguments)) == error
    assert all(not sandbox.messages(channel) for channel in sandbox.workspace.channels)


async def test_the_reasons_for_refusing_blocks_are_listed(client: AsyncWebClient) -> None:
    broken = [{"type": "header", "text": {"type": "plain_text", "text": "x" * 151}}]
    answer = await refused(client.chat_postMessage(channel="C0GENERAL", text="x", blocks=broken))
    assert answer["response_metadata"]["messages"] == [
        "[ERROR] failed to match all allowed schemas [json-pointer:/blocks/0/text]",
        "[ERROR] must be less than 151 characters [json-pointer:/blocks/0/text/text]",
    ]


async def test_the_bot_cannot_write_where_it_is_not_a_member(
    sandbox: Sandbox, client: AsyncWebClient
) -> None:
    sandbox.workspace.change_channel("C0GENERAL", {"bot_is_member": False})
    assert (await refused(client.chat_postMessage(channel="C0GENERAL", text="x")))[
        "error"
    ] == "not_in_channel"
    assert await code(client.conversations_history(channel="C0GENERAL")) == "not_in_channel"


async def test_a_message_to_a_person_lands_in_their_dm_whose_id_is_answered(client: AsyncWebClient) -> None:
    answer = await client.chat_postMessage(channel=DANA, text="hello")
    assert answer["channel"].startswith("D")
    by_user = client.chat_update(channel=DANA, ts=answer["ts"], text="bye")
    assert await code(by_user) == "channel_not_found"
    await client.chat_update(channel=answer["channel"], ts=answer["ts"], text="bye")


async def test_text_above_forty_thousand_characters_is_cut(sandbox: Sandbox, client: AsyncWebClient) -> None:
    await client.chat_postMessage(channel="C0GENERAL", text="x" * 40_001)
    assert len(sandbox.messages("C0GENERAL")[0].text) == 40_000


async def test_an_update_with_text_alone_takes_the_blocks_away_and_marks_it_edited(
    sandbox: Sandbox, client: AsyncWebClient
) -> None:
    ts = (await client.chat_postMessage(channel="C0GENERAL", text="x", blocks=CARD))["ts"]
    await client.chat_update(channel="C0GENERAL", ts=ts, text="y", blocks=DONE)
    (message,) = sandbox.messages("C0GENERAL")
    assert (message.text, message.blocks, message.edited) == ("y", DONE, False)
    await client.chat_update(channel="C0GENERAL", ts=ts, text="z")
    assert (message.text, message.blocks, message.edited) == ("z", [], True)


async def test_metadata_is_kept_by_updates_and_read_back_only_on_request(client: AsyncWebClient) -> None:
    metadata = {"event_type": "card", "event_payload": {"request_id": "req_1"}}
    ts = (await client.chat_postMessage(channel="C0GENERAL", text="x", metadata=metadata))["ts"]
    await client.chat_update(channel="C0GENERAL", ts=ts, text="y")
    without = await client.conversations_history(channel="C0GENERAL")
    assert "metadata" not in without["messages"][0]
    found = await client.conversations_history(channel="C0GENERAL", include_all_metadata=True)
    assert found["messages"][0]["metadata"] == metadata
    await client.chat_update(channel="C0GENERAL", ts=ts, text="y", metadata={})
    removed = await client.conversations_history(channel="C0GENERAL", include_all_metadata=True)
    assert "metadata" not in removed["messages"][0]


async def test_updates_slack_would_refuse_are_refused(sandbox: Sandbox, client: AsyncWebClient) -> None:
    ts = (await client.chat_postMessage(channel="C0GENERAL", text="x"))["ts"]
    long = client.chat_update(channel="C0GENERAL", ts=ts, text="x" * 4001)
    assert await code(long) == "msg_too_long"
    nowhere = client.chat_update(channel="C0GENERAL", ts="1.000001", text="x")
    assert await code(nowhere) == "message_not_found"
    theirs = (await sandbox.people.write(DANA, "C0GENERAL", "mine"))["ts"]
    assert (await refused(client.chat_update(channel="C0GENERAL", ts=theirs, text="x")))[
        "error"
    ] == "cant_update_message"
    assert (await refused(client.chat_delete(channel="C0GENERAL", ts=theirs)))[
        "error"
    ] == "cant_delete_message"
    hidden = (await client.chat_postEphemeral(channel="C0GENERAL", user=DANA, text="x"))["message_ts"]
    assert (await refused(client.chat_update(channel="C0GENERAL", ts=hidden, text="y")))[
        "error"
    ] == "message_not_found"
    sandbox.workspace.change_channel("C0GENERAL", {"is_archived": True})
    assert await code(client.chat_update(channel="C0GENERAL", ts=ts, text="y")) == "is_archived"


async def test_an_ephemeral_message_needs_a_member_and_is_not_in_the_history(
    sandbox: Sandbox, client: AsyncWebClient
) -> None:
    outsider = client.chat_postEphemeral(channel="C0GENERAL", user="U0OLD0001", text="x")
    assert await code(outsider) == "user_not_in_channel"
    await client.chat_postEphemeral(channel="C0GENERAL", user=DANA, text="x")
    assert len(sandbox.messages("C0GENERAL")) == 1
    assert (await client.conversations_history(channel="C0GENERAL"))["messages"] == []


async def test_history_is_paged_newest_first_and_bounded_by_time(client: AsyncWebClient) -> None:
    stamps = [(await client.chat_postMessage(channel="C0GENERAL", text=str(n)))["ts"] for n in range(5)]
    first = await client.conversations_history(channel="C0GENERAL", limit=2)
    assert [message["text"] for message in first["messages"]] == ["4", "3"]
    assert first["has_more"] is True
    cursor = first["response_metadata"]["next_cursor"]
    second = await client.conversations_history(channel="C0GENERAL", limit=3, cursor=cursor)
    assert [message["text"] for message in second["messages"]] == ["2", "1", "0"]
    assert second["has_more"] is False
    between = await client.conversations_history(channel="C0GENERAL", oldest=stamps[1], latest=stamps[3])
    assert [message["text"] for message in between["messages"]] == ["2"]
    inclusive = await client.conversations_history(
        channel="C0GENERAL", oldest=stamps[1], latest=stamps[3], inclusive=True
    )
    assert [message["text"] for message in inclusive["messages"]] == ["3", "2", "1"]


async def test_a_thread_hangs_on_its_parent_even_when_a_reply_is_named(client: AsyncWebClient) -> None:
    parent = (await client.chat_postMessage(channel="C0GENERAL", text="parent"))["ts"]
    reply = (await client.chat_postMessage(channel="C0GENERAL", text="one", thread_ts=parent))["ts"]
    await client.chat_postMessage(channel="C0GENERAL", text="two", thread_ts=reply, reply_broadcast=True)
    replies = await client.conversations_replies(channel="C0GENERAL", ts=parent)
    assert [message["text"] for message in replies["messages"]] == ["parent", "one", "two"]
    assert replies["messages"][0]["reply_count"] == 2
    history = await client.conversations_history(channel="C0GENERAL")
    assert [message["text"] for message in history["messages"]] == ["two", "parent"]
    missing = client.conversations_replies(channel="C0GENERAL", ts="1.000001")
    assert await code(missing) == "thread_not_found"


async def test_a_deleted_message_is_gone(sandbox: Sandbox, client: AsyncWebClient) -> None:
    ts = (await client.chat_postMessage(channel="C0GENERAL", text="x"))["ts"]
    await client.chat_delete(channel="C0GENERAL", ts=ts)
    assert sandbox.messages("C0GENERAL") == []
    assert await code(client.chat_delete(channel="C0GENERAL", ts=ts)) == "message_not_found"


async def test_users_have_every_field_slack_gives_a_person(client: AsyncWebClient) -> None:
    sample = json.loads((SAMPLES / "users.info.json").read_text())["user"]
    # Grid workspaces only, and fields Slack leaves out for most people.
    rare = {
        "enterprise_user",
        "enterprise_id",
        "enterprise_name",
        "teams",
        "who_can_share_contact_card",
        "has_2fa",
    }
    rare |= {"is_workflow_bot", "is_invited_user", "is_connector_bot"}
    user = (await client.users_info(user=DANA))["user"]
    assert set(sample) - rare <= set(user)
    assert user["profile"]["email"] == "dana@example.com"
    assert await code(client.users_info(user="U0NOBODY1")) == "user_not_found"


async def test_people_differ_as_in_a_real_workspace(client: AsyncWebClient) -> None:
    users = {user["id"]: user for user in (await client.users_list())["members"]}
    assert users["U0GST0001"]["is_restricted"]
    assert users["U0OLD0001"]["deleted"]
    assert users["U0EXT0001"]["is_stranger"]
    assert users["U0EXT0001"]["team_id"] == "T0OTHER"
    assert users["U0KEYTURN"]["is_bot"]
    assert len({user["tz_offset"] for user in users.values()}) > 5
    found = await client.users_lookupByEmail(email="DANA@example.com")
    assert found["user"]["id"] == DANA
    for nobody in ("odd@example.com", "eve@example.com", "who@example.com"):
        assert await code(client.users_lookupByEmail(email=nobody)) == "users_not_found"


async def test_groups_and_quiet_hours_are_answered(sandbox: Sandbox, client: AsyncWebClient) -> None:
    members = await client.usergroups_users_list(usergroup="S0614TZR7")
    assert members["users"] == ["U0SEC0001", "U0SEC0002"]
    assert await code(client.usergroups_users_list(usergroup="S0NONE")) == "no_such_subteam"
    groups = await client.usergroups_list(include_users=True)
    assert groups["usergroups"][1]["users"] == [DANA, "U0SRE0001"]
    sandbox.workspace.change_user(DANA, {"dnd_enabled": True, "next_dnd_start_ts": 5, "next_dnd_end_ts": 9})
    quiet = await client.dnd_info(user=DANA)
    sample = json.loads((SAMPLES / "dnd.info.json").read_text())
    assert set(sample) - {"error", "needed", "provided", "warning"} == set(quiet.data)
    assert quiet["dnd_enabled"] is True
    assert (await client.users_getPresence(user=DANA))["presence"] == "active"


async def test_channels_are_listed_paged_and_described(client: AsyncWebClient) -> None:
    first = await client.conversations_list(limit=4)
    rest = await client.conversations_list(limit=4, cursor=first["response_metadata"]["next_cursor"])
    names = [channel["name"] for page in (first, rest) for channel in page["channels"]]
    assert names == [
        "approvals",
        "security-alerts",
        "keyturn-admin",
        "deployments",
        "general",
        "old-approvals",
    ]
    assert (await client.conversations_info(channel="C0ARCHIV1"))["channel"]["is_archived"] is True
    assert DANA in (await client.conversations_members(channel="C0GENERAL"))["members"]
    assert await code(client.conversations_open(users="U0OLD0001")) == "user_disabled"
    assert await code(client.conversations_list(cursor="?")) == "invalid_cursor"


async def test_a_permalink_leads_to_the_page(sandbox: Sandbox, client: AsyncWebClient) -> None:
    ts = (await client.chat_postMessage(channel="C0GENERAL", text="x"))["ts"]
    link = (await client.chat_getPermalink(channel="C0GENERAL", message_ts=ts))["permalink"]
    assert link == f"{sandbox.url}/#/archives/C0GENERAL/p{ts.replace('.', '')}"


async def test_a_reaction_is_added_once(sandbox: Sandbox, client: AsyncWebClient) -> None:
    ts = (await client.chat_postMessage(channel="C0GENERAL", text="x"))["ts"]
    await client.reactions_add(channel="C0GENERAL", timestamp=ts, name="white_check_mark")
    again = client.reactions_add(channel="C0GENERAL", timestamp=ts, name="white_check_mark")
    assert await code(again) == "already_reacted"
    assert sandbox.messages("C0GENERAL")[0].reactions == {"white_check_mark": ["U0KEYTURN"]}


async def test_a_file_is_uploaded_shared_and_only_ever_downloaded(
    sandbox: Sandbox, client: AsyncWebClient
) -> None:
    script = "<script>alert(1)</script>"
    await client.files_upload_v2(
        channel="C0GENERAL",
        filename="audit.html",
        content=script,
        initial_comment="The export",
    )
    (message,) = sandbox.messages("C0GENERAL")
    assert message.text == "The export"
    async with aiohttp.ClientSession() as session, session.get(message.files[0]["url_private"]) as response:
        assert await response.text() == script
        assert response.headers["Content-Disposition"] == "attachment"
        assert response.headers["X-Content-Type-Options"] == "nosniff"


async def test_views_slack_would_refuse_are_refused_before_the_trigger_is_used(
    sandbox: Sandbox, client: AsyncWebClient
) -> None:
    trigger_id = sandbox.workspace.triggers.issue(DANA)
    long = FORM | {"title": {"type": "plain_text", "text": "x" * 25}}
    answer = await refused(client.views_open(trigger_id=trigger_id, view=long))
    assert answer["error"] == "invalid_arguments"
    assert (
        "[ERROR] must be less than 25 characters [json-pointer:/view/title/text]"
        in answer["response_metadata"]["messages"]
    )
    await client.views_open(trigger_id=trigger_id, view=FORM)
    unknown = client.views_open(trigger_id="1.2.abc", view=FORM)
    assert await code(unknown) == "invalid_trigger_id"


async def test_a_view_is_updated_only_under_its_latest_hash(sandbox: Sandbox, client: AsyncWebClient) -> None:
    opened = (await client.views_open(trigger_id=sandbox.workspace.triggers.issue(DANA), view=FORM))["view"]
    updated = (await client.views_update(view_id=opened["id"], hash=opened["hash"], view=FORM))["view"]
    assert updated["hash"] != opened["hash"]
    stale = client.views_update(view_id=opened["id"], hash=opened["hash"], view=FORM)
    assert await code(stale) == "hash_conflict"
    await sandbox.people.close(DANA, opened["id"])
    assert await code(client.views_update(view_id=opened["id"], view=FORM)) == "not_found"


async def test_an_external_id_finds_a_view_and_is_unique(sandbox: Sandbox, client: AsyncWebClient) -> None:
    named = FORM | {"external_id": "req_1"}
    await client.views_open(trigger_id=sandbox.workspace.triggers.issue(DANA), view=named)
    await client.views_update(external_id="req_1", view=named)
    other = client.views_open(trigger_id=sandbox.workspace.triggers.issue("U0SRE0001"), view=named)
    assert await code(other) == "duplicate_external_id"
    view_id = sandbox.workspace.views.stacks[DANA][0].id
    await sandbox.people.close(DANA, view_id)
    await client.views_open(trigger_id=sandbox.workspace.triggers.issue("U0SRE0001"), view=named)


async def test_a_push_needs_a_view_below_it(sandbox: Sandbox, client: AsyncWebClient) -> None:
    push = client.views_push(trigger_id=sandbox.workspace.triggers.issue(DANA), view=FORM)
    assert await code(push) == "not_found"


async def test_blocks_can_be_validated_without_a_token_or_a_message(sandbox: Sandbox) -> None:
    nobody = AsyncWebClient(base_url=sandbox.api_url)
    assert (await nobody.api_call("blocks.validate", json={"blocks": CARD}))["ok"]
    assert (await nobody.api_call("blocks.validate", json={"view": FORM}))["ok"]
    assert (await refused(nobody.api_call("blocks.validate", json={"blocks": [{}]})))[
        "error"
    ] == "invalid_blocks"
    assert await code(nobody.api_call("blocks.validate", json={})) == "invalid_arguments"
