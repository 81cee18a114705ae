"""The words of every Slack surface, in one place: statuses, causes, risks, who is still needed.

Every state has an emoji and a word, so that it is readable without colour. Decided and executed are
two states and are always said as two.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from bot.core import redaction
from bot.core.authority import entitled_sets
from bot.core.models import (
    Action,
    ApprovalRequest,
    ApproverSet,
    Cause,
    ExecutionState,
    PolicyDecision,
    RiskLevel,
    Status,
)
from bot.core.pausing import HELD, Pause
from bot.core.quorum import live_approvals, missing


@dataclass(frozen=True, slots=True)
class Names:
    """What Slack said of the people a card names."""

    known: Mapping[str, str] = field(default_factory=dict)
    """Names to show, by Slack id or e-mail address."""
    unknown: frozenset[str] = frozenset()
    """Ids and addresses that Slack knows nobody by."""
    coming: tuple[str, ...] = ()
    """Names of those whom the next level asks by what is known now, when they are few."""

    def of(self, person: str) -> str:
        """The name to show for an id or an address."""
        return self.known.get(person, person)


STATUS: Final = {
    Status.PENDING: "⏳ Pending",
    Status.APPROVED: "✅ Approved",
    Status.MODIFIED: "📝 Modified and approved",
    Status.REJECTED: "⛔ Rejected",
    Status.TIMED_OUT: "⌛ Timed out",
    Status.CANCELLED: "🚫 Cancelled",
}

EXECUTION: Final = {
    ExecutionState.NOT_STARTED: "🕓 Not run yet",
    ExecutionState.CLAIMED: "🏃 Running",
    ExecutionState.SUCCEEDED: "🏁 Done",
    ExecutionState.FAILED: "❌ Failed",
    ExecutionState.ROLLED_BACK: "⏪ Rolled back",
}

RISK: Final = {
    RiskLevel.NONE: "⚪ No risk",
    RiskLevel.LOW: "🟢 Low risk",
    RiskLevel.MEDIUM: "🟡 Medium risk",
    RiskLevel.HIGH: "🟠 High risk",
    RiskLevel.CRITICAL: "🔴 Critical risk",
}

CAUSE: Final = {
    Cause.TIMEOUT: "Nobody decided in time, so it may not run.",
    Cause.NO_APPROVER: "Nobody was left who may approve it, so it may not run.",
    Cause.CANCELLED_BY_AGENT: "The agent withdrew it.",
    Cause.CANCELLED_BY_OPERATOR: "An operator withdrew it.",
    Cause.POLICY_RULE: "A policy rule decided.",
    Cause.RISK_THRESHOLD: "A risk threshold of the policy decided.",
    Cause.GRANT: "A standing approval covered it.",
    Cause.PAUSED: "The kill switch is on.",
}

TO_REQUESTER: Final = {
    **CAUSE,
    Cause.TIMEOUT: "Nobody who was asked answered in time, so it was not run. The agent may ask again.",
    Cause.NO_APPROVER: "Nobody is left who may approve it, so it was not run. Tell your operators.",
}
"""The same for the human behind the agent."""

FEW = 3
"""People of a group that are named one by one."""

_LONGEST_NEXT = 200
_LONGEST_PAUSE = 300
_NOUNS: Final = {
    Status.PENDING: "pending",
    Status.APPROVED: "approved",
    Status.MODIFIED: "modified and approved",
    Status.REJECTED: "rejected",
    Status.TIMED_OUT: "timed out",
    Status.CANCELLED: "cancelled",
}


def headline(request: ApprovalRequest) -> str:
    """`⏳ Pending · 🔴 Critical risk`; once runnable the execution stands beside the decision."""
    parts = [STATUS[request.status]]
    if request.status.runnable:
        parts.append(EXECUTION[request.execution.state])
    parts.append(RISK[request.current_risk.level])
    return " · ".join(parts)


def held_words(pause: Pause) -> str:
    """`⏸ Held. Agent builder is paused: …`, for a card whose clicks are refused meanwhile."""
    said = redaction.own().text(pause.sentence)[:_LONGEST_PAUSE].removesuffix(".")
    return f"⏸ Held. {said}. {HELD}"


def decided_word(request: ApprovalRequest) -> str:
    """`approved`, `timed out`, …"""
    return _NOUNS[request.status]


def shown_action(request: ApprovalRequest) -> Action:
    """What an approval lets run, or let run; for what never runs, what was last asked."""
    decision = request.decision
    if decision is not None and decision.params is not None:
        return Action(request.action.type, decision.params)
    return request.current_action


def ruling(policy: PolicyDecision) -> str:
    """The rule that decided and its explanation, which mostly names it already."""
    rule = f"rule {policy.rule}" + (f" of {policy.name}" if policy.name else "")
    return policy.explanation if rule in policy.explanation else f"{rule}. {policy.explanation}"


def exactly(request: ApprovalRequest) -> str:
    """What the params shown are: a plan, an approval, or something that never runs."""
    if request.status is Status.PENDING:
        return "Exactly this would run"
    return (
        "Exactly this was approved" if request.status.runnable else "Exactly this was asked, and may not run"
    )


def progress(request: ApprovalRequest) -> str:
    """`1 of 2, still needs someone from sre`; empty when nobody is asked."""
    requirement = request.current_requirement
    if requirement is None:
        return ""
    if not any(entry.users != () for entry in entitled_sets(request)):
        return "Nobody may approve this: the policy's approvers are an empty set"
    lacking = missing(requirement, request.reviews, request.current_digest)
    have = max(requirement.needed - lacking.count, 0)
    count = f"{have} of {requirement.needed}"
    wanted = [f"someone from {listed(lacking.groups)}"] if lacking.groups else []
    if others := lacking.count - len(lacking.groups):
        wanted.append(f"{others} more {'person' if others == 1 else 'people'}")
    return f"{count}, still needs {' and '.join(wanted)}" if wanted else count


def who_may(request: ApprovalRequest, names: Names) -> str:
    """The groups and people who may decide, for people."""
    return "; ".join(dict.fromkeys(_set_words(entry, names) for entry in entitled_sets(request)))


def next_people(request: ApprovalRequest, names: Names) -> str:
    """Whom the next level asks: the group, and the people in it when they are few."""
    above = request.plan[request.level + 1]
    group = above.escalate_to or above.rule or "the next level"
    people = names.coming or [names.of(user) for entry in above.entitles for user in entry.users or ()]
    shown = f"{group} ({listed(people)})" if 0 < len(people) <= FEW else group
    return shown if len(shown) <= _LONGEST_NEXT else f"{shown[: _LONGEST_NEXT - 1]}…"


def approvers_so_far(request: ApprovalRequest) -> list[str]:
    """Names of those whose approval counts at the moment."""
    return [review.reviewer.name for review in live_approvals(request.reviews, request.current_digest)]


def listed(words: Sequence[str]) -> str:
    """`a, b and c`."""
    if len(words) < 2:
        return "".join(words)
    return f"{', '.join(words[:-1])} and {words[-1]}"


def _set_words(entry: ApproverSet, names: Names) -> str:
    if entry.group is not None:
        return entry.group
    if entry.users is not None:
        return listed([names.of(user) for user in entry.users]) or "nobody"
    return entry.source.replace("slack_usergroup:", "user group ").replace("schedule:", "schedule ")
