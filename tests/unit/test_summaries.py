"""Figures from events: outcomes, times, escalations, who decided; and the report made of them."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from bot.core.models import Actor, ActorType, Via
from bot.core.times import rfc3339
from bot.services import charts, reporting
from bot.services.charts import CHARTS, DARK, LIGHT
from bot.services.reporting import Reporting
from bot.services.summaries import Summary, span, spread, summarise
from bot.store import Store
from bot.store.audit_reads import AuditEvent
from bot.store.auditing import AuditFilter
from bot.store.commands import CreateRequest, SaveTransition
from tests.factories import ANA, NOON
from tests.store.conftest import HandClock
from tests.store.histories import approved, blocked_at_once, decided_at_once, rejected, submitted

BUILDER = Actor.agent("builder")
ASKED = ("action_requested", "policy_applied")


@pytest.fixture
async def store(tmp_path: Path):
    """Two decisions by Ana, after one and two minutes; one block, one automatic approval, one open."""
    async with Store.open(f"sqlite:///{tmp_path}/k.db", clock=HandClock()) as opened:
        for number, rule, minutes in ((1, approved, 1), (2, rejected, 3)):
            step = submitted(number)
            await opened.write(CreateRequest(step))
            await opened.write(SaveTransition(rule(step.request, NOON + timedelta(minutes=minutes))))
        for step in (blocked_at_once(3), decided_at_once(4), submitted(5, agent="$other$")):
            await opened.write(CreateRequest(replace(step, outbox=())))
        yield opened


async def summary(store: Store) -> Summary:
    return summarise(reversed(await store.reads.audit_page(limit=100)))


async def test_outcomes_times_and_reviewers_are_counted(store: Store) -> None:
    found = await summary(store)
    assert found.outcomes == {"approved": 2, "rejected": 2, "pending": 1}
    assert found.automatic == 2
    assert found.deciding is not None
    assert (found.deciding.count, found.deciding.median) == (2, timedelta(seconds=90))
    assert found.reviews == {(ANA, "approve"): 1, (ANA, "reject"): 1}
    assert found.quick == 0


@pytest.mark.parametrize(
    ("seconds", "median", "p90"), [([7], 7, 7), ([1, 3], 2, 2.8), (range(1, 12), 6, 10), ([4, None, 4], 4, 4)]
)
def test_median_and_ninetieth_percentile(seconds: list[int | None], median: float, p90: float) -> None:
    found = spread(None if s is None else timedelta(seconds=s) for s in seconds)
    assert found is not None
    assert found.median.total_seconds() == pytest.approx(median)
    assert found.p90.total_seconds() == pytest.approx(p90)


def said(event: str, at: timedelta, number: int = 1, actor: Actor = BUILDER, **body) -> AuditEvent:
    stamp = rfc3339(NOON + at)
    return AuditEvent(1, stamp, event, actor, Via.HTTP, "builder", f"req_{number}", None, body, "", "")


@pytest.mark.parametrize(("took", "quick"), [(4.999999, 1), (5, 0), (5.5, 0)])
def test_less_than_five_seconds_is_quick(took: float, quick: int) -> None:
    told = said("action_requested", timedelta(0), type="deployment")
    after = {"cause": "human", "decision": {"by": [ANA]}}
    found = summarise([told, said("action_approved", timedelta(seconds=took), after=after)])
    assert found.quick == quick


def test_a_clock_that_was_set_back_between_ask_and_decision_makes_no_length() -> None:
    told = said("action_requested", timedelta(hours=1), type="deployment")
    after = {"cause": "human", "decision": {"by": [ANA], "decided_at": rfc3339(NOON)}}
    found = summarise([told, said("action_approved", timedelta(hours=1), after=after)])
    assert (found.deciding, found.quick, found.outcomes) == (None, 0, {"approved": 1})


def test_the_first_who_is_on_it_acknowledged() -> None:
    times = [said("action_acknowledged", timedelta(seconds=seconds)) for seconds in (50, 20, 90)]
    found = summarise([*times, said("action_requested", timedelta(0), type="deployment")])
    assert found.acknowledging is not None
    assert found.acknowledging.median == timedelta(seconds=20)


@pytest.mark.parametrize("cause", ["policy_rule", "risk_threshold", "grant", "paused"])
def test_what_no_person_was_asked_about_is_automatic(cause: str) -> None:
    told = said("action_requested", timedelta(0), type="deployment")
    assert summarise([told, said("action_rejected", timedelta(0), after={"cause": cause})]).automatic == 1


@pytest.mark.parametrize("cause", ["human", "timeout", "cancelled_by_agent"])
def test_what_waited_for_people_is_not(cause: str) -> None:
    told = said("action_requested", timedelta(0), type="deployment")
    assert summarise([told, said("action_timed_out", timedelta(0), after={"cause": cause})]).automatic == 0


def test_a_person_has_the_name_that_is_known_of_them() -> None:
    unknown, known = (Actor(ActorType.HUMAN, ANA, name) for name in (ANA, "Ana"))
    found = summarise([said("review_refused", timedelta(0), actor=actor) for actor in (unknown, known)])
    assert (found.name(ANA), found.name("U0OTHER01")) == ("Ana", "U0OTHER01")


def test_grants_used_and_runs_are_counted() -> None:
    events = [
        said("grant_created", timedelta(0)),
        *(said("grant_used", timedelta(0), number) for number in (2, 3)),
        said("action_failed", timedelta(0), 2),
        said("action_executed", timedelta(0), 3),
    ]
    found = summarise(events)
    assert found.grants_used == 2
    assert [story.ran for story in found.stories.values()] == [None, "failed", "succeeded"]


def test_nothing_has_no_median() -> None:
    assert spread([None]) is None


@pytest.mark.parametrize("look", [LIGHT, DARK])
@pytest.mark.parametrize("chart", CHARTS)
async def test_every_chart_draws_something_and_nothing(store: Store, chart, look) -> None:
    drawn, empty = charts.svg(chart, await summary(store), look), charts.svg(chart, Summary(), look)
    assert drawn.startswith(b"<?xml")
    assert empty.startswith(b"<?xml")


async def test_the_page_needs_nothing_from_elsewhere(store: Store) -> None:
    page = await Reporting(store.reads, HandClock()).page(AuditFilter())
    assert page.count("<figure>") == len(CHARTS)
    assert "prefers-color-scheme: dark" in page
    assert "http://" not in page
    assert "https://" not in page
    assert "<script" not in page


def test_a_report_of_nothing_has_no_empty_part() -> None:
    assert "Figures" not in reporting.page(Summary(), "Nothing", NOON)


async def test_the_picture_is_a_png_with_words(store: Store) -> None:
    picture, words = await Reporting(store.reads, HandClock()).picture(AuditFilter(since=NOON))
    assert picture[:8] == b"\x89PNG\r\n\x1a\n"
    assert "requests: 5" in words


async def test_a_decision_on_an_older_request_adds_no_request(store: Store) -> None:
    events = [e for e in await store.reads.audit_page(limit=100) if e.event not in ASKED][::-1]
    found = summarise(events)
    assert found.asked == []
    assert sum(found.outcomes.values()) == found.automatic == 0
    assert found.reviews == {(ANA, "approve"): 1, (ANA, "reject"): 1}


async def test_the_page_says_its_figures_in_words_too(store: Store) -> None:
    step = submitted(6, agent="<b>agent</b>", now=NOON + timedelta(days=9))
    await store.write(CreateRequest(step))
    page = await Reporting(store.reads, HandClock()).page(AuditFilter())
    for words in ("<caption>Risk</caption>", "&lt;b&gt;agent", "to decide, median", "u0ana0001: approve"):
        assert words in page
    assert "<b>agent" not in page


@pytest.mark.parametrize(
    ("seconds", "words"), [(0, "0.0 s"), (4.26, "4.3 s"), (95, "95 s"), (150, "2 min"), (7200, "2.0 h")]
)
def test_lengths_are_said_shortly(seconds: float, words: str) -> None:
    assert span(timedelta(seconds=seconds)) == words


async def test_the_order_of_events_does_not_matter(store: Store) -> None:
    events = await store.reads.audit_page(limit=100)
    assert summarise(events) == summarise(reversed(events))


async def test_a_report_says_what_it_is_limited_to(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    page = await Reporting(store.reads, HandClock()).page(AuditFilter(agent="$other$"))
    assert "agent $other$</h1>" in page
    monkeypatch.setattr(reporting, "MOST_EVENTS", 7)
    page = await Reporting(store.reads, HandClock()).page(AuditFilter())
    assert "the newest 7 events</h1>" in page
