"""Clicks and submitted forms: each becomes one service call and one answer.

Nothing is decided here. A button that needs a form opens it at once (a trigger lives 3 s); whether the
person may decide is asked meanwhile and again when the form comes back. What a person is told comes
back as an `Answer`, so that the same words fit a form, a private message and a late reply.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace

from slack_sdk.web.async_client import AsyncWebClient

from bot.core import grants, redaction
from bot.core.deliveries import told
from bot.core.errors import (
    AlreadyReviewed,
    CannotVerify,
    EditRefused,
    InvalidFields,
    KeyturnError,
    NotOffered,
    OtherWorkspace,
    ReviewRefused,
    Unavailable,
    UnknownRequest,
)
from bot.core.models import Action, ApprovalRequest, JsonObject, SlackId, Status, Verdict
from bot.services.directory import Directory
from bot.services.reviews import Click, Reviews
from bot.slack import answers, ids
from bot.slack.card import approval_opens_form, opens_form
from bot.slack.client import TROUBLE
from bot.slack.details import details, page_of
from bot.slack.fields import edited_params
from bot.slack.forms import (
    alternative_form,
    approve_form,
    ask_form,
    conditions_of,
    modify_form,
    notice,
    reason_of,
    reject_form,
    target_of,
)
from bot.slack.grant_form import extent_of, grant_form
from bot.slack.interaction import Interaction
from bot.slack.text import Block, literal
from bot.slack.wording import Names
from bot.store import Store

_NAMED = 10
QUICK = 0.7
"""Seconds that a form waits for the check of its reader before it opens without."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What the person is told; nothing when the card says it."""

    text: str | None = None
    """mrkdwn of ours."""
    title: str = "Not counted"
    errors: dict[str, str] = field(default_factory=dict)
    """Faults of a form, by block id."""
    request_id: str | None = None

    def view(self) -> Block:
        """The same words as a view of their own."""
        return notice(self.title, self.text or "Done.")


DONE = Answer()


