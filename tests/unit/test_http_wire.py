"""What is said of a request: every key, exact numbers, and the shapes that the document promises."""

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from bot.core import executing, jsontext, lifecycle, reviewing
from bot.core.executing import Outcome
from bot.core.models import (
    Action,
    Actor,
    Alternative,
    ApprovalRequest,
    Cause,
    Conditions,
    Effect,
    Message,
    Session,
    Via,
)
from bot.http import shapes, wire
from tests.factories import (
    ANA,
    NOON,
    make_given,
    make_judged,
    make_request,
    make_requirement,
    make_ruling,
)

PRICED = Action("transfer", {"amount": Decimal("2500.00"), "currency": "EUR"})
LATER = NOON + timedelta(minutes=1)


def said(request: ApprovalRequest) -> dict[str, Any]:
    """The resource as a reader of the wire gets it."""
    told = wire.resource(request, public_url="https://kt.example.com", slack_link="https://slack.example/c")
    found: dict[str, Any] = json.loads(jsontext.dumps(told))
    return found


def pending() -> ApprovalRequest:
    return make_request(
        judged=make_judged(PRICED),
        session_id="run-1",
        preview="+1",
        timeout=timedelta(seconds=90),
        alternatives=(Alternative("Half.", {"amount": 1250}),),
        related=("req_1",),
        rollback={"type": "custom", "handler": "h"},
        metadata={"n": Decimal("1.50")},
        params_schema={"type": "object"},
    )


def approved() -> ApprovalRequest:
    window = Conditions("Only once.", not_before=LATER, not_after=NOON + timedelta(minutes=9))
    return reviewing.approve(pending(), make_given(pending(), conditions=window), now=NOON).request


def rejected() -> ApprovalRequest:
    return reviewing.reject(pending(), make_given(pending(), reason="No."), now=NOON).request


def proposed() -> ApprovalRequest:
    request = make_request(judged=make_judged(PRICED, requirement=make_requirement("sre", quorum=2)))
    edited = make_judged(replace(PRICED, params={"amount": Decimal("1800.00")}))
    return reviewing.modify(request, make_given(request, groups=("sre",)), edited, now=NOON).request


def cancelled() -> ApprovalRequest:
    step = lifecycle.cancel(
        pending(),
        reason=None,
        actor=Actor.agent("builder"),
        cause=Cause.CANCELLED_BY_AGENT,
        via=Via.HTTP,
        now=NOON,
    )
    assert step is not None
    return step.request


def automatic() -> ApprovalRequest:
    return make_request(judged=replace(make_judged(), ruling=make_ruling(Effect.APPROVE)))


def executed() -> ApprovalRequest:
    request = automatic()
    request = executing.claim(request, digest=request.digest, preview_digest=None, now=NOON).request
    step = executing.report(request, Outcome(success=False, error="disk full"), now=LATER)
    assert step is not None
    return step.request


def talked_about() -> ApprovalRequest:
    told = Message("builder", "It is.", NOON)
    return lifecycle.say(pending(), told, in_reply_to="5", now=NOON).request


@pytest.mark.parametrize(
    "make", [pending, approved, rejected, proposed, cancelled, automatic, executed, talked_about]
)
def test_every_state_has_the_promised_shape(make: Callable[[], ApprovalRequest]) -> None:
    shapes.RequestShape.model_validate(said(make()))


def test_every_submitted_field_comes_back() -> None:
    told = said(pending())
    assert (told["type"], told["session_id"], told["timeout_seconds"]) == ("transfer", "run-1", 90)
    assert told["alternatives"] == [{"description": "Half.", "params": {"amount": 1250}}]
    assert (told["related"], told["rollback"]) == (["req_1"], {"type": "custom", "handler": "h"})
    assert (told["reason"], told["callback_url"], told["on_behalf_of"]) == (None, None, None)


def test_decimals_are_written_as_they_came() -> None:
    written = jsontext.dumps(wire.resource(pending(), public_url="", slack_link=None))
    assert b'"amount":2500.00' in written
    assert b'"metadata":{"n":1.50}' in written


def test_times_are_utc_with_a_z() -> None:
    assert said(pending())["created_at"] == "2026-11-22T12:00:00.000000Z"


def test_a_decision_holds_what_may_run_and_the_top_what_was_asked() -> None:
    told = said(approved())
    decision = told["decision"]
    assert (decision["params"], decision["digest"]) == (told["params"], told["digest"])
    assert decision["preview_digest"] == told["preview_digest"]
    assert decision["conditions"]["not_before"] == "2026-11-22T12:01:00.000000Z"
    assert decision["by"] == [{"id": ANA, "name": "u0ana0001"}]


def test_a_rejection_has_nothing_to_run() -> None:
    decision = said(rejected())["decision"]
    assert decision["reason"] == "No."
    assert [decision[key] for key in ("params", "digest", "preview_digest", "expires_at")] == [None] * 4


def test_a_proposal_stands_beside_what_was_submitted() -> None:
    told = said(proposed())
    assert told["status"] == "pending"
    assert (told["params"]["amount"], told["proposal"]["params"]["amount"]) == (2500, 1800)
    assert told["proposal"]["digest"] != told["digest"]
    assert told["proposal"]["by"]["id"] == ANA
    assert told["requirement"] == told["proposal"]["requirement"]


def test_a_requirement_says_what_is_missing() -> None:
    request = make_request(
        judged=make_judged(requirement=make_requirement("sre", "security", quorum=2, each=True))
    )
    assert said(request)["requirement"]["missing"] == {"count": 2, "groups": ["sre", "security"]}
    once = reviewing.approve(request, make_given(request, groups=("sre",)), now=NOON).request
    assert said(once)["requirement"]["missing"] == {"count": 1, "groups": ["security"]}


def test_a_session_has_the_promised_shape() -> None:
    run = Session("builder", "run-1", None, {"n": 1}, NOON, LATER, "Fine.", {"approved": 2})
    shapes.SessionShape.model_validate(json.loads(jsontext.dumps(wire.session(run))))


def test_safeguards_hears_an_edit_only_when_there_was_one() -> None:
    told = wire.safeguards_status(approved(), "my id")
    assert (told["id"], told["approved"], told["response_data"]) == ("my id", True, None)
    assert wire.safeguards_status(rejected(), "my id")["comments"] == "No."
