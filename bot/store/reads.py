"""What can be asked of the store, on connections that cannot write.

Every method is one statement, so every answer is of one moment. Pages are newest first and go on
from a key, never from an offset. Trouble with storage raises `Unavailable`.
"""

from collections.abc import Awaitable, Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from bot.core.covering import CoverOffer
from bot.core.errors import InvalidRequest
from bot.core.grants import Grant
from bot.core.models import (
    Agent,
    ApprovalRequest,
    Cause,
    Charge,
    RequestId,
    RiskLevel,
    Session,
    Status,
    Used,
)
from bot.core.pausing import Pause
from bot.core.rollback import Rollback
from bot.store import budgets, rows
from bot.store.audit_reads import AuditReads
from bot.store.codec import micros, moment, optional_micros, optional_moment
from bot.store.dialect import Row
from bot.store.oncall import COVER, COVERS, offer_of
from bot.store.pauses import COVERING, PAUSES, covering_params, pause_of
from bot.store.pool import Readers
from bot.store.rollback_rows import SELECT_ROLLBACK, rollback_of
from bot.store.timeline import TOLD
from bot.store.together import Together


@dataclass(frozen=True, slots=True)
class Card:
    """One copy of a request's card. `state` is `wanted`, `posted` or `failed`."""

    id: int
    request_id: str
    channel_target: str
    kind: str
    level: int
    channel: str | None
    ts: str | None
    request_version: int
    posted_version: int | None
    painted_version: int | None
    state: str
    error: str | None
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Kept:
    """What an idempotency key stands for."""

    body_digest: str
    request_id: str
    answer: bytes | None
    created_at: datetime


@dataclass(frozen=True, slots=True)
class News:
    """Something that happened to a request, by its place in the audit."""

    seq: int
    event: str
    request_id: RequestId


@dataclass(frozen=True, slots=True)
class Counts:
    """How much waits: pending requests and unsent mail."""

    pending: int
    unsent: int


