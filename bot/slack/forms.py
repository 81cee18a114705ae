"""The forms behind the buttons, and what was filled into them.

Pure: a request to a modal view, and a submitted view's state to values. An edit form has one input
for each top-level param: a text as text, everything else as JSON. What comes back as it was shown
keeps its exact value; what cannot be shown exactly is not offered for editing and is kept.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from bot.core import jsontext, redaction
from bot.core.describe import Ceremony, action_line, ceremony, target, visible
from bot.core.errors import InexactNumber, InvalidFields, InvalidJson
from bot.core.models import Action, ApprovalRequest, Conditions, JsonObject, RiskLevel
from bot.slack import ids
from bot.slack.exact import pretty
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

Values = Mapping[str, Mapping[str, Mapping[str, Any]]]
"""`view.state.values`: by block id, then action id."""

LONGEST_INPUT = 3000
"""Slack's limit for the text of an input."""

_MOST_INPUTS = 80
_MOST_CHOICES = 100
_LONGEST_CHOICE = 75
"""Slack's limits for a menu: options, and characters of one."""

_MOST_TEXT = 20_000
"""Characters of initial values in one view; twelve bytes each at worst, and a view ends at 250 KB."""


def approve_form(request: ApprovalRequest) -> Block:
    """View `request.approve`: reason, the typed target when critical, and conditions."""
    typed = ceremony(request.current_risk.level) is Ceremony.TYPED
    blocks = [
        *what(request),
        text_input(ids.REASON, "Reason", optional=not typed, hint="Audited, and told to the agent."),
        *([target_input(request)] if typed else []),
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
    """View `request.modify`: an input for each param, then reason and conditions."""
    typed = ceremony(request.current_risk.level) is Ceremony.TYPED
    fields = list(_fields(request))
    kept = [field.name for field in fields if not field.editable]
    blocks = [
        *what(request),
        *(_param_input(field, request) for field in fields if field.editable),
        *_kept(kept),
        text_input(ids.REASON, "Reason", optional=True, hint="What you changed, and why."),
        *([target_input(request) | {"optional": True}] if typed else []),
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
        *([target_input(request)] if typed else []),
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


def edited_params(request: ApprovalRequest, values: Values) -> JsonObject:
    """The params as the form came back, in their own order.

    Raises:
        InvalidFields: by block id, when a value is not JSON or of another type than before.
    """
    faults: dict[str, str] = {}
    params: dict[str, Any] = {}
    for field in _fields(request):
        params[field.name] = field.value
        if not field.editable or field.block_id not in values:
            continue
        text = _text(values, field.block_id)
        if text != field.shown and (text or not field.choices):  # a menu cannot be emptied
            try:
                params[field.name] = field.read(text)
            except ValueError as fault:
                faults[field.block_id] = str(fault)
    if faults:
        raise InvalidFields(faults)
    return params


@dataclass(frozen=True, slots=True)
class _Field:
    """One param as the form shows it."""

    name: str
    value: Any
    shown: str
    editable: bool
    choices: tuple[str, ...] = ()
    """What it may become, when the agent's schema or its type leaves a few values only."""

    @property
    def block_id(self) -> str:
        return ids.param_block(ids.pointer(self.name))

    def read(self, text: str) -> Any:
        """The value of `text`, of the same JSON type as before.

        Raises:
            ValueError: with a sentence for the person.
        """
        if isinstance(self.value, str):
            return text
        try:
            value = jsontext.loads(text.encode())
        except InexactNumber:
            raise ValueError("This number cannot be kept exactly; use fewer digits.") from None
        except (InvalidJson, UnicodeEncodeError):
            raise ValueError(f"Write this as JSON, {_kind(self.value)}.") from None
        if self.value is not None and _kind(value) != _kind(self.value):
            raise ValueError(f"This must stay {_kind(self.value)}.")
        return value


def _fields(request: ApprovalRequest) -> Iterator[_Field]:
    """Every param; those beyond what a view can hold are kept as they are."""
    room, inputs = _MOST_TEXT, 0
    params = request.current_action.params
    masked: JsonObject = redaction.own().value(params)
    for (name, value), (label, plain_value) in zip(params.items(), masked.items(), strict=True):
        shown = plain_value if isinstance(plain_value, str) else pretty(plain_value)
        exact = plain_value == value and visible(shown, lines=True) == shown and visible(label) == name
        fits = len(shown) <= min(LONGEST_INPUT, room) and inputs < _MOST_INPUTS
        if exact and fits:
            room, inputs = room - len(shown), inputs + 1
        choices = _choices(request, name, value) if exact and fits else ()
        yield _Field(name, value, shown, exact and fits, choices if shown in choices else ())


def _choices(request: ApprovalRequest, name: str, value: Any) -> tuple[str, ...]:
    """The values of a schema's `enum`, or of a boolean, as a menu can show them; else none."""
    if isinstance(value, bool):
        return ("true", "false")
    listed = _schema_of(request, name).get("enum")
    if not isinstance(listed, list) or not 1 <= len(listed) <= _MOST_CHOICES:
        return ()
    alike = [one for one in listed if _kind(one) == _kind(value)]
    texts = [one if isinstance(one, str) else jsontext.dumps(one).decode() for one in alike]
    fits = all(0 < len(text) <= _LONGEST_CHOICE and visible(text) == text.strip() == text for text in texts)
    return tuple(dict.fromkeys(texts)) if fits else ()


def _schema_of(request: ApprovalRequest, name: str) -> Mapping[str, Any]:
    """What the agent's schema says of one param."""
    properties = (request.submission.params_schema or {}).get("properties")
    said = properties.get(name) if isinstance(properties, Mapping) else None
    return said if isinstance(said, Mapping) else {}


def _kind(value: Any) -> str:
    if isinstance(value, bool):
        return "true or false"
    if isinstance(value, int | Decimal):
        return "a number"
    if isinstance(value, str):
        return "a text in quotes"
    if isinstance(value, list):
        return "a list"
    return "null" if value is None else "an object"


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


def _kept(names: list[str]) -> list[Block]:
    if not names:
        return []
    listed = "\n".join(shortened(name, 100) for name in names[:20])
    more = f"\n… {len(names) - 20} more" if len(names) > 20 else ""
    why = "These are kept as they are: too long for a form, or holding characters that it cannot show."
    return [rich(line(leaf(why, italic=True)), preformatted(listed + more))]


def _param_input(field: _Field, request: ApprovalRequest) -> Block:
    text = isinstance(field.value, str)
    if field.choices:
        return _menu(field, request)
    element: Block = {
        "type": "plain_text_input",
        "action_id": ids.VALUE,
        "multiline": "\n" in field.shown or len(field.shown) > 80 or isinstance(field.value, dict | list),
        "max_length": LONGEST_INPUT,
    }
    if field.shown:
        element["initial_value"] = field.shown
    block: Block = {
        "type": "input",
        "block_id": field.block_id,
        "label": plain(field.name or "(empty name)", 200),
        "element": element,
        "optional": text,
    }
    hint = _hint(field, request)
    return block | ({"hint": plain(hint, 300)} if hint else {})


def _menu(field: _Field, request: ApprovalRequest) -> Block:
    options = {text: {"text": plain(text, _LONGEST_CHOICE), "value": text} for text in field.choices}
    element = {
        "type": "static_select",
        "action_id": ids.VALUE,
        "options": list(options.values()),
        "initial_option": options[field.shown],
    }
    block: Block = {
        "type": "input",
        "block_id": field.block_id,
        "label": plain(field.name or "(empty name)", 200),
        "element": element,
    }
    said = _schema_of(request, field.name).get("description")
    return block | ({"hint": plain(f"The agent says: {said}", 300)} if isinstance(said, str) and said else {})


def _hint(field: _Field, request: ApprovalRequest) -> str:
    """How to write the value, and what the agent's schema says of it."""
    said = _schema_of(request, field.name)
    parts = [] if isinstance(field.value, str) else [f"JSON, {_kind(field.value)}"]
    choices = said.get("enum")
    if isinstance(choices, list):
        parts.append(f"One of {', '.join(jsontext.dumps(choice).decode() for choice in choices[:10])}")
    if isinstance(said.get("description"), str):
        parts.append(f"The agent says: {said['description']}")
    return ". ".join(parts)


def target_input(request: ApprovalRequest) -> Block:
    """The input in which the target of a critical action is typed."""
    wanted = target(request.current_action)
    label = f'Type "{wanted}" to confirm'
    return text_input(ids.TARGET, label, hint="Exactly as it stands between the quotes.", multiline=False)


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


def _text(values: Values, block_id: str) -> str:
    state = values.get(block_id, {}).get(ids.VALUE, {})
    chosen = state.get("selected_option")
    value = chosen.get("value") if isinstance(chosen, Mapping) else state.get("value")
    return value if isinstance(value, str) else ""


def _stripped(values: Values, block_id: str) -> str | None:
    return _text(values, block_id).strip() or None


def _moment(values: Values, block_id: str) -> datetime | None:
    chosen = values.get(block_id, {}).get(ids.VALUE, {}).get("selected_date_time")
    return datetime.fromtimestamp(chosen, tz=UTC) if isinstance(chosen, int) else None
