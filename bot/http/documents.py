"""The OpenAPI document: what each route takes, what it answers, and which problems it can meet.

The `takes_*` functions are never called. FastAPI reads their parameters, as it would a handler's.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from fastapi import FastAPI, Header, Path, Query, Security
from fastapi.openapi.utils import get_openapi
from fastapi.security import HTTPBearer
from pydantic import AwareDatetime, BaseModel
from pydantic.json_schema import models_json_schema

from bot.core.events import EVENTS
from bot.http.asked import CURSOR, IDEMPOTENCY_KEY, LONGEST_WAIT, SEQ_CURSOR
from bot.http.bodies import (
    CancelBody,
    ClaimBody,
    MessageBody,
    OutcomeBody,
    RollbackBody,
    RollbackClaimBody,
    RollbackOutcomeBody,
    SessionBody,
    SessionEndBody,
    SessionRollbackBody,
)
from bot.http.compat import SafeguardsBody
from bot.http.errors import PROBLEM_JSON, STATUS
from bot.http.fields import NO_NUL, REFERENCE
from bot.http.shapes import ProblemShape
from bot.http.submission import RequestBody
from bot.services.exports import MEDIA_TYPES

Responses = dict[int | str, dict[str, Any]]

_DESCRIPTION = (
    "Agents ask here before they act. Errors are `application/problem+json` (RFC 9457) with a `code`. "
    "Numbers are exact: one that a double cannot hold is refused with `inexact_number`; send it as a string."
)

Token = Annotated[
    Any, Security(HTTPBearer(scheme_name="token", description="A token from `keyturn agents add`."))
]
Id = Annotated[str, Path(description="The request's id.")]
SessionId = Annotated[str, Path(description="The session's id.")]
IdempotencyKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        pattern=IDEMPOTENCY_KEY,
        description="Per agent, kept while open and 30 days on: the same key and body get the same answer.",
    ),
]
Prefer = Annotated[
    str | None,
    Header(
        alias="Prefer",
        description=f"`wait=N` holds the answer until decided, at most N seconds, at most {LONGEST_WAIT}. "
        "What cannot be read is ignored.",
    ),
]
LastEventId = Annotated[
    str | None, Header(alias="Last-Event-ID", description="Resume after the event with this id.")
]
Wait = Annotated[
    int | None,
    Query(
        ge=0, description=f"Hold the answer until decided, at most this many seconds, at most {LONGEST_WAIT}."
    ),
]


def _wanted(description: str | None = None) -> Any:
    """A filter of the query: any text but NUL."""
    return Query(pattern=NO_NUL, description=description)


def takes_nothing() -> None:
    """No token and no parameters."""


def takes_submission(
    token: Token, body: RequestBody, idempotency_key: IdempotencyKey = None, prefer: Prefer = None
) -> None:
    """A request to make."""


def takes_evaluation(token: Token, body: RequestBody) -> None:
    """A request to judge."""


def takes_list(
    token: Token,
    status: Annotated[
        Literal["pending", "approved", "modified", "rejected", "timed_out", "cancelled"] | None, Query()
    ] = None,
    type: Annotated[str | None, _wanted("The action's type.")] = None,
    session_id: Annotated[str | None, _wanted()] = None,
    limit: Annotated[int | None, Query(ge=1, le=200, description="50 when not given.")] = None,
    cursor: Annotated[
        str | None, Query(pattern=CURSOR, description="The `next_cursor` of the page before.")
    ] = None,
) -> None:
    """Filters of a list."""


def takes_read(token: Token, id: Id, wait: Wait = None) -> None:
    """A request to read."""


def takes_events(token: Token, id: Id, last_event_id: LastEventId = None) -> None:
    """A request to follow."""


def takes_cancel(token: Token, id: Id, body: CancelBody | None = None) -> None:
    """A request to withdraw."""


def takes_claim(token: Token, id: Id, body: ClaimBody, idempotency_key: IdempotencyKey = None) -> None:
    """An approval to consume."""


def takes_outcome(token: Token, id: Id, body: OutcomeBody) -> None:
    """What became of it."""


def takes_message(token: Token, id: Id, body: MessageBody) -> None:
    """Something to say."""


def takes_session(token: Token, body: SessionBody | None = None) -> None:
    """A session to start."""


def takes_session_end(token: Token, id: SessionId, body: SessionEndBody | None = None) -> None:
    """A session to end."""


Whose = Annotated[str | None, _wanted("Whose session: for auditors and operators, where ids are the same.")]


def takes_session_read(token: Token, id: SessionId, agent: Whose = None) -> None:
    """A session to read."""


def takes_timeline(
    token: Token,
    id: SessionId,
    agent: Whose = None,
    cursor: Annotated[
        str | None, Query(pattern=SEQ_CURSOR, description="The `next_cursor` of the page before.")
    ] = None,
) -> None:
    """A session's events to read."""


