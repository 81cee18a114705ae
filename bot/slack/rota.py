"""`/keyturn who`, `oncall` and `simulate`: who is on call, who covers whom, who would be asked.

Everything said here is for one person alone. Names in a command are Slack's own mentions, ids or
e-mail addresses, never what somebody calls themselves.
"""

import re
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from bot.core import covering, jsontext, moments
from bot.core.clock import Clock
from bot.core.covering import CoverOffer, Deal
from bot.core.describe import action_line
from bot.core.errors import (
    CannotVerify,
    CoverRefused,
    InvalidInput,
    NotFound,
    NotOffered,
    OtherWorkspace,
    Unavailable,
)
from bot.core.models import Action, ApproverSet, Effect, Person, SlackId, Target
from bot.core.oncall import Shift, gaps
from bot.services.oncall import OnCall
from bot.services.simulating import Simulation, Simulator, Step
from bot.slack import ids
from bot.slack.clicks import Answer
from bot.slack.directory import SlackDirectory
from bot.slack.interaction import Interaction
from bot.slack.text import date, escape, literal, typed
from bot.slack.wording import RISK, listed

HELP = {
    "who [GROUP or SCHEDULE] [at TIME]": "who is on call",
    "oncall [SCHEDULE]": "who is on call in the next two weeks",
    "oncall cover @somebody [SCHEDULE] [from TIME to TIME]": "offer to stand in for somebody",
    "oncall cover me by @somebody [SCHEDULE] [from TIME to TIME]": "ask somebody to stand in for you",
    "oncall withdraw ID": "take back an offer, or end a cover",
    "simulate TYPE [as AGENT] [param=value …]": "who would be asked now, and who later",
}
"""What can be typed, with what it does."""

WORDS = frozenset(form.split()[0] for form in HELP)

_AHEAD = timedelta(days=14)
_NEXT_TURN = timedelta(days=62)
_MOST_LINES = 40


@dataclass(frozen=True, slots=True)
class Asker:
    """Who typed the command."""

    person: Person
    zone: ZoneInfo
    now: datetime


