"""The first schema.

SQL by hand: what runs is what is read here. Both databases run the same tables and indexes;
only the names of three column types differ, and the language of triggers.
"""

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

TABLES = (
    """
    CREATE TABLE request (
        id TEXT NOT NULL,
        agent TEXT NOT NULL,
        owner TEXT,
        session_id TEXT,
        action_type TEXT NOT NULL,
        digest TEXT NOT NULL,
        preview_digest TEXT,
        risk_level TEXT NOT NULL,
        status TEXT NOT NULL,
        cause TEXT,
        version {big} NOT NULL,
        level {big} NOT NULL,
        channel TEXT,
        approval_valid_for {big} NOT NULL,
        next_deadline_at {big},
        due_at {big},
        decided_at {big},
        decided_digest TEXT,
        expires_at {big},
        execution_state TEXT NOT NULL,
        claimed_at {big},
        submission TEXT NOT NULL,
        risk TEXT NOT NULL,
        policy TEXT NOT NULL,
        requirement TEXT,
        plan TEXT NOT NULL,
        watch TEXT,
        proposal TEXT,
        decision TEXT,
        execution TEXT,
        undo_until {big},
        created_at {big} NOT NULL,
        updated_at {big} NOT NULL,
        CONSTRAINT pk_request PRIMARY KEY (id),
        CONSTRAINT ck_request_status
            CHECK (status IN ('pending', 'approved', 'modified', 'rejected', 'timed_out', 'cancelled')),
        CONSTRAINT ck_request_risk_level CHECK (risk_level IN ('none', 'low', 'medium', 'high', 'critical')),
        CONSTRAINT ck_request_cause
            CHECK (cause IN ('human', 'policy_rule', 'risk_threshold', 'grant', 'timeout', 'no_approver',
                'cancelled_by_agent', 'cancelled_by_operator', 'paused')),
        CONSTRAINT ck_request_cause_fits
            CHECK ((status = 'timed_out') = (cause IS NOT NULL AND cause IN ('timeout', 'no_approver'))
                AND (status = 'cancelled')
                    = (cause IS NOT NULL AND cause IN ('cancelled_by_agent', 'cancelled_by_operator'))
                AND (status <> 'modified' OR cause = 'human')
                AND (cause <> 'paused' OR status = 'rejected')),
        CONSTRAINT ck_request_version CHECK (version >= 1),
        CONSTRAINT ck_request_level CHECK (level >= 0),
        CONSTRAINT ck_request_pending_has_deadline
            CHECK ((status = 'pending') = (next_deadline_at IS NOT NULL)),
        CONSTRAINT ck_request_due_while_pending
            CHECK ((next_deadline_at IS NULL) = (due_at IS NULL)),
        CONSTRAINT ck_request_decided_in_full
            CHECK ((status = 'pending') = (decided_at IS NULL)
                AND (status = 'pending') = (decision IS NULL)
                AND (status = 'pending') = (cause IS NULL)),
        CONSTRAINT ck_request_runnable_is_bound
            CHECK ((status IN ('approved', 'modified'))
                = (decided_digest IS NOT NULL AND expires_at IS NOT NULL)),
        CONSTRAINT ck_request_execution_state
            CHECK (execution_state IN ('not_started', 'claimed', 'succeeded', 'failed', 'rolled_back')),
        CONSTRAINT ck_request_claimed_in_full
            CHECK ((execution_state = 'not_started') = (claimed_at IS NULL)),
        CONSTRAINT ck_request_only_approved_runs
            CHECK (execution_state = 'not_started' OR status IN ('approved', 'modified')),
        CONSTRAINT ck_request_only_successes_are_undone
            CHECK (undo_until IS NULL OR execution_state = 'succeeded')
    ) {strict}
    """,
    """
    CREATE TABLE review (
        request_id TEXT NOT NULL,
        position {big} NOT NULL,
        reviewer_id TEXT NOT NULL,
        verdict TEXT NOT NULL,
        digest TEXT NOT NULL,
        voided {big} NOT NULL,
        at {big} NOT NULL,
        body TEXT NOT NULL,
        CONSTRAINT pk_review PRIMARY KEY (request_id, position),
        CONSTRAINT ck_review_voided CHECK (voided IN (0, 1)),
        CONSTRAINT ck_review_verdict CHECK (verdict IN ('approve', 'reject', 'modify')),
        CONSTRAINT fk_review_request_id FOREIGN KEY(request_id) REFERENCES request (id)
    ) {keyed}
    """,
    """
    CREATE TABLE message (
        request_id TEXT NOT NULL,
        position {big} NOT NULL,
        at {big} NOT NULL,
        body TEXT NOT NULL,
        CONSTRAINT pk_message PRIMARY KEY (request_id, position),
        CONSTRAINT fk_message_request_id FOREIGN KEY(request_id) REFERENCES request (id)
    ) {keyed}
    """,
    """
    CREATE TABLE audit (
        seq {big} NOT NULL,
        at {big} NOT NULL,
        event TEXT NOT NULL,
        actor_id TEXT NOT NULL,
        agent TEXT,
        request_id TEXT,
        session_id TEXT,
        action_type TEXT,
        risk_level TEXT,
        reversible {big},
        canonical {bytes} NOT NULL,
        prev_hash {bytes} NOT NULL,
        hash {bytes} NOT NULL,
        CONSTRAINT pk_audit PRIMARY KEY (seq),
        CONSTRAINT ck_audit_hashes CHECK (length(prev_hash) = 32 AND length(hash) = 32)
    ) {strict}
    """,
    """
    CREATE TABLE chain_head (
        id {big} NOT NULL,
        seq {big} NOT NULL,
        at {big} NOT NULL,
        hash {bytes} NOT NULL,
        CONSTRAINT pk_chain_head PRIMARY KEY (id),
        CONSTRAINT ck_chain_head_one_row CHECK (id = 1),
        CONSTRAINT ck_chain_head_hash CHECK (length(hash) = 32)
    ) {strict}
    """,
    """
    CREATE TABLE audit_base (
        id {big} NOT NULL,
        seq {big} NOT NULL,
        hash {bytes} NOT NULL,
        CONSTRAINT pk_audit_base PRIMARY KEY (id),
        CONSTRAINT ck_audit_base_one_row CHECK (id = 1),
        CONSTRAINT ck_audit_base_hash CHECK (length(hash) = 32)
    ) {strict}
    """,
    """
    CREATE TABLE checkpoint (
        seq {big} NOT NULL,
        at {big} NOT NULL,
        hash {bytes} NOT NULL,
        note TEXT NOT NULL,
        CONSTRAINT pk_checkpoint PRIMARY KEY (seq),
        CONSTRAINT ck_checkpoint_hash CHECK (length(hash) = 32)
    ) {strict}
    """,
    """
    CREATE TABLE pause (
        what TEXT NOT NULL,
        reason TEXT NOT NULL,
        by_id TEXT NOT NULL,
        by_name TEXT NOT NULL,
        at {big} NOT NULL,
        CONSTRAINT pk_pause PRIMARY KEY (what)
    ) {keyed}
    """,
    """
    CREATE TABLE card (
        id {serial},
        request_id TEXT NOT NULL,
        channel_target TEXT NOT NULL,
        kind TEXT NOT NULL,
        level {big} NOT NULL,
        channel TEXT,
        ts TEXT,
        request_version {big} NOT NULL,
        posted_version {big},
        painted_version {big},
        state TEXT NOT NULL,
        error TEXT,
        created_at {big} NOT NULL,
        CONSTRAINT pk_card PRIMARY KEY (id),
        CONSTRAINT ck_card_state CHECK (state IN ('wanted', 'posted', 'failed')),
        CONSTRAINT ck_card_posted_in_full
            CHECK (state <> 'posted'
                OR (channel IS NOT NULL AND ts IS NOT NULL AND posted_version IS NOT NULL)),
        CONSTRAINT ck_card_failed_in_full CHECK ((state = 'failed') = (error IS NOT NULL)),
        CONSTRAINT fk_card_request_id FOREIGN KEY(request_id) REFERENCES request (id)
    ) {strict}
    """,
    """
    CREATE TABLE thread (
        agent TEXT NOT NULL,
        session_id TEXT NOT NULL,
        target TEXT NOT NULL,
        card_id {big} NOT NULL,
        told_seq {big} NOT NULL,
        CONSTRAINT pk_thread PRIMARY KEY (agent, session_id, target),
        CONSTRAINT fk_thread_card_id FOREIGN KEY(card_id) REFERENCES card (id)
    ) {keyed}
    """,
    """
    CREATE TABLE outbox (
        id {serial},
        kind TEXT NOT NULL,
        order_key TEXT NOT NULL,
        coalesce_key TEXT,
        request_id TEXT,
        payload TEXT NOT NULL,
        attempts {big} DEFAULT 0 NOT NULL,
        generation {big} DEFAULT 1 NOT NULL,
        next_at {big} NOT NULL,
        lease_until {big},
        lease_owner TEXT,
        unclear {big} DEFAULT 0 NOT NULL,
        first_attempt_at {big},
        last_error TEXT,
        created_at {big} NOT NULL,
        done_at {big},
        failed_at {big},
        CONSTRAINT pk_outbox PRIMARY KEY (id),
        CONSTRAINT ck_outbox_unclear CHECK (unclear IN (0, 1)),
        CONSTRAINT ck_outbox_one_end CHECK (done_at IS NULL OR failed_at IS NULL),
        CONSTRAINT ck_outbox_failed_in_full CHECK (failed_at IS NULL OR last_error IS NOT NULL),
        CONSTRAINT ck_outbox_leased_while_open
            CHECK (lease_until IS NULL OR (done_at IS NULL AND failed_at IS NULL))
    ) {strict}
    """,
    """
    CREATE TABLE pace (
        key TEXT NOT NULL,
        free_at {big} NOT NULL,
        ready_at {big},
        CONSTRAINT pk_pace PRIMARY KEY (key)
    ) {keyed}
    """,
    """
    CREATE TABLE session (
        agent TEXT NOT NULL,
        id TEXT NOT NULL,
        name TEXT,
        metadata TEXT,
        started_at {big} NOT NULL,
        ended_at {big},
        summary TEXT,
        CONSTRAINT pk_session PRIMARY KEY (id, agent)
    ) {strict}
    """,
    """
    CREATE TABLE agent (
        name TEXT NOT NULL,
        token_hash TEXT NOT NULL,
        scopes TEXT NOT NULL,
        owner TEXT,
        rate {big} NOT NULL,
        callback_hosts TEXT NOT NULL,
        created_at {big} NOT NULL,
        revoked_at {big},
        CONSTRAINT pk_agent PRIMARY KEY (name),
        CONSTRAINT uq_agent_token_hash UNIQUE (token_hash),
        CONSTRAINT ck_agent_rate CHECK (rate >= 0)
    ) {strict}
    """,
    """
    CREATE TABLE rollback (
        id TEXT NOT NULL,
        agent TEXT NOT NULL,
        session_id TEXT,
        state TEXT NOT NULL,
        version {big} NOT NULL,
        due_at {big},
        body TEXT NOT NULL,
        created_at {big} NOT NULL,
        updated_at {big} NOT NULL,
        CONSTRAINT pk_rollback PRIMARY KEY (id),
        CONSTRAINT ck_rollback_version CHECK (version >= 1),
        CONSTRAINT ck_rollback_state CHECK (state IN ('requested', 'previewed', 'claimed',
            'succeeded', 'failed', 'conflict', 'expired')),
        CONSTRAINT ck_rollback_due_while_open
            CHECK ((state IN ('requested', 'previewed', 'claimed')) = (due_at IS NOT NULL))
    ) {strict}
    """,
    """
    CREATE TABLE rollback_item (
        id TEXT NOT NULL,
        rollback_id TEXT NOT NULL,
        position {big} NOT NULL,
        request_id TEXT NOT NULL,
        state TEXT NOT NULL,
        body TEXT NOT NULL,
        CONSTRAINT pk_rollback_item PRIMARY KEY (id),
        CONSTRAINT uq_rollback_item_rollback_id_position UNIQUE (rollback_id, position),
        CONSTRAINT ck_rollback_item_state CHECK (state IN ('requested', 'previewed', 'claimed',
            'succeeded', 'failed', 'conflict', 'expired')),
        CONSTRAINT fk_rollback_item_rollback_id FOREIGN KEY (rollback_id) REFERENCES rollback (id),
        CONSTRAINT fk_rollback_item_request_id FOREIGN KEY (request_id) REFERENCES request (id)
    ) {strict}
    """,
    """
    CREATE TABLE oncall_cover (
        id TEXT NOT NULL,
        schedule TEXT NOT NULL,
        covering TEXT NOT NULL,
        covered TEXT NOT NULL,
        starts_at {big} NOT NULL,
        ends_at {big} NOT NULL,
        offered_by TEXT NOT NULL,
        offered_to TEXT NOT NULL,
        takes {big} NOT NULL,
        offered_at {big} NOT NULL,
        state TEXT NOT NULL,
        decided_at {big},
        CONSTRAINT pk_oncall_cover PRIMARY KEY (id),
        CONSTRAINT ck_oncall_cover_state CHECK (state IN ('offered', 'accepted', 'withdrawn')),
        CONSTRAINT ck_oncall_cover_decided_in_full CHECK ((state = 'offered') = (decided_at IS NULL)),
        CONSTRAINT ck_oncall_cover_takes CHECK (takes IN (0, 1)),
        CONSTRAINT ck_oncall_cover_span CHECK (starts_at < ends_at),
        CONSTRAINT ck_oncall_cover_two_people CHECK (offered_by <> offered_to AND covering <> covered)
    ) {strict}
    """,
    """
    CREATE TABLE idempotency (
        agent TEXT NOT NULL,
        scope TEXT NOT NULL,
        key TEXT NOT NULL,
        body_digest TEXT NOT NULL,
        request_id TEXT NOT NULL,
        answer {bytes},
        created_at {big} NOT NULL,
        CONSTRAINT pk_idempotency PRIMARY KEY (agent, scope, key)
    ) {keyed}
    """,
    """
    CREATE TABLE grants (
        id TEXT NOT NULL,
        request_id TEXT NOT NULL,
        agent TEXT NOT NULL,
        action_type TEXT NOT NULL,
        rule TEXT NOT NULL,
        policy TEXT,
        policy_version TEXT NOT NULL,
        params TEXT NOT NULL,
        directory TEXT,
        session_id TEXT,
        highest TEXT NOT NULL,
        giver_id TEXT NOT NULL,
        giver_name TEXT NOT NULL,
        uses {big} NOT NULL,
        used {big} NOT NULL,
        created_at {big} NOT NULL,
        expires_at {big} NOT NULL,
        revoked_at {big},
        CONSTRAINT pk_grants PRIMARY KEY (id),
        CONSTRAINT ck_grants_uses CHECK (used >= 0 AND used <= uses),
        CONSTRAINT ck_grants_expires CHECK (expires_at > created_at),
        CONSTRAINT fk_grants_request_id FOREIGN KEY(request_id) REFERENCES request (id)
    ) {strict}
    """,
    """
    CREATE TABLE grant_use (
        grant_id TEXT NOT NULL,
        request_id TEXT NOT NULL,
        CONSTRAINT pk_grant_use PRIMARY KEY (grant_id, request_id),
        CONSTRAINT fk_grant_use_grant_id FOREIGN KEY(grant_id) REFERENCES grants (id),
        CONSTRAINT fk_grant_use_request_id FOREIGN KEY(request_id) REFERENCES request (id)
    ) {keyed}
    """,
    """
    CREATE TABLE budget (
        name TEXT NOT NULL,
        spent_at {big} NOT NULL,
        CONSTRAINT pk_budget PRIMARY KEY (name)
    ) {keyed}
    """,
    """
    CREATE TABLE spend (
        request_id TEXT NOT NULL,
        budget TEXT NOT NULL,
        agent TEXT NOT NULL,
        at {big} NOT NULL,
        whole {big} NOT NULL,
        millionths {big} NOT NULL,
        CONSTRAINT pk_spend PRIMARY KEY (request_id, budget),
        CONSTRAINT ck_spend_amount CHECK (whole >= 0 AND millionths >= 0 AND millionths < 1000000),
        CONSTRAINT fk_spend_request_id FOREIGN KEY(request_id) REFERENCES request (id)
    ) {keyed}
    """,
    """
    CREATE TABLE meta (
        name TEXT NOT NULL,
        value TEXT NOT NULL,
        CONSTRAINT pk_meta PRIMARY KEY (name)
    ) {strict}
    """,
)

