"""A request's audited state, rebuilt from its audit events alone.

Each event that changed a request carries `after`, the audited fields it changed; laid over each
other in order they give what `audited.audited_state` says of the request itself. So the log
proves the table: where the two differ, one of them was tampered with.
"""

from collections.abc import Iterable, Mapping
from typing import Any


def replay(bodies: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """The audited state after events with these bodies, oldest first; empty when none changed it."""
    state: dict[str, Any] = {}
    for body in bodies:
        state.update(body.get("after") or {})
    return state
