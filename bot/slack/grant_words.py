"""Standing approvals in words: what one covers, for how long, how often it was used. Pure.

The same words stand in the form that gives one, in its thread, on Home and behind `/keyturn grants`.
"""

from typing import Any

from bot.core import redaction
from bot.core.describe import action_line
from bot.core.grants import Grant
from bot.core.models import Action
from bot.slack import ids
from bot.slack.text import Block, date, escape, leaf, line, mrkdwn, plain, rich, shortened

NO_GRANTS = "You have given no standing approval that still holds."


def scope(
    agent: str,
    action: Action,
    *,
    directory: str | None,
    session_id: str | None,
    rule: str,
    highest: str,
) -> str:
    """What is covered, in one sentence of plain text."""
    shown = redaction.own().value(action.params)
    what = action_line(Action(action.type, shown), longest=200)
    below = f", or the same on any other path below {directory}/" if directory is not None else ""
    where = f" in session {session_id}" if session_id is not None else ""
    return f"{agent}{where}: {what}{below}; by rule {rule}, up to {highest} risk"


def grant_words(grant: Grant) -> str:
    """One grant as plain text of one line."""
    action = Action(grant.type, grant.params)
    return scope(
        grant.agent,
        action,
        directory=grant.directory,
        session_id=grant.session_id,
        rule=grant.rule,
        highest=grant.highest.value,
    )


def grant_row(grant: Grant, *, giver: bool = False) -> Block:
    """One grant with its count, its end and the button that revokes it.

    Args:
        giver: Say who gave it, where grants of several people stand together.
    """
    by = [plain(f"given by {grant.giver.name}", 200)] if giver else []
    return _row(grant, f"*Used {grant.used} of {grant.uses}*", *by)


def grant_note(grant: Grant) -> dict[str, Any]:
    """Arguments of the message that tells a thread of a new grant."""
    head = f"{shortened(grant.giver.name, 80)} approves similar ones in advance"
    return {
        "text": escape(shortened(f"{head}: {grant_words(grant)}", 2000)),
        "blocks": [rich(line(leaf(head, bold=True))), _row(grant, f"*At most {grant.uses} times*")],
        "mrkdwn": False,
        "parse": "none",
        "link_names": False,
        "unfurl_links": False,
        "unfurl_media": False,
    }


def _row(grant: Grant, count: str, *more: Block) -> Block:
    # plain_text: nothing in it is parsed, and its length is what it is cut to.
    return {
        "type": "section",
        "text": plain(grant_words(grant), 2000),
        "fields": [mrkdwn(count), mrkdwn(f"until {date(grant.expires_at)}"), *more],
        "accessory": revoke_button(grant),
    }


def revoke_button(grant: Grant) -> Block:
    """The button `grant.revoke`."""
    return {
        "type": "button",
        "action_id": ids.GRANT_REVOKE,
        "text": plain("Revoke", 75),
        "value": grant.id,
        "style": "danger",
        "accessibility_label": shortened(f"Revoke: {grant_words(grant)}", 75),
    }
