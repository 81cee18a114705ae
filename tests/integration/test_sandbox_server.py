"""The sandbox as a server: its page's routes, its walls, Socket Mode's own rules, its command."""

import asyncio
import json
import os
import signal
import stat
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from slack_sdk.signature import SignatureVerifier

from bot.sandbox import Sandbox, running_sandbox
from tests.integration.sandbox_bot import CARD, FORM, client_of, connected, filled_in

DANA = "U0DANA001"


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    async with running_sandbox() as running:
        yield running


@pytest.fixture
async def session(sandbox: Sandbox) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(sandbox.url) as opened:
        yield opened


async def post(session: aiohttp.ClientSession, path: str, **given: Any) -> Any:
    async with session.post(f"/sandbox/{path}", json=given) as response:
        return await response.json()


async def get(session: aiohttp.ClientSession, path: str) -> Any:
    async with session.get(f"/sandbox/{path}") as response:
        return await response.json()


async def open_socket(sandbox: Sandbox, session: aiohttp.ClientSession) -> aiohttp.ClientWebSocketResponse:
    headers = {"Authorization": f"Bearer {sandbox.app_token}"}
    async with session.post("/api/apps.connections.open", headers=headers) as response:
        url = (await response.json())["url"]
    return await session.ws_connect(url)


async def test_the_state_has_the_shape_the_page_reads(
    sandbox: Sandbox, session: aiohttp.ClientSession
) -> None:
    client = client_of(sandbox)
    await client.chat_postMessage(channel="C0APPROVE", text="x", blocks=CARD)
    await client.views_open(trigger_id=sandbox.workspace.triggers.issue(DANA), view=FORM)
    await client.views_publish(user_id=DANA, view={"type": "home", "blocks": CARD})
    state = await get(session, "state")
    assert set(state) == {
        *(
            "version",
            "now",
            "team",
            "bot",
            "users",
            "usergroups",
            "channels",
            "modals",
            "homes",
            "commands",
            "mail",
        )
    }
    assert state["bot"]["connected"] is False
    assert state["bot"]["transport"] == "socket"
    assert len(state["users"]) == 13
    (message,) = state["channels"][0]["messages"]
    assert {"ts", "user", "text", "blocks", "thread_ts", "reply_broadcast", "edited", "reactions"} <= set(
        message
    )
    assert {"metadata", "ephemeral_to", "files"} <= set(message)
    assert set(state["modals"][DANA][0]) == set(state["homes"][DANA]) == {"id", "hash", "view", "errors"}


async def test_a_page_can_do_over_http_all_a_person_does() -> None:
    async with connected("socket") as world, aiohttp.ClientSession(world.sandbox.url) as session:

        @world.app.action("go")
        async def form(ack: Any, body: Any, client: Any) -> None:
            await client.views_open(trigger_id=body["trigger_id"], view=FORM)
            await ack()

        @world.app.view("form")
        async def submitted(ack: Any) -> None:
            await ack(response_action="errors", errors={"reason": "no"})

        @world.app.command("/keyturn")
        async def command(ack: Any) -> None:
            await ack("hello")

        ts = await world.post()
        click = {
            "user": DANA,
            "channel": "C0APPROVE",
            "message_ts": ts,
            "block_id": "decide",
            "action_id": "go",
        }
        assert await post(session, "click", **click, value="v1") == {"ok": True}
        view_id = (await get(session, "state"))["modals"][DANA][0]["id"]
        answer = await post(session, "submit", user=DANA, view_id=view_id, values=filled_in("why"))
        assert answer == {"ok": True, "response_action": "errors", "errors": {"reason": "no"}}
        assert await post(session, "close", user=DANA, view_id=view_id) == {"ok": True}
        assert (await post(session, "click", user=DANA, view_id=view_id, action_id="go"))[
            "error"
        ] == "view_not_found"
        typed = {"user": DANA, "channel": "C0GENERAL", "command": "/keyturn", "text": ""}
        assert await post(session, "command", **typed) == {"ok": True}
        (shown,) = world.sandbox.messages("C0GENERAL")
        seen = {"user": DANA, "channel": "C0GENERAL", "message_ts": shown.ts}
        assert await post(session, "dismiss", **seen) == {"ok": True}
        assert (await post(session, "message", user=DANA, channel="C0GENERAL", text="hi"))["ok"]
        assert (await post(session, "delete_message", channel="C0APPROVE", ts=ts))["ok"]
        assert world.sandbox.messages("C0APPROVE") == []


