"""A request as a Slack message: what is asked, why a person is needed, what was decided.

Pure: a request in, `chat.postMessage` arguments out. The action line is built by us from the params;
everything else that came from outside is a rich text leaf or `plain_text`, visible and cut, so it can
forge nothing. The longest fields together stay below Slack's limit of about 13,200 characters of text.
"""

from datetime import datetime
from typing import Any

from bot.core import grants, redaction
from bot.core.describe import Ceremony, action_line, ceremony, target
from bot.core.models import Action, ApprovalRequest, ExecutionState, RiskFactor, RiskLevel, Status, Urgency
from bot.core.pausing import Pause
from bot.core.rollback import Chance, Prospect
from bot.core.visible import visible
from bot.slack import ids, wording
from bot.slack.exact import around_difference, differences, pretty, texts
from bot.slack.text import (
    Block,
    context,
    cut,
    date,
    date_leaf,
    escape,
    labelled,
    leaf,
    line,
    mrkdwn,
    plain,
    preformatted,
    quote,
    rich,
    shortened,
    utc,
)
from bot.slack.told import WORTH_SAYING, lateness
from bot.slack.undo_card import undo_blocks
from bot.slack.wording import Names

CONFIRM_LENGTH = 300
"""Slack's limit for the text of a confirmation dialog."""

_FACTORS = 6
_CHANGES = 5
_NOBODY = Names()
_NOT_RUN = Prospect(Chance.NOTHING, "It has not run.")


def card(
    request: ApprovalRequest,
    *,
    card_id: str,
    prospect: Prospect = _NOT_RUN,
    names: Names = _NOBODY,
    held: Pause | None = None,
) -> dict[str, Any]:
    """Arguments for `chat.postMessage` and `chat.update`, but for the channel.

    Args:
        card_id: Names this copy of the card; a copy whose posting was unclear is found again by it.
        prospect: Whether the action can be rolled back at this moment.
        names: What Slack said of the people the card names.
        held: The pause during which no click on it decides.
    """
    request = redaction.own().request(request)
    return {
        "text": notification(request, held),
        "blocks": blocks(request, names, prospect, held),
        "metadata": {
            "event_type": ids.CARD_EVENT,
            "event_payload": {"request_id": request.id, "card_id": card_id},
        },
        "mrkdwn": False,
        "parse": "none",
        "link_names": False,
        "unfurl_links": False,
        "unfurl_media": False,
    }


def notification(request: ApprovalRequest, held: Pause | None = None) -> str:
    """What notifications and screen readers say: state, action, target, requester, deadline."""
    action = wording.shown_action(request)
    parts = [
        *([wording.held_words(held)] if held is not None else ()),
        f"{wording.headline(request)}: {action_line(action)}",
        f"Target: {target(action)}",
        f"Asked by {request.agent}",
    ]
    if request.status is Status.PENDING and request.deadline_at is not None:
        parts.append(f"Decide by {utc(request.deadline_at)}")
    elif request.decision is not None and request.decision.by:
        parts.append(f"Decided by {wording.listed([r.name for r in request.decision.by])}")
    return escape(". ".join(shortened(part, 600) for part in parts))


def blocks(
    request: ApprovalRequest, names: Names, prospect: Prospect, held: Pause | None = None
) -> list[Block]:
    """The card, top to bottom."""
    pending = request.status is Status.PENDING
    return [
        {"type": "header", "text": plain(wording.headline(request), 150)},
        *([rich(line(leaf(wording.held_words(held), bold=True)))] if held is not None else ()),
        *(_mention(request) if pending else ()),
        rich(line(leaf(action_line(wording.shown_action(request)), bold=True))),
        rich(_asker(request, names), *_words(request)),
        *_change(request),
        *_params(request),
        *_preview(request),
        rich(*_why(request)),
        *(_progress(request, names) if pending else _outcome(request)),
        *undo_blocks(request, prospect),
        *_attention(request),
        *(_clock(request, names) if pending else ()),
        *(_buttons(request) if pending else ()),
    ]


