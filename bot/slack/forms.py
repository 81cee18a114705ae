"""The forms behind the buttons, and what was filled into them.

Pure: a request to a modal view, and a submitted view's state to values. The fields of an edit form are
those of `fields`.
"""

from collections.abc import Sequence
from datetime import UTC, datetime

from bot.core import jsontext
from bot.core.describe import Ceremony, action_line, ceremony, target
from bot.core.models import Action, ApprovalRequest, Conditions, RiskLevel
from bot.slack import ids
from bot.slack.fields import LONGEST_CHOICE, LONGEST_INPUT, Field, Values, fields_of, text_in
from bot.slack.text import (
    Block,
    context,
    labelled,
    leaf,
    line,
    mrkdwn,
    plain,
    preformatted,
    rich,
    shortened,
)


def approve_form(request: ApprovalRequest) -> Block:
    """View `request.approve`: reason, the typed target when critical, and conditions."""
    typed = ceremony(request.current_risk.level) is Ceremony.TYPED
    blocks = [
        *what(request),
        text_input(ids.REASON, "Reason", optional=not typed, hint="Audited, and told to the agent."),
        *([target_input(request.current_action)] if typed else []),
        *_condition_inputs(),
    ]
    return modal(ids.APPROVE, request, "Approve", blocks, submit="Approve")


def reject_form(request: ApprovalRequest) -> Block:
    """View `request.reject`: the reason, which the agent is told."""
    reason = text_input(ids.REASON, "Reason", hint="The agent is told, so say what would be acceptable.")
    return modal(ids.REJECT, request, "Reject", [*what(request), reason], submit="Reject")


def ask_form(request: ApprovalRequest) -> Block:
    """View `request.ask`: a question to the agent."""
    hint = "The agent is told at once, and its answer stands in the thread. The deadline goes on."
    question = text_input(ids.QUESTION, "Your question to the agent", hint=hint)
    return modal(ids.ASK, request, "Ask the agent", [*what(request), question], submit="Ask")


def modify_form(request: ApprovalRequest) -> Block:
    """View `request.modify`: an input for each param and each leaf of one, then reason and conditions.

    An edit of a critical action may be as critical as what was submitted: the target can be typed.
    """
    typed = Ceremony.TYPED in map(ceremony, (request.risk.level, request.current_risk.level))
    fields = fields_of(request)
    blocks = [
        *what(request),
        *(_param_input(field) for field in fields if field.editable),
        *_kept([field.label for field in fields if not field.editable]),
        text_input(ids.REASON, "Reason", optional=True, hint="What you changed, and why."),
        *([_edited_target(request)] if typed else []),
        *_condition_inputs(),
    ]
    return modal(ids.MODIFY, request, "Modify", blocks, submit="Submit changes")


def alternative_form(request: ApprovalRequest, number: int, risk: RiskLevel) -> Block:
    """View `request.modify` for an alternative of the agent's that one click is not enough for.

    Args:
        risk: Of the alternative.
    """
    typed = ceremony(risk) is Ceremony.TYPED
    action = Action(request.action.type, request.submission.alternatives[number].params)
    line_of_it = shortened(action_line(action, longest=2000), 2900)
    blocks = [
        *what(request),
        context(plain("would become", 100)),
        {
            "block_id": f"{ids.ALTERNATIVE_BLOCK}{number}",
            **rich(line(leaf(line_of_it, bold=True)), labelled("Target", leaf(target(action)))),
        },
        text_input(ids.REASON, "Reason", optional=not typed, hint="Audited, and told to the agent."),
        *([target_input(action)] if typed else []),
        *_condition_inputs(),
    ]
    return modal(ids.MODIFY, request, "Propose instead", blocks, submit="Propose")


def notice(title: str, sentence: str) -> Block:
    """A view that only says something. `sentence` is mrkdwn of ours."""
    return {
        "type": "modal",
        "title": plain(title, 24),
        "close": plain("Close", 24),
        "blocks": [{"type": "section", "text": mrkdwn(_fitting(sentence))}],
    }


def _fitting(sentence: str) -> str:
    """A sentence that a text object takes: a view that says too much says nothing at all."""
    return sentence if len(sentence) <= LONGEST_INPUT else f"{sentence[: LONGEST_INPUT - 1]}…"


def reason_of(values: Values, block_id: str = ids.REASON) -> str | None:
    """What stands in `reason`, or in another block for words; None when nothing does."""
    return _stripped(values, block_id)


def target_of(values: Values) -> str | None:
    """What stands in `target`; None when nothing does."""
    return _stripped(values, ids.TARGET)


def conditions_of(values: Values) -> Conditions | None:
    """What stands in the blocks for conditions; None when nothing does."""
    given = Conditions(
        text=_stripped(values, ids.CONDITIONS),
        not_before=_moment(values, ids.NOT_BEFORE),
        not_after=_moment(values, ids.NOT_AFTER),
    )
    return None if given == Conditions() else given


