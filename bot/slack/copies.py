"""What a person's own copy of a card says beside it: why it came, and where the first one stands. Pure."""

from bot.core.models import ApprovalRequest
from bot.slack.text import Block, context, escape, mrkdwn, shortened


def why_you(request: ApprovalRequest, level: int, link: str | None) -> Block:
    """Why this person is asked, and the way to the thread in which others talk.

    Args:
        level: The one that asks them; 0 for a rule that acts at once.
        link: The first card's address, made by Keyturn from Slack's own; None when there is none.
    """
    words = f"You got this in person because {escape(shortened(_reason(request, level), 300))}."
    where = f" <{link}|Open it in its channel>, where its thread tells the whole story." if link else ""
    return context(mrkdwn(words + where))


def _reason(request: ApprovalRequest, level: int) -> str:
    if level == 0:
        return f"a rule asks more people at once ({', '.join(request.plan[0].triggers) or 'the policy'})"
    rung = request.plan[min(level, len(request.plan) - 1)]
    rule = f" by the rule {rung.rule}" if rung.rule else " by the agent's wish"
    return f"it was escalated to {rung.escalate_to or 'you'}{rule}, level {level} of {len(request.plan) - 1}"
