"""A simulated week: ten thousand requests, on-call people who change and cover each other while the
clocks change, two claimants that die now and then, a clock that is set back and forth, and people who decide.

Time is the test's own. Whatever happens, every hop of every request is taken exactly once, in order
and never early, it asks whoever is on call at that moment, and nothing follows a decision.
"""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from bot.core import climbing, lifecycle, reviewing
from bot.core.covering import Deal
from bot.core.lifecycle import Judged
from bot.core.models import Action, ApprovalRequest, Person, RequestId, Reviewer, SlackId, Status
from bot.core.notifying import SCHEDULE
from bot.services.asking import Asking
from bot.services.escalations import Escalations
from bot.services.oncall import OnCall
from bot.services.policies import Policies
from bot.store import Store
from bot.store.audit_reads import AuditEvent
from bot.store.commands import CreateRequest, SaveTransition
from tests.factories import ANA, make_agent, make_given, make_submission

WEEK = timedelta(days=7)
LONGEST_STEP = timedelta(hours=1)
HOUR = timedelta(hours=1)
BERLIN = ZoneInfo("Europe/Berlin")
CREW = ("U0CREW001", "U0CREW002", "U0CREW003")
DANA = "U0DANA001"

WORKSPACE = """
admin_channel: C0ADMIN01
groups:
  crew: {users: [U0CREW001, U0CREW002, U0CREW003]}
  oncall: {schedule: primary}
  desk: {schedule: desk}
  manager: {users: [U0DANA001]}
schedules:
  primary:
    layers:
      - {rotation: daily, handover: "02:30", zone: Europe/Berlin, users: [U0CREW001, U0CREW002, U0CREW003]}
  desk:
    layers:
      - rotation: weekly
        handover: "Mon 00:00"
        zone: Europe/Berlin
        users: [U0DANA001]
        restrict: [{days: [Mon-Fri], from: "09:00", to: "17:00"}]
business_hours:
  office: {days: [Mon-Fri], from: "09:00", to: "17:00", zone: Europe/Berlin}
"""
"""Turns change in the hour that the clocks repeat in autumn and leave out in spring."""

POLICY = """
name: week
auto_approve_threshold: never
auto_reject_threshold: never
default_timeout: 20m
channel: C0APPROVE
approvers: {quorum: 1, groups: [crew]}
escalation_rules:
  - {name: tell, trigger: {action_types: [payment]}, escalate_to: manager, notify: [{slack: C0SECALRT}]}
  - name: on-call
    priority: 10
    trigger: {after: 30m}
    escalate_to: oncall
    wait: 45m
    notify: [{oncall: primary}]
    remind: {every: 7m, times: 2}
  - name: desk
    priority: 20
    trigger: {after: 1h, action_types: [deployment]}
    escalate_to: desk
    notify: [{oncall: desk}]
  - name: held
    priority: 30
    trigger: {after: 2h, action_types: [payment]}
    escalate_to: manager
    during: office
    outside: hold
  - name: skipped
    priority: 40
    trigger: {after: 90m, action_types: [config_change]}
    escalate_to: manager
    during: office
    outside: skip
  - name: last
    priority: 50
    trigger: {after: 3h, action_types: [deployment]}
    escalate_to: oncall
    notify: [{oncall: primary}, {email: dana@example.com}]
"""

ACTIONS = (
    Action("payment", {"amount": "12.50", "currency": "USD"}),
    Action("deployment", {"environment": "staging", "version": "1"}),
    Action("config_change", {"key": "a", "old_value": 1, "new_value": 2}),
    Action("brew_coffee", {"cups": 2}),
)


class HandClock:
    """Moves when it is told to."""

    def __init__(self, at: datetime) -> None:
        self.at = at

    def now(self) -> datetime:
        """The present."""
        return self.at


class Killed(BaseException):
    """The claimant's process is gone."""


class Mortal:
    """A store that a claimant loses now and then, before a write is made or before it hears of it."""

    def __init__(self, store: Store, dice: random.Random) -> None:
        self.reads = store.reads
        self._store = store
        self._dice = dice

    async def write(self, command: Any) -> Any:
        """Write; or die."""
        fate = self._dice.random()
        if fate < 0.001:
            raise Killed
        result = await self._store.write(command)
        if fate > 0.999:
            raise Killed
        return result


