"""The card: what it says at each moment of a request's life, within Slack's limits."""

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from bot.core.digest import digest_of
from bot.core.models import (
    Action,
    ApprovalRequest,
    ApproverSet,
    Cause,
    Conditions,
    Decision,
    Digest,
    Execution,
    ExecutionState,
    Proposal,
    Requirement,
    Review,
    Reviewer,
    SlackId,
    Status,
    Urgency,
    Verdict,
)
from bot.sandbox.limits import message_problems, message_text_length
from bot.slack.card import approval_opens_form, card
from bot.slack.wording import Names
from tests.cards import NOON, RELEASE, SECURITY, SRE, make_policy, make_request, make_risk

RAFAEL = Reviewer(SlackId("U0REL0001"), "Rafael Ito")
MOST_TEXT = 13_200
"""Slack refuses messages whose blocks hold more text (`msg_blocks_too_long`)."""


def drawn(request: ApprovalRequest, names: Names | None = None) -> dict[str, Any]:
    """The card, checked against Slack's rules."""
    made = card(request, card_id="7", names=names or Names())
    assert message_problems(made["blocks"]) == []
    assert message_text_length(made["blocks"]) < MOST_TEXT
    assert 0 < len(made["text"]) <= 4000
    return made


def words(made: Any) -> str:
    """Every text a reader sees, in order."""
    return "\n".join(_texts(made["blocks"]))


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, list):
        for item in value:
            yield from _texts(item)
    elif isinstance(value, dict):
        if isinstance(value.get("text"), str):
            yield value["text"]
        for key, item in value.items():
            if key != "confirm":
                yield from _texts(item)


def buttons(made: dict[str, Any]) -> dict[str, Any]:
    actions = [block for block in made["blocks"] if block["type"] == "actions"]
    return {button["action_id"]: button for block in actions for button in block["elements"]}


def approval(who: Reviewer, digest: Digest, *groups: str) -> Review:
    return Review(who, Verdict.APPROVE, digest, NOON, groups=groups)


def decided(status: Status, **changes: Any) -> ApprovalRequest:
    request = make_request()
    decision = Decision(
        status=status,
        by=(RAFAEL,),
        reason="Looks right.",
        decided_at=NOON + timedelta(minutes=1),
        params=request.action.params if status.runnable else None,
        digest=request.digest if status.runnable else None,
        expires_at=NOON + timedelta(minutes=16) if status.runnable else None,
    )
    return replace(request, **{"status": status, "cause": Cause.HUMAN, "decision": decision, **changes})


def test_a_pending_card_says_everything_a_reviewer_needs_from_top_to_bottom() -> None:
    request = make_request(
        level="high",
        session_id="run-42",
        on_behalf_of="dana@example.com",
        reason="Customers cannot log in.",
        preview="3 pods will restart",
    )
    said = words(drawn(request, Names(known={"dana@example.com": "Dana"})))
    places = [
        said.index(part)
        for part in (
            "⏳ Pending · 🟠 High risk",
            "Deploy “api” version “1.4.2” to “production”",
            "deploy-bot",
            "run-42",
            "Dana (dana@example.com)",
            "Roll out the fix.",
            "Customers cannot log in.",
            '"version": "1.4.2"',
            "3 pods will restart",
            "rule deployments of production-policy",
            "+60 system_path (writes below /etc)",
            "0 of 2, still needs someone from release and sre",
            "Decide by <!date^",
            "next: manager, <!date^",
            "Approve",
        )
    ]
    assert places == sorted(places)


def test_the_notification_names_action_target_requester_and_deadline() -> None:
    text = drawn(make_request())["text"]
    for part in ("Pending", "Deploy “api”", "production", "deploy-bot", "2026-11-22 12:15 UTC"):
        assert part in text


def test_buttons_carry_the_request_and_the_digest_and_nothing_else() -> None:
    request = make_request()
    found = buttons(drawn(request))
    assert list(found) == [
        "request.approve",
        "request.reject",
        "request.modify",
        "request.details",
        "request.acknowledge",
        "request.ask",
        "request.escalate",
    ]
    assert {button["value"] for button in found.values()} == {f"{request.id} {request.digest}"}
    assert found["request.approve"]["style"] == "primary"
    assert found["request.reject"]["style"] == "danger"
    assert all(len(button["accessibility_label"]) <= 75 for button in found.values())


