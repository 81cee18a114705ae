"""Whether an action can be rolled back, and if not, why: one rule for whoever says, shows or starts it.

What a card offers, what a start refuses and what a session's undo leaves out are asked here, so that they
cannot differ. Pure: the caller passes `now` and the policies in force.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from bot.core import undo
from bot.core.models import ApprovalRequest, ExecutionState
from bot.core.times import rfc3339
from bot.core.undo_judging import Judge, forbidden


class Chance(StrEnum):
    """How things stand with the undo of an action."""

    POSSIBLE = "possible"
    UNDER_WAY = "under_way"
    DONE = "done"
    NOTHING = "nothing"
    """It changed nothing that is known to be undoable."""
    TOO_LATE = "too_late"
    FORBIDDEN = "forbidden"
    """The policies in force block it, or name nobody who could confirm it."""


@dataclass(frozen=True, slots=True)
class Prospect:
    """`why_not` says to people why no rollback can be started; empty exactly when one can."""

    chance: Chance
    why_not: str = ""


def prospect(request: ApprovalRequest, *, judge: Judge, now: datetime) -> Prospect:
    """Whether the action can be rolled back at this moment, by the policies in force.

    One that was asked for in time may go on after `rollback_until`; one that was confirmed goes on
    whatever the policies say since. Before that, what they block is blocked.
    """
    run = request.execution
    if (nothing := _nothing(request)) is not None:
        return nothing
    under_way = run.undo is not None and run.undo.state.open
    going_on = Prospect(Chance.UNDER_WAY, f"Its rollback {run.rollback_id} is under way.")
    if under_way and run.undo is not None and run.undo.confirmed:
        return going_on
    if not under_way and run.rollback_until is not None and now >= run.rollback_until:
        return Prospect(Chance.TOO_LATE, f"It could be rolled back until {rfc3339(run.rollback_until)}.")
    if (refused := forbidden(request, judge)) is not None:
        return Prospect(Chance.FORBIDDEN, refused)
    return going_on if under_way else Prospect(Chance.POSSIBLE)


def _nothing(request: ApprovalRequest) -> Prospect | None:
    run = request.execution
    match run.state:
        case ExecutionState.ROLLED_BACK:
            return Prospect(Chance.DONE, "It was rolled back before; an action is rolled back once.")
        case ExecutionState.NOT_STARTED | ExecutionState.CLAIMED:
            return Prospect(Chance.NOTHING, "It has not run to its end, so there is nothing to undo.")
        case ExecutionState.FAILED:
            why = "It failed, and only an action that succeeded can be rolled back; what it changed stays."
            return Prospect(Chance.NOTHING, why)
        case ExecutionState.SUCCEEDED:
            pass
    if undo.data_of(request) is None or run.rollback_until is None:
        return Prospect(Chance.NOTHING, "The agent reported nothing that could undo it.")
    return None