async def test_the_workspace_is_changed_over_http(sandbox: Sandbox, session: aiohttp.ClientSession) -> None:
    assert (await post(session, "people", user=DANA, deleted=True, tz="Asia/Tokyo"))["ok"]
    assert (await post(session, "usergroup", id="S0OPS0001", users=["U0SRE0002"]))["ok"]
    assert (await post(session, "channel", id="C0GENERAL", bot_is_member=False))["ok"]
    assert (await post(session, "limits", pace=False)) == {"ok": True, "pace": False}
    assert (await get(session, "limits"))["pace"] is False
    assert sandbox.workspace.users[DANA].deleted
    assert sandbox.workspace.usergroups["S0OPS0001"].users == ["U0SRE0002"]
    assert "U0KEYTURN" not in sandbox.workspace.channels["C0GENERAL"].members
    added = await post(session, "faults", add=[{"fault": "outage", "seconds": 60}])
    assert added["faults"][0]["fault"] == "outage"
    assert await post(session, "faults", clear=True) == {"ok": True, "faults": []}
    assert (await get(session, "faults"))["faults"] == []


@pytest.mark.parametrize(
    ("path", "given", "error"),
    [
        ("click", {"user": DANA}, "invalid_request"),
        ("faults", {"add": [{"fault": "meteor"}]}, "invalid_request"),
        ("faults", {"add": [{"fault": "slow", "speed": 1}]}, "invalid_request"),
        ("people", {"user": "U0NOBODY1", "deleted": True}, "user_not_found"),
        ("people", {"user": DANA, "wings": True}, "invalid_arguments"),
        ("usergroup", {"id": "S0NONE", "users": []}, "no_such_subteam"),
    ],
)
async def test_a_request_that_makes_no_sense_is_answered_with_a_sentence(
    session: aiohttp.ClientSession, path: str, given: dict[str, Any], error: str
) -> None:
    answer = await post(session, path, **given)
    assert (answer["ok"], answer["error"]) == (False, error)
    assert answer["message"]


async def test_changes_and_calls_are_streamed(sandbox: Sandbox, session: aiohttp.ClientSession) -> None:
    async with session.get("/sandbox/events") as stream:
        first = await read_event(stream)
        assert first == ("state", {"version": sandbox.workspace.signal.count})
        await client_of(sandbox).chat_postMessage(channel="C0GENERAL", text="x")
        events = dict([await read_event(stream), await read_event(stream)])
        assert events["state"] == {"version": sandbox.workspace.signal.count}
        assert events["traffic"]["name"] == "chat.postMessage"
        assert events["traffic"]["direction"] == "bot_to_slack"


async def read_event(stream: aiohttp.ClientResponse) -> tuple[str, Any]:
    async with asyncio.timeout(30):
        lines = [(await stream.content.readline()).decode().rstrip() for _ in range(3)]
    return lines[0].removeprefix("event: "), json.loads(lines[1].removeprefix("data: "))


async def test_no_secret_is_in_the_log(sandbox: Sandbox, session: aiohttp.ClientSession) -> None:
    await client_of(sandbox).chat_postMessage(channel="C0GENERAL", text=f"oops {sandbox.bot_token}")
    socket = await open_socket(sandbox, session)
    await client_of(sandbox).api_call("api.test", params={"token": sandbox.bot_token})
    await socket.close()
    log = json.dumps((await get(session, "traffic"))["entries"])
    for secret in (sandbox.bot_token, sandbox.app_token, sandbox.signing_secret):
        assert secret not in log


async def test_the_log_is_read_on_from_a_number(sandbox: Sandbox, session: aiohttp.ClientSession) -> None:
    client = client_of(sandbox)
    for _ in range(3):
        await client.auth_test()
    assert [entry["n"] for entry in (await get(session, "traffic?after=1"))["entries"]] == [2, 3]
    assert (await get(session, "traffic?after=3"))["entries"] == []


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"Origin": "http://localhost:{port}"}, 200),
        ({"Host": "localhost:{port}"}, 200),
        ({"Host": "evil.example:{port}"}, 403),
        ({"Host": "127.0.0.1"}, 403),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "https://127.0.0.1:{port}"}, 403),
        ({"Origin": "null"}, 403),
    ],
)
async def test_only_its_own_address_and_pages_are_answered(
    sandbox: Sandbox, session: aiohttp.ClientSession, headers: dict[str, str], status: int
) -> None:
    port = sandbox.url.rpartition(":")[2]
    filled = {name: value.format(port=port) for name, value in headers.items()}
    for path in ("/sandbox/state", "/api/api.test"):
        async with session.get(path, headers=filled) as response:
            assert response.status == status


async def test_another_host_than_loopback_is_refused() -> None:
    with pytest.raises(ValueError, match="loopback"):
        async with running_sandbox(host="0.0.0.0"):
            pass


async def test_an_unknown_transport_is_refused_and_the_port_given_back() -> None:
    with pytest.raises(ValueError, match="socket or http"):
        async with running_sandbox(transport="pigeon"):
            pass


