"""What a person is told when a click does not simply change the card.

Every refusal has its own words. A sentence here is mrkdwn of our own; what stands in it from outside
is literal.
"""

from typing import Final

from bot.core.errors import AlreadySettled, KeyturnError, StaleReview
from bot.core.models import ApprovalRequest, SlackId, Status
from bot.slack import wording
from bot.slack.text import date, literal

TITLES: Final = {
    "unknown_request": "Unknown request",
    "already_settled": "Too late",
    "already_reviewed": "Already counted",
    "stale": "The action has changed",
    "held_by_pause": "Paused",
    "not_an_approver": "Not yours to decide",
    "own_request": "Your own agent",
    "acts_for_you": "It acts for you",
    "not_a_person": "Not allowed",
    "other_workspace": "Another workspace",
    "cannot_verify": "Please try again",
    "source_gone": "Not yours to decide",
    "not_offered": "Not done",
    "edit_refused": "Edit refused",
    "undo_refused": "Not rolled back",
    "review_refused": "Not counted",
    "unavailable": "Please try again",
}
"""A heading for everything that a click can be answered with, by error code; at most 24 characters."""

NOT_OURS = "Keyturn does not know this button any more; nothing was done. Open the latest copy of the card."
NOT_OPENED = "Slack did not open the form in time; nothing was done. Please click again."
ALREADY_ON_IT = "You have said already that you are on it; the card shows it. Nothing was moved again."
NO_NEXT_LEVEL = "There is nobody further to ask: this request is on the last level of its ladder."
NO_GRANT = "The policy does not allow approving similar ones in advance. Nothing was done."
ONLY_THIS = "Approved, but similar ones will be asked again."
STILL_RECORDING = "This is still being recorded. The card will show what came of it."
STILL_LOOKING_UP = "One moment: the answer follows."
STILL_LOOKING = "Checking who may decide this…"


def refusal(error: KeyturnError, user: SlackId) -> str:
    """Why a click was not counted, for the one who clicked."""
    request = error.facts.get("request")
    if isinstance(error, AlreadySettled) and isinstance(request, ApprovalRequest):
        return _too_late(request, user)
    if isinstance(error, StaleReview) and isinstance(request, ApprovalRequest):
        return f"{literal(error.message)} ({request.id})"
    return literal(error.message)


def broken(reference: str) -> str:
    """Something of ours failed in a way nobody foresaw."""
    return f"Something went wrong in Keyturn. Please try again, or give your operator this: {reference}"


def _too_late(request: ApprovalRequest, user: SlackId) -> str:
    """`Rafael already approved this at 10:15. Your click changed nothing.`"""
    decision, word = request.decision, wording.decided_word(request)
    if decision is None:
        return "This request is no longer open. Your click changed nothing."
    when = date(decision.decided_at)
    if not decision.by:
        ended = word if request.status is Status.TIMED_OUT else f"was {word}"
        return f"Too late: this request {ended}, {when}. Your click changed nothing."
    others = [f"*{literal(reviewer.name)}*" for reviewer in decision.by if reviewer.id != user]
    names = wording.listed(["you", *others] if len(others) < len(decision.by) else others)
    return f"Too late: already {word} by {names}, {when}. Your click changed nothing."
