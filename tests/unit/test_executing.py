"""A claim consumes an approval once; an outcome is told once."""

from dataclasses import replace
from datetime import timedelta

import pytest

from bot.core import executing, reviewing
from bot.core.errors import NotClaimed, OutcomeConflict
from bot.core.executing import Outcome
from bot.core.models import Conditions, ExecutionState
from tests.factories import NOON, make_given, make_request

SOON = NOON + timedelta(minutes=1)


def approved(conditions=None, **submission):
    request = make_request(**submission)
    given = make_given(request, conditions=conditions)
    return reviewing.approve(request, given, now=NOON).request


def claim(request, *, digest=None, preview_digest=None, now=SOON):
    return executing.claim(request, digest=digest or request.digest, preview_digest=preview_digest, now=now)


def refusal(request, **changes):
    asked = {"digest": request.digest, "preview_digest": None, "now": SOON, **changes}
    refused = executing.why_not(request, **asked)
    return None if refused is None else refused.code


def test_a_claim_is_granted_once():
    request = approved()
    claimed = claim(request).request
    assert claimed.execution.state is ExecutionState.CLAIMED
    assert refusal(claimed) == "already_claimed"


def test_each_reason_to_refuse_has_its_own_code():
    request = approved()
    assert refusal(make_request()) == "not_approved"
    assert refusal(request, digest="sha256:00") == "digest_mismatch"
    assert refusal(request, now=request.decision.expires_at) == "approval_expired"
    opens = approved(Conditions(not_before=NOON + timedelta(hours=1)))
    assert refusal(opens) == "outside_window"
    assert refusal(opens, now=NOON + timedelta(hours=1)) is None
    previewed = approved(preview="-1 row")
    assert refusal(previewed) == "preview_changed"
    assert refusal(previewed, preview_digest=previewed.preview_digest) is None


def test_params_that_were_changed_behind_the_approval_may_not_run():
    request = approved()
    swapped = replace(request, decision=replace(request.decision, params={"path": "/etc/passwd"}))
    assert refusal(swapped) == "digest_mismatch"


def test_the_first_reason_in_the_documented_order_wins():
    claimed = claim(approved()).request
    late = claimed.decision.expires_at
    assert refusal(claimed, digest="sha256:00", now=late) == "already_claimed"
    assert refusal(approved(), digest="sha256:00", now=late) == "digest_mismatch"


def test_an_outcome_needs_a_claim_and_is_told_once():
    request = approved()
    with pytest.raises(NotClaimed):
        executing.report(request, Outcome(True), now=SOON)
    claimed = claim(request).request
    done = executing.report(claimed, Outcome(True, message="1 row"), now=SOON).request
    assert done.execution.state is ExecutionState.SUCCEEDED
    assert executing.report(done, Outcome(True, message="1 row"), now=SOON) is None
    with pytest.raises(OutcomeConflict):
        executing.report(done, Outcome(False, error="no"), now=SOON)


def test_a_failure_keeps_its_error():
    claimed = claim(approved()).request
    step = executing.report(claimed, Outcome(False, error="disk full"), now=SOON)
    assert step.request.execution.state is ExecutionState.FAILED
    assert step.request.execution.error == "disk full"
    assert [e.name for e in step.events] == ["action_failed"]
