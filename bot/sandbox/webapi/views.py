"""views.*: modals and the App Home."""

import json
from typing import Any

from bot.sandbox import limits
from bot.sandbox.errors import SlackError
from bot.sandbox.model import Json, Modal
from bot.sandbox.payloads import view_payload
from bot.sandbox.tickets import Trigger
from bot.sandbox.webapi.calls import Call, method


@method("views.open")
def open_view(call: Call) -> Json:
    """Open a modal for whoever the trigger id belongs to."""
    view = _view(call, limits.MODAL)
    return _answer(call, call.workspace.views.open(_trigger(call).user, view))


@method("views.push")
def push_view(call: Call) -> Json:
    """Open a modal above the one the person acted in."""
    view = _view(call, limits.MODAL)
    return _answer(call, call.workspace.views.push(_trigger(call).user, view))


@method("views.update")
def update_view(call: Call) -> Json:
    """Change an open view; with `hash`, only if nobody else did."""
    modal = call.workspace.views.find(call.text("view_id"), call.text("external_id"))
    view = _view(call, modal.view["type"])
    return _answer(call, call.workspace.views.update(modal, view, call.text("hash")))


@method("views.publish")
def publish_view(call: Call) -> Json:
    """Show a person's App Home."""
    view = _view(call, limits.HOME)
    user = call.workspace.user(call.required("user_id"))
    return _answer(call, call.workspace.views.publish(user.id, view, call.text("hash")))


def _trigger(call: Call) -> Trigger:
    trigger_id = call.text("trigger_id") or call.required("interactivity_pointer")
    return call.workspace.triggers.exchange(trigger_id)


def _view(call: Call, kind: str) -> Json:
    view: Any = call.structure("view")
    if not view:
        raise SlackError("invalid_arguments", ["missing required field: view"])
    if reasons := limits.view_problems(view, kind):
        raise SlackError("invalid_arguments", reasons)
    if len(json.dumps(view).encode()) > limits.MAX_VIEW_BYTES:
        raise SlackError("view_too_large")
    return dict(view)


def _answer(call: Call, modal: Modal) -> Json:
    return {"view": view_payload(call.workspace, modal)}
