"""Rollback with everything there is: an agent's files, its worker, the bot, and people in Slack."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

import keyturn
from bot.core.errors import StaleReview
from bot.core.models import Actor, ApprovalRequest, RequestId, SlackId, Via
from bot.core.rollback import Asked
from bot.sandbox.model import Modal
from bot.services.rollbacks import Hand
from keyturn.rollback import AsyncWorker, Resources, changed_file, config_value
from tests.integration.slack_desk import (
    DANA,
    OLGA,
    RAFAEL,
    SAM,
    Desk,
    buttons,
    running_desk,
    text,
    view_words,
)


@asynccontextmanager
async def agent_at(desk: Desk, directory: Path) -> AsyncIterator[keyturn.AsyncClient]:
    """An agent's client with a worker beside it."""
    token = await desk.bot.agents.add("file-bot", owner=SlackId(OLGA), rate=0)
    worker = AsyncWorker(desk.bot.url, token, resources=Resources(), journal=directory / "journal")
    async with keyturn.AsyncClient(desk.bot.url, token) as client, worker:
        yield client


async def change(
    desk: Desk,
    client: keyturn.AsyncClient,
    file: Path,
    content: str,
    *,
    first: Callable[[], Awaitable[None]] | None = None,
    **more: Any,
) -> ApprovalRequest:
    """Let the agent overwrite a file with approval, keeping what undoes it; `first` precedes the approval."""

    async def work() -> str:
        params = {"path": str(file), "content": content, "overwrite": True}
        async with client.approved("file_write", params, "Write it", **more) as action:
            with changed_file(file):
                await asyncio.to_thread(file.write_text, action.params["content"])
            return action.request.id

    async with asyncio.TaskGroup() as tasks:
        working = tasks.create_task(work())
        request = await newest(desk)
        if first is not None:
            await first()
        await desk.click(RAFAEL, request)
    found = await desk.bot.store.reads.request(RequestId(working.result()))
    assert found is not None
    return found


async def newest(desk: Desk) -> ApprovalRequest:
    """The agent's newest request, once it is pending."""
    async with asyncio.timeout(20):
        while True:
            found, _ = await desk.bot.store.reads.requests(agent="file-bot", limit=1)
            if found and found[0].status.value == "pending":
                return found[0]
            await asyncio.sleep(0.01)


async def form_of(desk: Desk, user: str) -> Modal:
    return await desk.modal(user, "rollback.confirm")


async def submit(desk: Desk, user: str, modal: Modal, **values: str) -> Any:
    given = {block: text(value) for block, value in values.items()}
    return await desk.sandbox.people.submit(user, modal.id, given)


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    async with running_desk(tmp_path) as found:
        yield found


@pytest.fixture
def place(tmp_path: Path) -> Path:
    found = tmp_path.resolve() / "agent"
    found.mkdir()
    return found


async def test_a_file_comes_back_from_the_cards_button_to_the_bytes_on_disk(desk: Desk, place: Path) -> None:
    file = place / "settings"
    file.write_bytes(b"old\n")
    async with agent_at(desk, place) as client:
        request = await change(desk, client, file, "new\n")
        await desk.painted(request, "Done")
        assert "rollback.start" in buttons(await desk.card(request))
        await desk.click(RAFAEL, request, "rollback.start")
        modal = await form_of(desk, RAFAEL)
        assert "-new\n+old" in view_words(modal)
        assert file.read_bytes() == b"new\n"
        await submit(desk, RAFAEL, modal, reason="It broke the shop.")
        await desk.painted(request, "Rolled back")
    assert file.read_bytes() == b"old\n"
    assert "rollback.start" not in buttons(await desk.card(request))
    names = [event.event for event in await desk.bot.store.reads.events(request.id)]
    assert [name for name in names if "roll" in name] == [
        "rollback_requested",
        "rollback_previewed",
        "rollback_confirmed",
        "rollback_claimed",
        "action_rolled_back",
    ]


async def test_a_file_changed_by_somebody_else_stops_it_until_it_is_forced(desk: Desk, place: Path) -> None:
    file = place / "settings"
    file.write_bytes(b"old\n")
    async with agent_at(desk, place) as client:
        request = await change(desk, client, file, "new\n")
        await desk.painted(request, "Done")
        file.write_bytes(b"somebody else's\n")
        await desk.click(RAFAEL, request, "rollback.start")
        await _said(desk, RAFAEL, "Something has changed since")
        assert file.read_bytes() == b"somebody else's\n"
        await saying(desk, request, "something has changed since")
        await desk.click(RAFAEL, request, "rollback.start")
        modal = await form_of(desk, RAFAEL)
        refused = await submit(desk, RAFAEL, modal, reason="Back to the old one.")
        assert "force_reason" in json.dumps(refused)
        await submit(desk, RAFAEL, modal, reason="Back to the old one.", force_reason="Theirs was a mistake.")
        await desk.painted(request, "Rolled back")
    assert file.read_bytes() == b"old\n"


