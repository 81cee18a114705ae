"""The agent's side of an approval: submit, claim, report; waiting is in `following`.

Each call reads the request, asks the rule in `core`, and commits the transition it returns;
when somebody else moved first, it reads and asks again. An answer is returned only once what
it says is on disk.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Generic, TypeVar

from bot.core import climbing, executing, jsontext, lifecycle, pausing
from bot.core.authority import Candidates, entitled_sets, fillable
from bot.core.climbing import Summons
from bot.core.clock import Clock
from bot.core.digest import digest_of, sha256
from bot.core.errors import (
    Conflict,
    IdempotencyConflict,
    InvalidRequest,
    NotFound,
    UnknownEscalationTarget,
)
from bot.core.escalation import pinged_by
from bot.core.executing import Outcome
from bot.core.lifecycle import Judged
from bot.core.models import (
    Action,
    Actor,
    Agent,
    ApprovalRequest,
    ApproverSet,
    Cause,
    Digest,
    Message,
    PolicyDecision,
    RequestId,
    Requirement,
    RiskAssessment,
    Ruling,
    Status,
    Submission,
    Target,
    Transition,
    Via,
)
from bot.core.notifying import Members
from bot.core.pausing import Pause
from bot.core.policy import PolicySet
from bot.core.times import rfc3339
from bot.services import judging
from bot.services.asking import Asking
from bot.services.escalations import look_again
from bot.services.following import Following
from bot.services.grants import Grants
from bot.services.judging import Covering
from bot.services.policies import Policies
from bot.services.receipts import Receipts
from bot.services.waiting import Waiters
from bot.store import Store
from bot.store.commands import ClaimRequest, CreateRequest, Idempotency, RecordEvents, SaveTransition
from bot.store.reads import Kept

T = TypeVar("T")

NoteDeadline = Callable[[datetime | None], None]
"""Told each deadline once it is stored (`Scheduler.note`)."""


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What would happen to an action if it were asked now."""

    digest: Digest
    risk: RiskAssessment
    policy: PolicyDecision
    requirement: Requirement | None


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """Some of a list, newest first, and how to ask for more."""

    items: tuple[T, ...]
    next_cursor: str | None