class Reads(AuditReads):
    """Queries, each on one connection of a pool."""

    def __init__(self, readers: Readers) -> None:
        super().__init__(readers)
        self._pending = Together(self._agents_of_pending)
        self._credentials = Together(self._agents_by_token_hash)

    async def request(self, id: str) -> ApprovalRequest | None:
        """A request with its reviews and messages."""
        row = await self._one(f"{REQUEST} WHERE r.id = :id", {"id": id})
        return None if row is None else rows.request_of(row)

    async def cover(self, id: str) -> CoverOffer | None:
        """An offer to cover a shift, whatever became of it."""
        row = await self._one(COVER, {"id": id})
        return None if row is None else offer_of(row)

    async def covers(self, schedule: str, start: datetime, end: datetime) -> list[CoverOffer]:
        """Accepted covers of a schedule that touch this time, in the order in which they were agreed."""
        span = {"schedule": schedule, "start": micros(start), "end": micros(end)}
        return [offer_of(row) for row in await self._all(COVERS, span)]

    async def requests(
        self,
        *,
        agent: str | None = None,
        status: Status | None = None,
        type: str | None = None,
        session_id: str | None = None,
        cursor: str | None = None,
        limit: int = 50,
    ) -> tuple[list[ApprovalRequest], str | None]:
        """A page of requests and the cursor of the next, None at the end.

        Raises:
            InvalidRequest: the cursor is not one of ours.
        """
        wanted = {"agent": agent, "action_type": type, "session_id": session_id}
        params: dict[str, Any] = {name: value for name, value in wanted.items() if value is not None}
        terms = [f"r.{name} = :{name}" for name in params]
        if status is not None:
            # Spelled out: an index over the pending ones serves no statement with a parameter there.
            terms.append(f"r.status = '{Status(status).value}'")
        if cursor is not None:
            terms.append("(r.created_at, r.id) < (:before, :before_id)")
            params["before"], params["before_id"] = _place(cursor)
        where = f" WHERE {' AND '.join(terms)}" if terms else ""
        sql = f"{REQUEST}{where} ORDER BY r.created_at DESC, r.id DESC LIMIT :limit"
        found = await self._all(sql, params | {"limit": limit + 1})
        items = [rows.request_of(row) for row in found[:limit]]
        more = len(found) > limit
        return items, _cursor(found[limit - 1]) if more else None

    async def pending_at(
        self, risk: RiskLevel, *, limit: int, after: ApprovalRequest | None = None
    ) -> list[ApprovalRequest]:
        """Pending requests that were submitted at this risk, those whose level ends first at the front.

        Args:
            after: The last one of the page before.
        """
        place = (0, "") if after is None else (optional_micros(after.next_deadline_at), after.id)
        params = {"risk_level": risk.value, "limit": limit, "after": place[0], "after_id": place[1]}
        return [rows.request_of(row) for row in await self._all(_PENDING_AT, params)]

    async def several(self, ids: Collection[RequestId]) -> list[ApprovalRequest]:
        """Those of `ids` that exist, in no order."""
        if not ids:
            return []
        places, params = _among(ids)
        found = await self._all(f"{REQUEST} WHERE r.id IN ({places})", params)
        return [rows.request_of(row) for row in found]

    def agent_of_pending(self, id: RequestId) -> Awaitable[str | None]:
        """The agent whose request this is, while it is pending; many who ask at once share a statement."""
        return self._pending.get(id)

    async def _agents_of_pending(self, ids: Collection[str]) -> dict[str, str]:
        places, params = _among(ids)
        sql = f"SELECT id, agent FROM request WHERE status = 'pending' AND id IN ({places})"
        return {row["id"]: row["agent"] for row in await self._all(sql, params)}

    async def next_deadline(self) -> datetime | None:
        """When the next pending request wants the scheduler, leases considered."""
        return await self._moment("SELECT MIN(due_at) AS at FROM request WHERE status = 'pending'")

    async def next_outbox_at(self) -> datetime | None:
        """When the next lane wants a look, leases and pace considered."""
        return await self._moment("SELECT MIN(ready_at) AS at FROM pace WHERE ready_at IS NOT NULL")

    async def idempotent(self, agent: str, scope: str, key: str) -> Kept | None:
        """What a key stands for; None when it was not used or is forgotten."""
        row = await self._one(_KEY, {"agent": agent, "scope": scope, "key": key})
        if row is None:
            return None
        return Kept(row["body_digest"], row["request_id"], row["answer"], moment(row["created_at"]))

    async def used(self, charge: Charge, now: datetime) -> Used:
        """What is used of the limit that `charge` is for, in its window that ends at `now`."""
        sql, params = budgets.query(charge, now)
        return budgets.used_of(await self._one(sql, params))

    async def grant(self, id: str) -> Grant | None:
        """A grant, whatever became of it."""
        row = await self._one("SELECT * FROM grants WHERE id = :id", {"id": id})
        return None if row is None else rows.grant_of(row)

    async def grants_at(self, now: datetime, giver: str | None = None) -> list[Grant]:
        """Grants that may be used at `now`, those that end first at the front; of one giver, or of all."""
        sql = _GRANTS_AT.format(whose="AND giver_id = :giver" if giver is not None else "")
        params = {"now": micros(now)} | ({} if giver is None else {"giver": giver})
        return [rows.grant_of(row) for row in await self._all(sql, params)]

    async def automatic(self, since: datetime, *, limit: int) -> list[ApprovalRequest]:
        """The latest requests since then that were decided without people, newest first."""
        found = await self._all(_AUTOMATIC, {"since": micros(since), "limit": limit})
        return [rows.request_of(row) for row in found]

    async def live_grants(self, agent: str, type: str, rule: str, now: datetime) -> list[Grant]:
        """Grants that may be used at `now` for what a rule puts before people, the oldest first."""
        params = {"agent": agent, "action_type": type, "rule": rule, "now": micros(now)}
        return [rows.grant_of(row) for row in await self._all(_LIVE_GRANTS, params)]

    async def rejections(self, agent: str, digest: str, since: datetime) -> int:
        """Rejections by people after `since`: of the agent's requests or, if more, of this very action."""
        params = {"agent": agent, "digest": digest, "since": micros(since)}
        row = (await self._all(_REJECTIONS, params))[0]
        return max(int(row["of_agent"]), int(row["of_action"]))

    async def agent(self, name: str) -> Agent | None:
        """An agent by name, revoked or not."""
        row = await self._one("SELECT * FROM agent WHERE name = :name", {"name": name})
        return None if row is None else rows.agent_of(row)

    async def agent_by_token_hash(self, hash: str) -> Agent | None:
        """The agent whose token has this hash, revoked or not; many who ask at once share a statement."""
        return await self._credentials.get(hash)

    async def _agents_by_token_hash(self, hashes: Collection[str]) -> dict[str, Agent]:
        places, params = _among(hashes)
        found = await self._all(f"SELECT * FROM agent WHERE token_hash IN ({places})", params)
        return {row["token_hash"]: rows.agent_of(row) for row in found}

    async def agents(self) -> list[Agent]:
        """Every agent by name, revoked ones too."""
        return [rows.agent_of(row) for row in await self._all("SELECT * FROM agent ORDER BY name", {})]

    async def pauses(self) -> list[Pause]:
        """What is paused."""
        return [pause_of(row) for row in await self._all(PAUSES, {})]

    async def pause_of(self, agent: str, action_type: str) -> Pause | None:
        """The pause that stops this agent's actions of this type."""
        row = await self._one(COVERING, covering_params(agent, action_type))
        return None if row is None else pause_of(row)

    async def has_asked_for(self, action_type: str) -> bool:
        """Whether any request was of this type."""
        return await self._one(_OF_TYPE, {"action_type": action_type}) is not None

    async def session(self, agent: str, id: str) -> Session | None:
        """A session with its requests counted by status."""
        found = await self._all(_SESSION, {"agent": agent, "id": id})
        if not found:
            return None
        counts = {row["status"]: row["count"] for row in found if row["status"] is not None}
        return rows.session_of(found[0], counts)

    async def sessions_named(self, id: str) -> list[str]:
        """Names of the agents that have a session of this id."""
        found = await self._all("SELECT agent FROM session WHERE id = :id ORDER BY agent", {"id": id})
        return [row["agent"] for row in found]

    async def session_requests(self, agent: str, id: str) -> list[ApprovalRequest]:
        """Every request of a session that has run, in no order."""
        sql = (
            f"{REQUEST} WHERE r.agent = :agent AND r.session_id = :id AND r.execution_state <> 'not_started'"
        )
        return [rows.request_of(row) for row in await self._all(sql, {"agent": agent, "id": id})]

    async def rollback(self, id: str) -> Rollback | None:
        """A rollback by its own id, or by that of one of its steps."""
        sql = f"{SELECT_ROLLBACK} WHERE b.id = COALESCE({_ROLLBACK_OF_ITEM}, :id)"
        row = await self._one(sql, {"id": id})
        return None if row is None else rollback_of(row)

    async def rollback_of_request(self, request_id: str) -> Rollback | None:
        """The rollback of a request that is under way or has succeeded."""
        sql = f"{SELECT_ROLLBACK} WHERE b.id = {_LIVE_ROLLBACK_OF_REQUEST}"
        row = await self._one(sql, {"request_id": request_id})
        return None if row is None else rollback_of(row)

    async def open_rollbacks(self, agent: str) -> list[Rollback]:
        """Every rollback of an agent that has not ended, oldest first."""
        sql = f"{SELECT_ROLLBACK} WHERE b.due_at IS NOT NULL AND b.agent = :agent ORDER BY b.created_at, b.id"
        return [rollback_of(row) for row in await self._all(sql, {"agent": agent})]

    async def due_rollbacks(self, now: datetime, *, limit: int = 200) -> list[Rollback]:
        """Rollbacks whose next step is overdue."""
        sql = f"{SELECT_ROLLBACK} WHERE b.due_at <= :now ORDER BY b.due_at LIMIT :limit"
        found = await self._all(sql, {"now": micros(now), "limit": limit})
        return [rollback_of(row) for row in found]

    async def cards(self, request_id: str) -> list[Card]:
        """Every copy of a request's card, oldest first."""
        found = await self._all(
            "SELECT * FROM card WHERE request_id = :request_id ORDER BY id", {"request_id": request_id}
        )
        return [_card(row) for row in found]

    async def card(self, id: int) -> Card | None:
        """One copy of a card."""
        row = await self._one("SELECT * FROM card WHERE id = :id", {"id": id})
        return None if row is None else _card(row)

    async def thread(self, request_id: str) -> Card | None:
        """The card whose thread is a request's timeline: its session's first in its channel, else its own."""
        row = await self._one(_THREAD, {"request_id": request_id})
        return None if row is None else _card(row)

    async def untold(self, card_id: int, *, limit: int) -> list[News]:
        """What the thread under a card has not been told yet, in the order in which it happened."""
        found = await self._all(_UNTOLD, {"card_id": card_id, "limit": limit})
        return [News(row["seq"], row["event"], row["request_id"]) for row in found]

    async def counts(self) -> Counts:
        """How much waits."""
        row = (await self._all(_COUNTS, {}))[0]
        return Counts(row["pending"], row["unsent"])

    async def _moment(self, sql: str) -> datetime | None:
        row = await self._one(sql, {})
        return None if row is None else optional_moment(row["at"])


