"""A channel for the stock `HumanActionHandler` of agent-safeguards 0.1.3: its agents ask Keyturn, unchanged.

    channel = KeyturnChannel()
    channel.initialize({"webhook_url": "http://127.0.0.1:8420", "api_key": "<token>", "timeout_seconds": 300})
    handler = HumanActionHandler(channel)

The library is not imported and need not be installed. It has two answers, yes and no, and carries
changes as text lines, so this channel says yes only when that text means exactly what was approved,
and only after the approval was claimed: what Safeguards is told to run can run once.
"""

import logging
import re
import threading
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any, Protocol

from keyturn import exact
from keyturn.client import Client
from keyturn.errors import ConfigurationError, KeyturnError, NotApproved
from keyturn.flows import RequestOptions
from keyturn.guard import shortened
from keyturn.models import Decision, Params, Request, Status, Urgency

ApprovalCallback = Callable[[str, bool, str], None]
"""Called with (request id, approved, comments)."""

ACTION_TYPE = re.compile(r"[a-z][a-z0-9_.:-]{0,63}")
COMPAT_PATH = "/compat/safeguards"
TIMED_OUT = "Request timed out"
"""What the library's own channel says; it has no other word for it."""

_URGENCY: Mapping[str, Urgency] = {
    "INFO": "normal",
    "WARNING": "high",
    "ERROR": "high",
    "CRITICAL": "critical",
}
_COLON = "\N{RATIO}"
"""Stands for a colon in a reviewer's words: the library takes any "text: text" line for a change."""
_PAUSE, _PATIENCE = 0.005, 5.0

_log = logging.getLogger("keyturn")


class Alert(Protocol):
    """What is used of a Safeguards `SafetyAlert`."""

    title: str
    description: str
    severity: Any
    metadata: dict[str, Any]


class KeyturnChannel:
    """Stands where a `HumanInTheLoopChannel` stood.

    Args:
        client: Used instead of one made by `initialize`; the caller closes it.
    """

    def __init__(self, client: Client | None = None) -> None:
        self._client = client
        self._owned: Client | None = None
        self._timeout_seconds: int | None = None
        self._open = client is not None

    def initialize(self, config: Mapping[str, Any]) -> None:
        """Configure as the stock channel is configured.

        Args:
            config: `webhook_url` (the server, with or without `/compat/safeguards`; else `KEYTURN_URL`),
                `api_key` (the token; else `KEYTURN_TOKEN`), `timeout_seconds`. `poll_interval` is not
                needed: decisions arrive when they are made.

        Raises:
            ConfigurationError: no address, no token, or a timeout outside 1..604800; it is a ValueError.
        """
        seconds = int(config.get("timeout_seconds", 300))
        if not 1 <= seconds <= 604_800:
            raise ConfigurationError(f"timeout_seconds must be 1..604800, not {seconds}")
        self._timeout_seconds, self._open = seconds, True
        if self._client is None:
            address = str(config.get("webhook_url") or "").rstrip("/").removesuffix(COMPAT_PATH)
            self._client = self._owned = Client(address or None, config.get("api_key") or None)

    @property
    def client(self) -> Client:
        """The client in use, to report an outcome under `action.request_id` for example.

        Raises:
            ConfigurationError: `initialize` was not called, or `shutdown` was.
        """
        if self._client is None:
            raise ConfigurationError("The channel is not initialized, or is shut down: call initialize")
        return self._client

    def send_notification(self, alert: Alert) -> bool:
        """Ask for the alert's action; False, and a logged reason, when nothing was asked.

        Puts the request's id into `alert.metadata["request_id"]`, in a copy: the caller's dict is often
        the transaction itself.
        """
        try:
            asked = self._ask(alert)
        except (KeyturnError, TypeError, ValueError) as error:
            _log.error("Keyturn was not asked for %r: %s", alert.title, error, extra={"event": "ask_failed"})
            return False
        alert.metadata = {**alert.metadata, "request_id": asked.id}
        return True

    def _ask(self, alert: Alert) -> Request:
        client, params = self.client, alert.metadata
        named = params.get("action_type")
        valid = isinstance(named, str) and ACTION_TYPE.fullmatch(named)
        severity = str(getattr(alert.severity, "name", alert.severity)).upper()
        options = RequestOptions(urgency=_URGENCY.get(severity, "normal"))
        if self._timeout_seconds is not None:
            options["timeout_seconds"] = self._timeout_seconds
        kind = str(named) if valid else "safeguards_alert"
        return client.request(kind, params, shortened(f"{alert.title}\n{alert.description}"), **options)

    def register_approval_callback(self, request_id: str, callback: ApprovalCallback) -> None:
        """Deliver the decision of `request_id` to `callback`, once, from a background thread."""
        self.client.watch(
            request_id,
            lambda decided: self._deliver(request_id, callback, decided),
            lambda error: self._deliver(request_id, callback, error),
        )

    def shutdown(self) -> None:
        """Stop waiting. Open requests stay pending on the server; their callbacks are not called."""
        self._open = False
        if self._owned is not None:
            self._owned.close()
            self._client = self._owned = None

    def _deliver(self, request_id: str, callback: ApprovalCallback, outcome: Request | KeyturnError) -> None:
        if not self._open or not _awaited(callback, request_id):
            _log.warning(
                "Nobody waits for %s any more; it was not claimed", request_id,
                extra={"event": "decision_unclaimed"},
            )  # fmt: skip
            return
        approved, comments = self._verdict(outcome)
        callback(request_id, approved, comments)

    def _verdict(self, outcome: Request | KeyturnError) -> tuple[bool, str]:
        if isinstance(outcome, KeyturnError):
            return False, f"No decision could be had: {outcome}"
        if outcome.status is Status.TIMED_OUT:
            return False, TIMED_OUT
        try:
            decision = outcome.ensure_approved()
            comments = _comments(outcome, decision)
            self.client.claim(outcome)
        except NotApproved as refused:
            return False, refused.reason or str(refused)
        except KeyturnError as error:
            return False, str(error)
        return True, comments