RollbackId = Annotated[str, Path(description="The rollback's id, or that of one of its steps.")]


def takes_queue(token: Token, wait: Wait = None) -> None:
    """Work to wait for."""


def takes_rollback_id(token: Token, id: RollbackId) -> None:
    """A rollback to read."""


def takes_rollback_claim(
    token: Token,
    id: RollbackId,
    body: RollbackClaimBody | None = None,
    idempotency_key: IdempotencyKey = None,
) -> None:
    """An undo to take."""


def takes_rollback_outcome(token: Token, id: RollbackId, body: RollbackOutcomeBody) -> None:
    """What became of an undo."""


def takes_rollback_start(token: Token, id: Id, body: RollbackBody) -> None:
    """An action to undo."""


def takes_session_rollback(token: Token, id: SessionId, body: SessionRollbackBody) -> None:
    """A session to undo."""


Since = Annotated[AwareDatetime | None, Query(description="From this time on.")]
Until = Annotated[AwareDatetime | None, Query(description="Before this time.")]
Risk = Annotated[Literal["none", "low", "medium", "high", "critical"] | None, Query()]
Reversible = Annotated[
    Literal["true", "false"] | None, Query(description="Executions that reported what undoes them, or not.")
]


EventName = Annotated[
    str | None, Query(json_schema_extra={"enum": sorted(EVENTS)}, description="The event's name.")
]


def takes_audit_page(
    token: Token,
    event: EventName = None,
    actor: Annotated[str | None, _wanted("The actor's id.")] = None,
    agent: Annotated[str | None, _wanted()] = None,
    action_type: Annotated[str | None, _wanted()] = None,
    session_id: Annotated[str | None, _wanted()] = None,
    request_id: Annotated[str | None, _wanted()] = None,
    risk: Risk = None,
    reversible: Reversible = None,
    since: Since = None,
    until: Until = None,
    limit: Annotated[int | None, Query(ge=1, le=200, description="50 when not given.")] = None,
    cursor: Annotated[
        str | None, Query(pattern=SEQ_CURSOR, description="The `next_cursor` of the page before.")
    ] = None,
) -> None:
    """Filters of a page of the audit."""


def takes_export(
    token: Token,
    event: EventName = None,
    actor: Annotated[str | None, _wanted("The actor's id.")] = None,
    agent: Annotated[str | None, _wanted()] = None,
    action_type: Annotated[str | None, _wanted()] = None,
    session_id: Annotated[str | None, _wanted()] = None,
    request_id: Annotated[str | None, _wanted()] = None,
    risk: Risk = None,
    reversible: Reversible = None,
    since: Since = None,
    until: Until = None,
    format: Annotated[Literal["jsonl", "csv"] | None, Query(description="jsonl when not given.")] = None,
    after: Annotated[
        int | None, Query(ge=0, le=999_999_999, description="Go on after the row with this seq.")
    ] = None,
) -> None:
    """What to export."""


def takes_verification(
    token: Token,
    full: Annotated[
        Literal["true", "false"] | None, Query(description="Compare the searchable columns, too.")
    ] = None,
) -> None:
    """How closely to look."""


def takes_safeguards(token: Token, body: SafeguardsBody) -> None:
    """What the Safeguards library posts."""


def takes_client_id(
    token: Token, client_id: Annotated[str, Path(description="The client's own id.")]
) -> None:
    """A request by the Safeguards client's id."""


def answers(
    model: type[BaseModel] | None,
    status: int,
    *codes: str,
    also: int | None = None,
    headers: Mapping[str, str] | None = None,
) -> Responses:
    """`responses` of a route: its good answer and the problems named by their codes.

    Args:
        also: A second good status with the same body.
        headers: Names and descriptions of headers that a good answer may have.
    """
    good: dict[str, Any] = {"description": "Done."}
    if model is not None:
        good["content"] = {"application/json": {"schema": {REFERENCE: model.__name__}}}
    if headers:
        good["headers"] = {
            name: {"description": text, "schema": {"type": "string"}} for name, text in headers.items()
        }
    found: Responses = {status: good}
    if also is not None:
        found[also] = good
    for code in codes:
        entry = found.setdefault(STATUS[code], _problem(STATUS[code]))
        entry["content"][PROBLEM_JSON]["schema"]["allOf"][1]["properties"]["code"]["enum"].append(code)
        entry["description"] = ", ".join(filter(None, [entry["description"], f"`{code}`"]))
    return found


