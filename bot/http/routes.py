"""Which path leads to which handler, and what the document says of it: one table for each subject."""

from functools import partial

from pydantic import BaseModel

from bot.http import documents as doc
from bot.http import shapes, shapes_rollback
from bot.http.audit import AuditRoutes
from bot.http.compat import Safeguards
from bot.http.face import Face
from bot.http.operations import Operations
from bot.http.plain import Declaration, Handler, PlainRoute
from bot.http.requests import Requests
from bot.http.rollbacks import Rollbacks
from bot.http.sessions import SessionRoutes

_READ = ("unauthorized", "missing_scope", "not_found", "unavailable")
_WRITE = (
    *_READ,
    "invalid_json",
    "too_large",
    "unsupported_media_type",
    "invalid_request",
    "inexact_number",
)
_ASK = (*(code for code in _WRITE if code != "not_found"), "unknown_escalation_target", "rate_limited")
_CLAIM = (
    "idempotency_conflict",
    "already_claimed",
    "not_approved",
    "digest_mismatch",
    "paused",
    "approval_expired",
    "outside_window",
    "preview_changed",
)
_ROLLBACK_CLAIM = ("idempotency_conflict", "already_claimed", "not_approved", "not_rollbackable")

SHAPES: list[type[BaseModel]] = [
    shapes.RequestShape,
    shapes.RequestList,
    shapes.ClaimShape,
    shapes.EvaluationShape,
    shapes.SessionShape,
    shapes.TimelineShape,
    shapes.AuditList,
    shapes.VerificationShape,
    shapes_rollback.RollbackShape,
    shapes_rollback.RollbackQueue,
    shapes_rollback.RollbackWorkShape,
    shapes.SafeguardsShape,
    shapes.AliveShape,
    shapes.ReadyShape,
    shapes.JwksShape,
]
"""Every shape of an answer, under its own name in the document."""


def every_route(face: Face) -> list[PlainRoute]:
    """Each route with its handler; hot ones first, since the router asks one after the other."""
    return [
        *_request_routes(face),
        *_session_routes(face),
        *_rollback_routes(face),
        *_compat_routes(face),
        *_audit_routes(face),
        *_operation_routes(face),
    ]


def _request_routes(face: Face) -> list[PlainRoute]:
    route = partial(_route, "requests")
    do = Requests(face)
    applied = {"Preference-Applied": "`wait=N`: how long the answer was held at most."}
    one, request = "/v1/requests/{id}", shapes.RequestShape
    return [
        route(
            "POST",
            "/v1/requests",
            do.submit_request,
            doc.takes_submission,
            doc.answers(
                request, 201, *_ASK, "idempotency_conflict", "session_ended", also=200, headers=applied
            ),
        ),
        route(
            "GET", one, do.get_request, doc.takes_read, doc.answers(request, 200, *_READ, "invalid_request")
        ),
        route(
            "POST",
            one + "/claim",
            do.claim_request,
            doc.takes_claim,
            doc.answers(shapes.ClaimShape, 200, *_WRITE, *_CLAIM),
        ),
        route(
            "POST",
            one + "/outcome",
            do.report_outcome,
            doc.takes_outcome,
            doc.answers(request, 200, *_WRITE, "not_claimed", "outcome_conflict"),
        ),
        route("GET", one + "/events", do.request_events, doc.takes_events, doc.event_stream(*_READ)),
        route(
            "POST",
            "/v1/evaluate",
            do.evaluate_action,
            doc.takes_evaluation,
            doc.answers(shapes.EvaluationShape, 200, *_ASK),
        ),
        route(
            "GET",
            "/v1/requests",
            do.list_requests,
            doc.takes_list,
            doc.answers(
                shapes.RequestList, 200, "unauthorized", "missing_scope", "unavailable", "invalid_request"
            ),
        ),
        route(
            "POST",
            one + "/cancel",
            do.cancel_request,
            doc.takes_cancel,
            doc.answers(request, 200, *_WRITE, "already_decided"),
        ),
        route(
            "POST", one + "/messages", do.send_message, doc.takes_message, doc.answers(request, 200, *_WRITE)
        ),
    ]


