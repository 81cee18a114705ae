"""Cards: every copy shows the last state in the end, whatever comes first."""

from datetime import timedelta

from bot.store.cards import EndOffers
from bot.store.commands import (
    CardFailed,
    CardPainted,
    CardPosted,
    CompleteOutbox,
    CreateCard,
    CreateRequest,
    LeaseOutbox,
    SaveTransition,
)
from bot.store.timeline import KIND, CardTold
from tests.factories import NOON
from tests.store.histories import approved, claimed, decided_at_once, said, submitted, succeeded

LEASE = timedelta(seconds=30)


async def lease(store, now=NOON):
    return await store.write(LeaseOutbox(now, 50, LEASE, ("slack.post", "slack.paint")))


async def asked(store, number=1):
    """A request and the leased post of its card."""
    step = submitted(number)
    await store.write(CreateRequest(step))
    [item] = await lease(store)
    return step.request, item


async def test_a_post_makes_its_card_in_the_same_change(store):
    request, item = await asked(store)
    [card] = await store.reads.cards(request.id)
    assert item.payload["card_id"] == card.id
    assert (card.channel_target, card.kind, card.level, card.state) == ("C0APPROVE", "channel", 0, "wanted")
    assert (card.request_version, card.posted_version, card.ts) == (1, None, None)
    assert await store.reads.card(card.id) == card


async def test_an_automatic_decision_has_no_card(store):
    await store.write(CreateRequest(step := decided_at_once()))
    assert await store.reads.cards(step.request.id) == []


async def test_a_change_after_the_post_paints_each_posted_card_once(store):
    request, item = await asked(store)
    card_id = item.payload["card_id"]
    second = await store.write(CreateCard(request.id, "D0ANA", "dm", 1, NOON))
    await store.write(CompleteOutbox(item.id, 1, NOON, card=CardPosted(card_id, "C1", "1.1", 1, NOON)))
    await store.write(CardPosted(second, "D1", "2.2", 1, NOON))
    assert await lease(store) == []

    for text in ("one", "two"):
        step = said(request, text)
        await store.write(SaveTransition(step))
        request = step.request

    later = request.updated_at
    paints = await lease(store, later)
    assert sorted(p.payload["card_id"] for p in paints) == [card_id, second]
    assert {p.kind for p in paints} == {"slack.paint"}
    for paint in paints:
        painted = CardPainted(paint.payload["card_id"], request.version)
        await store.write(CompleteOutbox(paint.id, paint.generation, later, card=painted))
    assert await lease(store, later) == []
    assert {c.painted_version for c in await store.reads.cards(request.id)} == {request.version}


async def test_a_change_while_the_card_is_posted_paints_it_on_arrival(store):
    request, item = await asked(store)
    step = approved(request)
    await store.write(SaveTransition(step))
    assert await lease(store, step.now) == []

    await store.write(CardPosted(item.payload["card_id"], "C1", "1.1", request.version, step.now))
    [paint] = await lease(store, step.now)
    assert paint.payload == {"card_id": item.payload["card_id"]}


async def test_a_card_posted_with_the_last_state_needs_no_paint(store):
    request, item = await asked(store)
    step = approved(request)
    await store.write(SaveTransition(step))
    await store.write(CardPosted(item.payload["card_id"], "C1", "1.1", step.request.version, step.now))
    assert await lease(store, step.now) == []


async def test_a_change_during_a_paint_paints_again(store):
    request, item = await asked(store)
    card_id = item.payload["card_id"]
    await store.write(CompleteOutbox(item.id, 1, NOON, card=CardPosted(card_id, "C1", "1.1", 1, NOON)))
    first = said(request)
    await store.write(SaveTransition(first))
    [paint] = await lease(store, first.now)
    second = approved(first.request)
    await store.write(SaveTransition(second))
    await store.write(
        CompleteOutbox(
            paint.id, paint.generation, second.now, card=CardPainted(card_id, first.request.version)
        )
    )
    [again] = await lease(store, second.now)
    assert again.payload["card_id"] == card_id


async def test_a_card_wanted_later_should_show_the_version_of_that_moment(store):
    request, _ = await asked(store)
    await store.write(SaveTransition(step := said(request)))
    card_id = await store.write(CreateCard(request.id, "D0ANA", "dm", 1, NOON))
    assert (await store.reads.card(card_id)).request_version == step.request.version == 2
    await store.write(CardPosted(card_id, "D1", "2.2", 1, step.now))
    assert [item.payload for item in await lease(store, step.now)] == [{"card_id": card_id}]


async def test_a_paint_that_arrives_late_does_not_set_the_card_back(store):
    _, item = await asked(store)
    card_id = item.payload["card_id"]
    await store.write(CardPosted(card_id, "C1", "1.1", 1, NOON))
    await store.write(CardPainted(card_id, 3))
    await store.write(CardPainted(card_id, 2))
    assert (await store.reads.card(card_id)).painted_version == 3