def confirmation(action: Action, *, title: str = "Approve this high-risk action?") -> Block | None:
    """The dialog that names action and target; None when they do not fit it whole.

    Args:
        action: As it may be shown.
        title: The question.
    """
    text = f"{action_line(action, longest=CONFIRM_LENGTH)}\n\nTarget: {target(action)}"
    if len(text) > CONFIRM_LENGTH:
        return None
    return {
        "title": plain(title, 100),
        "text": {"type": "plain_text", "text": text, "emoji": False},
        "confirm": plain("Approve", 30),
        "deny": plain("Not now", 30),
        "style": "primary",
    }


def approval_opens_form(request: ApprovalRequest) -> bool:
    """Whether Approve opens the form: for a critical action, and one that its dialog cannot show whole."""
    return opens_form(redaction.own().request(request).current_action, request.current_risk.level)


def opens_form(action: Action, risk: RiskLevel) -> bool:
    """Whether one click is not enough for an action: a critical one, or one that no dialog shows whole.

    Args:
        action: As it may be shown.
    """
    care = ceremony(risk)
    return care is Ceremony.TYPED or (care is Ceremony.CONFIRM and confirmation(action) is None)


def _mention(request: ApprovalRequest) -> list[Block]:
    """Who is called, by id: never taken from anything that an agent wrote."""
    if request.submission.urgency is Urgency.CRITICAL:
        words = "<!here> A critical request is waiting for a decision."
    elif request.submission.urgency is Urgency.HIGH and (called := _called(request)):
        words = f"{called} An urgent request is waiting for your decision."
    else:
        return []
    return [{"type": "section", "text": mrkdwn(words)}]


def _called(request: ApprovalRequest) -> str:
    requirement = request.current_requirement
    mentions: list[str] = []
    for entry in requirement.approvers if requirement is not None else ():
        if entry.source.startswith(_USERGROUP):
            mentions.append(f"<!subteam^{escape(entry.source.removeprefix(_USERGROUP))}>")
        mentions += [f"<@{escape(user)}>" for user in entry.users or () if user[:1] in ("U", "W")]
    return " ".join(dict.fromkeys(mentions[:_FACTORS]))


_USERGROUP = "slack_usergroup:"


def _asker(request: ApprovalRequest, names: Names) -> Block:
    submission = request.submission
    facts = [("Agent", request.agent)]
    if submission.session_id is not None:
        facts.append(("Session", submission.session_id))
    if submission.on_behalf_of is not None:
        facts.append(("On behalf of", _person(submission.on_behalf_of, names)))
    if submission.urgency is not Urgency.NORMAL:
        facts.append(("Urgency", submission.urgency.value))
    leaves: list[Block] = []
    for label, value in facts:
        leaves += [leaf(f"{'  ·  ' if leaves else ''}{label} ", bold=True), leaf(shortened(value, 200))]
    return line(*leaves)


def _person(named: str, names: Names) -> str:
    if named in names.unknown:
        return f"{named} (not known to Slack, so nobody is excluded for it)"
    return f"{names.known[named]} ({named})" if named in names.known else named


def _words(request: ApprovalRequest) -> list[Block]:
    """The agent's own words, marked as such."""
    found = [line(leaf("The agent says", bold=True)), *_quoted(request.submission.description, 1200)]
    if request.submission.reason:
        found += [line(leaf("and gives as its reason", bold=True)), *_quoted(request.submission.reason, 800)]
    return found


def _quoted(text: str, characters: int) -> list[Block]:
    part = cut(text, characters=characters, lines=12)
    shown = [quote(part.text)] if part.text else []
    return [*shown, *([line(leaf(f"… {part.note}, in Details", italic=True))] if part.note else [])]


