"""What the ladder says beside the cards: notes in the thread, reminders, alarms. Pure.

Everything is in our own words; an agent's text reaches none of it but as the action line.
"""

from datetime import datetime, timedelta
from typing import Any

from bot.core.describe import action_line
from bot.core.models import ApprovalRequest, Cause, JsonObject
from bot.slack import wording
from bot.slack.text import Block, date_leaf, escape, leaf, line, rich, shortened

WORTH_SAYING = timedelta(seconds=30)
"""Keyturn's own lateness below this is nobody's concern."""

_WHY = {
    "deadline": "nobody has decided in time",
    "no_approver": "those asked before cannot give the approvals it needs",
    "nobody_reached": "nobody who was asked before could be reached",
}
_ENDED = {
    Cause.TIMEOUT: "nobody decided in time. It may not run, and nothing more is needed from you",
    Cause.NO_APPROVER: "nobody was left who may approve it. It may not run; the policy needs a look",
}
_UNREACHABLE = {
    "no_approver": "The people who may approve are too few for its quorum. Look at the groups of the policy.",
    "nobody_reached": "No notification of this level arrived. Look at the channels and people it names.",
}


def note(request: ApprovalRequest, said: JsonObject) -> dict[str, Any]:
    """A hop of the ladder, or its end, for the thread under the first card."""
    if said["why"] == "timed_out":
        words = _ENDED.get(request.cause or Cause.TIMEOUT, _ENDED[Cause.TIMEOUT])
        return _message(f"{wording.STATUS[request.status]}: {words}.", [_action(request)])
    level = request.plan[min(int(said["level"]), len(request.plan) - 1)]
    whom = shortened(level.escalate_to or level.rule or "the next level", 80)
    why = _WHY.get(str(said["cause"]), "somebody asked for it")
    if said.get("by"):
        why = f"{shortened(str(said['by']), 80)} asked for it"
    place = f"level {said['level']} of {len(request.plan) - 1}"
    found = [_action(request), line(*following(request))]
    if request.watch.late >= WORTH_SAYING:
        found.append(line(leaf(f"{lateness(request.watch.late)}.", italic=True)))
    return _message(f"⏫ Escalated to {whom} ({place}): {why}.", found)


def reminder(request: ApprovalRequest, said: JsonObject) -> dict[str, Any]:
    """A reminder, which says when the next one comes."""
    following_at = said.get("next_at")
    coming = [leaf("This is the last reminder.")]
    if following_at is not None:
        coming = [
            leaf("The next reminder: "),
            date_leaf(datetime.fromisoformat(str(following_at))),
            leaf("."),
        ]
    words = f"🔔 Reminder {said['number']}: a request still waits for a decision."
    return _message(words, [_action(request), line(*coming), line(*following(request))])


def alarm(request: ApprovalRequest, said: JsonObject) -> dict[str, Any]:
    """Nobody, or one of those whom a policy names, can be reached: for the admin channel."""
    level = int(said["at_level"])
    policy = f", policy {request.policy.name}" if request.policy.name else ""
    about = f"Request {request.id}, agent {request.agent}{policy}, level {level} of {len(request.plan) - 1}."
    if said["why"] == "undeliverable":
        fault = f"{shortened(str(said['to']), 120)}: {str(said['code']).replace('_', ' ')}"
        rest = "Whoever else is asked still is. Look at the policy that names it, or at what it names."
        return _message(f"⚠ A notification cannot arrive at {fault}.", [line(leaf(rest)), line(leaf(about))])
    found = [_action(request), line(leaf(_UNREACHABLE[str(said["why"])])), line(leaf(about))]
    return _message("🚨 Nobody can be reached for a request that waits for a person.", found)


def following(request: ApprovalRequest) -> list[Block]:
    """What happens next if nobody decides, in the viewer's zone."""
    if request.deadline_at is None:
        return []
    end = [leaf("Decide by "), date_leaf(request.deadline_at), leaf(", or it may not run.")]
    if request.next_escalation_at is None:
        return end
    above = request.plan[request.level + 1]
    whom = shortened(above.escalate_to or above.rule or "the next level", 80)
    return [*end, leaf(f" Next: {whom}, "), date_leaf(request.next_escalation_at), leaf(".")]


def lateness(late: timedelta) -> str:
    """`Keyturn was 4 min late with this`"""
    seconds = int(late.total_seconds())
    return (
        f"Keyturn was {seconds} s late with this"
        if seconds < 120
        else (f"Keyturn was {seconds // 60} min late with this")
    )


def _action(request: ApprovalRequest) -> Block:
    return line(leaf(shortened(action_line(wording.shown_action(request)), 1000), bold=True))


def _message(words: str, said: list[Block]) -> dict[str, Any]:
    return {
        "text": escape(shortened(words, 2000)),
        "blocks": [rich(line(leaf(words, bold=True)), *said)],
        "mrkdwn": False,
        "parse": "none",
        "link_names": False,
        "unfurl_links": False,
        "unfurl_media": False,
    }