def test_metadata_holds_ids_only() -> None:
    request = make_request()
    assert drawn(request)["metadata"] == {
        "event_type": "keyturn_card",
        "event_payload": {"request_id": request.id, "card_id": "7"},
    }


def test_no_hostile_address_is_fetched_for_a_preview() -> None:
    made = drawn(make_request(description="https://evil.example"))
    assert (made["unfurl_links"], made["unfurl_media"], made["link_names"]) == (False, False, False)
    # `text` holds the agent's stars and backticks as they came; this keeps them from being formatting.
    assert made["mrkdwn"] is False


@pytest.mark.parametrize(("level", "confirmed"), [("none", False), ("medium", False), ("high", True)])
def test_only_a_high_risk_asks_again_in_a_dialog(level: str, confirmed: bool) -> None:
    request = make_request(level=level)
    approve = buttons(drawn(request))["request.approve"]
    assert ("confirm" in approve) is confirmed
    assert approval_opens_form(request) is False
    if confirmed:
        assert approve["confirm"]["text"]["text"] == (
            "Deploy “api” version “1.4.2” to “production”\n\nTarget: production"
        )


def test_a_high_risk_that_does_not_fit_the_dialog_whole_opens_the_form() -> None:
    request = make_request(level="high", params={"environment": "production", "version": "x" * 280})
    assert "confirm" not in buttons(drawn(request))["request.approve"]
    assert approval_opens_form(request) is True


def test_a_critical_risk_always_opens_the_form() -> None:
    request = make_request(level="critical")
    assert "confirm" not in buttons(drawn(request))["request.approve"]
    assert approval_opens_form(request) is True


def test_progress_names_who_is_still_needed() -> None:
    request = make_request()
    request = replace(request, reviews=(approval(RAFAEL, request.digest, "release"),))
    said = words(drawn(request))
    assert "1 of 2, still needs someone from sre" in said
    assert "Rafael Ito" in said


def test_an_approval_of_another_digest_is_no_progress() -> None:
    request = make_request(requirement=Requirement(2, False, (RELEASE,)))
    request = replace(request, reviews=(approval(RAFAEL, Digest("sha256:0"), "release"),))
    assert "0 of 2, still needs 2 more people" in words(drawn(request))


def test_an_empty_set_of_approvers_is_said_aloud() -> None:
    nobody = Requirement(1, False, (ApproverSet(None, "users", ()),))
    assert "Nobody may approve this" in words(drawn(make_request(requirement=nobody)))


def test_an_address_that_slack_does_not_know_is_said_to_exclude_nobody() -> None:
    request = make_request(on_behalf_of="ghost@example.com")
    said = words(drawn(request, Names(unknown=frozenset({"ghost@example.com"}))))
    assert "ghost@example.com (not known to Slack, so nobody is excluded for it)" in said


def test_urgency_calls_people_by_id_only() -> None:
    approvers = Requirement(1, False, (RELEASE, SECURITY))
    high = words(drawn(make_request(urgency=Urgency.HIGH, requirement=approvers)))
    critical = words(drawn(make_request(urgency=Urgency.CRITICAL, requirement=approvers)))
    normal = words(drawn(make_request(requirement=approvers)))
    assert "<@U0REL0001> <@U0REL0002> <!subteam^S0614TZR7>" in high
    assert "<!here>" in critical
    assert "<@" not in normal
    assert "<!here" not in normal


def test_long_params_are_cut_with_a_count_and_stay_within_limits() -> None:
    lines = "\n".join(f"line {number}" for number in range(3000))
    said = words(drawn(make_request(type="file_write", params={"path": "/srv/a", "content": lines})))
    assert "more lines (" in said
    assert "Details shows everything" in said