INDEXES = (
    "CREATE INDEX ix_request_agent ON request (agent, created_at, id)",
    "CREATE INDEX ix_thread_card ON thread (card_id)",
    "CREATE INDEX ix_request_created ON request (created_at, id)",
    "CREATE INDEX ix_request_due ON request (due_at) WHERE status = 'pending'",
    "CREATE INDEX ix_request_pending ON request (created_at, id) WHERE status = 'pending'",
    "CREATE INDEX ix_request_undo ON request (undo_until) WHERE undo_until IS NOT NULL",
    "CREATE INDEX ix_request_urgent ON request (risk_level, next_deadline_at, id) WHERE status = 'pending'",
    "CREATE INDEX ix_request_rejected_agent ON request (agent, decided_at)"
    " WHERE status = 'rejected' AND cause = 'human'",
    "CREATE INDEX ix_request_rejected_digest ON request (digest, decided_at)"
    " WHERE status = 'rejected' AND cause = 'human'",
    "CREATE INDEX ix_grants_live ON grants (expires_at, id) WHERE revoked_at IS NULL",
    "CREATE INDEX ix_grants_scope ON grants (agent, action_type, rule, expires_at) WHERE revoked_at IS NULL",
    "CREATE INDEX ix_spend_agent ON spend (budget, agent, at)",
    "CREATE INDEX ix_spend_budget ON spend (budget, at)",
    "CREATE INDEX ix_request_session ON request (session_id, agent, created_at, id)"
    " WHERE session_id IS NOT NULL",
    "CREATE UNIQUE INDEX uq_review_live ON review (request_id, reviewer_id, digest) WHERE voided = 0",
    "CREATE INDEX ix_audit_action_type ON audit (action_type, seq)",
    "CREATE INDEX ix_audit_actor ON audit (actor_id, seq)",
    "CREATE INDEX ix_audit_agent ON audit (agent, seq)",
    "CREATE INDEX ix_audit_agent_event ON audit (agent, event, seq)",
    "CREATE INDEX ix_audit_at ON audit (at)",
    "CREATE INDEX ix_audit_event ON audit (event, seq)",
    "CREATE INDEX ix_audit_request ON audit (request_id, seq)",
    "CREATE INDEX ix_audit_reversible ON audit (reversible, seq) WHERE reversible IS NOT NULL",
    "CREATE INDEX ix_audit_risk_level ON audit (risk_level, seq)",
    "CREATE INDEX ix_audit_session ON audit (session_id, seq) WHERE session_id IS NOT NULL",
    "CREATE INDEX ix_card_request ON card (request_id)",
    "CREATE INDEX ix_outbox_ended ON outbox (created_at) WHERE done_at IS NOT NULL OR failed_at IS NOT NULL",
    "CREATE INDEX ix_outbox_lane ON outbox (order_key, id) WHERE done_at IS NULL AND failed_at IS NULL",
    "CREATE UNIQUE INDEX uq_outbox_coalesce ON outbox (coalesce_key)"
    " WHERE coalesce_key IS NOT NULL AND done_at IS NULL AND failed_at IS NULL",
    "CREATE INDEX ix_pace_ready ON pace (ready_at) WHERE ready_at IS NOT NULL",
    "CREATE INDEX ix_rollback_due ON rollback (due_at) WHERE due_at IS NOT NULL",
    "CREATE UNIQUE INDEX uq_rollback_item_live ON rollback_item (request_id)"
    " WHERE state IN ('requested', 'previewed', 'claimed', 'succeeded')",
    "CREATE INDEX ix_idempotency_created ON idempotency (created_at)",
    "CREATE INDEX ix_oncall_cover_live ON oncall_cover (schedule, ends_at) WHERE state = 'accepted'",
)

