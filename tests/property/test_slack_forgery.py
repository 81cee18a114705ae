"""No text from an agent can forge a card: whatever it says, our words stay ours, to the byte."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.core.describe import action_line
from bot.core.grants import Grant
from bot.core.models import Alternative, ApprovalRequest, Reviewer, RiskLevel, SlackId, Urgency
from bot.core.visible import visible
from bot.sandbox.limits import MODAL, message_problems, message_text_length, view_problems
from bot.slack.card import card
from bot.slack.details import details
from bot.slack.forms import approve_form, ask_form, modify_form, notice, reject_form
from bot.slack.grant_form import grant_form
from bot.slack.grant_words import grant_note, grant_row
from bot.slack.home import HomeFacts, home_view
from bot.slack.notes import outcome, thread_message
from bot.slack.queue import Waiting
from bot.slack.text import escape, literal
from bot.slack.timeline import told
from tests.cards import NOON, make_request

HOSTILE = [
    "<!channel> <!here> <!everyone>",
    "<@U0DANA001> <#C0APPROVE> <!subteam^S0614TZR7>",
    "<https://evil.example|Approve>",
    "<!date^0^{date}|now>",
    "https://evil.example/x @here #general @dana",
    "*bold* _it_ ~no~ `code` ```block``` > quote\n>>> all",
    ":white_check_mark: :tada:",
    "&lt;!channel&gt; &amp;",
    "✅ Approved · 🏁 Done\nApprovals: 2 of 2\nDecide by never",
    "Run “ls”\nTarget: nothing",
    "\u202eevorppa\u202c \u2066x\u2069 \u200f",
    "a\u200bb\u200c\u200d\u2060\ufeff\u00ad",
    "\U000e0041\U000e007f \ufe0f \u3164 \u2800 \u115f",
    "\x00\x07\x1b[31mred\x1b[0m\x7f\x9b\r\n\t\v\f",
    "\u2028\u2029\u0085",
    "Z\u0336\u0336\u0336\u0336\u0336\u0336a\u0489\u0489\u0489\u0489l",
    '"}],"type":"actions","elements":[{"action_id":"request.approve"}]',
    "‮‭⁦ ​ 　",
    "",
    " ",
    "x" * 3000,
    "<!channel>" * 300,
    "\n" * 3000,
]
words = st.one_of(
    st.sampled_from(HOSTILE), st.text(max_size=200), st.text(alphabet="<>&*_`\u202e\n@#:|", max_size=80)
)


def hostile_request(said: str, more: str, level: RiskLevel, **changes: Any) -> ApprovalRequest:
    """A deployment that is always the same, wrapped in whatever the agent chose to say."""
    request = make_request(
        level=level.value,
        description=said or "-",
        reason=more,
        session_id=said[:200] or None,
        on_behalf_of=more[:200] or None,
        preview=said,
        alternatives=(Alternative(more, {"version": said}),),
        related=(said,),
        metadata={said: more},
        urgency=Urgency.CRITICAL,
        **changes,
    )
    factors = tuple(replace(factor, detail=more) for factor in request.risk.factors)
    return replace(request, risk=replace(request.risk, factors=factors))


def objects(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        yield value
        for item in value.values():
            yield from objects(item)
    elif isinstance(value, list):
        for item in value:
            yield from objects(item)


def of_type(value: Any, kind: str) -> list[dict[str, Any]]:
    return [found for found in objects(value) if found.get("type") == kind]


def assert_harmless(surface: Any) -> None:
    """Nothing in it is parsed but what we wrote, and nothing in it is invisible."""
    kinds = {str(found["type"]) for found in objects(surface) if "type" in found and "user_id" not in found}
    assert not kinds & {"user", "usergroup", "broadcast", "link", "emoji", "markdown", "channel"}
    for found in objects(surface):
        if isinstance(found.get("text"), str):
            assert visible(found["text"], lines=True) == found["text"]
        if found.get("type") == "plain_text":
            assert found["emoji"] is False
        if found.get("type") == "mrkdwn":
            assert found["verbatim"] is True


@settings(max_examples=300, deadline=None)
@given(said=words, more=words, level=st.sampled_from(list(RiskLevel)))
def test_our_words_do_not_depend_on_what_the_agent_says(said: str, more: str, level: RiskLevel) -> None:
    honest = card(hostile_request("plain", "words", level), card_id="1")
    forged = card(hostile_request(said, more, level), card_id="1")
    assert message_problems(forged["blocks"]) == []
    assert message_text_length(forged["blocks"]) < 13_200
    assert_harmless(forged["blocks"])
    # Headline, mention and action line are the first three blocks; the clock and the buttons the last two.
    assert forged["blocks"][:3] == honest["blocks"][:3]
    assert forged["blocks"][-2:] == honest["blocks"][-2:]
    assert of_type(forged["blocks"], "mrkdwn") == of_type(honest["blocks"], "mrkdwn")
    assert forged["text"] == honest["text"]
    assert {k: v for k, v in forged.items() if k != "blocks"} == {
        k: v for k, v in honest.items() if k != "blocks"
    }


@settings(max_examples=300, deadline=None)
@given(name=words, value=words, level=st.sampled_from(list(RiskLevel)))
def test_params_stand_in_their_quotes_and_nowhere_else(name: str, value: str, level: RiskLevel) -> None:
    request = make_request(
        type="tool:any", params={name: value, "list": [value, {name: value}]}, level=level.value
    )
    made = card(request, card_id="1")
    assert message_problems(made["blocks"]) == []
    assert_harmless(made["blocks"])
    assert not set(made["text"]) & set("<>\n")
    line = action_line(request.action)
    assert line.count("“") == line.count("”")
    assert "\n" not in line
    assert of_type(made["blocks"], "mrkdwn") == of_type(
        card(make_request(level=level.value), card_id="1")["blocks"], "mrkdwn"
    )


@settings(max_examples=150, deadline=None)
@given(said=words, more=words, level=st.sampled_from(list(RiskLevel)))
def test_forms_details_home_and_notes_are_as_safe_as_the_card(said: str, more: str, level: RiskLevel) -> None:
    request = hostile_request(said, more, level)
    request = replace(
        request,
        submission=replace(
            request.submission, params_schema={"properties": {"version": {"description": said}}}
        ),
    )
    forms = (approve_form, reject_form, modify_form, ask_form, grant_form, details)
    for view in [form(request) for form in forms]:
        assert view_problems(view, MODAL) == []
        assert_harmless(view["blocks"])
    grant = Grant(
        id="grant_1",
        request_id=request.id,
        agent=request.agent,
        type=request.action.type,
        rule="default",
        policy="p",
        policy_version="sha256:0",
        params=request.action.params,
        directory=said,
        session_id=more,
        highest=level,
        giver=Reviewer(SlackId("U0REL0001"), said),
        uses=20,
        created_at=NOON,
        expires_at=NOON,
    )
    for row in (grant_row(grant, giver=True), *grant_note(grant)["blocks"]):
        assert message_problems([row]) == []
        assert_harmless([row])
    full = home_view(HomeFacts(Waiting((request,) * 20), automatic=[request] * 10))
    assert view_problems(full, "home") == []
    assert_harmless(home_view(HomeFacts(Waiting((replace(request, channel=None),))))["blocks"])
    timeline = told([("action_failed", request)] * 30)
    for message in (outcome(request), thread_message(said, more), grant_note(grant), timeline):
        assert message_problems(message["blocks"]) == []
        assert_harmless(message["blocks"])
        assert not set(message["text"]) & set("<>\n")
    assert outcome(request) == outcome(hostile_request("plain", "words", level))


@pytest.mark.parametrize("text", HOSTILE)
def test_escaped_text_holds_nothing_that_slack_parses(text: str) -> None:
    assert not set(escape(text)) & set("<>\n")
    for mark in "*_~`":
        assert f"{mark}\u200b" in literal(text) or mark not in text


def test_sixty_kilobytes_of_hostile_params_are_cut_and_shown_whole_in_details() -> None:
    value = ("<!channel> *x* \u202e" * 5000)[:60_000]
    request = make_request(type="command_execute", params={"command": value}, level="high")
    made = card(request, card_id="1")
    assert message_problems(made["blocks"]) == []
    assert_harmless(made["blocks"])
    pages = [details(request, page) for page in range(60)]
    for page in pages:
        assert view_problems(page, MODAL) == []
        assert_harmless(page["blocks"])
    shown = "".join(
        text["elements"][0]["text"] for page in pages for text in of_type(page, "rich_text_preformatted")
    )
    assert visible(value)[:50_000] in shown


def test_a_notice_of_any_length_can_be_shown() -> None:
    assert view_problems(notice("Too much", literal("*_&<" * 3000)), MODAL) == []
