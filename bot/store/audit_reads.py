"""Queries over the audit: pages, a request's story, and the raw rows of verification and export."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, cast

import orjson

from bot.core import jsontext
from bot.core.chain import GENESIS, START, Link, Place, Problem
from bot.core.models import Actor, ActorType, JsonObject, RequestId, Via
from bot.core.verifying import COPIED
from bot.store import auditing
from bot.store.auditing import EVERYTHING, AuditFilter
from bot.store.codec import moment
from bot.store.dialect import Row
from bot.store.pool import Readers
from bot.store.standing import Source
from bot.store.stating import STATED

_FAR = 2**62
"""Behind every row."""


@dataclass(frozen=True, slots=True)
class AuditEvent:
    """One audit row, read from the bytes that the chain covers. Hashes are hex."""

    seq: int
    at: str
    event: str
    actor: Actor
    via: Via
    agent: str | None
    request_id: str | None
    session_id: str | None
    body: JsonObject
    prev_hash: str
    hash: str

    def as_json(self) -> dict[str, Any]:
        """The event on the wire."""
        actor = self.actor
        return {
            "seq": self.seq,
            "at": self.at,
            "event": self.event,
            "actor": {"type": actor.type.value, "id": actor.id, "name": actor.name},
            "via": self.via.value,
            "agent": self.agent,
            "request_id": self.request_id,
            "session_id": self.session_id,
            "body": self.body,
            "prev_hash": self.prev_hash,
            "hash": self.hash,
        }


@dataclass(frozen=True, slots=True)
class Head:
    """The end of the chain: the last row's place, time and hash (hex)."""

    seq: int
    at: datetime
    hash: str


