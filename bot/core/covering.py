"""Covers between people of a schedule: one offers, the other accepts. Pure.

A cover is worth something only once both have agreed. The names in it are those of the
schedule's file, so that a timetable can be made without asking Slack.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from bot.core.errors import CoverRefused
from bot.core.models import Actor, Event, Person, SlackId, Via
from bot.core.oncall import Cover, Schedule
from bot.core.times import rfc3339


class CoverState(StrEnum):
    """Where a cover stands."""

    OFFERED = "offered"
    ACCEPTED = "accepted"
    WITHDRAWN = "withdrawn"


@dataclass(frozen=True, slots=True)
class CoverOffer:
    """A cover that one of two people has proposed to the other."""

    id: str
    """`cov_…`"""
    schedule: str
    cover: Cover
    offered_by: SlackId
    offered_to: SlackId
    """Who must accept."""
    takes: bool
    """Whether the one who offered is to stand in, rather than to be relieved."""
    offered_at: datetime
    state: CoverState = CoverState.OFFERED
    decided_at: datetime | None = None

    @property
    def stands_in(self) -> SlackId:
        """Who is on call by it."""
        return self.offered_by if self.takes else self.offered_to

    @property
    def relieved(self) -> SlackId:
        """Who is not, for that time."""
        return self.offered_to if self.takes else self.offered_by


@dataclass(frozen=True, slots=True)
class Deal:
    """What somebody proposes: to stand in for another (`takes`), or that the other stands in for them."""

    proposer: Person
    other: Person
    takes: bool
    starts_at: datetime
    ends_at: datetime


def offer(schedule: Schedule, deal: Deal, *, id: str, now: datetime) -> CoverOffer:
    """A new offer.

    Raises:
        CoverRefused: one of them does not belong to the schedule, or the time makes no sense.
    """
    if not schedule.layers:
        raise CoverRefused(f"{schedule.name} is kept in a Slack user group; change its members there.")
    if deal.proposer.id == deal.other.id:
        raise CoverRefused("Nobody can cover themselves; name somebody else of the schedule.")
    if not max(deal.starts_at, now) < deal.ends_at:
        raise CoverRefused("That time is over, or it ends before it begins.")
    mine, theirs = (_spelled(schedule, person) for person in (deal.proposer, deal.other))
    by, of = (mine, theirs) if deal.takes else (theirs, mine)
    return CoverOffer(
        id=id,
        schedule=schedule.name,
        cover=Cover(by, of, deal.starts_at, deal.ends_at),
        offered_by=deal.proposer.id,
        offered_to=deal.other.id,
        takes=deal.takes,
        offered_at=now,
    )


def check_acceptance(found: CoverOffer | None, by: SlackId, *, now: datetime) -> CoverOffer:
    """The offer, if this person may accept it now.

    Raises:
        CoverRefused: there is no such offer, it is somebody else's, or it is over.
    """
    if found is None:
        raise CoverRefused("There is no such offer.")
    if found.offered_to != by:
        raise CoverRefused("This offer was made to somebody else.")
    if found.state is CoverState.WITHDRAWN:
        raise CoverRefused("This offer was withdrawn.")
    if found.cover.ends_at <= now:
        raise CoverRefused("The time of this offer is over.")
    return found


def overridden(found: CoverOffer, by: Person) -> Event:
    """`oncall_overridden`: from now on the cover holds, or it does no more."""
    return Event(
        name="oncall_overridden",
        actor=Actor.human(by),
        via=Via.SLACK,
        body={
            "cover": found.id,
            "change": found.state.value,
            "schedule": found.schedule,
            "covering": found.cover.by,
            "covered": found.cover.of,
            "from": rfc3339(found.cover.starts_at),
            "to": rfc3339(found.cover.ends_at),
            "offered_by": found.offered_by,
        },
    )


def belongs(schedule: Schedule, person: Person) -> bool:
    """Whether this person takes turns in the schedule."""
    return any(person.is_named(name) for name in schedule.people)


def _spelled(schedule: Schedule, person: Person) -> str:
    """How the schedule's file names this person."""
    for name in schedule.people:
        if person.is_named(name):
            return name
    raise CoverRefused(f"{person.name} takes no turns in {schedule.name}; only its people cover each other.")