async def test_the_ipv6_loopback_serves_as_well() -> None:
    async with running_sandbox(host="::1") as sandbox:
        assert sandbox.url.startswith("http://[::1]:")
        await client_of(sandbox).auth_test()


async def test_the_page_and_its_parts_are_served(session: aiohttp.ClientSession) -> None:
    async with session.get("/") as response:
        page = await response.text()
        assert response.status == 200
        assert "frame-ancestors 'none'" in response.headers["Content-Security-Policy"]
    script = page.partition('src="')[2].partition('"')[0]
    async with session.get(script) as response:
        assert response.status == 200


async def test_a_socket_ticket_is_good_once(sandbox: Sandbox, session: aiohttp.ClientSession) -> None:
    ticket = sandbox.sockets.tickets.issue()
    first = await session.ws_connect(f"/socket?ticket={ticket}")
    hello = await first.receive_json()
    assert (hello["type"], hello["num_connections"]) == ("hello", 1)
    assert hello["connection_info"] == {"app_id": "A0KEYTURN"}
    with pytest.raises(aiohttp.WSServerHandshakeError):
        await session.ws_connect(f"/socket?ticket={ticket}")
    await first.close()


async def test_ten_connections_share_the_payloads_and_an_eleventh_is_turned_away(
    sandbox: Sandbox, session: aiohttp.ClientSession
) -> None:
    sockets = [await open_socket(sandbox, session) for _ in range(10)]
    for socket in sockets:
        await socket.receive_json()
    extra = await open_socket(sandbox, session)
    assert (await extra.receive_json())["reason"] == "too_many_websockets"

    async def typed() -> Any:
        return await sandbox.people.command(DANA, "C0GENERAL", "/keyturn", "")

    async def acknowledged(socket: aiohttp.ClientWebSocketResponse) -> Any:
        envelope = await socket.receive_json()
        # On another connection than it came by, as a client does that has just reconnected.
        await sockets[0].send_json({"envelope_id": envelope["envelope_id"], "payload": {"text": "hi"}})
        return envelope

    async with asyncio.TaskGroup() as tasks:
        answers = [tasks.create_task(typed()) for _ in sockets]
        received = [tasks.create_task(acknowledged(socket)) for socket in sockets]
    assert all(answer.result() == {"ok": True} for answer in answers)
    assert {task.result()["type"] for task in received} == {"slash_commands"}
    assert all(task.result()["accepts_response_payload"] for task in received)
    for socket in (*sockets, extra):
        await socket.close()


async def test_frames_that_are_not_acknowledgements_are_ignored(
    sandbox: Sandbox, session: aiohttp.ClientSession
) -> None:
    socket = await open_socket(sandbox, session)
    await socket.receive_json()
    for frame in ("not json", "[]", "{}", '{"envelope_id": "unknown"}', "7"):
        await socket.send_str(frame)
    async with asyncio.TaskGroup() as tasks:
        answer = tasks.create_task(sandbox.people.command(DANA, "C0GENERAL", "/keyturn", ""))
        envelope = await socket.receive_json()
        await socket.send_json({"envelope_id": envelope["envelope_id"]})
    assert answer.result() == {"ok": True}
    await socket.close()


async def test_http_deliveries_are_signed_as_slacks_own_library_checks() -> None:
    async with running_sandbox(
        transport="http", signing_secret="8f742231b10e8888abcd99yyyzzz85a5"
    ) as sandbox:
        raw = b"payload=%7B%7D"
        headers = sandbox.http.signature_headers(raw)
        assert SignatureVerifier(sandbox.signing_secret).is_valid_request(raw, headers)
        assert not SignatureVerifier("other").is_valid_request(raw, headers)


async def test_a_response_url_is_good_for_five_uses_in_half_an_hour() -> None:
    now = [1_700_000_000.0]
    async with (
        running_sandbox(clock=lambda: now[0], pace=False) as sandbox,
        aiohttp.ClientSession(sandbox.url) as session,
    ):

        async def respond(key: str, **given: Any) -> tuple[int, str]:
            async with session.post(f"/response/{key}", json=given) as response:
                return response.status, await response.text()

        key = sandbox.workspace.response_urls.issue(DANA, "C0GENERAL")
        assert await respond(key, text="to all", response_type="in_channel") == (200, "ok")
        for _ in range(4):
            assert (await respond(key, text="to you"))[0] == 200
        status, text = await respond(key, text="once more")
        assert (status, json.loads(text)["error"]) == (404, "used_url")
        assert [message.ephemeral_to for message in sandbox.messages("C0GENERAL")] == [None, *[DANA] * 4]

        late = sandbox.workspace.response_urls.issue(DANA, "C0GENERAL")
        now[0] += 30 * 60 + 1
        assert json.loads((await respond(late, text="x"))[1])["error"] == "expired_url"
        assert json.loads((await respond("guess", text="x"))[1])["error"] == "invalid_url"
        fresh = sandbox.workspace.response_urls.issue(DANA, "C0GENERAL")
        status, text = await respond(fresh, blocks=[{"type": "alert"}])
        assert (status, json.loads(text)["error"]) == (400, "invalid_blocks")


