"""Keyturn for agents: ask before you act, and run exactly what was approved.

    import keyturn

    client = keyturn.Client()  # KEYTURN_URL, KEYTURN_TOKEN

    @client.requires_approval("deployment", description="Deploy {version} to {environment}")
    def deploy(environment: str, version: str) -> None: ...

`Client` blocks, `AsyncClient` is awaited; both raise the tree in `keyturn.errors`, and whatever is raised,
the action did not get permission to run.
"""

from keyturn.aio import AsyncClient
from keyturn.client import Client
from keyturn.errors import (
    AlreadyClaimed,
    AlreadyDecided,
    ApiError,
    ApprovalExpired,
    Cancelled,
    ClaimRefused,
    ConfigurationError,
    Conflict,
    DigestMismatch,
    IdempotencyConflict,
    InvalidRequest,
    KeyturnError,
    MissingScope,
    ModificationMismatch,
    NotApproved,
    NotClaimed,
    NotFound,
    NotRollbackable,
    NotYetDecided,
    OutcomeConflict,
    OutsideWindow,
    Paused,
    PolicyRejected,
    PreviewChanged,
    RateLimited,
    Rejected,
    SessionEnded,
    TimedOut,
    Unauthorized,
    Unavailable,
    Unreachable,
    WaitTimeout,
)
from keyturn.exact import digest
from keyturn.guard import Action, current_action
from keyturn.models import (
    AuditEvent,
    Cause,
    Claim,
    Decision,
    Evaluation,
    Event,
    ExecutionState,
    Page,
    Request,
    RiskLevel,
    Session,
    Status,
)

__all__ = [
    "Action",
    "AlreadyClaimed",
    "AlreadyDecided",
    "ApiError",
    "ApprovalExpired",
    "AsyncClient",
    "AuditEvent",
    "Cancelled",
    "Cause",
    "Claim",
    "ClaimRefused",
    "Client",
    "ConfigurationError",
    "Conflict",
    "Decision",
    "DigestMismatch",
    "Evaluation",
    "Event",
    "ExecutionState",
    "IdempotencyConflict",
    "InvalidRequest",
    "KeyturnError",
    "MissingScope",
    "ModificationMismatch",
    "NotApproved",
    "NotClaimed",
    "NotFound",
    "NotRollbackable",
    "NotYetDecided",
    "OutcomeConflict",
    "OutsideWindow",
    "Page",
    "Paused",
    "PolicyRejected",
    "PreviewChanged",
    "RateLimited",
    "Rejected",
    "Request",
    "RiskLevel",
    "Session",
    "SessionEnded",
    "Status",
    "TimedOut",
    "Unauthorized",
    "Unavailable",
    "Unreachable",
    "WaitTimeout",
    "current_action",
    "digest",
]