async def test_a_second_message_of_a_card_is_painted_too(store):
    request, item = await asked(store)
    card_id = item.payload["card_id"]
    for ts in ("1.1", "1.1", "2.2"):
        await store.write(CardPosted(card_id, "C1", ts, 1, NOON))
    assert [card.ts for card in await store.reads.cards(request.id)] == ["1.1", "2.2"]
    step = approved(request)
    await store.write(SaveTransition(step))
    assert len(await lease(store, step.now)) == 2


async def test_a_failed_card_is_not_painted(store):
    request, item = await asked(store)
    await store.write(CardFailed(item.payload["card_id"], "channel_not_found"))
    step = approved(request)
    await store.write(SaveTransition(step))
    [card] = await store.reads.cards(request.id)
    assert (card.state, card.error, card.request_version) == ("failed", "channel_not_found", 1)
    assert await lease(store, step.now) == []


async def test_what_becomes_of_an_unknown_card_changes_nothing(store):
    await store.write(CardPosted(99, "C1", "1.1", 1, NOON))
    await store.write(CardPainted(99, 1))
    await store.write(CardFailed(99, "gone"))
    assert await store.reads.card(99) is None


async def posted(store, number, **submission):
    """A request whose card stands in its channel; the two."""
    step = submitted(number, **submission)
    await store.write(CreateRequest(step))
    [card] = await store.reads.cards(step.request.id)
    await store.write(CardPosted(card.id, "C1", f"{number}.1", 1, NOON))
    return step.request, card


async def test_the_first_card_of_a_session_heads_its_thread_until_it_is_gone(store):
    first, head = await posted(store, 1, session_id="s")
    second, own = await posted(store, 2, session_id="s")
    alone, single = await posted(store, 3)
    other, elsewhere = await posted(store, 4, session_id="t")
    heads = [await store.reads.thread(r.id) for r in (first, second, alone, other)]
    assert [card.id for card in heads] == [head.id, head.id, single.id, elsewhere.id]

    await store.write(CardFailed(head.id, "message_not_found"))
    assert (await store.reads.thread(second.id)).id == own.id
    _third, next_head = await posted(store, 5, session_id="s")
    assert (await store.reads.thread(second.id)).id == next_head.id


async def test_a_thread_is_told_once_what_happened_in_its_session_and_channel(store):
    await store.write(CreateRequest(before := decided_at_once(1, session_id="s")))
    await store.write(CreateRequest(decided_at_once(2, session_id="other")))
    waiting, head = await posted(store, 3, session_id="s")
    await store.write(SaveTransition(approved(waiting)))

    news = await store.reads.untold(head.id, limit=10)
    assert [(one.event, one.request_id) for one in news] == [
        ("action_approved", before.request.id),
        ("action_approved", waiting.id),
    ]
    await store.write(CardTold(head.id, news[0].seq))
    assert await store.reads.untold(head.id, limit=10) == news[1:]
    work = await store.write(LeaseOutbox(NOON + timedelta(minutes=5), 50, LEASE, (KIND,)))
    assert [item.payload for item in work] == [{"card_id": head.id}]


async def undoable(store):
    """A request whose action ran and can be undone for a day, and the leased post of its card."""
    request, item = await asked(store)
    for move in (approved, claimed, succeeded):
        step = move(request)
        await store.write(SaveTransition(step))
        request = step.request
    return request, item


async def arrived(store, item, version, at):
    """The post of a card, done: the message shows `version`."""
    card = CardPosted(item.payload["card_id"], "C1", "1.1", version, at)
    await store.write(CompleteOutbox(item.id, 1, at, card=card))
    return card.card_id


async def test_when_an_undos_time_is_up_every_posted_card_is_painted_once_more(store):
    request, item = await undoable(store)
    deadline = request.execution.rollback_until
    card_id = await arrived(store, item, request.version, request.updated_at)
    second = await store.write(CreateCard(request.id, "D0ANA", "dm", 1, NOON))
    await store.write(CardPosted(second, "D1", "2.2", request.version, request.updated_at))

    assert await store.write(EndOffers(deadline - timedelta(seconds=1))) == 0
    assert await lease(store, deadline) == []
    assert await store.write(EndOffers(deadline)) == 1
    assert sorted(paint.payload["card_id"] for paint in await lease(store, deadline)) == [card_id, second]
    assert await store.write(EndOffers(deadline)) == 0


async def test_a_card_that_arrives_after_an_undos_time_is_painted_once_more_too(store):
    request, item = await undoable(store)
    deadline = request.execution.rollback_until
    assert await store.write(EndOffers(deadline)) == 0
    card_id = await arrived(store, item, request.version, deadline)
    assert await store.write(EndOffers(deadline)) == 1
    [paint] = await lease(store, deadline)
    assert paint.payload == {"card_id": card_id}


async def test_a_paint_that_was_drawn_before_an_undos_time_ended_is_made_again(store):
    request, item = await undoable(store)
    deadline = request.execution.rollback_until
    card_id = await arrived(store, item, request.version - 1, request.updated_at)
    [early] = await lease(store, deadline - timedelta(seconds=1))
    assert await store.write(EndOffers(deadline)) == 1
    await store.write(CompleteOutbox(early.id, early.generation, deadline))
    [paint] = await lease(store, deadline)
    assert paint.payload == {"card_id": card_id}