class Approvals:
    """Requests, as agents see them."""

    def __init__(
        self,
        store: Store,
        policies: Policies,
        waiters: Waiters,
        receipts: Receipts,
        clock: Clock,
        new_id: Callable[[str], str],
        note_deadline: NoteDeadline,
        asking: Asking | None = None,
        grants: Grants | None = None,
    ) -> None:
        self._store = store
        self._policies = policies
        self.following = Following(store, waiters)
        self._receipts = receipts
        self._clock = clock
        self._new_id = new_id
        self._note_deadline = note_deadline
        self._asking = asking
        self._grants = grants

    @property
    def groups(self) -> Mapping[str, ApproverSet]:
        """The workspace's groups by name, by the policies in force."""
        return self._policies.current.workspace.groups

    async def judge(self, action: Action, agent: str) -> Judged:
        """Risk and ruling of an action, by the policies in force and what happened before."""
        return await self._judge(self._policies.current, action, agent)

    async def evaluate(self, agent: Agent, submission: Submission) -> Evaluation:
        """What would happen to this submission; nothing is stored."""
        covering = self._covering(agent, submission)
        judged = await self._judge(self._policies.current, submission.action, agent.name, covering)
        _check_escalation(submission, judged.ruling)
        pause = await self._store.reads.pause_of(agent.name, submission.action.type)
        ruling = (judged if pause is None else pausing.stopped(judged, pause)).ruling
        return Evaluation(
            digest_of(submission.action),
            judged.risk,
            ruling.policy,
            ruling.requirement if ruling.effect_is_review else None,
        )

    async def submit(
        self, agent: Agent, submission: Submission, *, key: str | None, body: bytes
    ) -> tuple[ApprovalRequest, bool]:
        """Store a request and what the policy makes of it. The flag says whether it is new.

        Args:
            key: The agent's Idempotency-Key.
            body: The canonical bytes of what it sent, to tell a retry from another ask.

        Raises:
            InvalidRequest: it ends before it begins.
            UnknownEscalationTarget, IdempotencyConflict, SessionEnded, Unavailable.
        """
        idempotency = None if key is None else Idempotency(agent.name, "request", key, sha256(body))
        try:
            return await self._submitted(agent, submission, idempotency)
        except (InvalidRequest, UnknownEscalationTarget):
            # Time and policies go on; what was taken before is answered all the same.
            kept = None if idempotency is None else await self._kept(idempotency)
            if kept is None:
                raise
            return await self._present(RequestId(kept.request_id)), False

    async def _submitted(
        self, agent: Agent, submission: Submission, idempotency: Idempotency | None
    ) -> tuple[ApprovalRequest, bool]:
        policies, covering = self._policies.current, self._covering(agent, submission)
        if submission.until is not None and submission.until <= self._clock.now():
            raise InvalidRequest(errors=[("/expires_at", "has passed; ask again with a later one")])
        pause: Pause | None = None
        while True:
            judged = await self._judge(policies, submission.action, agent.name, covering)
            _check_escalation(submission, judged.ruling)
            if pause is not None:
                judged = pausing.stopped(judged, pause)
            pinged = [target for rule in judged.ruling.immediate for target in pinged_by(rule)]
            step = lifecycle.submit(
                submission,
                judged,
                id=RequestId(self._new_id("req")),
                agent=agent,
                now=self._clock.now(),
                members=await self._members(pinged) if pinged else {},
                admin=policies.workspace.admin_channel,
            )
            ruling = judged.ruling
            command = CreateRequest(step, idempotency, agent.credential, ruling.charges, ruling.grant)
            created = await self._store.write(command)
            pause = created.paused
            if pause is None and not created.over_limit:  # else another approval took the last room
                break
        if not created.created:
            return await self._present(RequestId(created.request_id)), False
        await look_again(step, self._store, self._note_deadline)
        return await self._past_unfillable_levels(step.request), True

    async def get(self, agent: Agent, request_id: str) -> ApprovalRequest:
        """A request of this agent; auditors and operators see all.

        Raises:
            NotFound: there is none, or it is another agent's.
        """
        request = await self._store.reads.request(RequestId(request_id))
        if request is None or not (request.agent == agent.name or agent.reads_all):
            raise NotFound(f"There is no request {request_id}, or it is not yours.")
        return request

    async def page(
        self,
        agent: Agent,
        *,
        status: Status | None,
        type: str | None,
        session_id: str | None,
        limit: int,
        cursor: str | None,
    ) -> Page[ApprovalRequest]:
        """Requests, newest first.

        Raises:
            InvalidRequest: the cursor is not one of ours.
        """
        items, next_cursor = await self._store.reads.requests(
            agent=None if agent.reads_all else agent.name,
            status=status,
            type=type,
            session_id=session_id,
            limit=limit,
            cursor=cursor,
        )
        return Page(tuple(items), next_cursor)

    async def cancel(self, agent: Agent, request_id: str, reason: str | None) -> ApprovalRequest:
        """Withdraw a pending request; an operator may withdraw any.

        Raises:
            NotFound, AlreadyDecided.
        """
        operator = "operator" in agent.scopes
        cause = Cause.CANCELLED_BY_OPERATOR if operator else Cause.CANCELLED_BY_AGENT

        def step(request: ApprovalRequest) -> Transition | None:
            return lifecycle.cancel(
                request,
                reason=reason,
                actor=Actor.agent(agent.name),
                cause=cause,
                via=Via.HTTP,
                now=self._clock.now(),
            )

        return await self._change(agent, request_id, step)

    async def claim(
        self,
        agent: Agent,
        request_id: str,
        *,
        digest: str,
        preview_digest: str | None,
        audience: str | None,
        key: str | None,
        body: bytes,
    ) -> bytes:
        """Consume the approval; the answer's JSON `{params, digest, receipt, expires_at}`.

        The same key and body get the identical answer again.

        Raises:
            NotFound, Conflict: refused, and audited as `claim_refused`.
        """
        scope = f"claim:{request_id}"
        idempotency = None if key is None else Idempotency(agent.name, scope, key, sha256(body))
        while True:
            request = await self._own(agent, request_id)
            if idempotency is not None and (earlier := await self._answered(idempotency)) is not None:
                return earlier
            now = self._clock.now()
            pause = await self._store.reads.pause_of(request.agent, request.action.type)
            try:
                step = executing.claim(
                    request,
                    digest=digest,
                    preview_digest=preview_digest,
                    now=now,
                    paused=None if pause is None else pause.sentence,
                )
                answer = self._claim_answer(step, audience)
                stored = await self._store.write(ClaimRequest(step, idempotency, answer, agent.credential))
            except IdempotencyConflict:
                raise
            except Conflict as refusal:
                event = executing.claim_refused(request, refusal)
                await self._store.write(RecordEvents((event,), now))
                raise
            if stored is not None:
                return stored

    async def report(self, agent: Agent, request_id: str, outcome: Outcome) -> ApprovalRequest:
        """Record what became of a claimed action.

        Raises:
            NotFound, NotClaimed, OutcomeConflict.
        """
        return await self._change(
            agent,
            request_id,
            lambda request: executing.report(request, outcome, now=self._clock.now()),
        )

    async def message(
        self, agent: Agent, request_id: str, *, text: str, in_reply_to: str | None
    ) -> ApprovalRequest:
        """Say something to the reviewers of a request.

        Raises:
            NotFound.
        """

        def step(request: ApprovalRequest) -> Transition:
            now = self._clock.now()
            return lifecycle.say(request, Message(agent.name, text, now), in_reply_to=in_reply_to, now=now)

        return await self._change(agent, request_id, step)

    async def _judge(
        self, policies: PolicySet, action: Action, agent: str, covering: Covering | None = None
    ) -> Judged:
        reads, now = self._store.reads, self._clock.now()
        return await judging.judge(policies, action, agent, reads=reads, now=now, covering=covering)

    def _covering(self, agent: Agent, submission: Submission) -> Covering | None:
        """What finds a grant for this submission."""
        grants = self._grants
        return None if grants is None else lambda found: grants.covering(found, agent, submission)

    async def _change(
        self,
        agent: Agent,
        request_id: str,
        ask: Callable[[ApprovalRequest], Transition | None],
    ) -> ApprovalRequest:
        """Ask the rule and commit what it says, again and again until nobody moved in between."""
        while True:
            request = await self._own(agent, request_id)
            step = ask(request)
            if step is None:
                return request
            if await self._store.write(SaveTransition(step)):
                return step.request

    async def _own(self, agent: Agent, request_id: str) -> ApprovalRequest:
        """A request that this credential may change: its own, or any for an operator."""
        request = await self.get(agent, request_id)
        if request.agent != agent.name and "operator" not in agent.scopes:
            raise NotFound(f"There is no request {request_id}, or it is not yours.")
        return request

    async def _present(self, request_id: RequestId) -> ApprovalRequest:
        request = await self._store.reads.request(request_id)
        if request is None:
            raise NotFound(f"There is no request {request_id}, or it is not yours.")
        return request

    async def _answered(self, idempotency: Idempotency) -> bytes | None:
        earlier = await self._kept(idempotency)
        return None if earlier is None else earlier.answer

    async def _kept(self, idempotency: Idempotency) -> Kept | None:
        """What the key stands for.

        Raises:
            IdempotencyConflict: it came with another body before.
        """
        earlier = await self._store.reads.idempotent(idempotency.agent, idempotency.scope, idempotency.key)
        if earlier is not None and earlier.body_digest != idempotency.body_digest:
            raise IdempotencyConflict()
        return earlier

    def _claim_answer(self, step: Transition, audience: str | None) -> bytes:
        decision = step.request.decision
        assert decision is not None, "a claim follows a decision"
        receipt, expires_at = self._receipts.sign(
            step.request, id=self._new_id("rcpt"), audience=audience, now=step.now
        )
        return jsontext.dumps(
            {
                "params": decision.params,
                "digest": decision.digest,
                "receipt": receipt,
                "expires_at": rfc3339(expires_at),
            }
        )

    async def _next_members(self, request: ApprovalRequest) -> Members:
        """Whom the level above pings, as far as it can be found out now."""
        above = request.plan[request.level + 1 : request.level + 2]
        return await self._members([target for level in above for target in level.notify])

    async def _members(self, targets: Sequence[Target]) -> Members:
        return {} if self._asking is None else await self._asking.known_of(targets)

    async def _past_unfillable_levels(self, request: ApprovalRequest) -> ApprovalRequest:
        """Open level after level while those who may approve are known to be too few."""
        while request.status is Status.PENDING and not _could_be_met(request):
            admin = self._policies.current.workspace.admin_channel
            summons = Summons(await self._next_members(request), admin=admin)
            step = climbing.nobody_may_approve(request, summons=summons, now=self._clock.now(), admin=admin)
            if await self._store.write(SaveTransition(step)):
                request = step.request
                await look_again(step, self._store, self._note_deadline)
            else:
                request = await self._present(request.id)
        return request


def _check_escalation(submission: Submission, ruling: Ruling) -> None:
    wanted = submission.escalate_to
    allowed = [entry.group for entry in ruling.terms.agent_may_escalate_to]
    if wanted is not None and wanted not in allowed:
        names = ", ".join(name for name in allowed if name) or "none"
        raise UnknownEscalationTarget(
            f"escalate_to: {wanted!r} is not a group that agents may escalate to here; allowed: {names}."
        )


def _could_be_met(request: ApprovalRequest) -> bool:
    """Whether the approvers named outright could fill the quorum; groups are looked up later."""
    requirement = request.current_requirement
    assert requirement is not None, "a pending request has a requirement"
    shut_out = {request.owner, request.submission.on_behalf_of} - {None}
    candidates = Candidates(entitled_sets(request), {}, frozenset(str(name) for name in shut_out))
    return fillable(requirement, candidates)
