"""How a rollback ended, for whoever asked for it or confirmed it. Pure."""

from collections.abc import Iterator, Mapping
from typing import Any

from bot.core import redaction
from bot.core.describe import action_line
from bot.core.models import ApprovalRequest, RequestId, RollbackState
from bot.core.rollback import Item, Rollback
from bot.slack import wording
from bot.slack.notes import message
from bot.slack.text import Block, bullets, leaf, line, shortened
from bot.slack.undo_card import STATE
from bot.slack.undo_masked import masked

SHOWN = 20
"""Steps of one message; the audit has the rest."""


def rollback_ended(rollback: Rollback, requests: Mapping[RequestId, ApprovalRequest]) -> dict[str, Any]:
    """Arguments of the private message: what became of it as a whole, and of each step."""
    rollback = masked(rollback)
    what = "one action" if rollback.session_id is None else f"session {shortened(rollback.session_id, 200)}"
    state = "🌗 Partly rolled back (partial)" if rollback.partial else STATE[rollback.state]
    head = f"{state}: {what}"
    told = shortened(rollback.message or "", 900)
    steps = [line(*_step(item, requests[item.request_id])) for item in rollback.items[:SHOWN]]
    if len(rollback.items) > SHOWN:
        steps.append(
            line(leaf(f"… {len(rollback.items) - SHOWN} more; /audit shows all of them", italic=True))
        )
    said = [line(leaf(head, bold=True)), *([line(leaf(told))] if told else []), bullets(steps)]
    return message(f"{head}. {told}", said)


def _step(item: Item, request: ApprovalRequest) -> Iterator[Block]:
    action = action_line(wording.shown_action(redaction.own().request(request)))
    yield leaf(f"{STATE[item.state]}: ", bold=True)
    yield leaf(shortened(action, 200))
    if item.result is not None and item.state is not RollbackState.SUCCEEDED:
        yield leaf(shortened(f". {item.result.said}", 600))
