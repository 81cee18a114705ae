"""Requests and what happens to them, made by the real rules, for tests of the store."""

import random
from datetime import datetime, timedelta

from bot.core import climbing, executing, lifecycle, reviewing
from bot.core.errors import KeyturnError
from bot.core.executing import Outcome
from bot.core.models import ApprovalRequest, Cause, Effect, Message, SlackId, Transition
from bot.core.models import RequestId as Id
from tests.factories import (
    ANA,
    BEN,
    CLEO,
    NOON,
    make_action,
    make_agent,
    make_given,
    make_judged,
    make_requirement,
    make_rule,
    make_submission,
)


def submitted(number: int = 1, *, agent: str = "builder", now: datetime = NOON, **submission) -> Transition:
    """The submission of request `number`, which asks a person in C0APPROVE."""
    return _submit(make_judged(), number, agent, now, submission)


def decided_at_once(
    number: int = 1, *, agent: str = "builder", now: datetime = NOON, **submission
) -> Transition:
    """The submission of a request that the policy approves."""
    return _submit(make_judged(effect=Effect.APPROVE), number, agent, now, submission)


def blocked_at_once(number: int = 1, *, agent: str = "builder", now: datetime = NOON) -> Transition:
    """The submission of a request that the policy rejects."""
    return _submit(make_judged(effect=Effect.REJECT), number, agent, now, {})


def granted_at_once(number: int = 1, *, agent: str = "builder", now: datetime = NOON) -> Transition:
    """The submission of a request that a grant approves."""
    return _submit(make_judged(effect=Effect.APPROVE, cause=Cause.GRANT), number, agent, now, {})


def approved(request: ApprovalRequest, now: datetime | None = None, who: SlackId = ANA) -> Transition:
    return reviewing.approve(request, make_given(request, who), now=now or _later(request))


def rejected(request: ApprovalRequest, now: datetime | None = None, who: SlackId = ANA) -> Transition:
    return reviewing.reject(request, make_given(request, who, reason="no"), now=now or _later(request))


def said(request: ApprovalRequest, text: str = "Because.") -> Transition:
    now = _later(request)
    return lifecycle.say(request, Message(request.agent, text, now), in_reply_to=None, now=now)


def claimed(request: ApprovalRequest) -> Transition:
    assert request.decision is not None
    return executing.claim(
        request,
        digest=request.decision.digest,
        preview_digest=request.decision.preview_digest,
        now=_later(request),
    )


def succeeded(request: ApprovalRequest) -> Transition:
    """The report of an action that can be undone."""
    told = Outcome(True, rollback={"type": "custom", "handler": "undo", "data": {}})
    step = executing.report(request, told, now=_later(request))
    assert step is not None
    return step


def random_history(seed: int, number: int) -> list[Transition]:
    """A submission and up to twelve changes after it, whatever the rules let happen."""
    chance = random.Random(seed)
    judged = make_judged(
        requirement=make_requirement("release", "sre", quorum=chance.choice((1, 2))),
        ladder=(make_rule(), make_rule("later", after=timedelta(minutes=20))),
    )
    steps = [_submit(judged, number, "builder", NOON, {"metadata": {"seed": seed}})]
    for _ in range(12):
        step = _happening(steps[-1].request, chance)
        if step is not None:
            steps.append(step)
    return steps


def _happening(request: ApprovalRequest, chance: random.Random) -> Transition | None:
    now = request.updated_at + timedelta(seconds=chance.randrange(1, 400))
    who = chance.choice((ANA, BEN, CLEO))
    given = make_given(request, who, groups=chance.choice(((), ("release",), ("sre",))), reason="so")
    edited = make_judged(
        make_action(query=f"DELETE FROM t WHERE id = {chance.randrange(3)}", database="shop")
    )
    moves = (
        lambda: reviewing.approve(request, given, now=now),
        lambda: reviewing.reject(request, given, now=now) if chance.random() < 0.2 else None,
        lambda: reviewing.modify(request, given, edited, now=now),
        lambda: climbing.advance(request, now=now),
        lambda: said(request),
        lambda: claimed(request) if request.decision else None,
        lambda: executing.report(request, Outcome(success=chance.random() < 0.5), now=now),
    )
    try:
        return chance.choice(moves)()
    except KeyturnError:
        return None


def _later(request: ApprovalRequest) -> datetime:
    return request.updated_at + timedelta(seconds=1)


def _submit(judged, number: int, agent: str, now: datetime, submission) -> Transition:
    return lifecycle.submit(
        make_submission(judged.action, **submission),
        judged,
        id=Id(f"req_{number:032x}"),
        agent=make_agent(name=agent),
        now=now,
    )