def _among(values: Collection[str]) -> tuple[str, dict[str, str]]:
    """What stands inside `IN (…)`, and its parameters."""
    params = {f"value_{place}": value for place, value in enumerate(values)}
    return ", ".join(f":{name}" for name in params), params


def _cursor(row: Row) -> str:
    return f"{row['created_at']}.{row['id']}"


def _place(cursor: str) -> tuple[int, str]:
    created_at, _, id = cursor.partition(".")
    if not (created_at.isascii() and created_at.isdigit() and len(created_at) <= 18 and id):
        raise InvalidRequest(errors=[("cursor", "use a next_cursor of an earlier page as it came")])
    return int(created_at), id


def _card(row: Row) -> Card:
    return Card(
        id=row["id"],
        request_id=row["request_id"],
        channel_target=row["channel_target"],
        kind=row["kind"],
        level=row["level"],
        channel=row["channel"],
        ts=row["ts"],
        request_version=row["request_version"],
        posted_version=row["posted_version"],
        painted_version=row["painted_version"],
        state=row["state"],
        error=row["error"],
        created_at=moment(row["created_at"]),
    )


_ROLLBACK_OF_ITEM = "(SELECT rollback_id FROM rollback_item WHERE id = :id)"
_LIVE_ROLLBACK_OF_REQUEST = """(
    SELECT rollback_id FROM rollback_item
    WHERE request_id = :request_id AND state IN ('requested', 'previewed', 'claimed', 'succeeded'))"""
