"""Policies at work: one action in, risk and a ruling out.

The order is block, require, allow, thresholds, and at last asking a person, unless a grant covers
what one person would be asked; what would run at once must be within the limits. Within a list the
first match wins. Everything is compiled and immutable. A judgement reads no clock and no store:
where it depends on what happened before it says so, and is made again with the answer.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta

from bot.core.models import (
    Action,
    ApproverSet,
    Cause,
    Charge,
    Effect,
    LadderRule,
    PolicyDecision,
    Requirement,
    RiskAssessment,
    Ruling,
    Terms,
    Used,
)
from bot.core.oncall import Schedule
from bot.core.policy import explaining
from bot.core.policy.limits import NO_HISTORY, NOTHING, History, Limit, Wants
from bot.core.policy.patterns import Condition
from bot.core.policy.rules import Rule, Rules
from bot.core.policy.subject import Match, Subject
from bot.core.risk import Weights, analyse, score

# Named here because Python 3.11 takes longer to find a member of an enum than to compare with it.
_NO, _YES, _UNREADABLE = Match.NO, Match.YES, Match.UNREADABLE
_APPROVE, _REJECT, _REVIEW = Effect.APPROVE, Effect.REJECT, Effect.REVIEW

NEVER_APPROVE = -1
"""Rank of the threshold `never` for approval: below every level."""

NEVER_REJECT = 5
"""Rank of the threshold `never` for rejection: above every level."""

UNUSED = Used()
"""What nothing was charged to."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """An action's risk, and what its policy lays down."""

    risk: RiskAssessment
    ruling: Ruling
    wants: Wants = NOTHING
    """What it took to be zero and should be looked up."""


@dataclass(frozen=True, slots=True)
class Escalation:
    """A compiled escalation rule. `rejections` is how many there must have been, in what time."""

    rung: LadderRule
    conditions: tuple[Condition, ...]
    rejections: tuple[int, timedelta] | None = None

    def matches(self, subject: Subject, history: History) -> bool:
        """Whether the rule is for this action, as far as that can be told."""
        if self.rejections is not None:
            count, within = self.rejections
            if history.rejections.get(within, 0) < count:
                return False
        return all(condition.test(subject) is not _NO for condition in self.conditions)


@dataclass(slots=True)
class Walk:
    """An action on its way through the lists: what did not match is remembered for the explanation."""

    subject: Subject
    version: str
    history: History = NO_HISTORY
    refusals: list[str] = field(default_factory=list)
    passed: int = 0
    """Rules that did not match."""

    def certain(self, rules: Rules) -> Rule | None:
        """The first rule that matches for certain."""
        found, unreadable = self._first(rules, patient=True)
        return None if unreadable else found

    def certain_or_possible(self, rules: Rules) -> tuple[Rule | None, bool]:
        """The first rule that matches for certain, else the first that may; and whether it only may."""
        return self._first(rules, patient=True)

    def possible(self, rules: Rules) -> Rule | None:
        """The first rule that matches or may."""
        return self._first(rules, patient=False)[0]

    def _first(self, rules: Rules, *, patient: bool) -> tuple[Rule | None, bool]:
        if not rules.all:
            return None, False
        subject, maybe = self.subject, None
        for rule in rules.of(subject.facts.type):
            outcome = rule.pattern.match(subject)
            if outcome is _YES or (outcome is _UNREADABLE and not patient):
                self.passed += rules.positions[rule.name]
                return rule, False
            if outcome is _UNREADABLE:
                maybe = maybe or rule
            elif len(self.refusals) < explaining.MOST_RULES:
                self.refusals.append(str(outcome))
        self.passed += len(rules.all) - (maybe is not None)
        return maybe, maybe is not None


