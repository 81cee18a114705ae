"""The Safeguards library's approval channel, spoken to as it is.

Its client posts one request and takes any 2xx as delivered; its own id is the idempotency key.
Who asks is the token and nothing in the body. Its `callback_url` points back at this server, so it
is never called.
"""

import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, ConfigDict, Field
from pydantic_core import PydanticCustomError
from starlette.requests import Request
from starlette.responses import Response

from bot.core.digest import canonical
from bot.core.errors import InvalidRequest
from bot.core.models import ACTION_TYPE, Action, Submission, Urgency
from bot.core.params import check_params
from bot.http import wire
from bot.http.auth import ANYONE
from bot.http.face import Face, json_response
from bot.http.fields import JSON_VALUE, NO_NUL, Body, JsonObjectField, Text, read
from bot.http.plain import json_of
from bot.http.submission import faults_below

FALLBACK_TYPE = "safeguards_alert"
"""The action's type when `metadata.action_type` is none."""

_LONGEST_DESCRIPTION = 3000
_URGENCY = {
    "INFO": Urgency.LOW,
    "WARNING": Urgency.NORMAL,
    "ERROR": Urgency.HIGH,
    "CRITICAL": Urgency.CRITICAL,
}


_END_OF_TIME = 253_402_300_799_000
"""9999-12-31T23:59:59Z in milliseconds: the calendar of RFC 3339 ends there."""


def _is_epoch_ms(value: Any) -> Any:
    is_number = isinstance(value, int | Decimal) and not isinstance(value, bool)
    if not is_number or not 0 <= value <= _END_OF_TIME:
        raise PydanticCustomError("number", "must be a time in milliseconds since the epoch")
    return value


EpochMilliseconds = Annotated[
    Any,
    AfterValidator(_is_epoch_ms),
    Field(json_schema_extra={"type": "number", "minimum": 0, "maximum": _END_OF_TIME}),
]


class SafeguardsBody(Body):
    """What the library posts. Fields of other versions are ignored."""

    model_config = ConfigDict(
        extra="ignore",
        json_schema_extra={"additionalProperties": JSON_VALUE, "propertyNames": {"pattern": NO_NUL}},
    )

    id: Annotated[
        str,
        Field(
            min_length=1,
            max_length=128,
            pattern=r"^[^\x00-\x1f\x7f]+$",
            description="The client's own id.",
        ),
    ]
    title: Text = ""
    description: Text = ""
    severity: Literal["INFO", "WARNING", "ERROR", "CRITICAL"] = "WARNING"
    metadata: JsonObjectField | None = None
    expires_at: EpochMilliseconds | None = None


class Safeguards:
    """The handlers under `/compat/safeguards`."""

    def __init__(self, face: Face) -> None:
        self._face = face
        self._asks = face.services.safeguards

    async def safeguards_request(self, call: Request) -> Response:
        """Ask in the words of the Safeguards library. The same id and body again changes nothing."""
        agent = await self._face.gate.admit_counted(call)
        value = await json_of(call)
        body = read(SafeguardsBody, value)
        submission = submission_of(body)
        request = await self._asks.submit(agent, submission, client_id=body.id, body=canonical(value))
        return json_response(wire.safeguards_status(request, body.id), status=202)

    async def safeguards_status(self, call: Request) -> Response:
        """The state of a request by the client's own id."""
        agent = await self._face.gate.admit(call, ANYONE)
        client_id = call.path_params["client_id"]
        return json_response(wire.safeguards_status(await self._asks.get(agent, client_id), client_id))


def submission_of(body: SafeguardsBody) -> Submission:
    """The same as a submission. `metadata` becomes the params, all of it.

    Raises:
        InvalidRequest: a param of a known type is wrong.
    """
    params = body.metadata or {}
    action_type = params.get("action_type")
    if not isinstance(action_type, str) or not re.fullmatch(ACTION_TYPE, action_type):
        action_type = FALLBACK_TYPE
    errors = list(faults_below("/metadata", check_params(action_type, params, None)))
    description = ": ".join(part for part in (body.title, body.description) if part)
    if errors:
        raise InvalidRequest(errors=errors)
    return Submission(
        action=Action(action_type, params),
        description=_cut(description) or f"{action_type} ({body.severity.lower()})",
        urgency=_URGENCY[body.severity],
        until=_moment(body.expires_at),
    )


def _moment(milliseconds: int | Decimal | None) -> datetime | None:
    if milliseconds is None:
        return None
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=float(milliseconds))


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST_DESCRIPTION else text[: _LONGEST_DESCRIPTION - 1] + "…"
