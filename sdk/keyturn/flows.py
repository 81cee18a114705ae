"""What each method of the clients does, as flows: see `exchange`.

Nothing here performs I/O or keeps state, so `Client` and `AsyncClient` cannot behave differently.
"""

import math
from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Any, TypedDict, TypeVar
from urllib.parse import quote
from uuid import uuid4

from pydantic import TypeAdapter

from keyturn import exact
from keyturn.errors import DigestMismatch, NotYetDecided, Unreachable
from keyturn.exchange import (
    BUSY,
    GATEWAY,
    Answer,
    Call,
    Flow,
    delay,
    failure,
    insist,
    once,
    parsed,
    post,
    refusal,
    sleep,
)
from keyturn.models import (
    AuditEvent,
    Claim,
    Evaluation,
    Page,
    Request,
    Rollback,
    Session,
    Status,
    Urgency,
)
from keyturn.settings import Settings

T = TypeVar("T")

LONGEST_POLL = 55
"""Seconds; the server clamps a longer `wait` to this."""

_REQUEST = TypeAdapter(Request)
_REQUESTS: TypeAdapter[Page[Request]] = TypeAdapter(Page[Request])
_CLAIM = TypeAdapter(Claim)
_EVALUATION = TypeAdapter(Evaluation)
_SESSION = TypeAdapter(Session)
_TIMELINE: TypeAdapter[Page[AuditEvent]] = TypeAdapter(Page[AuditEvent])
_ROLLBACKS: TypeAdapter[dict[str, list[dict[str, Any]]]] = TypeAdapter(dict[str, list[dict[str, Any]]])
_ROLLBACK_WORK: TypeAdapter[dict[str, Any]] = TypeAdapter(dict[str, Any])


class CommonOptions(TypedDict, total=False):
    """The optional fields of a request that mean the same everywhere.

    Attributes:
        reason: Why the agent wants it.
        session_id: The run of the agent it belongs to; an unknown one is started.
        on_behalf_of: Slack id or e-mail of the human the agent works for, who may then not approve it.
        urgency: Ordering and reminders, never authority.
        timeout_seconds: How long people have (1..604800); afterwards the answer is no, `TimedOut`.
        escalate_to: A group that the policy lets agents call.
        params_schema: JSON Schema 2020-12 of the params: what a reviewer may edit and how.
        alternatives: `[{"description": …, "params": …}]`, other ways the reviewer may choose.
        related: Ids of earlier requests.
        callback_url: Where the server posts signed webhooks; the host must be allowed for the agent.
        metadata: Anything; never shown as part of the action.
    """

    reason: str
    session_id: str
    on_behalf_of: str
    urgency: Urgency
    timeout_seconds: int
    escalate_to: str
    params_schema: Mapping[str, Any]
    alternatives: Sequence[Mapping[str, Any]]
    related: Sequence[str]
    callback_url: str
    metadata: Mapping[str, Any]


class RequestOptions(CommonOptions, total=False):
    """All optional fields of a request.

    Attributes:
        preview: The agent's dry run; shown to the reviewer and bound to the approval.
        rollback: The planned undo.
    """

    preview: str
    rollback: Rollback


class OutcomeFields(TypedDict, total=False):
    """The optional fields of an outcome.

    Attributes:
        message: One sentence for the people who approved.
        error: Why it failed.
        duration_ms: How long it ran.
        output: What it produced.
        rollback: What undoes it, captured before it ran.
    """

    message: str | None
    error: str | None
    duration_ms: int | None
    output: Any
    rollback: Rollback | None


def request(
    settings: Settings,
    action_type: str,
    params: Mapping[str, Any],
    description: str,
    idempotency_key: str | None,
    options: RequestOptions,
) -> Flow[Request]:
    """POST a request; the key, made here unless given, stays the same over all retries."""
    body = _action(action_type, params, description, options)
    call = post("/v1/requests", body, key=idempotency_key or str(uuid4()))
    asked = yield from _ask(settings, call, _REQUEST)
    if asked.type != action_type or asked.digest != exact.digest(action_type, params):
        raise _other(call, "another action than the one that was asked for")
    return asked


