"""The life of an approval request, as pure functions.

A request starts PENDING and settles exactly once. Nothing here reads a clock or a
database: the caller passes `now` and stores the returned Transition, which names the
version it was made from. Verdicts are in `reviewing`, what time does is in
`climbing`, what follows a decision is in `executing`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from bot.core import escalation
from bot.core.audited import changed, created, noted
from bot.core.digest import digest_of, text_digest
from bot.core.errors import AlreadyDecided
from bot.core.models import (
    Action,
    Actor,
    ActorType,
    Agent,
    ApprovalRequest,
    Cause,
    Conditions,
    Decision,
    Effect,
    Event,
    Message,
    Outgoing,
    RequestId,
    Reviewer,
    RiskAssessment,
    Ruling,
    Status,
    Submission,
    Transition,
    Via,
    Watch,
)
from bot.core.notifying import (
    Members,
    asked,
    card,
    knocks,
    misses,
    note,
    recipient,
    unreachable_alert,
)

DECIDED_EVENTS = {
    Status.APPROVED: "action_approved",
    Status.MODIFIED: "action_modified",
    Status.REJECTED: "action_rejected",
    Status.TIMED_OUT: "action_timed_out",
    Status.CANCELLED: "action_cancelled",
}
"""The audit event of each way to settle."""

LADDER = Actor.system("escalation")
"""Who acts when time does."""

NOBODY_DECIDED = "Nobody decided before the deadline, so the action may not run."
NOBODY_MAY_DECIDE = "Nobody is left who may approve this, so the action may not run."


@dataclass(frozen=True, slots=True)
class Judged:
    """An action with the risk and the ruling it was given."""

    action: Action
    risk: RiskAssessment
    ruling: Ruling


def submit(
    submission: Submission,
    judged: Judged,
    *,
    id: RequestId,
    agent: Agent,
    now: datetime,
    members: Members | None = None,
    admin: str | None = None,
) -> Transition:
    """A new request as the policy leaves it: decided at once, or pending with its ladder.

    The events are `action_requested`, `policy_applied` and, when the policy decided, the decision;
    else `escalation_triggered` for each rule that acts at once.

    Args:
        members: Slack ids behind each name that those rules ping (`notifying.looked_up`).
        admin: The channel that hears of whom they cannot reach; None when the workspace has none.
    """
    ruling = judged.ruling
    fresh = _pending(submission, judged, id=id, agent=agent, now=now)
    events = [_requested(fresh), _policy_applied(fresh)]
    if ruling.effect_is_review:
        widened, outgoing = _acted_at_once(fresh, ruling, members or {})
        missed = [event.body for event in widened if event.name == "notification_failed"]
        alerts = [alert for body in missed for alert in unreachable_alert(fresh.id, body, admin)]
        return Transition(fresh, (*events, *widened), now, (*_cards(fresh), *outgoing, *alerts))
    settled = _settle_by_policy(replace(fresh, plan=(), watch=Watch()), ruling, now)
    actor = Actor(ActorType.POLICY, ruling.policy.name or "none", ruling.policy.name or "no policy")
    events.append(changed(DECIDED_EVENTS[settled.status], fresh, settled, actor, Via.HTTP))
    return Transition(settled, tuple(events), now, decided_outgoing(settled))


def _pending(
    submission: Submission, judged: Judged, *, id: RequestId, agent: Agent, now: datetime
) -> ApprovalRequest:
    """The request before anything came of it, with the ladder that it climbs if people are asked."""
    ruling = judged.ruling
    plan = escalation.plan(ruling, submission, now=now)
    return ApprovalRequest(
        id=id,
        agent=agent.name,
        owner=agent.owner,
        submission=submission,
        digest=digest_of(submission.action),
        preview_digest=None if submission.preview is None else text_digest(submission.preview),
        risk=judged.risk,
        policy=ruling.policy,
        requirement=ruling.requirement if ruling.effect_is_review else None,
        status=Status.PENDING,
        cause=None,
        decision=None,
        created_at=now,
        updated_at=now,
        version=1,
        plan=plan,
        approval_valid_for=ruling.terms.approval_valid_for,
        channel=ruling.terms.channel,
        watch=Watch(ruling.terms.ack_for, remind_at=escalation.first_reminder(plan[0], now)),
    )


def cancel(
    request: ApprovalRequest, *, reason: str | None, actor: Actor, cause: Cause, via: Via, now: datetime
) -> Transition | None:
    """Withdraw a pending request; None when it was cancelled before.

    Raises:
        AlreadyDecided: it was settled in another way.
    """
    if request.status is Status.CANCELLED:
        return None
    if request.status is not Status.PENDING:
        raise AlreadyDecided(f"The request is already {request.status.value}; it cannot be cancelled.")
    by = "an operator" if cause is Cause.CANCELLED_BY_OPERATOR else "the agent"
    after = settled(request, Status.CANCELLED, cause, reason=reason or f"Cancelled by {by}.", now=now)
    event = changed("action_cancelled", request, after, actor, via)
    return Transition(after, (event,), now, decided_outgoing(after))


def time_out(request: ApprovalRequest, *, cause: Cause, reason: str, now: datetime) -> Transition:
    """End a pending request that nobody decided. It never runs."""
    after = settled(request, Status.TIMED_OUT, cause, reason=reason, now=now)
    event = changed("action_timed_out", request, after, LADDER, Via.SCHEDULER)
    # Its thread has told of each hop; a request that never left its channel says it on its card.
    told = (note(after, "timed_out", broadcast=False),) if after.level and after.channel else ()
    return Transition(after, (event,), now, (*told, *decided_outgoing(after)))


def say(request: ApprovalRequest, message: Message, *, in_reply_to: str | None, now: datetime) -> Transition:
    """Add the agent's words to the request's talk."""
    after = bumped(request, now, messages=(*request.messages, message))
    event = changed(
        "info_given",
        request,
        after,
        Actor.agent(request.agent),
        Via.HTTP,
        text=message.text,
        in_reply_to=in_reply_to,
    )
    return Transition(after, (event,), now, (_aloud(request, message.sender, message.text),))


def ask(request: ApprovalRequest, by: Reviewer, text: str, *, now: datetime) -> Transition:
    """Put a reviewer's question to the agent; nothing about the decision or its deadlines changes."""
    after = bumped(request, now, messages=(*request.messages, Message(by.id, text, now)))
    event = changed("info_requested", request, after, Actor.human(by), Via.SLACK, text=text)
    return Transition(after, (event,), now, (_aloud(request, by.name, text),))


