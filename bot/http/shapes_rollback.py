"""The JSON shapes of rollbacks, as models that only the documentation reads; conventions as in `shapes`."""

from typing import Annotated, Literal

from pydantic import AwareDatetime, Field

from bot.http.fields import AnyJson
from bot.http.shapes import ActorShape, Digest, PersonShape, PolicyShape, RequirementShape, RiskShape, Shape

RollbackStateName = Literal["requested", "previewed", "claimed", "succeeded", "failed", "conflict", "expired"]


class RollbackWorkShape(Shape):
    """Something for the agent to do: preview an undo, or apply it."""

    id: Annotated[str, Field(pattern=r"^rbk_")]
    request_id: str
    kind: Literal["preview", "apply"]
    rollback: AnyJson
    force: bool
    digest: Digest


class RollbackQueue(Shape):
    """The agent's work, oldest first."""

    items: list[RollbackWorkShape]


class RollbackReportShape(Shape):
    """What the agent said of a step."""

    state: RollbackStateName
    summary: str
    diff: str | None
    affected: list[str]
    message: str | None


class RollbackItemShape(Shape):
    """One action to undo."""

    id: str
    request_id: str
    state: RollbackStateName
    rollback: AnyJson
    digest: Digest
    beyond_approval: Annotated[
        str | None, Field(description="Why it was not approved along with the action; null when it was.")
    ]
    preview: RollbackReportShape | None
    result: RollbackReportShape | None


class ConfirmationShape(Shape):
    """One person's yes."""

    by: PersonShape
    reason: str | None
    force_reason: str | None
    at: AwareDatetime


class LeftOutShape(Shape):
    """An action of a session that cannot be undone."""

    request_id: str
    action: str
    why: str


class RollbackShape(Shape):
    """The undo of one action, or of a session's."""

    id: Annotated[str, Field(pattern=r"^rbk_")]
    agent: str
    request_id: str | None
    session_id: str | None
    state: RollbackStateName
    partial: Annotated[bool, Field(description="Some of it was undone, and some was not.")]
    confirmed: bool
    force: bool
    reason: str
    digest: Digest
    requested_by: ActorShape
    risk: RiskShape
    policy: PolicyShape
    requirement: RequirementShape | None
    confirmations: list[ConfirmationShape]
    items: list[RollbackItemShape]
    left_out: list[LeftOutShape]
    message: str | None
    expires_at: AwareDatetime | None
    created_at: AwareDatetime
    updated_at: AwareDatetime