def evaluate(
    settings: Settings,
    action_type: str,
    params: Mapping[str, Any],
    description: str,
    options: RequestOptions,
) -> Flow[Evaluation]:
    """Ask what would happen."""
    call = post("/v1/evaluate", _action(action_type, params, description, options))
    return (yield from _ask(settings, call, _EVALUATION))


def get(settings: Settings, request_id: str) -> Flow[Request]:
    """Read one request."""
    return (yield from _ask(settings, _poll(request_id, 0), _REQUEST))


def listing(settings: Settings, **query: str | int | None) -> Flow[Page[Request]]:
    """Read a page of own requests."""
    given = {name: str(value) for name, value in query.items() if value is not None}
    return (yield from _ask(settings, Call("GET", "/v1/requests", query=given), _REQUESTS))


def wait(settings: Settings, request_id: str, timeout: float | None) -> Flow[Request]:
    """Wait for any decision, in long polls, through lost connections and restarts of the server.

    Raises:
        NotYetDecided: `timeout` passed; the request is pending.
        Unreachable: the server was away when `timeout` passed, or, without one, for `settings.outage`.
    """
    started = heard = settings.clock()
    failures = 0
    while True:
        now = settings.clock()
        left = math.inf if timeout is None else max(0.0, started + timeout - now)
        call = _poll(request_id, math.ceil(min(LONGEST_POLL, left)))
        result = yield from once(call)
        answered = isinstance(result, Answer) and result.status not in BUSY | GATEWAY
        if isinstance(result, Answer) and answered:
            seen = parsed(call, result, _REQUEST)
            if seen.id != request_id:
                raise _other(call, f"{seen.id}, not {request_id}")
            if seen.decided:
                return seen
            heard, failures = settings.clock(), 0
            if left <= 0:
                raise NotYetDecided(seen)
            # A server that is shutting down answers early; asking again at once would spin.
            early = heard - now < min(1.0, call.patience / 2)
            pause = min(delay(result, 0), left) if early else 0.0
        else:
            pause = min(delay(result, failures), left)
            failures += 1
            away = settings.clock() - heard + pause
            if left <= 0 or (timeout is None and away > settings.outage):
                raise failure(call, result)
        if pause > 0:
            yield from sleep(pause)


def claim(settings: Settings, decided: Request, preview: str | None, audience: str | None) -> Flow[Claim]:
    """Consume the approval and check that what came back is what was approved.

    Args:
        preview: The dry run as it reads at this moment; needed where the approval is bound to one.

    Raises:
        NotApproved, NotYetDecided: there is nothing to claim.
        ClaimRefused: the approval cannot be used; DigestMismatch also when the answer's params do not
            hash to the approved digest.
    """
    decision = decided.ensure_approved()
    if (decision.digest == decided.digest) is (decided.status is Status.MODIFIED):
        raise DigestMismatch(f"{decided.id}: {decided.status} with a digest that denies it; do not run it")
    preview_digest = None if preview is None else "sha256:" + sha256(preview.encode("utf-8")).hexdigest()
    body = {"digest": decision.digest, "preview_digest": preview_digest, "audience": audience}
    call = post(_of(decided.id, "/claim"), _given(body))
    claimed = yield from _ask(settings, call, _CLAIM)
    if not claimed.digest == decision.digest == exact.digest(decided.type, claimed.params):
        raise DigestMismatch(f"{decided.id}: the claimed params are not the approved ones; do not run them")
    return claimed


def report(settings: Settings, request_id: str, success: bool, fields: OutcomeFields) -> Flow[None]:
    """Tell what became of a claimed action. The same body again changes nothing."""
    yield from _tell(settings, post(_of(request_id, "/outcome"), _given({"success": success, **fields})))


def cancel(settings: Settings, request_id: str, reason: str) -> Flow[Request]:
    """Withdraw a pending request."""
    return (yield from _ask(settings, post(_of(request_id, "/cancel"), {"reason": reason}), _REQUEST))