@pytest.mark.parametrize("size", [0, 2_900, 60_000, 200_000])
@pytest.mark.parametrize("letter", ["x", "\n", "\u202e", "😀", '"', "<", "&"])
def test_no_size_or_kind_of_text_breaks_the_card(size: int, letter: str) -> None:
    text = letter * size
    request = make_request(
        type="command_execute",
        params={"command": text, "cwd": text, f"k{text[:3000]}": [text[:100]] * 20},
        description=text[:3000] or "-",
        reason=text,
        session_id=text[:200] or None,
        on_behalf_of=text[:200] or None,
        preview=text,
        urgency=Urgency.CRITICAL,
        level="high",
    )
    drawn(request)


def test_the_fullest_card_stays_below_slacks_limit() -> None:
    text = "\u202e" * 3000
    old = {f"{'k' * 80}{number}": text for number in range(12)}
    new = dict.fromkeys(old, text + "x")
    action = Action("custom", new)
    many = tuple(replace(f, name="n" * 60, detail=text) for f in make_risk("high").factors * 12)
    risk = replace(make_risk("high"), factors=many)
    policy = make_policy(name="p" * 200, rule="r" * 200, explanation=text)
    requirement = Requirement(2, True, tuple(replace(RELEASE, group=f"g{n}" * 20) for n in range(20)))
    proposal = Proposal(new, digest_of(action), risk, policy, requirement, Reviewer(SlackId("U1"), "n" * 400))
    reviews = tuple(
        approval(Reviewer(SlackId(f"U{n}"), "m" * 80), digest_of(action), f"g{n}" * 20) for n in range(9)
    )
    request = make_request(
        type="custom",
        params=old,
        level="high",
        description=text,
        reason=text,
        preview=text,
        session_id=text,
        on_behalf_of=text,
        urgency=Urgency.HIGH,
        requirement=requirement,
        proposal=proposal,
        reviews=reviews,
    )
    drawn(request)
    decision = Decision(
        Status.MODIFIED,
        tuple(review.reviewer for review in reviews),
        text,
        NOON,
        Conditions(text, NOON, NOON),
        new,
        digest_of(action),
        None,
        NOON,
    )
    failed = Execution(ExecutionState.FAILED, NOON, NOON, False, text)
    drawn(replace(request, status=Status.MODIFIED, cause=Cause.HUMAN, decision=decision, execution=failed))


def test_a_proposal_shows_old_and_new_values_and_what_would_run() -> None:
    request = make_request(preview="3 pods")
    new = {**request.action.params, "version": "1.4.3"}
    digest = digest_of(Action("deployment", new))
    proposal = Proposal(
        new, digest, make_risk("critical"), make_policy(), Requirement(2, True, (RELEASE, SRE)), RAFAEL
    )
    made = drawn(replace(request, proposal=proposal))
    said = words(made)
    assert "Changed by Rafael Ito" in said
    assert '- "1.4.2"\n+ "1.4.3"' in said
    assert "Deploy “api” version “1.4.3” to “production”" in said
    assert "Critical risk" in said
    assert "3 pods" not in said
    assert buttons(made)["request.approve"]["value"] == f"{request.id} {digest}"


def test_a_change_deep_inside_a_long_value_is_what_the_diff_shows() -> None:
    old, new = "x" * 5000 + "SAFE" + "y" * 5000, "x" * 5000 + "EVIL" + "y" * 5000
    request = make_request(type="command_execute", params={"command": old})
    action = Action("command_execute", {"command": new})
    proposal = Proposal(
        action.params,
        digest_of(action),
        make_risk("medium"),
        make_policy(),
        Requirement(1, False, (SRE,)),
        RAFAEL,
    )
    said = words(drawn(replace(request, proposal=proposal)))
    assert "xxxSAFEyyy" in said
    assert "xxxEVILyyy" in said


