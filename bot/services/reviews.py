"""The reviewer's side of an approval: a click becomes a verdict, or a private refusal.

Who may decide is looked up at the click and cached nowhere but in the directory. The verdict
is committed before anybody is told; a refusal is committed to the audit before it is raised.
"""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from bot.core import climbing, grants, lifecycle, reviewing
from bot.core.authority import Candidates, entitled_sets, fillable, sources
from bot.core.clock import Clock
from bot.core.errors import (
    AlreadySettled,
    CannotVerify,
    HeldByPause,
    InvalidFields,
    NotAPerson,
    OtherWorkspace,
    ReviewRefused,
    SourceGone,
    UnknownRequest,
)
from bot.core.grants import Extent
from bot.core.models import (
    Action,
    ApprovalRequest,
    Conditions,
    Digest,
    JsonObject,
    Outgoing,
    RequestId,
    Reviewer,
    RiskLevel,
    SlackId,
    Status,
    Transition,
    Verdict,
)
from bot.core.notifying import CHECK
from bot.core.params import Fault, check_params
from bot.core.pausing import HELD
from bot.core.reviewing import Given
from bot.services.approvals import Approvals, NoteDeadline
from bot.services.asking import Asking
from bot.services.directory import Directory
from bot.services.entitling import entitle, members_of
from bot.services.escalations import look_again
from bot.services.grants import Grants
from bot.services.refusals import Refusals, Tried
from bot.store import Store
from bot.store.commands import EnqueueOutbox, SaveTransition
from bot.store.grants import CreateGrant

_LOOKED_AT = 20
"""People who are looked at one by one, to see whether enough of them could decide."""


@dataclass(frozen=True, slots=True)
class Click:
    """A verdict as a signed payload brought it."""

    request_id: RequestId
    digest: Digest
    user_id: SlackId
    team_id: str
    verdict: Verdict | None = None
    """None for a click that gives none: "I'm on it", "escalate now", a question."""
    reason: str | None = None
    target: str | None = None
    conditions: Conditions | None = None
    params: JsonObject | None = None
    """The edited params of a `modify`."""
    control: str | None = None
    """The id of the button or the form."""


