"""Everything that Keyturn refuses, in one tree.

    KeyturnError
    ├── InvalidInput                 what was sent cannot be read or is not allowed
    │   ├── InvalidJson              not JSON, or JSON that two readers could read differently
    │   ├── InvalidRequest           a field is wrong; `errors` says which
    │   ├── InexactNumber            a number that a double cannot hold
    │   ├── InvalidFields            what a person filled in; `fields` says which and why
    │   ├── UnknownEscalationTarget  `escalate_to` names no group the policy lets agents call
    │   ├── TooLarge                 over the body limit
    │   └── UnsupportedMediaType     not JSON
    ├── Unauthorized                 no credential, or not a valid one
    ├── MissingScope                 the credential may not do this
    ├── NotFound                     no such thing, or not the asker's
    ├── MethodNotAllowed
    ├── Retryable                    try again after `retry_after`
    │   ├── RateLimited              the token has used up its rate
    │   └── Unavailable              storage trouble or overload
    ├── Conflict                     the thing is not in a state that allows it
    │   ├── IdempotencyConflict, SessionEnded, AlreadyDecided
    │   ├── AlreadyClaimed, NotApproved, DigestMismatch, Paused,
    │   │   ApprovalExpired, OutsideWindow, PreviewChanged       (claim, in this order)
    │   ├── NotClaimed, OutcomeConflict                          (outcome)
    │   └── NotRollbackable                                      (rollback)
    ├── CoverRefused                 an on-call shift cannot be covered like that
    └── ReviewRefused                a click that is not counted; answered privately, audited
        ├── UnknownRequest, AlreadySettled, AlreadyReviewed, StaleReview, HeldByPause
        ├── NotAnApprover, OwnRequest, ActsForYou, NotAPerson, OtherWorkspace
        ├── CannotVerify
        │   └── SourceGone           a schedule or user group that was to decide is no more
        ├── NotOffered               the button leads nowhere here, or not any more
        ├── EditRefused              the edited action is blocked or too dangerous
        └── UndoRefused              the rollback cannot be confirmed: blocked, or no longer open

A class has a `code`; its docstring is the sentence for people unless one is given; facts are
attributes. Each face maps codes in one table, and a test proves the table complete.
"""

from collections.abc import Mapping, Sequence
from typing import ClassVar


class KeyturnError(Exception):
    """Keyturn cannot do this."""

    code: ClassVar[str]

    def __init__(self, message: str | None = None, **facts: object) -> None:
        self.message = message or (type(self).__doc__ or "").strip().split("\n")[0]
        self.facts = facts
        super().__init__(self.message)


class InvalidInput(KeyturnError):
    """The input cannot be accepted."""

    code = "invalid_request"


class InvalidJson(InvalidInput):
    """The body is not valid JSON."""

    code = "invalid_json"


class InvalidRequest(InvalidInput):
    """A field of the request is wrong.

    Args:
        errors: One `(pointer, sentence)` for each fault; the pointer is a JSON Pointer into the body.
    """

    code = "invalid_request"

    def __init__(self, message: str | None = None, *, errors: Sequence[tuple[str, str]] = ()) -> None:
        if message is None and errors:
            message = "; ".join(f"{pointer or 'body'}: {text}" for pointer, text in errors)
        super().__init__(message)
        self.errors = tuple(errors)


class InvalidFields(InvalidInput):
    """Something in the form is wrong.

    Args:
        fields: A sentence for each wrong field, by the field's name.
    """

    code = "invalid_fields"

    def __init__(self, fields: Mapping[str, str]) -> None:
        super().__init__(" ".join(fields.values()))
        self.fields = dict(fields)


class InexactNumber(InvalidInput):
    """A number cannot be held exactly; send it as a string."""

    code = "inexact_number"


class UnknownEscalationTarget(InvalidInput):
    """`escalate_to` is not one of the groups that this policy lets agents escalate to."""

    code = "unknown_escalation_target"


class TooLarge(InvalidInput):
    """The body is larger than 256 KiB."""

    code = "too_large"


class UnsupportedMediaType(InvalidInput):
    """Send JSON with `Content-Type: application/json`."""

    code = "unsupported_media_type"


class Unauthorized(KeyturnError):
    """Send `Authorization: Bearer <token>` with a token from `keyturn agents add`."""

    code = "unauthorized"