async def _said(desk: Desk, user: str, words: str) -> None:
    def look() -> bool | None:
        top = desk.sandbox.modal(user)
        return True if top is not None and words in view_words(top) else None

    await desk.sandbox.until(look)


async def saying(desk: Desk, request: ApprovalRequest, words: str) -> None:
    """Until a copy of the card says this."""

    def look() -> bool | None:
        return next((True for card in desk.cards(request) if words in json.dumps(card.blocks)), None)

    await desk.sandbox.until(look)


async def test_an_operator_rolls_a_session_back_by_command_newest_first(desk: Desk, place: Path) -> None:
    file, other = place / "settings", place / "other"
    file.write_bytes(b"one\n")
    async with agent_at(desk, place) as client:
        session = (await client.start_session("evening")).id
        first = await change(desk, client, file, "two\n", session_id=session)
        second = await change(desk, client, file, "three\n", session_id=session)
        third = await change(desk, client, other, "made\n", session_id=session)
        await desk.sandbox.people.command(SAM, "C0APPROVE", "/rollback", "session evening It went wrong")
        modal = await form_of(desk, SAM)
        assert "3 actions of session evening, newest first" in view_words(modal)
        assert "It went wrong" in view_words(modal)
        await submit(desk, SAM, modal, reason="All of it.")
        for request in (third, second, first):
            await desk.painted(request, "Rolled back")
    assert file.read_bytes() == b"one\n"
    assert not other.exists()


async def test_an_operator_who_may_not_confirm_starts_it_and_others_go_on(desk: Desk, place: Path) -> None:
    file = place / "settings"
    file.write_bytes(b"old\n")
    async with agent_at(desk, place) as client:
        request = await change(desk, client, file, "new\n")
        await desk.painted(request, "Done")
        await desk.sandbox.people.command(DANA, "C0APPROVE", "/keyturn", f"rollback {request.id} please")
        await _said(desk, DANA, "somebody who may confirm it must go on from the card")
        await desk.click(RAFAEL, request, "rollback.start")
        await submit(desk, RAFAEL, await form_of(desk, RAFAEL), reason="Dana is right.")
        await desk.painted(request, "Rolled back")
    assert file.read_bytes() == b"old\n"


async def test_somebody_who_may_not_confirm_is_told_and_nothing_happens(desk: Desk, place: Path) -> None:
    file = place / "settings"
    file.write_bytes(b"old\n")
    async with agent_at(desk, place) as client:
        request = await change(desk, client, file, "new\n")
        await desk.painted(request, "Done")
        await desk.click(OLGA, request, "rollback.start")
        await desk.private(OLGA, "yours")
    assert file.read_bytes() == b"new\n"
    assert await desk.audited(request, "rollback_requested") == []
    assert [body["verdict"] for body in await desk.audited(request, "review_refused")] == ["rollback"]


async def test_a_setting_is_put_back_where_the_action_changed_it(desk: Desk, place: Path) -> None:
    file = place / "settings.json"
    file.write_text('{"limit": 20, "price": 1.50}')
    async with agent_at(desk, place) as client:

        async def work() -> str:
            params = {"key": "limit", "old_value": 20, "new_value": 500}
            async with client.approved("config_change", params, "Raise it") as action:
                with config_value(file, "limit"):
                    file.write_text('{"limit": 500, "price": 1.50}')
                return action.request.id

        async with asyncio.TaskGroup() as tasks:
            working = tasks.create_task(work())
            await desk.click(RAFAEL, await newest(desk))
        request = await desk.bot.store.reads.request(RequestId(working.result()))
        assert request is not None
        await desk.painted(request, "Done")
        await desk.click(RAFAEL, request, "rollback.start")
        await submit(desk, RAFAEL, await form_of(desk, RAFAEL), reason="Too many.")
        await desk.painted(request, "Rolled back")
    assert file.read_text() == '{"limit": 20, "price": 1.50}'


async def test_unknown_words_after_the_command_get_help(desk: Desk) -> None:
    await desk.sandbox.people.command(SAM, "C0APPROVE", "/rollback", "everything")
    await desk.private(SAM, "undo one action")


