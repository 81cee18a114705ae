"""Everything the SDK raises. Whatever is raised, the action must not run.

KeyturnError
├── ConfigurationError        no server address or no token, or one that cannot be used
├── NotApproved               the final answer is no; `.request`, `.cause`, `.reason`
│   ├── Rejected              a person said no (cause `human`)
│   │   └── PolicyRejected    a rule or threshold said no; nobody was asked
│   ├── Paused                the kill switch is on (cause `paused`); ask again after it is lifted
│   ├── TimedOut              nobody answered, or nobody could (cause `no_approver`)
│   └── Cancelled             withdrawn by the agent or by an operator
├── NotYetDecided             your own wait ended first; the request is still pending (alias WaitTimeout)
├── Unreachable               the server gave no answer that can be trusted
├── ModificationMismatch      what was approved does not fit the function that asked
└── ApiError                  the server refused the call; `.code`, `.status`, `.problem`
    ├── ClaimRefused          approved, but this approval cannot be used
    │   ├── AlreadyClaimed    it was used before; it works once
    │   ├── ApprovalExpired   it was not used in time; ask again
    │   ├── OutsideWindow     the reviewer allowed it later (`not_before`)
    │   ├── DigestMismatch    the action is not the one that was approved
    │   └── PreviewChanged    the dry run no longer says what the reviewer saw
    ├── InvalidRequest        the call is malformed; the message says where
    ├── Unauthorized          the token is unknown or revoked
    ├── MissingScope          the token may not do this
    ├── NotFound              no such request, session or path for this agent
    ├── Conflict              it contradicts what happened before
    │   ├── AlreadyDecided · IdempotencyConflict · SessionEnded · NotClaimed · OutcomeConflict
    │   └── NotRollbackable
    ├── RateLimited           too many requests for longer than `retry_for`
    └── Unavailable           the server cannot store anything, for longer than `retry_for`
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from keyturn.models import Request


class KeyturnError(Exception):
    """Base of all errors of this package."""


class ConfigurationError(KeyturnError, ValueError):
    """The client was not told which server to ask or as whom."""


class NotApproved(KeyturnError):
    """The server's final answer is no.

    Attributes:
        request: The decided request; None where only a claim was refused.
        cause: Why, in the server's words (`human`, `policy_rule`, `timeout`, …); None with `request` None.
        reason: The sentence given with the decision.
    """

    def __init__(self, message: str, *, request: "Request | None" = None, reason: str | None = None) -> None:
        super().__init__(message)
        self.request = request
        self.cause: str | None = None if request is None else request.cause
        decided = None if request is None else request.decision
        self.reason = reason or (None if decided is None else decided.reason)


class Rejected(NotApproved):
    """A person rejected the action."""


class PolicyRejected(Rejected):
    """A rule or the risk threshold rejected the action; nobody was asked."""


class Paused(NotApproved):
    """An operator paused this agent, this type of action, or everything."""


class TimedOut(NotApproved):
    """The last deadline passed without a decision, or nobody was able to decide."""


class Cancelled(NotApproved):
    """The request was withdrawn."""


class NotYetDecided(KeyturnError):
    """The caller's own timeout passed first. This is no denial: the request is still pending.

    Attributes:
        request: The request as last seen. `client.wait(error.request)` goes on waiting.
    """

    def __init__(self, request: "Request") -> None:
        super().__init__(
            f"{request.id} is still pending after your own timeout; wait again, or cancel it. Do not run it."
        )
        self.request = request


WaitTimeout = NotYetDecided


class Unreachable(KeyturnError):
    """No answer that can be trusted: no connection, no reply in time, or a reply that is not Keyturn's.

    Attributes:
        idempotency_key: Of the unanswered call. Repeating it with this key never does it twice.
    """

    def __init__(self, message: str, *, idempotency_key: str | None = None) -> None:
        super().__init__(message)
        self.idempotency_key = idempotency_key


class ModificationMismatch(KeyturnError):
    """The approved params cannot be given to the function that asked; they were not claimed."""


class ApiError(KeyturnError):
    """The server refused the call.

    Attributes:
        status: HTTP status; 0 where the SDK itself refused.
        code: The problem's stable code, for example `already_claimed`.
        problem: The whole RFC 9457 document.
        retry_after: Seconds the server asked to wait, where it said so.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int = 0,
        code: str = "",
        problem: Mapping[str, Any] | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.problem = dict(problem or {})
        self.retry_after = retry_after


class ClaimRefused(ApiError):
    """The approval cannot be used."""


class AlreadyClaimed(ClaimRefused):
    """The approval was used before."""


class ApprovalExpired(ClaimRefused):
    """The approval was not used in time."""


class OutsideWindow(ClaimRefused):
    """The approval may not be used yet."""


class DigestMismatch(ClaimRefused):
    """The action differs from the one that was approved."""


class PreviewChanged(ClaimRefused):
    """The dry run differs from the one that was approved, or was not given."""


class InvalidRequest(ApiError):
    """The call is malformed."""


class Unauthorized(ApiError):
    """The token is missing, unknown or revoked."""


class MissingScope(ApiError):
    """The token lacks the scope this call needs."""


class NotFound(ApiError):
    """Nothing of that name belongs to this agent."""


class Conflict(ApiError):
    """The call contradicts what happened before."""


class AlreadyDecided(Conflict):
    """The request was decided before it could be cancelled."""


class IdempotencyConflict(Conflict):
    """The idempotency key was used before with another body."""


class SessionEnded(Conflict):
    """The session has ended; start another."""


class NotClaimed(Conflict):
    """An outcome was reported for an approval that was not claimed."""


class OutcomeConflict(Conflict):
    """Another outcome was reported before."""


class NotRollbackable(Conflict):
    """The action cannot be rolled back, or its rollback has ended."""


class RateLimited(ApiError):
    """Too many requests."""


class Unavailable(ApiError):
    """The server cannot store anything, so it decides nothing."""


_BY_CODE: dict[str, type[ApiError]] = {
    "already_claimed": AlreadyClaimed,
    "approval_expired": ApprovalExpired,
    "outside_window": OutsideWindow,
    "digest_mismatch": DigestMismatch,
    "preview_changed": PreviewChanged,
    "invalid_json": InvalidRequest,
    "method_not_allowed": InvalidRequest,
    "too_large": InvalidRequest,
    "unsupported_media_type": InvalidRequest,
    "invalid_request": InvalidRequest,
    "inexact_number": InvalidRequest,
    "unknown_escalation_target": InvalidRequest,
    "unauthorized": Unauthorized,
    "missing_scope": MissingScope,
    "not_found": NotFound,
    "already_decided": AlreadyDecided,
    "idempotency_conflict": IdempotencyConflict,
    "session_ended": SessionEnded,
    "not_claimed": NotClaimed,
    "outcome_conflict": OutcomeConflict,
    "not_rollbackable": NotRollbackable,
    "rate_limited": RateLimited,
    "unavailable": Unavailable,
}


def from_problem(
    status: int, problem: Mapping[str, Any], retry_after: float | None = None
) -> ApiError | NotApproved:
    """Return the error for a problem document; an unknown code is a plain ApiError."""
    code = str(problem.get("code") or "")
    says = str(problem.get("detail") or problem.get("title") or "no explanation given")
    if code == "paused":
        return Paused(f"paused: {says}", reason=says)
    if code == "not_approved":
        return NotApproved(f"not_approved: {says}", reason=says)
    kind = _BY_CODE.get(code, ApiError)
    return kind(
        f"{code or status}: {says}", status=status, code=code, problem=problem, retry_after=retry_after
    )
