"""When an undo is possible, who must confirm it, and what its steps do."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest

from bot.core import executing, rollback, undo
from bot.core.errors import (
    AlreadyClaimed,
    AlreadyReviewed,
    InvalidFields,
    NotApproved,
    NotClaimed,
    NotRollbackable,
    OutcomeConflict,
    StaleReview,
    UndoRefused,
)
from bot.core.models import Action, Effect, ExecutionState, RollbackState
from bot.core.rollback import UNCLAIMED, UNREPORTED, Chance, Report, Rollback, Step
from tests.factories import ANA, BEN, CLEO, make_judged, make_request, make_requirement
from tests.undo import ASKED, RAN, UNDO, WRITE, by_id, confirming, judging, ran

SHOWN = Report(RollbackState.PREVIEWED, "Puts back settings.json.", "-new\n+old", ("/srv/app/settings.json",))
DONE = Report(RollbackState.SUCCEEDED, "settings.json is as it was.", None, ("/srv/app/settings.json",))
BROKE = Report(RollbackState.FAILED, "The disk is full.", message="Copy settings.json from the backup.")
DIFFERS = Report(RollbackState.CONFLICT, "settings.json was changed by somebody else.", "-x\n+y")
REVIEW = judging()


def started(*requests, session=None, judge=REVIEW, asked=ASKED, now=RAN) -> Step:
    return rollback.start(requests, asked, id="rbk_1", session_id=session, judge=judge, now=now)


def chance(request, *, judge=REVIEW, now=RAN) -> Chance:
    return rollback.prospect(request, judge=judge, now=now).chance


class Play:
    """A rollback and its requests, moved on by steps."""

    def __init__(self, *requests, judge=REVIEW, **options):
        self.judge = judge
        self.requests = by_id(requests)
        self.events: list[str] = []
        self.hands: list[tuple[str, str | None, str]] = []
        self.rollback: Rollback
        self.take(started(*requests, judge=judge, **options))

    def take(self, step: Step) -> "Play":
        self.rollback = step.rollback
        self.requests.update(by_id(step.requests))
        self.events += [event.name for event in step.events]
        self.hands += [(e.actor.type.value, e.actor.id, e.via.value) for e in step.events]
        return self

    def item(self, place=0):
        return self.rollback.items[place]

    def preview(self, place=0, told=SHOWN, now=RAN):
        return self.take(rollback.outcome(self.rollback, self.requests, self.item(place).id, told, now=now))

    def confirm(self, who=ANA, now=RAN, **changes):
        given = confirming(self.rollback, who, **changes)
        return self.take(rollback.confirm(self.rollback, self.requests, given, judge=self.judge, now=now))

    def claim(self, place=0, now=RAN):
        return self.take(rollback.claim(self.rollback, self.requests, self.item(place).id, now=now))

    def report(self, place=0, told=DONE, now=RAN):
        return self.take(rollback.outcome(self.rollback, self.requests, self.item(place).id, told, now=now))

    def execution(self, place=0):
        return self.requests[self.item(place).request_id].execution


def test_an_undo_goes_from_the_ask_to_the_end_and_the_request_says_so():
    play = Play(ran()).preview().confirm().claim().report()
    assert play.rollback.state is RollbackState.SUCCEEDED
    assert play.execution().state is ExecutionState.ROLLED_BACK
    assert play.execution().rollback_id == "rbk_1"
    assert play.events == [
        "rollback_requested",
        "rollback_previewed",
        "rollback_confirmed",
        "rollback_claimed",
        "action_rolled_back",
    ]


def test_every_step_of_an_undo_is_on_record_with_who_took_it_and_by_which_way():
    play = Play(ran()).preview().confirm(ANA).claim().report()
    agent, person = ("agent", play.rollback.agent, "http"), ("human", ANA, "slack")
    assert play.hands == [("system", "tests", "http"), agent, person, agent, agent]
    late = Play(ran())
    late.take(rollback.expire(late.rollback, late.requests, now=RAN + UNCLAIMED))
    silent = Play(ran()).preview().confirm().claim()
    silent.take(rollback.expire(silent.rollback, silent.requests, now=RAN + UNREPORTED))
    assert late.hands[-1] == silent.hands[-1] == ("system", "rollbacks", "scheduler")


@pytest.mark.parametrize(
    ("request_", "said"),
    [
        (ran(success=False), "It failed"),
        (ran(None), "nothing that could undo it"),
        (Play(ran()).requests.popitem()[1], "is under way"),
        (Play(ran()).preview().confirm().claim().report().requests.popitem()[1], "rolled back before"),
    ],
)
def test_what_cannot_be_undone_is_refused_with_the_reason(request_, said):
    with pytest.raises(NotRollbackable, match=said):
        started(request_)


def test_an_undo_is_possible_until_the_policys_time_has_passed():
    request = ran()
    assert chance(request, now=RAN + timedelta(hours=24) - timedelta(seconds=1)) is Chance.POSSIBLE
    with pytest.raises(NotRollbackable, match="until 2026-11-23T12:01:00"):
        started(request, now=RAN + timedelta(hours=24))


def test_an_undo_that_was_asked_for_in_time_may_go_on_after_the_policys_time():
    play = Play(ran(), now=RAN + timedelta(hours=24) - timedelta(minutes=1))
    late = RAN + timedelta(hours=24, minutes=1)
    assert chance(play.requests[play.item().request_id], now=late) is Chance.UNDER_WAY
    play.preview(now=late).confirm(now=late).claim(now=late).report(now=late)
    assert chance(play.requests[play.item().request_id], now=late) is Chance.DONE


def test_what_the_policy_has_come_to_block_is_possible_no_more_until_it_was_confirmed():
    blocked = judging(Effect.REJECT)
    assert chance(ran(), judge=blocked) is Chance.FORBIDDEN
    play = Play(ran()).preview()
    assert chance(play.requests[play.item().request_id], judge=blocked) is Chance.FORBIDDEN
    play.confirm()
    assert chance(play.requests[play.item().request_id], judge=blocked) is Chance.UNDER_WAY


def test_an_undo_that_nobody_could_confirm_is_as_good_as_forbidden():
    request = ran(judged=make_judged(WRITE, effect=Effect.APPROVE))
    nobody = judging(Effect.APPROVE, standing=None)
    assert chance(request, judge=nobody) is Chance.FORBIDDEN
    with pytest.raises(NotRollbackable, match="names nobody who could confirm"):
        started(request, judge=nobody)


def test_a_failed_undo_may_be_tried_again():
    play = Play(ran()).preview().confirm().claim().report(told=BROKE)
    request = play.requests[play.item().request_id]
    assert play.execution().undo.message == "Copy settings.json from the backup."
    assert started(request).rollback.state is RollbackState.REQUESTED


def test_a_planned_undo_is_used_when_none_was_reported():
    request = ran(None, rollback=UNDO)
    assert started(request).rollback.items[0].data == UNDO


def test_what_the_policy_blocks_stays_blocked_at_the_ask_and_at_the_confirmation():
    blocked = judging(Effect.REJECT)
    with pytest.raises(NotRollbackable, match="does not allow the undo"):
        started(ran(), judge=blocked)
    play = Play(ran()).preview()
    play.judge = blocked
    with pytest.raises(UndoRefused, match="does not allow the undo"):
        play.confirm()


def test_nothing_is_applied_without_a_confirmation_even_where_the_policy_would_approve():
    play = Play(ran(), judge=judging(Effect.APPROVE)).preview()
    with pytest.raises(NotApproved):
        play.claim()
    assert play.confirm().claim().rollback.state is RollbackState.CLAIMED


def test_nothing_is_confirmed_before_the_preview_and_nothing_but_what_it_showed():
    play = Play(ran())
    with pytest.raises(UndoRefused, match="wait for its preview"):
        play.confirm()
    play.preview()
    with pytest.raises(StaleReview):
        play.confirm(digest="sha256:" + "1" * 64)


def test_the_undo_needs_at_least_as_many_people_as_the_action():
    request = replace(ran(), requirement=make_requirement(quorum=2))
    play = Play(request).preview().confirm(ANA)
    with pytest.raises(NotApproved):
        play.claim()
    assert play.confirm(BEN).claim().rollback.state is RollbackState.CLAIMED


def test_one_person_confirms_once():
    request = replace(ran(), requirement=make_requirement(quorum=2))
    play = Play(request).preview().confirm(ANA)
    with pytest.raises(AlreadyReviewed):
        play.confirm(ANA)


def test_what_the_action_did_not_touch_needs_the_undos_own_full_approval():
    elsewhere = {**UNDO, "path": "/srv/other/file"}
    easy = judging(Effect.APPROVE, standing=make_requirement(quorum=2))
    within, beyond = Play(ran(), judge=easy), Play(ran(elsewhere), judge=easy)
    assert within.item().beyond is None
    assert within.preview().confirm().rollback.confirmed_at is not None
    assert "did not" in beyond.item().beyond
    assert beyond.preview().confirm().rollback.confirmed_at is None
    assert beyond.confirm(BEN).rollback.confirmed_at is not None


def test_an_undo_other_than_the_planned_one_is_beyond_what_was_approved():
    planned = {**UNDO, "original_content": "another"}
    assert undo.beyond_approval(ran(rollback=planned), UNDO) is not None
    assert undo.beyond_approval(ran(rollback=UNDO), UNDO) is None


def test_a_planned_undo_of_what_the_action_did_not_touch_is_beyond_what_was_approved():
    elsewhere = {**UNDO, "path": "/srv/app/other"}
    assert "other" in undo.beyond_approval(ran(elsewhere, rollback=elsewhere), elsewhere)
    command = {"type": "command_undo", "argv": ["git", "revert", "HEAD"]}
    assert undo.beyond_approval(ran(command, rollback=command), command) is None


@pytest.mark.parametrize(
    ("action", "data", "within"),
    [
        (
            Action("file_delete", {"path": "/srv/cache", "recursive": True}),
            {**UNDO, "path": "/srv/cache/a"},
            True,
        ),
        (
            Action("file_delete", {"path": "/srv/cache", "recursive": True}),
            [{**UNDO, "path": path, "original_content": ""} for path in ("/srv/cache/", "/srv/cache/empty/")],
            True,
        ),
        (
            Action("file_delete", {"path": "/srv/cache", "recursive": True}),
            {**UNDO, "path": "/srv/", "original_content": ""},
            False,
        ),
        (
            Action("file_delete", {"path": "/srv/cache", "recursive": False}),
            {**UNDO, "path": "/srv/cache/a"},
            False,
        ),
        (
            Action("file_delete", {"path": "/srv/cache", "recursive": True}),
            {**UNDO, "path": "/srv/cache2"},
            False,
        ),
        (
            Action("file_delete", {"path": "/srv/c", "recursive": True}),
            {**UNDO, "path": "/srv/c/../x"},
            False,
        ),
        (
            Action("config_change", {"key": "limit", "new_value": 1}),
            {"type": "config_restore", "store": "a.json", "key": "limit", "had_value": True, "old_value": 2},
            True,
        ),
        (
            Action("config_change", {"key": "limit", "new_value": 1}),
            {"type": "config_restore", "store": "a.json", "key": "admin", "had_value": True, "old_value": 2},
            False,
        ),
        (
            Action("config_change", {"key": "limit", "new_value": 1, "store": "b.json"}),
            {"type": "config_restore", "store": "a.json", "key": "limit", "had_value": True, "old_value": 2},
            False,
        ),
        (
            WRITE,
            {"type": "config_restore", "store": WRITE.params["path"], "key": "limit", "had_value": False},
            True,
        ),
        (
            WRITE,
            {"type": "config_restore", "store": "/srv/app/other.json", "key": "path", "had_value": False},
            False,
        ),
        (WRITE, {"type": "command_undo", "argv": ["true"]}, False),
        (WRITE, {"type": "custom", "handler": "h"}, False),
    ],
)
def test_what_lies_within_an_approval(action, data, within):
    assert (undo.beyond_approval(ran(data, action=action), data) is None) is within


@pytest.mark.parametrize(
    ("data", "action"),
    [
        (UNDO, Action("file_write", {"path": UNDO["path"], "content": "old", "overwrite": True})),
        (
            {"type": "file_restore", "path": "/a", "existed": False},
            Action("file_delete", {"path": "/a", "recursive": False}),
        ),
        (
            {"type": "command_undo", "argv": ["rm", "-r", "x"], "cwd": "/srv"},
            Action("command_execute", {"command": "rm", "args": ["-r", "x"], "cwd": "/srv"}),
        ),
        (
            {
                "type": "database_restore",
                "database": "shop",
                "statements": [
                    {"sql": "DELETE FROM t WHERE id = ?;", "params": [1]},
                    {"sql": "DROP TABLE u", "params": []},
                ],
            },
            Action(
                "database_modify",
                {"query": "DELETE FROM t WHERE id = ?;\nDROP TABLE u", "params": [1], "database": "shop"},
            ),
        ),
        (
            {"type": "config_restore", "store": "s", "key": "k", "old_value": 1, "expected": 2},
            Action("config_change", {"key": "k", "old_value": 2, "new_value": 1, "store": "s"}),
        ),
    ],
)
def test_an_undo_counts_as_an_action_of_its_own_kind(data, action):
    assert undo.as_action(data) == action


def test_the_digest_covers_type_and_data():
    assert undo.undo_digest(UNDO) != undo.undo_digest({**UNDO, "type": "custom"})
    assert undo.undo_digest(UNDO) != undo.undo_digest({**UNDO, "original_content": "older"})


def test_a_claim_is_given_once_and_a_report_needs_one():
    play = Play(ran()).preview().confirm()
    with pytest.raises(NotClaimed):
        play.report()
    play.claim()
    with pytest.raises(AlreadyClaimed):
        play.claim()


def test_the_same_report_again_changes_nothing_and_another_is_a_conflict():
    play = Play(ran()).preview()
    assert rollback.outcome(play.rollback, play.requests, "rbk_1", SHOWN, now=RAN) is None
    with pytest.raises(OutcomeConflict):
        play.preview(told=replace(SHOWN, summary="Something else."))
    play.confirm().claim().report()
    assert rollback.outcome(play.rollback, play.requests, "rbk_1", DONE, now=RAN) is None
    with pytest.raises(OutcomeConflict):
        play.report(told=BROKE)


def test_a_conflict_in_the_preview_ends_it_before_anything_changed():
    play = Play(ran()).preview(told=DIFFERS)
    assert play.rollback.state is RollbackState.CONFLICT
    assert play.events[-1] == "rollback_failed"
    assert play.execution().state is ExecutionState.SUCCEEDED


def test_force_needs_a_second_reason():
    play = Play(ran(), asked=replace(ASKED, force=True)).preview(told=DIFFERS)
    assert play.rollback.state is RollbackState.PREVIEWED
    with pytest.raises(InvalidFields) as caught:
        play.confirm()
    assert list(caught.value.fields) == ["force_reason"]
    assert play.confirm(force_reason="Their change was a mistake.").claim().report().rollback.message


@pytest.mark.parametrize("steps", [0, 1, 2])
def test_what_nobody_takes_expires_after_a_quarter_of_an_hour(steps):
    play = Play(ran())
    for step in (play.preview, play.confirm)[:steps]:
        step()
    assert rollback.expire(play.rollback, play.requests, now=RAN + UNCLAIMED - timedelta(seconds=1)) is None
    play.take(rollback.expire(play.rollback, play.requests, now=RAN + UNCLAIMED))
    assert (play.rollback.state, play.events[-1]) == (RollbackState.EXPIRED, "rollback_expired")
    assert chance(play.requests[play.item().request_id]) is Chance.POSSIBLE


def test_an_overdue_undo_is_neither_confirmed_nor_claimed():
    play = Play(ran()).preview()
    with pytest.raises(UndoRefused, match="expired"):
        play.confirm(now=RAN + UNCLAIMED)
    play.confirm()
    with pytest.raises(NotRollbackable, match="expired"):
        play.claim(now=RAN + UNCLAIMED)


def test_a_claimed_step_that_is_never_reported_counts_as_failed_until_its_agent_speaks():
    play = Play(ran()).preview().confirm().claim()
    play.take(rollback.expire(play.rollback, play.requests, now=RAN + UNREPORTED))
    assert play.rollback.state is RollbackState.FAILED
    play.report()
    assert play.rollback.state is RollbackState.SUCCEEDED
    assert play.execution().state is ExecutionState.ROLLED_BACK


def session_of(*data):
    """Requests that ran one after the other in one session."""
    return [
        ran(undo_data, number=number, at=RAN + timedelta(seconds=number), session_id="evening")
        for number, undo_data in enumerate(data, start=1)
    ]


def elsewhere(name):
    return {**UNDO, "path": f"/srv/app/{name}"}


def test_a_session_is_undone_newest_first_after_one_confirmation_of_everything():
    play = Play(*session_of(elsewhere("a"), elsewhere("b")), session="evening")
    assert [item.id for item in play.rollback.items] == ["rbk_1.1", "rbk_1.2"]
    assert [item.data["path"] for item in play.rollback.items] == ["/srv/app/b", "/srv/app/a"]
    assert [kind for kind, _ in rollback.work(play.rollback)] == ["preview", "preview"]
    play.preview(1)
    with pytest.raises(UndoRefused):
        play.confirm()
    play.preview(0).confirm()
    assert [(kind, item.id) for kind, item in rollback.work(play.rollback)] == [("apply", "rbk_1.1")]
    with pytest.raises(NotApproved):
        play.claim(1)
    play.claim(0).report(0)
    assert [(kind, item.id) for kind, item in rollback.work(play.rollback)] == [("apply", "rbk_1.2")]
    play.claim(1).report(1)
    assert (play.rollback.state, play.rollback.partial) == (RollbackState.SUCCEEDED, False)


def test_a_session_stops_at_the_first_failure_is_called_partial_and_can_be_resumed():
    requests = session_of(elsewhere("a"), elsewhere("b"), elsewhere("c"))
    play = Play(*requests, session="evening").preview(0).preview(1).preview(2).confirm()
    play.claim(0).report(0).claim(1).report(1, told=BROKE)
    assert [item.state.value for item in play.rollback.items] == ["succeeded", "failed", "expired"]
    assert play.rollback.partial
    assert rollback.described(play.rollback) == "partial (failed)"
    assert "1 of 3 actions undone" in play.rollback.message
    again = started(*play.requests.values(), session="evening").rollback
    assert [item.data["path"] for item in again.items] == ["/srv/app/b", "/srv/app/a"]


def test_a_session_that_was_undone_before_is_refused_with_the_reason():
    play = Play(ran(session_id="evening"), session="evening").preview().confirm().claim().report()
    with pytest.raises(NotRollbackable, match="was rolled back before"):
        started(*play.requests.values(), ran(success=False, number=2), session="evening")


def test_what_a_session_cannot_undo_is_named():
    nothing = ran(None, number=1, session_id="evening")
    undoable = ran(UNDO, number=2, session_id="evening")
    play = Play(nothing, undoable, session="evening").preview().confirm().claim().report()
    [left] = play.rollback.left_out
    assert (left.request_id, left.action) == (
        nothing.id,
        "Write file “/srv/app/settings.json” (3 characters)",
    )
    assert play.rollback.partial


def test_an_action_of_the_session_that_failed_is_named_for_it_may_have_changed_something():
    play = Play(ran(number=1, session_id="evening"), ran(success=False, number=2), session="evening")
    assert [left.why for left in play.rollback.left_out] == [
        "It failed, and only an action that succeeded can be rolled back; what it changed stays."
    ]
    play.preview().confirm().claim().report()
    assert play.rollback.partial


def test_an_action_of_the_session_that_still_runs_is_named():
    asked = make_request(judged=make_judged(WRITE, effect=Effect.APPROVE), number=2, session_id="evening")
    assert asked.decision is not None
    running = executing.claim(asked, digest=asked.digest, preview_digest=None, now=RAN).request
    play = Play(ran(number=1, session_id="evening"), running, session="evening")
    assert [left.why for left in play.rollback.left_out] == [
        "It has not run to its end, so there is nothing to undo."
    ]


def test_an_older_step_that_a_newer_one_will_put_right_first_is_no_conflict_in_the_preview():
    play = Play(*session_of(UNDO, UNDO), session="evening")
    play.preview(1, told=DIFFERS).preview(0)
    assert play.rollback.state is RollbackState.PREVIEWED
    other = Play(*session_of(elsewhere("a"), UNDO), session="evening").preview(1, told=DIFFERS)
    assert other.rollback.state is RollbackState.CONFLICT


def test_a_setting_in_a_file_that_a_newer_step_puts_back_first_is_no_conflict_in_the_preview():
    setting = {
        "type": "config_restore",
        "store": UNDO["path"],
        "key": "limit",
        "had_value": True,
        "old_value": 1,
        "expected": 2,
    }
    play = Play(*session_of(setting, UNDO), session="evening").preview(1, told=DIFFERS).preview(0)
    assert play.rollback.state is RollbackState.PREVIEWED


def test_a_partial_rollback_is_named_so_on_the_request_and_in_the_audit():
    requests = session_of(elsewhere("a"), elsewhere("b"), elsewhere("c"))
    play = Play(*requests, session="evening").preview(0).preview(1).preview(2).confirm().claim(0).report(0)
    assert not play.rollback.partial  # it goes on
    step = rollback.outcome(
        play.claim(1).rollback, play.requests, play.item(1).id, BROKE, now=RAN + timedelta(seconds=1)
    )
    assert {
        event.name: [event.body[name] for name in ("partial", "undone", "of")] for event in step.events
    } == {
        "rollback_failed": [True, 1, 3],
        "rollback_expired": [True, 1, 3],
    }
    assert all("1 of 3 actions undone" in request.execution.undo.partial for request in step.requests)


def test_an_ask_without_a_reason_is_refused():
    with pytest.raises(InvalidFields):
        started(ran(), asked=replace(ASKED, reason="  "))


def test_the_worst_step_is_what_the_whole_is_judged_by():
    def judge(action):
        dangerous = action.type == "file_delete"
        return make_judged(action, "high" if dangerous else "low", standing=make_requirement())

    data = [UNDO, {"type": "file_restore", "path": "/srv/app/settings.json", "existed": False}]
    begun = started(ran(data), judge=judge).rollback
    assert begun.risk.score == Decimal("60")


def test_a_superseded_rollback_ends():
    play = Play(ran())
    play.take(rollback.supersede(play.rollback, play.requests, now=RAN))
    assert play.rollback.state is RollbackState.FAILED


def test_who_asked_and_who_confirmed_are_on_record():
    play = Play(ran()).preview().confirm(CLEO)
    assert [given.review.reviewer.id for given in play.rollback.confirmations] == [CLEO]


def test_the_words_of_a_command_cannot_be_told_for_another_commands():
    step = {"type": "command_undo", "argv": ["rm", "-r", "a b"]}
    assert undo.words(step, say=str) == "Run rm -r 'a b'"


def test_a_directory_is_called_one():
    data = {**UNDO, "path": "/srv/cache/", "original_content": ""}
    assert undo.words(data, say=str) == "Put back the directory /srv/cache/"
    assert undo.target_of(data) == "directory /srv/cache/"


def test_steps_are_shown_and_judged_in_the_order_in_which_they_are_undone():
    other = {**UNDO, "path": "/srv/app/other"}
    assert undo.steps([UNDO, other]) == (other, UNDO)


def test_a_preview_that_differs_may_be_reported_again_once_it_was_shown():
    play = Play(ran(), asked=replace(ASKED, force=True)).preview(told=DIFFERS)
    assert rollback.outcome(play.rollback, play.requests, play.item().id, DIFFERS, now=RAN) is None


def test_force_overrides_a_difference_and_no_failure():
    play = Play(ran(), asked=replace(ASKED, force=True)).preview(told=BROKE)
    assert play.rollback.state is RollbackState.FAILED


def test_a_confirmed_undo_takes_no_further_confirmation():
    play = Play(ran()).preview().confirm(ANA)
    with pytest.raises(UndoRefused, match="is confirmed; your confirmation changed nothing"):
        play.confirm(BEN)


def test_a_policy_that_has_come_to_ask_for_more_people_gets_them():
    play = Play(ran()).preview()
    play.judge = judging(requirement=make_requirement(quorum=2))
    assert play.confirm(ANA).rollback.confirmed_at is None
    assert play.rollback.requirement.needed == 2
    assert play.confirm(BEN).rollback.confirmed_at == RAN


def test_a_step_of_a_session_that_was_undone_is_not_claimed_again():
    requests = ran(number=1, session_id="evening"), ran(number=2, session_id="evening")
    play = Play(*requests, session="evening").preview(0).preview(1).confirm().claim(0).report(0)
    with pytest.raises(AlreadyClaimed):
        play.claim(0)


def test_a_claimed_step_has_longer_than_one_that_nobody_took():
    play = Play(ran()).preview().confirm().claim()
    assert rollback.expire(play.rollback, play.requests, now=RAN + UNCLAIMED) is None
    assert rollback.expire(play.rollback, play.requests, now=RAN + UNREPORTED) is not None


def test_blanks_are_no_second_reason():
    play = Play(ran(), asked=replace(ASKED, force=True)).preview(told=DIFFERS)
    with pytest.raises(InvalidFields):
        play.confirm(force_reason="  ")


def test_a_session_is_judged_by_its_most_dangerous_action():
    def judge(action):
        dangerous = action.type == "file_delete"
        return make_judged(action, "high" if dangerous else "low", standing=make_requirement())

    made = {"type": "file_restore", "path": "/srv/app/settings.json", "existed": False}
    requests = ran(made, number=1, session_id="evening"), ran(number=2, session_id="evening")
    assert started(*requests, session="evening", judge=judge).rollback.risk.score == Decimal("60")


def test_a_session_is_confirmed_for_its_own_actions_alone():
    def of(*numbers):
        requests = (ran(number=number, session_id="evening") for number in numbers)
        return started(*requests, session="evening").rollback.digest

    assert of(1, 2) == of(1, 2)
    assert of(1, 2) != of(1, 3)


def test_a_policy_that_asks_for_fewer_people_since_takes_none_away():
    play = Play(ran(), judge=judging(requirement=make_requirement(quorum=2))).preview()
    play.judge = REVIEW
    assert play.confirm(ANA).rollback.confirmed_at is None
    assert play.confirm(BEN).rollback.confirmed_at is not None


def test_the_next_step_of_a_session_has_its_own_time_to_be_taken():
    requests = ran(number=1, session_id="evening"), ran(number=2, session_id="evening")
    later = RAN + timedelta(minutes=40)
    play = Play(*requests, session="evening").preview(0).preview(1).confirm().claim(0).report(0, now=later)
    assert play.rollback.due_at == later + UNCLAIMED
    assert play.claim(1, now=later).report(1, now=later).rollback.due_at is None


def test_an_action_that_was_rolled_back_or_never_ran_is_refused_by_its_own_name_and_no_sessions():
    undone = Play(ran()).preview().confirm().claim().report()
    for request, why in [
        (undone.requests[undone.item().request_id], "It was rolled back before"),
        (make_request(), "has not run to its end"),
    ]:
        with pytest.raises(NotRollbackable, match=why):
            started(request)