def _session_routes(face: Face) -> list[PlainRoute]:
    route = partial(_route, "sessions")
    do = SessionRoutes(face)
    one, session = "/v1/sessions/{id}", shapes.SessionShape
    no_404 = (code for code in _WRITE if code != "not_found")
    return [
        route(
            "POST",
            "/v1/sessions",
            do.start_session,
            doc.takes_session,
            doc.answers(session, 201, *no_404, "session_ended", also=200),
        ),
        route(
            "POST", one + "/end", do.end_session, doc.takes_session_end, doc.answers(session, 200, *_WRITE)
        ),
        route(
            "GET",
            one,
            do.get_session,
            doc.takes_session_read,
            doc.answers(session, 200, *_READ, "invalid_request"),
        ),
        route(
            "GET",
            one + "/timeline",
            do.session_timeline,
            doc.takes_timeline,
            doc.answers(shapes.TimelineShape, 200, *_READ, "invalid_request"),
        ),
    ]


def _rollback_routes(face: Face) -> list[PlainRoute]:
    route = partial(_route, "rollbacks")
    do = Rollbacks(face)
    one, rollback = "/v1/rollbacks/{id}", shapes_rollback.RollbackShape
    queue = ("unauthorized", "missing_scope", "unavailable", "invalid_request")
    return [
        route(
            "GET",
            "/v1/rollbacks",
            do.rollback_queue,
            doc.takes_queue,
            doc.answers(shapes_rollback.RollbackQueue, 200, *queue),
        ),
        route("GET", one, do.get_rollback, doc.takes_rollback_id, doc.answers(rollback, 200, *_READ)),
        route(
            "POST",
            one + "/claim",
            do.claim_rollback,
            doc.takes_rollback_claim,
            doc.answers(shapes_rollback.RollbackWorkShape, 200, *_WRITE, *_ROLLBACK_CLAIM),
        ),
        route(
            "POST",
            one + "/outcome",
            do.report_rollback,
            doc.takes_rollback_outcome,
            doc.answers(rollback, 200, *_WRITE, "not_claimed", "outcome_conflict"),
        ),
        route(
            "POST",
            "/v1/requests/{id}/rollback",
            do.start_rollback,
            doc.takes_rollback_start,
            doc.answers(rollback, 202, *_WRITE, "not_rollbackable"),
        ),
        route(
            "POST",
            "/v1/sessions/{id}/rollback",
            do.start_session_rollback,
            doc.takes_session_rollback,
            doc.answers(rollback, 202, *_WRITE, "not_rollbackable"),
        ),
    ]


def _compat_routes(face: Face) -> list[PlainRoute]:
    route = partial(_route, "compat")
    do = Safeguards(face)
    base, status = "/compat/safeguards", shapes.SafeguardsShape
    ask = doc.answers(
        status, 202, *(c for c in _ASK if c != "unknown_escalation_target"), "idempotency_conflict"
    )
    return [
        route("POST", base + "/request-approval", do.safeguards_request, doc.takes_safeguards, ask),
        # A base URL that ends in a slash makes the library's client double it.
        route(
            "POST", base + "//request-approval", do.safeguards_request, doc.takes_safeguards, ask, hidden=True
        ),
        route(
            "GET",
            base + "/requests/{client_id:path}",
            do.safeguards_status,
            doc.takes_client_id,
            doc.answers(status, 200, *_READ),
        ),
    ]


def _audit_routes(face: Face) -> list[PlainRoute]:
    route = partial(_route, "audit")
    do = AuditRoutes(face)
    refused = ("unauthorized", "missing_scope", "invalid_request", "unavailable")
    return [
        route(
            "GET",
            "/v1/audit",
            do.list_audit,
            doc.takes_audit_page,
            doc.answers(shapes.AuditList, 200, *refused),
        ),
        route(
            "GET",
            "/v1/audit/verify",
            do.verify_audit,
            doc.takes_verification,
            doc.answers(shapes.VerificationShape, 200, *refused),
        ),
        route("GET", "/v1/audit/export", do.export_audit, doc.takes_export, doc.export(*refused)),
    ]


def _operation_routes(face: Face) -> list[PlainRoute]:
    route = partial(_route, "operations")
    do = Operations(face)
    return [
        route("GET", "/healthz", do.healthz, doc.takes_nothing, doc.answers(shapes.AliveShape, 200)),
        route("GET", "/readyz", do.readyz, doc.takes_nothing, doc.answers(shapes.ReadyShape, 200, also=503)),
        route("GET", "/metrics", do.metrics, doc.takes_nothing, doc.plain_text("unavailable")),
        route(
            "GET", "/.well-known/jwks.json", do.jwks, doc.takes_nothing, doc.answers(shapes.JwksShape, 200)
        ),
    ]


def _route(
    tag: str,
    method: str,
    path: str,
    handler: Handler,
    takes: Declaration,
    responses: doc.Responses,
    *,
    hidden: bool = False,
) -> PlainRoute:
    return PlainRoute(path, handler, method=method, takes=takes, answers=responses, tag=tag, hidden=hidden)
