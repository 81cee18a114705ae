"""What would happen to an action if it were asked now: who may decide, and who is asked later.

Nothing is stored and nobody is told.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

from bot.core import escalation
from bot.core.clock import Clock
from bot.core.lifecycle import Judged
from bot.core.models import Action, ApproverSet, Level, Submission
from bot.core.notifying import SCHEDULE, looked_up
from bot.services.directory import Directory
from bot.services.oncall import OnCall

Judge = Callable[[Action, str], Awaitable[Judged]]
"""Risk and ruling of an agent's action as things stand (`Approvals.judge`)."""


@dataclass(frozen=True, slots=True)
class Step:
    """One level of the ladder, and who stands behind it when it opens: Slack ids or addresses."""

    level: Level
    entitled: tuple[str, ...]
    pinged: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Simulation:
    """The ruling, and the ladder; no steps when nobody would be asked."""

    judged: Judged
    steps: tuple[Step, ...]


class Simulator:
    """Asks the policies and the schedules without changing anything.

    Args:
        groups: The workspace's groups by name, as they are in force.
    """

    def __init__(
        self,
        judge: Judge,
        groups: Callable[[], Mapping[str, ApproverSet]],
        directory: Directory,
        on_call: OnCall,
        clock: Clock,
    ) -> None:
        self._judge = judge
        self._groups = groups
        self._directory = directory
        self._on_call = on_call
        self._clock = clock

    async def run(self, action: Action, agent: str) -> Simulation:
        """The whole story of an action of this agent.

        Raises:
            CannotVerify: Slack did not say who belongs to a group.
        """
        judged = await self._judge(action, agent)
        if not judged.ruling.effect_is_review:
            return Simulation(judged, ())
        plan = escalation.plan(judged.ruling, Submission(action, ""), now=self._clock.now())
        requirement = judged.ruling.requirement
        asked = () if requirement is None else requirement.approvers
        steps = [await self._step(level, asked if number == 0 else ()) for number, level in enumerate(plan)]
        return Simulation(judged, tuple(steps))

    async def asked_by(self, level: Level) -> tuple[str, ...]:
        """Whom a level asks in person when it opens, as far as that can be known now.

        Raises:
            CannotVerify: Slack did not say who belongs to a group.
            NotFound: a schedule that it names is gone.
        """
        return _each_once([await self._pinged(name, level) for name in looked_up(level.notify)])

    async def _step(self, level: Level, asked: Sequence[ApproverSet]) -> Step:
        entitled = [await self.behind(entry, level) for entry in (*asked, *level.entitles)]
        return Step(level, _each_once(entitled), await self.asked_by(level))

    async def behind(self, entry: ApproverSet, level: Level) -> tuple[str, ...]:
        """Who belongs to a set of people when a level opens, as far as that can be known now."""
        if entry.users is not None:
            return entry.users
        source = entry.source
        if source.startswith(SCHEDULE):
            duty = await self._on_call.on_duty(source.removeprefix(SCHEDULE), level.opens_at)
            if duty.usergroup is None:
                return duty.people
            source = f"slack_usergroup:{duty.usergroup}"
        return tuple(sorted(await self._directory.members(source)))

    async def _pinged(self, name: str, level: Level) -> tuple[str, ...]:
        if name.startswith(SCHEDULE):
            return await self.behind(ApproverSet(None, name, None), level)
        entry = self._groups().get(name)
        return (name,) if entry is None else await self.behind(entry, level)


def _each_once(lists: Sequence[Sequence[str]]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for names in lists for name in names))
