"""Whether an undo is allowed and who must confirm it, by the policies that would judge it as an action."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from bot.core import undo
from bot.core.errors import NotRollbackable
from bot.core.lifecycle import Judged
from bot.core.models import Action, ApprovalRequest, Effect, Requirement
from bot.core.quorum import stricter
from bot.core.rollback_models import Item

Judge = Callable[[Action], Judged]
"""Risk and ruling of an action of the agent, by the policies in force."""

_NOBODY = "The policy names nobody who could confirm the undo."


def _judged_steps(request: ApprovalRequest, judge: Judge) -> list[Judged]:
    return [judge(undo.as_action(step)) for step in undo.steps(undo.data_of(request))]


def judged(request: ApprovalRequest, judge: Judge) -> Judged:
    """The most dangerous step of one undo."""
    return max(_judged_steps(request, judge), key=lambda found: found.risk.score)


def blocked(request: ApprovalRequest, judge: Judge) -> str | None:
    """Why the policy forbids the undo; None when it does not."""
    for found in _judged_steps(request, judge):
        if found.ruling.policy.effect is Effect.REJECT:
            return f"The policy does not allow the undo: {found.ruling.policy.explanation}"
    return None


def forbidden(request: ApprovalRequest, judge: Judge) -> str | None:
    """Why the policies do not let anybody undo the action; None when they do."""
    refused = blocked(request, judge)
    if refused is None and _own(request, undo.beyond_approval(request, undo.data_of(request)), judge) is None:
        return _NOBODY
    return refused


def required(requests: Sequence[ApprovalRequest], items: Sequence[Item], judge: Judge) -> Requirement:
    """Who must confirm: by every step's own policy, and never fewer than approved the actions.

    Raises:
        NotRollbackable: one of them names nobody.
    """
    needed: Requirement | None = None
    for request, item in zip(requests, items, strict=True):
        own = _own(request, item.beyond, judge)
        if own is None:
            raise NotRollbackable(_NOBODY)
        needed = own if needed is None else stricter(needed, own)
    if needed is None:
        raise NotRollbackable("There is nothing to undo.")
    return needed


def _own(request: ApprovalRequest, beyond: str | None, judge: Judge) -> Requirement | None:
    """Who must confirm the undo of one action; None when its policies name nobody."""
    approved_by = request.current_requirement
    judgements = _judged_steps(request, judge)
    needed: Requirement | None = None
    for found in judgements:
        wanted = found.ruling.requirement if found.ruling.effect_is_review else None
        if wanted is None and beyond is not None:
            wanted = found.ruling.terms.standing
        if wanted is not None:
            needed = wanted if needed is None else stricter(needed, wanted)
    if needed is None:  # nobody would be asked for such an action
        return approved_by or _one_of_those_trusted(judgements)
    if approved_by is None or approved_by.needed <= needed.needed:
        return needed
    return stricter(needed, approved_by)


def _one_of_those_trusted(judgements: Sequence[Judged]) -> Requirement | None:
    standing = next(
        (found.ruling.terms.standing for found in judgements if found.ruling.terms.standing), None
    )
    return None if standing is None else replace(standing, quorum=1)
