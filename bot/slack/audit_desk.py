"""`/audit`: what is on record, for the auditors of `workspace.yaml`, told to them alone.

What takes longer than Slack waits (exports, reports, a long verification) goes through the outbox and
arrives as a direct message.
"""

import asyncio
import difflib
import re
from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import Any

from bot.core.clock import Clock
from bot.core.models import Outgoing, Reviewer, SlackId
from bot.core.times import read_rfc3339
from bot.services.audit import Audit, filters_json
from bot.services.exports import Format
from bot.services.outbox import Outbox
from bot.services.summaries import summarise
from bot.slack import audit_view
from bot.slack.audit_view import PAGE, Links, Place
from bot.slack.interaction import Interaction
from bot.slack.links import CardLinks
from bot.slack.roles import Role
from bot.slack.text import literal
from bot.store import Store
from bot.store.audit_reads import AuditEvent
from bot.store.auditing import AuditFilter

COMMAND = "/audit"

HELP = {
    "": "the last entries; narrow them with `event=… actor=… agent=… risk=… since=7d` and the like",
    "req_…": "the story of a request",
    "session ID": "a session: figures, then its story",
    "agent NAME": "what is about an agent",
    "verify": "whether the audit is whole, and the first row that is not right",
    "export": "a file by direct message: `export [jsonl | csv] [7d] [event=…]`",
    "report": "pictures by direct message: `report [7d]`",
    "help": "this text",
}

VERIFY_WITHIN = 1.2
"""Seconds for an answer at once; Slack waits three."""

_MOST = 1000
_AGO = re.compile(r"(\d{1,4})([hdw])")
_UNITS = {"h": "hours", "d": "days", "w": "weeks"}
WORDS = ("session", "agent", "verify", "export", "report", "help")


class Misunderstood(ValueError):
    """What was typed means nothing here; the text says what would."""