def _change(request: ApprovalRequest) -> list[Block]:
    """Old and new values, when what would run is not what was submitted."""
    changes = differences(request.action.params, wording.shown_action(request).params)
    if not changes:
        return []
    author = "" if request.proposal is None else f" by {shortened(request.proposal.by.name, 80)}"
    found = [line(leaf(f"Changed{author}; the old value, then the new one", bold=True))]
    for name, old, new in changes[:_CHANGES]:
        found.append(line(leaf(shortened(name, 60), bold=True)))
        found.append(preformatted(_old_and_new(old, new)))
    if len(changes) > _CHANGES:
        found.append(line(leaf(f"… {len(changes) - _CHANGES} more changes, in Details", italic=True)))
    return [rich(*found)]


def _old_and_new(old: str | None, new: str | None) -> str:
    if old is not None and new is not None:
        old, new = around_difference(visible(old), visible(new), width=100)
    before, after = ("(none)" if text is None else shortened(text, 120) for text in (old, new))
    return f"- {before}\n+ {after}"


def _params(request: ApprovalRequest) -> list[Block]:
    action = wording.shown_action(request)
    whole = cut(pretty(action.params), characters=2000, lines=30)
    found = [
        line(leaf(wording.exactly(request), bold=True)),
        preformatted(whole.text),
        *_left_out(whole.note),
    ]
    for name, text in list(texts(action.params).items())[:1]:
        part = cut(text, characters=900, lines=20)
        title = line(leaf(f"{shortened(name, 80)}, line by line", bold=True))
        found += [title, preformatted(part.text), *_left_out(part.note)]
    return [rich(*found)]


def _left_out(note: str | None) -> list[Block]:
    return [line(leaf(f"… {note}; Details shows everything", italic=True))] if note else []


def _preview(request: ApprovalRequest) -> list[Block]:
    """The dry run that an approval would bind; an edit drops it."""
    preview = request.submission.preview
    if not preview or wording.shown_action(request).params != request.action.params:
        return []
    part = cut(preview, characters=1200, lines=20)
    title = line(leaf("The agent's preview of the effect", bold=True))
    return [rich(title, preformatted(part.text), *_left_out(part.note))]


def _why(request: ApprovalRequest) -> list[Block]:
    """Rule and factors: why a person is asked."""
    policy = request.policy if request.proposal is None else request.proposal.policy
    risk = request.current_risk
    needed = "is" if request.status is Status.PENDING else "was"
    why = leaf(shortened(wording.ruling(policy), 500))
    found = [labelled(f"Why a person {needed} needed:", why)]
    factors = sorted(risk.factors, key=lambda factor: -abs(factor.points))
    score = f"score {_points(risk.score)}"
    shown = "; ".join(_factor(factor) for factor in factors[:_FACTORS])
    more = f"; {len(factors) - _FACTORS} more" if len(factors) > _FACTORS else ""
    found.append(labelled("Risk:", leaf(f"{score}. {shown}{more}" if factors else score)))
    return found


def _factor(factor: RiskFactor) -> str:
    return shortened(f"{factor.points:+f} {factor.name} ({factor.detail})", 160)


def _points(score: object) -> str:
    return f"{score}".rstrip("0").rstrip(".") if "." in f"{score}" else f"{score}"


def _progress(request: ApprovalRequest, names: Names) -> list[Block]:
    found = [labelled("Approvals:", leaf(shortened(wording.progress(request), 300)))]
    if request.level:
        found[0]["elements"].append(leaf(f"  ·  escalated, level {request.level} of {len(request.plan) - 1}"))
    if given := wording.approvers_so_far(request):
        found.append(labelled("Approved so far by", leaf(shortened(wording.listed(given), 300))))
    if may := wording.who_may(request, names):
        found.append(labelled("May decide:", leaf(shortened(may, 300))))
    return [rich(*found)]


def _clock(request: ApprovalRequest, names: Names) -> list[Block]:
    """Deadline and next escalation, in the viewer's zone."""
    if request.deadline_at is None:
        return []
    words = [f"Decide by {date(request.deadline_at)}, or it may not run"]
    if request.next_escalation_at is not None:
        words.append(
            f"next: {escape(wording.next_people(request, names))}, {date(request.next_escalation_at)}"
        )
    if request.watch.late >= WORTH_SAYING:
        words.append(lateness(request.watch.late))
    return [context(mrkdwn("  ·  ".join(words)))]


