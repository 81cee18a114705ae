"""Standing approvals in Slack: `/keyturn grants`, and the button that revokes one."""

from typing import Any

from bot.core.clock import Clock
from bot.core.errors import (
    AlreadySettled,
    NotAnApprover,
    NotAPerson,
    OtherWorkspace,
    ReviewRefused,
    UnknownRequest,
)
from bot.core.models import Actor, Reviewer, SlackId, Via
from bot.services.directory import Directory
from bot.services.grants import Grants
from bot.slack.grant_words import NO_GRANTS, grant_row, grant_words
from bot.slack.interaction import Interaction
from bot.slack.roles import Role
from bot.slack.text import Block, context, literal, plain, shortened
from bot.store import Store

HELP = {"grants": "your standing approvals, each with a button that revokes it; operators see everybody's"}

_SHOWN = 40


class GrantDesk:
    """Showing and revoking grants: one's own, and everybody's for operators."""

    def __init__(
        self, grants: Grants, store: Store, directory: Directory, operators: Role, clock: Clock
    ) -> None:
        self._grants = grants
        self._store = store
        self._directory = directory
        self._operators = operators
        self._clock = clock

    async def answer(self, *, user_id: SlackId, team_id: str) -> dict[str, Any]:
        """Arguments of the private answer.

        Raises:
            ReviewRefused: the person is no member of this workspace, or Slack did not say.
        """
        person = await self._member(user_id, team_id)
        everybody = await self._is_operator(user_id, team_id)
        found = await self._store.reads.grants_at(self._clock.now(), None if everybody else person.id)
        if not found:
            return {"text": "There are no standing approvals." if everybody else NO_GRANTS}
        blocks: list[Block] = [grant_row(grant, giver=everybody) for grant in found[:_SHOWN]]
        if len(found) > _SHOWN:
            blocks.append(context(plain(f"{len(found) - _SHOWN} more; these end first.")))
        count = f"{len(found)} standing approval{'' if len(found) == 1 else 's'}"
        return {"text": count, "blocks": blocks}

    async def revoke(self, by: Interaction) -> dict[str, Any]:
        """The button `grant.revoke`: for its giver and for operators.

        Raises:
            ReviewRefused: it is somebody else's, unknown, or was revoked before.
        """
        person = await self._member(by.user_id, by.team_id)
        grant = await self._store.reads.grant(by.value)
        if grant is None:
            raise UnknownRequest("Keyturn does not know this standing approval; nothing was done.")
        if grant.giver.id != person.id and not await self._is_operator(by.user_id, by.team_id):
            raise NotAnApprover(
                "Only who gave a standing approval, and operators, may revoke it.", grant=grant
            )
        ended = await self._grants.revoke(grant.id, Actor.human(person), Via.SLACK)
        if ended is None:
            raise AlreadySettled("This standing approval was revoked before; nothing was done.", grant=grant)
        also = f" {len(ended)} approved and not yet run ended with it." if ended else ""
        return {"text": f"Revoked: {literal(shortened(grant_words(grant), 1000))}.{also}"}

    async def _member(self, user_id: SlackId, team_id: str) -> Reviewer:
        if team_id != await self._directory.home_team():
            raise OtherWorkspace()
        person = await self._directory.person(user_id)
        if person is None or not person.may_decide:
            raise NotAPerson()
        return Reviewer(person.id, person.name)

    async def _is_operator(self, user_id: SlackId, team_id: str) -> bool:
        try:
            await self._operators.require(user_id, team_id)
        except ReviewRefused:
            return False
        return True
