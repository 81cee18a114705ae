"""What a signed interaction says: who acted, on what, where. Nothing in it is authority but the ids."""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from bot.core.models import SlackId
from bot.slack.ids import Reference, RollbackReference, parse_reference, parse_rollback

Body = Mapping[str, Any]
"""A `block_actions` or `view_submission` payload."""


class Surface(Enum):
    """A place in Slack that can be clicked at."""

    MESSAGE = "message"
    PRIVATE = "private"
    """A message that one person alone sees."""
    HOME = "home"
    MODAL = "modal"


@dataclass(frozen=True, slots=True)
class Interaction:
    """One click or one submitted form."""

    user_id: SlackId
    team_id: str
    """The person's own team: in a shared channel not the bot's."""
    channel: str | None
    """Where the clicked message stands; None in a modal and in App Home."""
    control: str
    """The id of the clicked button or of the submitted form."""
    trigger_id: str
    """Allows one view to be opened within 3 s."""
    delivery: str
    """The same for every delivery of one interaction, different for every interaction."""
    reference: Reference | None
    """What the button or the view points at."""
    rollback: RollbackReference | None
    """The same for the form of a rollback."""
    value: str
    """What the clicked button carries."""
    block_id: str
    view_id: str | None
    view_hash: str | None
    values: Mapping[str, Mapping[str, Mapping[str, Any]]]
    view_blocks: tuple[str, ...]
    """Block ids of the view's inputs in order, which are the places that a fault can be shown at."""
    view_marks: tuple[str, ...]
    """Block ids of the view's other blocks."""
    surface: Surface
    """Where the click happened; it decides where the answer can go."""


def parse(body: Body) -> Interaction:
    """The parts of an interaction that Keyturn uses."""
    user = _object(body.get("user"))
    view = _object(body.get("view"))
    action = _first(body.get("actions"))
    container = _object(body.get("container"))
    pointing = action.get("value") if action else view.get("private_metadata")
    values = _values(_object(view.get("state")).get("values"))
    return Interaction(
        user_id=SlackId(str(user.get("id", ""))),
        team_id=str(user.get("team_id") or _object(body.get("team")).get("id") or ""),
        channel=_string(container.get("channel_id")) or _string(_object(body.get("channel")).get("id")),
        control=str((action.get("action_id") if action else view.get("callback_id")) or ""),
        trigger_id=str(body.get("trigger_id", "")),
        delivery=hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest(),
        reference=parse_reference(pointing),
        rollback=parse_rollback(pointing),
        value=str(action.get("value", "")),
        block_id=str(action.get("block_id", "")),
        view_id=_string(view.get("id")),
        view_hash=_string(view.get("hash")),
        values=values,
        view_blocks=_inputs(view.get("blocks")) or tuple(values),
        view_marks=_block_ids(view.get("blocks")),
        surface=_surface(view, container),
    )


def _surface(view: Mapping[str, Any], container: Mapping[str, Any]) -> Surface:
    if view:
        return Surface.HOME if view.get("type") == "home" else Surface.MODAL
    return Surface.PRIVATE if container.get("is_ephemeral") is True else Surface.MESSAGE


def _object(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _string(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


def _values(blocks: Any) -> Mapping[str, Mapping[str, Mapping[str, Any]]]:
    return {
        block_id: {action_id: _object(state) for action_id, state in _object(states).items()}
        for block_id, states in _object(blocks).items()
    }


def _inputs(blocks: Any) -> tuple[str, ...]:
    return _block_ids(blocks, lambda kind: kind == "input")


def _block_ids(
    blocks: Any, wanted: Callable[[object], bool] = lambda kind: kind != "input"
) -> tuple[str, ...]:
    given = [_object(block) for block in blocks] if isinstance(blocks, list) else []
    return tuple(str(block.get("block_id")) for block in given if wanted(block.get("type")))


def _first(actions: Any) -> Mapping[str, Any]:
    return _object(actions[0]) if isinstance(actions, list) and actions else {}
