"""What operators' commands do in the running server, or on the store when none runs."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from bot.core import redaction
from bot.core.clock import Clock
from bot.core.errors import NotFound
from bot.core.models import Actor, Via
from bot.core.rollback import Asked, Rollback, described
from bot.core.times import read_rfc3339
from bot.core.visible import visible
from bot.http.admin import Command
from bot.services.audit import Audit, filter_of
from bot.services.exports import Format
from bot.services.pauses import Pauses
from bot.services.rollbacks import Rollbacks
from bot.store import Store
from bot.store.checkpoints import PruneAudit

_OPERATOR = Actor.system("cli")


def commands(store: Store, audit: Audit, pauses: Pauses, clock: Clock) -> Mapping[str, Command]:
    """Every command by its path. Each takes and answers a JSON object."""

    async def pause(body: dict[str, Any]) -> Any:
        done = await pauses.pause(body["what"], reason=body["reason"], cancel=body["cancel"])
        return {"what": done.pause.what, "sentence": done.pause.sentence, "cancelled": done.cancelled}

    async def resume(body: dict[str, Any]) -> Any:
        return {"what": (await pauses.resume(body["what"])).what}

    async def exported(body: dict[str, Any]) -> Any:
        await audit.record_export(
            filter_of(body["filters"]),
            Format(body["format"]),
            after=body["after"],
            through=body["through"],
            actor=_OPERATOR,
            via=Via.CLI,
        )
        return {}

    async def prune(body: dict[str, Any]) -> Any:
        before: datetime = read_rfc3339(body["before"])
        place = await store.write(PruneAudit(before, _OPERATOR, Via.CLI, clock.now()))
        return {"through": None if place is None else place.seq}

    async def standing(body: dict[str, Any]) -> Any:
        found = await store.reads.rollback(body["id"])
        if found is None:
            raise NotFound(f"There is no rollback {body['id']}.")
        return _standing(found)

    return {
        "pause": pause,
        "resume": resume,
        "audit/exported": exported,
        "audit/prune": prune,
        "rollback/standing": standing,
    }


def _standing(found: Rollback) -> dict[str, Any]:
    """How a rollback stands, for a terminal."""
    return {
        "id": found.id,
        "state": described(found),
        "message": _shown(found.message),
        "items": [
            {
                "request": item.request_id,
                "state": item.state.value,
                "said": None if item.result is None else _shown(item.result.said),
            }
            for item in found.items
        ],
        "left_out": {left.request_id: _shown(left.why) for left in found.left_out},
    }


def _shown(said: str | None) -> str | None:
    """An agent's words, as a terminal may show them: without secrets and control characters."""
    return None if said is None else visible(redaction.own().text(said))


def rollback_commands(rollbacks: Rollbacks) -> Mapping[str, Command]:
    """The commands that only a running server can do: an undo needs an agent that asks for its work."""

    async def start(body: dict[str, Any]) -> Any:
        asked = Asked(body["reason"], _OPERATOR, Via.CLI, bool(body.get("force")))
        if "request" in body:
            begun = await rollbacks.start(body["request"], asked)
        else:
            begun = await rollbacks.start_session(body["session"], asked, agent=body.get("agent"))
        return {
            "id": begun.id,
            "requests": [item.request_id for item in begun.items],
            "left_out": {left.request_id: _shown(left.why) for left in begun.left_out},
        }

    return {"rollback": start}
