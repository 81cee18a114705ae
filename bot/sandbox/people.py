"""What a person can do in the workspace: click, fill in, type a command, write, open the App Home.

Every action builds the payload Slack would send, waits for the bot's acknowledgement and applies it. The
answer is `{"ok": True, ...}` or `{"ok": False, "error", "message"}`, the same in process and over HTTP; a
person can only click what they can see.
"""

import functools
import secrets
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from typing import Any, ParamSpec

from bot.sandbox import payloads
from bot.sandbox.content import content_from
from bot.sandbox.delivery import Answer, Delivery
from bot.sandbox.errors import PersonError, SlackError
from bot.sandbox.forms import STATEFUL, Control, controls, missing_inputs, own_option, state_values
from bot.sandbox.limits import MODAL, view_problems
from bot.sandbox.model import Channel, Json, Message, Modal, User
from bot.sandbox.workspace import Workspace

Arguments = ParamSpec("Arguments")
PICKED = tuple({keys.value for keys in STATEFUL.values()})


def answered(action: Callable[Arguments, Awaitable[Json]]) -> Callable[Arguments, Coroutine[Any, Any, Json]]:
    """Turn refusals into the answer a person gets."""

    @functools.wraps(action)
    async def wrapper(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Json:
        try:
            return {"ok": True, **await action(*args, **kwargs)}
        except PersonError as refusal:
            errors = {"errors": refusal.errors} if refusal.errors else {}
            return {"ok": False, "error": refusal.code, "message": refusal.message, **errors}
        except SlackError as refusal:
            sentence = refusal.code.replace("_", " ").capitalize() + "."
            return {"ok": False, "error": refusal.code, "message": sentence}

    return wrapper


class People:
    """The hands of everyone in the workspace."""

    def __init__(self, workspace: Workspace, delivery: Delivery, url: str) -> None:
        self._workspace = workspace
        self._delivery = delivery
        self._url = url

    @answered
    async def click(
        self,
        user: str,
        channel: str,
        message_ts: str,
        action_id: str,
        block_id: str | None = None,
        value: Any = None,
        **picked: Any,
    ) -> Json:
        """Use a control of a message.

        A control that an edit took away can still be used, as by a client that has not redrawn yet; name its
        `value` when several revisions differ.

        Args:
            value: The button's value to look for, or what was typed.
            picked: `selected_option`, `selected_options`, `selected_user`, ... of a select.
        """
        person, place = self._person(user), self._channel_seen_by(user, channel)
        message = self._message_seen_by(user, place, message_ts)
        control = _find_in_revisions(message, block_id, action_id, value)
        action = self._action(control, value, picked)
        url = self._response_url(user, place, message.ts)
        trigger_id = self._workspace.triggers.issue(user)
        body = payloads.message_click(
            self._workspace, person, place, message, action, response_url=url, trigger_id=trigger_id
        )
        self._check(await self._delivery.interaction(body))
        return {}

    @answered
    async def click_in_view(
        self,
        user: str,
        view_id: str,
        action_id: str,
        block_id: str | None = None,
        value: Any = None,
        values: Mapping[str, Any] | None = None,
        **picked: Any,
    ) -> Json:
        """Use a control of the App Home or of the modal on top; `values` is what is filled in so far."""
        person, modal = self._person(user), self._view_seen_by(user, view_id)
        control = _find(modal.view["blocks"], block_id, action_id, None)
        if control is None:
            raise PersonError("action_not_found", f"The view shows no control {action_id}.")
        action = self._action(control, value, picked)
        trigger_id = self._workspace.triggers.issue(user)
        body = payloads.view_click(
            self._workspace, person, modal, action, values=values, trigger_id=trigger_id
        )
        self._check(await self._delivery.interaction(body))
        return {}

    @answered
    async def submit(self, user: str, view_id: str, values: Mapping[str, Any] | None = None) -> Json:
        """Submit the modal on top.

        Returns:
            With `response_action` (`close` when the bot named none) and, for `errors`, those by block id.
        """
        person, modal = self._person(user), self._view_seen_by(user, view_id)
        if modal.view["type"] != MODAL:
            raise PersonError("not_a_modal", "Only a modal can be submitted.")
        filled_in = state_values(modal.view["blocks"], values)
        if problems := missing_inputs(modal.view["blocks"], filled_in):
            self._workspace.views.refuse(modal, problems)
            raise PersonError("invalid_input", "Please correct the marked fields.", problems)
        trigger_id = self._workspace.triggers.issue(user)
        body = payloads.view_submission(self._workspace, person, modal, filled_in, trigger_id)
        answer = await self._delivery.interaction(body)
        self._check(answer)
        return self._apply_submission(modal, answer.body)

    @answered
    async def close(self, user: str, view_id: str, clear: bool = False) -> Json:
        """Close the modal on top by its close button, or the whole stack by the x (`clear`)."""
        person, modal = self._person(user), self._view_seen_by(user, view_id)
        everything = clear or bool(modal.view.get("clear_on_close"))
        views = self._workspace.views
        if everything:
            closed = views.clear(user)
        else:
            views.close(modal)
            closed = [modal]
        for gone in closed:
            if gone.view.get("notify_on_close"):
                body = payloads.view_closed(self._workspace, person, gone, is_cleared=everything)
                # Slack shows nobody an error for a lost view_closed.
                await self._delivery.interaction(body)
        return {}

    @answered
    async def command(self, user: str, channel: str, command: str, text: str = "") -> Json:
        """Type a slash command; what the bot acknowledges with is shown in the channel."""
        person, place = self._person(user), self._channel_seen_by(user, channel)
        known = self._workspace.commands.get(command)
        if known is None:
            raise PersonError("unknown_command", f"{command} is not a valid command.")
        if known.should_escape:
            text = self._workspace.escaped(text)
        if place.is_archived:
            raise PersonError("is_archived", "This channel is archived: nobody can write in it.")
        url = self._response_url(user, place, None)
        trigger_id = self._workspace.triggers.issue(user)
        fields = payloads.slash_command(
            self._workspace, person, place, command, text, response_url=url, trigger_id=trigger_id
        )
        answer = await self._delivery.command(fields)
        self._check(answer)
        self._show_command_answer(user, place, answer.body)
        return {}

    @answered
    async def write(self, user: str, channel: str, text: str, thread_ts: str | None = None) -> Json:
        """Write a message; in a DM the bot gets a `message.im` event. Returns its `ts`."""
        person, place = self._person(user), self._channel_seen_by(user, channel)
        if place.is_archived:
            raise PersonError("is_archived", "This channel is archived: nobody can write in it.")
        if thread_ts:
            self._message_seen_by(user, place, thread_ts)
        message = self._workspace.post(place, user, text=text, thread_ts=thread_ts or None)
        if place.kind == "dm":
            event = payloads.message_event(self._workspace, place, message)
            await self._deliver_event(person, event)
        return {"ts": message.ts}

    @answered
    async def open_home(self, user: str) -> Json:
        """Open the App Home: the bot gets `app_home_opened`."""
        person = self._person(user)
        channel = self._workspace.open_dm(user)
        await self._deliver_event(person, payloads.app_home_opened(self._workspace, person, channel))
        return {}

    @answered
    async def dismiss(self, user: str, channel: str, message_ts: str) -> Json:
        """Hide a message only this person sees."""
        message = self._message_seen_by(user, self._channel_seen_by(user, channel), message_ts)
        if message.ephemeral_to != user:
            raise PersonError("not_ephemeral", "Only a message for you alone can be dismissed.")
        self._workspace.delete(message)
        return {}

    async def _deliver_event(self, person: User, event: Json) -> None:
        # Slack would say nothing about an event that is late and retry it in silence; here the person is
        # usually the one who wants to know that no bot is connected.
        event_id = "Ev" + secrets.token_hex(5).upper()
        body = payloads.event_callback(self._workspace, person, event, event_id)
        self._check(await self._delivery.event(body))

    def _person(self, user_id: str) -> User:
        # Deactivated people are let through: a click can be on its way while the account is closed, and the
        # bot has to judge that itself.
        user = self._workspace.user(user_id)
        if user.is_bot:
            raise PersonError("is_bot", "A bot cannot act as a person.")
        return user

    def _channel_seen_by(self, user_id: str, channel_id: str) -> Channel:
        channel = self._workspace.channel(channel_id)
        if user_id not in channel.members and channel.user != user_id:
            raise PersonError("channel_not_found", "This person is not in that channel.")
        return channel

    def _message_seen_by(self, user_id: str, channel: Channel, ts: str) -> Message:
        message = self._workspace.message(channel.id, ts)
        if message.ephemeral_to not in (None, user_id):
            raise SlackError("message_not_found")
        return message

    def _view_seen_by(self, user_id: str, view_id: str) -> Modal:
        modal = self._workspace.views.get(view_id)
        stack = self._workspace.views.stacks.get(user_id, [])
        home = self._workspace.views.homes.get(user_id)
        if modal is None or (modal is not home and (not stack or stack[-1] is not modal)):
            raise PersonError("view_not_found", "This view is not open, or not the one on top.")
        return modal

    def _response_url(self, user: str, channel: Channel, message_ts: str | None) -> str:
        return f"{self._url}/response/{self._workspace.response_urls.issue(user, channel.id, message_ts)}"

    def _action(self, control: Control, value: Any, picked: Mapping[str, Any]) -> Json:
        block, element = control
        shown = ("type", "action_id", "text", "value", "style", "url")
        action: Json = {name: element[name] for name in shown if name in element}
        action["block_id"] = block["block_id"]
        if isinstance(picked.get("selected_option"), dict | str):
            action["selected_option"] = own_option(element, picked["selected_option"])
        elif picked.get("selected_options") is not None:
            chosen = picked["selected_options"]
            action["selected_options"] = [own_option(element, option) for option in chosen]
        elif picked:
            action |= picked
        if element["type"] in STATEFUL and STATEFUL[element["type"]].value == "value":
            action["value"] = value
        return action | {"action_ts": self._workspace.new_ts()}

    def _check(self, answer: Answer) -> None:
        if answer.problem == "http_timeout":
            raise PersonError("operation_timeout", "Keyturn did not answer in time. Please try again.")
        if answer.problem:
            raise PersonError("dispatch_failed", "Keyturn could not be reached or answered with an error.")

    def _apply_submission(self, modal: Modal, body: Any) -> Json:
        response_action = body.get("response_action") if isinstance(body, dict) else None
        views = self._workspace.views
        if response_action is None:
            views.close(modal)
        elif response_action == "clear":
            views.clear(modal.user)
        elif response_action == "errors":
            return {"response_action": "errors", "errors": self._refuse(modal, body)}
        elif response_action in ("update", "push"):
            self._replace_or_push(modal, response_action, body.get("view"))
        else:
            raise _unusable(f"response_action {response_action!r}")
        return {"response_action": response_action or "close"}

    def _refuse(self, modal: Modal, body: Json) -> dict[str, str]:
        inputs = {block["block_id"] for block in modal.view["blocks"] if block["type"] == "input"}
        errors = body.get("errors")
        if not isinstance(errors, dict) or not errors or set(errors) - inputs:
            raise _unusable("errors for blocks that are not inputs of the view")
        self._workspace.views.refuse(modal, errors)
        return errors

    def _replace_or_push(self, modal: Modal, response_action: str, view: Any) -> None:
        if problems := view_problems(view, MODAL):
            raise _unusable(f"a view Slack refuses: {problems[0]}")
        if response_action == "update":
            self._workspace.views.update(modal, view)
        else:
            self._workspace.views.push(modal.user, view)

    def _show_command_answer(self, user: str, channel: Channel, body: Any) -> None:
        if not body:
            return
        given = {"text": body} if isinstance(body, str) else body
        everyone = given.get("response_type") == "in_channel"
        self._workspace.post(
            channel,
            self._workspace.bot["user_id"],
            ephemeral_to=None if everyone else user,
            **content_from(given),
        )


def _unusable(what: str) -> PersonError:
    return PersonError("invalid_response", f"Keyturn answered with {what}.")


def _find(blocks: list[Json], block_id: str | None, action_id: str, value: Any) -> Control | None:
    for control in controls(blocks):
        block, element = control
        if element["action_id"] != action_id or block_id not in (None, block["block_id"]):
            continue
        if value is None or element["type"] != "button" or element.get("value") == value:
            return control
    return None


def _find_in_revisions(message: Message, block_id: str | None, action_id: str, value: Any) -> Control:
    attached = [block for attachment in message.attachments for block in attachment.get("blocks", [])]
    for blocks in ([*message.blocks, *attached], *reversed(message.revisions)):
        if control := _find(blocks, block_id, action_id, value):
            return control
    raise PersonError("action_not_found", f"The message shows no control {action_id}.")
