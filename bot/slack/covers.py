"""Words about on-call shifts for direct messages and threads. Pure."""

from typing import Any

from bot.core.covering import CoverOffer, CoverState
from bot.core.describe import action_line
from bot.core.models import ApprovalRequest
from bot.slack import ids, wording
from bot.slack.text import Block, date_leaf, escape, leaf, line, plain, rich, shortened

_VERBS = {
    CoverState.OFFERED: " would be on call in ",
    CoverState.ACCEPTED: " is on call in ",
    CoverState.WITHDRAWN: " is no longer to be on call in ",
}


def cover_message(offer: CoverOffer, to: str) -> dict[str, Any]:
    """What one of the two is told: the offer with its button, or that it was accepted."""
    deal = [
        leaf(_VERBS[offer.state]),
        leaf(shortened(offer.schedule, 80), bold=True),
        leaf(" instead of "),
        _person(offer.relieved),
        leaf(", from "),
        date_leaf(offer.cover.starts_at),
        leaf(" to "),
        date_leaf(offer.cover.ends_at),
        leaf("."),
    ]
    head, text = _head(offer, to)
    blocks: list[Block] = [rich(line(*head), line(_person(offer.stands_in), *deal))]
    if offer.state is CoverState.OFFERED:
        blocks.append(_accept(offer))
    return _message(text, blocks)


def mention(request: ApprovalRequest, usergroup: str) -> dict[str, Any]:
    """A call to a user group, under the first card."""
    action = shortened(action_line(wording.shown_action(request)), 1500)
    group = {"type": "usergroup", "usergroup_id": usergroup}
    said = rich(line(group, leaf(" nobody has decided yet: "), leaf(action, bold=True)))
    return _message(f"Nobody has decided yet: {action}", [said])


def _head(offer: CoverOffer, to: str) -> tuple[list[Block], str]:
    if offer.state is CoverState.WITHDRAWN:
        return [leaf("A cover was withdrawn.")], "A cover was withdrawn"
    if offer.state is CoverState.ACCEPTED and to == offer.offered_by:
        return [_person(offer.offered_to), leaf(" has accepted.")], "Your cover was accepted"
    verb = " offers to cover you." if offer.takes else " asks you to cover them."
    return [_person(offer.offered_by), leaf(verb)], f"On call: a colleague{verb}"


def _accept(offer: CoverOffer) -> Block:
    button = {
        "type": "button",
        "action_id": ids.ACCEPT_COVER,
        "text": plain("Accept"),
        "style": "primary",
        "value": offer.id,
    }
    return {"type": "actions", "block_id": f"{ids.COVER_BLOCK}{offer.id}", "elements": [button]}


def _person(id: str) -> Block:
    return {"type": "user", "user_id": id}


def _message(text: str, blocks: list[Block]) -> dict[str, Any]:
    return {
        "text": escape(shortened(text, 2000)),
        "blocks": blocks,
        "mrkdwn": False,
        "parse": "none",
        "link_names": False,
        "unfurl_links": False,
        "unfurl_media": False,
    }
