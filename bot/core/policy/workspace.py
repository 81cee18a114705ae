"""The format of `policies/workspace.yaml`: channels, groups and on-call schedules."""

import re
from collections.abc import Mapping, Sequence
from datetime import date, time, timedelta
from typing import Annotated, Any, Literal, NamedTuple
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import BeforeValidator, ConfigDict, Field, WithJsonSchema

from bot.core.oncall import Window
from bot.core.policy.format import Channel, Duration, Name, Person, Strict
from bot.core.policy.targets import SLACK_USERGROUP, is_url

WORKSPACE = "workspace.yaml"
"""The file that holds what policies share."""

DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")

_TIME = r"([01][0-9]|2[0-3]):([0-5][0-9])"


class Handover(NamedTuple):
    """When turns change hands: a local time, perhaps of one weekday (0 for Monday)."""

    weekday: int | None
    at: time


def _handover(value: object) -> Handover:
    found = re.fullmatch(rf"(?:({'|'.join(DAYS)}) )?{_TIME}", value) if isinstance(value, str) else None
    if found is None:
        raise ValueError(f'{value!r} is not a hand-over; write "Mon 09:00", or "09:00" for a daily one')
    return Handover(DAYS.index(found[1]) if found[1] else None, time(int(found[2]), int(found[3])))


def _zone(value: object) -> ZoneInfo:
    if isinstance(value, ZoneInfo):
        return value
    try:
        # Only names with a region: abbreviations such as EST never change their clocks.
        if isinstance(value, str) and (value == "UTC" or "/" in value):
            return ZoneInfo(value)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        pass
    raise ValueError(f"{value!r} is not a time zone; write its IANA name, such as Europe/Berlin or UTC")


def _day(value: object) -> date:
    try:
        return date.fromisoformat(str(value))
    except ValueError:
        raise ValueError(f"{value!r} is not a date; write it as 2026-01-31") from None


def _weekdays(value: object) -> frozenset[int]:
    items = value if isinstance(value, list) else [value]
    named: list[int] = []
    for item in items:
        first, _, last = str(item).partition("-")
        if first not in DAYS or (last and last not in DAYS):
            raise ValueError(f"{item!r} is not a weekday; write Mon to Sun, or a range such as Mon-Fri")
        start, length = DAYS.index(first), (DAYS.index(last or first) - DAYS.index(first)) % 7
        named += [(start + ahead) % 7 for ahead in range(length + 1)]
    if not named or len(set(named)) != len(named):
        raise ValueError("names no weekday, or one twice; write for example [Mon-Fri]")
    return frozenset(named)


def _clock(value: object) -> timedelta:
    found = re.fullmatch(rf"{_TIME}|(24):(00)", value) if isinstance(value, str) else None
    if found is None:
        raise ValueError(f'{value!r} is not a time of day; write it in quotes, "00:00" to "24:00"')
    hours, minutes = (part for part in found.groups() if part is not None)
    return timedelta(hours=int(hours), minutes=int(minutes))


def _webhook(value: object) -> str:
    if isinstance(value, str) and is_url(value):
        return value
    raise ValueError(f"{value!r} is not a URL; write https://HOST/PATH, without user and password")


_TEXT = WithJsonSchema({"type": "string"})
WebhookUrl = Annotated[
    str, BeforeValidator(_webhook), WithJsonSchema({"type": "string", "pattern": "^https?://"})
]
Zone = Annotated[Any, BeforeValidator(_zone), _TEXT]
ClockTime = Annotated[
    timedelta,
    BeforeValidator(_clock),
    WithJsonSchema({"type": "string", "pattern": "^[0-2][0-9]:[0-5][0-9]$"}),
]
Day = Annotated[date, BeforeValidator(_day), WithJsonSchema({"type": "string", "format": "date"})]
Weekdays = Annotated[
    frozenset[int],
    BeforeValidator(_weekdays),
    WithJsonSchema(
        {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}, "minItems": 1}]}
    ),
]
Users = Annotated[tuple[Person, ...], Field(min_length=1)]
Usergroup = Annotated[str, Field(pattern=rf"^{SLACK_USERGROUP}$")]


class Hours(Strict):
    """Hours of some weekdays, by the clock of their zone; past midnight when `to` is not after `from`."""

    model_config = ConfigDict(validate_by_alias=True, serialize_by_alias=True)

    days: Weekdays = frozenset(range(7))
    from_: Annotated[ClockTime, Field(alias="from")] = timedelta(0)
    to: ClockTime = timedelta(days=1)

    @property
    def window(self) -> Window:
        """The same for the timetable."""
        past_midnight = timedelta(days=1) if self.to <= self.from_ else timedelta(0)
        return Window(self.days, self.from_, self.to + past_midnight)


class OfficeHours(Hours):
    """Business hours, by the clock of the one who is asked."""

    zone: Zone = ZoneInfo("UTC")
    """Of channels and addresses, which have no clock of their own."""


def _spans(value: object) -> object:
    return value if isinstance(value, list) else [value]


BusinessHours = Annotated[tuple[OfficeHours, ...], Field(min_length=1), BeforeValidator(_spans)]


class LayerFile(Strict):
    """One rotation of a schedule."""

    rotation: Literal["daily", "weekly", "custom"]
    handover: Annotated[Handover, BeforeValidator(_handover), _TEXT]
    zone: Zone
    users: Users
    start: Day | None = None
    shift: Duration | None = None
    restrict: Annotated[tuple[Hours, ...], Field(min_length=1)] | None = None


class ScheduleFile(Strict):
    """Layers of rotations, of which the first that names somebody holds; or a Slack user group."""

    layers: Annotated[tuple[LayerFile, ...], Field(min_length=1)] | None = None
    slack_usergroup: Usergroup | None = None


class People(Strict):
    """A set of people: named ones, the members of a Slack user group, or who is on call."""

    users: Users | None = None
    slack_usergroup: Usergroup | None = None
    schedule: Name | None = None

    @property
    def named(self) -> int:
        """In how many ways it names people; one is right."""
        return sum(way is not None for way in (self.users, self.slack_usergroup, self.schedule))


class WorkspaceFile(Strict):
    """`policies/workspace.yaml`: what all policies share."""

    admin_channel: Channel | None = None
    audit_channel: Channel | None = None
    audit_webhook: WebhookUrl | None = None
    operators: People | None = None
    auditors: People | None = None
    groups: dict[Name, People] = Field(default_factory=dict)
    schedules: dict[Name, ScheduleFile] = Field(default_factory=dict)
    business_hours: dict[Name, BusinessHours] = Field(default_factory=dict)

    def people(self) -> Mapping[Sequence[str], People]:
        """Every set of people, by where it stands."""
        sets: dict[Sequence[str], People] = {("groups", name): people for name, people in self.groups.items()}
        for name, people in (("operators", self.operators), ("auditors", self.auditors)):
            if people is not None:
                sets[(name,)] = people
        return sets
