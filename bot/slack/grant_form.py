"""The form that approves a request and, in advance, what is like it. Pure."""

from collections.abc import Mapping
from datetime import timedelta

from bot.core import grants
from bot.core.describe import Ceremony, ceremony
from bot.core.errors import InvalidFields
from bot.core.models import ApprovalRequest
from bot.slack import ids
from bot.slack.fields import Values
from bot.slack.forms import modal, reason_of, target_input, text_input, what
from bot.slack.grant_words import scope
from bot.slack.text import Block, cut, leaf, line, plain, preformatted, rich


def grant_form(request: ApprovalRequest) -> Block:
    """View `request.grant`: approves this, and in advance what is like it, as far as is said here."""
    typed = ceremony(request.current_risk.level) is Ceremony.TYPED
    action, level = request.action, grants.highest(request, request.policy.grantable_up_to)
    covered = scope(
        request.agent,
        action,
        directory=grants.directory_of(action),
        session_id=None,
        rule=request.policy.rule,
        highest=level.value,
    )
    blocks = [
        *what(request),
        rich(
            line(leaf("Approves this, and without asking again whatever is like it:", bold=True)),
            preformatted(cut(covered, characters=2500, lines=20).text),
            line(leaf("You can revoke it at any time: in the thread, on Home, or by /keyturn grants.")),
        ),
        _lasting_input(request),
        _uses_input(),
        text_input(ids.REASON, "Reason", optional=not typed, hint="Audited, and told to the agent."),
        *([target_input(request.current_action)] if typed else []),
    ]
    return modal(ids.GRANT, request, "Approve similar", blocks, submit="Approve")


def extent_of(values: Values) -> grants.Extent:
    """How far the form `request.grant` reaches.

    Raises:
        InvalidFields: by block id.
    """
    chosen = values.get(ids.LASTING, {}).get(ids.VALUE, {}).get("selected_option")
    lasting = chosen.get("value") if isinstance(chosen, Mapping) else None
    if lasting not in _LASTINGS:
        raise InvalidFields({ids.LASTING: "Choose how long."})
    uses = reason_of(values, ids.USES) or ""
    if not (uses.isascii() and uses.isdigit() and len(uses) < 6 and 1 <= int(uses) <= grants.MOST_USES):
        raise InvalidFields({ids.USES: f"Write a whole number from 1 to {grants.MOST_USES}."})
    return grants.Extent(_LASTINGS[lasting][1], int(uses), session_only=lasting == _SESSION)


_SESSION = "session"
_LASTINGS = {
    "30m": ("30 minutes", timedelta(minutes=30)),
    "1h": ("1 hour", timedelta(hours=1)),
    "4h": ("4 hours", timedelta(hours=4)),
    "8h": ("8 hours", grants.LONGEST),
    _SESSION: ("This session, 8 hours at most", grants.LONGEST),
}


def _lasting_input(request: ApprovalRequest) -> Block:
    session = request.submission.session_id is not None
    options = [
        {"text": plain(words, 75), "value": name}
        for name, (words, _lasting) in _LASTINGS.items()
        if session or name != _SESSION
    ]
    select = {
        "type": "static_select",
        "action_id": ids.VALUE,
        "options": options,
        "initial_option": options[0],
    }
    return {
        "type": "input",
        "block_id": ids.LASTING,
        "label": plain("For how long", 200),
        "element": select,
    }


def _uses_input() -> Block:
    number = {
        "type": "number_input",
        "action_id": ids.VALUE,
        "is_decimal_allowed": False,
        "min_value": "1",
        "max_value": str(grants.MOST_USES),
        "initial_value": str(grants.USES),
    }
    return {
        "type": "input",
        "block_id": ids.USES,
        "label": plain("How many times at most", 200),
        "element": number,
    }
