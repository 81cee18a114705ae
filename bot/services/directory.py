"""Who people are and which groups they belong to, as a promise.

Implemented over Slack's Web API (`bot.slack.directory`). What cannot be verified in time
raises `CannotVerify`: it authorises nobody.
"""

from collections.abc import Mapping
from typing import Protocol

from bot.core.models import Person, SlackId


class Directory(Protocol):
    """Slack's people and groups. Answers may be up to 60 s old."""

    async def home_team(self) -> str:
        """The workspace that the bot lives in."""
        ...

    async def person(self, id: SlackId) -> Person | None:
        """Somebody by id; None when Slack knows nobody of that id.

        Raises:
            CannotVerify: Slack did not answer in time.
        """
        ...

    async def by_email(self, email: str) -> Person | None:
        """Somebody by e-mail address; None when Slack knows nobody of that address."""
        ...

    async def do_not_disturb(self, id: SlackId) -> bool:
        """Whether Slack holds this person's notifications back at the moment.

        Raises:
            CannotVerify: Slack did not answer in time.
        """
        ...

    async def covers(self, source: str) -> Mapping[SlackId, SlackId]:
        """Of the members of a schedule, who stands in now, and for whom; of other sources nobody.

        Raises:
            CannotVerify: as for `members`.
        """
        ...

    async def members(self, source: str) -> frozenset[SlackId]:
        """Members of `slack_usergroup:S…`, or who is on call now by `schedule:NAME`.

        Raises:
            SourceGone: there is no such user group or schedule any more.
            CannotVerify: Slack did not answer in time, or nobody knows the source.
        """
        ...
