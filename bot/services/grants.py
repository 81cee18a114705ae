"""Grants at work: finding one that covers an action, giving one, revoking one.

A grant stands only as long as its giver may decide: people and groups are looked up at each use, and
what cannot be verified covers nothing.
"""

from collections.abc import Callable
from datetime import datetime

from bot.core import grants, lifecycle
from bot.core.clock import Clock
from bot.core.errors import CannotVerify, ReviewRefused
from bot.core.grants import Extent, Grant
from bot.core.lifecycle import Judged
from bot.core.models import Actor, Agent, ApprovalRequest, Outgoing, RequestId, Reviewer, Submission, Via
from bot.core.policy import Judgement
from bot.services.directory import Directory
from bot.services.entitling import entitle
from bot.store import Store
from bot.store.grants import CreateGrant
from bot.store.revoking import RevokeGrant


class Grants:
    """Standing approvals, as people gave them."""

    def __init__(
        self, store: Store, directory: Directory, clock: Clock, new_id: Callable[[str], str]
    ) -> None:
        self._store = store
        self._directory = directory
        self._clock = clock
        self._new_id = new_id

    async def covering(self, found: Judgement, agent: Agent, submission: Submission) -> str | None:
        """The id of a grant that approves what `found` would put before people; None when none does.

        Raises:
            Unavailable: grants cannot be read.
        """
        now, action, ruling = self._clock.now(), submission.action, found.ruling
        live = await self._store.reads.live_grants(agent.name, action.type, ruling.policy.rule, now)
        fitting = [
            grant
            for grant in live
            if grants.covers(
                grant,
                action,
                found.risk,
                ruling,
                agent=agent.name,
                session_id=submission.session_id,
                now=now,
            )
        ]
        if not fitting:
            return None
        judged = Judged(action, found.risk, ruling)
        request = lifecycle.submit(
            submission, judged, id=RequestId("unsubmitted"), agent=agent, now=now
        ).request
        for grant in fitting:
            if await self._may_still_decide(grant, request):
                return grant.id
        return None

    def draw(
        self, request: ApprovalRequest, judged: Judged, giver: Reviewer, extent: Extent, *, now: datetime
    ) -> CreateGrant | str:
        """What approves in advance all that is like an approved request, to be written with its approval.

        Args:
            judged: The approved action, by the policies in force.

        Returns:
            Why that may not be, in a sentence, when it may not.
        """
        why_not = grants.refusal(request, judged.ruling, giver, extent)
        if why_not is not None:
            return why_not
        id = self._new_id("grant")
        grant = grants.give(request, judged.ruling, giver, extent, id=id, now=now)
        thread = Outgoing("slack.grant", {"grant": id}, order=f"thread:{request.id}", request_id=request.id)
        return CreateGrant(grant, (thread,))

    async def revoke(self, id: str, actor: Actor, via: Via) -> list[RequestId] | None:
        """End a grant, and what it approved and nobody has claimed; None when it had ended so before."""
        return await self._store.write(RevokeGrant(id, actor, via, self._clock.now()))

    async def _may_still_decide(self, grant: Grant, request: ApprovalRequest) -> bool:
        try:
            person = await self._directory.person(grant.giver.id)
            if person is None:
                return False
            await entitle(self._directory, request, person)
        except (CannotVerify, ReviewRefused):
            return False
        return True