def _aloud(request: ApprovalRequest, by: str, text: str) -> Outgoing:
    """Somebody's words for the thread."""
    return Outgoing(
        kind="slack.thread",
        payload={"text": text, "by": by},
        order=f"thread:{request.id}",
        request_id=request.id,
    )


def settled(
    request: ApprovalRequest,
    status: Status,
    cause: Cause,
    *,
    reason: str | None,
    now: datetime,
    by: Sequence[Reviewer] = (),
    conditions: Conditions | None = None,
) -> ApprovalRequest:
    """`request` with its one final decision. What may run is the current action, if anything may."""
    decision = Decision(status=status, by=tuple(by), reason=reason, decided_at=now, conditions=conditions)
    if status.runnable:
        decision = replace(
            decision,
            params=request.current_action.params,
            digest=request.current_digest,
            preview_digest=request.effective_preview_digest,
            expires_at=_expiry(request, conditions, now),
        )
    return bumped(request, now, status=status, cause=cause, decision=decision)


def bumped(request: ApprovalRequest, now: datetime, **changes: object) -> ApprovalRequest:
    """`request` with `changes`, one version on."""
    return replace(request, version=request.version + 1, updated_at=now, **changes)  # type: ignore[arg-type]  # names are those of the dataclass; `replace` refuses others