class Clicks:
    """What each button and each form does."""

    def __init__(self, reviews: Reviews, store: Store, directory: Directory, client: AsyncWebClient) -> None:
        self._reviews = reviews
        self._store = store
        self._directory = directory
        self._client = client

    async def approve(self, by: Interaction) -> Answer:
        """One tap or a confirmed dialog decides; a critical action opens its form."""
        request = await self._shown(by)
        if request is not None and approval_opens_form(request):
            return await self._open(by, Verdict.APPROVE, approve_form(request))
        return await self._review(by, Verdict.APPROVE)

    async def reject(self, by: Interaction) -> Answer:
        """Open the form that asks why."""
        request = await self._shown(by)
        if request is None:
            return await self._review(by, Verdict.REJECT)
        return await self._open(by, Verdict.REJECT, reject_form(request))

    async def modify(self, by: Interaction) -> Answer:
        """Open the form with the params."""
        request = await self._shown(by)
        if request is None:
            return await self._review(by, Verdict.MODIFY)
        return await self._open(by, Verdict.MODIFY, modify_form(request))

    async def acknowledge(self, by: Interaction) -> Answer:
        """Somebody is on it: the card shows who, and later times move."""
        return await self._attended(by, self._reviews.acknowledge, AlreadyReviewed(answers.ALREADY_ON_IT))

    async def escalate(self, by: Interaction) -> Answer:
        """Ask the next people now."""
        return await self._attended(by, self._reviews.escalate, NotOffered(answers.NO_NEXT_LEVEL))

    async def ask(self, by: Interaction) -> Answer:
        """Open the form for a question to the agent."""
        request = await self._shown(by)
        if request is None:
            return await self._why_not(by)
        return await self._open(by, None, ask_form(request))

    async def grant(self, by: Interaction) -> Answer:
        """Open the form that approves this and what is similar."""
        request = await self._shown(by)
        if request is None:
            return await self._review(by, Verdict.APPROVE)
        if not grants.offered(request):
            raise NotOffered(answers.NO_GRANT)
        return await self._open(by, Verdict.APPROVE, grant_form(request))

    async def submit_grant(self, by: Interaction) -> Answer:
        """The form came back: approve, and say what came of the rest."""
        click = _click(by, Verdict.APPROVE, None)
        try:
            why_not = await self._reviews.approve_similar(click, extent_of(by.values))
        except InvalidFields as faults:
            return Answer(literal(faults.message), errors=_placed(faults, by), request_id=click.request_id)
        except (ReviewRefused, Unavailable) as refused:
            return refusal(refused, by)
        if why_not is not None:
            return Answer(f"{answers.ONLY_THIS} {literal(why_not)}", "Approved", request_id=click.request_id)
        return DONE

    async def submit_question(self, by: Interaction) -> Answer:
        """The question came back."""
        return await self._put(by)

    async def details(self, by: Interaction) -> Answer:
        """Open everything about a request, for anybody of this workspace who sees the card."""
        request = await self._readable(by)
        try:
            await self._client.views_open(trigger_id=by.trigger_id, view=await self._details(request))
        except TROUBLE:
            return Answer(answers.NOT_OPENED, request_id=request.id)
        return DONE

    async def page(self, by: Interaction) -> Answer:
        """Turn the page of an open details view."""
        request = await self._readable(by)
        view = await self._details(request, page_of(by.block_id))
        try:
            await self._client.views_update(view_id=by.view_id, hash=by.view_hash, view=view)
        except TROUBLE:
            return Answer(answers.NOT_OPENED, request_id=request.id)
        return DONE

    async def submit_approval(self, by: Interaction) -> Answer:
        """The form of a careful approval came back."""
        return await self._review(by, Verdict.APPROVE)

    async def submit_rejection(self, by: Interaction) -> Answer:
        """The reason came back."""
        return await self._review(by, Verdict.REJECT)

    async def alternative(self, by: Interaction) -> Answer:
        """Make one of the agent's alternatives the proposal, as an edit would."""
        request = await self._shown(by)
        if request is None:
            return await self._why_not(by)
        params = _alternative(request, [by.block_id])
        number = ids.alternative_in([by.block_id])
        if params is None or number is None:
            raise UnknownRequest(answers.NOT_OURS)
        shown = redaction.own().value(params)
        risk = await self._reviews.risk_of(request, params)
        if opens_form(Action(request.action.type, shown), risk):
            return await self._open(by, Verdict.MODIFY, alternative_form(request, number, risk))
        answer = await self._review(by, Verdict.MODIFY, params=params)
        if answer.errors:
            return replace(answer, text=" ".join(map(literal, answer.errors.values())), errors={})
        return answer if answer.text is not None else await self.page(by)

    async def submit_changes(self, by: Interaction) -> Answer:
        """The edited params came back; one that changed nothing is an approval."""
        request = await self._shown(by)
        params: JsonObject | None = None
        try:
            if request is not None:
                taken = _alternative(request, by.view_marks)
                params = edited_params(request, by.values) if taken is None else taken
        except InvalidFields as faults:
            return Answer(errors=_placed(faults, by))
        return await self._review(by, Verdict.MODIFY, params=params)

    async def unknown(self, by: Interaction) -> Answer:
        """A button of an older or a stranger's card."""
        raise UnknownRequest(answers.NOT_OURS)

    async def _details(self, request: ApprovalRequest, page: int = 0) -> Block:
        events = await self._store.reads.events(request.id)
        story = told((event.at, event.event, event.body) for event in events)
        return details(request, page, story=story, names=await self._names(request))

    async def _names(self, request: ApprovalRequest) -> Names:
        """Of those who asked the agent something; an id is shown as it is when Slack does not say."""
        asked = {message.sender for message in request.messages if message.sender != request.agent}
        known: dict[str, str] = {}
        with suppress(CannotVerify):
            for id in sorted(asked)[:_NAMED]:
                person = await self._directory.person(SlackId(id))
                if person is not None:
                    known[id] = person.name
        return Names(known)

    async def _shown(self, by: Interaction) -> ApprovalRequest | None:
        """The request, if what the person saw is what would be decided; the service words the rest."""
        if by.reference is None:
            return None
        request = await self._store.reads.request(by.reference.request_id)
        if request is None or request.status is not Status.PENDING:
            return None
        return request if request.current_digest == by.reference.digest else None

    async def _readable(self, by: Interaction) -> ApprovalRequest:
        """The request to show to anybody of this workspace.

        Raises:
            ReviewRefused: they may not see it, or there is none.
        """
        if by.reference is None:
            raise UnknownRequest
        if by.team_id != await self._directory.home_team():
            raise OtherWorkspace
        request = await self._store.reads.request(by.reference.request_id)
        if request is None:
            raise UnknownRequest
        return request

    async def _review(self, by: Interaction, verdict: Verdict, params: JsonObject | None = None) -> Answer:
        click = _click(by, verdict, params)
        try:
            await self._reviews.review(click)
        except InvalidFields as faults:
            return Answer(literal(faults.message), errors=_placed(faults, by), request_id=click.request_id)
        except EditRefused as refused:
            # In the form, so that the edit can be mended instead of typed again.
            where = _first(by.view_blocks, "param:") or ids.REASON
            return Answer(errors={where: refused.message}, request_id=click.request_id)
        except (ReviewRefused, Unavailable) as refused:
            return refusal(refused, by)
        return DONE

    async def _put(self, by: Interaction) -> Answer:
        """Put the question of a form to the agent, or hear why not."""
        click = _click(by, None, None)
        try:
            await self._reviews.ask(click, reason_of(by.values, ids.QUESTION))
        except InvalidFields as faults:
            return Answer(literal(faults.message), errors=_placed(faults, by), request_id=click.request_id)
        except (ReviewRefused, Unavailable) as refused:
            return refusal(refused, by)
        return DONE

    async def _attended(
        self, by: Interaction, attend: Callable[[Click], Awaitable[bool]], nothing: ReviewRefused
    ) -> Answer:
        """Let the person move the ladder; `nothing` is why nothing moved."""
        click = _click(by, None, None)
        try:
            moved = await attend(click)
        except (ReviewRefused, Unavailable) as refused:
            return refusal(refused, by)
        if not moved:
            raise nothing
        return DONE

    async def _open(self, by: Interaction, verdict: Verdict | None, form: Block) -> Answer:
        """Open `form` for somebody who may decide; a refusal that comes late takes the form's place."""
        click = _click(by, verdict, None)
        async with asyncio.TaskGroup() as tasks:
            check = tasks.create_task(self._may_review(click, by))
            await asyncio.wait([check], timeout=QUICK)
            if check.done():
                return check.result() or await self._opened(by, form)
            waiting = notice("One moment", answers.STILL_LOOKING)
            try:
                opened = await self._client.views_open(trigger_id=by.trigger_id, view=waiting)
                refused = await check
                view = form if refused is None else refused.view()
                await self._client.views_update(view_id=opened["view"]["id"], view=view)
            except TROUBLE:
                return Answer(answers.NOT_OPENED, request_id=click.request_id)
            return refused or DONE

    async def _may_review(self, click: Click, by: Interaction) -> Answer | None:
        try:
            await self._reviews.may_review(click)
        except (ReviewRefused, Unavailable) as refused:
            return refusal(refused, by)
        return None

    async def _why_not(self, by: Interaction) -> Answer:
        """Why there is no form for a click whose request is not what the card showed."""
        refused = await self._may_review(_click(by, None, None), by)
        if refused is None:
            raise UnknownRequest(answers.NOT_OURS)
        return refused

    async def _opened(self, by: Interaction, form: Block) -> Answer:
        try:
            await self._client.views_open(trigger_id=by.trigger_id, view=form)
        except TROUBLE:
            request_id = None if by.reference is None else by.reference.request_id
            return Answer(answers.NOT_OPENED, request_id=request_id)
        return DONE


