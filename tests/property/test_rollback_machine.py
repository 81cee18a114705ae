"""Whatever people, agents and time do, an action is undone at most once, and the audit tells how."""

from contextlib import suppress
from datetime import timedelta

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from bot.core import rollback
from bot.core.audited import audited_state
from bot.core.errors import KeyturnError
from bot.core.models import ExecutionState, RequestId, RollbackState
from bot.core.replay import replay
from bot.core.rollback import Chance, Report, Rollback, Step
from tests.factories import ANA, BEN, CLEO
from tests.undo import ASKED, RAN, UNDO, by_id, confirming, judging, ran

JUDGE = judging()
places = st.integers(0, 2)


class RollbackMachine(RuleBasedStateMachine):
    """Three actions of one session; several rollbacks one after the other, single and of the session."""

    def __init__(self) -> None:
        super().__init__()
        found = [
            ran({**UNDO, "path": f"/srv/app/{n}"}, number=n, at=RAN + timedelta(seconds=n), session_id="s")
            for n in (1, 2, 3)
        ]
        self.requests = by_id(found)
        self.states = {request.id: audited_state(request) for request in found}
        self.bodies: dict[RequestId, list[dict[str, object]]] = {request.id: [] for request in found}
        self.undone: dict[RequestId, int] = {request.id: 0 for request in found}
        self.known: list[Rollback] = []
        self.now = RAN + timedelta(minutes=1)

    def _take(self, step: Step | None) -> None:
        if step is None:
            return
        for request in step.requests:
            assert request.version == self.requests[request.id].version + 1
            self.requests[request.id] = request
        for event in step.events:
            assert event.request_id is not None
            self.bodies[RequestId(event.request_id)].append(dict(event.body))
            self.undone[RequestId(event.request_id)] += event.name == "action_rolled_back"
        same = [at for at, known in enumerate(self.known) if known.id == step.rollback.id]
        if same:
            assert step.rollback.version == self.known[same[0]].version + 1
            self.known[same[0]] = step.rollback
        else:
            self.known.append(step.rollback)

    @rule(place=places)
    def start_one(self, place: int) -> None:
        request = list(self.requests.values())[place]
        with suppress(KeyturnError):
            self._take(rollback.start([request], ASKED, id=self._id(), judge=JUDGE, now=self.now))

    @rule()
    def start_the_session(self) -> None:
        every = list(self.requests.values())
        with suppress(KeyturnError):
            self._take(rollback.start(every, ASKED, id=self._id(), session_id="s", judge=JUDGE, now=self.now))

    @rule(which=st.integers(0, 9), place=places, state=st.sampled_from(["previewed", "conflict", "failed"]))
    def preview(self, which: int, place: int, state: str) -> None:
        self._say(which, place, RollbackState(state))

    @rule(which=st.integers(0, 9), place=places, state=st.sampled_from(["succeeded", "conflict", "failed"]))
    def report(self, which: int, place: int, state: str) -> None:
        self._say(which, place, RollbackState(state))

    @rule(which=st.integers(0, 9), who=st.sampled_from([ANA, BEN, CLEO]))
    def confirm(self, which: int, who: str) -> None:
        if (found := self._pick(which)) is not None:
            given = confirming(found, who)  # type: ignore[arg-type]  # the names are Slack ids
            with suppress(KeyturnError):
                self._take(rollback.confirm(found, self.requests, given, judge=JUDGE, now=self.now))

    @rule(which=st.integers(0, 9), place=places)
    def claim(self, which: int, place: int) -> None:
        if (found := self._pick(which)) is not None:
            item = found.items[place % len(found.items)]
            with suppress(KeyturnError):
                step = rollback.claim(found, self.requests, item.id, now=self.now)
                assert found.confirmed_at is not None, "nothing is applied unconfirmed"
                assert self.requests[item.request_id].execution.state is ExecutionState.SUCCEEDED
                self._take(step)

    @rule(minutes=st.sampled_from([1, 10, 20, 90]))
    def wait(self, minutes: int) -> None:
        self.now += timedelta(minutes=minutes)
        for found in list(self.known):
            self._take(rollback.expire(found, self.requests, now=self.now))

    def _say(self, which: int, place: int, state: RollbackState) -> None:
        if (found := self._pick(which)) is None:
            return
        item = found.items[place % len(found.items)]
        chance = rollback.prospect(self.requests[item.request_id], judge=JUDGE, now=RAN).chance
        if item.unreported and chance is not Chance.POSSIBLE and self._other_is_open(found, item.request_id):
            return  # the service ends the other one first
        with suppress(KeyturnError):
            told = Report(state, f"{state.value}.")
            self._take(rollback.outcome(found, self.requests, item.id, told, now=self.now))

    def _other_is_open(self, found: Rollback, request_id: RequestId) -> bool:
        return any(
            other.id != found.id and item.request_id == request_id and item.state is not RollbackState.EXPIRED
            for other in self.known
            for item in other.items
        )

    def _pick(self, which: int) -> Rollback | None:
        return self.known[which % len(self.known)] if self.known else None

    def _id(self) -> str:
        return f"rbk_{len(self.known)}"

    @invariant()
    def nothing_is_undone_twice(self) -> None:
        for id, times in self.undone.items():
            assert times <= 1
            assert (times == 1) is (self.requests[id].execution.state is ExecutionState.ROLLED_BACK)

    @invariant()
    def one_undo_of_an_action_is_live_at_a_time(self) -> None:
        for id in self.requests:
            items = [item for known in self.known for item in known.items if item.request_id == id]
            live = [item for item in items if item.state.open or item.state is RollbackState.SUCCEEDED]
            assert len(live) <= 1

    @invariant()
    def an_open_rollback_has_a_deadline_and_an_ended_one_has_none(self) -> None:
        for known in self.known:
            assert known.state.open is (known.due_at is not None)
            assert known.state.open is any(item.state.open for item in known.items)

    @invariant()
    def the_audit_tells_the_state(self) -> None:
        for id, request in self.requests.items():
            assert replay([{"after": self.states[id]}, *self.bodies[id]]) == audited_state(request)


RollbackMachine.TestCase.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
TestRollbackMachine = RollbackMachine.TestCase