class AuditReads:
    """Each method is one statement on one connection of a pool."""

    def __init__(self, readers: Readers) -> None:
        self._all = readers.fetch_all

    async def events(self, request_id: str, after_seq: int = 0, *, limit: int = 1000) -> list[AuditEvent]:
        """A request's events after `after_seq`, oldest first."""
        sql = f"{_AUDIT} WHERE request_id = :request_id AND seq > :after ORDER BY seq LIMIT :limit"
        params = {"request_id": request_id, "after": after_seq, "limit": limit}
        return [_audit_event(row) for row in await self._all(sql, params)]

    async def pauses_since(self, after_seq: int, *, limit: int = 1000) -> list[AuditEvent]:
        """Whatever was paused or resumed after `after_seq`, oldest first."""
        found = await self._all(_PAUSES_SINCE, {"after": after_seq, "limit": limit})
        return [_audit_event(row) for row in found]

    async def last_seq(self, request_id: str) -> int:
        """The place of a request's last event; 0 when there is none."""
        row = await self._one(
            "SELECT MAX(seq) AS seq FROM audit WHERE request_id = :request_id", {"request_id": request_id}
        )
        return 0 if row is None or row["seq"] is None else int(row["seq"])

    async def written(self, after_seq: int, *, limit: int = 1000) -> list[tuple[int, str, RequestId | None]]:
        """Place and name of every event after `after_seq`, and the request it is about; oldest first."""
        found = await self._all(_WRITTEN, {"after": after_seq, "limit": limit})
        return [(row["seq"], row["event"], row["request_id"]) for row in found]

    async def timeline(
        self, agent: str, session_id: str, *, after: int = 0, limit: int = 1000
    ) -> list[AuditEvent]:
        """A session's events after place `after`, oldest first."""
        wanted = "WHERE session_id = :session_id AND agent = :agent AND seq > :after"
        params = {"session_id": session_id, "agent": agent, "after": after, "limit": limit}
        found = await self._all(f"{_AUDIT} {wanted} ORDER BY seq LIMIT :limit", params)
        return [_audit_event(row) for row in found]

    async def audit_page(
        self,
        wanted: AuditFilter = EVERYTHING,
        *,
        before_seq: int | None = None,
        limit: int = 50,
        **named: Any,
    ) -> list[AuditEvent]:
        """Events that meet every filter, newest first; go on with `before_seq` of the last one.

        Args:
            named: Fields of the filter, as a short way to give a few.
        """
        terms, params = replace(wanted, **named).where()
        if before_seq is not None:
            terms.append("seq < :before_seq")
            params["before_seq"] = before_seq
        sql = auditing.select(_AUDIT_COLUMNS, terms, "DESC")
        return [_audit_event(row) for row in await self._all(sql, params | {"limit": limit})]

    async def audit_links(
        self, wanted: AuditFilter, *, before_seq: int | None = None, limit: int = 50
    ) -> list[Link]:
        """`audit_page` as it is stored, for whoever passes the bytes on."""
        terms, params = wanted.where()
        if before_seq is not None:
            terms.append("seq < :before_seq")
            params["before_seq"] = before_seq
        sql = auditing.select(_LINK_COLUMNS, terms, "DESC")
        return [_link(row) for row in await self._all(sql, params | {"limit": limit})]

    async def audit_rows(
        self, wanted: AuditFilter, *, after_seq: int, through_seq: int, limit: int = 2000
    ) -> list[Link]:
        """Rows that meet every filter as they are stored, oldest first, after one place up to another."""
        terms, params = wanted.where()
        terms += ["seq > :after_seq", "seq <= :through_seq"]
        params |= {"after_seq": after_seq, "through_seq": through_seq, "limit": limit}
        return [_link(row) for row in await self._all(auditing.select(_LINK_COLUMNS, terms, "ASC"), params)]

    async def links(self, after_seq: int, *, through: int = _FAR, limit: int = 10_000) -> list[Link]:
        """The chain's rows after one place up to another, in order, for `chain.verify`."""
        found = await self._all(_LINKS, {"after": after_seq, "through": through, "limit": limit})
        return list(map(Link._make, cast(Sequence[tuple[Any, ...]], found)))

    async def columns(
        self, after_seq: int, *, through: int = _FAR, limit: int = 10_000
    ) -> list[tuple[Link, tuple[Any, ...]]]:
        """The same rows, each with the columns that repeat its bytes (`COPIED`)."""
        found = await self._all(_COLUMNS, {"after": after_seq, "through": through, "limit": limit})
        rows = cast(Sequence[tuple[Any, ...]], found)
        return [(Link._make(row[:_LINK_WIDTH]), row[_LINK_WIDTH:]) for row in rows]

    async def misfiled(self) -> Problem | None:
        """The first row about a request whose type or risk is not that of the request."""
        row = await self._one(_MISFILED, {})
        if row is None:
            return None
        return Problem(row["seq"], "miscopied", "its action type or risk level is not that of its request")

    async def stated(self, after_id: str, *, limit: int = 1000) -> Sequence[Row]:
        """Requests behind an id, in the order of their ids, as rows for `stating.stated_of`."""
        sql = f"{STATED} WHERE r.id > :after ORDER BY r.id LIMIT :limit"
        return await self._all(sql, {"after": after_id, "limit": limit})

    async def stated_one(self, id: str) -> Row | None:
        """One request, as the same kind of row."""
        return await self._one(f"{STATED} WHERE r.id = :id", {"id": id})

    async def changes(self, after_id: str, through_id: str) -> list[tuple[str, int, bytes]]:
        """Request, place and bytes of the events about requests from one id, left out, up to another.

        In the order of the requests, then of the events. Those that never change one are left out.
        """
        wanted = _CHANGES.format("a.request_id > :after AND a.request_id <= :through")
        found = await self._all(wanted, {"after": after_id, "through": through_id})
        return [(row["request_id"], row["seq"], row["canonical"]) for row in found]

    async def changes_of(self, id: str) -> list[tuple[str, int, bytes]]:
        """The same of one request."""
        found = await self._all(_CHANGES.format("a.request_id = :id"), {"id": id})
        return [(row["request_id"], row["seq"], row["canonical"]) for row in found]

    async def standing(self, source: Source, after_id: str, *, limit: int = 1000) -> Sequence[Row]:
        """The next rows of a source behind an id, in the order of their ids."""
        return await self._all(source.sql, {"after": after_id, "limit": limit})

    async def told(
        self, events: Sequence[str], after_seq: int, *, limit: int = 10_000
    ) -> list[tuple[int, bytes]]:
        """Place and bytes of the events of some names after `after_seq`, in order."""
        # One look into the index for each name, merged; `IN` would sort all of them for every page.
        each = " UNION ALL ".join(_TOLD.format(place) for place in range(len(events)))
        named = {f"event_{place}": name for place, name in enumerate(events)}
        params = named | {"after": after_seq, "limit": limit}
        found = await self._all(f"{each} ORDER BY seq LIMIT :limit", params)
        return [(row["seq"], bytes(row["canonical"])) for row in found]

    async def orphan(self) -> tuple[str, int] | None:
        """The request that was asked for first of those that are no more, and the place of that event."""
        row = await self._one(_ORPHAN, {})
        return None if row is None else (row["request_id"], row["seq"])

    async def ends(self) -> tuple[int, int]:
        """The least and the greatest place there is; (1, 0) when there is no row."""
        row = (await self._all(_ENDS, {}))[0]
        return row["first"], row["last"]

    async def chain_base(self) -> Place:
        """The place after which the kept chain begins: 0 until retention removed a prefix."""
        row = await self._one("SELECT seq, hash FROM audit_base WHERE id = 1", {})
        return START if row is None else Place(row["seq"], bytes(row["hash"]))

    async def bytes_of(self, event: str) -> list[bytes]:
        """The canonical bytes of every row of one event, in order."""
        sql = "SELECT canonical FROM audit WHERE event = :event ORDER BY seq"
        found = await self._all(sql, {"event": event})
        return [bytes(row["canonical"]) for row in found]

    async def checkpoint_rows(self) -> list[JsonObject]:
        """Every checkpoint as it is stored: seq, hash and note."""
        found = await self._all("SELECT seq, hash, note FROM checkpoint ORDER BY seq", {})
        return [{"seq": row["seq"], "hash": bytes(row["hash"]), "note": row["note"]} for row in found]

    async def checkpoints(self, after_seq: int = 0, *, limit: int = 1_000_000) -> list[str]:
        """The signed notes of the checkpoints after a place, in order."""
        found = await self._all(_CHECKPOINTS, {"after": after_seq, "limit": limit})
        return [row["note"] for row in found]

    async def last_checkpoint(self) -> str | None:
        """The signed note of the newest checkpoint."""
        row = await self._one("SELECT note FROM checkpoint ORDER BY seq DESC LIMIT 1", {})
        return None if row is None else str(row["note"])

    async def chain_head(self) -> Head:
        """The end of the chain; place 0 and 32 zero bytes when it is empty."""
        row = await self._one("SELECT seq, at, hash FROM chain_head WHERE id = 1", {})
        if row is None:  # damaged; the writer refuses, and whoever verifies is to be told
            return Head(0, moment(0), GENESIS.hex())
        return Head(row["seq"], moment(row["at"]), bytes(row["hash"]).hex())

    async def _one(self, sql: str, params: Mapping[str, Any]) -> Row | None:
        found = await self._all(sql, params)
        return found[0] if found else None


