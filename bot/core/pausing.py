"""The kill switch: an agent, a type of action, or everything is paused until somebody resumes it.

While something is paused, new requests are rejected, nothing is claimed, and no click decides.
Deadlines go on. What was claimed before may still report its outcome.
"""

import difflib
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from bot.core.errors import InvalidRequest
from bot.core.lifecycle import Judged
from bot.core.models import ACTION_TYPE, Actor, Cause, Effect, Event, Outgoing, Reviewer, Via
from bot.core.times import rfc3339

ALL = "all"

HELD = "No decision is taken until an operator resumes it; deadlines go on."

SHOW = "pause.show"
"""The kind of an outbox row that has the cards painted again which a pause holds, or held until now."""

_AGENT = "agent:"
_TYPE = "type:"
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")


@dataclass(frozen=True, slots=True)
class Pause:
    """What is paused (`all`, `agent:<name>` or `type:<action type>`), why, by whom and since when."""

    what: str
    reason: str
    by: Reviewer
    at: datetime

    @property
    def sentence(self) -> str:
        """Why nothing runs, for agents and for people."""
        return f"{subject(self.what)} paused: {self.reason}"


def of_agent(name: str) -> str:
    """What is paused when an agent is."""
    return _AGENT + name


def covering(agent: str, action_type: str) -> tuple[str, str, str]:
    """Everything whose pause stops an agent's action, widest first."""
    return (ALL, of_agent(agent), _TYPE + action_type)


def concerns(what: object, agent: str, action_type: str) -> bool:
    """Whether a pause of `what` is about this agent or this type."""
    return what in covering(agent, action_type)


def holding(pauses: Sequence[Pause], agent: str, action_type: str) -> Pause | None:
    """The widest of `pauses` that stops this agent's actions of this type."""
    standing = {pause.what: pause for pause in pauses}
    return next((standing[what] for what in covering(agent, action_type) if what in standing), None)


def to_show(what: str) -> Outgoing:
    """Work to do on every pending card when a pause of `what` begins, changes or ends."""
    return Outgoing(SHOW, {"what": what}, order=f"pause:{what}", coalesce=f"pause:{what}")


def read_what(text: str, *, agents: frozenset[str], types: frozenset[str]) -> str:
    """What a person wants to pause: `all`, or a name that is known as an agent or as a type.

    `agent:` or `type:` in front says which is meant, and then need not be known.

    Raises:
        InvalidRequest: it is neither, or both.
    """
    given = text.strip()
    if given == ALL:
        return ALL
    if given.startswith(_AGENT) and _NAME.fullmatch(given.removeprefix(_AGENT)):
        return given
    if given.startswith(_TYPE) and re.fullmatch(ACTION_TYPE, given.removeprefix(_TYPE)):
        return given
    found = [_AGENT + given] * (given in agents) + [_TYPE + given] * (given in types)
    if len(found) == 1:
        return found[0]
    if found:
        raise InvalidRequest(f"{given} is an agent and an action type; write agent:{given} or type:{given}.")
    close = difflib.get_close_matches(given, [ALL, *sorted(agents | types)], n=1)
    meant = f" Did you mean {close[0]}?" if close else ""
    raise InvalidRequest(
        f"Keyturn knows no agent and no action type {given!r}.{meant} Write all, a known name,"
        " or agent:NAME or type:NAME to pause one that is not known yet."
    )


def subject(what: str) -> str:
    """`Agent builder is`, for sentences."""
    if what == ALL:
        return "Everything is"
    kind, _, name = what.partition(":")
    return f"{'Agent' if kind == 'agent' else 'Action type'} {name} is"


def stopped(judged: Judged, pause: Pause) -> Judged:
    """The ruling on an action while `pause` stands, whatever the policy says of it."""
    ruling = judged.ruling
    policy = replace(ruling.policy, rule="paused", effect=Effect.REJECT, explanation=pause.sentence)
    return replace(
        judged,
        ruling=replace(
            ruling,
            policy=policy,
            cause=Cause.PAUSED,
            requirement=None,
            ladder=(),
            immediate=(),
            charges=(),
            grantable=False,
            grant=None,
        ),
    )


def paused(before: Pause | None, pause: Pause, *, cancel: bool, via: Via) -> Event:
    """The audit's note that something was paused, perhaps in the place of an earlier pause."""
    mode = "cancel" if cancel else "hold"
    body = {
        "before": _state(before),
        "after": _state(pause),
        "what": pause.what,
        "reason": pause.reason,
        "pending": mode,
    }
    return Event("agent_paused", _person(pause.by, via), via, body, agent=agent_in(pause.what))


def resumed(pause: Pause, *, by: Reviewer, via: Via) -> Event:
    """The audit's note that something runs again."""
    body = {
        "before": _state(pause),
        "after": None,
        "what": pause.what,
        "reason": pause.reason,
        "paused_by": pause.by.id,
    }
    return Event("agent_resumed", _person(by, via), via, body, agent=agent_in(pause.what))


def _state(pause: Pause | None) -> dict[str, str] | None:
    if pause is None:
        return None
    return {"reason": pause.reason, "by": pause.by.id, "at": rfc3339(pause.at)}


def agent_in(what: str) -> str | None:
    """The agent that a pause of `what` is about; None for a type and for everything."""
    return what.removeprefix(_AGENT) if what.startswith(_AGENT) else None


def type_in(what: str) -> str | None:
    """The action type that a pause of `what` is about; None for an agent and for everything."""
    return what.removeprefix(_TYPE) if what.startswith(_TYPE) else None


def _person(by: Reviewer, via: Via) -> Actor:
    return Actor.system("cli") if via is Via.CLI else Actor.human(by)
