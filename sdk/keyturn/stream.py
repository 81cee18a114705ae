"""A request's event stream, as state without I/O: parse, remember the place, say when to resume.

Server-sent events as in the WHATWG HTML standard, section 9.2. Lines are split on CR, LF and CRLF only:
a general line splitter would also cut JSON at U+2028.
"""

import re

from pydantic import ValidationError

from keyturn import exact
from keyturn.errors import Unreachable
from keyturn.exchange import BUSY, GATEWAY, Answer, Call, NoAnswer, delay, failure, refusal
from keyturn.flows import events_call
from keyturn.models import Event, Request
from keyturn.settings import Settings

HEARTBEAT = 15.0
"""Seconds between the server's signs of life."""
SILENCE = 3 * HEARTBEAT
"""Seconds without any byte after which the connection counts as lost."""

_LINE_END = re.compile(rb"\r\n|\n|\r")


class Lines:
    """Cuts a byte stream into lines; a CR at the end of a piece may be half of a CRLF."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, piece: bytes) -> list[bytes]:
        """Return the lines that `piece` completes."""
        data = self._rest + piece
        held = b"\r" if data.endswith(b"\r") else b""
        *lines, rest = _LINE_END.split(data[: len(data) - len(held)])
        self._rest = rest + held
        return lines


class Stream:
    """The life of one subscription over as many connections as it takes."""

    def __init__(self, settings: Settings, request_id: str, last_seq: str | None) -> None:
        self._settings = settings
        self._request_id = request_id
        self._last_seq = last_seq
        self._latest: Request | None = None
        self._heard = settings.clock()
        self._failures = 0
        self._reset()

    def call(self) -> Call:
        """The GET of the next connection; it goes on where the last one broke."""
        self._reset()
        return events_call(self._request_id, self._last_seq)

    def feed(self, piece: bytes) -> list[Event]:
        """Return the events that `piece` completes.

        Raises:
            Unreachable: the data is not a Keyturn server's.
        """
        return [event for line in self._lines.feed(piece) if (event := self._line(line)) is not None]

    def resume_in(self, result: Answer | NoAnswer | None) -> float | None:
        """Seconds to wait before reconnecting; None when the stream is over.

        Args:
            result: A refusal, a broken connection, or None when the server closed the stream in order.

        Raises:
            KeyturnError: the server refused, or has been away for longer than `settings.outage`.
        """
        if isinstance(result, Answer) and result.status not in BUSY | GATEWAY:
            raise refusal(result)
        if result is None and self._latest is not None and self._latest.settled:
            return None
        again = result or NoAnswer(ConnectionError("the server closed the stream"), sent=True)
        pause = delay(again, self._failures)
        self._failures += 1
        if self._settings.clock() - self._heard + pause > self._settings.outage:
            raise failure(self.call(), again)
        return pause

    def know(self, request: Request) -> None:
        """Take note of the request's state, learned otherwise."""
        self._latest = request

    def _reset(self) -> None:
        self._lines = Lines()
        self._name, self._data, self._seq = "", list[bytes](), self._last_seq

    def _line(self, line: bytes) -> Event | None:
        self._heard = self._settings.clock()
        if not line:
            return self._dispatch()
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        match name:
            case b"event":
                self._name = value.decode("utf-8", "replace")
            case b"data":
                self._data.append(value)
            case b"id" if b"\0" not in value:
                self._seq = value.decode("utf-8", "replace") or None
        return None

    def _dispatch(self) -> Event | None:
        self._last_seq = self._seq
        name, data = self._name or "message", b"\n".join(self._data)
        self._name, self._data = "", []
        if not data:
            return None
        try:
            request = Request.model_validate(exact.loads(data))
        except (ValueError, ValidationError) as error:
            raise Unreachable(f"The event {name!r} holds no request; check KEYTURN_URL ({error})") from error
        self._latest, self._failures = request, 0
        return Event(seq=self._last_seq, event=name, request=request)