@dataclass(frozen=True, slots=True)
class Policy:
    """One compiled policy."""

    name: str
    file: str
    agents: tuple[Condition, ...]
    types: tuple[Condition, ...]
    is_default: bool
    approve_up_to: int
    reject_from: int
    thresholds: tuple[str, str]
    """`auto_approve_threshold` and `auto_reject_threshold` as written."""
    weights: Weights
    block: Rules
    require: Rules
    allow: Rules
    requirement: Requirement
    """Whom it asks when nothing more special applies."""
    terms: Terms
    rollback_until: timedelta
    escalations: tuple[Escalation, ...]
    limits: tuple[Limit, ...] = ()

    def applies(self, subject: Subject) -> bool:
        """Whether the policy is for this agent and action type."""
        return all(condition.test(subject) is _YES for condition in (*self.agents, *self.types))

    def decide(self, subject: Subject, version: str, history: History = NO_HISTORY) -> Ruling:
        """Rule on an action."""
        walk = Walk(subject, version, history)
        ruling = asked = self._by_rules(walk)
        grant = history.grants.get(asked.policy.rule) if asked.grantable else None
        if grant is not None:
            ruling = self._granted(walk, asked, grant)
        if self.limits and ruling.policy.effect is _APPROVE:
            return self._within_limits(walk, ruling, asked.requirement)
        return ruling

    def wants(self, ruling: Ruling, history: History) -> Wants:
        """What a ruling of this policy depends on and `history` does not say."""
        if ruling.effect_is_review:
            windows = {e.rejections[1] for e in self.escalations if e.rejections is not None}
            asked = ruling.policy.rule in history.grants or not ruling.grantable
            missing = frozenset(windows - history.rejections.keys())
            return Wants(rejections=missing, grant=None if asked else ruling.policy.rule)
        return Wants(tuple(charge for charge in ruling.charges if charge.limit not in history.used))

    def _within_limits(self, walk: Walk, approved: Ruling, otherwise: Requirement | None) -> Ruling:
        charges: list[Charge] = []
        money = self.weights.money
        for limit in self.limits:
            if not limit.counts(walk.subject):
                continue
            used = walk.history.used.get(limit.key, UNUSED)
            charge = limit.charge(walk.subject, money)
            if charge is None or not used.leaves_room_for(charge):
                text = explaining.over_limit(self, walk, limit, limit.standing(used, charge, money), approved)
                return self._asks(walk, f"budget:{limit.name}", limit.requirement or otherwise, text)
            charges.append(charge)
        return replace(approved, charges=tuple(charges))

    def _by_rules(self, walk: Walk) -> Ruling:
        subject = walk.subject
        blocked, unreadable = walk.certain_or_possible(self.block)
        if blocked is not None and not unreadable:
            text = explaining.blocked(self, walk, blocked.name)
            return self._decided(walk, blocked.name, _REJECT, Cause.POLICY_RULE, text)
        required = walk.possible(self.require)
        own = required.requirement if required is not None else None
        hopeless = subject.rank >= self.reject_from
        if blocked is not None and (required is not None or not hopeless):
            return self._asks(walk, blocked.name, own, explaining.unreadable(self, walk, blocked.name))
        if required is not None:
            text = explaining.required(self, walk, required.name)
            return self._asks(walk, required.name, own, text, certain=True)
        if hopeless:
            text = explaining.rejected(self, walk)
            return self._decided(walk, "auto_reject_threshold", _REJECT, Cause.RISK_THRESHOLD, text)
        allowed = walk.certain(self.allow)
        if allowed is not None:
            text = explaining.allowed(self, walk, allowed.name)
            return self._decided(walk, allowed.name, _APPROVE, Cause.POLICY_RULE, text)
        if subject.rank <= self.approve_up_to:
            text = explaining.approved(self, walk)
            return self._decided(walk, "auto_approve_threshold", _APPROVE, Cause.RISK_THRESHOLD, text)
        return self._asks(walk, "default", None, explaining.undecided(self, walk), certain=True)

    def _decided(self, walk: Walk, rule: str, effect: Effect, cause: Cause, text: str) -> Ruling:
        return Ruling(
            policy=PolicyDecision(self.name, walk.version, rule, effect, text, self.rollback_until),
            cause=cause,
            requirement=None,
            terms=self.terms,
            never_approve=effect is _REJECT,
        )

    def _may_be_granted(self, rank: int, requirement: Requirement) -> bool:
        """One person decides, the risk is within `grant_max_risk`, and it is not to be rejected."""
        cap = self.terms.grant_max_risk
        return cap is not None and rank <= cap.rank and rank < self.reject_from and requirement.needed == 1

    def _granted(self, walk: Walk, asked: Ruling, grant: str) -> Ruling:
        text = explaining.granted(self, walk, asked.policy.rule, grant)
        return Ruling(
            policy=replace(asked.policy, rule=f"grant:{grant}", effect=_APPROVE, explanation=text),
            cause=Cause.GRANT,
            requirement=None,
            terms=self.terms,
            grant=grant,
        )

    def _asks(
        self, walk: Walk, name: str, own: Requirement | None, text: str, *, certain: bool = False
    ) -> Ruling:
        rungs, requirement, rank = self._rungs(walk), own or self.requirement, walk.subject.rank
        grantable = certain and self._may_be_granted(rank, requirement)
        cap = self.terms.grant_max_risk if grantable else None
        return Ruling(
            policy=PolicyDecision(self.name, walk.version, name, _REVIEW, text, self.rollback_until, cap),
            cause=None,
            requirement=requirement,
            terms=self.terms,
            ladder=tuple(rung for rung in rungs if rung.after is not None),
            immediate=tuple(rung for rung in rungs if rung.after is None),
            never_approve=rank >= self.reject_from,
            grantable=grantable,
        )

    def _rungs(self, walk: Walk) -> tuple[LadderRule, ...]:
        return tuple(e.rung for e in self.escalations if e.matches(walk.subject, walk.history))