class Town:
    """The directory of a small place: nobody asks Slack, schedules are asked as in earnest."""

    def __init__(self, on_call: OnCall) -> None:
        self._on_call = on_call

    async def members(self, source: str) -> frozenset[SlackId]:
        """Who is on call now."""
        duty = await self._on_call.now(source.removeprefix(SCHEDULE))
        return frozenset(SlackId(person) for person in duty.people)

    async def person(self, id: SlackId) -> Person:
        """Everybody lives in Berlin."""
        return Person(id, "T0KEYTURN", id.lower(), tz="Europe/Berlin")

    async def do_not_disturb(self, _id: SlackId) -> bool:
        """Nobody sleeps."""
        return False


@dataclass
class World:
    """What there is in this week, and what has happened in it."""

    store: Store
    clock: HandClock
    dice: random.Random
    policies: Policies
    on_call: OnCall
    covers: list[tuple[str, str, datetime, datetime]] = field(default_factory=list)
    ids: list[RequestId] = field(default_factory=list)
    killed: int = 0
    lateness: list[timedelta] = field(default_factory=list)

    def claimant(self) -> Escalations:
        """One process's passes."""
        mortal: Any = Mortal(self.store, self.dice)
        town: Any = Town(self.on_call)
        return Escalations(mortal, Asking(self.policies, town), self.clock, self.lateness.append)

    async def make(self, count: int) -> None:
        """So many agents ask at this moment."""
        made = [self._made(len(self.ids) + number) for number in range(count)]
        await asyncio.gather(*(self.store.write(command) for command in made))
        self.ids += [command.transition.request.id for command in made]

    def _made(self, number: int) -> CreateRequest:
        action, agent = ACTIONS[number % len(ACTIONS)], make_agent()
        judgement = self.policies.current.judge(action, agent=agent.name)
        step = lifecycle.submit(
            make_submission(action),
            Judged(action, judgement.risk, judgement.ruling),
            id=RequestId(f"req_{number:032x}"),
            agent=agent,
            now=self.clock.at,
        )
        return CreateRequest(replace(step, outbox=()))

    async def meddle(self, request_id: RequestId) -> None:
        """Somebody approves, or says that they are on it, if it is still open."""
        request = await self.store.reads.request(request_id)
        now = self.clock.at
        if request is None or request.status is not Status.PENDING or now >= request.plan[-1].ends_at:
            return
        step = (
            climbing.acknowledge(request, Reviewer(ANA, "Ana"), now=now)
            if self.dice.random() < 0.3
            else reviewing.approve(request, make_given(request), now=now)
        )
        if step is not None:
            await self.store.write(SaveTransition(step))

    async def cover(self, starts_at: datetime, length: timedelta) -> None:
        """Whoever is on call then agrees with the next one that they stand in."""
        of = turn(starts_at)
        by = CREW[(CREW.index(of) + 1) % len(CREW)]
        people = [Person(SlackId(id), "T0KEYTURN", id.lower()) for id in (by, of)]
        deal = Deal(people[0], people[1], True, starts_at, starts_at + length)
        offer = await self.on_call.offer("primary", deal)
        await self.on_call.accept(offer.id, people[1])
        self.covers.append((by, of, starts_at, starts_at + length))

    def expected(self, at: datetime) -> str:
        """Who is on call by the plain reading of the file, and of what people have agreed on."""
        person = turn(at)
        return next((by for by, of, start, end in self.covers if of == person and start <= at < end), person)


def turn(at: datetime) -> str:
    """Whose turn it is: they change when a clock on the wall in Berlin first shows 02:30 or later."""
    day = at.astimezone(BERLIN).date()
    if at < handed_over_at(day):
        day -= timedelta(days=1)
    return CREW[(day - date(1970, 1, 5)).days % len(CREW)]


def handed_over_at(day: date) -> datetime:
    """Found by watching the clock on the wall, minute by minute."""
    moment = datetime.combine(day, time(), BERLIN).astimezone(UTC)
    while moment.astimezone(BERLIN).time() < time(2, 30):
        moment += timedelta(minutes=1)
    return moment


@pytest.fixture
async def world(tmp_path: Path, starts_at: datetime) -> AsyncIterator[World]:
    directory = tmp_path / "policies"
    directory.mkdir()
    (directory / "workspace.yaml").write_text(WORKSPACE)
    (directory / "week.yaml").write_text(POLICY)
    clock, policies = HandClock(starts_at), Policies(directory)
    numbers = iter(range(1000))
    async with Store.open(f"sqlite:///{tmp_path}/k.db", clock=clock, synchronous="OFF") as store:
        on_call = OnCall(store, lambda: policies.current, clock, lambda prefix: f"{prefix}_{next(numbers)}")
        yield World(store, clock, random.Random(1), policies, on_call)


