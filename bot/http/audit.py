"""The audit over HTTP: pages, verification, exports. All of it needs the scope `auditor`."""

from collections.abc import AsyncIterator
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field
from pydantic_core import PydanticCustomError
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from bot.core import jsontext
from bot.core.events import EVENTS
from bot.core.models import Actor, Via
from bot.core.times import read_rfc3339
from bot.http.asked import LONGEST_PAGE, SEQ_CURSOR, once, whole
from bot.http.auth import AUDITOR
from bot.http.face import Face, json_response, raw_json
from bot.http.fields import Body, read
from bot.http.guard import HEADERS_ONLY
from bot.services.exports import MEDIA_TYPES, Format
from bot.store.auditing import AuditFilter


def _time(value: Any) -> Any:
    try:
        return read_rfc3339(value)
    except ValueError:
        raise PydanticCustomError(
            "time", "must be an RFC 3339 time with a zone, such as 2026-01-31T09:00:00Z"
        ) from None


def _event(value: Any) -> Any:
    if value not in EVENTS:
        raise PydanticCustomError("event", "must be the name of an event, such as action_approved")
    return value


def _flag(value: Any) -> Any:
    return {"true": True, "false": False}.get(value, value)


Time = Annotated[datetime, BeforeValidator(_time)]
Place = Annotated[int, BeforeValidator(whole), Field(ge=0, le=999_999_999)]


class Filters(Body):
    """Which events are meant."""

    event: Annotated[str | None, BeforeValidator(_event)] = None
    actor: str | None = None
    agent: str | None = None
    action_type: str | None = None
    session_id: str | None = None
    request_id: str | None = None
    risk: Literal["none", "low", "medium", "high", "critical"] | None = None
    reversible: Annotated[bool | None, BeforeValidator(_flag)] = None
    since: Time | None = None
    until: Time | None = None

    @property
    def wanted(self) -> AuditFilter:
        """The same for the store."""
        return AuditFilter(**{name: getattr(self, name) for name in Filters.model_fields})


class PageQuery(Filters):
    """A page of events."""

    limit: Annotated[int, BeforeValidator(whole), Field(ge=1, le=LONGEST_PAGE)] = 50
    cursor: Annotated[str | None, Field(pattern=SEQ_CURSOR)] = None


class ExportQuery(Filters):
    """What is exported, and from where on."""

    format: Literal["jsonl", "csv"] = "jsonl"
    after: Place = 0


class VerifyQuery(Body):
    """How closely to look."""

    full: Annotated[bool, BeforeValidator(_flag)] = True
    """False looks at the chain and the checkpoints alone, several times as fast."""


class AuditRoutes:
    """The handlers under `/v1/audit`."""

    def __init__(self, face: Face) -> None:
        self._face = face
        self._audit = face.services.audit

    async def list_audit(self, call: Request) -> Response:
        """Audit events, newest first. Follow `next_cursor` for older ones."""
        await self._face.gate.admit(call, AUDITOR)
        query = read(PageQuery, once(call.query_params.multi_items()))
        page = await self._audit.page(query.wanted, cursor=query.cursor, limit=query.limit)
        cursor = jsontext.dumps(page.next_cursor)
        return raw_json(b'{"items":[%b],"next_cursor":%b}' % (b",".join(page.items), cursor))

    async def verify_audit(self, call: Request) -> Response:
        """Whether the audit is whole, by its chain and its checkpoints. `problem` names the first bad row."""
        await self._face.gate.admit(call, AUDITOR)
        query = read(VerifyQuery, once(call.query_params.multi_items()))
        found = await self._audit.verify(full=query.full)
        return json_response(found.as_json())

    async def export_audit(self, call: Request) -> Response:
        """Stream events, oldest first, up to the moment of the call.

        One that broke off goes on with `after`: the seq of the last whole row. Each export is itself audited.
        """
        agent = await self._face.gate.admit(call, AUDITOR)
        query = read(ExportQuery, once(call.query_params.multi_items()))
        format = Format(query.format)
        headers = {
            "Content-Disposition": f'attachment; filename="keyturn-audit.{format}"',
            "Cache-Control": "no-store",
        }
        if HEADERS_ONLY in call.scope:
            return Response(headers=headers, media_type=MEDIA_TYPES[format])
        pieces: AsyncIterator[bytes] = await self._audit.export(
            query.wanted, format, after=query.after, actor=Actor.agent(agent.name), via=Via.HTTP
        )
        return StreamingResponse(pieces, headers=headers, media_type=MEDIA_TYPES[format])
