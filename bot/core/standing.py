"""What gives authority beside requests, as the log tells of it: grants, credentials, pauses and so on.

Each thing is told of by a few events. Laid over each other in their order they say how it must be by
now; where it is otherwise, somebody changed it behind the log's back. Pure.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import orjson

from bot.core.chain import Problem
from bot.core.replay import Story, contradicted

_Said = Mapping[str, Any]


class Thing(NamedTuple):
    """What a table holds of a thing."""

    id: str
    fields: dict[str, Any]
    """Those that events tell of, as they tell of them; empty when the row cannot be read."""
    since: int | None
    """The time that it was made, in microseconds since 1970; None when that is nothing to tell of."""
    odd: str | None = None
    """The first part of it that does not fit the rest."""


@dataclass(frozen=True, slots=True)
class Kind:
    """One sort of thing.

    Args:
        name: As a sentence has it: `the grant`.
        events: Those that tell of it.
        tell: Which thing an event, in JSON, is about, and its fields from then on; None when it is gone.
    """

    name: str
    events: tuple[str, ...]
    tell: Callable[[_Said, _Said], tuple[Any, dict[str, Any] | None]]


def told(kind: Kind, canonical: bytes) -> tuple[str, dict[str, Any] | None] | None:
    """What an event of a kind says, by its bytes; None when it cannot be read, and so says nothing."""
    try:
        event = orjson.loads(canonical)
        id, fields = kind.tell(event, event["body"])
    except (KeyError, TypeError, ValueError, AttributeError):
        return None
    return (id, fields) if isinstance(id, str) and isinstance(fields, dict | None) else None


def unlike(kind: Kind, thing: Thing, story: Story | None, *, kept_since: int, end: int) -> Problem | None:
    """How a thing differs from what the log says of it; None when it does not.

    Args:
        kept_since: The time of the first event that is kept; what was made later must be told of.
        end: The place of the last event.
    """
    if story is None:
        if thing.since is None or thing.since <= kept_since:
            return None
        return _problem(end + 1, f"no row tells of {kind.name} {thing.id}, and it is stored")
    if story.gone:
        return _problem(story.last, f"it ends {kind.name} {thing.id}, which stands")
    if not thing.fields:
        return _problem(story.last, f"{kind.name} {thing.id} cannot be read")
    name = contradicted(story.state, thing.fields)
    if name is not None:
        return _problem(story.places[name], f"{kind.name} {thing.id} has another {name} than it says")
    if thing.odd is not None:
        return _problem(story.last, f"the {thing.odd} of {kind.name} {thing.id} does not fit the rest of it")
    return None


def lost(kind: Kind, id: str, story: Story) -> Problem | None:
    """The problem of a thing that no table holds."""
    return None if story.gone else _problem(story.last, f"it tells of {kind.name} {id}, which is not stored")


def _problem(seq: int, detail: str) -> Problem:
    return Problem(seq, "contradicted", detail)


def _grant(event: _Said, body: _Said) -> tuple[Any, dict[str, Any] | None]:
    if event["event"] == "grant_used":
        return body.get("grant"), {"used": body.get("used")}
    if event["event"] == "grant_revoked":
        return body.get("grant"), {"revoked": True}
    about = {"agent": event["agent"], "request_id": event["request_id"], "giver": event["actor"]["id"]}
    said = {name: value for name, value in body.items() if name != "grant"}
    return body.get("grant"), {**about, **said, "used": 0, "revoked": False}


def _pause(_event: _Said, body: _Said) -> tuple[Any, dict[str, Any] | None]:
    return body.get("what"), body.get("after")


def _credential(event: _Said, body: _Said) -> tuple[Any, dict[str, Any] | None]:
    revoked = {"agent_added": {"revoked": False}, "agent_revoked": {"revoked": True}}
    return event["agent"], {**body, **revoked.get(event["event"], {})}


def _cover(_event: _Said, body: _Said) -> tuple[Any, dict[str, Any] | None]:
    said = {name: value for name, value in body.items() if name not in ("cover", "change")}
    return body.get("cover"), {**said, "state": body.get("change")}


def _rollback(event: _Said, body: _Said) -> tuple[Any, dict[str, Any] | None]:
    if event["event"] == "rollback_confirmed":
        return body.get("whole"), {"confirmed": body.get("missing") == 0}
    said = {name: body.get(name) for name in ("reason", "force", "digest", "risk", "policy", "rule")}
    return body.get("whole"), {**said, "confirmed": False}


def _confirmation(event: _Said, body: _Said) -> tuple[Any, dict[str, Any] | None]:
    said = {name: body.get(name) for name in ("digest", "reason", "force_reason")}
    return f"{body.get('whole')} {event['actor']['id']}", said


def _step(event: _Said, body: _Said) -> tuple[Any, dict[str, Any] | None]:
    execution = (body.get("after") or {}).get("execution")
    moved = {} if execution is None else {"state": execution["rollback"]}
    return body.get("rollback_id"), {"request_id": event["request_id"], **moved}


GRANTS = Kind("the grant", ("grant_created", "grant_used", "grant_revoked"), _grant)
PAUSES = Kind("the pause of", ("agent_paused", "agent_resumed"), _pause)
CREDENTIALS = Kind("the credential of", ("agent_added", "agent_rotated", "agent_revoked"), _credential)
COVERS = Kind("the cover", ("oncall_overridden",), _cover)
ROLLBACKS = Kind("the rollback", ("rollback_requested", "rollback_confirmed"), _rollback)
CONFIRMATIONS = Kind("the confirmation", ("rollback_confirmed",), _confirmation)
STEPS = Kind(
    "the rollback",
    (
        "rollback_requested",
        "rollback_previewed",
        "rollback_confirmed",
        "rollback_claimed",
        "rollback_expired",
        "action_rolled_back",
        "rollback_failed",
    ),
    _step,
)
