"""A request's audited state, rebuilt from its audit events alone, and where the request differs from it.

Each event that changed a request carries `after`, the audited fields it changed; laid over each
other in order they give what `audited.audited_state` says of the request itself. So the log
proves the table: where the two differ, one of them was tampered with.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from bot.core import redaction


@dataclass(slots=True)
class Story:
    """What events say of one thing, laid over each other, and the place of the event that said each field."""

    state: dict[str, Any] = field(default_factory=dict)
    places: dict[str, int] = field(default_factory=dict)
    last: int = 0
    gone: bool = False

    def tell(self, seq: int, fields: Mapping[str, Any] | None) -> None:
        """Go on with an event: the fields that it sets; None when it ends the thing."""
        self.last, self.gone = seq, fields is None
        if fields is None:
            self.state, self.places = {}, {}
        else:
            self.state.update(fields)
            self.places.update(dict.fromkeys(fields, seq))


def replay(bodies: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """The audited state after events with these bodies, oldest first; empty when none changed it."""
    state: dict[str, Any] = {}
    for body in bodies:
        state.update(body.get("after") or {})
    return state


def contradicted(said: Mapping[str, Any], found: Mapping[str, Any]) -> str | None:
    """The first field that is not as the events say; None when all they say is so.

    Args:
        said: By `replay`. What it lacks was removed by retention, or is younger than the events.
        found: The audited state of the request as it is stored.
    """
    return next((name for name, value in said.items() if not _agree(value, found.get(name))), None)


def _agree(said: Any, found: Any) -> bool:
    """Whether a value may be what was said: a log holds masks where the table holds the secrets."""
    if said == found:
        return True
    if isinstance(said, dict) and isinstance(found, dict):
        return contradicted(said, found) is None
    if isinstance(said, list) and isinstance(found, list):
        return len(said) == len(found) and all(map(_agree, said, found))
    return isinstance(said, str) and isinstance(found, str) and redaction.may_be(said, found)