def event_stream(*codes: str) -> Responses:
    """`responses` of a stream of Server-Sent Events."""
    found = answers(None, 200, *codes)
    found[200]["description"] = (
        "A stream: `id` is the audit's seq, `event` its name or `state`, `data` the request (RequestShape)."
    )
    found[200]["content"] = {"text/event-stream": {"schema": _EVENT}}
    return found


def export(*codes: str) -> Responses:
    """`responses` of an export."""
    found = answers(None, 200, *codes)
    found[200]["description"] = "One event a line, oldest first; the fields of EventShape."
    found[200]["content"] = {
        media_type.partition(";")[0]: {"schema": {"type": "string"}} for media_type in MEDIA_TYPES.values()
    }
    return found


def plain_text(*codes: str) -> Responses:
    """`responses` of a page of text."""
    found = answers(None, 200, *codes)
    found[200]["content"] = {"text/plain": {"schema": {"type": "string"}}}
    return found


def document(app: FastAPI, version: str, shapes: list[type[BaseModel]]) -> dict[str, Any]:
    """The whole document.

    Args:
        shapes: Every model that an answer names.
    """
    found = get_openapi(
        title="Keyturn", version=version, description=_DESCRIPTION, routes=list(app.router.routes)
    )
    schemas = found.setdefault("components", {}).setdefault("schemas", {})
    described: list[type[BaseModel]] = [*shapes, ProblemShape]
    _, named = models_json_schema(
        [(shape, "serialization") for shape in described],
        ref_template="#/components/schemas/{model}",
    )
    schemas.update(named["$defs"])
    schemas["JsonValue"] = _JSON_VALUE
    for path in found["paths"].values():
        for operation in path.values():
            _say_absent_by_leaving_out(operation)
    resolved: dict[str, Any] = _resolved(found)
    return resolved


_JSON_VALUE: dict[str, Any] = {
    "description": "Any JSON whose numbers can be held exactly.",
    "anyOf": [
        {"type": "null"},
        {"type": "boolean"},
        {"type": "number"},
        {"type": "string", "pattern": NO_NUL},
        {"type": "array", "items": {REFERENCE: "JsonValue"}},
        {
            "type": "object",
            "propertyNames": {"pattern": NO_NUL},
            "additionalProperties": {REFERENCE: "JsonValue"},
        },
    ],
}

_EVENT: dict[str, Any] = {
    "type": "object",
    "properties": {
        "id": {"type": "string"},
        "event": {"type": "string"},
        "data": {
            "type": "string",
            "contentMediaType": "application/json",
            "contentSchema": {REFERENCE: "RequestShape"},
        },
    },
    "required": ["event", "data"],
}
"""One event, as readers of OpenAPI understand a stream of them."""

_RETRY_AFTER = {"Retry-After": {"description": "Seconds to wait.", "schema": {"type": "string"}}}


def _say_absent_by_leaving_out(operation: dict[str, Any]) -> None:
    """A parameter or a body that may be left out cannot be null, though Python says it so."""
    holders = list(operation.get("parameters", ()))
    holders += operation.get("requestBody", {}).get("content", {}).values()
    for holder in holders:
        schema = holder["schema"]
        choices = [choice for choice in schema.get("anyOf", ()) if choice != {"type": "null"}]
        if len(choices) == 1:
            del schema["anyOf"]
            schema.update(choices[0])


def _problem(status: int) -> dict[str, Any]:
    schema = {"allOf": [{REFERENCE: "ProblemShape"}, {"properties": {"code": {"enum": []}}}]}
    entry: dict[str, Any] = {"description": "", "content": {PROBLEM_JSON: {"schema": schema}}}
    if status in (429, 503):
        entry["headers"] = _RETRY_AFTER
    return entry


def _resolved(node: Any) -> Any:
    """`node` with every marked reference made a real one."""
    if isinstance(node, list):
        return [_resolved(item) for item in node]
    if not isinstance(node, dict):
        return node
    if REFERENCE in node:
        return {"$ref": f"#/components/schemas/{node[REFERENCE]}"}
    return {key: _resolved(value) for key, value in node.items()}