class Rota:
    """Answers about schedules.

    Args:
        groups: The workspace's groups by name, as they are in force.
    """

    def __init__(
        self,
        on_call: OnCall,
        simulator: Simulator,
        directory: SlackDirectory,
        groups: Callable[[], Mapping[str, ApproverSet]],
        clock: Clock,
    ) -> None:
        self._on_call = on_call
        self._simulator = simulator
        self._directory = directory
        self._groups = groups
        self._clock = clock

    async def answer(self, words: Sequence[str], text: str, *, user_id: SlackId, team_id: str) -> str:
        """What to say, as mrkdwn of ours.

        Raises:
            ReviewRefused: this person is of elsewhere, or Slack did not say who somebody is.
            Unavailable: the covers could not be read or stored.
        """
        person = await self._directory.person(user_id)
        if person is None or team_id != await self._directory.home_team() or person.is_guest:
            raise OtherWorkspace("Only people of this workspace may ask that.")
        asker = Asker(person, _zone(person.tz), self._clock.now())
        try:
            return await self._answer(words, text, asker)
        except (NotFound, CoverRefused, InvalidInput) as refused:
            return literal(refused.message)
        except ValueError as wrong:
            return literal(str(wrong))

    async def on_call_lines(self) -> list[str]:
        """Who is on call now, as mrkdwn of ours, a line for each schedule, also for one not found out."""
        now, lines = self._clock.now(), list[str]()
        for name in self._on_call.schedules:
            try:
                lines.append(await self._line(name, now))
            except (CannotVerify, Unavailable):
                lines.append(f"*{literal(name)}*: could not be looked up just now")
        return lines

    async def accept(self, by: Interaction) -> Answer:
        """The button of an offer.

        Raises:
            ReviewRefused: it is not this person's to accept, or not any more.
        """
        person = await self._directory.person(by.user_id)
        if person is None or by.team_id != await self._directory.home_team():
            raise OtherWorkspace()
        try:
            accepted = await self._on_call.accept(by.block_id.removeprefix(ids.COVER_BLOCK), person)
        except CoverRefused as refused:
            raise NotOffered(refused.message) from refused
        return Answer(f"Agreed: {_deal(accepted)}.", "Covered")

    async def _answer(self, words: Sequence[str], text: str, asker: Asker) -> str:
        match [word.casefold() for word in words[:2]]:
            case ["who", *_]:
                return await self._who(words[1:], asker)
            case ["oncall", "cover"]:
                return await self._cover(words[2:], asker)
            case ["oncall", "withdraw"]:
                ended = await self._on_call.withdraw(words[2] if len(words) > 2 else "", asker.person)
                return f"Ended: {_deal(ended)}."
            case ["oncall", *_]:
                return await self._timetable(words[1:], asker)
        return await self._simulate(text)

    async def _who(self, words: Sequence[str], asker: Asker) -> str:
        names, at = _split(words, "at")
        when = moments.parse(" ".join(at), now=asker.now, zone=asker.zone) if at else asker.now
        wanted = names or list(self._on_call.schedules)
        if not wanted:
            return "There is no schedule in workspace.yaml; name a group."
        said = [await self._line(name, when) for name in wanted]
        head = "On call now:" if not at else f"On call {date(when)}:"
        return "\n".join([head, *said])

    async def _line(self, name: str, when: datetime) -> str:
        group = self._groups().get(name)
        if name in self._on_call.schedules or group is None:
            return f"*{literal(name)}*: {await self._on_duty(name, when)}"
        if group.users is None and group.source.startswith("schedule:"):
            schedule = group.source.removeprefix("schedule:")
            return f"*{literal(name)}* ({literal(schedule)}): {await self._on_duty(schedule, when)}"
        members = group.users if group.users is not None else await self._directory.members(group.source)
        return f"*{literal(name)}*: {_people(sorted(members)) or 'nobody'}"

    async def _on_duty(self, name: str, when: datetime) -> str:
        schedule = self._on_call.schedule(name)
        if schedule.usergroup is not None:
            members = await self._directory.members(f"slack_usergroup:{schedule.usergroup}")
            return _people(sorted(members)) or "nobody"
        first, *later = await self._on_call.timetable(name, when, when + _NEXT_TURN)
        then = next((f", then {_name(shift.person)}" for shift in later if shift.person is not None), "")
        until = "" if not later else f" until {date(first.ends_at)}"
        return f"{_standing(first)}{until}{then}"

    async def _timetable(self, words: Sequence[str], asker: Asker) -> str:
        names = list(words) or list(self._on_call.schedules)
        if not names:
            return "There is no schedule in workspace.yaml."
        return "\n".join([await self._table(name, asker) for name in names])

    async def _table(self, name: str, asker: Asker) -> str:
        if self._on_call.schedule(name).usergroup is not None:
            return f"*{literal(name)}*: {await self._on_duty(name, asker.now)}"
        shifts = await self._on_call.timetable(name, asker.now, asker.now + _AHEAD)
        lines = [f"{date(shift.starts_at)}: {_standing(shift)}" for shift in shifts[:_MOST_LINES]]
        if len(shifts) > _MOST_LINES:
            lines.append(f"and {len(shifts) - _MOST_LINES} more")
        empty = len(gaps(shifts))
        note = f" ({empty} gap{'' if empty == 1 else 's'})" if empty else ""
        return "\n".join([f"*{literal(name)}*, the next two weeks{note}:", *lines])

    async def _cover(self, words: Sequence[str], asker: Asker) -> str:
        asks = [word.casefold() for word in words[:2]] == ["me", "by"]
        named, span = _split(words[2 if asks else 0 :], "from")
        if not named:
            raise ValueError("say whom: oncall cover @somebody, or oncall cover me by @somebody")
        other = await self._person(named[0])
        name = self._schedule_of(named[1:], asker.person, other)
        covered = asker.person if asks else other
        start, end = self._span(span, asker) if span else await self._next_turn(name, covered, asker.now)
        made = await self._on_call.offer(name, Deal(asker.person, other, not asks, start, end))
        return f"Offered: {_deal(made)}. <@{other.id}> has been asked to accept it (`{made.id}`)."

    async def _person(self, word: str) -> Person:
        """Somebody by Slack's mention, id or e-mail address.

        Raises:
            ValueError: nobody is called that.
        """
        found = re.fullmatch(r"<@([UW][A-Z0-9]+)(?:\|[^>]*)?>|<mailto:([^|>]+)(?:\|[^>]*)?>|(\S+)", word)
        name = next((part for part in found.groups() if part), word) if found else word
        if "@" in name[1:] or re.fullmatch(r"[UW][A-Z0-9]{2,20}", name):
            person = await self._directory.named(name)
            if person is not None:
                return person
        raise ValueError(f"{word} is nobody Slack knows; write @name as Slack completes it, or an address")

    def _schedule_of(self, words: Sequence[str], *people: Person) -> str:
        """The schedule that is named, or the only one to which both belong."""
        names = [word for word in words if word.casefold() != "in"]
        if names:
            return self._on_call.schedule(names[0]).name
        shared = [
            name
            for name, schedule in self._on_call.schedules.items()
            if all(covering.belongs(schedule, person) for person in people)
        ]
        if len(shared) == 1:
            return shared[0]
        if not shared:
            raise CoverRefused("You share no schedule; only people of a schedule cover each other.")
        raise ValueError(f"say which schedule: {', '.join(shared)}")

    def _span(self, words: Sequence[str], asker: Asker) -> tuple[datetime, datetime]:
        start, end = _split(words, "to")
        if not start or not end:
            raise ValueError(f"write from TIME to TIME; {moments.HELP}")
        begins = moments.parse(" ".join(start), now=asker.now, zone=asker.zone)
        return begins, moments.parse(" ".join(end), now=asker.now, zone=asker.zone, after=begins)

    async def _next_turn(self, name: str, covered: Person, now: datetime) -> tuple[datetime, datetime]:
        """What is left of somebody's present turn, else their next one."""
        for shift in await self._on_call.timetable(name, now, now + _NEXT_TURN):
            if shift.person in (covered.id, covered.email):
                return shift.starts_at, shift.ends_at
        raise CoverRefused(f"{covered.name} has no turn in {name} in the next two months; say from and to.")

    async def _simulate(self, text: str) -> str:
        plain = typed(text)
        try:
            _, *words = shlex.split(plain)
        except ValueError:
            raise ValueError("a quotation mark is missing its end") from None
        if not words:
            raise ValueError("say what: simulate deployment as builder environment=production")
        agent = "agent"
        if len(words) > 2 and words[1].casefold() == "as":
            agent, words = words[2], [words[0], *words[3:]]
        action = Action(words[0], dict(_param(word) for word in words[1:]))
        return _story(await self._simulator.run(action, agent), action, agent)


