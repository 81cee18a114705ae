"""What a kind of notification is: a channel that can be opened, sent through and closed.

The built-in kinds are channels, and so are third-party ones, which are found by the entry-point
group `keyturn.notifications`. A channel says how a try went by returning or by raising; when to
try again, what is audited and what happens after a decision is not its business.
"""

import random
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from bot.core.models import JsonObject
from bot.services.outbox import Delivery, Failed, Later

RETRIES = tuple(
    timedelta(**step)
    for step in (
        {"seconds": 5},
        {"minutes": 5},
        {"minutes": 30},
        {"hours": 2},
        {"hours": 5},
        {"hours": 10},
        {"hours": 14},
        {"hours": 20},
        {"hours": 24},
    )
)
"""How long to wait after each try: the example schedule of Standard Webhooks, 75 h 35 min 5 s in all."""

_JITTER = 0.1


@dataclass(frozen=True, slots=True)
class Notice:
    """One word to one address: a request waits for a person.

    `id` is the same for every try, so that a receiver can tell repeats. Nothing in it can decide
    anything: decisions are made in Slack, where `link` leads.
    """

    id: str
    address: str
    """As it stands in the policy."""
    title: str
    """One line."""
    description: str
    """A few lines of plain text."""
    severity: str
    """The risk level: `none` `low` `medium` `high` `critical`."""
    at: datetime
    """When the level opened."""
    link: str | None
    """The request's card in Slack; None while Slack is away."""
    data: JsonObject
    """Facts for programs: `request_id`, `agent`, `action_type`, `risk`, `level`, `rule`, times."""


class Channel(Protocol):
    """A kind of notification. One object serves all addresses of its kind; calls may overlap."""

    async def initialize(self, settings: Mapping[str, str]) -> None:
        """Open what is needed, once, before the first notice.

        Args:
            settings: `KEYTURN_NOTIFY_<KIND>_<NAME>` of the environment, by `name`.

        Raises:
            ValueError: a setting is missing or wrong; the message says which, and Keyturn does not start.
        """
        ...

    async def send_notification(self, notice: Notice) -> None:
        """Try once, within 15 s; the receiver has it when this returns.

        Raises:
            Undeliverable: it can never arrive at this address.
            TryLater: it may arrive later. Anything else that is raised counts as this.
        """
        ...

    async def shutdown(self) -> None:
        """Close what was opened; nothing is sent after it."""
        ...


class NotDelivered(Exception):
    """A try failed. `code` is a short snake_case word for the audit, such as `unreachable`."""

    def __init__(self, code: str, detail: str = "") -> None:
        super().__init__(detail or code)
        self.code = code


class Undeliverable(NotDelivered):
    """It can never arrive: `unknown_recipient`, `refused`, `bounced`, `gone`, `not_configured`, …"""


class TryLater(NotDelivered):
    """It did not arrive now: `unreachable`, `timeout`, `deferred`, … `after` is the receiver's own wish."""

    def __init__(self, code: str, detail: str = "", *, after: timedelta | None = None) -> None:
        super().__init__(code, detail)
        self.after = after


def outcome(attempts: int, trouble: NotDelivered) -> Delivery:
    """What a failed try means for the outbox: never again, or again by the schedule.

    Args:
        attempts: How many tries there were, this one included.
    """
    if not isinstance(trouble, TryLater) or attempts > len(RETRIES):
        return Failed(trouble.code)
    wait = RETRIES[attempts - 1] * (1 + random.uniform(0, _JITTER))
    return Later(trouble.code, wait if trouble.after is None else max(wait, trouble.after))
