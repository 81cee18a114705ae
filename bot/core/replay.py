"""A request's audited state, rebuilt from its events alone.

The log proves the table: folding what each event says it changed gives what
`audited.audited_state` says of the stored row.
"""

from collections.abc import Iterable, Mapping
from typing import Any


def replay(bodies: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Fold the `after` maps of a request's event bodies, oldest first."""
    state: dict[str, Any] = {}
    for body in bodies:
        state.update(body.get("after") or {})
    return state
