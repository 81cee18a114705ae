"""The whole life of one request under any order of events, checked against a small model.

The model knows who has agreed to the present digest and tries every way to seat them; it shares no
line with what it checks.
"""

from contextlib import suppress
from datetime import timedelta
from itertools import permutations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from bot.core import climbing, executing, lifecycle, reviewing
from bot.core.audited import audited_state
from bot.core.digest import digest_of
from bot.core.errors import KeyturnError
from bot.core.executing import Outcome
from bot.core.lifecycle import DECIDED_EVENTS
from bot.core.models import (
    Actor,
    Cause,
    Conditions,
    ExecutionState,
    Message,
    RequestId,
    Reviewer,
    Status,
    Via,
)
from bot.core.replay import replay
from tests.factories import (
    ANA,
    BEN,
    CLEO,
    NOON,
    make_action,
    make_agent,
    make_given,
    make_judged,
    make_requirement,
    make_rule,
    make_submission,
)

people = st.sampled_from([ANA, BEN, CLEO])
LEVELS = ["low", "medium", "high"]
levels = st.sampled_from(LEVELS)
edits = st.integers(1, 3)


class RequestMachine(RuleBasedStateMachine):
    """One request, three people, one agent and a clock."""

    @initialize(quorum=st.integers(1, 3), each=st.booleans(), rungs=st.integers(0, 2), level=levels)
    def ask(self, quorum, each, rungs, level):
        need = make_requirement("release", "sre", quorum=quorum, each=each)
        ladder = tuple(make_rule(f"rung-{n}") for n in range(rungs))
        judged = make_judged(level=level, requirement=need, ladder=ladder)
        self.now = NOON
        step = lifecycle.submit(
            make_submission(judged.action), judged, id=RequestId("req_1"), agent=make_agent(), now=NOON
        )
        self.request, self.events = step.request, list(step.events)
        self.final = None
        self.level, self.quorum = level, max(quorum, 2 if each else 1)
        self.seats = ("release", "sre") if each else ()
        self.digests, self.agreed = {self.request.digest}, {}
        self.claims = self.outcomes = 0

    def apply(self, act):
        """What a service does: ask the rule, keep what it returns, or be refused."""
        with suppress(KeyturnError):
            step = act()
            if step is None:
                return False
            assert step.request.version == self.request.version + 1
            assert step.now == self.now
            self.request = step.request
            self.events += step.events
            return True
        return False

    @rule(seconds=st.integers(0, 400))
    def time_passes(self, seconds):
        self.now += timedelta(seconds=seconds)

    @rule()
    def the_scheduler_looks(self):
        while self.apply(lambda: climbing.advance(self.request, now=self.now)):
            pass
        assert self.request.next_deadline_at is None or self.request.next_deadline_at > self.now

    @rule(
        who=people,
        groups=st.sampled_from([(), ("sre",), ("release",), ("sre", "release")]),
        later=st.booleans(),
    )
    def approve(self, who, groups, later):
        conditions = Conditions(not_before=self.now + timedelta(minutes=3)) if later else None
        given = make_given(self.request, who, groups=groups, conditions=conditions)
        if self.apply(lambda: reviewing.approve(self.request, given, now=self.now)):
            self.noted_review(who, groups)

    def noted_review(self, who, groups):
        """A review was accepted: unless it came too late for that, it stands."""
        if self.request.status is not Status.TIMED_OUT and self.request.reviews:
            self.agreed.setdefault(who, groups)

    @rule(who=people, data=st.data())
    def approve_what_was_shown_before(self, who, data):
        stale = sorted(self.digests - {self.request.current_digest})
        digest = data.draw(st.sampled_from(stale)) if stale else "sha256:" + "0" * 64
        given = make_given(self.request, who, groups=("sre",), digest=digest)
        before = self.request.reviews
        self.apply(lambda: reviewing.approve(self.request, given, now=self.now))
        assert self.request.reviews == before

    @rule(who=people, reason=st.sampled_from(["no", ""]))
    def reject(self, who, reason):
        given = make_given(self.request, who, reason=reason)
        if self.apply(lambda: reviewing.reject(self.request, given, now=self.now)):
            assert self.request.status in (Status.REJECTED, Status.TIMED_OUT)
            assert reason or self.request.status is Status.TIMED_OUT

    @rule(who=people, row=edits, level=levels, quorum=st.integers(1, 3), each=st.booleans())
    def modify(self, who, row, level, quorum, each):
        need = make_requirement("release", "sre", quorum=quorum, each=each)
        action = make_action(query=f"DELETE FROM t WHERE id = {row}", database="shop")
        edited = make_judged(action, level=level, requirement=need)
        given = make_given(self.request, who, groups=("sre",))
        before, digest = self.request.current_digest, digest_of(edited.action)
        if not self.apply(lambda: reviewing.modify(self.request, given, edited, now=self.now)):
            return
        if self.request.status is Status.TIMED_OUT:
            return
        self.digests.add(digest)
        if digest != before:
            self.agreed = {}
            self.seats = ("release", "sre") if each else self.seats
            self.quorum = max(self.quorum, quorum, len(self.seats))
            if LEVELS.index(level) > LEVELS.index(self.level):
                return
        self.noted_review(who, ("sre",))

    @rule(who=people)
    def acknowledge(self, who):
        before, deadline = self.request.reviews, self.request.deadline_at
        self.apply(lambda: climbing.acknowledge(self.request, Reviewer(who, who.lower()), now=self.now))
        assert self.request.reviews == before
        assert deadline is None or self.request.deadline_at is None or self.request.deadline_at >= deadline

    @rule(asks=st.booleans())
    def talk(self, asks):
        status = self.request.status
        message = Message(self.request.agent, "Because.", self.now)
        if asks:
            self.apply(lambda: lifecycle.ask(self.request, Reviewer(ANA, "ana"), "Why?", now=self.now))
        else:
            self.apply(lambda: lifecycle.say(self.request, message, in_reply_to=None, now=self.now))
        assert self.request.status is status

    @rule()
    def cancel(self):
        self.apply(
            lambda: lifecycle.cancel(
                self.request,
                reason=None,
                actor=Actor.agent("builder"),
                cause=Cause.CANCELLED_BY_AGENT,
                via=Via.HTTP,
                now=self.now,
            )
        )

    @precondition(lambda self: self.request.status is not Status.PENDING)
    @rule()
    def claim(self):
        digest = self.request.decision.digest or self.request.digest
        self.claims += self.apply(
            lambda: executing.claim(self.request, digest=digest, preview_digest=None, now=self.now)
        )

    @rule(success=st.booleans())
    def report(self, success):
        self.outcomes += self.apply(lambda: executing.report(self.request, Outcome(success), now=self.now))

    @invariant()
    def it_settles_at_most_once(self):
        decided = [e.name for e in self.events if e.name in DECIDED_EVENTS.values()]
        assert len(decided) == (self.request.status is not Status.PENDING)
        if decided:
            self.final = self.final or self.request.decision
            assert self.request.decision == self.final

    @invariant()
    def it_always_has_an_end(self):
        pending = self.request.status is Status.PENDING
        assert pending == (self.request.next_deadline_at is not None)
        assert pending == (self.request.decision is None)
        assert pending == (self.request.cause is None)

    def is_enough(self):
        """Whether those who agreed fill the quorum and, one each, the mandatory seats."""
        seated = any(
            all(seat in self.agreed[who] for seat, who in zip(self.seats, chosen, strict=True))
            for chosen in permutations(self.agreed, len(self.seats))
        )
        return seated and len(self.agreed) >= self.quorum

    @invariant()
    def only_what_was_agreed_may_run(self):
        if self.request.status is Status.PENDING:
            assert not self.is_enough(), "enough have agreed, and it still waits"
        if not self.request.status.runnable:
            return
        assert self.is_enough(), "it may run, and not enough have agreed"
        digest = self.request.decision.digest
        assert self.request.cause is Cause.HUMAN
        assert {r.id for r in self.request.decision.by} == set(self.agreed)
        assert (self.request.status is Status.MODIFIED) == (digest != self.request.digest)
        assert digest in self.digests

    @invariant()
    def it_runs_at_most_once(self):
        assert self.claims <= 1
        assert self.outcomes <= self.claims
        if self.request.execution.state is not ExecutionState.NOT_STARTED:
            assert self.request.status.runnable

    @invariant()
    def the_audit_tells_the_same_story(self):
        assert replay(event.body for event in self.events) == audited_state(self.request)


RequestMachine.TestCase.settings = settings(max_examples=200, stateful_step_count=30, deadline=None)
TestRequestMachine = RequestMachine.TestCase