def modal(
    callback_id: str, request: ApprovalRequest, title: str, blocks: list[Block], *, submit: str
) -> Block:
    """A view about a request, which it names in its metadata."""
    return {
        "type": "modal",
        "callback_id": callback_id,
        "private_metadata": ids.reference(request),
        "title": plain(title, 24),
        "submit": plain(submit, 24),
        "close": plain("Cancel", 24),
        "blocks": blocks,
    }


def what(request: ApprovalRequest) -> list[Block]:
    """What the form is about, whole as far as a view can show it."""
    action = request.current_action
    whole = action_line(action, longest=2000)
    return [
        rich(
            line(leaf(shortened(whole, 6000), bold=True)),
            labelled("Target", leaf(target(action))),
            labelled("Asked by", leaf(shortened(request.agent, 200))),
        )
    ]


def _kept(names: Sequence[str]) -> list[Block]:
    if not names:
        return []
    listed = "\n".join(shortened(name, 100) for name in names[:20])
    more = f"\n… {len(names) - 20} more" if len(names) > 20 else ""
    why = (
        "These are kept as they are: too long or too many for a form, holding characters that it cannot"
        " show, or not to be edited by the agent's schema. Details shows them whole."
    )
    return [rich(line(leaf(why, italic=True)), preformatted(listed + more))]


def _param_input(field: Field) -> Block:
    if field.choices:
        return _menu(field)
    element: Block = {
        "type": "plain_text_input",
        "action_id": ids.VALUE,
        "multiline": "\n" in field.shown or len(field.shown) > 80 or field.is_compound,
        "max_length": LONGEST_INPUT,
    }
    if field.shown:
        element["initial_value"] = field.shown
    block: Block = {
        "type": "input",
        "block_id": field.block_id,
        "label": plain(field.label, 200),
        "element": element,
        "optional": field.is_text or not field.given,
    }
    hint = _hint(field)
    return block | ({"hint": plain(hint, 300)} if hint else {})


def _menu(field: Field) -> Block:
    options = {text: {"text": plain(text, LONGEST_CHOICE), "value": text} for text in field.choices}
    element = {
        "type": "static_select",
        "action_id": ids.VALUE,
        "options": list(options.values()),
        **({"initial_option": options[field.shown]} if field.given else {}),
    }
    block: Block = {
        "type": "input",
        "block_id": field.block_id,
        "label": plain(field.label, 200),
        "element": element,
        **({} if field.given else {"optional": True}),
    }
    hint = _hint(field)
    return block | ({"hint": plain(hint, 300)} if hint else {})


def _hint(field: Field) -> str:
    """How to write the value where no menu offers it, and what the agent's schema says of it."""
    parts = [] if field.given else ["The agent left this out, and so may you"]
    parts += [] if field.is_text or field.choices else [field.how[:1].upper() + field.how[1:]]
    choices, said = field.said.get("enum"), field.said.get("description")
    if isinstance(choices, list) and not field.choices:
        parts.append(f"One of {', '.join(jsontext.dumps(choice).decode() for choice in choices[:10])}")
    if isinstance(said, str) and said:
        parts.append(f"The agent says: {said}")
    return ". ".join(parts)


def target_input(action: Action) -> Block:
    """The input in which the target of a critical action is typed."""
    label = f'Type "{target(action)}" to confirm'
    return text_input(ids.TARGET, label, hint="Exactly as it stands between the quotes.", multiline=False)


def _edited_target(request: ApprovalRequest) -> Block:
    """The same beside the fields: what is typed must name what would run, so an edit may change it."""
    hint = "Exactly as it stands between the quotes; if your changes name another target, type that one."
    asked = target_input(request.current_action)
    return asked | {"optional": True, "hint": plain(hint, 300)}


def text_input(
    block_id: str, label: str, *, optional: bool = False, hint: str, multiline: bool = True
) -> Block:
    """An input for words."""
    return {
        "type": "input",
        "block_id": block_id,
        "label": plain(label, 200),
        "hint": plain(hint, 300),
        "optional": optional,
        "element": {
            "type": "plain_text_input",
            "action_id": ids.VALUE,
            "multiline": multiline,
            "max_length": LONGEST_INPUT if multiline else 200,
        },
    }


def _condition_inputs() -> list[Block]:
    return [
        context(plain("Conditions are told to the agent; the two times are enforced.")),
        text_input(ids.CONDITIONS, "Conditions", optional=True, hint="For example: watch the error rate."),
        _time_input(ids.NOT_BEFORE, "Not before"),
        _time_input(ids.NOT_AFTER, "Not after"),
    ]


def _time_input(block_id: str, label: str) -> Block:
    return {
        "type": "input",
        "block_id": block_id,
        "label": plain(label, 200),
        "optional": True,
        "element": {"type": "datetimepicker", "action_id": ids.VALUE},
    }


def _stripped(values: Values, block_id: str) -> str | None:
    return text_in(values, block_id).strip() or None


def _moment(values: Values, block_id: str) -> datetime | None:
    chosen = values.get(block_id, {}).get(ids.VALUE, {}).get("selected_date_time")
    return datetime.fromtimestamp(chosen, tz=UTC) if isinstance(chosen, int) else None
