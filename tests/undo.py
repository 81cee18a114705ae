"""Actions that ran and can be undone, for tests of rollbacks."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from bot.core import executing, reviewing
from bot.core.executing import Outcome
from bot.core.lifecycle import Judged
from bot.core.models import Action, Actor, ApprovalRequest, Effect, Reviewer, SlackId, Via
from bot.core.rollback import Asked, Given, Judge, Rollback
from tests.factories import ANA, NOON, make_given, make_judged, make_request, make_requirement

RAN = NOON + timedelta(minutes=1)
"""When the actions of these tests have run."""

WRITE = Action("file_write", {"path": "/srv/app/settings.json", "content": "new", "overwrite": True})
UNDO: dict[str, Any] = {
    "type": "file_restore",
    "path": "/srv/app/settings.json",
    "existed": True,
    "original_content": "old",
    "mode": 0o644,
    "after_sha256": "0" * 64,
}
ASKED = Asked("It broke the shop.", Actor.system("tests"), Via.HTTP)


def ran(
    undo: Any = UNDO,
    *,
    action: Action = WRITE,
    number: int = 1,
    at: datetime = RAN,
    judged: Judged | None = None,
    success: bool = True,
    **submission: Any,
) -> ApprovalRequest:
    """A request that was approved, claimed and reported, with `undo` as its rollback data."""
    request = make_request(judged=judged or make_judged(action), number=number, **submission)
    if request.requirement is not None:
        request = reviewing.approve(request, make_given(request), now=NOON).request
    decision = request.decision
    assert decision is not None
    claimed = executing.claim(
        request, digest=str(decision.digest), preview_digest=decision.preview_digest, now=NOON
    )
    told = executing.report(claimed.request, Outcome(success, rollback=undo), now=at)
    assert told is not None
    return told.request


def judging(effect: Effect = Effect.REVIEW, level: str = "medium", **ruling: Any) -> Judge:
    """Judges every undo alike."""

    def judge(action: Action) -> Judged:
        return make_judged(action, level, **{"effect": effect, "standing": make_requirement(), **ruling})

    return judge


def confirming(rollback: Rollback, who: SlackId = ANA, **changes: Any) -> Given:
    """A confirmation of what was shown."""
    given = Given(Reviewer(who, who.lower()), rollback.digest, "Yes, put it back.")
    return replace(given, **changes)


def by_id(requests: Sequence[ApprovalRequest]) -> dict[Any, ApprovalRequest]:
    """The requests as the rules take them."""
    return {request.id: request for request in requests}
