"""Agents and their sessions: who may ask, and the runs in which they do."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from bot.core.errors import InvalidRequest, NotFound, SessionEnded
from bot.core.models import Actor, Agent, Event, Session, Via
from bot.store import rows
from bot.store.codec import micros
from bot.store.standing import fingerprint
from bot.store.transaction import Tx


@dataclass(frozen=True, slots=True)
class StartSession:
    """A session by its agent and id. False when there is one already, which stays as it is.

    Raises:
        SessionEnded: there was one and it has ended.
    """

    session: Session
    via: Via

    def apply(self, tx: Tx) -> bool:
        if tx.execute(_START_SESSION, rows.session_columns(self.session)) == 1:
            event = session_started(self.session.agent, self.session.id, self.session.name, self.via)
            tx.emit(event, self.session.started_at)
            return True
        refuse_ended(tx, self.session.agent, self.session.id)
        return False


@dataclass(frozen=True, slots=True)
class EndSession:
    """End a session. False when it has ended before; it stays as it is.

    Raises:
        NotFound: the agent has no such session.
    """

    agent: str
    id: str
    summary: str | None
    via: Via
    now: datetime

    def apply(self, tx: Tx) -> bool:
        key = {"agent": self.agent, "id": self.id}
        if tx.execute(_END_SESSION, key | {"now": micros(self.now), "summary": self.summary}) == 0:
            if tx.fetch_one(_SESSION, key) is None:
                raise NotFound(f"There is no session {self.id}, or it is not yours.")
            return False
        body = {"summary": self.summary}
        tx.emit(_session_event("session_ended", self.agent, self.id, self.via, body), self.now)
        return True


@dataclass(frozen=True, slots=True)
class AddAgent:
    """A credential for a new agent.

    Raises:
        InvalidRequest: an agent of this name exists, revoked or not.
    """

    agent: Agent
    token_hash: str
    via: Via
    now: datetime

    def apply(self, tx: Tx) -> None:
        if tx.execute(_ADD_AGENT, rows.agent_columns(self.agent, self.token_hash)) == 0:
            raise InvalidRequest(errors=[("name", f"{self.agent.name} exists; choose another name")])
        body = {
            "owner": self.agent.owner,
            "scopes": sorted(self.agent.scopes),
            "rate": self.agent.rate,
            "callback_hosts": list(self.agent.callback_hosts),
            "fingerprint": fingerprint(self.token_hash),
        }
        tx.emit(_agent_event("agent_added", self.agent.name, self.via, body), self.now)


@dataclass(frozen=True, slots=True)
class RotateAgent:
    """Give an agent another token; the old one is worth nothing from this moment.

    Raises:
        NotFound: there is no such agent, or it is revoked.
    """

    name: str
    token_hash: str
    via: Via
    now: datetime

    def apply(self, tx: Tx) -> None:
        if tx.execute(_ROTATE_AGENT, {"name": self.name, "token_hash": self.token_hash}) == 0:
            raise NotFound(f"There is no agent {self.name}, or it is revoked.")
        body = {"fingerprint": fingerprint(self.token_hash)}
        tx.emit(_agent_event("agent_rotated", self.name, self.via, body), self.now)


@dataclass(frozen=True, slots=True)
class RevokeAgent:
    """End an agent's access for good.

    Raises:
        NotFound: there is no such agent, or it is revoked already.
    """

    name: str
    via: Via
    now: datetime

    def apply(self, tx: Tx) -> None:
        if tx.execute(_REVOKE_AGENT, {"name": self.name, "now": micros(self.now)}) == 0:
            raise NotFound(f"There is no agent {self.name}, or it is revoked already.")
        tx.emit(_agent_event("agent_revoked", self.name, self.via, {}), self.now)


def session_started(agent: str, session_id: str, name: str | None, via: Via) -> Event:
    """The event of a session's first moment, whether it was asked for or a request began it."""
    return _session_event("session_started", agent, session_id, via, {"name": name})


def refuse_ended(tx: Tx, agent: str, session_id: str) -> None:
    """Raise `SessionEnded` if the session has ended."""
    found = tx.fetch_one(_SESSION, {"agent": agent, "id": session_id})
    if found is not None and found["ended_at"] is not None:
        raise SessionEnded


def _session_event(name: str, agent: str, session_id: str, via: Via, body: Mapping[str, object]) -> Event:
    return Event(name, Actor.agent(agent), via, body, agent=agent, session_id=session_id)


def _agent_event(name: str, agent: str, via: Via, body: Mapping[str, object]) -> Event:
    return Event(name, Actor.system(via.value), via, body, agent=agent)


_START_SESSION = """
    INSERT INTO session (agent, id, name, metadata, started_at, ended_at, summary)
    VALUES (:agent, :id, :name, :metadata, :started_at, :ended_at, :summary)
    ON CONFLICT (agent, id) DO NOTHING
"""
_END_SESSION = """
    UPDATE session SET ended_at = :now, summary = :summary
    WHERE agent = :agent AND id = :id AND ended_at IS NULL
"""
_SESSION = "SELECT ended_at FROM session WHERE agent = :agent AND id = :id"
_ADD_AGENT = """
    INSERT INTO agent (name, token_hash, scopes, owner, rate, callback_hosts, created_at, revoked_at)
    VALUES (:name, :token_hash, :scopes, :owner, :rate, :callback_hosts, :created_at, :revoked_at)
    ON CONFLICT (name) DO NOTHING
"""
_ROTATE_AGENT = "UPDATE agent SET token_hash = :token_hash WHERE name = :name AND revoked_at IS NULL"
_REVOKE_AGENT = "UPDATE agent SET revoked_at = :now WHERE name = :name AND revoked_at IS NULL"
