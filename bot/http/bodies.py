"""Bodies other than a request's: small objects, each with its fields and their limits."""

from typing import Annotated, Any, Literal

from pydantic import Field

from bot.core.executing import Outcome
from bot.http.fields import (
    NO_NUL,
    AnyJson,
    Body,
    DigestField,
    Duration,
    EventId,
    JsonObjectField,
    SessionId,
    Spoken,
    Text,
    read,
)
from bot.http.undo import Rollback


class CancelBody(Body):
    """Why the agent no longer asks."""

    reason: Annotated[Text | None, Field(max_length=3000)] = None


class ClaimBody(Body):
    """Which exact action the agent is about to run."""

    digest: DigestField
    preview_digest: Annotated[
        DigestField | None, Field(description="Required when the decision has one.")
    ] = None
    audience: Annotated[
        Annotated[str, Field(min_length=1, max_length=255, pattern=NO_NUL)] | None,
        Field(description="Who will check the receipt: its `aud`."),
    ] = None


class OutcomeBody(Body):
    """What became of the action."""

    success: bool
    message: Text | None = None
    error: Text | None = None
    duration_ms: Duration | None = None
    output: AnyJson = None
    rollback: Annotated[Rollback | None, Field(description="How to undo it.")] = None


class MessageBody(Body):
    """The agent's words to its reviewers."""

    text: Spoken
    in_reply_to: Annotated[
        EventId | None, Field(description="The id of the `info_requested` event that is answered.")
    ] = None


class RollbackBody(Body):
    """Why an action should be undone."""

    reason: Spoken
    force: Annotated[
        bool, Field(description="Overwrite what changed after the action; needs a second reason to confirm.")
    ] = False


class SessionRollbackBody(Body):
    """Why everything a session did should be undone."""

    reason: Spoken
    agent: Annotated[
        Annotated[str, Field(min_length=1, max_length=64, pattern=NO_NUL)] | None,
        Field(description="Whose session, where several agents used the same id."),
    ] = None


class RollbackClaimBody(Body):
    """Nothing is asked of a claim but its path."""


class RollbackOutcomeBody(Body):
    """What an undo would change, or what came of it."""

    state: Literal["previewed", "succeeded", "failed", "conflict"]
    summary: Spoken
    diff: Text | None = None
    affected: Annotated[list[Text], Field(default_factory=list, max_length=1000)]
    message: Annotated[Text | None, Field(max_length=3000)] = None


class SessionBody(Body):
    """A run of the agent."""

    id: SessionId | None = None
    name: Annotated[Text | None, Field(max_length=200)] = None
    metadata: JsonObjectField | None = None


class SessionEndBody(Body):
    """How the run went."""

    summary: Annotated[Text | None, Field(max_length=3000)] = None


def outcome(value: Any) -> Outcome:
    """The outcome in a parsed body.

    Raises:
        InvalidRequest: with every fault found.
    """
    body = read(OutcomeBody, value)
    return Outcome(
        success=body.success,
        message=body.message,
        error=body.error,
        duration_ms=body.duration_ms,
        output=body.output,
        rollback=value.get("rollback"),
    )
