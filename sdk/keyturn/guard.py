"""Ask, wait, claim, run, report: the whole of one guarded action.

The action runs only after its approval was claimed, and only with the params that were approved. Its
own result or exception is what the caller gets, whatever happens to the report.
"""

import inspect
import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from traceback import format_exception_only
from typing import Any, Generic, ParamSpec, TypeVar, cast

from keyturn import exact, flows
from keyturn.binding import Bound, Shape
from keyturn.errors import InvalidRequest, KeyturnError
from keyturn.exchange import Flow
from keyturn.models import Claim, Params, Request, Rollback
from keyturn.settings import Settings

P = ParamSpec("P")
R = TypeVar("R")

LONGEST_DESCRIPTION = 3000
LONGEST_ERROR = 2000
_CUT = " … (truncated)"

_log = logging.getLogger("keyturn")
_running: ContextVar["Action | None"] = ContextVar("keyturn_action", default=None)


@dataclass(eq=False)
class Action:
    """An approved, claimed action while it runs. Set `output`, `rollback`, `message` for the report.

    Attributes:
        request: As it was decided; `request.decision.conditions` holds the reviewer's words.
        claim: What was claimed; `claim.receipt` proves the approval to a tool server.
        output: What to report of the result: anything JSON can carry.
        rollback: What undoes the action; capture it before you change anything.
        message: One sentence for the people who approved.
        unreported: Why the outcome could not be delivered; None while all is well.
    """

    request: Request
    claim: Claim
    output: Any = None
    rollback: Rollback | None = None
    message: str | None = None
    unreported: KeyturnError | None = None
    started: float = field(default=0.0, repr=False)

    @property
    def params(self) -> Params:
        """The approved params, perhaps changed by a reviewer: run these."""
        return self.claim.params

    @property
    def modified(self) -> bool:
        """Whether a reviewer changed the params."""
        return self.claim.digest != self.request.digest


def current_action() -> Action:
    """Return the action that is running, from inside a guarded function.

    Raises:
        LookupError: nothing guarded is running here.
    """
    action = _running.get()
    if action is None:
        raise LookupError("No guarded action is running in this context")
    return action


def running_action() -> Action | None:
    """Return the action that is running here, or None."""
    return _running.get()


@dataclass(frozen=True, slots=True)
class Ask:
    """Everything needed to get one action approved. `check` refuses approved params that cannot be run."""

    type: str
    params: Mapping[str, Any]
    description: str
    options: flows.CommonOptions
    preview: str | Callable[[], str] | None = None
    rollback: Rollback | None = None
    wait_timeout: float | None = None
    idempotency_key: str | None = None
    audience: str | None = None
    check: Callable[[Params], object] | None = None

    def dry_run(self) -> str | None:
        """The preview as it reads at this moment."""
        return self.preview() if callable(self.preview) else self.preview


def begin(settings: Settings, ask: Ask) -> Flow[Action]:
    """Ask, wait and claim.

    Raises:
        KeyturnError: for whatever reason; the action must not run.
    """
    given = {"preview": ask.dry_run(), "rollback": ask.rollback}
    options = cast("flows.RequestOptions", {**ask.options, **given})
    request = yield from flows.request(
        settings, ask.type, ask.params, ask.description, ask.idempotency_key, options
    )
    if not request.decided:
        request = yield from flows.wait(settings, request.id, ask.wait_timeout)
    decision = request.ensure_approved()
    if ask.check is not None and decision.params is not None:
        ask.check(decision.params)
    fresh = ask.dry_run() if decision.preview_digest is not None else None
    claim = yield from flows.claim(settings, request, fresh, ask.audience)
    return Action(request=request, claim=claim, started=settings.clock())


@contextmanager
def entered(action: Action) -> Iterator[None]:
    """Make `action` the current one."""
    token = _running.set(action)
    try:
        yield
    finally:
        _running.reset(token)


def finish(settings: Settings, action: Action, error: BaseException | None) -> Flow[None]:
    """Report how it went. Never raises a KeyturnError: see `_undelivered`."""
    outcome = _outcome(settings, action, error)
    try:
        try:
            yield from flows.report(settings, action.request.id, error is None, outcome)
        except InvalidRequest as refused:
            # Optional data that the server refuses must not cost the fact that it ran.
            _log.error(
                "Keyturn refused the outcome of %s; reporting it without output and rollback: %s",
                action.request.id,
                refused,
                extra={"event": "outcome_refused"},
            )
            bare = flows.OutcomeFields(
                error=outcome.get("error"),
                duration_ms=outcome.get("duration_ms"),
                message="output and rollback data were refused by the server",
            )
            yield from flows.report(settings, action.request.id, error is None, bare)
    except KeyturnError as failed:
        _undelivered(settings, action, outcome, error, failed)