def _attention(request: ApprovalRequest) -> list[Block]:
    """Who was asked further up, also once it is decided; and who has taken it."""
    found = []
    for rung in request.plan[1 : request.level + 1]:
        whom = shortened(rung.escalate_to or rung.rule or "the next level", 80)
        found.append(labelled("Escalated to", leaf(f"{whom}, "), date_leaf(rung.opens_at)))
    for ack in request.watch.acks if request.status is Status.PENDING else ():
        found.append(labelled("On it:", leaf(f"{shortened(ack.by.name, 80)}, since "), date_leaf(ack.at)))
    return [rich(*found)] if found else []


def _outcome(request: ApprovalRequest) -> list[Block]:
    """Who, when and why; then what became of it."""
    decision = request.decision
    if decision is None:
        return []
    who = wording.listed([reviewer.name for reviewer in decision.by])
    verdict = wording.STATUS[request.status] + (f" by {who}" if who else "")
    found = [line(leaf(f"{shortened(verdict, 300)}, ", bold=True), date_leaf(decision.decided_at))]
    if not decision.by and request.cause is not None and (why := wording.CAUSE.get(request.cause)):
        found.append(line(leaf(why)))
    if decision.reason:
        found += [line(leaf("Reason", bold=True)), *_quoted(decision.reason, 800)]
    return [rich(*found, *_conditions(request), *_execution(request))]


def _conditions(request: ApprovalRequest) -> list[Block]:
    decision = request.decision
    given = None if decision is None else decision.conditions
    if given is None:
        return []
    found: list[Block] = []
    if given.text:
        found += [line(leaf("Conditions", bold=True)), *_quoted(given.text, 500)]
    if given.not_before is not None:
        found.append(labelled("Not before", date_leaf(given.not_before)))
    if given.not_after is not None:
        found.append(labelled("Not after", date_leaf(given.not_after)))
    return found


def _execution(request: ApprovalRequest) -> list[Block]:
    decision, run = request.decision, request.execution
    if decision is None or not request.status.runnable:
        return []
    # What undid it is told below, with its own time.
    state = ExecutionState.SUCCEEDED if run.state is ExecutionState.ROLLED_BACK else run.state
    found = [line(leaf(wording.EXECUTION[state], bold=True), *_when(run.finished_at or run.claimed_at))]
    if not run.claimed_at and decision.expires_at is not None:
        found.append(labelled("The approval expires", date_leaf(decision.expires_at)))
    if run.error:
        found += [line(leaf("The agent reports", bold=True)), *_quoted(run.error, 400)]
    return found


def _when(moment: datetime | None) -> list[Block]:
    return [] if moment is None else [leaf(", "), date_leaf(moment)]


def _buttons(request: ApprovalRequest) -> list[Block]:
    approve = _button(request, ids.APPROVE, "Approve", style="primary")
    shown = redaction.own().request(request).current_action
    if ceremony(request.current_risk.level) is Ceremony.CONFIRM and (dialog := confirmation(shown)):
        approve["confirm"] = dialog
    return [
        {
            "type": "actions",
            "elements": [
                approve,
                _button(request, ids.REJECT, "Reject", style="danger"),
                _button(request, ids.MODIFY, "Modify"),
                _button(request, ids.DETAILS, "Details"),
            ],
        },
        {
            "type": "actions",
            "elements": [
                _button(request, ids.ACKNOWLEDGE, "I'm on it"),
                *([_button(request, ids.GRANT, "Approve similar")] if grants.offered(request) else []),
                _button(request, ids.ASK, "Ask"),
                *([_button(request, ids.ESCALATE, "Escalate now")] if request.next_escalation_at else []),
            ],
        },
    ]


def _button(request: ApprovalRequest, action_id: str, label: str, **style: str) -> Block:
    return {
        "type": "button",
        "action_id": action_id,
        "text": plain(label, 75),
        "value": ids.reference(request),
        "accessibility_label": shortened(f"{label}: {action_line(request.current_action)}", 75),
        **style,
    }