def _story(found: Simulation, action: Action, agent: str) -> str:
    """The simulation in a few lines."""
    judged = found.judged
    policy = judged.ruling.policy
    head = f"If {literal(agent)} asked now: *{literal(action_line(action))}*"
    risk = f"{RISK[judged.risk.level]}, {judged.risk.score} of 100."
    if not found.steps:
        word = "It would run at once" if policy.effect is Effect.APPROVE else "It would be rejected"
        return "\n".join([head, risk, f"{word}: {literal(policy.explanation)}"])
    needed = judged.ruling.requirement.needed if judged.ruling.requirement is not None else 1
    quorum = "one of them must agree" if needed == 1 else f"{needed} of them must agree"
    first, *later = found.steps
    lines = [head, risk, f"Now: {_people(first.entitled) or 'nobody'} may decide; {quorum}."]
    lines += [_later(step) for step in later]
    lines.append(f"Without a decision it times out {date(found.steps[-1].level.ends_at)}.")
    return "\n".join(lines)


def _later(step: Step) -> str:
    others = [_target(target) for target in step.level.notify if target.kind not in ("slack_dm", "oncall")]
    told = [part for part in (_people(step.pinged), listed(others)) if part]
    asked = f"asks {' and '.join(told)}" if told else "asks nobody"
    may = f"; {_people(step.entitled)} may decide too" if step.entitled else ""
    rule = f" ({literal(step.level.rule)})" if step.level.rule else ""
    return f"Then {date(step.level.opens_at)}{rule}: {asked}{may}."


def _target(target: Target) -> str:
    if target.kind == "slack":
        return f"<#{target.address}>" if not target.address.startswith("#") else literal(target.address)
    return f"{target.kind} {literal(target.address)}"


def _param(word: str) -> tuple[str, object]:
    name, equals, value = word.partition("=")
    if not equals or not name:
        raise ValueError(f"{word} is no param; write name=value")
    try:
        return name, jsontext.loads(value.encode())
    except InvalidInput:
        return name, value


def _deal(offer: CoverOffer) -> str:
    cover = offer.cover
    span = f"from {date(cover.starts_at)} to {date(cover.ends_at)}"
    return f"{_name(cover.by)} covers {_name(cover.of)} in *{literal(offer.schedule)}* {span}"


def _standing(shift: Shift) -> str:
    if shift.person is None:
        return "nobody"
    covered = f" (covers {_name(shift.covered)})" if shift.covered else ""
    return f"{_name(shift.person)}{covered}"


def _people(names: Sequence[str]) -> str:
    return listed([_name(name) for name in names])


def _name(name: str | None) -> str:
    """A mention for an id, which notifies nobody in a private answer; an address as it is."""
    if name is None:
        return "nobody"
    return escape(name) if "@" in name else f"<@{name}>"


def _split(words: Sequence[str], at: str) -> tuple[list[str], list[str]]:
    """What stands before and after a key word."""
    folded = [word.casefold() for word in words]
    place = folded.index(at) if at in folded else len(words)
    return list(words[:place]), list(words[place + 1 :])


def _zone(name: str | None) -> ZoneInfo:
    try:
        return ZoneInfo(name or "UTC")
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return ZoneInfo("UTC")