def _link(row: Row) -> Link:
    return Link(row["seq"], row["canonical"], row["prev_hash"], row["hash"])


def event_of(link: Link) -> AuditEvent:
    """The event of a row for whoever counts; fractions are floats."""
    return _event(orjson.loads(link.canonical), link.prev_hash, link.hash)


def _audit_event(row: Row) -> AuditEvent:
    return _event(jsontext.reread(bytes(row["canonical"])), row["prev_hash"], row["hash"])


def _event(said: JsonObject, prev: bytes, hashed: bytes) -> AuditEvent:
    actor = said["actor"]
    return AuditEvent(
        seq=said["seq"],
        at=said["at"],
        event=said["event"],
        actor=Actor(ActorType(actor["type"]), actor["id"], actor["name"]),
        via=Via(said["via"]),
        agent=said["agent"],
        request_id=said["request_id"],
        session_id=said["session_id"],
        body=said["body"],
        prev_hash=bytes(prev).hex(),
        hash=bytes(hashed).hex(),
    )


_AUDIT_COLUMNS = "canonical, prev_hash, hash"
_LINK_COLUMNS = "seq, canonical, prev_hash, hash"
_LINK_WIDTH = len(Link._fields)
_AUDIT = f"SELECT {_AUDIT_COLUMNS} FROM audit"
_BETWEEN = "WHERE seq > :after AND seq <= :through ORDER BY seq LIMIT :limit"
_LINKS = f"SELECT {_LINK_COLUMNS} FROM audit {_BETWEEN}"
_WRITTEN = "SELECT seq, event, request_id FROM audit WHERE seq > :after ORDER BY seq LIMIT :limit"
_COLUMNS = f"SELECT {_LINK_COLUMNS}, {', '.join(COPIED)} FROM audit {_BETWEEN}"
_PAUSES_SINCE = f"""
    {_AUDIT} WHERE event IN ('agent_paused', 'agent_resumed') AND seq > :after ORDER BY seq LIMIT :limit
"""
# Each by itself is one look into the index; both in one query would read every row.
_ENDS = """
    SELECT COALESCE((SELECT MIN(seq) FROM audit), 1) AS first,
        COALESCE((SELECT MAX(seq) FROM audit), 0) AS last
"""
# A row about no request has neither type nor risk.
_MISFILED = """
    SELECT a.seq FROM audit a LEFT JOIN request r ON r.id = a.request_id
    WHERE (a.action_type IS DISTINCT FROM r.action_type OR a.risk_level IS DISTINCT FROM r.risk_level)
        AND (r.id IS NOT NULL OR a.request_id IS NULL)
    ORDER BY a.seq LIMIT 1
"""
_CHANGES = """
    SELECT a.request_id, a.seq, a.canonical FROM audit a
    WHERE {} AND a.event NOT IN ('policy_applied', 'review_refused', 'claim_refused', 'notification_sent')
    ORDER BY a.request_id, a.seq
"""
_TOLD = "SELECT seq, canonical FROM audit WHERE event = :event_{} AND seq > :after"
_ORPHAN = """
    SELECT a.request_id, a.seq FROM audit a
    WHERE a.event = 'action_requested' AND NOT EXISTS (SELECT 1 FROM request r WHERE r.id = a.request_id)
    ORDER BY a.seq LIMIT 1
"""
_CHECKPOINTS = "SELECT note FROM checkpoint WHERE seq > :after ORDER BY seq LIMIT :limit"
