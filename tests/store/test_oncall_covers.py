"""Covers on disk: offered once, accepted by the other, never two for the same time."""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from bot.core.covering import CoverOffer, CoverState, Deal, belongs, check_acceptance, offer
from bot.core.errors import CoverRefused
from bot.core.models import Outgoing, Person, SlackId
from bot.core.oncall import Schedule
from bot.store import Store
from bot.store.oncall import AcceptCover, OfferCover, WithdrawCover
from tests.factories import ANA, BEN, CLEO, NOON
from tests.unit.test_oncall import layer

HOUR = timedelta(hours=1)
PLAN = Schedule("primary", (layer(ANA, "ben@example.com", CLEO),))
ana, ben, cleo = (
    Person(id, "T0HOME001", id.lower(), email=email)
    for id, email in ((ANA, None), (BEN, "Ben@example.com"), (CLEO, None))
)


def offered(
    number: int = 1,
    *,
    by: Person = ana,
    to: Person = ben,
    takes: bool = True,
    start: datetime = NOON,
    hours: int = 8,
) -> CoverOffer:
    return offer(PLAN, Deal(by, to, takes, start, start + hours * HOUR), id=f"cov_{number}", now=NOON)


async def accepted(store: Store, made: CoverOffer, by: Person = ben) -> CoverOffer | None:
    await store.write(OfferCover(made, ()))
    return await store.write(AcceptCover(made, by, NOON))


def test_an_offer_names_people_as_the_schedule_does() -> None:
    takes, asks = offered(takes=True), offered(takes=False)
    assert (takes.cover.by, takes.cover.of) == (ANA, "ben@example.com")
    assert (asks.cover.by, asks.cover.of) == ("ben@example.com", ANA)
    assert (takes.offered_by, takes.offered_to) == (asks.offered_by, asks.offered_to) == (ANA, BEN)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"to": Person(SlackId("U0DORA001"), "T0HOME001", "Dora")}, "Dora takes no turns in primary"),
        ({"by": ben}, "Nobody can cover themselves"),
        ({"start": NOON - 9 * HOUR}, "That time is over"),
        ({"hours": 0}, "ends before it begins"),
    ],
)
def test_only_people_of_the_schedule_cover_each_other_and_only_in_the_future(
    changes: dict[str, Person], said: str
) -> None:
    with pytest.raises(CoverRefused, match=said):
        offered(**changes)  # type: ignore[arg-type]  # each case changes one argument


def test_a_user_group_is_covered_where_it_is_kept() -> None:
    with pytest.raises(CoverRefused, match="Slack user group"):
        offer(
            Schedule("p", usergroup="S0614TZR7"),
            Deal(ana, ben, True, NOON, NOON + HOUR),
            id="cov_1",
            now=NOON,
        )
    assert belongs(PLAN, ben)
    assert not belongs(PLAN, Person(SlackId("U0DORA001"), "T0HOME001", "Dora"))


def test_only_the_other_one_accepts_and_only_in_time() -> None:
    made = offered()
    assert check_acceptance(made, BEN, now=NOON) is made
    for found, by, now in [
        (None, BEN, NOON),
        (made, ANA, NOON),
        (made, BEN, NOON + 8 * HOUR),
        (replace(made, state=CoverState.WITHDRAWN, decided_at=NOON), BEN, NOON),
    ]:
        with pytest.raises(CoverRefused):
            check_acceptance(found, by, now=now)


async def test_an_offer_counts_once_it_is_accepted_and_is_audited_once(store: Store) -> None:
    made = offered()
    await store.write(OfferCover(made, ()))
    assert await store.reads.covers("primary", NOON, NOON + HOUR) == []
    first = await store.write(AcceptCover(made, ben, NOON))
    again = await store.write(AcceptCover(made, ben, NOON + HOUR))
    assert first == again == replace(made, state=CoverState.ACCEPTED, decided_at=NOON)
    assert await store.reads.covers("primary", NOON, NOON + HOUR) == [first]
    assert await store.reads.cover(made.id) == first
    [event] = await _events(store)
    assert event == ("oncall_overridden", BEN, "accepted", "ben@example.com")


async def _events(store: Store) -> list[tuple[str, str, str, str]]:
    found = await store.reads.audit_page(event="oncall_overridden")
    return [(e.event, e.actor.id, e.body["change"], e.body["covered"]) for e in reversed(found)]


async def test_covers_are_found_by_the_time_they_touch(store: Store) -> None:
    await accepted(store, offered())
    assert await store.reads.covers("primary", NOON + 8 * HOUR, NOON + 9 * HOUR) == []
    assert await store.reads.covers("primary", NOON - HOUR, NOON) == []
    assert len(await store.reads.covers("primary", NOON + 7 * HOUR, NOON + 9 * HOUR)) == 1
    assert await store.reads.covers("secondary", NOON, NOON + HOUR) == []


async def test_nobody_is_covered_twice_for_the_same_time(store: Store) -> None:
    assert await accepted(store, offered(1)) is not None
    assert await accepted(store, offered(2, by=cleo, start=NOON + HOUR)) is None
    assert await accepted(store, offered(3, by=cleo, start=NOON + 8 * HOUR)) is not None


async def test_a_cover_that_is_withdrawn_makes_room_for_another(store: Store) -> None:
    first = await accepted(store, offered(1))
    assert first is not None
    assert await store.write(WithdrawCover(first, ana, NOON + HOUR))
    assert not await store.write(WithdrawCover(first, ana, NOON + HOUR))
    assert await accepted(store, offered(2, by=cleo)) is not None
    assert [change for _, _, change, _ in await _events(store)] == ["accepted", "withdrawn", "accepted"]


async def test_the_word_to_the_other_one_is_stored_with_the_offer(store: Store) -> None:
    word = Outgoing("slack.cover", {"cover": "cov_1"}, order="cover:cov_1")
    await store.write(OfferCover(offered(), (word,)))
    assert (await store.reads.counts()).unsent == 1
