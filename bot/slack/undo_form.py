"""View `rollback.confirm`: what an undo would change, in words and as a diff. Pure."""

from collections.abc import Iterator
from typing import Any

from bot.core import undo
from bot.core.describe import Quoted
from bot.core.models import RollbackState
from bot.core.rollback import Item, Rollback, described
from bot.slack import ids, wording
from bot.slack.exact import pretty
from bot.slack.forms import notice, text_input
from bot.slack.text import (
    Block,
    cut,
    labelled,
    leaf,
    line,
    literal,
    plain,
    preformatted,
    quote,
    rich,
    shortened,
)
from bot.slack.undo_masked import masked

_SHOWN_ITEMS = 12
_SHOWN_STEPS = 6
_CHANGED_FIRST = "Newer actions of the session change it first; it is checked again after them"


def rollback_view(rollback: Rollback) -> Block:
    """The form while the rollback waits for a confirmation; else words that say how it stands."""
    rollback = masked(rollback)
    if described(rollback) == "previewed":
        return _form(rollback)
    view = notice("Rollback", _standing(rollback))
    stopped = [item for item in rollback.items if item.state is RollbackState.CONFLICT]
    return {**view, "blocks": [*view["blocks"], *(rich(*_item(item, rollback)) for item in stopped)]}


def _standing(rollback: Rollback) -> str:
    """How it stands, in mrkdwn, for whoever cannot confirm it at the moment."""
    match described(rollback):
        case "requested":
            return (
                "The agent has not said yet what this would change. Is its rollback worker running? "
                f"When it has, confirm on the card, or with `/rollback {rollback.items[0].request_id}`."
            )
        case "conflict":
            stopped = next(item for item in rollback.items if item.state is RollbackState.CONFLICT)
            anyway = (
                " Its card offers to roll back anyway, for a second reason; for one without a card, "
                f"`keyturn rollback {stopped.request_id} --reason WHY --force` does."
            )
            if rollback.session_id is not None:
                anyway += " Then start this again."
            return (
                f"Something has changed since the action, so nothing was rolled back. "
                f"{literal(_differs(rollback))}{anyway}"
            )
        case other:
            said = f" {literal(rollback.message)}" if rollback.message else ""
            return f"This rollback is {other}.{said}"


def _differs(rollback: Rollback) -> str:
    return shortened(rollback.message or "", 1500)


def _form(rollback: Rollback) -> Block:
    force = (
        [
            text_input(
                ids.FORCE_REASON,
                "Why may what has changed since be lost?",
                hint="This rollback overwrites what others changed after the action.",
            )
        ]
        if rollback.force
        else []
    )
    reason = text_input(ids.REASON, "Reason", hint="Audited on the request.")
    return {
        "type": "modal",
        "callback_id": ids.ROLLBACK_CONFIRM,
        "private_metadata": f"{rollback.id} {rollback.digest}",
        "title": plain("Confirm the rollback", 24),
        "submit": plain("Roll back anyway" if rollback.force else "Roll back", 24),
        "close": plain("Cancel", 24),
        "blocks": [
            rich(*_whole(rollback)),
            *(rich(*_item(item, rollback)) for item in rollback.items[:_SHOWN_ITEMS]),
            *_more(rollback),
            *_left_out(rollback),
            reason,
            *force,
        ],
    }


def _whole(rollback: Rollback) -> Iterator[Block]:
    count = len(rollback.items)
    what = f"{count} action{'' if count == 1 else 's'} of session {rollback.session_id}, newest first"
    yield labelled("Undo", leaf(shortened("one action" if rollback.session_id is None else what, 300)))
    yield labelled("Agent", leaf(shortened(rollback.agent, 200)))
    asked = f"{rollback.started_by.name}: {rollback.reason}"
    yield labelled("Asked for by", leaf(shortened(asked, 600)))
    yield labelled("Risk of the undo:", leaf(wording.RISK[rollback.risk.level]))
    yield labelled("Rule:", leaf(shortened(wording.ruling(rollback.policy), 400)))
    needed = rollback.requirement.needed
    yield labelled("Confirmations:", leaf(f"{needed - rollback.missing.count} of {needed}"))
    yield labelled("Digest:", leaf(rollback.digest))
    for why in rollback.beyond[:3]:
        yield labelled("Not covered by the action's own approval:", leaf(shortened(why, 400)))


def _item(item: Item, rollback: Rollback) -> Iterator[Block]:
    say = Quoted(120)
    steps = undo.steps(item.data)
    for step in steps[:_SHOWN_STEPS]:
        yield line(leaf(shortened(undo.words(step, say=say), 600), bold=True))
        yield from _exactly(undo.beyond_words(step))
    if len(steps) > _SHOWN_STEPS:
        yield line(leaf(f"… and {len(steps) - _SHOWN_STEPS} more steps", italic=True))
    # What stopped it was seen last: at the preview, or when it was to be applied.
    seen = item.result if item.state is RollbackState.CONFLICT else item.preview
    if seen is None:
        return
    yield line(leaf("The agent says"))
    yield quote(cut(seen.summary, characters=700, lines=12).text or " ")
    if seen.message:
        own = rollback.force or item.state is RollbackState.CONFLICT
        found = "It differs from what the action left" if own else _CHANGED_FIRST
        yield line(leaf(found, bold=True))
        yield quote(cut(seen.message, characters=700, lines=8).text or " ")
    if seen.diff:
        room = 2600 if len(rollback.items) == 1 else 700
        shown = cut(seen.diff, characters=room, lines=80)
        yield preformatted(shown.text or " ")
        if shown.note:
            yield line(leaf(f"… {shown.note}", italic=True))


def _exactly(data: Any) -> Iterator[Block]:
    """What is confirmed, as the agent sent it: its own preview may tell it in other words."""
    if data is not None:
        shown = cut(pretty(data), characters=900, lines=30)
        yield preformatted(shown.text or " ")
        if shown.note:
            yield line(leaf(f"… {shown.note}", italic=True))


def _more(rollback: Rollback) -> list[Block]:
    hidden = rollback.items[_SHOWN_ITEMS:]
    if not hidden:
        return []
    names = "\n".join(item.request_id for item in hidden[:40])
    return [rich(line(leaf(f"And {len(hidden)} more actions", bold=True)), preformatted(names))]


def _left_out(rollback: Rollback) -> list[Block]:
    """What of a session stays as it is: whoever confirms must know that it is a part only."""
    if not rollback.left_out:
        return []
    shown = "\n".join(f"{left.action}: {left.why} ({left.request_id})" for left in rollback.left_out[:10])
    count = len(rollback.left_out)
    stays = (
        "1 action of the session stays as it is"
        if count == 1
        else f"{count} actions of the session stay as they are"
    )
    title = f"{stays}, so this is partial"
    return [rich(line(leaf(title, bold=True)), preformatted(cut(shown, characters=1500, lines=12).text))]
