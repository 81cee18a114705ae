"""App Home, and a person's queue for `/keyturn queue`, as blocks. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

from bot.core import redaction
from bot.core.describe import action_line
from bot.core.grants import Grant
from bot.core.models import ApprovalRequest
from bot.slack import ids, wording
from bot.slack.grant_words import NO_GRANTS, grant_row
from bot.slack.queue import Waiting
from bot.slack.text import Block, bullets, context, date_leaf, leaf, line, mrkdwn, plain, rich, shortened

SHOWN = 15
"""Requests listed; a message ends at 50 blocks, a Home at 100."""

GRANTS_SHOWN = 10
AUTOMATIC_SHOWN = 10


@dataclass(frozen=True, slots=True)
class HomeFacts:
    """What one person's Home says."""

    queue: Waiting
    grants: Sequence[Grant] = ()
    """Live ones that this person gave."""
    on_call: Sequence[str] = ()
    """A line for each schedule, as mrkdwn of ours."""
    agents: Sequence[Block] = ()
    """A row for each agent, with switches for operators only."""
    automatic: Sequence[ApprovalRequest] | None = None
    """The latest decided without people, newest first; None for somebody who decides nothing here."""


def home_view(facts: HomeFacts) -> Block:
    """The App Home: my queue, my grants, who is on call, agents, what needed nobody."""
    blocks = [*queue_blocks(facts.queue), *_grants(facts.grants)]
    if facts.on_call:
        blocks += _section("On call now", [_mrkdwn(facts.on_call)])
    if facts.agents:
        blocks += _section("Agents", facts.agents)
    if facts.automatic is not None:
        blocks += _section("Decided by policy, in the last day", _automatic(facts.automatic))
    return {"type": "home", "blocks": blocks}


def queue_blocks(queue: Waiting) -> list[Block]:
    """What waits for this person, in the order given."""
    waiting = queue.requests
    if not waiting:
        return [rich(line(leaf("Nothing is waiting for you."))), *_not_whole(queue)]
    blocks: list[Block] = [{"type": "header", "text": plain(waiting_words(queue), 150)}]
    for request in waiting[:SHOWN]:
        blocks += _entry(request, held=queue.held(request))
    if len(waiting) > SHOWN:
        blocks.append(context(plain(f"{len(waiting) - SHOWN} more; these come first.")))
    return [*blocks, *_not_whole(queue)]


def waiting_words(queue: Waiting) -> str:
    """`3 requests waiting for you, 1 held by a pause`"""
    count, held = len(queue.requests), sum(map(queue.held, queue.requests))
    return f"{count} request{'' if count == 1 else 's'} waiting for you" + (
        f", {held} held by a pause" if held else ""
    )


def _not_whole(queue: Waiting) -> list[Block]:
    if queue.whole:
        return []
    return [context(plain("So much is pending that only the most urgent was looked at; more may follow."))]


def _entry(request: ApprovalRequest, *, held: bool) -> list[Block]:
    facts = [
        *([leaf("⏸ Held by a pause  ·  ", bold=True)] if held else ()),
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


def _section(title: str, blocks: Sequence[Block]) -> list[Block]:
    return [{"type": "divider"}, {"type": "header", "text": plain(title, 150)}, *blocks]


def _grants(grants: Sequence[Grant]) -> list[Block]:
    rows = [grant_row(grant) for grant in grants[:GRANTS_SHOWN]]
    if len(grants) > GRANTS_SHOWN:
        rows.append(context(plain(f"{len(grants) - GRANTS_SHOWN} more; /keyturn grants shows all.")))
    return _section("Your standing approvals", rows or [rich(line(leaf(NO_GRANTS)))])


def _mrkdwn(lines: Sequence[str]) -> Block:
    kept: list[str] = []
    for words in lines:
        if sum(map(len, kept)) + len(kept) + len(words) > 2900:
            break
        kept.append(words)
    more = [f"_… {len(lines) - len(kept)} more_"] if len(kept) < len(lines) else []
    return {"type": "section", "text": mrkdwn("\n".join([*kept, *more]))}


def _automatic(decided: Sequence[ApprovalRequest]) -> list[Block]:
    if not decided:
        return [rich(line(leaf("Nothing was decided without a person.")))]
    shown = [automatic_line(request) for request in decided[:AUTOMATIC_SHOWN]]
    return [rich(bullets(shown)), context(plain("/audit shows everything on record."))]


def automatic_line(request: ApprovalRequest) -> Block:
    """One decision that no person took: what, whose, by which rule, when."""
    action = redaction.own().request(request).action
    decision = request.decision
    return line(
        leaf(f"{wording.STATUS[request.status]} ", bold=True),
        leaf(shortened(action_line(action), 300)),
        leaf(f"  ·  {shortened(request.agent, 80)}  ·  rule {shortened(request.policy.rule, 80)}  ·  "),
        *([date_leaf(decision.decided_at)] if decision is not None else []),
    )
