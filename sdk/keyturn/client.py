"""The blocking client. Threads may share one; close it, or use `with`.

Every method that talks to the server repeats what is safe to repeat for `retry_for` seconds, then raises
from the tree in `keyturn.errors`. Nothing is ever approved by an error.
"""

import functools
import inspect
import ssl
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import TracebackType
from typing import Any, ParamSpec, Self, TypeVar, Unpack, cast

import httpx

from keyturn import flows, guard
from keyturn.aio import AsyncClient
from keyturn.background import BackgroundWaits
from keyturn.errors import KeyturnError
from keyturn.exchange import CLOSED, Answer, Call, Flow, NoAnswer, Sleep
from keyturn.http import call_timeout, http_options, no_answer, prepared, stream_timeout, taken
from keyturn.models import AuditEvent, Claim, Evaluation, Event, Page, Request, Rollback, Session, Status
from keyturn.settings import Settings, configured
from keyturn.stream import Stream

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")


class Client:
    """Asks a Keyturn server for approvals, blocking.

    Args:
        url: The server; else `KEYTURN_URL`.
        token: From `keyturn agents add`; else `KEYTURN_TOKEN`.
        timeout: Seconds one try of a call may take.
        retry_for: Seconds over which a call is repeated while the server is away or busy.
        outage: Seconds a wait without its own timeout sits through an unreachable server.
        verify: As in httpx: an `ssl.SSLContext` for a private certificate authority.
        proxy: As in httpx.
        on_unreported: Called with a request id and the outcome that could not be delivered.

    Raises:
        ConfigurationError: there is no address or no token.
    """

    def __init__(
        self,
        url: str | None = None,
        token: str | None = None,
        *,
        timeout: float = 10.0,
        retry_for: float = 60.0,
        outage: float = 900.0,
        verify: ssl.SSLContext | bool = True,
        proxy: str | None = None,
        on_unreported: Callable[[str, Mapping[str, Any]], None] | None = None,
    ) -> None:
        self._settings: Settings = configured(
            url,
            token,
            timeout=timeout,
            retry_for=retry_for,
            outage=outage,
            verify=verify,
            proxy=proxy,
            on_unreported=on_unreported,
        )
        self._http = httpx.Client(**http_options(self._settings))
        self._waits = BackgroundWaits(self._settings)

    @property
    def settings(self) -> Settings:
        """Where the server is, who asks, and how patient this client is."""
        return self._settings

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Stop background waits, let running `on_decision` callbacks end, and close the connections.

        Requests that were waited for stay pending on the server.
        """
        self._waits.close()
        self._http.close()

    # Asking

    def request(
        self,
        action_type: str,
        params: Mapping[str, Any],
        description: str,
        *,
        idempotency_key: str | None = None,
        on_decision: Callable[[Request], object] | None = None,
        on_error: Callable[[KeyturnError], object] | None = None,
        **options: Unpack[flows.RequestOptions],
    ) -> Request:
        """Ask for one action and return at once; the request may be pending or decided already.

        Args:
            action_type: For example `deployment`.
            params: What exactly is to be run. Decimal, int and float keep their value and digits.
            description: One or more sentences for the reviewer, 1..3000 characters.
            idempotency_key: Asking again with the same key and body returns the same request. Made for
                you, and kept over all retries, unless you need it across restarts of the agent.
            on_decision: Called once with the decided request, whatever the decision, in a background
                thread that belongs to this client.
            on_error: Called instead when waiting failed for good.

        Raises:
            InvalidRequest: the message says which field is wrong.
            Unreachable: whether the request was stored is unknown; ask again with `error.idempotency_key`.
        """
        asked = self._run(
            flows.request(self._settings, action_type, params, description, idempotency_key, options)
        )
        if on_decision is not None:
            self.watch(asked, on_decision, on_error)
        return asked

    def watch(
        self,
        request: Request | str,
        on_decision: Callable[[Request], object],
        on_error: Callable[[KeyturnError], object] | None = None,
    ) -> None:
        """Call `on_decision` once when the request is decided; returns at once.

        Callbacks run side by side in a small pool of threads; their exceptions are logged.
        """
        self._waits.watch(_id(request), on_decision, on_error)

    def wait(self, request: Request | str, *, timeout: float | None = None) -> Request:
        """Wait until the request is decided; return it if the action may run.

        Lost connections, 503 and restarts of the server are waited through.

        Args:
            timeout: Seconds of your own patience; None waits as long as the server's deadlines allow.

        Raises:
            NotApproved: the answer is no: Rejected, PolicyRejected, Paused, TimedOut or Cancelled.
            NotYetDecided: `timeout` passed; the request is still pending.
            Unreachable: the server has been away for too long.
        """
        decided = self._run(flows.wait(self._settings, _id(request), timeout))
        decided.ensure_approved()
        return decided

    def claim(
        self, request: Request | str, *, preview: str | None = None, audience: str | None = None
    ) -> Claim:
        """Use the approval, once; run exactly the params of the result.

        The params are checked against the approved digest before they are returned.

        Args:
            preview: The dry run as it reads at this moment, where the request was made with a preview.
            audience: The tool server the receipt is meant for.

        Raises:
            ClaimRefused: AlreadyClaimed, ApprovalExpired, OutsideWindow, DigestMismatch, PreviewChanged.
            Paused: the kill switch was turned after the approval.
            NotApproved, NotYetDecided: there is nothing to claim.
        """
        decided = self.get(_id(request)) if isinstance(request, str) or not request.decided else request
        return self._run(flows.claim(self._settings, decided, preview, audience))

    def report(self, request: Request | str, *, success: bool, **fields: Unpack[flows.OutcomeFields]) -> None:
        """Tell what became of the claimed action. Reporting the same again changes nothing.

        Raises:
            NotClaimed: claim first.
            OutcomeConflict: something else was reported before.
        """
        self._run(flows.report(self._settings, _id(request), success, fields))

    # Guarding

    @contextmanager
    def approved(
        self,
        action_type: str,
        params: Mapping[str, Any],
        description: str,
        *,
        preview: str | Callable[[], str] | None = None,
        rollback: Rollback | None = None,
        wait_timeout: float | None = None,
        idempotency_key: str | None = None,
        audience: str | None = None,
        **options: Unpack[flows.CommonOptions],
    ) -> Iterator[guard.Action]:
        """Ask, wait and claim; run the block with `action.params`; report how it went.

        The block does not run unless its approval was claimed. Its exception is reported and raised.

        Args:
            preview: The dry run; a function is called again right before the claim, and a difference
                raises PreviewChanged.
            rollback: The planned undo; set `action.rollback` in the block to report the real one.
            wait_timeout: Seconds of your own patience. Prefer `timeout_seconds`, the reviewers' deadline.
            idempotency_key: Blocks with one key share one approval: the second finds it claimed.

        Raises:
            KeyturnError: everything `request`, `wait` and `claim` raise.
        """
        ask = guard.Ask(
            action_type,
            params,
            description,
            options,
            preview=preview,
            rollback=rollback,
            wait_timeout=wait_timeout,
            idempotency_key=idempotency_key,
            audience=audience,
        )
        with self._guarded(ask) as action:
            yield action

    def requires_approval(
        self,
        action_type: str,
        *,
        description: str | Callable[..., str] | None = None,
        exclude: tuple[str, ...] = (),
        preview: Callable[..., str] | None = None,
        rollback: Callable[..., Rollback | None] | None = None,
        output: Callable[[Any], Any] | None = None,
        idempotency_key: Callable[..., str] | None = None,
        wait_timeout: float | None = None,
        audience: str | None = None,
        **options: Unpack[flows.CommonOptions],
    ) -> Callable[[Callable[P, R]], Callable[P, R]]:
        """Make a function run only when approved, with the approved arguments.

        The arguments are the params. An async function is awaited without blocking its event loop.

        Args:
            description: A template over the arguments (`"Deploy {version}"`), a function of them, or
                None for the first line of the docstring.
            exclude: Arguments that are no part of the action and that nobody reviews, a connection say.
            preview: Called with the arguments; returns the dry run.
            rollback: Called with the approved arguments right before the function; returns undo data.
            output: Called with the result; returns what to report of it. Nothing is reported without.
            idempotency_key: Called with the arguments; equal keys run at most once, even across crashes.

        Raises:
            TypeError: a generator function, or an `exclude` that the function does not have.
        """

        def decorate(function: Callable[P, R]) -> Callable[P, R]:
            guarded = guard.Guard(
                function,
                action_type,
                description=description,
                exclude=exclude,
                preview=preview,
                rollback=rollback,
                output=output,
                idempotency_key=idempotency_key,
                wait_timeout=wait_timeout,
                audience=audience,
                options=options,
            )
            if inspect.iscoroutinefunction(function):
                return self._decorated_async(guarded, cast("Callable[P, R]", function))

            @functools.wraps(function)
            def call(*args: P.args, **kwargs: P.kwargs) -> R:
                bound = guarded.bound(args, kwargs)
                with self._guarded(guarded.ask(bound, args, kwargs)) as action:
                    result = guarded.run(bound, action)
                    guarded.note(action, result)
                    return result

            return call

        return decorate

    def _decorated_async(self, guarded: guard.Guard[P, R], function: Callable[P, R]) -> Callable[P, R]:
        @functools.wraps(function)
        async def call(*args: P.args, **kwargs: P.kwargs) -> Any:
            # A client of its own: connections must not cross event loops, and waiting must be cancellable.
            async with AsyncClient.of(self._settings) as client:
                return await client.run_guarded(guarded, args, kwargs)

        return cast("Callable[P, R]", call)

    @contextmanager
    def _guarded(self, ask: guard.Ask) -> Iterator[guard.Action]:
        action = self._run(guard.begin(self._settings, ask))
        try:
            with guard.entered(action):
                yield action
        except BaseException as error:
            self._run(guard.finish(self._settings, action, error))
            raise
        self._run(guard.finish(self._settings, action, None))

    # Reading and talking

    def get(self, request_id: str) -> Request:
        """Return the request as it stands."""
        return self._run(flows.get(self._settings, request_id))

    def list(
        self,
        *,
        status: Status | str | None = None,
        type: str | None = None,
        session_id: str | None = None,
        limit: int | None = None,
        cursor: str | None = None,
    ) -> Page[Request]:
        """Return own requests, newest first: 50, or up to `limit` 200; `next_cursor` leads on."""
        return self._run(
            flows.listing(
                self._settings, status=status, type=type, session_id=session_id, limit=limit, cursor=cursor
            )
        )

    def cancel(self, request: Request | str, reason: str) -> Request:
        """Withdraw a pending request; one that is cancelled already stays so.

        Raises:
            AlreadyDecided: it was decided first.
        """
        return self._run(flows.cancel(self._settings, _id(request), reason))

    def evaluate(
        self,
        action_type: str,
        params: Mapping[str, Any],
        description: str,
        **options: Unpack[flows.RequestOptions],
    ) -> Evaluation:
        """Return risk, policy and effect of an action without asking anybody; nothing is stored."""
        return self._run(flows.evaluate(self._settings, action_type, params, description, options))

    def reply(self, request: Request | str, text: str, *, in_reply_to: str | int | None = None) -> None:
        """Answer a reviewer's question; it appears in the request's thread."""
        self._run(flows.reply(self._settings, _id(request), text, in_reply_to))

    def events(self, request: Request | str, *, last_seq: str | None = None) -> Iterator[Event]:
        """Yield every change of the request until it is settled; reconnects where it broke off.

        Args:
            last_seq: `seq` of the last event you have seen; without it the present state comes first.
        """
        stream = Stream(self._settings, _id(request), last_seq)
        while True:
            result: Answer | NoAnswer | None = None
            empty = True
            try:
                with self._http.stream(
                    **prepared(self._settings, stream.call()), timeout=stream_timeout(self._settings)
                ) as answer:
                    if answer.status_code != 200:
                        result = taken(answer, answer.read())
                    else:
                        for piece in answer.iter_bytes():
                            for event in stream.feed(piece):
                                empty = False
                                yield event
            except httpx.RequestError as error:
                result = no_answer(error)
            if result is None and empty:
                stream.know(self.get(_id(request)))
            pause = stream.resume_in(result)
            if pause is None:
                return
            time.sleep(pause)

    # Sessions

    def start_session(
        self,
        session_id: str | None = None,
        *,
        name: str | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> Session:
        """Start a session, under an id made here unless given."""
        return self._run(flows.start_session(self._settings, session_id, name, metadata))

    def end_session(self, session_id: str, *, summary: str | None = None) -> Session:
        """End a session; later requests in it raise SessionEnded."""
        return self._run(flows.end_session(self._settings, session_id, summary))

    def get_session(self, session_id: str) -> Session:
        """Return a session with its requests counted by status."""
        return self._run(flows.get_session(self._settings, session_id))

    def timeline(self, session_id: str, *, cursor: str | None = None) -> Page[AuditEvent]:
        """Return what happened in a session, oldest first, page by page; `next_cursor` leads on."""
        return self._run(flows.timeline(self._settings, session_id, cursor))

    def _run(self, flow: Flow[T]) -> T:
        result: Answer | NoAnswer | None = None
        while True:
            try:
                step = flow.send(result)
            except StopIteration as done:
                return cast("T", done.value)
            if isinstance(step, Sleep):
                result = None
                time.sleep(step.seconds)
            else:
                result = self._exchange(step)

    def _exchange(self, call: Call) -> Answer | NoAnswer:
        if self._http.is_closed:
            return CLOSED
        try:
            answer = self._http.request(
                **prepared(self._settings, call), timeout=call_timeout(self._settings, call)
            )
        except httpx.RequestError as error:
            return no_answer(error)
        return taken(answer, answer.content)


def _id(request: Request | str) -> str:
    return request if isinstance(request, str) else request.id