async def test_a_response_url_replaces_or_deletes_the_message_it_came_from(
    sandbox: Sandbox, session: aiohttp.ClientSession
) -> None:
    ts = (await client_of(sandbox).chat_postMessage(channel="C0GENERAL", text="x", blocks=CARD))["ts"]
    key = sandbox.workspace.response_urls.issue(DANA, "C0GENERAL", ts)
    async with session.post(f"/response/{key}", json={"text": "y", "replace_original": True}):
        (message,) = sandbox.messages("C0GENERAL")
        assert (message.text, message.blocks) == ("y", [])
    async with session.post(f"/response/{key}", json={"delete_original": True}):
        assert sandbox.messages("C0GENERAL") == []


async def test_a_wrong_upload_is_refused(sandbox: Sandbox, session: aiohttp.ClientSession) -> None:
    begun = await client_of(sandbox).files_getUploadURLExternal(filename="a.txt", length=5)
    async with session.post("/upload/F0NONE", data=b"hello") as response:
        assert response.status == 404
    async with session.post(begun["upload_url"], data=b"hell") as response:
        assert response.status == 400
    async with session.post(begun["upload_url"], data=b"hello") as response:
        assert response.status == 200
    async with session.post(begun["upload_url"], data=b"again") as response:
        assert response.status == 404


async def test_stopping_does_not_wait_for_open_streams() -> None:
    async with aiohttp.ClientSession() as session, asyncio.timeout(30):
        async with running_sandbox() as sandbox:
            stream = await session.get(f"{sandbox.url}/sandbox/events")
            await stream.content.readline()
            socket = await session.ws_connect(
                f"{sandbox.url}/socket?ticket={sandbox.sockets.tickets.issue()}"
            )
        await socket.close()
        stream.close()


async def test_a_workspace_file_replaces_the_default_one(tmp_path: Path) -> None:
    small = {
        "team": {"id": "T1", "name": "Small", "domain": "small"},
        "bot": {"user_id": "UB", "bot_id": "B1", "app_id": "A1", "name": "bot"},
        "users": [{"id": "UB", "name": "bot", "real_name": "Bot", "is_bot": True}],
        "channels": [{"id": "C1", "name": "one"}],
    }
    path = tmp_path / "workspace.json"
    path.write_text(json.dumps(small))
    async with running_sandbox(workspace=path) as sandbox:
        await client_of(sandbox).chat_postMessage(channel="C1", text="x")
    path.write_text("{}")
    with pytest.raises(ValueError, match="not a sandbox workspace"):
        async with running_sandbox(workspace=path):
            pass


COMMAND = (
    "import sys; from pathlib import Path; from bot.sandbox import run; run(0, env_file=Path(sys.argv[1]))"
)


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_the_command_writes_private_variables_serves_and_stops_cleanly(tmp_path: Path, signum: int) -> None:
    env_file = tmp_path / "sandbox.env"
    env_file.write_text("old")
    command = [sys.executable, "-c", COMMAND, str(env_file)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert "http://127.0.0.1:" in process.stdout.readline()
        assert str(env_file) in process.stdout.readline()
        variables = dict(line.split("=", 1) for line in env_file.read_text().splitlines())
        mode = stat.S_IMODE(env_file.stat().st_mode)
        os.kill(process.pid, signum)
        _, errors = process.communicate(timeout=60)
    assert (process.returncode, errors, mode) == (0, "", 0o600)
    slack = {"SLACK_API_URL", "SLACK_BOT_TOKEN", "SLACK_APP_TOKEN"}
    assert set(variables) == {*slack, "KEYTURN_SMTP_URL"}


async def test_a_connection_is_warned_and_then_asked_to_reconnect(
    sandbox: Sandbox, session: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bot.sandbox.sockets.DEBUG_LIFETIME_SECONDS", 0.02)
    monkeypatch.setattr("bot.sandbox.sockets.WARNING_SECONDS", 0.01)
    ticket = sandbox.sockets.tickets.issue()
    async with session.ws_connect(f"/socket?ticket={ticket}&debug_reconnects=true") as socket:
        frames = [await socket.receive_json() for _ in range(3)]
        assert [frame["type"] for frame in frames] == ["hello", "disconnect", "disconnect"]
        assert [frame["reason"] for frame in frames[1:]] == ["warning", "refresh_requested"]
        assert not sandbox.sockets.connected
        # A client that does not go is hung up on.
        assert (await socket.receive()).type is aiohttp.WSMsgType.CLOSE
