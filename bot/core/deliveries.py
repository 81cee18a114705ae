"""Who was asked, over what, and whether it arrived: read from a request's audit events. Pure."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from bot.core.models import JsonObject


@dataclass(frozen=True, slots=True)
class Told:
    """One line of the story of a request's waiting. `at` is RFC 3339."""

    at: str
    words: str


def told(events: Iterable[tuple[str, str, JsonObject]]) -> tuple[Told, ...]:
    """Hops, deliveries, reminders and acknowledgements, oldest first.

    Args:
        events: Time, name and body of the request's events.
    """
    return tuple(Told(at, words) for at, name, body in events for words in _words(name, body))


def _words(name: str, body: JsonObject) -> Iterator[str]:
    match name:
        case "escalation_triggered":
            whom = body.get("escalate_to") or body.get("rule")
            yield f"level {body['level']}: escalated to {whom} ({_spaced(body.get('why'))})"
            if resting := body.get("resting"):
                yield f"  not to be disturbed, so asked last: {', '.join(map(str, resting))}"
        case "notification_sent":
            yield f"  {body.get('kind')} to {body.get('to')}: arrived"
        case "notification_failed":
            whom = body.get("to") or body.get("rule")
            yield f"  {body.get('kind')} to {whom}: failed, {_spaced(body.get('code'))}{_then(body)}"
        case "escalation_unreachable":
            yield f"level {body.get('level')}: {_spaced(body.get('why'))}"
        case "reminder_sent":
            following = body.get("next_at")
            yield f"reminder {body.get('number')}" + (f", the next at {following}" if following else "")
        case "action_acknowledged":
            yield "somebody is on it"


def _then(failure: JsonObject) -> str:
    if failure.get("held_until"):
        return f", held until {failure['held_until']}"
    again = failure.get("again_in_seconds")
    return "" if again is None else f", again in {again} s"


def _spaced(code: object) -> str:
    return str(code).replace("_", " ")
