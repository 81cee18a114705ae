"""What people in Slack are refused, on record: late, stale and unauthorised clicks, forms and commands.

Whoever refuses writes the entry before anybody is told. The person is named as Slack names them, where
Slack says so in time; their id is certain, since Slack signed it.
"""

from dataclasses import dataclass

from bot.core import pausing
from bot.core.clock import Clock
from bot.core.errors import CannotVerify, KeyturnError
from bot.core.grants import Grant
from bot.core.models import Actor, ActorType, ApprovalRequest, Event, RequestId, SlackId, Via
from bot.services.directory import Directory
from bot.store import Store
from bot.store.commands import RecordEvents

_LONGEST = 300
"""Characters kept of what a click or a command named."""


@dataclass(frozen=True, slots=True)
class Tried:
    """What somebody tried, as a signed payload brought it.

    Args:
        what: The id of the button or the form, or the command.
        on: What it named, where that is no request: a grant, an agent, a command's words.
    """

    user_id: SlackId
    what: str | None
    on: str | None = None
    request_id: RequestId | None = None
    digest: str | None = None
    verdict: str | None = None


class Refusals:
    """Writes `review_refused`."""

    def __init__(self, store: Store, directory: Directory, clock: Clock) -> None:
        self._store = store
        self._directory = directory
        self._clock = clock

    async def record(self, tried: Tried, refusal: KeyturnError) -> None:
        """Enter one refusal; it stands under the request or the agent that it is about.

        Raises:
            Unavailable: it could not be stored.
        """
        about = None
        if tried.request_id is not None:
            about = await self._store.reads.request(tried.request_id)
        event = _refused(tried, refusal, await self._actor(tried.user_id), about)
        await self._store.write(RecordEvents((event,), self._clock.now()))

    async def _actor(self, user_id: SlackId) -> Actor:
        try:
            person = await self._directory.person(user_id)
        except CannotVerify:
            person = None
        return Actor(ActorType.HUMAN, user_id, user_id) if person is None else Actor.human(person)


def _refused(tried: Tried, refusal: KeyturnError, actor: Actor, about: ApprovalRequest | None) -> Event:
    body = {
        "code": refusal.code,
        "tried": tried.what,
        "on": None if tried.on is None else tried.on[:_LONGEST],
        "verdict": tried.verdict,
        "digest": tried.digest,
    }
    agent, request_id, session_id = _scope(tried, refusal, about)
    return Event("review_refused", actor, Via.SLACK, body, agent, request_id, session_id)


def _scope(
    tried: Tried, refusal: KeyturnError, about: ApprovalRequest | None
) -> tuple[str | None, str | None, str | None]:
    """Agent, request and session that the refusal is about."""
    grant = refusal.facts.get("grant")
    if about is not None:
        return about.agent, about.id, about.submission.session_id
    if isinstance(grant, Grant):
        return grant.agent, grant.request_id, grant.session_id
    return pausing.agent_in((tried.on or "").partition(" ")[0]), None, None