def decided_outgoing(request: ApprovalRequest) -> tuple[Outgoing, ...]:
    """Who must hear of a decision beside the cards: the agent's callback and the human it acts for."""
    outgoing: list[Outgoing] = []
    if request.submission.callback_url is not None:
        outgoing.append(callback(request, "request.decided"))
    human = request.submission.on_behalf_of
    if human is not None and not request.automatic:
        outgoing.append(
            Outgoing(
                kind="slack.dm",
                payload={"user": human, "why": "outcome"},
                order=f"dm:{human}",
                request_id=request.id,
            )
        )
    return tuple(outgoing)


def callback(request: ApprovalRequest, name: str) -> Outgoing:
    """A signed call to the agent's `callback_url`, saying that `name` happened."""
    return Outgoing(
        kind="callback",
        payload={"url": request.submission.callback_url, "type": name},
        # An order of its own: a call that is tried for days must not hold back the decision's.
        order=f"callback:{request.id}:{name}",
        request_id=request.id,
    )


def _settle_by_policy(request: ApprovalRequest, ruling: Ruling, now: datetime) -> ApprovalRequest:
    status = Status.APPROVED if ruling.policy.effect is Effect.APPROVE else Status.REJECTED
    cause = ruling.cause or Cause.POLICY_RULE
    reason = ruling.policy.explanation or f"Rule {ruling.policy.rule} of the policy."
    return replace(settled(request, status, cause, reason=reason, now=now), version=1)


def _requested(request: ApprovalRequest) -> Event:
    submission = request.submission
    return created(
        request,
        Actor.agent(request.agent),
        Via.HTTP,
        type=request.action.type,
        description=submission.description,
        reason=submission.reason,
        urgency=submission.urgency.value,
        on_behalf_of=submission.on_behalf_of,
        preview_digest=request.preview_digest,
    )


def _policy_applied(request: ApprovalRequest) -> Event:
    policy, risk = request.policy, request.risk
    return noted(
        "policy_applied",
        request,
        Actor(ActorType.POLICY, policy.name or "none", policy.name or "no policy"),
        Via.HTTP,
        policy=policy.name,
        policy_version=policy.version,
        rule=policy.rule,
        effect=policy.effect.value,
        explanation=policy.explanation,
        risk=risk.level.value,
        score=str(risk.score),
        factors={factor.name: str(factor.points) for factor in risk.factors},
    )


def _acted_at_once(
    request: ApprovalRequest, ruling: Ruling, members: Members
) -> tuple[list[Event], list[Outgoing]]:
    """What the rules without `after` bring about: an event and pings each, at level 0."""
    events, outgoing = list[Event](), dict[str, Outgoing]()
    for rule in ruling.immediate:
        targets = [t for t in escalation.pinged_by(rule) if (t.kind, t.address) != ("slack", request.channel)]
        work = knocks(request, targets, members)
        events.append(
            noted(
                "escalation_triggered",
                request,
                LADDER,
                Via.SCHEDULER,
                level=0,
                rule=rule.name,
                escalate_to=rule.escalate_to.group,
                asked=asked(request, work),
                why="immediate",
            )
        )
        events.extend(misses(request, targets, members))
        for knock in work:
            outgoing.setdefault(f"{knock.kind} {recipient(knock.payload)}", knock)
    return events, list(outgoing.values())


def _cards(request: ApprovalRequest) -> tuple[Outgoing, ...]:
    """The card that asks. Without a channel nobody is asked, and the ladder still runs."""
    if request.channel is None:
        return ()
    return (card(request, request.channel, "channel", 0),)


def _expiry(request: ApprovalRequest, conditions: Conditions | None, now: datetime) -> datetime:
    """max(decided, not_before) + how long an approval is valid, at most not_after."""
    start = now
    if conditions is not None and conditions.not_before is not None:
        start = max(now, conditions.not_before)
    end = start + request.approval_valid_for
    if conditions is not None and conditions.not_after is not None:
        end = min(end, conditions.not_after)
    return end
