"""What the card says of a rollback, and what the form shows to whoever confirms it."""

import json
from dataclasses import replace
from datetime import timedelta

import pytest

from bot.core import rollback
from bot.core.models import Effect, RollbackState
from bot.core.rollback import Report
from bot.slack.undo_card import undo_blocks
from bot.slack.undo_form import rollback_view
from bot.slack.undo_told import rollback_ended
from tests.factories import ANA
from tests.undo import ASKED, RAN, UNDO, by_id, confirming, judging, ran

SHOWN = Report(RollbackState.PREVIEWED, "Puts back settings.json.", "-new\n+old", ("/srv/app/settings.json",))
DIFFERS = Report(
    RollbackState.CONFLICT, "Puts back settings.json.", "-x\n+y", message="It was changed since."
)
BROKE = Report(RollbackState.FAILED, "The disk is full.")
JUDGE = judging()


def previewed(*requests, told=(SHOWN,), session=None, force=False):
    step = rollback.start(
        requests, replace(ASKED, force=force), id="rbk_1", session_id=session, judge=JUDGE, now=RAN
    )
    known = by_id(requests)
    for place, report in reversed(list(enumerate(told))):
        known.update(by_id(step.requests))
        step = rollback.preview(step.rollback, known, step.rollback.items[place].id, report, now=RAN)
    known.update(by_id(step.requests))
    return step.rollback, known


def offer(request, *, judge=JUDGE, now=RAN):
    """What the card says of rollback, in JSON."""
    return words(undo_blocks(request, rollback.prospect(request, judge=judge, now=now)))


def words(blocks):
    return json.dumps(blocks, ensure_ascii=False)


def test_the_form_shows_the_digest_that_is_confirmed_and_carries_no_other():
    shown, _ = previewed(ran())
    view = rollback_view(shown)
    assert shown.digest in words(view["blocks"])
    assert view["private_metadata"] == f"{shown.id} {shown.digest}"


def test_what_newer_actions_change_first_is_not_called_a_difference():
    requests = ran(number=1, session_id="evening"), ran(number=2, session_id="evening")
    shown, _ = previewed(*requests, told=(SHOWN, DIFFERS), session="evening")
    assert "checked again after them" in words(rollback_view(shown))
    assert "It differs" not in words(rollback_view(shown))
    forced, _ = previewed(ran(), told=(DIFFERS,), force=True)
    assert "It differs from what the action left" in words(rollback_view(forced))


def test_a_rollback_that_stopped_shows_what_differs():
    stopped, _ = previewed(ran(), told=(DIFFERS,))
    view = rollback_view(stopped)
    assert "submit" not in view
    assert "Something has changed since the action, so nothing was rolled back." in words(view)
    assert "It differs from what the action left" in words(view)
    assert "-x\\n+y" in words(view)
    anyway = (
        f"for one without a card, `keyturn rollback {stopped.items[0].request_id} --reason WHY --force` does"
    )
    assert anyway in words(view)
    assert "Then start this again" not in words(view)


def test_a_session_that_stopped_says_how_to_go_on():
    requests = (
        ran(number=1, session_id="evening"),
        ran({**UNDO, "path": "/x"}, number=2, session_id="evening"),
    )
    stopped, _ = previewed(*requests, told=(DIFFERS, SHOWN), session="evening")
    said = words(rollback_view(stopped))
    assert "Its card offers to roll back anyway, for a second reason" in said
    assert f"`keyturn rollback {stopped.items[0].request_id} --reason WHY --force`" in said
    assert "Then start this again." in said


