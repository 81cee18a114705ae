"""`/audit`: what is on record, for the auditors of `workspace.yaml`, told to them alone.

What takes longer than Slack waits (exports, reports, a long verification) goes through the outbox and
arrives as a direct message.
"""

import asyncio
import difflib
import re
from collections.abc import Iterable, Sequence
from typing import Any

from bot.core.clock import Clock
from bot.core.describe import action_line
from bot.core.models import Outgoing, Reviewer, SlackId
from bot.services.audit import Audit, filters_json
from bot.services.audit_filters import TIME, BadFilter, read_filter
from bot.services.exports import Format
from bot.services.outbox import Outbox
from bot.services.summaries import summarise
from bot.slack import audit_view
from bot.slack.audit_view import PAGE, Named, Place, Requests
from bot.slack.interaction import Interaction
from bot.slack.links import CardLinks
from bot.slack.roles import Role
from bot.slack.text import escape, literal, shortened, typed
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
    "verify fast": "the same by the chain and its signatures alone",
    "export": "a file by direct message: `export [jsonl | csv] [7d] [event=…]`",
    "report": "pictures by direct message: `report [7d]`",
    "help": "this text",
}

VERIFY_WITHIN = 1.2
"""Seconds for an answer at once; Slack waits three."""

_MOST = 1000
_SHORT = 40
_LINE = 90
"""Characters of one value, and of the whole action, in a line of many."""
_MENTION = re.compile(r"<@([UW][A-Z0-9]+)(?:\|[^>]*)?>")
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
            return await self._answer([_MENTION.sub(r"\1", typed(word)) for word in words], by)
        except Misunderstood as fault:
            said = str(fault)
            return {"text": f"{said[:1].upper()}{said[1:]} `{COMMAND} help` shows everything."}

    async def page(self, by: Interaction) -> dict[str, Any]:
        """The button `audit.page`: older entries, or the newest again.

        Raises:
            ReviewRefused: the person is no auditor (any more).
        """
        await self._auditors.require(by.user_id, by.team_id)
        try:
            place = Place.parse(by.value)
            return await self._page(_title(place.wanted), place)
        except ValueError:
            return {"text": "This button is too old; please ask again."}

    async def _answer(self, words: Sequence[str], by: Reviewer) -> dict[str, Any]:
        first = words[0].casefold() if words else ""
        if first.startswith("req_"):
            return await self._story(words[0])
        if first in ("session", "agent"):
            if len(words) < 2:
                raise Misunderstood(
                    f"Say which {first}: `{COMMAND} {first} {'ID' if first == 'session' else 'NAME'}`."
                )
            wanted = self._filter(words[2:], **{"session_id" if first == "session" else "agent": words[1]})
            return await (self._session(wanted) if first == "session" else self._agent(wanted))
        if first == "verify":
            return await self._verify(by, full=words[1:] != ["fast"])
        if first in ("export", "report"):
            return await self._file(first, words[1:], by)
        if first and "=" not in first and not TIME.fullmatch(first):
            raise Misunderstood(_suggestion(words[0]))
        wanted = self._filter(words)
        return await self._page(_title(wanted), Place(wanted))

    async def _page(self, title: str, place: Place) -> dict[str, Any]:
        found = await self._store.reads.audit_page(place.wanted, before_seq=place.before, limit=PAGE + 1)
        shown = found[:PAGE]
        named = await self._named(shown, place.wanted)
        blocks = audit_view.page(title, shown, named, place, more=len(found) > PAGE)
        return {"text": f"{title}: {len(shown)} entries", "blocks": blocks}

    async def _story(self, request_id: str) -> dict[str, Any]:
        wanted = AuditFilter(request_id=request_id)
        events = (await self._store.reads.audit_page(wanted, limit=_MOST))[::-1]
        if not events:
            return {"text": f"There is no request {literal(request_id[:80])} on record."}
        request = await self._store.reads.request(request_id)
        action = "" if request is None else action_line(request.current_action)
        return await self._told(f"Request {request_id}", events, wanted, action=action)

    async def _session(self, wanted: AuditFilter) -> dict[str, Any]:
        events = await self._store.reads.audit_page(wanted, limit=_MOST)
        name = str(wanted.session_id)
        if not events:
            return {"text": f"There is no session {literal(name[:80])} on record."}
        agents = sorted({event.agent for event in events if event.agent})
        several = f" (of {len(agents)} agents; add agent=NAME)" if len(agents) > 1 else ""
        return await self._told(f"Session {name}{several}", events[::-1], wanted)

    async def _agent(self, wanted: AuditFilter) -> dict[str, Any]:
        return await self._page(_title(wanted), Place(wanted))

    async def _told(
        self, title: str, events: Sequence[AuditEvent], wanted: AuditFilter, *, action: str = ""
    ) -> dict[str, Any]:
        """Figures, then the newest entries with a way to the older ones."""
        newest = events[::-1][:PAGE]
        named = await self._named(newest, wanted)
        cut = f"Of the newest {_MOST:,} entries alone; export has all." if len(events) == _MOST else None
        blocks = [
            *audit_view.figures(title, summarise(events), action=action, caution=cut),
            *audit_view.page("Entries", newest, named, Place(wanted), more=len(events) > PAGE),
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
        formats = [word.casefold() for word in words if word.casefold() in tuple(Format)]
        rest = [word for word in words if word.casefold() not in formats]
        wanted = self._filter(rest)
        if kind == "report" and wanted.since is None:
            wanted = self._filter(rest, since="7d")
        payload = {"filters": filters_json(wanted), "format": formats[0] if formats else Format.JSONL.value}
        await self._later(f"audit.{kind}", by, payload)
        return {"text": f"Your {kind} will come as a direct message."}

    async def _later(self, kind: str, by: Reviewer, payload: dict[str, Any]) -> None:
        given = {"user": by.id, "name": by.name, **payload}
        await self._outbox.enqueue(Outgoing(kind, given, order=f"dm:{by.id}"))

    async def _named(self, events: Iterable[AuditEvent], wanted: AuditFilter) -> Requests:
        """The requests of the events; where all are of one, its action stands above them."""
        found: dict[str, Named] = {}
        for request_id in dict.fromkeys(event.request_id for event in events if event.request_id):
            request = await self._store.reads.request(request_id)
            if request is not None:
                action = "" if wanted.request_id else action_line(request.current_action, longest=_SHORT)
                found[request_id] = Named(shortened(action, _LINE), await self._links.of(request))
        return found

    def _filter(self, words: Sequence[str], **given: str) -> AuditFilter:
        for word in words:
            name, sign, value = word.partition("=")
            if sign:
                given |= {name.replace("-", "_"): value}
            elif TIME.fullmatch(word):
                given |= {"since": word}
            else:
                raise Misunderstood(
                    f"“{literal(word[:40])}” means nothing here; a filter looks like `risk=high`."
                )
        try:
            return read_filter(given, now=self._clock.now())
        except BadFilter as fault:
            raise Misunderstood(f"{escape(str(fault))}.") from None


def _title(wanted: AuditFilter) -> str:
    """What the entries are of, as the heading of every page of them."""
    if wanted.request_id is not None:
        return f"Request {wanted.request_id}"
    if wanted.session_id is not None:
        return f"Session {wanted.session_id}"
    return "The audit" if wanted.agent is None else f"Agent {wanted.agent}"


def _help() -> str:
    lines = [f"`{COMMAND} {name}`".replace(" `", "`") + f": {what}" for name, what in HELP.items()]
    return "\n".join(["Everything that happened, for auditors; only you see the answers.", *lines])


def _suggestion(word: str) -> str:
    close = difflib.get_close_matches(word.casefold(), WORDS, n=1, cutoff=0.5)
    said = f"Keyturn does not know “{literal(word[:40])}”."
    return f"{said} Did you mean `{COMMAND} {close[0]}`?" if close else said