class AuditDesk:
    """Answers auditors."""

    def __init__(
        self, audit: Audit, store: Store, outbox: Outbox, links: CardLinks, auditors: Role, clock: Clock
    ) -> None:
        self._audit = audit
        self._store = store
        self._outbox = outbox
        self._links = links
        self._auditors = auditors
        self._clock = clock

    async def answer(self, words: Sequence[str], *, user_id: SlackId, team_id: str) -> dict[str, Any]:
        """Arguments of the private answer to `/audit WORDS`.

        Raises:
            ReviewRefused: the person is no auditor.
        """
        if words and words[0].casefold() == "help":
            return {"text": _help()}
        by = await self._auditors.require(user_id, team_id)
        try:
            return await self._answer(words, by)
        except Misunderstood as fault:
            return {"text": f"{fault} `{COMMAND} help` shows everything."}

    async def page(self, by: Interaction) -> dict[str, Any]:
        """The button `audit.page`: older entries, or the newest again.

        Raises:
            ReviewRefused: the person is no auditor (any more).
        """
        await self._auditors.require(by.user_id, by.team_id)
        try:
            return await self._page("The audit", Place.parse(by.value))
        except ValueError:
            return {"text": "This button is too old; please ask again."}

    async def _answer(self, words: Sequence[str], by: Reviewer) -> dict[str, Any]:
        first = words[0].casefold() if words else ""
        if first.startswith("req_"):
            return await self._story(words[0])
        if first == "session" and len(words) > 1:
            return await self._session(words[1])
        if first == "agent" and len(words) > 1:
            return await self._page(f"Agent {words[1]}", Place(AuditFilter(agent=words[1])))
        if first == "verify":
            return await self._verify(by, full=words[1:] != ["fast"])
        if first in ("export", "report"):
            return await self._file(first, words[1:], by)
        if first and "=" not in first:
            raise Misunderstood(_suggestion(words[0]))
        return await self._page("The audit", Place(self._filter(words)))

    async def _page(self, title: str, place: Place) -> dict[str, Any]:
        found = await self._store.reads.audit_page(place.wanted, before_seq=place.before, limit=PAGE + 1)
        shown = found[:PAGE]
        blocks = audit_view.page(title, shown, await self._cards(shown), place, more=len(found) > PAGE)
        return {"text": f"{title}: {len(shown)} entries", "blocks": blocks}

    async def _story(self, request_id: str) -> dict[str, Any]:
        events = await self._store.reads.events(request_id, limit=_MOST)
        if not events:
            return {"text": f"There is no request {literal(request_id[:80])} on record."}
        return await self._told(f"Request {request_id}", events, AuditFilter(request_id=request_id))

    async def _session(self, session_id: str) -> dict[str, Any]:
        wanted = AuditFilter(session_id=session_id)
        events = await self._store.reads.audit_page(wanted, limit=_MOST)
        if not events:
            return {"text": f"There is no session {literal(session_id[:80])} on record."}
        return await self._told(f"Session {session_id}", events[::-1], wanted)

    async def _told(self, title: str, events: Sequence[AuditEvent], wanted: AuditFilter) -> dict[str, Any]:
        """Figures, then the newest entries with a way to the older ones."""
        newest = events[::-1][:PAGE]
        links = await self._cards(newest)
        blocks = [
            *audit_view.figures(title, summarise(events)),
            *audit_view.page("Entries", newest, links, Place(wanted), more=len(events) > PAGE),
        ]
        return {"text": f"{title}: {len(events)} entries", "blocks": blocks}

    async def _verify(self, by: Reviewer, *, full: bool) -> dict[str, Any]:
        try:
            async with asyncio.timeout(VERIFY_WITHIN):
                return {"text": audit_view.verdict(await self._audit.verify(full=full))}
        except TimeoutError:
            await self._later("audit.verify", by, {"full": full})
            return {"text": "That takes a while; the answer will come as a direct message."}

    async def _file(self, kind: str, words: Sequence[str], by: Reviewer) -> dict[str, Any]:
        formats = [word for word in words if word in (Format.JSONL, Format.CSV)]
        wanted = self._filter([word for word in words if word not in formats])
        if kind == "report" and wanted.since is None:
            wanted = self._filter(["7d", *words])
        payload = {"filters": filters_json(wanted), "format": formats[0] if formats else Format.JSONL.value}
        await self._later(f"audit.{kind}", by, payload)
        return {"text": f"Your {kind} will come as a direct message."}

    async def _later(self, kind: str, by: Reviewer, payload: dict[str, Any]) -> None:
        given = {"user": by.id, "name": by.name, **payload}
        await self._outbox.enqueue(Outgoing(kind, given, order=f"dm:{by.id}"))

    async def _cards(self, events: Iterable[AuditEvent]) -> Links:
        found: dict[str, str] = {}
        for request_id in dict.fromkeys(event.request_id for event in events if event.request_id):
            request = await self._store.reads.request(request_id)
            link = None if request is None else await self._links.of(request)
            if link is not None:
                found[request_id] = link
        return found

    def _filter(self, words: Sequence[str]) -> AuditFilter:
        given: dict[str, Any] = {}
        for word in words:
            name, sign, value = word.partition("=")
            if not sign:
                name, value = "since", word
            if name not in AuditFilter.__dataclass_fields__:
                raise Misunderstood(f"There is no filter “{literal(name[:40])}”.")
            given[name] = self._value(name, value)
        return AuditFilter(**given)

    def _value(self, name: str, value: str) -> Any:
        if name == "reversible":
            return value.casefold() in ("true", "yes", "1")
        if name not in ("since", "until"):
            return value
        ago = _AGO.fullmatch(value)
        if ago is not None:
            return self._clock.now() - timedelta(**{_UNITS[ago[2]]: int(ago[1])})
        try:
            return read_rfc3339(value)
        except ValueError:
            raise Misunderstood(
                f"“{literal(value[:40])}” is no time; write 12h, 7d or a full time."
            ) from None


def _help() -> str:
    lines = [f"`{COMMAND} {name}`".replace(" `", "`") + f": {what}" for name, what in HELP.items()]
    return "\n".join(["Everything that happened, for auditors; only you see the answers.", *lines])


def _suggestion(word: str) -> str:
    close = difflib.get_close_matches(word.casefold(), WORDS, n=1, cutoff=0.5)
    said = f"Keyturn does not know “{literal(word[:40])}”."
    return f"{said} Did you mean `{COMMAND} {close[0]}`?" if close else said
