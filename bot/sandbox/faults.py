"""Trouble on command: what Slack and the network do on a bad day, played when a rule says so."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from bot.sandbox.model import Json

WEB_FAULTS = ("rate_limited", "server_error", "drop_before", "drop_after", "outage", "error")
KNOWN = (*WEB_FAULTS, "slow", "duplicate_delivery", "drop_ack")


@dataclass(slots=True)
class Fault:
    """One rule.

    Attributes:
        fault: One of `KNOWN`.
        method: Only this Web API method (or, for deliveries, this payload type); None for any.
        count: How often it still plays; None: as long as `seconds` lasts, an outage until cleared.
        seconds: How long it is in force, from when it was added.
        retry_after: For `rate_limited`: whole seconds to name in Retry-After.
        delay: For `slow`: seconds to wait before answering.
        code: For `error`: the Slack error code to answer with.
    """

    fault: str
    method: str | None = None
    count: int | None = None
    seconds: float | None = None
    retry_after: int = 1
    delay: float = 1.0
    code: str = "internal_error"
    ends_at: float | None = None


class Faults:
    """The rules in force, oldest first."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._rules: list[Fault] = []

    def add(self, given: Json) -> Fault:
        """Put a rule in force.

        Raises:
            ValueError: it is not a rule; the message says why.
        """
        if given.get("fault") not in KNOWN:
            raise ValueError(f"Unknown fault {given.get('fault')!r}; known are {', '.join(KNOWN)}.")
        try:
            rule = Fault(**{name: value for name, value in given.items() if name != "ends_at"})
        except TypeError as error:
            raise ValueError(f"Not a fault rule: {error}.") from error
        if rule.count is None and rule.seconds is None and rule.fault != "outage":
            rule.count = 1
        if rule.seconds is not None:
            rule.ends_at = self._clock() + rule.seconds
        self._rules.append(rule)
        return rule

    def clear(self) -> None:
        """End every rule."""
        self._rules.clear()

    def active(self) -> list[dict[str, Any]]:
        """The rules in force, as JSON."""
        self._drop_ended()
        return [asdict(rule) for rule in self._rules]

    def take(self, kinds: Sequence[str], name: str) -> Fault | None:
        """The oldest rule of these kinds that applies to `name`; it has then played once."""
        self._drop_ended()
        for rule in self._rules:
            if rule.fault in kinds and rule.method in (None, name):
                if rule.count is not None:
                    rule.count -= 1
                return rule
        return None

    def _drop_ended(self) -> None:
        now = self._clock()
        self._rules = [
            rule
            for rule in self._rules
            if (rule.count is None or rule.count > 0) and (rule.ends_at is None or now < rule.ends_at)
        ]


class Pace:
    """Slack's rule of one message a second per channel, with a little leave for bursts.

    Slack allows "short bursts" without a number; four is this sandbox's reading of it.
    """

    BURST = 4.0
    PER_SECOND = 1.0

    def __init__(self, clock: Callable[[], float], enforced: bool = True) -> None:
        self._clock = clock
        self._buckets: dict[str, tuple[float, float]] = {}
        self.enforced = enforced

    def admit(self, channel_id: str) -> bool:
        """Whether one more message may be posted there now; counts it if so."""
        if not self.enforced:
            return True
        now = self._clock()
        left, at = self._buckets.get(channel_id, (self.BURST, now))
        left = min(self.BURST, left + (now - at) * self.PER_SECOND)
        admitted = left >= 1
        self._buckets[channel_id] = (left - 1 if admitted else left, now)
        return admitted