async def live_through(world: World, count: int) -> None:
    """A week, and what is left of its requests after it."""
    clock, dice, start = world.clock, world.dice, world.clock.at
    for days in range(1, 7):
        await world.cover(start + timedelta(days=days, hours=dice.random() * 8), HOUR * dice.randint(2, 12))
    claimants = [world.claimant(), world.claimant()]
    jumps = {20: -HOUR, 90: HOUR, 150: -HOUR, 200: HOUR}
    step = 0
    while clock.at < start + WEEK or await world.store.reads.next_deadline() is not None:
        wanted = min(count, round(count * ((clock.at - start) / WEEK)))
        await world.make(max(0, wanted - len(world.ids)))
        recent = world.ids[-count // 50 :]
        picked = dice.sample(recent, min(len(recent), count // 500))
        people = asyncio.gather(*map(world.meddle, picked))  # they click while the claimants are at work
        passes = await asyncio.gather(*(one.run_once() for one in claimants), return_exceptions=True)
        await people
        for place, outcome in enumerate(passes):
            if isinstance(outcome, BaseException):
                assert isinstance(outcome, Killed), outcome
                world.killed += 1
                claimants[place] = world.claimant()
        step += 1
        clock.at += LONGEST_STEP * dice.random() + jumps.get(step, timedelta(0))


def check(world: World, request: ApprovalRequest, events: Sequence[AuditEvent]) -> None:
    """Every hop once, in order, not early, to whoever is on call; nothing after the one decision."""
    names = [event.event for event in events]
    hops = [e for e in events if e.event == "escalation_triggered" and "after" in e.body]
    assert [hop.body["after"]["level"] for hop in hops] == list(range(1, len(hops) + 1))
    assert names.count("escalation_triggered") - len(hops) == len(request.plan[0].triggers)
    decisions = [name for name in names if name in lifecycle.DECIDED_EVENTS.values()]
    assert len(decisions) == 1
    assert names[-1] == decisions[0], "nothing follows a decision"
    if request.status is Status.TIMED_OUT:
        assert len(hops) == len(request.plan) - 1, "no level is left out"
    for hop in hops:
        at = datetime.fromisoformat(hop.at)
        assert at >= request.plan[hop.body["after"]["level"]].opens_at, "no level opens early"
        asked = [a["to"] for a in hop.body["asked"] if a["kind"] == "slack.post"]
        assert asked == whom(world, hop.body["rule"], at)
    reminded = Counter(
        (sum(hop.seq < event.seq for hop in hops), event.body["number"])
        for event in events
        if event.event == "reminder_sent"
    )
    assert all(count == 1 for count in reminded.values())
    assert all(number <= 2 for _, number in reminded)


def whom(world: World, rule: str, at: datetime) -> list[str]:
    """Whom a rule asks at a moment."""
    local = at.astimezone(BERLIN)
    office = local.weekday() < 5 and 9 <= local.hour < 17
    if rule in ("on-call", "last"):
        return [world.expected(at)]
    if rule == "desk":
        return [DANA] if office else []
    assert office, f"{rule} keeps office hours"
    return [DANA]


@pytest.mark.parametrize(
    ("starts_at", "count"),
    [(datetime(2026, 10, 22, 12, tzinfo=UTC), 10_000), (datetime(2026, 3, 26, 12, tzinfo=UTC), 1_000)],
    ids=["autumn", "spring"],
)
async def test_every_hop_of_a_week_is_taken_once_and_none_after_a_decision(world: World, count: int) -> None:
    await live_through(world, count)
    assert len(world.ids) == count
    assert world.killed > 1, "nobody died, so nothing was tried"
    statuses, rules, covering = Counter[Status](), Counter[str](), 0
    for request_id in world.ids:
        request = await world.store.reads.request(request_id)
        assert request is not None
        events = await world.store.reads.events(request_id)
        check(world, request, events)
        cards = Counter(
            (card.level, card.channel_target) for card in await world.store.reads.cards(request_id)
        )
        assert all(number == 1 for number in cards.values()), "nobody is asked twice by one hop"
        statuses[request.status] += 1
        hops = [event for event in events if event.event == "escalation_triggered" and "after" in event.body]
        rules.update(hop.body["rule"] for hop in hops)
        covering += sum(
            world.expected(datetime.fromisoformat(hop.at)) != turn(datetime.fromisoformat(hop.at))
            for hop in hops
        )
    assert set(statuses) == {Status.APPROVED, Status.TIMED_OUT}
    assert set(rules) == {"on-call", "desk", "held", "skipped", "last"}
    assert covering > count // 100, "hardly anybody covered anybody"