class Reviews:
    """Verdicts on requests, as people in Slack give them."""

    def __init__(
        self,
        store: Store,
        approvals: Approvals,
        directory: Directory,
        asking: Asking,
        grants: Grants,
        clock: Clock,
        note_deadline: NoteDeadline,
    ) -> None:
        self._store = store
        self._approvals = approvals
        self._directory = directory
        self._asking = asking
        self._grants = grants
        self._clock = clock
        self._note_deadline = note_deadline
        self._refusals = Refusals(store, directory, clock)

    async def review(self, click: Click) -> ApprovalRequest:
        """Record a verdict durably and return the request as it now stands.

        Raises:
            ReviewRefused: it does not count; the sentence is for the person, and is audited.
            InvalidFields: something in the form is wrong; nothing was recorded.
            Unavailable: it could not be stored; nothing was decided.
        """
        request, _ = await self._decide(click, None)
        return request

    async def approve_similar(self, click: Click, extent: Extent) -> str | None:
        """Approve, and in the same change what is similar in advance; why only the first was done, if so.

        Raises:
            ReviewRefused, Unavailable: as for a verdict.
            InvalidFields: what similar ones may be approved for is wrong; nothing was recorded.
        """
        request = await self._store.reads.request(click.request_id)
        if request is not None and request.status is Status.PENDING:
            judged = await self._approvals.judge(request.action, request.agent)
            if (why_not := grants.unfit(request, judged.ruling, extent)) is not None:
                raise InvalidFields({"lasting": why_not})
        _, why_not = await self._decide(replace(click, verdict=Verdict.APPROVE), extent)
        return why_not

    async def _decide(self, click: Click, extent: Extent | None) -> tuple[ApprovalRequest, str | None]:
        """Record a verdict, and the grant that is to go with it; why there is none, if one was wanted."""
        while True:
            request = await self._store.reads.request(click.request_id)
            try:
                step = await self._verdict(request, click)
                drawn = None if extent is None else await self._drawn(step, click.user_id, extent)
                grant = drawn if isinstance(drawn, CreateGrant) else None
                saved = await self._store.write(SaveTransition(step, click=True, grant=grant))
            except ReviewRefused as refusal:
                await self._record(click, refusal)
                raise
            if saved:
                return await self._answer(step, click), drawn if isinstance(drawn, str) else None

    async def _drawn(self, step: Transition, giver: SlackId, extent: Extent) -> CreateGrant | str:
        done = step.request
        by = next((review.reviewer for review in done.reviews if review.reviewer.id == giver), None)
        if by is None:  # it ended meanwhile
            return "It was not approved."
        judged = await self._approvals.judge(done.action, done.agent)
        return self._grants.draw(done, judged, by, extent, now=step.now)

    async def risk_of(self, request: ApprovalRequest, params: JsonObject) -> RiskLevel:
        """How risky the action would be with these params."""
        action = Action(request.action.type, params)
        return (await self._approvals.judge(action, request.agent)).risk.level

    async def may_review(self, click: Click) -> ApprovalRequest:
        """The request, if this person may give a verdict on it now: asked before a form opens.

        Raises:
            ReviewRefused: audited, as for a verdict.
        """
        request = await self._store.reads.request(click.request_id)
        try:
            await self._given(request, click)
            present = _known(request)
            if present.status is not Status.PENDING:
                raise AlreadySettled(request=present)
            reviewing.check_fresh(present, click.digest)
            pause = await self._store.reads.pause_of(present.agent, present.action.type)
            if pause is not None:
                raise HeldByPause(f"{pause.sentence}. {HELD}")
        except ReviewRefused as refusal:
            await self._record(click, refusal)
            raise
        return present

    async def check_fillable(self, request_id: RequestId) -> None:
        """Look up who may approve; open the next level, or end the request, when they are too few.

        What cannot be looked up at the moment changes nothing, and is looked up again later.
        """
        if not await self.checked_fillable(request_id):
            again = Outgoing(CHECK, {}, f"check:{request_id}", f"check:{request_id}", request_id)
            await self._store.write(EnqueueOutbox((again,), self._clock.now()))

    async def checked_fillable(self, request_id: RequestId) -> bool:
        """The same, once: whether it could be found out."""
        while True:
            request = await self._store.reads.request(request_id)
            if request is None or request.status is not Status.PENDING:
                return True
            try:
                met = await self._could_be_met(request)
                now = self._clock.now()
                summons = climbing.NOBODY if met else await self._asking.next_level(request, now)
            except CannotVerify:
                return False
            if met:
                return True
            admin = self._asking.admin_channel
            step = climbing.nobody_may_approve(request, summons=summons, now=now, admin=admin)
            if await self._store.write(SaveTransition(step)):
                await look_again(step, self._store, self._note_deadline)

    async def acknowledge(self, click: Click) -> bool:
        """Somebody who may decide is on it; False when they have said so before.

        Raises:
            ReviewRefused: they may not decide; audited.
            Unavailable: it could not be stored.
        """

        def taken(request: ApprovalRequest, given: Given) -> Transition | None:
            return climbing.acknowledge(request, given.reviewer, now=self._clock.now())

        return await self._attend(click, taken)

    async def escalate(self, click: Click) -> bool:
        """Open the next level now, since somebody who may decide asks for it; False when there is none.

        Raises:
            ReviewRefused: they may not decide; audited.
            CannotVerify: whom it asks could not be looked up; nothing was done.
            Unavailable: it could not be stored.
        """
        request = await self._store.reads.request(click.request_id)
        now = self._clock.now()
        try:
            summons = climbing.NOBODY if request is None else await self._asking.next_level(request, now)
        except CannotVerify as refusal:
            await self._record(click, refusal)
            raise
        level = None if request is None else request.level

        def opened(request: ApprovalRequest, given: Given) -> Transition | None:
            if request.level + 1 >= len(request.plan) or request.level != level:
                return None
            why = "escalated_by_hand"
            return climbing.open_next(request, summons=summons, now=now, why=why, by=given.reviewer)

        return await self._attend(click, opened)

    async def ask(self, click: Click, question: str | None) -> None:
        """Put a question to the agent, in the words of somebody who may decide.

        Raises:
            ReviewRefused: they may not decide, or nothing is open any more; audited.
            InvalidFields: there is no question.
            Unavailable: it could not be stored.
        """
        words = (question or "").strip()
        if not words:
            raise InvalidFields({"question": "Write what you want to know."})

        def asked(request: ApprovalRequest, given: Given) -> Transition | None:
            return lifecycle.ask(request, given.reviewer, words, now=self._clock.now())

        await self._attend(click, asked)

    async def _attend(self, click: Click, ask: Callable[[ApprovalRequest, Given], Transition | None]) -> bool:
        """Let an entitled person move the ladder; whether anything moved."""
        while True:
            request = await self._store.reads.request(click.request_id)
            try:
                given = await self._given(request, click)
                present = _known(request)
                if present.status is not Status.PENDING:
                    raise AlreadySettled(request=present)
                if (over := climbing.ended(present, now=self._clock.now())) is not None:
                    await self._store.write(SaveTransition(over))
                    continue
                reviewing.check_fresh(present, click.digest)
                step = ask(present, given)
                if step is None:
                    return False
                saved = await self._store.write(SaveTransition(step, click=True))
            except ReviewRefused as refusal:
                await self._record(click, refusal)
                raise
            if saved:
                await look_again(step, self._store, self._note_deadline)
                return True

    async def _verdict(self, request: ApprovalRequest | None, click: Click) -> Transition:
        given = await self._given(request, click)
        present = _known(request)
        now = self._clock.now()
        if click.verdict is Verdict.REJECT:
            return reviewing.reject(present, given, now=now)
        if click.verdict is Verdict.APPROVE or click.params is None:
            return reviewing.approve(present, given, now=now)
        edited = Action(present.action.type, click.params)
        faults = check_params(edited.type, edited.params, present.submission.params_schema)
        if faults:
            raise InvalidFields(_by_field(faults))
        judged = await self._approvals.judge(edited, present.agent)
        return reviewing.modify(present, given, judged, now=now)

    async def _given(self, request: ApprovalRequest | None, click: Click) -> Given:
        """The click with its author authorised, by a look at Slack as it is now."""
        present = _known(request)
        home = await self._directory.home_team()
        if click.team_id != home:
            raise OtherWorkspace()
        person = await self._directory.person(click.user_id)
        if person is None:
            raise NotAPerson()
        groups = await entitle(self._directory, present, person)
        return Given(
            reviewer=Reviewer(person.id, person.name),
            digest=click.digest,
            groups=groups,
            stands_for=await self._stands_for(present, person.id),
            reason=click.reason,
            target=click.target,
            conditions=click.conditions,
        )

    async def _stands_for(self, request: ApprovalRequest, person: SlackId) -> tuple[SlackId, ...]:
        """Whose shift this person covers, in the schedules that the request asks."""
        covers = await self._covers(request)
        return (covers[person],) if person in covers else ()

    async def _covers(self, request: ApprovalRequest) -> dict[SlackId, SlackId]:
        found: dict[SlackId, SlackId] = {}
        for source in sorted(sources(request)):
            with suppress(SourceGone):  # where nobody is on call, nobody stands in
                found |= await self._directory.covers(source)
        return found

    async def _answer(self, step: Transition, click: Click) -> ApprovalRequest:
        request = step.request
        if request.status is Status.TIMED_OUT:
            refusal = AlreadySettled(request=request)
            await self._record(click, refusal)
            raise refusal
        return request

    async def _record(self, click: Click, refusal: ReviewRefused) -> None:
        verdict = None if click.verdict is None else click.verdict.value
        tried = Tried(
            click.user_id,
            click.control,
            request_id=click.request_id,
            digest=click.digest,
            verdict=verdict,
        )
        await self._refusals.record(tried, refusal)

    async def _could_be_met(self, request: ApprovalRequest) -> bool:
        requirement = request.current_requirement
        assert requirement is not None, "a pending request has a requirement"
        members, _ = await members_of(self._directory, sources(request))
        covers = await self._covers(request)
        shut_out = {request.owner, *await self._asking.ids(filter(None, [request.submission.on_behalf_of]))}
        excluded = {str(person) for person in shut_out if person is not None}
        resolved = [
            entry if entry.users is None else replace(entry, users=await self._asking.ids(entry.users))
            for entry in entitled_sets(request)
        ]
        named = {person for entry in resolved for person in entry.users or ()}
        people = sorted(named.union(*members.values()) - excluded)
        if len(people) <= _LOOKED_AT:  # of many, some will be able to
            excluded |= {person for person in people if await self._is_shut_out(SlackId(person))}
        return fillable(requirement, Candidates(tuple(resolved), members, frozenset(excluded), covers))

    async def _is_shut_out(self, id: SlackId) -> bool:
        """Whether somebody's click could never count: a bot, a guest, somebody who left or is of elsewhere.

        An id that Slack does not know yet may belong to somebody who is still to come.
        """
        person = await self._directory.person(id)
        if person is None:
            return False
        away = person.team_id != await self._directory.home_team()
        return away or not person.may_decide


def _known(request: ApprovalRequest | None) -> ApprovalRequest:
    if request is None:
        raise UnknownRequest()
    return request


def _by_field(faults: Sequence[Fault]) -> dict[str, str]:
    """Faults by `param:<JSON Pointer>`, all of one place in one text; the params as a whole are `param:`."""
    found: dict[str, list[str]] = {}
    for pointer, text in faults:
        found.setdefault(f"param:{pointer}", []).append(text)
    return {name: "; ".join(texts) for name, texts in found.items()}
