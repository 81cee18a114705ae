"""One call to the server, with its retries, as a generator that does no I/O.

A flow yields `Call` or `Sleep`; a client, blocking or async, does it and sends the result back.
So both clients share every rule of retrying and waiting. A call that may have reached the server
is repeated only where a repetition cannot do anything twice.
"""

import random
from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, TypeVar
from uuid import uuid4

from pydantic import TypeAdapter, ValidationError

from keyturn import exact
from keyturn.errors import ApiError, KeyturnError, NotApproved, Unreachable, from_problem
from keyturn.settings import Settings

T = TypeVar("T")

BUSY = frozenset({429, 503})
"""Statuses that promise that nothing was done."""
GATEWAY = frozenset({502, 504})
"""A proxy lost the server; whether it had the call is unknown."""
FIRST_PAUSE, LONGEST_PAUSE = 0.2, 5.0


@dataclass(frozen=True, slots=True)
class Call:
    """One HTTP exchange. `patience` is seconds of server-side waiting on top of the usual timeout."""

    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    patience: float = 0.0
    repeatable: bool = True

    @property
    def idempotency_key(self) -> str | None:
        """The key that makes repeating a POST harmless."""
        return self.headers.get("Idempotency-Key")


@dataclass(frozen=True, slots=True)
class Sleep:
    """Let `seconds` pass."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back; header names in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def retry_after(self) -> float | None:
        """Seconds the server asks to wait, from a number or an HTTP date (RFC 9110 section 10.2.3)."""
        text = self.headers.get("retry-after", "").strip()
        if text.isdecimal():
            return float(text)
        try:
            return max(0.0, (parsedate_to_datetime(text) - datetime.now(UTC)).total_seconds())
        except (TypeError, ValueError):
            return None


@dataclass(frozen=True, slots=True)
class NoAnswer:
    """The exchange broke.

    Attributes:
        sent: False only when the server surely never saw it.
        final: Trying again is pointless.
    """

    error: Exception
    sent: bool
    final: bool = False


CLOSED = NoAnswer(RuntimeError("the client is closed"), sent=False, final=True)


Flow = Generator[Call | Sleep, Answer | NoAnswer | None, T]


def post(path: str, body: Mapping[str, Any], *, key: str | None = None, repeatable: bool = True) -> Call:
    """A POST of exact JSON with an idempotency key, a fresh one unless given."""
    headers = {"Content-Type": "application/json", "Idempotency-Key": key or str(uuid4())}
    return Call("POST", path, body=exact.dumps(body).encode("utf-8"), headers=headers, repeatable=repeatable)


def once(call: Call) -> Flow[Answer | NoAnswer]:
    """Do the call, once.

    Raises:
        Unreachable: the client is closed.
    """
    result = yield call
    assert result is not None  # a client answers every Call
    if isinstance(result, NoAnswer) and result.final:
        raise failure(call, result)
    return result


def sleep(seconds: float) -> Flow[None]:
    """Let some time pass."""
    yield Sleep(seconds)


def insist(call: Call, settings: Settings) -> Flow[Answer]:
    """Do the call; repeat it while the server is away or busy, for `settings.retry_for` at most.

    Returns the first real answer, which may be a refusal.

    Raises:
        Unreachable: no answer in that time, or one that must not be asked for twice was lost.
        RateLimited, Unavailable: the server was busy for all that time.
    """
    started, attempt = settings.clock(), 0
    while True:
        result = yield from once(call)
        if isinstance(result, Answer) and result.status not in BUSY | GATEWAY:
            return result
        pause = delay(result, attempt)
        spent = settings.clock() - started + pause
        if not may_repeat(call, result) or spent > settings.retry_for:
            raise failure(call, result)
        yield from sleep(pause)
        attempt += 1


def may_repeat(call: Call, result: Answer | NoAnswer) -> bool:
    """Whether the call can be sent again without a chance that it is done twice."""
    if call.repeatable:
        return True
    return result.status in BUSY if isinstance(result, Answer) else not result.sent


def delay(result: Answer | NoAnswer, attempt: int) -> float:
    """Seconds before try `attempt` + 1: what the server asks for, else doubling with jitter."""
    asked = result.retry_after if isinstance(result, Answer) else None
    longest: float = min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** min(attempt, 10))
    return max(asked or 0.0, longest * random.uniform(0.5, 1.0))


def failure(call: Call, result: Answer | NoAnswer) -> KeyturnError:
    """The error for a call that is given up."""
    if isinstance(result, Answer) and result.status in BUSY:
        return refusal(result)
    why = f"HTTP {result.status}" if isinstance(result, Answer) else _told(result.error)
    return Unreachable(
        f"{call.method} {call.path}: no answer from the Keyturn server ({why}). Do not run the action.",
        idempotency_key=call.idempotency_key,
    )


def parsed(call: Call, answer: Answer, kind: TypeAdapter[T]) -> T:
    """Return the answer as `kind`.

    Raises:
        ApiError, NotApproved: the server refused.
        Unreachable: the answer is not one of Keyturn's.
    """
    if answer.status not in (200, 201, 202):
        raise refusal(answer)
    try:
        return kind.validate_python(exact.loads(answer.body))
    except (ValueError, ValidationError) as error:
        raise Unreachable(
            f"{call.method} {call.path}: the answer is not a Keyturn server's; check KEYTURN_URL ({error})",
            idempotency_key=call.idempotency_key,
        ) from error


def refusal(answer: Answer) -> ApiError | NotApproved | Unreachable:
    """The error that an answer other than success stands for."""
    problem: Any = None
    if "json" in answer.headers.get("content-type", ""):
        try:
            problem = exact.loads(answer.body)
        except ValueError:
            problem = None
    if isinstance(problem, Mapping) and answer.status >= 400:
        return from_problem(answer.status, problem, answer.retry_after)
    if answer.status in BUSY:
        code = "rate_limited" if answer.status == 429 else "unavailable"
        return from_problem(answer.status, {"code": code}, answer.retry_after)
    return Unreachable(f"HTTP {answer.status} without a problem document: not a Keyturn server's answer")


def _told(error: Exception) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
