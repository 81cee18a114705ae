"""Audit events, a request's story and a session's figures as blocks. Pure."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import timedelta
from typing import Any

from bot.core.times import read_rfc3339, rfc3339
from bot.core.verifying import Verification
from bot.services.summaries import Spread, Summary
from bot.slack import ids
from bot.slack.text import Block, context, date_leaf, labelled, leaf, line, literal, plain, rich, shortened
from bot.store.audit_reads import AuditEvent
from bot.store.auditing import AuditFilter

PAGE = 10
"""Events on one page; with their links they fit well into a message."""


@dataclass(frozen=True, slots=True)
class Named:
    """A request as its entries name it."""

    action: str
    """What was asked, in words of ours; empty where that stands above all entries."""
    link: str | None
    """The address of its card."""


Requests = Mapping[str, Named]
"""By request id."""


@dataclass(frozen=True, slots=True)
class Place:
    """What a paging button leads to: a filter, and the events before a seq."""

    wanted: AuditFilter
    before: int | None = None

    def value(self) -> str:
        """The button's value."""
        times = {"since": self.wanted.since, "until": self.wanted.until}
        given = asdict(self.wanted) | {n: None if at is None else rfc3339(at) for n, at in times.items()}
        fields = {name: value for name, value in given.items() if value is not None}
        return json.dumps({"filter": fields, "before": self.before}, separators=(",", ":"))

    @classmethod
    def parse(cls, value: str) -> "Place":
        """The reverse.

        Raises:
            ValueError: it is none of ours.
        """
        try:
            said = json.loads(value)
            fields = dict(said["filter"])
            times = {name: read_rfc3339(fields[name]) for name in ("since", "until") if name in fields}
            return cls(AuditFilter(**{**fields, **times}), said["before"])
        except (KeyError, TypeError) as fault:
            raise ValueError("not a place in the audit") from fault


def page(
    title: str, events: Sequence[AuditEvent], requests: Requests, place: Place, *, more: bool
) -> list[Block]:
    """Events, newest first, with a button to older ones and one back to the newest."""
    if not events:
        return [rich(line(leaf(f"{title}: nothing on record.")))]
    lines = [_line(event, requests) for event in events]
    buttons = []
    if more:
        buttons.append(_button("Older", replace(place, before=events[-1].seq)))
    if place.before is not None:
        buttons.append(_button("Newest", replace(place, before=None)))
    return [
        {"type": "header", "text": plain(title, 150)},
        rich(*lines),
        # Slack takes no two buttons of one action_id in one block.
        *({"type": "actions", "elements": [button]} for button in buttons),
    ]


def figures(title: str, summary: Summary, *, action: str = "", caution: str | None = None) -> list[Block]:
    """What the events add up to.

    Args:
        action: What they are all about, when it is one action.
        caution: What they leave out.
    """
    facts = [
        ("Action", action),
        (
            "Requests",
            ", ".join(f"{count} {name}" for name, count in summary.outcomes.most_common()) or "none",
        ),
        ("Without a person", str(summary.automatic)),
        ("Time to decide", _spread(summary.deciding)),
        ("Time to acknowledge", _spread(summary.acknowledging)),
        ("Escalations", str(sum(summary.escalations.values()))),
        ("Ran", _ran(summary)),
        ("Who decided what", _deciders(summary)),
    ]
    found = [labelled(f"{label}:", leaf(shortened(text, 600))) for label, text in facts if text]
    more = [] if caution is None else [note(caution)]
    return [{"type": "header", "text": plain(title, 150)}, rich(*found), *more]


def verdict(found: Verification) -> str:
    """Whether the audit is whole, as a sentence of ours."""
    if found.problem is not None:
        problem = found.problem
        # The detail quotes what stands in the database, which whoever changed it wrote.
        said = f"Row {problem.seq} ({problem.kind}): {literal(problem.detail)}"
        return f":rotating_light: The audit is *not whole*. {said}"
    signed = "no checkpoint signs it yet"
    if found.checkpoint is not None:
        signed = f"signed up to row {found.checkpoint.place.seq:,}"
    return f":white_check_mark: The audit is whole: {found.checked:,} rows, {signed}."


def duration(length: timedelta) -> str:
    """`4.2 s`, `3 min 05 s`, `2 h 10 min`."""
    seconds = length.total_seconds()
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(int(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02} s"
    return f"{minutes // 60:,} h {minutes % 60:02} min"


def _line(event: AuditEvent, requests: Requests) -> Block:
    named = requests.get(event.request_id or "", Named("", None))
    facts = [
        leaf(f"{event.seq}  "),
        date_leaf(read_rfc3339(event.at)),
        leaf("  "),
        leaf(event.event, bold=True),
        leaf(f"  by {shortened(event.actor.name, 60)}"),
    ]
    if event.agent is not None and event.agent != event.actor.id:
        facts.append(leaf(f"  ·  {shortened(event.agent, 60)}"))
    if named.action:
        facts.append(leaf(f"  ·  {named.action}"))
    if named.link is not None:
        facts += [leaf("  ·  "), {"type": "link", "url": named.link, "text": "card"}]
    elif event.request_id is not None:
        facts.append(leaf(f"  ·  {event.request_id}"))
    return line(*facts, leaf(f"{_gist(event)}\n", lines=True))


def _gist(event: AuditEvent) -> str:
    """The one fact of an event that a reader looks for first."""
    body: Mapping[str, Any] = event.body
    decision = (body.get("after") or {}).get("decision") or {}
    for said in (
        f"partial, {body['undone']} of {body['of']} undone" if body.get("partial") is True else None,
        _joined(body, "tried", "on", "code"),
        _joined(body, "what", "reason"),
        _joined(body, "type", "description"),
        decision.get("reason"),
        body.get("reason"),
        body.get("code"),
        body.get("explanation"),
        body.get("rule"),
        body.get("text"),
    ):
        if isinstance(said, str) and said:
            return f": {shortened(said, 160)}"
    return ""


def _joined(body: Mapping[str, Any], *names: str) -> str | None:
    """What an event says under these names, if it says the first at all."""
    said = [str(body[name]) for name in names if body.get(name) is not None]
    return "  ·  ".join(said) if body.get(names[0]) is not None else None


def _button(label: str, place: Place) -> Block:
    return {
        "type": "button",
        "action_id": ids.AUDIT_PAGE,
        "text": plain(label, 75),
        "value": place.value(),
    }


def _spread(found: Spread | None) -> str:
    if found is None:
        return ""
    return f"median {duration(found.median)}, 90 % within {duration(found.p90)}"


def _ran(summary: Summary) -> str:
    ran = [story.ran for story in summary.stories.values()]
    parts = [f"{ran.count(state)} {state}" for state in ("succeeded", "failed") if ran.count(state)]
    if summary.rolled_back:
        parts.append(f"{summary.rolled_back} rolled back")
    if summary.partial:
        count = len(summary.partial)
        parts.append(f"{count} partial rollback{'' if count == 1 else 's'}")
    return ", ".join(parts)


def _deciders(summary: Summary) -> str:
    counted = summary.reviews.most_common(10)
    return "; ".join(f"{summary.name(person)}: {count} {verdict}" for (person, verdict), count in counted)


def note(text: str) -> Block:
    """Small print."""
    return context(plain(text))
