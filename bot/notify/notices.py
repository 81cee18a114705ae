"""A request in words, for channels outside Slack. Pure.

What an agent says stands inside “…”, made visible and cut; the action's line is Keyturn's own. No
params go out: who wants to see them opens the card.
"""

from datetime import UTC, datetime
from typing import Any

from bot.core import redaction
from bot.core.describe import action_line
from bot.core.models import ApprovalRequest
from bot.core.times import optional_rfc3339, rfc3339
from bot.core.visible import visible
from bot.notify.channel import Notice
from bot.store.outbox import OutboxItem

_LONGEST_TITLE = 180
_LONGEST_WORDS = 400


def notice(item: OutboxItem, request: ApprovalRequest, link: str | None) -> Notice:
    """What to tell the address of this piece of work."""
    request = redaction.own().request(request)
    risk = request.current_risk.level.value
    action = action_line(request.current_action)
    return Notice(
        id=f"msg_{request.id}_{item.id}",
        address=str(item.payload["address"]),
        title=_short(f"{risk.capitalize()} risk, waiting for a decision: {action}", _LONGEST_TITLE),
        description="\n".join(_lines(request, action)),
        severity=risk,
        at=item.created_at,
        link=link,
        data=_data(request, int(item.payload["level"])),
    )


def _lines(request: ApprovalRequest, action: str) -> list[str]:
    submission, risk = request.submission, request.current_risk
    said = [
        f"The agent {visible(request.agent)} asks before it acts: {action}",
        f"It says: “{_short(visible(submission.description), _LONGEST_WORDS)}”",
    ]
    if submission.reason:
        said.append(f"Its reason: “{_short(visible(submission.reason), _LONGEST_WORDS)}”")
    factors = "; ".join(factor.detail for factor in risk.factors[:5])
    said.append(f"Risk: {risk.level.value}, {risk.score} of 100{f' ({visible(factors)})' if factors else ''}")
    said.append(f"Why a person is asked: {visible(request.policy.explanation or request.policy.rule)}")
    if request.deadline_at is not None:
        said.append(f"Without a decision by {_utc(request.deadline_at)} it does not run.")
    said.append(f"Asked at {_utc(request.created_at)} as {request.id}")
    return said


def _data(request: ApprovalRequest, level: int) -> dict[str, Any]:
    rung = request.plan[level] if level < len(request.plan) else None
    return {
        "request_id": request.id,
        "agent": request.agent,
        "action_type": request.action.type,
        "digest": request.current_digest,
        "risk": request.current_risk.level.value,
        "level": level,
        "rule": None if rung is None else rung.rule,
        "escalated_to": None if rung is None else rung.escalate_to,
        "created_at": rfc3339(request.created_at),
        "next_escalation_at": optional_rfc3339(request.next_escalation_at),
        "deadline_at": optional_rfc3339(request.deadline_at),
    }


def _short(text: str, limit: int) -> str:
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


def _utc(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