async def test_only_operators_start_by_command(desk: Desk, place: Path) -> None:
    await desk.sandbox.people.command(RAFAEL, "C0APPROVE", "/rollback", "req_x please")
    await desk.private(RAFAEL, "Only operators")


async def test_an_operator_may_be_named_by_e_mail_in_any_capitals(desk: Desk, tmp_path: Path) -> None:
    file = tmp_path / "policies" / "workspace.yaml"
    group, named = "operators: {slack_usergroup: S0OPS0001}", "operators: {users: [Sam@Example.com]}"
    file.write_text(file.read_text().replace(group, named))
    await desk.bot.reloads.reload(asked=True)
    await desk.sandbox.people.command(SAM, "C0APPROVE", "/rollback", "req_x please")
    await desk.private(SAM, "There is no request")


async def test_a_session_that_somebody_else_started_is_confirmed_by_command(desk: Desk, place: Path) -> None:
    file = place / "settings"
    file.write_bytes(b"old\n")
    async with agent_at(desk, place) as client:
        session = (await client.start_session("evening")).id
        request = await change(desk, client, file, "new\n", session_id=session)
        asked = Asked("It broke", Actor.system("tests"), Via.CLI)
        begun = await desk.bot.rollbacks.start_session(session, asked)
        await desk.sandbox.people.command(SAM, "C0APPROVE", "/rollback", "session evening")
        modal = await form_of(desk, SAM)
        assert begun.id in modal.view["private_metadata"]
        await submit(desk, SAM, modal, reason="All of it.")
        await desk.painted(request, "Rolled back")
    assert file.read_bytes() == b"old\n"


@pytest.mark.parametrize("whose", [0, 1])
async def test_a_session_is_not_confirmed_by_the_person_whom_one_of_its_actions_serves(
    desk: Desk, place: Path, whose: int
) -> None:
    file = place / "settings"
    file.write_bytes(b"one\n")
    async with agent_at(desk, place) as client:
        session = (await client.start_session("evening")).id
        for at, content in enumerate(("two\n", "three\n")):
            human = {"on_behalf_of": SAM} if at == whose else {}
            request = await change(desk, client, file, content, session_id=session, **human)
        await desk.sandbox.people.command(SAM, "C0APPROVE", "/rollback", "session evening It went wrong")
        await _said(desk, SAM, "somebody who may confirm it must go on")
    asked = await desk.audited(request, "rollback_requested")
    assert len(asked) == 1
    assert await desk.audited(request, "rollback_confirmed") == []
    assert file.read_bytes() == b"three\n"


async def test_a_button_for_an_undo_other_than_the_one_on_record_starts_nothing(
    desk: Desk, place: Path
) -> None:
    file = place / "settings"
    file.write_bytes(b"old\n")
    async with agent_at(desk, place) as client:
        request = await change(desk, client, file, "new\n")
        hand = Hand(SlackId(RAFAEL), "T0KEYTURN")
        with pytest.raises(StaleReview):
            await desk.bot.rollbacks.start_by_hand(hand, request.id, digest="0" * 64, reason="Undo it.")
    assert await desk.audited(request, "rollback_requested") == []
    assert [body["code"] for body in await desk.audited(request, "review_refused")] == ["stale"]


async def test_a_pause_of_everything_does_not_stop_people_from_undoing_what_was_done(
    desk: Desk, place: Path
) -> None:
    file = place / "settings"
    file.write_bytes(b"old\n")
    async with agent_at(desk, place) as client:
        request = await change(desk, client, file, "new\n")
        await desk.painted(request, "Done")
        await desk.bot.commands["pause"]({"what": "all", "reason": "It went wrong.", "cancel": True})
        await desk.click(RAFAEL, request, "rollback.start")
        await submit(desk, RAFAEL, await form_of(desk, RAFAEL), reason="Repair it.")
        await desk.painted(request, "Rolled back")
    assert file.read_bytes() == b"old\n"


async def test_after_a_failure_the_button_tries_again_without_force(desk: Desk, place: Path) -> None:
    file = place / "settings"
    file.write_bytes(b"old\n")
    async with agent_at(desk, place) as client:
        request = await change(desk, client, file, "new\n")
        await desk.painted(request, "Done")
        aside = file.rename(place / "aside")
        file.mkdir()
        await desk.click(RAFAEL, request, "rollback.start")
        await desk.until_audited(request, "rollback_failed")
        file.rmdir()
        aside.rename(file)
        await desk.click(RAFAEL, await desk.now(request), "rollback.start")
        await form_of(desk, RAFAEL)
    asked = await desk.audited(request, "rollback_requested")
    assert [entry["force"] for entry in asked] == [False, False]
