"""The HTTP face: every route, in one FastAPI application.

FastAPI keeps the document; the routes run without its machinery (see `plain`). Handlers are in
`requests`, `sessions`, `rollbacks`, `compat` and `operations`.
"""

from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from functools import cached_property
from typing import Any

from fastapi import FastAPI
from pydantic import BaseModel
from starlette.routing import Match, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bot.core.errors import TooLarge
from bot.http import documents as doc
from bot.http import shapes, shapes_rollback
from bot.http.audit import AuditRoutes
from bot.http.auth import Gate
from bot.http.calls import OpenCalls
from bot.http.compat import Safeguards
from bot.http.face import Face, HttpSettings, Services
from bot.http.guard import Guard
from bot.http.operations import Operations
from bot.http.plain import Declaration, Handler, PlainRoute, exact_routes
from bot.http.requests import Requests
from bot.http.rollbacks import Rollbacks
from bot.http.sessions import SessionRoutes

SLACK_EVENTS = "/slack/events"
LARGEST_SLACK_BODY = 2 * 1024 * 1024
"""Bytes. Slack sends whole views back; its limits add up to less than this."""

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


class KeyturnApp(FastAPI):
    """FastAPI with one layer around its router, and a document of its own."""

    face: Face

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one call, without FastAPI's look for telemetry at each."""
        scope["app"] = self
        if self.middleware_stack is None:
            self.middleware_stack = self.build_middleware_stack()
        await self.middleware_stack(scope, receive, send)

    def build_middleware_stack(self) -> ASGIApp:
        """The router behind the guard, and nothing else."""
        return Guard(self._routed(), lambda: list(self.router.routes), self.face.services.metrics.answered)

    def _routed(self) -> ASGIApp:
        """The router, with one look for paths that hold no parameter instead of a match for each route.

        It awaits nothing itself: a held call would pay for every frame between it and the server.
        """
        router, exact = self.router.app, exact_routes(self.router.routes)
        others = [r for r in self.router.routes if isinstance(r, PlainRoute) and r not in exact.values()]

        def routed(scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
            route = exact.get((scope.get("method"), scope.get("path")))
            if route is not None:
                scope["route"], scope["path_params"] = route, {}
                return route.handle(scope, receive, send)
            for other in others:
                match, found = other.matches(scope)
                if match is Match.FULL:
                    scope.update(found)
                    return other.handle(scope, receive, send)
            return router(scope, receive, send)

        return routed

    def openapi(self) -> dict[str, Any]:
        """The OpenAPI document."""
        return self._document

    @cached_property
    def _document(self) -> dict[str, Any]:
        return doc.document(self, self.face.settings.version, _SHAPES)

    def stop_holding(self) -> None:
        """Answer every wait with the present state and end every stream; call it before the server stops."""
        self.face.calls.stop()


def create_app(services: Services, settings: HttpSettings) -> KeyturnApp:
    """The application. Its lifespan must run: held calls live in it."""
    face = Face(services, settings, Gate(services.agents), OpenCalls(services.agents))

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        async with face.calls:
            yield

    app = KeyturnApp(
        title="Keyturn",
        version=settings.version,
        lifespan=lifespan,
        docs_url=None,  # its pages would load scripts from elsewhere
        redoc_url=None,
        redirect_slashes=False,
    )
    app.face = face
    app.router.routes.extend(_routes(face))
    if services.slack is not None:
        app.router.routes.append(Route(SLACK_EVENTS, _Limited(services.slack), methods=["POST"]))
    return app


def _routes(face: Face) -> list[PlainRoute]:
    """Hot ones first: the router asks one after the other."""
    return [
        *_request_routes(face),
        *_session_routes(face),
        *_rollback_routes(face),
        *_compat_routes(face),
        *_audit_routes(face),
        *_operation_routes(face),
    ]


def _request_routes(face: Face) -> list[PlainRoute]:
    do = Requests(face)
    applied = {"Preference-Applied": "`wait=N`: how long the answer was held at most."}
    one, request = "/v1/requests/{id}", shapes.RequestShape
    return [
        _route(
            "POST",
            "/v1/requests",
            do.submit_request,
            "requests",
            doc.takes_submission,
            doc.answers(
                request, 201, *_ASK, "idempotency_conflict", "session_ended", also=200, headers=applied
            ),
        ),
        _route(
            "GET",
            one,
            do.get_request,
            "requests",
            doc.takes_read,
            doc.answers(request, 200, *_READ, "invalid_request"),
        ),
        _route(
            "POST",
            one + "/claim",
            do.claim_request,
            "requests",
            doc.takes_claim,
            doc.answers(shapes.ClaimShape, 200, *_WRITE, *_CLAIM),
        ),
        _route(
            "POST",
            one + "/outcome",
            do.report_outcome,
            "requests",
            doc.takes_outcome,
            doc.answers(request, 200, *_WRITE, "not_claimed", "outcome_conflict"),
        ),
        _route(
            "GET", one + "/events", do.request_events, "requests", doc.takes_events, doc.event_stream(*_READ)
        ),
        _route(
            "POST",
            "/v1/evaluate",
            do.evaluate_action,
            "requests",
            doc.takes_evaluation,
            doc.answers(shapes.EvaluationShape, 200, *_ASK),
        ),
        _route(
            "GET",
            "/v1/requests",
            do.list_requests,
            "requests",
            doc.takes_list,
            doc.answers(
                shapes.RequestList, 200, "unauthorized", "missing_scope", "unavailable", "invalid_request"
            ),
        ),
        _route(
            "POST",
            one + "/cancel",
            do.cancel_request,
            "requests",
            doc.takes_cancel,
            doc.answers(request, 200, *_WRITE, "already_decided"),
        ),
        _route(
            "POST",
            one + "/messages",
            do.send_message,
            "requests",
            doc.takes_message,
            doc.answers(request, 200, *_WRITE),
        ),
    ]


def _session_routes(face: Face) -> list[PlainRoute]:
    do = SessionRoutes(face)
    one, session = "/v1/sessions/{id}", shapes.SessionShape
    no_404 = (code for code in _WRITE if code != "not_found")
    return [
        _route(
            "POST",
            "/v1/sessions",
            do.start_session,
            "sessions",
            doc.takes_session,
            doc.answers(session, 201, *no_404, "session_ended", also=200),
        ),
        _route(
            "POST",
            one + "/end",
            do.end_session,
            "sessions",
            doc.takes_session_end,
            doc.answers(session, 200, *_WRITE),
        ),
        _route(
            "GET",
            one,
            do.get_session,
            "sessions",
            doc.takes_session_read,
            doc.answers(session, 200, *_READ, "invalid_request"),
        ),
        _route(
            "GET",
            one + "/timeline",
            do.session_timeline,
            "sessions",
            doc.takes_timeline,
            doc.answers(shapes.TimelineShape, 200, *_READ, "invalid_request"),
        ),
    ]


def _rollback_routes(face: Face) -> list[PlainRoute]:
    do = Rollbacks(face)
    one, rollback = "/v1/rollbacks/{id}", shapes_rollback.RollbackShape
    queue = ("unauthorized", "missing_scope", "unavailable", "invalid_request")
    return [
        _route(
            "GET",
            "/v1/rollbacks",
            do.rollback_queue,
            "rollbacks",
            doc.takes_queue,
            doc.answers(shapes_rollback.RollbackQueue, 200, *queue),
        ),
        _route(
            "GET",
            one,
            do.get_rollback,
            "rollbacks",
            doc.takes_rollback_id,
            doc.answers(rollback, 200, *_READ),
        ),
        _route(
            "POST",
            one + "/claim",
            do.claim_rollback,
            "rollbacks",
            doc.takes_rollback_claim,
            doc.answers(shapes_rollback.RollbackWorkShape, 200, *_WRITE, *_ROLLBACK_CLAIM),
        ),
        _route(
            "POST",
            one + "/outcome",
            do.report_rollback,
            "rollbacks",
            doc.takes_rollback_outcome,
            doc.answers(rollback, 200, *_WRITE, "not_claimed", "outcome_conflict"),
        ),
        _route(
            "POST",
            "/v1/requests/{id}/rollback",
            do.start_rollback,
            "rollbacks",
            doc.takes_rollback_start,
            doc.answers(rollback, 202, *_WRITE, "not_rollbackable"),
        ),
        _route(
            "POST",
            "/v1/sessions/{id}/rollback",
            do.start_session_rollback,
            "rollbacks",
            doc.takes_session_rollback,
            doc.answers(rollback, 202, *_WRITE, "not_rollbackable"),
        ),
    ]


def _compat_routes(face: Face) -> list[PlainRoute]:
    do = Safeguards(face)
    base, status = "/compat/safeguards", shapes.SafeguardsShape
    ask = doc.answers(
        status, 202, *(c for c in _ASK if c != "unknown_escalation_target"), "idempotency_conflict"
    )
    return [
        _route(
            "POST", base + "/request-approval", do.safeguards_request, "compat", doc.takes_safeguards, ask
        ),
        # A base URL that ends in a slash makes the library's client double it.
        _route(
            "POST",
            base + "//request-approval",
            do.safeguards_request,
            "compat",
            doc.takes_safeguards,
            ask,
            hidden=True,
        ),
        _route(
            "GET",
            base + "/requests/{client_id:path}",
            do.safeguards_status,
            "compat",
            doc.takes_client_id,
            doc.answers(status, 200, *_READ),
        ),
    ]


def _audit_routes(face: Face) -> list[PlainRoute]:
    do = AuditRoutes(face)
    refused = ("unauthorized", "missing_scope", "invalid_request", "unavailable")
    return [
        _route(
            "GET",
            "/v1/audit",
            do.list_audit,
            "audit",
            doc.takes_audit_page,
            doc.answers(shapes.AuditList, 200, *refused),
        ),
        _route(
            "GET",
            "/v1/audit/verify",
            do.verify_audit,
            "audit",
            doc.takes_verification,
            doc.answers(shapes.VerificationShape, 200, *refused),
        ),
        _route(
            "GET",
            "/v1/audit/export",
            do.export_audit,
            "audit",
            doc.takes_export,
            doc.export(*refused),
        ),
    ]


def _operation_routes(face: Face) -> list[PlainRoute]:
    do = Operations(face)
    return [
        _route(
            "GET",
            "/healthz",
            do.healthz,
            "operations",
            doc.takes_nothing,
            doc.answers(shapes.AliveShape, 200),
        ),
        _route(
            "GET",
            "/readyz",
            do.readyz,
            "operations",
            doc.takes_nothing,
            doc.answers(shapes.ReadyShape, 200, also=503),
        ),
        _route("GET", "/metrics", do.metrics, "operations", doc.takes_nothing, doc.plain_text("unavailable")),
        _route(
            "GET",
            "/.well-known/jwks.json",
            do.jwks,
            "operations",
            doc.takes_nothing,
            doc.answers(shapes.JwksShape, 200),
        ),
    ]


def _route(
    method: str,
    path: str,
    handler: Handler,
    tag: str,
    takes: Declaration,
    responses: doc.Responses,
    *,
    hidden: bool = False,
) -> PlainRoute:
    return PlainRoute(path, handler, method=method, takes=takes, answers=responses, tag=tag, hidden=hidden)


_SHAPES: list[type[BaseModel]] = [
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


class _Limited:
    """Somebody else's ASGI application, behind a limit on the body."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        size = 0

        async def limited() -> Message:
            nonlocal size
            message = await receive()
            size += len(message.get("body", b""))
            if size > LARGEST_SLACK_BODY:
                raise TooLarge("The body is larger than 2 MiB.")
            return message

        await self._app(scope, limited, send)