class MissingScope(KeyturnError):
    """This token's scopes do not allow the call."""

    code = "missing_scope"


class NotFound(KeyturnError):
    """There is no such thing, or it is not yours."""

    code = "not_found"


class MethodNotAllowed(KeyturnError):
    """This path does not take that method."""

    code = "method_not_allowed"


class Retryable(KeyturnError):
    """Try again later.

    Args:
        retry_after: Whole seconds to wait before the next try.
    """

    code = "unavailable"

    def __init__(self, message: str | None = None, *, retry_after: int = 1) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class RateLimited(Retryable):
    """This token has used up its rate; wait and try again."""

    code = "rate_limited"


class Unavailable(Retryable):
    """Keyturn cannot store this at the moment; nothing was decided. Try again."""

    code = "unavailable"


class Conflict(KeyturnError):
    """The request is not in a state that allows this."""

    code = "conflict"


class IdempotencyConflict(Conflict):
    """This Idempotency-Key was used with another body."""

    code = "idempotency_conflict"


class SessionEnded(Conflict):
    """This session has ended; start another."""

    code = "session_ended"


class AlreadyDecided(Conflict):
    """The request is already decided."""

    code = "already_decided"


class AlreadyClaimed(Conflict):
    """The approval was claimed before; an approval runs once."""

    code = "already_claimed"


class NotApproved(Conflict):
    """The request is not approved; nothing may run."""

    code = "not_approved"


class DigestMismatch(Conflict):
    """The digest is not the one that was approved."""

    code = "digest_mismatch"


class Paused(Conflict):
    """This agent or action type is paused; nothing may run until an operator resumes it."""

    code = "paused"


class ApprovalExpired(Conflict):
    """The approval has expired; ask again."""

    code = "approval_expired"


class OutsideWindow(Conflict):
    """The approver allowed this only from a later time on."""

    code = "outside_window"


class PreviewChanged(Conflict):
    """The preview is not the one that was approved; ask again with the present one."""

    code = "preview_changed"


class NotClaimed(Conflict):
    """Claim the approval before you report an outcome."""

    code = "not_claimed"


class OutcomeConflict(Conflict):
    """Another outcome was reported before."""

    code = "outcome_conflict"


class NotRollbackable(Conflict):
    """This action cannot be rolled back."""

    code = "not_rollbackable"


class CoverRefused(KeyturnError):
    """This shift cannot be covered like that."""

    code = "cover_refused"


class ReviewRefused(KeyturnError):
    """This click was not counted."""

    code = "review_refused"


class UnknownRequest(ReviewRefused):
    """Keyturn does not know this request; nothing was done."""

    code = "unknown_request"


class AlreadySettled(ReviewRefused):
    """Somebody else was first; your click changed nothing."""

    code = "already_settled"


class AlreadyReviewed(ReviewRefused):
    """You have already given this answer; it counts once."""

    code = "already_reviewed"


class StaleReview(ReviewRefused):
    """The action has changed since this card was drawn; look at the present one and decide again."""

    code = "stale"


class HeldByPause(ReviewRefused):
    """This agent or action type is paused; no decision is taken until an operator resumes it."""

    code = "held_by_pause"


class NotAnApprover(ReviewRefused):
    """You are not among the people who may decide this request."""

    code = "not_an_approver"


class OwnRequest(ReviewRefused):
    """This agent is yours; somebody else must decide its requests."""

    code = "own_request"


class ActsForYou(ReviewRefused):
    """The agent acts for you here; somebody else must decide."""

    code = "acts_for_you"


class NotAPerson(ReviewRefused):
    """Guests, bots and deactivated accounts may not decide."""

    code = "not_a_person"


class OtherWorkspace(ReviewRefused):
    """People of other workspaces may not decide."""

    code = "other_workspace"


class CannotVerify(ReviewRefused):
    """Slack could not tell who may decide this at the moment. Nothing was done; please try again."""

    code = "cannot_verify"


class SourceGone(CannotVerify):
    """Whoever was to decide this is not there any more, and you are not named yourself. Nothing was done."""

    code = "source_gone"


class NotOffered(ReviewRefused):
    """This button offers nothing that may be done here; nothing was done."""

    code = "not_offered"


class EditRefused(ReviewRefused):
    """The policy does not allow the action as edited."""

    code = "edit_refused"


class UndoRefused(ReviewRefused):
    """This rollback can no longer be confirmed."""

    code = "undo_refused"
