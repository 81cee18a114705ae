"""The whole life of one request under any order of events, checked against a small model."""

from contextlib import suppress
from datetime import timedelta

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from bot.core import climbing, executing, lifecycle, reviewing
from bot.core.audited import audited_state
from bot.core.errors import KeyturnError
from bot.core.executing import Outcome
from bot.core.lifecycle import DECIDED_EVENTS
from bot.core.models import Actor, Cause, Conditions, ExecutionState, RequestId, Status, Via
from bot.core.quorum import live_approvals, missing
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
levels = st.sampled_from(["low", "medium", "high"])
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
        self.apply(lambda: reviewing.approve(self.request, given, now=self.now))

    @rule(who=people, reason=st.sampled_from(["no", ""]))
    def reject(self, who, reason):
        given = make_given(self.request, who, reason=reason)
        self.apply(lambda: reviewing.reject(self.request, given, now=self.now))

    @rule(who=people, row=edits, level=levels)
    def modify(self, who, row, level):
        edited = make_judged(
            make_action(query=f"DELETE FROM t WHERE id = {row}", database="shop"), level=level
        )
        given = make_given(self.request, who, groups=("sre",))
        self.apply(lambda: reviewing.modify(self.request, given, edited, now=self.now))

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

    @invariant()
    def only_what_was_agreed_may_run(self):
        if self.request.cause is not Cause.HUMAN or not self.request.status.runnable:
            return
        digest = self.request.decision.digest
        assert missing(self.request.current_requirement, self.request.reviews, digest).count == 0
        agreed = {r.reviewer.id for r in live_approvals(self.request.reviews, digest)}
        assert {r.id for r in self.request.decision.by} == agreed
        assert (self.request.status is Status.MODIFIED) == (digest != self.request.digest)

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