def _alternative(request: ApprovalRequest, block_ids: Iterable[str]) -> JsonObject | None:
    """The params of the alternative that one of these blocks stands for."""
    number, offered = ids.alternative_in(block_ids), request.submission.alternatives
    return None if number is None or number >= len(offered) else offered[number].params


def _click(by: Interaction, verdict: Verdict | None, params: JsonObject | None) -> Click:
    """The verdict as the service takes it.

    Raises:
        UnknownRequest: the button points at nothing.
    """
    if by.reference is None:
        raise UnknownRequest(answers.NOT_OURS)
    return Click(
        request_id=by.reference.request_id,
        digest=by.reference.digest,
        user_id=by.user_id,
        team_id=by.team_id,
        verdict=verdict,
        reason=reason_of(by.values),
        target=target_of(by.values),
        conditions=conditions_of(by.values),
        params=params,
        control=by.control,
    )


def refusal(refused: KeyturnError, by: Interaction) -> Answer:
    """Why something was refused, for the one who tried."""
    known = by.reference is not None and not isinstance(refused, UnknownRequest)
    return Answer(
        answers.refusal(refused, by.user_id),
        answers.TITLES.get(refused.code, "Not counted"),
        request_id=by.reference.request_id if known and by.reference else None,
    )


def _placed(faults: InvalidFields, by: Interaction) -> dict[str, str]:
    """Faults by the block ids of the view; one without a block there stands at another, and says so."""
    spare = ids.REASON if ids.REASON in by.view_blocks else _first(by.view_blocks, "") or ids.REASON
    placed: dict[str, str] = {}
    for name, sentence in faults.fields.items():
        where = name
        if name.startswith("param:"):
            where, sentence = _param_fault(name.removeprefix("param:"), sentence, by.view_blocks)
        if where not in by.view_blocks:
            where = spare
        placed[where] = f"{placed[where]} {sentence}" if where in placed else sentence
    return placed


def _param_fault(pointer: str, sentence: str, blocks: Sequence[str]) -> tuple[str, str]:
    """The block of a param's fault, or else of what is around it or in it; and the sentence to say there."""
    if (own := ids.param_block(pointer)) in blocks:
        return own, sentence
    around = pointer
    while around:
        around = around.rpartition("/")[0]
        if (block := ids.param_block(around)) in blocks:
            return block, f"{pointer.removeprefix(around)}: {sentence}"
    inside = _first(blocks, f"param:{pointer}/") or _first(blocks, "param:") or own
    return inside, f"{pointer or 'All params together'}: {sentence}"


def _first(blocks: Sequence[str], beginning: str) -> str | None:
    return next((block for block in blocks if block.startswith(beginning)), None)