def reply(settings: Settings, request_id: str, text: str, in_reply_to: str | int | None) -> Flow[None]:
    """Answer a reviewer. A lost answer is not repeated: it could show the text twice."""
    body = _given({"text": text, "in_reply_to": in_reply_to})
    yield from _tell(settings, post(_of(request_id, "/messages"), body, repeatable=False))


def start_session(
    settings: Settings, session_id: str | None, name: str | None, metadata: Mapping[str, Any] | None
) -> Flow[Session]:
    """Start a session under an id made here, so that a retry starts no second one."""
    body = _given({"id": session_id or f"run_{uuid4().hex}", "name": name, "metadata": metadata})
    return (yield from _ask(settings, post("/v1/sessions", body), _SESSION))


def end_session(settings: Settings, session_id: str, summary: str | None) -> Flow[Session]:
    """End a session."""
    call = post(_session(session_id, "/end"), _given({"summary": summary}))
    return (yield from _ask(settings, call, _SESSION))


def get_session(settings: Settings, session_id: str) -> Flow[Session]:
    """Read a session."""
    return (yield from _ask(settings, Call("GET", _session(session_id)), _SESSION))


def timeline(settings: Settings, session_id: str, cursor: str | None) -> Flow[Page[AuditEvent]]:
    """Read a page of what happened in a session."""
    query = {} if cursor is None else {"cursor": cursor}
    return (yield from _ask(settings, Call("GET", _session(session_id, "/timeline"), query=query), _TIMELINE))


def _ask(settings: Settings, call: Call, kind: TypeAdapter[T]) -> Flow[T]:
    answer = yield from insist(call, settings)
    return parsed(call, answer, kind)


def _tell(settings: Settings, call: Call) -> Flow[None]:
    answer = yield from insist(call, settings)
    if not 200 <= answer.status < 300:
        raise refusal(answer)


def _other(call: Call, what: str) -> Unreachable:
    return Unreachable(
        f"{call.method} {call.path}: the answer is about {what}. Do not run the action.",
        idempotency_key=call.idempotency_key,
    )


def _poll(request_id: str, seconds: int) -> Call:
    query = {"wait": str(seconds)} if seconds > 0 else {}
    return Call("GET", _of(request_id), query=query, patience=float(seconds))


def _action(
    action_type: str, params: Mapping[str, Any], description: str, options: RequestOptions
) -> dict[str, Any]:
    body = {"type": action_type, "params": exact.plain(params, "params"), "description": description}
    return body | _given(options)


def _given(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}


def _of(request_id: str, rest: str = "") -> str:
    return f"/v1/requests/{quote(request_id, safe='')}{rest}"


def _session(session_id: str, rest: str = "") -> str:
    return f"/v1/sessions/{quote(session_id, safe='')}{rest}"


def events_call(request_id: str, last_seq: str | None) -> Call:
    """The GET that opens a request's event stream, after `last_seq` where given."""
    headers = {"Accept": "text/event-stream"} | ({"Last-Event-ID": last_seq} if last_seq else {})
    return Call("GET", _of(request_id, "/events"), headers=headers)


def rollback_queue(settings: Settings, wait: int) -> Flow[list[dict[str, Any]]]:
    """Read the undo work there is; held by the server for at most `wait` seconds while there is none."""
    query = {"wait": str(wait)} if wait > 0 else {}
    call = Call("GET", "/v1/rollbacks", query=query, patience=float(wait))
    return (yield from _ask(settings, call, _ROLLBACKS))["items"]


def claim_rollback(settings: Settings, rollback_id: str, key: str) -> Flow[dict[str, Any]]:
    """Take a confirmed undo; asked again with the same key, the answer is the same."""
    return (yield from _ask(settings, post(_rollback(rollback_id, "/claim"), {}, key=key), _ROLLBACK_WORK))


def report_rollback(settings: Settings, rollback_id: str, outcome: Mapping[str, Any]) -> Flow[None]:
    """Tell what an undo would change, or what came of it. The same body again changes nothing."""
    yield from _tell(settings, post(_rollback(rollback_id, "/outcome"), outcome))


def _rollback(rollback_id: str, rest: str) -> str:
    return f"/v1/rollbacks/{quote(rollback_id, safe='')}{rest}"