@pytest.mark.parametrize(
    ("status", "word"),
    [
        (Status.APPROVED, "✅ Approved"),
        (Status.MODIFIED, "📝 Modified and approved"),
        (Status.REJECTED, "⛔ Rejected"),
        (Status.TIMED_OUT, "⌛ Timed out"),
        (Status.CANCELLED, "🚫 Cancelled"),
    ],
)
def test_a_decided_card_keeps_its_text_drops_its_buttons_and_says_who_when_and_why(
    status: Status, word: str
) -> None:
    made = drawn(decided(status))
    said = words(made)
    assert buttons(made) == {}
    assert f"{word} by Rafael Ito" in said
    assert "Looks right." in said
    assert "Roll out the fix." in said
    assert '"version": "1.4.2"' in said
    assert "Decide by" not in said
    assert int((NOON + timedelta(minutes=1)).timestamp()) in dates(made)


def dates(value: Any) -> set[int]:
    if isinstance(value, list):
        return set().union(*(dates(item) for item in value)) if value else set()
    if isinstance(value, dict):
        own = {value["timestamp"]} if value.get("type") == "date" else set()
        return own.union(*(dates(item) for item in value.values()))
    return set()


def test_nobodys_decision_says_why_it_ended() -> None:
    request = decided(Status.TIMED_OUT, cause=Cause.NO_APPROVER)
    assert request.decision is not None
    request = replace(request, decision=replace(request.decision, by=()))
    assert "Nobody was left who may approve it" in words(drawn(request))


@pytest.mark.parametrize(
    ("state", "word"),
    [
        (ExecutionState.NOT_STARTED, "🕓 Not run yet"),
        (ExecutionState.CLAIMED, "🏃 Running"),
        (ExecutionState.SUCCEEDED, "🏁 Done"),
        (ExecutionState.FAILED, "❌ Failed"),
    ],
)
def test_decided_and_executed_are_two_things(state: ExecutionState, word: str) -> None:
    claimed = None if state is ExecutionState.NOT_STARTED else NOON + timedelta(minutes=2)
    run = Execution(state, claimed, error="exit 1" if state is ExecutionState.FAILED else None)
    made = drawn(decided(Status.APPROVED, execution=run))
    assert made["blocks"][0]["text"]["text"] == f"✅ Approved · {word} · 🟡 Medium risk"
    assert ("exit 1" in words(made)) is (state is ExecutionState.FAILED)


def test_an_action_that_was_undone_still_says_when_it_was_done() -> None:
    run = Execution(ExecutionState.ROLLED_BACK, NOON + timedelta(minutes=2), NOON + timedelta(minutes=3))
    said = words(drawn(decided(Status.APPROVED, execution=run)))
    assert "⏪ Rolled back · " in said
    assert "\n🏁 Done\n" in said
    assert "\n⏪ Rolled back\n" not in said


@pytest.mark.parametrize(
    ("explanation", "why"),
    [
        ("Two people.", "rule deployments of production-policy. Two people."),
        (
            "The rule deployments of production-policy asks.",
            "The rule deployments of production-policy asks.",
        ),
    ],
)
def test_the_rule_that_decided_is_named_once(explanation: str, why: str) -> None:
    request = make_request(policy=make_policy(explanation=explanation))
    assert f"Why a person is needed: \n{why}\n" in words(drawn(request))


def test_conditions_are_shown_with_the_decision() -> None:
    request = decided(Status.APPROVED)
    assert request.decision is not None
    given = Conditions("Watch the error rate", NOON + timedelta(hours=1), NOON + timedelta(hours=2))
    made = drawn(replace(request, decision=replace(request.decision, conditions=given)))
    assert "Watch the error rate" in words(made)
    assert {int(m.timestamp()) for m in (given.not_before, given.not_after) if m} <= dates(made)


def test_an_escalated_card_says_its_level_and_whom_it_was_raised_to() -> None:
    request = replace(make_request(), level=1)
    said = words(drawn(request))
    assert "escalated, level 1 of 1" in said
    assert "next:" not in said


def test_the_words_over_the_params_follow_the_decision() -> None:
    assert "Exactly this would run" in words(drawn(make_request()))
    assert "Exactly this was approved" in words(drawn(decided(Status.APPROVED)))
    assert "Exactly this was asked, and may not run" in words(drawn(decided(Status.REJECTED)))


def test_a_card_is_plain_json() -> None:
    json.dumps(drawn(make_request()))