def test_a_partial_rollback_is_called_partial_on_the_card():
    requests = (
        ran(number=1, session_id="evening"),
        ran({**UNDO, "path": "/x"}, number=2, session_id="evening"),
    )
    shown, known = previewed(*requests, told=(SHOWN, SHOWN), session="evening")
    step = rollback.confirm(shown, known, confirming(shown), judge=JUDGE, now=RAN)
    for told in (SHOWN, BROKE):
        known.update(by_id(step.requests))
        item = rollback.next_item(step.rollback)
        step = rollback.claim(step.rollback, known, item.id, now=RAN)
        known.update(by_id(step.requests))
        result = replace(told, state=RollbackState.SUCCEEDED) if told is SHOWN else told
        step = rollback.outcome(step.rollback, known, item.id, result, now=RAN)
    (private,) = step.outbox
    assert (private.kind, private.payload["user"], private.payload["rollback"]) == ("slack.dm", ANA, "rbk_1")
    known.update(by_id(step.requests))
    message = rollback_ended(step.rollback, known)
    assert "Partly rolled back (partial): session evening" in message["text"]
    assert [row["elements"][0]["text"] for row in message["blocks"][0]["elements"][-1]["elements"]] == [
        "⏪ Rolled back: ",
        "❌ The rollback failed: ",
    ]
    assert "The disk is full." in words(message["blocks"])
    card = offer(step.requests[0])
    assert "The rollback failed" in card
    assert f"confirmed by {ANA.lower()}, " in card
    assert "Partial: " in card
    assert "1 of 2 actions undone" in card
    assert "Roll back" in card


def test_nothing_is_offered_where_nothing_can_be_undone():
    assert offer(ran(None)) == "[]"
    assert offer(ran(success=False)) == "[]"
    shown, known = previewed(ran())
    assert "Show and confirm the rollback" in offer(known[shown.items[0].request_id])


def test_the_offer_stands_until_its_deadline_and_then_the_card_says_when_that_was():
    request = ran()
    deadline = request.execution.rollback_until
    before, after = offer(request, now=deadline - timedelta(seconds=1)), offer(request, now=deadline)
    assert "Can be rolled back until " in before
    assert "rollback.start" in before
    assert "Could be rolled back until " in after
    assert f"<!date^{int(deadline.timestamp())}^" in after
    assert "rollback.start" not in after


def test_what_the_policy_blocks_is_not_offered_but_said_with_the_rules_own_words():
    card = offer(ran(), judge=judging(Effect.REJECT))
    assert "rollback.start" not in card
    assert "Cannot be rolled back. " in card
    assert "The policy does not allow the undo: Nothing else matched." in card


def test_a_rollback_that_waits_is_not_offered_once_the_policy_blocks_it():
    shown, known = previewed(ran())
    card = offer(known[shown.items[0].request_id], judge=judging(Effect.REJECT))
    assert "waiting for confirmation" in card
    assert "Cannot be rolled back. " in card
    assert "rollback.start" not in card


def test_a_rollback_that_failed_too_late_to_try_again_still_says_what_remains_by_hand():
    shown, known = previewed(ran())
    step = rollback.confirm(shown, known, confirming(shown), judge=JUDGE, now=RAN)
    known.update(by_id(step.requests))
    step = rollback.claim(step.rollback, known, shown.items[0].id, now=RAN)
    known.update(by_id(step.requests))
    broke = replace(BROKE, message="Copy it from the backup.")
    step = rollback.outcome(step.rollback, known, shown.items[0].id, broke, now=RAN)
    card = offer(step.requests[0], now=step.requests[0].execution.rollback_until)
    assert "Copy it from the backup." in card
    assert "Could be rolled back until " in card
    assert "rollback.start" not in card


@pytest.mark.parametrize(
    ("step", "shown"),
    [
        (
            {"type": "custom", "handler": "rebuild", "data": {"table": "orders", "since": 7}},
            '"table": "orders"',
        ),
        (
            {
                "type": "database_restore",
                "database": "shop",
                "statements": [{"sql": "DELETE FROM item WHERE id = ?", "params": [42]}],
            },
            "DELETE FROM item WHERE id = ?",
        ),
        (
            {"type": "command_undo", "argv": ["make", "undo"], "cwd": "/srv/shop"},
            "Run “make undo” in “/srv/shop”",
        ),
    ],
)
def test_the_form_shows_what_is_confirmed_whatever_the_agents_preview_says(step, shown):
    seen, _ = previewed(ran(step))
    texts = [leaf["text"] for leaf in leaves(rollback_view(seen)["blocks"])]
    assert any(shown in text for text in texts)


def leaves(value):
    """Every object that has a text, wherever it is."""
    if isinstance(value, list):
        return [found for one in value for found in leaves(one)]
    if not isinstance(value, dict):
        return []
    own = [value] if isinstance(value.get("text"), str) else []
    return own + [found for one in value.values() for found in leaves(one)]
