"""Refusals as RFC 9457 problems: one table from `code` to status, one shape for every error.

Nothing but the sentences of `bot.core.errors` reaches a caller. A fault of our own is logged
with a reference number, and the number is all that the answer says of it.
"""

import logging
import secrets
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from starlette.responses import Response

from bot.core import jsontext
from bot.core.errors import InvalidRequest, KeyturnError, Retryable

PROBLEM_JSON = "application/problem+json"

STATUS: Mapping[str, int] = {
    "invalid_json": 400,
    "unauthorized": 401,
    "missing_scope": 403,
    "not_found": 404,
    "method_not_allowed": 405,
    "idempotency_conflict": 409,
    "session_ended": 409,
    "already_decided": 409,
    "already_claimed": 409,
    "not_approved": 409,
    "digest_mismatch": 409,
    "paused": 409,
    "approval_expired": 409,
    "outside_window": 409,
    "preview_changed": 409,
    "not_claimed": 409,
    "outcome_conflict": 409,
    "not_rollbackable": 409,
    "too_large": 413,
    "unsupported_media_type": 415,
    "invalid_request": 422,
    "inexact_number": 422,
    "unknown_escalation_target": 422,
    "rate_limited": 429,
    "unavailable": 503,
}
"""The status of every code that a call over HTTP can meet."""

OTHER_FACES = frozenset(
    {
        "conflict",  # the base of the 409s; only its subclasses are raised
        "cover_refused",
        "review_refused",
        "invalid_fields",
        "unknown_request",
        "already_settled",
        "already_reviewed",
        "stale",
        "held_by_pause",
        "not_an_approver",
        "own_request",
        "acts_for_you",
        "not_a_person",
        "other_workspace",
        "cannot_verify",
        "source_gone",
        "not_offered",
        "edit_refused",
        "undo_refused",
    }
)
"""Codes that only answer a click in Slack; here they would be a fault of ours."""

_log = logging.getLogger(__name__)


def problem(error: KeyturnError) -> Response:
    """The answer to a refusal. A code without a status is answered as `internal` says.

    The body is `{type, title, status, code, detail}`, for a wrong field also
    `errors: [{pointer, detail}]`.
    """
    status = STATUS.get(error.code)
    if status is None:
        return internal(error)
    extra: dict[str, Any] = {}
    if isinstance(error, InvalidRequest) and error.errors:
        extra["errors"] = [{"pointer": pointer, "detail": text} for pointer, text in error.errors]
    return problem_response(status, error.code, error.message, headers=_headers(error), **extra)


def internal(error: BaseException) -> Response:
    """500 with a reference number; the error itself is only in the log, under that number."""
    reference = secrets.token_hex(6)
    _log.error(
        "internal error, reference %s",
        reference,
        exc_info=error,
        extra={"event": "internal_error", "reference": reference},
    )
    detail = f"Something is wrong in Keyturn. Its log has the details under reference {reference}."
    return problem_response(500, "internal", detail)


def problem_response(
    status: int, code: str, detail: str, *, headers: Mapping[str, str] | None = None, **extra: Any
) -> Response:
    """A problem document as a response."""
    body = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "code": code,
        "detail": detail,
        **extra,
    }
    return Response(
        jsontext.dumps(body), status_code=status, headers=dict(headers or {}), media_type=PROBLEM_JSON
    )


def _headers(error: KeyturnError) -> dict[str, str]:
    if isinstance(error, Retryable):
        return {"Retry-After": str(error.retry_after)}
    if error.code == "unauthorized":
        return {"WWW-Authenticate": "Bearer"}
    return {}
