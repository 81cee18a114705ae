"""Whom a level asks, as Slack and the schedules say at this moment.

Groups, people and schedules become Slack ids; those who do not want to be disturbed come last;
and business hours are read by each person's own clock. Trouble in finding out never holds a
ladder up for long: what is not known is recorded as such, and the level opens without it.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime

from bot.core.climbing import NOBODY, Summons
from bot.core.errors import CannotVerify
from bot.core.hours import opens_at
from bot.core.models import ApprovalRequest, Hours, SlackId, Target
from bot.core.notifying import SCHEDULE, Members, looked_up
from bot.core.policy.targets import SLACK_USER
from bot.services.directory import Directory
from bot.services.entitling import members_of
from bot.services.policies import Policies


class Asking:
    """Names of the policies to people in Slack."""

    def __init__(self, policies: Policies, directory: Directory) -> None:
        self._policies = policies
        self._directory = directory

    @property
    def admin_channel(self) -> str | None:
        """Where trouble is told, by the policies in force."""
        return self._policies.current.workspace.admin_channel

    async def next_level(self, request: ApprovalRequest, now: datetime) -> Summons:
        """Whom the level above asks, and when.

        Raises:
            CannotVerify: it could not be looked up.
        """
        if request.level + 1 >= len(request.plan):
            return NOBODY
        above = request.plan[request.level + 1]
        members, resting = await self._awake_first(await self.resolve(looked_up(above.notify)))
        opening = (
            {} if above.during is None else await self._opening(above.notify, above.during, members, now)
        )
        return Summons(members, opening, resting, self.admin_channel)

    async def known_of(self, targets: Iterable[Target]) -> Members:
        """Who stands behind targets, as far as it can be found out now."""
        found: dict[str, Sequence[SlackId]] = {}
        for name in looked_up(tuple(targets)):
            with suppress(CannotVerify):
                found |= await self.resolve([name])
        return found

    async def resolve(self, names: Iterable[str]) -> dict[str, tuple[SlackId, ...]]:
        """Slack ids behind group names, `schedule:NAME`, ids and addresses, as far as they are known now.

        Raises:
            CannotVerify: Slack did not say in time.
        """
        workspace = self._policies.current.workspace
        found: dict[str, tuple[SlackId, ...]] = {}
        for name in names:
            entry = workspace.groups.get(name)
            if name.startswith(SCHEDULE):
                known = name.removeprefix(SCHEDULE) in workspace.schedules
                found[name] = tuple(sorted(await self._directory.members(name))) if known else ()
            elif entry is None:
                # A group may be gone since; its name is nobody's id, and might be some channel's name.
                person = "@" in name or re.fullmatch(SLACK_USER, name) is not None
                found[name] = await self.ids([name]) if person else ()
            elif entry.users is None:
                members, _ = await members_of(self._directory, [entry.source])
                found[name] = tuple(sorted(members[entry.source]))
            else:
                found[name] = await self.ids(entry.users)
        return found

    async def ids(self, names: Iterable[str]) -> tuple[SlackId, ...]:
        """Ids of people named by id or address; an address nobody has is nobody.

        Raises:
            CannotVerify: Slack did not say in time.
        """
        ids: list[SlackId] = []
        for name in names:
            if "@" not in name:
                ids.append(SlackId(name))
            elif (person := await self._directory.by_email(name)) is not None:
                ids.append(person.id)
        return tuple(ids)

    async def _opening(
        self, targets: Sequence[Target], hours: Hours, members: Members, now: datetime
    ) -> dict[str, datetime]:
        """When the hours of each recipient begin, by the clock of each."""
        found = {
            t.address: opens_at(hours, None, now) for t in targets if t.kind not in ("slack_dm", "oncall")
        }
        for person in {person for name in looked_up(targets) for person in members.get(name, ())}:
            known = await self._directory.person(person)
            found[person] = opens_at(hours, None if known is None else known.tz, now)
        return found

    async def _awake_first(
        self, members: Mapping[str, Sequence[SlackId]]
    ) -> tuple[Members, tuple[SlackId, ...]]:
        """Of several people, those first who may be disturbed now; and who may not."""
        several = {person for people in members.values() if len(people) > 1 for person in people}
        resting = tuple([person for person in sorted(several) if await self._resting(person)])
        ordered = {name: sorted(people, key=resting.__contains__) for name, people in members.items()}
        return ordered, resting

    async def _resting(self, person: SlackId) -> bool:
        """Whether Slack holds notifications back; what it does not say counts as no."""
        with suppress(CannotVerify):
            return await self._directory.do_not_disturb(person)
        return False
