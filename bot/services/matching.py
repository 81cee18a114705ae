"""The audit's filters for events that come from an export instead of the database."""

from collections.abc import Iterable, Mapping
from typing import Any

from bot.core.times import read_rfc3339
from bot.store.auditing import AuditFilter


class Matcher:
    """Says which events a filter takes.

    An event does not repeat the type and risk of its request, so they are learnt from the first events
    of each; a request whose first events are not in the export has neither.
    """

    def __init__(self, wanted: AuditFilter) -> None:
        self._wanted = wanted
        self._types: dict[str, str] = {}
        self._risks: dict[str, str] = {}

    def learn(self, events: Iterable[Mapping[str, Any]]) -> None:
        """Take note of every request's type and risk."""
        for event in events:
            if event["event"] == "action_requested":
                self._types[event["request_id"]] = event["body"]["type"]
            elif event["event"] == "policy_applied":
                self._risks.setdefault(event["request_id"], event["body"]["risk"])

    def takes(self, event: Mapping[str, Any]) -> bool:
        """Whether the event meets every filter."""
        request_id, body = event["request_id"], event["body"]
        wanted = self._wanted
        pairs = (
            (wanted.event, event["event"]),
            (wanted.actor, event["actor"]["id"]),
            (wanted.agent, event["agent"]),
            (wanted.session_id, event["session_id"]),
            (wanted.request_id, request_id),
            (wanted.reversible, body.get("reversible")),
            (wanted.action_type, self._types.get(request_id)),
            (wanted.risk, self._risks.get(request_id)),
        )
        return all(want is None or want == found for want, found in pairs) and self._in_time(event["at"])

    def _in_time(self, text: str) -> bool:
        since, until = self._wanted.since, self._wanted.until
        if since is None and until is None:
            return True
        at = read_rfc3339(text)
        return (since is None or at >= since) and (until is None or at < until)
