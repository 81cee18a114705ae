"""Bringing payloads to the bot over either transport, with Slack's patience and no more.

Interactions and commands get one chance of `ack_seconds`; events are retried three times. Nothing here
raises for what the bot does: an `Answer` says what happened.
"""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from aiohttp import ClientError

from bot.sandbox.faults import Faults
from bot.sandbox.model import Json
from bot.sandbox.signals import Tasks
from bot.sandbox.signed_http import Refused
from bot.sandbox.traffic import Traffic

ACK_SECONDS = 3.0
# At once, after a minute, after five (docs.slack.dev/apis/events-api, "Error handling").
EVENT_RETRY_SECONDS = (0.0, 60.0, 300.0)


# Which retry of an event this is, from 1, and why.
Retry = tuple[int, str]


class Transport(Protocol):
    """A way to the bot. `kind` is `socket` or `http`."""

    kind: str

    @property
    def connected(self) -> bool:
        """Whether a payload could be sent at this moment."""

    async def send(self, kind: str, body: Json, retry: Retry | None = None) -> Any:
        """Send one payload and return the body of its acknowledgement."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of one delivery.

    Attributes:
        body: What the bot acknowledged with; None for a bare acknowledgement.
        problem: None, or in Slack's retry words: `http_timeout`, `connection_failed`, `http_error`.
        retry: False when the bot asked not to be retried.
    """

    body: Any = None
    problem: str | None = None
    retry: bool = True
    status: int | None = None


class Delivery:
    """Sends payloads over the transport in use and logs each with its answer."""

    def __init__(
        self,
        transport: Transport,
        faults: Faults,
        traffic: Traffic,
        tasks: Tasks,
        ack_seconds: float = ACK_SECONDS,
        event_retry_seconds: Sequence[float] = EVENT_RETRY_SECONDS,
    ) -> None:
        self.transport = transport
        self._faults = faults
        self._traffic = traffic
        self._tasks = tasks
        self._ack_seconds = ack_seconds
        self._event_retry_seconds = tuple(event_retry_seconds)

    async def interaction(self, body: Json) -> Answer:
        """Deliver an interaction payload."""
        return await self._once_or_twice("interactive", body["type"], body)

    async def command(self, fields: dict[str, str]) -> Answer:
        """Deliver a slash command."""
        return await self._once_or_twice("slash_commands", fields["command"], fields)

    async def event(self, body: Json) -> Answer:
        """Deliver an event; its retries, if it needs any, go on in the background."""
        answer = await self._attempt("events_api", body["event"]["type"], body)
        if answer.problem and answer.retry:
            self._tasks.start(self._retry_event(body, answer.problem))
        return answer

    async def _once_or_twice(self, kind: str, name: str, body: Json) -> Answer:
        copies = 2 if self._faults.take(("duplicate_delivery",), name) else 1
        answers = await asyncio.gather(*(self._attempt(kind, name, body) for _ in range(copies)))
        return answers[0]

    async def _retry_event(self, body: Json, reason: str) -> None:
        for number, wait in enumerate(self._event_retry_seconds, start=1):
            await asyncio.sleep(wait)
            answer = await self._attempt("events_api", body["event"]["type"], body, (number, reason))
            if not answer.problem or not answer.retry:
                return
            reason = answer.problem

    async def _attempt(self, kind: str, name: str, body: Json, retry: Retry | None = None) -> Answer:
        started, transport = time.monotonic(), self.transport.kind
        answer = await self._send(kind, name, body, retry)
        note = answer.problem or (f"retry {retry[0]}: {retry[1]}" if retry else None)
        self._traffic.record(
            transport, name, body, answer.body, started=started, status=answer.status, note=note
        )
        return answer

    async def _send(self, kind: str, name: str, body: Json, retry: Retry | None) -> Answer:
        try:
            async with asyncio.timeout(self._ack_seconds):
                answered = await self.transport.send(kind, body, retry)
                if self._faults.take(("drop_ack",), name):
                    # Nothing will come any more, but Slack does not know: it waits its full time.
                    await asyncio.Event().wait()
        except TimeoutError:
            return Answer(problem="http_timeout")
        except (ClientError, OSError):
            return Answer(problem="connection_failed")
        except ValueError:
            return Answer(problem="http_error", status=200)
        except Refused as refused:
            return Answer(problem="http_error", retry=refused.retry, status=refused.status)
        return Answer(body=answered, status=200 if self.transport.kind == "http" else None)
