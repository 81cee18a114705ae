"""Who is on call by the schedules in force and the covers people have agreed on.

Asked afresh each time: when a level opens, at every click, and by people who want to know.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from bot.core import covering, oncall
from bot.core.clock import Clock
from bot.core.covering import CoverOffer, CoverState, Deal
from bot.core.errors import CannotVerify, CoverRefused, NotFound, SourceGone, Unavailable
from bot.core.models import Outgoing, Person, SlackId
from bot.core.oncall import Cover, Schedule, Shift
from bot.core.policy import PolicySet
from bot.store import Store
from bot.store.oncall import AcceptCover, OfferCover, WithdrawCover
from bot.store.reads import Reads

_INSTANT = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class OnDuty:
    """Who is on call: people as the schedule's file names them, or a Slack user group's members."""

    people: tuple[str, ...] = ()
    usergroup: str | None = None
    covered: Mapping[str, str] | None = None
    """Who stands in, and for whom."""


class Timetables:
    """The questions alone, which need no server: the command line asks them of a database at rest."""

    def __init__(self, schedules: Callable[[], Mapping[str, Schedule]], reads: Reads | None) -> None:
        """Without `reads` nobody covers anybody."""
        self._schedules = schedules
        self._reads = reads

    @property
    def schedules(self) -> Mapping[str, Schedule]:
        """Every schedule in force, by name."""
        return self._schedules()

    def schedule(self, name: str) -> Schedule:
        """A schedule by name.

        Raises:
            NotFound: there is none; the message names those there are.
        """
        found = self.schedules.get(name)
        if found is None:
            known = ", ".join(self.schedules) or "none"
            raise NotFound(f"There is no schedule {name}; workspace.yaml has: {known}.")
        return found

    async def timetable(self, name: str, start: datetime, end: datetime) -> list[Shift]:
        """Every shift and every gap from `start` to `end`.

        Raises:
            NotFound: there is no such schedule.
        """
        schedule = self.schedule(name)
        return oncall.timetable(schedule, await self._covers(name, start, end), start, end)

    async def on_duty(self, name: str, at: datetime) -> OnDuty:
        """Who is on call at a moment.

        Raises:
            NotFound: there is no such schedule.
        """
        schedule = self.schedule(name)
        if schedule.usergroup is not None:
            return OnDuty(usergroup=schedule.usergroup)
        shifts = oncall.on_call(schedule, await self._covers(name, at, at + _INSTANT), at)
        people = tuple(shift.person for shift in shifts if shift.person is not None)
        covered = {shift.person: shift.covered for shift in shifts if shift.person and shift.covered}
        return OnDuty(people, covered=covered)

    async def _covers(self, name: str, start: datetime, end: datetime) -> list[Cover]:
        """The covers that hold: whoever has left the schedule since stands in for nobody."""
        if self._reads is None:
            return []
        people = self.schedule(name).people
        agreed = await self._reads.covers(name, start, end)
        return [offer.cover for offer in agreed if offer.cover.by in people]


class OnCall(Timetables):
    """The schedules of the running server, and the covers that its people agree on."""

    def __init__(
        self, store: Store, policies: Callable[[], PolicySet], clock: Clock, new_id: Callable[[str], str]
    ) -> None:
        super().__init__(lambda: policies().workspace.schedules, store.reads)
        self._store = store
        self._clock = clock
        self._new_id = new_id

    async def now(self, name: str) -> OnDuty:
        """Who is on call at this moment, to decide whom to ask and who may approve.

        Raises:
            SourceGone: there is no such schedule any more.
            CannotVerify: covers cannot be read.
        """
        try:
            return await self.on_duty(name, self._clock.now())
        except NotFound as unknown:
            raise SourceGone(
                f"There is no schedule {name} any more, so being on call entitles nobody to decide this; "
                "whoever is named in person still can. Nothing was done."
            ) from unknown
        except Unavailable as trouble:
            raise CannotVerify from trouble

    async def offer(self, schedule: str, deal: Deal) -> CoverOffer:
        """Propose a cover to the other one, who is told in a direct message.

        Raises:
            NotFound: there is no such schedule.
            CoverRefused: one of the two takes no turns in it, or the time makes no sense.
        """
        id, now = self._new_id("cov"), self._clock.now()
        made = covering.offer(self.schedule(schedule), deal, id=id, now=now)
        await self._store.write(OfferCover(made, (_word(made, made.offered_to),)))
        return made

    async def accept(self, id: str, by: Person) -> CoverOffer:
        """Agree to a cover; it holds from then on.

        Raises:
            CoverRefused: it is not this person's to accept, it is over, or the time is covered already.
        """
        now = self._clock.now()
        found = covering.check_acceptance(await self._store.reads.cover(id), by.id, now=now)
        if found.state is CoverState.ACCEPTED:
            return found
        word = _word(found, found.offered_by)
        accepted = await self._store.write(AcceptCover(found, by, now, (word,)))
        if accepted is None:
            raise CoverRefused(f"{found.cover.of} is already covered for part of that time.")
        return accepted

    async def withdraw(self, id: str, by: Person) -> CoverOffer:
        """Take back an offer, or end a cover; either of the two may, and the other is told.

        Raises:
            CoverRefused: there is none, it is somebody else's, or it has ended.
        """
        found = await self._store.reads.cover(id)
        if found is None or by.id not in (found.offered_by, found.offered_to):
            raise CoverRefused("There is no such cover, or it is not yours.")
        other = found.offered_to if by.id == found.offered_by else found.offered_by
        word = _word(found, other)
        if not await self._store.write(WithdrawCover(found, by, self._clock.now(), (word,))):
            raise CoverRefused("This cover has ended already.")
        return found


def _word(offer: CoverOffer, to: SlackId) -> Outgoing:
    """A direct message about an offer, drawn as it stands when it is sent."""
    return Outgoing("slack.cover", {"cover": offer.id, "to": to}, order=f"dm:{to}")
