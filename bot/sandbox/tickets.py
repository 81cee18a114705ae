"""Short-lived capabilities Slack hands to an app: trigger ids, response URLs, Socket Mode tickets."""

import secrets
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from bot.sandbox.errors import SlackError

TRIGGER_SECONDS = 3.0
RESPONSE_SECONDS = 30 * 60.0
RESPONSE_USES = 5
MAX_KEPT = 10_000

Clock = Callable[[], float]


@dataclass(slots=True)
class Trigger:
    """Leave to open one modal for `user`."""

    user: str
    issued_at: float
    used: bool = False


class Triggers:
    """Issues trigger ids and exchanges each once, within 3 s (docs.slack.dev: handling user interaction)."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._issued: OrderedDict[str, Trigger] = OrderedDict()

    def issue(self, user: str) -> str:
        """A new trigger id, in Slack's three-part shape."""
        trigger_id = f"{secrets.randbelow(10**13)}.{secrets.randbelow(10**12)}.{secrets.token_hex(16)}"
        self._issued[trigger_id] = Trigger(user, self._clock())
        if len(self._issued) > MAX_KEPT:
            self._issued.popitem(last=False)
        return trigger_id

    def exchange(self, trigger_id: str) -> Trigger:
        """Use up a trigger id.

        Raises:
            SlackError: `invalid_trigger_id`, `exchanged_trigger_id` or `expired_trigger_id`.
        """
        trigger = self._issued.get(trigger_id)
        if trigger is None:
            raise SlackError("invalid_trigger_id")
        if trigger.used:
            raise SlackError("exchanged_trigger_id")
        if self._clock() - trigger.issued_at > TRIGGER_SECONDS:
            raise SlackError("expired_trigger_id")
        trigger.used = True
        return trigger


@dataclass(slots=True)
class ResponseUrl:
    """Leave to answer in a channel; `message_ts` is the message the person acted on, if any."""

    user: str
    channel: str
    message_ts: str | None
    issued_at: float
    uses: int = 0


class ResponseUrls:
    """Issues response URLs, each good for 5 uses in 30 minutes."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._issued: OrderedDict[str, ResponseUrl] = OrderedDict()

    def issue(self, user: str, channel: str, message_ts: str | None = None) -> str:
        """The secret last part of a new response URL."""
        key = secrets.token_urlsafe(24)
        self._issued[key] = ResponseUrl(user, channel, message_ts, self._clock())
        if len(self._issued) > MAX_KEPT:
            self._issued.popitem(last=False)
        return key

    def use(self, key: str) -> ResponseUrl:
        """Count one use.

        Raises:
            SlackError: `invalid_url`, `used_url` or `expired_url`.
        """
        found = self._issued.get(key)
        if found is None:
            raise SlackError("invalid_url")
        if self._clock() - found.issued_at > RESPONSE_SECONDS:
            raise SlackError("expired_url")
        if found.uses >= RESPONSE_USES:
            raise SlackError("used_url")
        found.uses += 1
        return found


class SocketTickets:
    """Single-use tickets for the websocket."""

    def __init__(self) -> None:
        self._open: set[str] = set()

    def issue(self) -> str:
        """A new ticket."""
        ticket = secrets.token_urlsafe(18)
        self._open.add(ticket)
        return ticket

    def redeem(self, ticket: str) -> bool:
        """Whether the ticket was good; it no longer is."""
        if ticket not in self._open:
            return False
        self._open.discard(ticket)
        return True