@dataclass(frozen=True, slots=True)
class Workspace:
    """What all policies share."""

    admin_channel: str | None
    operators: ApproverSet
    auditors: ApproverSet
    groups: Mapping[str, ApproverSet]
    schedules: Mapping[str, Schedule] = field(default_factory=dict)
    audit_channel: str | None = None
    """Where signed checkpoints are posted; the admin channel if none is named."""
    audit_webhook: str | None = None


@dataclass(frozen=True, slots=True)
class PolicySet:
    """Every policy of a workspace. `version` is `sha256:` and the digest of all the files."""

    version: str
    workspace: Workspace
    policies: tuple[Policy, ...]
    """In the order in which they are tried."""

    def judge(self, action: Action, *, agent: str, history: History = NO_HISTORY) -> Judgement:
        """Pick the policy for an agent's action, assess the risk and rule; never raises on parsed JSON.

        When the judgement `wants` something, look it up and judge again with it in `history`.
        """
        facts = analyse(action)
        for policy in self.policies:
            risk = score(facts, policy.weights)
            subject = Subject(facts, agent, risk, risk.level.rank)
            if policy.applies(subject):
                ruling = policy.decide(subject, self.version, history)
                return Judgement(risk, ruling, policy.wants(ruling, history))
        return self._unruled(score(facts, Weights()))

    def judge_knowing(self, action: Action, *, agent: str, learn: Callable[[Wants], History]) -> Judgement:
        """Judge, asking `learn` for whatever of the past it depends on."""
        history = NO_HISTORY
        while (found := self.judge(action, agent=agent, history=history)).wants:
            none = {} if found.wants.grant is None else {found.wants.grant: None}
            history = history.plus(History(grants=none)).plus(learn(found.wants))
        return found

    def _unruled(self, risk: RiskAssessment) -> Judgement:
        text = (
            "No policy is for this agent and action type, and there is no default one: nothing runs unruled."
        )
        decision = PolicyDecision(None, self.version, "no_policy", _REJECT, text)
        ruling = Ruling(
            policy=decision,
            cause=Cause.POLICY_RULE,
            requirement=None,
            terms=Terms(self.workspace.admin_channel, timedelta(minutes=5), timedelta(minutes=15)),
            never_approve=True,
        )
        return Judgement(risk, ruling)