REQUEST = """
    SELECT r.*,
        (SELECT string_agg(body, ',' ORDER BY position) FROM review WHERE request_id = r.id) AS reviews,
        (SELECT string_agg(body, ',' ORDER BY position) FROM message WHERE request_id = r.id) AS messages
    FROM request r
"""
_PENDING_AT = f"""{REQUEST}
    WHERE r.status = 'pending' AND r.risk_level = :risk_level
        AND (r.next_deadline_at, r.id) > (:after, :after_id)
    ORDER BY r.next_deadline_at, r.id LIMIT :limit
"""
_KEY = """
    SELECT body_digest, request_id, answer, created_at FROM idempotency
    WHERE agent = :agent AND scope = :scope AND key = :key
"""
_LIVE_GRANTS = """
    SELECT * FROM grants
    WHERE agent = :agent AND action_type = :action_type AND rule = :rule AND revoked_at IS NULL
        AND expires_at > :now AND used < uses
    ORDER BY created_at, id
"""
_GRANTS_AT = """
    SELECT * FROM grants WHERE revoked_at IS NULL AND expires_at > :now AND used < uses {whose}
    ORDER BY expires_at, id LIMIT 200
"""
_AUTOMATIC = f"""{REQUEST}
    WHERE r.created_at > :since AND r.cause IN ({", ".join(f"'{c.value}'" for c in Cause if c.automatic)})
    ORDER BY r.created_at DESC, r.id DESC LIMIT :limit
"""
_REJECTIONS = """
    SELECT
        (SELECT COUNT(*) FROM request
            WHERE agent = :agent AND decided_at > :since AND status = 'rejected' AND cause = 'human')
            AS of_agent,
        (SELECT COUNT(*) FROM request
            WHERE digest = :digest AND decided_at > :since AND status = 'rejected' AND cause = 'human')
            AS of_action
"""
_OF_TYPE = "SELECT 1 FROM audit WHERE action_type = :action_type LIMIT 1"
_SESSION = """
    SELECT s.*, r.status, COUNT(r.id) AS count FROM session s
    LEFT JOIN request r ON r.agent = s.agent AND r.session_id = s.id
    WHERE s.agent = :agent AND s.id = :id
    GROUP BY s.agent, s.id, r.status
"""
_THREAD = """
    SELECT t.* FROM card own JOIN request r ON r.id = own.request_id
    LEFT JOIN thread s ON s.agent = r.agent AND s.session_id = r.session_id
        AND s.target = own.channel_target
    JOIN card t ON t.id = COALESCE(s.card_id, own.id)
    WHERE own.request_id = :request_id AND own.channel IS NOT NULL AND own.ts IS NOT NULL
    ORDER BY own.id LIMIT 1
"""
_UNTOLD = f"""
    SELECT a.seq, a.event, a.request_id FROM thread t
    JOIN audit a ON a.session_id = t.session_id AND a.agent = t.agent AND a.seq > t.told_seq
    JOIN request o ON o.id = a.request_id
    WHERE t.card_id = :card_id AND o.channel = t.target
        AND a.event IN ({", ".join(f"'{event}'" for event in sorted(TOLD))})
    ORDER BY a.seq LIMIT :limit
"""
_COUNTS = """
    SELECT (SELECT COUNT(*) FROM request WHERE status = 'pending') AS pending,
        (SELECT COUNT(*) FROM outbox WHERE done_at IS NULL AND failed_at IS NULL) AS unsent
"""
