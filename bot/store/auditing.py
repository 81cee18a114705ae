"""The audit as rows: which filters there are, and the raw links that verification and export read."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from bot.store.codec import micros


@dataclass(frozen=True, slots=True)
class AuditFilter:
    """Which events are meant; None leaves a filter out.

    Args:
        actor: The actor's id.
        reversible: Executions that reported what undoes them (True), or nothing (False).
        since, until: From the first, to before the second.
    """

    event: str | None = None
    actor: str | None = None
    agent: str | None = None
    action_type: str | None = None
    session_id: str | None = None
    request_id: str | None = None
    risk: str | None = None
    reversible: bool | None = None
    since: datetime | None = None
    until: datetime | None = None

    def where(self) -> tuple[list[str], dict[str, Any]]:
        """The conditions as SQL, and their parameters."""
        wanted = {
            "event": self.event,
            "actor_id": self.actor,
            "agent": self.agent,
            "action_type": self.action_type,
            "session_id": self.session_id,
            "request_id": self.request_id,
            "risk_level": self.risk,
            "reversible": None if self.reversible is None else int(self.reversible),
        }
        params: dict[str, Any] = {name: value for name, value in wanted.items() if value is not None}
        terms = [f"{name} = :{name}" for name in params]
        # Times never fall along the chain, so a window of time is a range of seq: two look-ups.
        if self.since is not None:
            terms.append(f"seq >= {_FIRST_SEQ.format('since')}")
            params["since"] = micros(self.since)
        if self.until is not None:
            terms.append(f"seq < {_FIRST_SEQ.format('until')}")
            params["until"] = micros(self.until)
        return terms, params


EVERYTHING = AuditFilter()


def select(columns: str, terms: list[str], order: str) -> str:
    """A statement over the audit, `:limit` rows."""
    where = f" WHERE {' AND '.join(terms)}" if terms else ""
    return f"SELECT {columns} FROM audit{where} ORDER BY seq {order} LIMIT :limit"


# 2^62: above every seq, so a window that begins after the last row is empty.
_FIRST_SEQ = "COALESCE((SELECT seq FROM audit WHERE at >= :{} ORDER BY at, seq LIMIT 1), 4611686018427387904)"
