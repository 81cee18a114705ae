"""The tables, as SQLAlchemy Core knows them.

Alembic compares the database with this; a test proves that the migrations lead here. The hot
path does not use it: `commands` and `reads` are SQL by hand. Times are INTEGER microseconds
since the epoch, JSON is TEXT, hashes are raw bytes. On SQLite every table is STRICT.

What no row may be is said here as CHECKs and unique indexes; what no change may do (rewrite the
audit, reopen a decision, skip a version) is said as triggers in the migrations.
"""

from typing import Any

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    Table,
    Text,
    UniqueConstraint,
    text,
)

BIG = BigInteger().with_variant(Integer(), "sqlite")
"""64 bits on both databases: SQLite's INTEGER, PostgreSQL's BIGINT."""

metadata = MetaData(
    naming_convention={
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

_LEVELS = "'none', 'low', 'medium', 'high', 'critical'"
_CAUSES = (
    "'human', 'policy_rule', 'risk_threshold', 'grant', 'timeout', 'no_approver', 'cancelled_by_agent',"
    " 'cancelled_by_operator', 'paused'"
)
_STATUSES = "'pending', 'approved', 'modified', 'rejected', 'timed_out', 'cancelled'"
_RUN = "'claimed', 'succeeded', 'failed', 'rolled_back'"
_REJECTED = "status = 'rejected' AND cause = 'human'"
_UNDOING = "'requested', 'previewed', 'claimed'"
_UNDONE = "'succeeded', 'failed', 'conflict', 'expired'"
_UNSENT = "done_at IS NULL AND failed_at IS NULL"


def _table(name: str, *parts: Any, keyed: bool = False) -> Table:
    """`keyed`: small rows that are found by their primary key alone, stored in its order."""
    return Table(name, metadata, *parts, sqlite_strict=True, sqlite_with_rowid=not keyed)


def _text(name: str, *, null: bool = False) -> Column[str]:
    return Column(name, Text, nullable=null)


def _integer(name: str, *, null: bool = False, default: int | None = None) -> Column[int]:
    given = None if default is None else text(str(default))
    return Column(name, BIG, nullable=null, server_default=given)


def _bytes(name: str, *, null: bool = False) -> Column[bytes]:
    return Column(name, LargeBinary, nullable=null)


def _index(name: str, *columns: str, where: str | None = None, unique: bool = False) -> Index:
    """`where`: only rows of which this holds are in it, on both databases."""
    part = None if where is None else text(where)
    return Index(name, *columns, unique=unique, sqlite_where=part, postgresql_where=part)


def _boolean(name: str) -> CheckConstraint:
    return CheckConstraint(f"{name} IN (0, 1)", name)


request = _table(
    "request",
    _text("id"),
    _text("agent"),
    _text("owner", null=True),
    _text("session_id", null=True),
    _text("action_type"),
    _text("digest"),
    _text("preview_digest", null=True),
    _text("risk_level"),
    _text("status"),
    _text("cause", null=True),
    _integer("version"),
    _integer("level"),
    _text("channel", null=True),
    _integer("approval_valid_for"),
    _integer("next_deadline_at", null=True),
    # When the scheduler looks again: the deadline, or the end of the lease of whoever looks at it.
    _integer("due_at", null=True),
    _integer("decided_at", null=True),
    _text("decided_digest", null=True),
    _integer("expires_at", null=True),
    _text("execution_state"),
    _integer("claimed_at", null=True),
    _text("submission"),
    _text("risk"),
    _text("policy"),
    _text("requirement", null=True),
    _text("plan"),
    _text("watch", null=True),
    _text("proposal", null=True),
    _text("decision", null=True),
    _text("execution", null=True),
    # Until when its cards may offer to roll it back; null once they were painted without that.
    _integer("undo_until", null=True),
    _integer("created_at"),
    _integer("updated_at"),
    PrimaryKeyConstraint("id"),
    CheckConstraint(f"status IN ({_STATUSES})", "status"),
    CheckConstraint(f"risk_level IN ({_LEVELS})", "risk_level"),
    CheckConstraint(f"cause IN ({_CAUSES})", "cause"),
    CheckConstraint(
        "(status = 'timed_out') = (cause IS NOT NULL AND cause IN ('timeout', 'no_approver'))"
        " AND (status = 'cancelled')"
        " = (cause IS NOT NULL AND cause IN ('cancelled_by_agent', 'cancelled_by_operator'))"
        " AND (status <> 'modified' OR cause = 'human') AND (cause <> 'paused' OR status = 'rejected')",
        "cause_fits",
    ),
    CheckConstraint("version >= 1", "version"),
    CheckConstraint("level >= 0", "level"),
    CheckConstraint("(status = 'pending') = (next_deadline_at IS NOT NULL)", "pending_has_deadline"),
    CheckConstraint("(next_deadline_at IS NULL) = (due_at IS NULL)", "due_while_pending"),
    CheckConstraint(
        "(status = 'pending') = (decided_at IS NULL) AND (status = 'pending') = (decision IS NULL)"
        " AND (status = 'pending') = (cause IS NULL)",
        "decided_in_full",
    ),
    CheckConstraint(
        "(status IN ('approved', 'modified')) = (decided_digest IS NOT NULL AND expires_at IS NOT NULL)",
        "runnable_is_bound",
    ),
    CheckConstraint(f"execution_state IN ('not_started', {_RUN})", "execution_state"),
    CheckConstraint("(execution_state = 'not_started') = (claimed_at IS NULL)", "claimed_in_full"),
    CheckConstraint(
        "execution_state = 'not_started' OR status IN ('approved', 'modified')", "only_approved_runs"
    ),
    CheckConstraint("undo_until IS NULL OR execution_state = 'succeeded'", "only_successes_are_undone"),
    _index("ix_request_agent", "agent", "created_at", "id"),
    _index("ix_request_created", "created_at", "id"),
    _index("ix_request_rejected_agent", "agent", "decided_at", where=_REJECTED),
    _index("ix_request_rejected_digest", "digest", "decided_at", where=_REJECTED),
    _index("ix_request_session", "session_id", "agent", "created_at", "id", where="session_id IS NOT NULL"),
    _index("ix_request_due", "due_at", where="status = 'pending'"),
    _index("ix_request_pending", "created_at", "id", where="status = 'pending'"),
    _index("ix_request_undo", "undo_until", where="undo_until IS NOT NULL"),
    _index("ix_request_urgent", "risk_level", "next_deadline_at", "id", where="status = 'pending'"),
)

review = _table(
    "review",
    Column("request_id", Text, ForeignKey("request.id"), nullable=False),
    _integer("position"),
    _text("reviewer_id"),
    _text("verdict"),
    _text("digest"),
    _integer("voided"),
    _integer("at"),
    _text("body"),
    PrimaryKeyConstraint("request_id", "position"),
    _boolean("voided"),
    CheckConstraint("verdict IN ('approve', 'reject', 'modify')", "verdict"),
    _index("uq_review_live", "request_id", "reviewer_id", "digest", unique=True, where="voided = 0"),
    keyed=True,
)

message = _table(
    "message",
    Column("request_id", Text, ForeignKey("request.id"), nullable=False),
    _integer("position"),
    _integer("at"),
    _text("body"),
    PrimaryKeyConstraint("request_id", "position"),
    keyed=True,
)

audit = _table(
    "audit",
    Column("seq", BIG, primary_key=True, autoincrement=False),
    _integer("at"),
    _text("event"),
    _text("actor_id"),
    _text("agent", null=True),
    _text("request_id", null=True),
    _text("session_id", null=True),
    _text("action_type", null=True),
    _text("risk_level", null=True),
    # Whether an execution can be undone; NULL for every other event.
    _integer("reversible", null=True),
    _bytes("canonical"),
    _bytes("prev_hash"),
    _bytes("hash"),
    CheckConstraint("length(prev_hash) = 32 AND length(hash) = 32", "hashes"),
    _index("ix_audit_at", "at"),
    _index("ix_audit_event", "event", "seq"),
    _index("ix_audit_actor", "actor_id", "seq"),
    _index("ix_audit_agent", "agent", "seq"),
    # Which of the two narrows more depends on the agent, so neither index alone will do.
    _index("ix_audit_agent_event", "agent", "event", "seq"),
    _index("ix_audit_request", "request_id", "seq"),
    _index("ix_audit_session", "session_id", "seq", where="session_id IS NOT NULL"),
    _index("ix_audit_action_type", "action_type", "seq"),
    _index("ix_audit_risk_level", "risk_level", "seq"),
    _index("ix_audit_reversible", "reversible", "seq", where="reversible IS NOT NULL"),
)

# Where the kept part of the chain begins: the last row that retention removed, or 0.
audit_base = _table(
    "audit_base",
    Column("id", Integer, primary_key=True, autoincrement=False),
    _integer("seq"),
    _bytes("hash"),
    CheckConstraint("id = 1", "one_row"),
    CheckConstraint("length(hash) = 32", "hash"),
)

checkpoint = _table(
    "checkpoint",
    Column("seq", BIG, primary_key=True, autoincrement=False),
    _integer("at"),
    _bytes("hash"),
    _text("note"),
    CheckConstraint("length(hash) = 32", "hash"),
)

pause = _table(
    "pause",
    # `all`, `agent:<name>` or `type:<action type>`.
    _text("what"),
    _text("reason"),
    _text("by_id"),
    _text("by_name"),
    _integer("at"),
    PrimaryKeyConstraint("what"),
    keyed=True,
)

chain_head = _table(
    "chain_head",
    Column("id", Integer, primary_key=True, autoincrement=False),
    _integer("seq"),
    _integer("at"),
    _bytes("hash"),
    CheckConstraint("id = 1", "one_row"),
    CheckConstraint("length(hash) = 32", "hash"),
)

card = _table(
    "card",
    Column("id", BIG, primary_key=True),
    Column("request_id", Text, ForeignKey("request.id"), nullable=False),
    _text("channel_target"),
    _text("kind"),
    _integer("level"),
    _text("channel", null=True),
    _text("ts", null=True),
    # The request's version that the card should show; above `painted_version` it is out of date.
    _integer("request_version"),
    _integer("posted_version", null=True),
    _integer("painted_version", null=True),
    _text("state"),
    _text("error", null=True),
    _integer("created_at"),
    CheckConstraint("state IN ('wanted', 'posted', 'failed')", "state"),
    CheckConstraint(
        "state <> 'posted' OR (channel IS NOT NULL AND ts IS NOT NULL AND posted_version IS NOT NULL)",
        "posted_in_full",
    ),
    CheckConstraint("(state = 'failed') = (error IS NOT NULL)", "failed_in_full"),
    _index("ix_card_request", "request_id"),
)

# Where a session's timeline is in each channel: the thread under the first card posted there.
thread = _table(
    "thread",
    _text("agent"),
    _text("session_id"),
    # The channel as the policy names it, `card.channel_target`.
    _text("target"),
    Column("card_id", BIG, ForeignKey("card.id"), nullable=False),
    # The place in the audit up to which the thread has been told.
    _integer("told_seq"),
    PrimaryKeyConstraint("agent", "session_id", "target"),
    _index("ix_thread_card", "card_id"),
    keyed=True,
)

outbox = _table(
    "outbox",
    Column("id", BIG, primary_key=True),
    _text("kind"),
    _text("order_key"),
    _text("coalesce_key", null=True),
    _text("request_id", null=True),
    _text("payload"),
    _integer("attempts", default=0),
    _integer("generation", default=1),
    _integer("next_at"),
    _integer("lease_until", null=True),
    _text("lease_owner", null=True),
    _integer("unclear", default=0),
    _integer("first_attempt_at", null=True),
    _text("last_error", null=True),
    _integer("created_at"),
    _integer("done_at", null=True),
    _integer("failed_at", null=True),
    _boolean("unclear"),
    CheckConstraint("done_at IS NULL OR failed_at IS NULL", "one_end"),
    CheckConstraint("failed_at IS NULL OR last_error IS NOT NULL", "failed_in_full"),
    CheckConstraint("lease_until IS NULL OR (done_at IS NULL AND failed_at IS NULL)", "leased_while_open"),
    _index("ix_outbox_lane", "order_key", "id", where=_UNSENT),
    _index(
        "uq_outbox_coalesce", "coalesce_key", unique=True, where=f"coalesce_key IS NOT NULL AND {_UNSENT}"
    ),
    _index("ix_outbox_ended", "created_at", where="done_at IS NOT NULL OR failed_at IS NOT NULL"),
)

pace = _table(
    "pace",
    _text("key"),
    # Before this nothing of the key may be leased.
    _integer("free_at"),
    # When the first unsent row of the key should be looked at; NULL when nothing is unsent.
    _integer("ready_at", null=True),
    PrimaryKeyConstraint("key"),
    _index("ix_pace_ready", "ready_at", where="ready_at IS NOT NULL"),
    keyed=True,
)

session = _table(
    "session",
    _text("agent"),
    _text("id"),
    _text("name", null=True),
    _text("metadata", null=True),
    _integer("started_at"),
    _integer("ended_at", null=True),
    _text("summary", null=True),
    PrimaryKeyConstraint("id", "agent"),
)

agent = _table(
    "agent",
    _text("name"),
    _text("token_hash"),
    _text("scopes"),
    _text("owner", null=True),
    _integer("rate"),
    _text("callback_hosts"),
    _integer("created_at"),
    _integer("revoked_at", null=True),
    PrimaryKeyConstraint("name"),
    UniqueConstraint("token_hash"),
    CheckConstraint("rate >= 0", "rate"),
)

rollback = _table(
    "rollback",
    _text("id"),
    _text("agent"),
    _text("session_id", null=True),
    _text("state"),
    _integer("version"),
    # When its next step is overdue; NULL once it has ended.
    _integer("due_at", null=True),
    _text("body"),
    _integer("created_at"),
    _integer("updated_at"),
    PrimaryKeyConstraint("id"),
    CheckConstraint("version >= 1", "version"),
    CheckConstraint(f"state IN ({_UNDOING}, {_UNDONE})", "state"),
    CheckConstraint(f"(state IN ({_UNDOING})) = (due_at IS NOT NULL)", "due_while_open"),
    _index("ix_rollback_due", "due_at", where="due_at IS NOT NULL"),
)

rollback_item = _table(
    "rollback_item",
    _text("id"),
    Column("rollback_id", Text, ForeignKey("rollback.id"), nullable=False),
    _integer("position"),
    Column("request_id", Text, ForeignKey("request.id"), nullable=False),
    _text("state"),
    _text("body"),
    PrimaryKeyConstraint("id"),
    UniqueConstraint("rollback_id", "position"),
    CheckConstraint(f"state IN ({_UNDOING}, {_UNDONE})", "state"),
    # One undo at a time, and one that succeeded, for each request.
    _index("uq_rollback_item_live", "request_id", unique=True, where=f"state IN ({_UNDOING}, 'succeeded')"),
)

oncall_cover = _table(
    "oncall_cover",
    _text("id"),
    _text("schedule"),
    # As the schedule's file names people; the offer itself is between Slack ids.
    _text("covering"),
    _text("covered"),
    _integer("starts_at"),
    _integer("ends_at"),
    _text("offered_by"),
    _text("offered_to"),
    _integer("takes"),
    _integer("offered_at"),
    _text("state"),
    _integer("decided_at", null=True),
    PrimaryKeyConstraint("id"),
    CheckConstraint("state IN ('offered', 'accepted', 'withdrawn')", "state"),
    CheckConstraint("(state = 'offered') = (decided_at IS NULL)", "decided_in_full"),
    _boolean("takes"),
    CheckConstraint("starts_at < ends_at", "span"),
    CheckConstraint("offered_by <> offered_to AND covering <> covered", "two_people"),
    _index("ix_oncall_cover_live", "schedule", "ends_at", where="state = 'accepted'"),
)

idempotency = _table(
    "idempotency",
    _text("agent"),
    _text("scope"),
    _text("key"),
    _text("body_digest"),
    _text("request_id"),
    _bytes("answer", null=True),
    _integer("created_at"),
    PrimaryKeyConstraint("agent", "scope", "key"),
    _index("ix_idempotency_created", "created_at"),
    keyed=True,
)

grants = _table(
    "grants",
    _text("id"),
    Column("request_id", Text, ForeignKey("request.id"), nullable=False),
    _text("agent"),
    _text("action_type"),
    _text("rule"),
    _text("policy", null=True),
    _text("policy_version"),
    _text("params"),
    _text("directory", null=True),
    _text("session_id", null=True),
    _text("highest"),
    _text("giver_id"),
    _text("giver_name"),
    _integer("uses"),
    _integer("used"),
    _integer("created_at"),
    _integer("expires_at"),
    _integer("revoked_at", null=True),
    PrimaryKeyConstraint("id"),
    CheckConstraint("used >= 0 AND used <= uses", "uses"),
    CheckConstraint("expires_at > created_at", "expires"),
    _index("ix_grants_live", "expires_at", "id", where="revoked_at IS NULL"),
    _index("ix_grants_scope", "agent", "action_type", "rule", "expires_at", where="revoked_at IS NULL"),
)

grant_use = _table(
    "grant_use",
    Column("grant_id", Text, ForeignKey("grants.id"), nullable=False),
    Column("request_id", Text, ForeignKey("request.id"), nullable=False),
    PrimaryKeyConstraint("grant_id", "request_id"),
    keyed=True,
)

budget = _table(
    "budget",
    _text("name"),
    _integer("spent_at"),
    PrimaryKeyConstraint("name"),
    keyed=True,
)

spend = _table(
    "spend",
    Column("request_id", Text, ForeignKey("request.id"), nullable=False),
    _text("budget"),
    _text("agent"),
    _integer("at"),
    # In the base currency of the policy, rounded up to a millionth.
    _integer("whole"),
    _integer("millionths"),
    PrimaryKeyConstraint("request_id", "budget"),
    CheckConstraint("whole >= 0 AND millionths >= 0 AND millionths < 1000000", "amount"),
    _index("ix_spend_budget", "budget", "at"),
    _index("ix_spend_agent", "budget", "agent", "at"),
    keyed=True,
)

meta = _table(
    "meta",
    _text("name"),
    _text("value"),
    PrimaryKeyConstraint("name"),
)
