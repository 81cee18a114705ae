"""Rollback on the card: what can be undone until when, how an undo stands, and what came of it. Pure."""

from bot.core import redaction
from bot.core.describe import target
from bot.core.models import ApprovalRequest, RollbackState, Undo
from bot.core.rollback import Chance, Prospect
from bot.slack import ids, wording
from bot.slack.text import (
    Block,
    context,
    cut,
    date,
    date_leaf,
    leaf,
    line,
    mrkdwn,
    plain,
    quote,
    rich,
    shortened,
)
from bot.slack.undo_masked import masked_undo

STATE = {
    RollbackState.REQUESTED: "⏪ Rollback asked for: the agent is working out what it would change",
    RollbackState.PREVIEWED: "⏪ Rollback shown, waiting for confirmation",
    RollbackState.CLAIMED: "⏪ Rolling back",
    RollbackState.SUCCEEDED: "⏪ Rolled back",
    RollbackState.FAILED: "❌ The rollback failed",
    RollbackState.CONFLICT: "🚧 The rollback stopped: something has changed since",
    RollbackState.EXPIRED: "⌛ The rollback was not carried out",
}
"""Every state of a rollback in words."""


def undo_blocks(request: ApprovalRequest, prospect: Prospect) -> list[Block]:
    """What the card says of rollback; nothing when there is nothing to roll back.

    Args:
        prospect: Whether it can be rolled back at the moment when the card is drawn.
    """
    run = request.execution
    if run.rollback_until is None or run.rollback_digest is None:
        return []
    until = date(run.rollback_until)
    told = [] if run.undo is None else [_told(masked_undo(run.undo))]
    match prospect.chance:
        case Chance.POSSIBLE:
            return [*told, context(mrkdwn(f"Can be rolled back until {until}")), *_actions(request)]
        case Chance.UNDER_WAY:
            return [*told, *_actions(request)]
        case Chance.TOO_LATE:
            return [*told, context(mrkdwn(f"Could be rolled back until {until}; it no longer can"))]
        case Chance.FORBIDDEN:
            why = shortened(redaction.own().text(prospect.why_not), 600)
            return [*told, rich(line(leaf("Cannot be rolled back. ", bold=True), leaf(why)))]
        case Chance.DONE | Chance.NOTHING:
            return told


def _told(undo: Undo) -> Block:
    words = STATE[undo.state]
    if undo.state is RollbackState.PREVIEWED and undo.confirmed:
        words = "⏪ Rollback confirmed, waiting for the agent"
    elif undo.state is RollbackState.PREVIEWED and undo.missing:
        words = f"{words}: {undo.missing} more {'person' if undo.missing == 1 else 'people'}"
    part = " (a step of the whole session's)" if undo.session else ""
    by = f", confirmed by {shortened(wording.listed(undo.by), 200)}" if undo.by else ""
    found = [line(leaf(f"{words}{part}", bold=True), leaf(f"{by}, "), date_leaf(undo.at))]
    if undo.message:
        said = cut(undo.message, characters=900, lines=12)
        found += [quote(said.text)] if said.text else []
    if undo.partial:
        found.append(
            line(leaf("Partial: ", bold=True), leaf(cut(undo.partial, characters=600, lines=4).text))
        )
    return rich(*found)


def _actions(request: ApprovalRequest) -> list[Block]:
    undo = request.execution.undo
    what = shortened(target(wording.shown_action(request)), 40)
    if undo is None or undo.state in (RollbackState.FAILED, RollbackState.EXPIRED):
        label, style = f"Roll back {what}", {}
    elif undo.state is RollbackState.CONFLICT:
        label, style = f"Roll back {what} anyway", {"style": "danger"}
    elif undo.confirmed or undo.state is RollbackState.CLAIMED:
        return []
    else:
        label, style = "Show and confirm the rollback", {}
    button = {
        "type": "button",
        "action_id": ids.ROLLBACK,
        "text": plain(label, 75),
        "value": f"{request.id} {request.execution.rollback_digest}",
        **style,
    }
    return [{"type": "actions", "elements": [button]}]
