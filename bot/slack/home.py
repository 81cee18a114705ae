"""A person's queue as blocks, for App Home and for `/keyturn queue`. Pure."""

from collections.abc import Sequence

from bot.core.describe import action_line
from bot.core.models import ApprovalRequest
from bot.slack import ids, wording
from bot.slack.text import Block, context, date_leaf, leaf, line, plain, rich, shortened

SHOWN = 15
"""Requests listed; a message ends at 50 blocks."""


def home_view(queue: Sequence[ApprovalRequest]) -> Block:
    """The App Home: my queue."""
    return {"type": "home", "blocks": queue_blocks(queue)}


def queue_blocks(queue: Sequence[ApprovalRequest]) -> list[Block]:
    """What waits for this person, in the order given."""
    if not queue:
        return [rich(line(leaf("Nothing is waiting for you.")))]
    waiting = f"{len(queue)} request{'' if len(queue) == 1 else 's'} waiting for you"
    blocks: list[Block] = [{"type": "header", "text": plain(waiting, 150)}]
    for request in queue[:SHOWN]:
        blocks += _entry(request)
    if len(queue) > SHOWN:
        blocks.append(context(plain(f"{len(queue) - SHOWN} more; these come first.")))
    return blocks


def _entry(request: ApprovalRequest) -> list[Block]:
    facts = [
        leaf(wording.RISK[request.current_risk.level]),
        leaf(f"  ·  {shortened(request.agent, 80)}  ·  {shortened(wording.progress(request), 200)}"),
    ]
    if request.deadline_at is not None:
        facts += [leaf("  ·  decide by "), date_leaf(request.deadline_at)]
    if request.channel is not None and request.channel[:1] in ("C", "G"):
        facts += [leaf("  ·  card in "), {"type": "channel", "channel_id": request.channel}]
    button = {
        "type": "button",
        "action_id": ids.DETAILS,
        "text": plain("Details", 75),
        "value": ids.reference(request),
        "accessibility_label": shortened(f"Details: {action_line(request.current_action)}", 75),
    }
    return [
        rich(line(leaf(shortened(action_line(request.current_action), 400), bold=True)), line(*facts)),
        {"type": "actions", "elements": [button]},
    ]
