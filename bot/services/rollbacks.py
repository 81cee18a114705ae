"""Undoing what agents did: started by people, previewed and applied by the agent, confirmed in Slack.

Starting one changes nothing but the records and asks the agent for a preview. Only a signed
confirmation by people whom the undo's own policy names lets the agent apply it. Each call reads, asks
the rule in `core.rollback`, and commits the step it returns; when somebody moved first, it asks again.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from bot.core import rollback
from bot.core.clock import Clock
from bot.core.errors import (
    CannotVerify,
    InvalidRequest,
    NotAnApprover,
    NotAPerson,
    NotFound,
    NotRollbackable,
    OtherWorkspace,
    ReviewRefused,
    StaleReview,
    UndoRefused,
    UnknownRequest,
)
from bot.core.lifecycle import Judged
from bot.core.models import (
    Action,
    Actor,
    ApprovalRequest,
    ApproverSet,
    ExecutionState,
    Person,
    RequestId,
    Requirement,
    Reviewer,
    RollbackState,
    SlackId,
    Via,
)
from bot.core.rollback import Asked, Chance, Given, Prospect, Requests, Rollback
from bot.services.directory import Directory
from bot.services.entitling import entitle, is_in
from bot.services.policies import Policies
from bot.services.refusals import Refusals, Tried
from bot.services.rollback_work import RollbackWork
from bot.store import Store
from bot.store.cards import EndOffers, RepaintCards
from bot.store.rollbacks import SaveRollback, StartRollback


@dataclass(frozen=True, slots=True)
class Hand:
    """A person as a signed payload named them, with the control or the command, and the words after it."""

    user_id: SlackId
    team_id: str
    control: str | None = None
    words: str | None = None


class Rollbacks(RollbackWork):
    """Undos, from the ask to the end.

    An undo is judged by the policies alone: limits and grants approve nothing here, people always confirm.
    """

    def __init__(
        self,
        store: Store,
        policies: Policies,
        directory: Directory,
        clock: Clock,
        new_id: Callable[[str], str],
    ) -> None:
        super().__init__(store, clock)
        self._policies = policies
        self._directory = directory
        self._new_id = new_id
        self._refusals = Refusals(store, directory, clock)

    def prospect(self, request: ApprovalRequest) -> Prospect:
        """Whether the action can be rolled back now, by the policies in force."""
        return rollback.prospect(request, judge=self._judge(request.agent), now=self._clock.now())

    # Starting

    async def start(self, request_id: str, asked: Asked) -> Rollback:
        """Ask for the undo of one action.

        Raises:
            NotFound, NotRollbackable, InvalidFields.
        """
        while True:
            request = await self._store.reads.request(RequestId(request_id))
            if request is None:
                raise NotFound(f"There is no request {request_id}.")
            if (begun := await self._begin([request], asked, None)) is not None:
                return begun

    async def start_or_join(self, request_id: str, asked: Asked) -> Rollback:
        """The rollback of a request that is under way, else a new one.

        Raises:
            NotFound, NotRollbackable, InvalidFields.
        """
        under_way = await self._store.reads.rollback_of_request(request_id)
        if under_way is not None and under_way.state.open:
            return await self._joined(under_way)
        return await self.start(request_id, asked)

    async def start_session(self, session_id: str, asked: Asked, *, agent: str | None = None) -> Rollback:
        """Ask for the undo of everything that a session did, newest first.

        Args:
            agent: Whose session; needed only where several agents used the same id.

        Raises:
            NotFound, NotRollbackable, InvalidFields, InvalidRequest.
        """
        owner = await self._session_owner(session_id, agent)
        while True:
            requests = await self._store.reads.session_requests(owner, session_id)
            if (begun := await self._begin(requests, asked, session_id)) is not None:
                return begun

    async def start_or_join_session(
        self, session_id: str, asked: Asked, *, agent: str | None = None
    ) -> Rollback:
        """The rollback of a session that is under way, else a new one.

        Raises:
            NotFound, NotRollbackable, InvalidFields, InvalidRequest.
        """
        owner = await self._session_owner(session_id, agent)
        for under_way in await self._store.reads.open_rollbacks(owner):
            if under_way.session_id == session_id:
                return await self._joined(under_way)
        return await self.start_session(session_id, asked, agent=owner)

    async def start_by_hand(self, hand: Hand, request_id: str, *, digest: str, reason: str) -> Rollback:
        """What the card's button does: the rollback under way, or a new one; forced after a conflict.

        A card that offers what is refused is out of date, and is painted again.

        Raises:
            ReviewRefused, NotRollbackable: this person may not, the card is out of date, or nothing can
                be undone any more; audited.
        """
        request = await self._store.reads.request(RequestId(request_id))
        try:
            if request is None:
                raise UnknownRequest()
            person = await self._person(hand)
            if digest != request.execution.rollback_digest:
                raise StaleReview(request=request)
            await self._may_start(person, request)
            latest = request.execution.undo
            force = latest is not None and latest.state is RollbackState.CONFLICT
            return await self.start_or_join(request_id, Asked(reason, Actor.human(person), Via.SLACK, force))
        except (ReviewRefused, NotRollbackable) as refusal:
            await self._record_refusal(request, hand, refusal, digest)
            raise

    async def operator(self, hand: Hand) -> Person:
        """The person behind a slash command, if they may start any rollback.

        Raises:
            ReviewRefused: they are no operator, or Slack cannot tell; audited.
        """
        try:
            person = await self._person(hand)
            if not await self._is_operator(person):
                raise NotAnApprover("Only operators of this workspace start rollbacks by command.")
        except ReviewRefused as refusal:
            await self._record_refusal(None, hand, refusal, None)
            raise
        return person

    # The people's side

    async def confirm(
        self, hand: Hand, id: str, *, digest: str, reason: str | None, force_reason: str | None
    ) -> Rollback:
        """Count one person's confirmation.

        Raises:
            ReviewRefused: it does not count; audited.
            InvalidFields: a reason is missing; nothing was recorded.
        """
        while True:
            present = await self._store.reads.rollback(id)
            try:
                if present is None:
                    raise UnknownRequest("Keyturn does not know this rollback; nothing was done.")
                requests = await self._requests(present)
                person, groups = await self._entitled(present, requests, hand)
                given = Given(Reviewer(person.id, person.name), digest, reason, force_reason, groups)
                judge = self._judge(present.agent)
                step = rollback.confirm(present, requests, given, judge=judge, now=self._clock.now())
            except ReviewRefused as refusal:
                about = (
                    None if present is None else (await self._requests(present))[present.items[0].request_id]
                )
                await self._record_refusal(about, hand, refusal, digest)
                raise
            if await self._store.write(SaveRollback(step)):
                return step.rollback

    async def may_confirm(self, hand: Hand, present: Rollback) -> None:
        """Ask whether this person may confirm, before a form opens for them.

        Raises:
            ReviewRefused: audited.
        """
        requests = await self._requests(present)
        try:
            await self._entitled(present, requests, hand)
        except ReviewRefused as refusal:
            await self._record_refusal(requests[present.items[0].request_id], hand, refusal, present.digest)
            raise

    # Time

    async def run_once(self) -> int:
        """Let what nobody took expire, and offers end; how many rollbacks moved."""
        moved = 0
        for overdue in await self._store.reads.due_rollbacks(self._clock.now()):
            step = rollback.expire(overdue, await self._requests(overdue), now=self._clock.now())
            if step is not None:
                moved += await self._store.write(SaveRollback(step))
        while await self._store.write(EndOffers(self._clock.now())):
            pass  # piece by piece, so that other writes come in between
        return moved

    # Within

    async def _begin(
        self, requests: Sequence[ApprovalRequest], asked: Asked, session_id: str | None
    ) -> Rollback | None:
        """A new rollback on disk; None when a request moved meanwhile."""
        if not requests:
            raise NotRollbackable("Nothing of this session has run, so there is nothing to undo.")
        step = rollback.start(
            requests,
            asked,
            id=self._new_id("rbk"),
            session_id=session_id,
            judge=self._judge(requests[0].agent),
            now=self._clock.now(),
        )
        return step.rollback if await self._store.write(StartRollback(step)) else None

    async def _joined(self, under_way: Rollback) -> Rollback:
        """A rollback that somebody may go on with.

        Raises:
            NotRollbackable: the policies in force have come to forbid it.
        """
        for request in (await self._requests(under_way)).values():
            found = self.prospect(request)
            if found.chance is Chance.FORBIDDEN:
                raise NotRollbackable(found.why_not)
        return under_way

    async def _session_owner(self, session_id: str, agent: str | None) -> str:
        owners = await self._store.reads.sessions_named(session_id)
        if agent is not None:
            owners = [owner for owner in owners if owner == agent]
        if not owners:
            raise NotFound(f"There is no session {session_id}.")
        if len(owners) > 1:
            names = ", ".join(owners)
            fault = f"several agents have a session of this id: {names}; say which one is meant"
            raise InvalidRequest(errors=[("/agent", fault)])
        return owners[0]

    def _judge(self, agent: str) -> Callable[[Action], Judged]:
        policies = self._policies.current

        def judge(action: Action) -> Judged:
            judgement = policies.judge(action, agent=agent)
            return Judged(action, judgement.risk, judgement.ruling)

        return judge

    async def _person(self, hand: Hand) -> Person:
        if hand.team_id != await self._directory.home_team():
            raise OtherWorkspace()
        person = await self._directory.person(hand.user_id)
        if person is None or not person.may_decide:
            raise NotAPerson()
        return person

    async def _entitled(
        self, present: Rollback, requests: Requests, hand: Hand
    ) -> tuple[Person, tuple[str, ...]]:
        """The person and the groups they stand for, if they may confirm this undo of every request."""
        person = await self._person(hand)
        needed = rollback.tightened(present, requests, judge=self._judge(present.agent))
        groups: tuple[str, ...] = ()
        for request in requests.values():
            groups = await self._authorised(request, person, needed.approvers)
        return person, groups

    async def _authorised(
        self, request: ApprovalRequest, person: Person, approvers: tuple[ApproverSet, ...]
    ) -> tuple[str, ...]:
        """As for the request itself, its owner and its human shut out, but by the undo's approvers."""
        asked = replace(
            request, requirement=Requirement(1, False, approvers), proposal=None, plan=(), level=0
        )
        return await entitle(self._directory, asked, person)

    async def _may_start(self, person: Person, request: ApprovalRequest) -> None:
        """Operators, and whoever could have approved the action or may confirm its undo.

        Raises:
            NotAnApprover.
        """
        if request.execution.state is not ExecutionState.SUCCEEDED or await self._is_operator(person):
            return
        under_way = await self._store.reads.rollback_of_request(request.id)
        if under_way is not None:
            needed = under_way.requirement
        else:
            asked = Asked("asked", Actor.human(person), Via.SLACK)
            judge = self._judge(request.agent)
            fresh = rollback.start([request], asked, id="rbk_", judge=judge, now=self._clock.now())
            needed = fresh.rollback.requirement
        await self._authorised(request, person, needed.approvers)

    async def _is_operator(self, person: Person) -> bool:
        try:
            return await is_in(self._directory, person, self._policies.current.workspace.operators)
        except CannotVerify:
            return False

    async def _record_refusal(
        self,
        request: ApprovalRequest | None,
        hand: Hand,
        refusal: ReviewRefused | NotRollbackable,
        digest: str | None,
    ) -> None:
        """Audit a refused click. What offered it is painted again: it may no longer be true."""
        about = None if request is None else request.id
        tried = Tried(hand.user_id, hand.control, hand.words, about, digest, verdict="rollback")
        await self._refusals.record(tried, refusal)
        if request is not None and isinstance(refusal, UndoRefused | NotRollbackable | StaleReview):
            await self._store.write(RepaintCards(request.id, self._clock.now()))