_WORDS = {
    "sqlite": {
        "big": "INTEGER",
        "bytes": "BLOB",
        "serial": "INTEGER NOT NULL",
        "strict": "STRICT",
        "keyed": "WITHOUT ROWID, STRICT",
    },
}

_REWRITTEN = (
    "status, cause, version, level, channel, next_deadline_at, decided_at, decided_digest,"
    " expires_at, execution_state, claimed_at, requirement, plan, watch, proposal, decision,"
    " execution, updated_at"
)


def _refuse(name: str, when: str, table: str, condition: str, why: str) -> str:
    guard = f" WHEN {condition}" if condition else ""
    return (
        f"CREATE TRIGGER {name} BEFORE {when} ON {table} FOR EACH ROW{guard}"
        f" BEGIN SELECT RAISE(ABORT, '{why}'); END"
    )


SQLITE_TRIGGERS = (
    _refuse("audit_no_update", "UPDATE", "audit", "", "audit rows are never changed"),
    _refuse(
        "audit_no_delete",
        "DELETE",
        "audit",
        "OLD.seq > COALESCE((SELECT seq FROM audit_base WHERE id = 1), 0)",
        "audit rows are deleted only as a prefix that a checkpoint signed",
    ),
    _refuse("audit_base_no_delete", "DELETE", "audit_base", "", "the base of the chain is never deleted"),
    _refuse(
        "audit_base_forward",
        "UPDATE",
        "audit_base",
        "NEW.seq < OLD.seq OR NOT EXISTS (SELECT 1 FROM checkpoint c JOIN audit a ON a.seq = c.seq"
        " WHERE c.seq = NEW.seq AND c.hash = NEW.hash AND a.hash = NEW.hash)",
        "the kept chain begins after a checkpoint",
    ),
    _refuse("checkpoint_no_update", "UPDATE", "checkpoint", "", "checkpoints are never changed"),
    _refuse("checkpoint_no_delete", "DELETE", "checkpoint", "", "checkpoints are never deleted"),
    _refuse("spend_no_update", "UPDATE", "spend", "", "what was spent is never changed"),
    _refuse("chain_head_no_delete", "DELETE", "chain_head", "", "the chain head is never deleted"),
    _refuse(
        "chain_head_forward",
        "UPDATE",
        "chain_head",
        "NEW.seq < OLD.seq OR NEW.at < OLD.at",
        "the chain only grows",
    ),
    _refuse(
        "request_version",
        f"UPDATE OF {_REWRITTEN}",
        "request",
        "NEW.version <> OLD.version + 1",
        "a change must raise the version by one",
    ),
    _refuse(
        "request_decided_once",
        "UPDATE OF status, cause, decided_at, decided_digest, expires_at",
        "request",
        "OLD.status <> 'pending' AND (NEW.status <> OLD.status OR NEW.cause <> OLD.cause"
        " OR NEW.decided_at <> OLD.decided_at OR NEW.decided_digest <> OLD.decided_digest"
        " OR NEW.expires_at > OLD.expires_at)",
        "a decision is never changed, save that it may end earlier",
    ),
    _refuse(
        "request_runs_once",
        "UPDATE OF execution_state, claimed_at",
        "request",
        "(NEW.execution_state <> OLD.execution_state"
        " AND OLD.execution_state || ' ' || NEW.execution_state NOT IN ('not_started claimed',"
        " 'claimed succeeded', 'claimed failed', 'succeeded rolled_back'))"
        " OR NEW.claimed_at <> OLD.claimed_at",
        "an approval is claimed once and never runs again",
    ),
    _refuse("request_no_delete", "DELETE", "request", "", "requests are never deleted"),
    _refuse(
        "rollback_version",
        "UPDATE",
        "rollback",
        "NEW.version <> OLD.version + 1",
        "a change must raise the version by one",
    ),
    _refuse(
        "rollback_item_done_once",
        "UPDATE OF state",
        "rollback_item",
        "OLD.state = 'succeeded' AND NEW.state <> 'succeeded'",
        "what was undone stays undone",
    ),
    _refuse(
        "request_as_submitted",
        "UPDATE OF id, agent, action_type, digest, preview_digest, submission, risk, policy, created_at",
        "request",
        "",
        "what was submitted is never changed",
    ),
)


def upgrade() -> None:
    """Make every table, index and trigger, and the head of an empty chain."""
    dialect = op.get_bind().dialect.name
    for table in TABLES:
        op.execute(table.format_map(_WORDS[dialect]))
    for statement in (*INDEXES, *SQLITE_TRIGGERS):
        op.execute(statement)
    op.get_bind().exec_driver_sql(
        f"INSERT INTO chain_head (id, seq, at, hash) VALUES (1, 0, 0, x'{'00' * 32}')"
    )
    op.get_bind().exec_driver_sql(f"INSERT INTO audit_base (id, seq, hash) VALUES (1, 0, x'{'00' * 32}')")
