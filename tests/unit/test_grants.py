"""Grants: what is like something that was approved runs without asking again, and nothing else."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from bot.core import lifecycle, pausing, reviewing
from bot.core.grants import LONGEST, MOST_USES, Extent, Grant, covers, directory_of, give, refusal
from bot.core.lifecycle import Judged
from bot.core.models import Action, ApprovalRequest, Cause, RequestId, Reviewer, RiskLevel, Submission, Used
from bot.core.pausing import Pause
from bot.core.policy import History, PolicySet
from tests.factories import ANA, BEN, NOON, make_agent, make_given
from tests.policies import policy_set, verdict

POLICY = """
name: files
auto_approve_threshold: none
auto_reject_threshold: high
approvers: {quorum: 1, users: [U0ANA0001, U0BEN0001]}
grant_max_risk: medium
block:
  - {name: boot, path_pattern: "/boot/**"}
require:
  - {name: uploads, path_pattern: "/srv/up/**"}
  - {name: pairs, action_type: brew_coffee, approvers: {quorum: 2, users: [U0ANA0001, U0BEN0001]}}
"""
HOUR = Extent(timedelta(hours=1))
GIVER = Reviewer(ANA, "ana")
DELETE = Action("file_delete", {"path": "/srv/up/a/one.txt"})


def judged(action: Action, policies: PolicySet | None = None) -> Judged:
    found = (policies or policy_set(POLICY)).judge(action, agent="builder")
    return Judged(action, found.risk, found.ruling)


def asked(action: Action = DELETE, **submission: Any) -> ApprovalRequest:
    return lifecycle.submit(
        Submission(action, "Please.", **submission),
        judged(action),
        id=RequestId("req_1"),
        agent=make_agent(),
        now=NOON,
    ).request


def approved(action: Action = DELETE, **submission: Any) -> ApprovalRequest:
    request = asked(action, **submission)
    return reviewing.approve(request, make_given(request, ANA), now=NOON).request


def granted(action: Action = DELETE, extent: Extent = HOUR, **submission: Any) -> Grant:
    request = approved(action, **submission)
    ruling = judged(action).ruling
    assert refusal(request, ruling, GIVER, extent) is None
    return give(request, ruling, GIVER, extent, id="grant_1", now=NOON)


def covered(grant: Grant, action: Action, **changes: Any) -> bool:
    by = judged(action, changes.pop("policies", None))
    facts: dict[str, Any] = {"agent": "builder", "session_id": None, "now": NOON, **changes}
    return covers(grant, action, by.risk, by.ruling, **facts)


def test_a_grant_covers_the_same_and_other_paths_below_the_directory_that_was_shown() -> None:
    grant = granted()
    assert grant.directory == directory_of(DELETE) == "/srv/up/a"
    for path in ("/srv/up/a/one.txt", "/srv/up/a/two.txt", "/srv/up/a/b/c", "/srv/up/b/../a/x"):
        assert covered(grant, Action("file_delete", {"path": path})), path


@pytest.mark.parametrize(
    "action",
    [
        Action("file_delete", {"path": "/srv/up/ab"}),
        Action("file_delete", {"path": "/srv/up/a/../b"}),
        Action("file_delete", {"path": "/srv/up/a"}),
        Action("file_delete", {"path": "/srv/up/a/$X"}),
        Action("file_delete", {"path": "/srv/up/a/*"}),
        Action("file_delete", {"path": "/boot/x"}),
        Action("file_delete", {"path": "/srv/up/a/two.txt", "recursive": True}),
        Action("file_delete", {"path": "/srv/up/a/two.txt", "note": "x"}),
        Action("file_write", {"path": "/srv/up/a/one.txt"}),
        Action("file_delete", {"path": "two.txt", "cwd": "/srv/up/a"}),
    ],
    ids=lambda action: f"{action.type} {action.params}",
)
def test_a_grant_covers_nothing_else(action: Action) -> None:
    assert not covered(granted(), action)


def test_a_grant_is_for_its_agent_its_session_its_policies_its_time_and_its_uses() -> None:
    grant = granted(extent=Extent(timedelta(hours=1), session_only=True), session_id="s1")
    assert covered(grant, DELETE, session_id="s1")
    assert not covered(grant, DELETE, session_id="s2")
    assert not covered(grant, DELETE)
    grant = granted()
    assert not covered(grant, DELETE, agent="other")
    assert not covered(grant, DELETE, policies=policy_set(POLICY + "default_timeout: 1m\n"))
    assert covered(grant, DELETE, now=NOON + timedelta(minutes=59))
    assert not covered(grant, DELETE, now=NOON + timedelta(hours=1))
    assert not covered(replace(grant, used=20), DELETE)
    assert not covered(replace(grant, revoked_at=NOON), DELETE)


def test_a_grant_covers_no_more_risk_than_was_approved() -> None:
    grant = granted()
    assert grant.highest is RiskLevel.LOW
    assert not covered(replace(grant, highest=RiskLevel.NONE), DELETE)


@pytest.mark.parametrize(
    ("action", "may"),
    [
        (DELETE, True),
        (Action("unheard_of", {}), True),
        (Action("brew_coffee", {}), False),  # two people
        (Action("command_execute", {"command": "rm $X"}), False),  # a block rule may apply
        (Action("command_execute", {"command": "rm -rf /srv/up/x"}), False),  # at the level that is rejected
        (Action("command_execute", {"command": "ls"}), False),  # runs anyway
    ],
    ids=lambda value: str(value),
)
def test_only_what_one_person_decides_can_be_approved_in_advance(action: Action, may: bool) -> None:
    assert judged(action).ruling.grantable is may


def test_without_a_highest_risk_the_policy_allows_no_grants() -> None:
    none = policy_set(POLICY.replace("grant_max_risk: medium\n", ""))
    low = policy_set(POLICY.replace("grant_max_risk: medium", "grant_max_risk: none"))
    assert not judged(DELETE, none).ruling.grantable
    assert not judged(DELETE, low).ruling.grantable


def test_a_grant_that_may_not_be_given_says_why() -> None:
    ruling, request = judged(DELETE).ruling, approved()
    for found, words in (
        (refusal(asked(), ruling, GIVER, HOUR), "Only what people approved"),
        (refusal(replace(request, cause=Cause.GRANT), ruling, GIVER, HOUR), "Only what people approved"),
        (refusal(request, ruling, Reviewer(BEN, "ben"), HOUR), "Only somebody who approved it"),
        (refusal(request, judged(Action("unheard_of", {})).ruling, GIVER, HOUR), "does not allow"),
        (refusal(request, replace(ruling, grantable=False), GIVER, HOUR), "does not allow"),
        (refusal(request, ruling, GIVER, Extent(LONGEST, session_only=True)), "no session"),
        (refusal(request, ruling, GIVER, Extent(LONGEST + timedelta(seconds=1))), "8 hours"),
        (refusal(request, ruling, GIVER, Extent(timedelta(0))), "8 hours"),
        (refusal(request, ruling, GIVER, Extent(LONGEST, uses=MOST_USES + 1)), "1 to 1000"),
    ):
        assert found is not None
        assert words in found


def test_a_judgement_asks_for_grants_only_where_one_could_help_and_approves_by_it() -> None:
    policies = policy_set(POLICY)
    assert policies.judge(DELETE, agent="builder").wants.grant == "uploads"
    assert policies.judge(Action("brew_coffee", {}), agent="builder").wants.grant is None

    without = policies.judge(DELETE, agent="builder", history=History(grants={"uploads": None}))
    assert (verdict(without), bool(without.wants)) == (("review", "uploads"), False)
    found = policies.judge(DELETE, agent="builder", history=History(grants={"uploads": "grant_1"}))
    assert verdict(found) == ("approve", "grant:grant_1")
    assert (found.ruling.cause, found.ruling.grant) == (Cause.GRANT, "grant_1")
    assert "approved similar actions in advance" in found.ruling.policy.explanation
    blocked = policies.judge(
        Action("file_delete", {"path": "/boot/x"}),
        agent="builder",
        history=History(grants={"boot": "grant_1"}),
    )
    assert verdict(blocked) == ("reject", "boot")


def test_what_a_grant_approves_counts_towards_the_limits_and_keeps_the_rules_own_approvers() -> None:
    own = POLICY.replace(
        'path_pattern: "/srv/up/**"}', 'path_pattern: "/srv/up/**", approvers: {users: [U0BEN0001]}}'
    )
    policies = policy_set(own + "limits:\n  - {name: few, action_type: file_delete, per: 1h, count: 2}\n")
    grants = {"uploads": "grant_1"}
    history = History({"files/few": Used(1, Decimal(0))}, grants=grants)
    found = policies.judge(DELETE, agent="builder", history=history)
    assert [charge.limit for charge in found.ruling.charges] == ["files/few"]
    history = History({"files/few": Used(2, Decimal(0))}, grants=grants)
    full = policies.judge(DELETE, agent="builder", history=history)
    assert verdict(full) == ("review", "budget:few")
    assert full.ruling.requirement is not None
    assert full.ruling.requirement.approvers[0].users == ("U0BEN0001",)
    assert not full.ruling.grantable


def test_a_pause_uses_no_grant() -> None:
    policies = policy_set(POLICY)
    found = policies.judge(DELETE, agent="builder", history=History(grants={"uploads": "grant_1"}))
    pause = Pause("agent:builder", "Stop.", NOON, GIVER)
    ruling = pausing.stopped(Judged(DELETE, found.risk, found.ruling), pause).ruling
    assert (ruling.cause, ruling.grant, ruling.grantable) == (Cause.PAUSED, None, False)