def _undelivered(
    settings: Settings,
    action: Action,
    outcome: flows.OutcomeFields,
    error: BaseException | None,
    failed: KeyturnError,
) -> None:
    """Say it without hiding the action's own result: log, note on its exception, `on_unreported`.

    Not `warnings.warn`: Python shows a warning once per place, and under `-W error` it would raise.
    """
    action.unreported = failed
    _log.error(
        "The outcome of %s could not be reported (success: %s): %s. Report it again with client.report",
        action.request.id,
        error is None,
        failed,
        extra={"event": "outcome_unreported"},
    )
    if error is not None:
        error.add_note(f"Keyturn was not told of this failure ({action.request.id}): {failed}")
    if settings.on_unreported is not None:
        try:
            settings.on_unreported(action.request.id, {"success": error is None, **outcome})
        except Exception:
            _log.exception("on_unreported failed", extra={"event": "outcome_unreported"})


def _outcome(settings: Settings, action: Action, error: BaseException | None) -> flows.OutcomeFields:
    fields = flows.OutcomeFields(duration_ms=max(0, int((settings.clock() - action.started) * 1000)))
    if error is not None:
        fields["error"] = _clean("".join(format_exception_only(error)).strip())[:LONGEST_ERROR]
    if action.message:
        fields["message"] = _clean(action.message)
    try:
        fields["output"] = exact.plain(action.output, "output")
        fields["rollback"] = exact.plain(action.rollback, "rollback")
    except Exception as unfit:  # reading an agent's own objects may raise anything; the result must pass
        _log.error("Not reported for %s: %s", action.request.id, unfit, extra={"event": "outcome_unfit"})
    return fields


def shortened(description: str) -> str:
    """A description the server accepts; one that is too long says that it was cut."""
    if len(description) <= LONGEST_DESCRIPTION:
        return description
    return description[: LONGEST_DESCRIPTION - len(_CUT)] + _CUT


def _clean(text: str) -> str:
    return text.replace("\x00", "\\x00").encode("utf-8", "backslashreplace").decode("utf-8")


class Guard(Generic[P, R]):
    """A function that needs approval: turns its calls into asks, and approvals into calls.

    Args:
        description: A template over the params (`"Deploy {version}"`), a function of the arguments, or
            None for the first line of the docstring.
        preview: Called with the function's arguments, before asking and again before claiming.
        rollback: Called with the approved arguments just before the function; returns its undo data.
        output: Called with the result; returns what to report of it.
        idempotency_key: Called with the function's arguments. Calls with one key share one approval, so
            the function runs once for it, also across restarts of the agent.
    """

    def __init__(
        self,
        function: Callable[P, R],
        action_type: str,
        *,
        description: str | Callable[..., str] | None,
        exclude: tuple[str, ...],
        preview: Callable[..., str] | None,
        rollback: Callable[..., Rollback | None] | None,
        output: Callable[[Any], Any] | None,
        idempotency_key: Callable[..., str] | None,
        wait_timeout: float | None,
        audience: str | None,
        options: flows.CommonOptions,
    ) -> None:
        if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
            raise TypeError(f"{function!r} is a generator: calling it runs nothing yet; guard what it calls")
        self._shape = Shape(function, exclude)
        self._function = function
        self._type = action_type
        self._description = description
        self._says = (inspect.getdoc(function) or f"Run {self._shape.name}").split("\n")[0]
        self._preview = preview
        self._rollback = rollback
        self._output = output
        self._key = idempotency_key
        self._wait_timeout = wait_timeout
        self._audience = audience
        self._options = options

    def bound(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Bound:
        """Bind one call."""
        return self._shape.bound(args, kwargs)

    def ask(self, bound: Bound, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Ask:
        """Return what to ask for this call."""
        preview, key = self._preview, self._key
        return Ask(
            type=self._type,
            params=bound.params,
            description=self._described(bound, args, kwargs),
            options=self._options,
            preview=None if preview is None else lambda: preview(*args, **kwargs),
            wait_timeout=self._wait_timeout,
            idempotency_key=None if key is None else key(*args, **kwargs),
            audience=self._audience,
            check=bound.restored,
        )

    def run(self, bound: Bound, action: Action) -> R:
        """Call the function with the approved arguments; capture its undo data first."""
        args, kwargs = bound.restored(action.params)
        if self._rollback is not None:
            action.rollback = self._rollback(*args, **kwargs)
        call = cast("Callable[..., R]", self._function)
        return call(*args, **kwargs)

    def note(self, action: Action, result: object) -> None:
        """Take what is to be reported of the result; a fault in `output` is no fault of the action."""
        if self._output is None:
            return
        try:
            action.output = self._output(result)
        except Exception:
            _log.exception("output= failed for %s", action.request.id, extra={"event": "outcome_unfit"})

    def _described(self, bound: Bound, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> str:
        given = self._description
        if given is None:
            text = self._says
        else:
            text = given(*args, **kwargs) if callable(given) else given.format_map(bound.params)
        return shortened(text)
