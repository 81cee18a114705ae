"""Who people are and which groups they belong to, as Slack's Web API says at this moment.

Answers are kept for at most 60 s. Whatever Slack does not say in time raises `CannotVerify`, which
authorises nobody; a failed look-up is never remembered. Look-ups of the same thing at the same
moment share one call, since `usergroups.users.list` allows only some twenty a minute.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from bot.core import authority
from bot.core.clock import Clock
from bot.core.errors import CannotVerify, SourceGone
from bot.core.models import ApprovalRequest, Person, SlackId
from bot.core.notifying import SCHEDULE
from bot.services.entitling import members_of
from bot.services.oncall import OnDuty
from bot.slack.client import TROUBLE, error_code

OnDutyBy = Callable[[str], Awaitable[OnDuty]]

FRESH = timedelta(seconds=60)
BUDGET = 1.5
"""Seconds that one click may spend on look-ups, of the three that Slack waits for an answer."""

_REMEMBERED = 10_000
_USERGROUP = "slack_usergroup:"
_NOBODY = frozenset({"user_not_found", "users_not_found", "user_not_visible"})

_deadline: ContextVar[float | None] = ContextVar("directory_deadline", default=None)


@contextmanager
def lookup_budget(seconds: float = BUDGET) -> Iterator[None]:
    """All look-ups inside share `seconds`."""
    token = _deadline.set(asyncio.get_running_loop().time() + seconds)
    try:
        yield
    finally:
        _deadline.reset(token)


@dataclass(slots=True)
class _Entry:
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    value: Any = None
    at: datetime | None = None


class SlackDirectory:
    """The `Directory` of the services, over `users.info`, `users.lookupByEmail` and user groups.

    Args:
        on_duty: Who is on call by a schedule's name (`OnCall.now`); without it there are no schedules.
    """

    def __init__(self, client: AsyncWebClient, clock: Clock, on_duty: OnDutyBy | None = None) -> None:
        self._client = client
        self._clock = clock
        self._on_duty = on_duty
        self._entries: OrderedDict[tuple[str, str], _Entry] = OrderedDict()
        self._home: str | None = None

    async def home_team(self) -> str:
        """The workspace that the bot's token belongs to; asked once.

        Raises:
            CannotVerify: Slack did not answer in time.
        """
        if self._home is None:
            self._home = str((await self._within_budget(self._client.auth_test))["team_id"])
        return self._home

    async def person(self, id: SlackId) -> Person | None:
        """Somebody by id; None when Slack knows nobody of that id.

        Raises:
            CannotVerify: Slack did not answer in time.
        """
        found: Person | None = await self._cached("user", id, lambda: self._user(id))
        return found

    async def by_email(self, email: str) -> Person | None:
        """Somebody by e-mail address; None when Slack knows nobody of that address.

        Raises:
            CannotVerify: Slack did not answer in time.
        """
        found: Person | None = await self._cached("email", email.casefold(), lambda: self._user_by(email))
        return found

    async def do_not_disturb(self, id: SlackId) -> bool:
        """Whether Slack holds this person's notifications back at the moment (`dnd.info`).

        Raises:
            CannotVerify: Slack did not answer in time.
        """
        found: Any = await self._cached("dnd", id, lambda: self._dnd(id))
        now = self._clock.now().timestamp()
        snoozed = bool(found.get("snooze_enabled")) and now < found.get("snooze_endtime", 0)
        quiet = found.get("next_dnd_start_ts", 0) <= now < found.get("next_dnd_end_ts", 0)
        return snoozed or (bool(found.get("dnd_enabled")) and quiet)

    async def members(self, source: str) -> frozenset[SlackId]:
        """Members of `slack_usergroup:S…`, or who is on call now by `schedule:NAME`.

        Raises:
            SourceGone: there is no such schedule or user group any more.
            CannotVerify: Slack did not answer in time, or nobody knows the source.
        """
        if source.startswith(SCHEDULE) and self._on_duty is not None:
            return await self._named_on_duty(await self._on_duty(source.removeprefix(SCHEDULE)))
        if not source.startswith(_USERGROUP):
            raise CannotVerify(f"Nobody can say who belongs to {source}. Nothing was done.")
        group = source.removeprefix(_USERGROUP)
        found: frozenset[SlackId] = await self._cached("group", group, lambda: self._group(group))
        return found

    async def named(self, name: str) -> Person | None:
        """Somebody by Slack id or by e-mail address.

        Raises:
            CannotVerify: Slack did not answer in time.
        """
        return await (self.by_email(name) if "@" in name else self.person(SlackId(name)))

    async def prefetch(self, request: ApprovalRequest) -> None:
        """Look up who may decide, so that the first click need not wait. Trouble is left to the click."""
        sets = authority.entitled_sets(request)
        people = {name for entry in sets for name in entry.users or ()}
        with suppress(CannotVerify), lookup_budget(2 * BUDGET):
            await self.home_team()
            await members_of(self, authority.sources(request))
            await self._all(self.named, sorted(people)[:_PREFETCHED])

    async def covers(self, source: str) -> Mapping[SlackId, SlackId]:
        """Who stands in now for whom, by `schedule:NAME`.

        Raises:
            CannotVerify: Slack did not answer in time, or nobody knows the schedule.
        """
        if not source.startswith(SCHEDULE) or self._on_duty is None:
            return {}
        duty = await self._on_duty(source.removeprefix(SCHEDULE))
        found: dict[SlackId, SlackId] = {}
        for by, of in (duty.covered or {}).items():
            both = await self._ids((by, of))
            if len(both) == 2:
                found[both[0]] = both[1]
        return found

    async def _ids(self, names: Iterable[str]) -> list[SlackId]:
        """Ids of people named by id or address; an address nobody has is nobody."""
        found: list[SlackId] = []
        for name in names:
            if "@" not in name:
                found.append(SlackId(name))
            elif (person := await self.by_email(name)) is not None:
                found.append(person.id)
        return found

    async def _named_on_duty(self, duty: OnDuty) -> frozenset[SlackId]:
        if duty.usergroup is not None:
            return await self.members(_USERGROUP + duty.usergroup)
        return frozenset(await self._ids(duty.people))

    async def _all(self, look_up: Callable[[str], Awaitable[object]], names: Iterable[str]) -> None:
        for name in names:
            await look_up(name)

    async def _cached(self, kind: str, key: str, fetch: Callable[[], Awaitable[Any]]) -> Any:
        entry = self._entry((kind, key))
        return await self._within_budget(lambda: self._fresh(entry, fetch))

    async def _fresh(self, entry: _Entry, fetch: Callable[[], Awaitable[Any]]) -> Any:
        async with entry.lock:
            asked_at = self._clock.now()
            if entry.at is None or asked_at - entry.at >= FRESH:
                entry.value = await fetch()
                entry.at = asked_at
            return entry.value

    def _entry(self, key: tuple[str, str]) -> _Entry:
        entry = self._entries.setdefault(key, _Entry())
        self._entries.move_to_end(key)
        if len(self._entries) > _REMEMBERED:
            self._entries.popitem(last=False)
        return entry

    async def _within_budget(self, fetch: Callable[[], Awaitable[Any]]) -> Any:
        loop = asyncio.get_running_loop()
        until = _deadline.get()
        try:
            async with asyncio.timeout_at(loop.time() + BUDGET if until is None else until):
                return await fetch()
        except TROUBLE as trouble:
            raise CannotVerify from trouble

    async def _user(self, id: str) -> Person | None:
        return await self._person(self._client.users_info(user=id))

    async def _user_by(self, email: str) -> Person | None:
        return await self._person(self._client.users_lookupByEmail(email=email))

    async def _person(self, call: Awaitable[Any]) -> Person | None:
        try:
            user = (await call)["user"]
            # An answer that names no team is about our own; a click's team is signed and checked besides.
            return person_from(user, team_id=str(user.get("team_id") or await self.home_team()))
        except SlackApiError as refused:
            if error_code(refused) in _NOBODY:
                return None
            raise

    async def _dnd(self, id: str) -> Mapping[str, Any]:
        answer = await self._client.dnd_info(user=id)
        return dict(answer.data) if isinstance(answer.data, dict) else {}

    async def _group(self, group: str) -> frozenset[SlackId]:
        try:
            answer = await self._client.usergroups_users_list(usergroup=group)
        except SlackApiError as refused:
            if error_code(refused) != "no_such_subteam":
                raise
            raise SourceGone(
                f"There is no user group {group} in Slack any more, so it entitles nobody to decide this; "
                "whoever is named in person still can. Nothing was done."
            ) from refused
        return frozenset(SlackId(user) for user in answer["users"] or ())


_PREFETCHED = 20

_GUESTS = ("is_restricted", "is_ultra_restricted", "is_stranger")
"""Flags of people who are in a channel and not members; a stranger came by Slack Connect."""


def person_from(user: Any, *, team_id: str) -> Person:
    """A `Person` from Slack's user object (docs.slack.dev, objects/user-object)."""
    profile = user.get("profile") or {}
    # Display names are chosen freely and changed often; an audit wants the real one.
    name = user.get("real_name") or profile.get("real_name") or profile.get("display_name")
    return Person(
        id=SlackId(user["id"]),
        team_id=team_id,
        name=str(name or user.get("name") or user["id"]),
        email=profile.get("email"),
        tz=user.get("tz"),
        is_bot=bool(user.get("is_bot")) or user["id"] == "USLACKBOT",
        is_guest=any(user.get(kind) for kind in _GUESTS),
        is_deleted=bool(user.get("deleted")),
    )
