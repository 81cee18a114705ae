"""Short messages beside the cards: to the human behind an agent, a reviewer, a thread, a channel. Pure."""

from typing import Any

from bot.core import redaction
from bot.core.describe import action_line
from bot.core.models import ApprovalRequest
from bot.slack import wording
from bot.slack.text import cut, escape, leaf, line, quote, rich, shortened


def outcome(request: ApprovalRequest) -> dict[str, Any]:
    """What became of a request, for the human the agent acts for: our action line, no agent's words."""
    action = shortened(action_line(wording.shown_action(request)), 1500)
    said = [
        line(leaf(wording.STATUS[request.status], bold=True), leaf(": what an agent asked on your behalf.")),
        line(leaf(action, bold=True)),
    ]
    who = wording.listed([r.name for r in request.decision.by]) if request.decision is not None else ""
    if who:
        said.append(line(leaf(f"Decided by {shortened(who, 300)}.")))
    elif request.cause is not None:
        said.append(line(leaf(wording.TO_REQUESTER.get(request.cause, "Keyturn decided."))))
    return message(f"{wording.STATUS[request.status]}: {action}", said)


def approval_voided(request: ApprovalRequest, by: str) -> dict[str, Any]:
    """Somebody changed the action, so an approval of the old one no longer counts."""
    action = shortened(action_line(request.current_action), 1500)
    words = f"{shortened(by, 80)} changed what you had approved, so your approval no longer counts."
    said = [
        line(leaf(words)),
        line(leaf("It would do this: "), leaf(action, bold=True)),
        line(leaf("Look at the card and decide again.")),
    ]
    return message(f"{words} {action}", said)


def thread_message(by: str, text: str) -> dict[str, Any]:
    """What the agent, or a reviewer, said about a request."""
    text = redaction.own().text(text)
    part = cut(text, characters=3000, lines=60)
    said = [line(leaf(f"{shortened(by, 80)} says", bold=True)), quote(part.text or " ")]
    if part.note:
        said.append(line(leaf(f"… {part.note}, in Details", italic=True)))
    return message(f"{by} says: {shortened(text, 500)}", said)


def notice(text: str) -> dict[str, Any]:
    """A word of Keyturn's own to a channel: the first line in bold, the others as they are."""
    head, *rest = text.split("\n")
    said = [line(leaf(head, bold=True)), *(line(leaf(words)) for words in rest if words)]
    return message(head, said)


def message(text: str, said: list[dict[str, Any]]) -> dict[str, Any]:
    """Arguments of a message of Keyturn's own: words without mentions, links or formatting."""
    return {
        "text": escape(shortened(text, 2000)),
        "blocks": [rich(*said)],
        "mrkdwn": False,
        "parse": "none",
        "link_names": False,
        "unfurl_links": False,
        "unfurl_media": False,
    }
