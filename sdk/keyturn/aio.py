"""The async client: `Client`'s methods, to be awaited. Use it within one event loop, in `async with`.

What each method does, returns and raises is said once, at `keyturn.client.Client`.
"""

import asyncio
import functools
import inspect
import logging
import ssl
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Any, ParamSpec, Self, TypeVar, Unpack, cast

import httpx

from keyturn import flows, guard
from keyturn.errors import KeyturnError
from keyturn.exchange import Answer, Flow, NoAnswer, Sleep
from keyturn.http import exchanged, http_options, no_answer, prepared, stream_timeout, taken
from keyturn.models import AuditEvent, Claim, Evaluation, Event, Page, Request, Rollback, Session, Status
from keyturn.settings import Settings, configured
from keyturn.stream import Stream

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")

_log = logging.getLogger("keyturn")


class AsyncClient:
    """Asks a Keyturn server for approvals from async code. Arguments as for `Client`."""

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
        self._open(
            configured(
                url,
                token,
                timeout=timeout,
                retry_for=retry_for,
                outage=outage,
                verify=verify,
                proxy=proxy,
                on_unreported=on_unreported,
            )
        )

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """A client with these very settings."""
        client = cls.__new__(cls)
        client._open(settings)
        return client

    def _open(self, settings: Settings) -> None:
        self._settings = settings
        self._http = httpx.AsyncClient(**http_options(settings))
        self._waiting: set[asyncio.Task[None]] = set()
        self._calling: set[asyncio.Task[None]] = set()
        self._closed = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Stop background waits, let running `on_decision` callbacks end, and close the connections."""
        self._closed = True
        for task in self._waiting:
            task.cancel()
        others = (self._waiting | self._calling) - {asyncio.current_task()}
        await asyncio.gather(*others, return_exceptions=True)
        await self._http.aclose()

    async def request(
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
        """As `Client.request`; `on_decision` may be a coroutine function, run in a task of this client."""
        asked = await self._run(
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
        """As `Client.watch`; call it with the event loop running."""
        if self._closed:
            raise RuntimeError("The client is closed; nothing would wait for this request")
        # Owned by this client: kept in a set until it ends, cancelled and awaited by `aclose`.
        task = asyncio.create_task(self._watch(_id(request), on_decision, on_error))
        self._waiting.add(task)
        task.add_done_callback(self._waiting.discard)
        task.add_done_callback(self._calling.discard)

    async def _watch(
        self,
        request_id: str,
        on_decision: Callable[[Request], object],
        on_error: Callable[[KeyturnError], object] | None,
    ) -> None:
        try:
            decided = await self._run(flows.wait(self._settings, request_id, None))
        except KeyturnError as error:
            _log.error("Waiting for %s failed: %s", request_id, error, extra={"event": "wait_failed"})
            if on_error is not None:
                await self._call_back(request_id, on_error, error)
        else:
            await self._call_back(request_id, on_decision, decided)

    async def _call_back(self, request_id: str, callback: Callable[[T], object], value: T) -> None:
        task = cast("asyncio.Task[None]", asyncio.current_task())
        self._waiting.discard(task)
        self._calling.add(task)
        try:
            result = callback(value)
            if inspect.isawaitable(result):
                await result
        except Exception:
            _log.exception("The callback of %s failed", request_id, extra={"event": "callback_failed"})

    async def wait(self, request: Request | str, *, timeout: float | None = None) -> Request:
        """As `Client.wait`."""
        decided = await self._run(flows.wait(self._settings, _id(request), timeout))
        decided.ensure_approved()
        return decided

    async def claim(
        self, request: Request | str, *, preview: str | None = None, audience: str | None = None
    ) -> Claim:
        """As `Client.claim`."""
        fresh = isinstance(request, Request) and request.decided
        decided = request if fresh else await self.get(_id(request))
        return await self._run(flows.claim(self._settings, cast("Request", decided), preview, audience))

    async def report(
        self, request: Request | str, *, success: bool, **fields: Unpack[flows.OutcomeFields]
    ) -> None:
        """As `Client.report`."""
        await self._run(flows.report(self._settings, _id(request), success, fields))

    @asynccontextmanager
    async def approved(
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
    ) -> AsyncIterator[guard.Action]:
        """As `Client.approved`, for `async with`."""
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
        async with self._guarded(ask) as action:
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
    ) -> Callable[[Callable[P, Coroutine[Any, Any, R]]], Callable[P, Coroutine[Any, Any, R]]]:
        """As `Client.requires_approval`, for async functions only.

        Raises:
            TypeError: the function is not async; a `Client` guards those.
        """

        def decorate(function: Callable[P, Coroutine[Any, Any, R]]) -> Callable[P, Coroutine[Any, Any, R]]:
            if not inspect.iscoroutinefunction(function):
                raise TypeError(f"{function!r} is not an async function; guard it with keyturn.Client")
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

            @functools.wraps(function)
            async def call(*args: P.args, **kwargs: P.kwargs) -> R:
                return cast("R", await self.run_guarded(guarded, args, kwargs))

            return call

        return decorate

    async def run_guarded(
        self, guarded: guard.Guard[P, R], args: tuple[Any, ...], kwargs: Mapping[str, Any]
    ) -> Any:
        """Ask for, await and report one call of a guarded async function."""
        bound = guarded.bound(args, kwargs)
        async with self._guarded(guarded.ask(bound, args, kwargs)) as action:
            result = await cast("Coroutine[Any, Any, Any]", guarded.run(bound, action))
            guarded.note(action, result)
            return result

    @asynccontextmanager
    async def _guarded(self, ask: guard.Ask) -> AsyncIterator[guard.Action]:
        action = await self._run(guard.begin(self._settings, ask))
        try:
            with guard.entered(action):
                yield action
        except BaseException as error:
            # Also when the task is cancelled: people should read that the action broke off.
            await self._run(guard.finish(self._settings, action, error))
            raise
        await self._run(guard.finish(self._settings, action, None))

    async def get(self, request_id: str) -> Request:
        """As `Client.get`."""
        return await self._run(flows.get(self._settings, request_id))

    async def list(
        self,
        *,
        status: Status | str | None = None,
        type: str | None = None,
        session_id: str | None = None,
        limit: int | None = None,
        cursor: str | None = None,
    ) -> Page[Request]:
        """As `Client.list`."""
        return await self._run(
            flows.listing(
                self._settings, status=status, type=type, session_id=session_id, limit=limit, cursor=cursor
            )
        )

    async def cancel(self, request: Request | str, reason: str) -> Request:
        """As `Client.cancel`."""
        return await self._run(flows.cancel(self._settings, _id(request), reason))

    async def evaluate(
        self,
        action_type: str,
        params: Mapping[str, Any],
        description: str,
        **options: Unpack[flows.RequestOptions],
    ) -> Evaluation:
        """As `Client.evaluate`."""
        return await self._run(flows.evaluate(self._settings, action_type, params, description, options))

    async def reply(self, request: Request | str, text: str, *, in_reply_to: str | int | None = None) -> None:
        """As `Client.reply`."""
        await self._run(flows.reply(self._settings, _id(request), text, in_reply_to))

    async def events(self, request: Request | str, *, last_seq: str | None = None) -> AsyncIterator[Event]:
        """As `Client.events`, for `async for`."""
        stream = Stream(self._settings, _id(request), last_seq)
        while True:
            result: Answer | NoAnswer | None = None
            empty = True
            try:
                async with self._http.stream(
                    **prepared(self._settings, stream.call()), timeout=stream_timeout(self._settings)
                ) as answer:
                    if answer.status_code != 200:
                        result = taken(answer, await answer.aread())
                    else:
                        async for piece in answer.aiter_bytes():
                            for event in stream.feed(piece):
                                empty = False
                                yield event
            except httpx.RequestError as error:
                result = no_answer(error)
            if result is None and empty:
                stream.know(await self.get(_id(request)))
            pause = stream.resume_in(result)
            if pause is None:
                return
            await asyncio.sleep(pause)

    async def start_session(
        self,
        session_id: str | None = None,
        *,
        name: str | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> Session:
        """As `Client.start_session`."""
        return await self._run(flows.start_session(self._settings, session_id, name, metadata))

    async def end_session(self, session_id: str, *, summary: str | None = None) -> Session:
        """As `Client.end_session`."""
        return await self._run(flows.end_session(self._settings, session_id, summary))

    async def get_session(self, session_id: str) -> Session:
        """As `Client.get_session`."""
        return await self._run(flows.get_session(self._settings, session_id))

    async def timeline(self, session_id: str, *, cursor: str | None = None) -> Page[AuditEvent]:
        """As `Client.timeline`."""
        return await self._run(flows.timeline(self._settings, session_id, cursor))

    async def _run(self, flow: Flow[T]) -> T:
        result: Answer | NoAnswer | None = None
        while True:
            try:
                step = flow.send(result)
            except StopIteration as done:
                return cast("T", done.value)
            if isinstance(step, Sleep):
                result = None
                await asyncio.sleep(step.seconds)
            else:
                result = await exchanged(self._http, self._settings, step)


def _id(request: Request | str) -> str:
    return request if isinstance(request, str) else request.id
