"""The body of a request, from parsed JSON to a `Submission`.

Everything that can be said of the body alone, and of the agent's allowed callback hosts, is said
here, all of it at once; whether `escalate_to` names a group is the policy's to say.
"""

from collections.abc import Iterable, Iterator
from datetime import timedelta
from typing import Annotated, Any, Literal

from pydantic import Field

from bot.core.callback_hosts import why_not
from bot.core.errors import InvalidRequest
from bot.core.models import Action, Agent, Alternative, Submission, Urgency
from bot.core.params import KNOWN, check_params
from bot.core.params_schema import UnusableSchema
from bot.http.fields import (
    NO_NUL,
    ActionType,
    Body,
    Description,
    Fault,
    JsonObjectField,
    RequestIdField,
    SessionId,
    Text,
    Whole,
    pointer,
    read,
)
from bot.http.undo import Rollback

LONGEST_TIMEOUT = 604_800
"""Seconds: a week."""

SLACK_ID_OR_EMAIL = r"^(?:[UW][A-Z0-9]{1,30}|[^@\s\x00<>]{1,64}@[^@\s\x00<>]{1,255})$"
"""Not `<@U…>`, a mention: nobody would be found by it, so nobody would be kept from approving."""

_KNOWN_WORDS = "; ".join(
    f"{name} " + ", ".join(f"{key} ({kind.value.removeprefix('must be ')})" for key, kind in keys.items())
    for name, keys in KNOWN.items()
)


class AlternativeBody(Body):
    """Another action of the same type that would do."""

    description: Description
    params: JsonObjectField


class RequestBody(Body):
    """One ask for one action."""

    type: ActionType
    params: Annotated[
        JsonObjectField,
        Field(description=f"What the action is run with, kept exactly. Typed keys: {_KNOWN_WORDS}."),
    ]
    description: Annotated[Description, Field(description="What the agent is about to do, for people.")]
    reason: Annotated[Text | None, Field(description="Why.")] = None
    session_id: SessionId | None = None
    on_behalf_of: Annotated[
        Annotated[str, Field(pattern=SLACK_ID_OR_EMAIL)] | None,
        Field(description="Slack id or e-mail address of the person the agent works for."),
    ] = None
    urgency: Annotated[
        Literal["low", "normal", "high", "critical"] | None,
        Field(description="Ordering, mention and reminders; never authority."),
    ] = None
    timeout_seconds: Annotated[
        Annotated[Whole, Field(ge=1, le=LONGEST_TIMEOUT)] | None,
        Field(description="How long the first level waits, instead of the policy's default."),
    ] = None
    escalate_to: Annotated[
        Annotated[str, Field(min_length=1, max_length=128, pattern=NO_NUL)] | None,
        Field(description="A group of the policy's `agent_may_escalate_to`."),
    ] = None
    params_schema: Annotated[
        JsonObjectField | None,
        Field(
            description="JSON Schema 2020-12 of `params`, at most 32 KiB, without remote `$ref`; "
            "`params` must satisfy it."
        ),
    ] = None
    preview: Annotated[Text | None, Field(description="The agent's dry run; shown and bound.")] = None
    alternatives: list[AlternativeBody] | None = None
    related: list[RequestIdField] | None = None
    rollback: Annotated[Rollback | None, Field(description="The planned undo.")] = None
    callback_url: Annotated[
        Annotated[str, Field(max_length=2048, pattern=r"^https?://[^\s\x00]+$")] | None,
        Field(description="Gets signed webhooks; its host must be allowed for the agent."),
    ] = None
    metadata: JsonObjectField | None = None


def parse_submission(value: Any, agent: Agent) -> Submission:
    """The submission in a parsed body.

    Raises:
        InvalidRequest: `errors` holds every fault found, as (JSON Pointer, sentence).
    """
    body = read(RequestBody, value)
    errors = [*_params_faults(body), *_callback_faults(body, agent)]
    if errors:
        raise InvalidRequest(errors=errors)
    return Submission(
        action=Action(body.type, body.params),
        description=body.description,
        reason=body.reason,
        session_id=body.session_id,
        on_behalf_of=body.on_behalf_of,
        urgency=Urgency(body.urgency or "normal"),
        timeout=None if body.timeout_seconds is None else timedelta(seconds=body.timeout_seconds),
        escalate_to=body.escalate_to,
        params_schema=body.params_schema,
        preview=body.preview,
        alternatives=tuple(Alternative(a.description, a.params) for a in body.alternatives or ()),
        related=tuple(body.related or ()),
        rollback=value.get("rollback"),
        callback_url=body.callback_url,
        metadata=body.metadata,
    )


def faults_below(place: str, found: Iterable[Fault]) -> Iterator[Fault]:
    """The same faults, with pointers that begin at `place`."""
    return ((place + at, text) for at, text in found)


def _params_faults(body: RequestBody) -> Iterator[Fault]:
    for place, alternative in enumerate(body.alternatives or ()):
        yield from faults_below(
            pointer(("alternatives", place, "params")), check_params(body.type, alternative.params, None)
        )
    try:
        yield from faults_below("/params", check_params(body.type, body.params, body.params_schema))
    except UnusableSchema as error:
        yield f"/params_schema{error.pointer}", str(error)


def _callback_faults(body: RequestBody, agent: Agent) -> Iterator[Fault]:
    refused = None if body.callback_url is None else why_not(body.callback_url, agent.callback_hosts)
    if refused is not None:
        yield "/callback_url", refused
