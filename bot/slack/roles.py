"""Who may use what: the operators and the auditors of `workspace.yaml`, looked up at the moment of use."""

from collections.abc import Callable

from bot.core.errors import NotAnApprover, NotAPerson, OtherWorkspace
from bot.core.models import ApproverSet, Reviewer, SlackId
from bot.services.directory import Directory
from bot.services.entitling import is_in


class Role:
    """One set of people.

    Args:
        people: The set by the policies in force.
        name: Its key in `workspace.yaml`.
    """

    def __init__(self, directory: Directory, people: Callable[[], ApproverSet], name: str) -> None:
        self._directory = directory
        self._people = people
        self._name = name

    async def require(self, user_id: SlackId, team_id: str) -> Reviewer:
        """Who this is, if they belong to the set now.

        Raises:
            ReviewRefused: they do not, or Slack did not say.
        """
        if team_id != await self._directory.home_team():
            raise OtherWorkspace()
        person = await self._directory.person(user_id)
        if person is None or not person.may_decide:
            raise NotAPerson()
        if not await is_in(self._directory, person, self._people()):
            raise NotAnApprover(f"This is for the {self._name} that policies/workspace.yaml names.")
        return Reviewer(person.id, person.name)