def apply_modifications(original: Mapping[str, Any], modifications: Mapping[str, str]) -> Params:
    """Return `original` with a handler's `response_data` applied, each value of the type it had.

    Raises:
        KeyError: a key that `original` does not have.
        ValueError: a value that cannot be read as that type.
    """
    changed = dict(original)
    for key, text in modifications.items():
        changed[key] = _typed(original[key], text)
    return changed


def _typed(before: Any, text: str) -> Any:
    match before:
        case str():
            return text
        case bool() | None | list() | tuple() | dict():
            return exact.loads(text)
        case Decimal() | int() | float():
            try:
                return type(before)(text)
            except ArithmeticError as error:  # Decimal's way to say that it is no number
                raise ValueError(f"{text!r} is not a {type(before).__name__}") from error
    raise ValueError(f"A {type(before).__name__} cannot be read from text")


class CannotCarry(KeyturnError):
    """Safeguards' text lines cannot say what the reviewer changed."""


def _comments(request: Request, decision: Decision) -> str:
    """The reviewer's changes as "key: value" lines, then the reviewer's words without colons.

    Raises:
        CannotCarry: the library would read back something else than what was approved.
    """
    asked, approved = request.params, decision.params or {}
    if removed := set(asked) - set(approved):
        raise CannotCarry(f"The reviewer removed {sorted(removed)[0]!r}, which Safeguards cannot be told")
    changes = {
        key: value if isinstance(value, str) else exact.dumps(value)
        for key, value in approved.items()
        if key not in asked or not exact.same(value, asked[key])
    }
    conditions = decision.conditions.text if decision.conditions is not None else None
    words = [text.replace(":", _COLON) for text in (decision.reason, conditions) if text]
    comments = "\n".join([*(f"{key}: {value}" for key, value in changes.items()), *words])
    if _as_the_library_reads(comments) != changes:
        raise CannotCarry("The reviewer's change does not fit on one line of text, as Safeguards needs it")
    return comments


def _as_the_library_reads(comments: str) -> dict[str, str]:
    """`HumanActionHandler._parse_modifications` of agent-safeguards 0.1.3."""
    read = {}
    for line in comments.split("\n"):
        key, colon, value = line.partition(":")
        if colon and key.strip() and value.strip():
            read[key.strip()] = value.strip()
    return read


def _awaited(callback: ApprovalCallback, request_id: str) -> bool:
    """Whether the stock handler still waits for this request.

    It registers its callback before it has set up what the callback needs, and forgets the request when
    its own timeout passes. Its table of events tells both; any other receiver is ready at once.
    """
    events = getattr(getattr(callback, "__self__", None), "_action_events", None)
    if events is None:
        return True
    waited, pause = 0.0, threading.Event()
    while request_id not in events and waited < _PATIENCE:
        pause.wait(_PAUSE)
        waited += _PAUSE
    return request_id in events
