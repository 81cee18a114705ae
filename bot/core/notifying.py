"""From the targets of a level to what must be sent, one piece of work for each recipient. Pure.

Channels and people in Slack get a card of their own, a user group a mention under the first card.
Every other kind becomes work for the sender that knows it (`notify.KIND`).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from bot.core.audited import noted
from bot.core.authority import entitled_sets
from bot.core.models import Actor, ApprovalRequest, Event, JsonObject, Outgoing, SlackId, Target, Via

Members = Mapping[str, Sequence[SlackId]]
"""Who stands behind a group's name, a person's id or address, or a `schedule:NAME`."""

NOTIFY = "notify."
"""What the kinds of outbox rows begin with whose recipients are not in Slack."""

FIND = "ladder.find"
"""The kind of an outbox row for a target behind which nobody could be looked up in time."""

CHECK = "ladder.check"
"""The kind of an outbox row for a request whose approvers could not be counted in time."""

SCHEDULE = "schedule:"
"""What a source begins with whose members are those on call."""


def looked_up(targets: Sequence[Target]) -> Iterator[str]:
    """The names of `Members` that are needed to reach these targets."""
    for target in targets:
        if target.kind == "slack_dm":
            yield target.address
        elif target.kind == "oncall":
            yield SCHEDULE + target.address


def knocks(request: ApprovalRequest, targets: Sequence[Target], members: Members) -> tuple[Outgoing, ...]:
    """Work for everybody these targets reach, at the request's present level; nobody gets two cards.

    A name that `members` does not have could not be looked up: finding out becomes work, too.
    """
    work: dict[str, Outgoing] = {}
    for target in targets:
        for outgoing in _knock(request, target, members):
            work.setdefault(f"{outgoing.kind} {recipient(outgoing.payload)}", outgoing)
    return tuple(work.values())


def misses(request: ApprovalRequest, targets: Sequence[Target], members: Members) -> tuple[Event, ...]:
    """`notification_failed` for each target behind which there is known to be nobody."""
    return tuple(
        _missed(request, target, missing(target))
        for target in targets
        for name in looked_up([target])
        if name in members and not members[name]
    )


def unreachable_alert(request_id: str | None, failure: JsonObject, admin: str | None) -> tuple[Outgoing, ...]:
    """A word to the admin channel about somebody who cannot be reached by what a policy says.

    What many requests find out at the same time is said once.

    Args:
        failure: The body of the `notification_failed`.
    """
    if admin is None or failure.get("to") == admin:
        return ()
    said = {key: failure.get(key) for key in ("kind", "to", "code")}
    work = Outgoing(
        kind="slack.alert",
        payload={"channel": admin, "why": "undeliverable", "at_level": failure.get("level"), **said},
        order=f"channel:{admin}",
        coalesce=f"alert:{said['kind']}:{said['to']}:{said['code']}",
        request_id=request_id,
    )
    return (work,)


def asked(request: ApprovalRequest, work: Sequence[Outgoing]) -> list[dict[str, Any]]:
    """Whom the knocks ask, over what, and whether reaching them reaches somebody who may decide."""
    return [
        {"kind": knock.kind, "to": recipient(knock.payload), "counts": _counts(request, knock)}
        for knock in work
    ]


def recipient(payload: Mapping[str, Any]) -> str:
    """The channel, person or address that a knock is for."""
    return str(payload.get("channel") or payload.get("address"))


def note(
    request: ApprovalRequest, why: str, *, broadcast: bool, channel: str | None = None, **facts: Any
) -> Outgoing:
    """A line in the thread under the request's card in a channel; broadcast, in the channel too.

    Args:
        channel: The one of the first card by default.
    """
    place = channel or request.channel
    return Outgoing(
        kind="slack.note",
        payload={"why": why, "broadcast": broadcast, "channel": place, "level": request.level, **facts},
        order=f"channel:{place}",
        request_id=request.id,
    )


def _counts(request: ApprovalRequest, knock: Outgoing) -> bool:
    """False only for a log, and for a person known to be none of those whom the level entitles."""
    if knock.kind != "slack.post" or knock.payload["kind"] != "dm":
        return knock.kind != f"{NOTIFY}log"
    if not request.plan[request.level].entitles:
        return True
    sets = entitled_sets(request)
    unknown = any(entry.users is None or any("@" in name for name in entry.users) for entry in sets)
    return unknown or any(knock.payload["channel"] in (entry.users or ()) for entry in sets)


def card(request: ApprovalRequest, channel: str, kind: str, level: int) -> Outgoing:
    """A card in a channel (`channel`) or to a person (`dm`)."""
    return Outgoing(
        kind="slack.post",
        payload={"channel": channel, "kind": kind, "level": level},
        order=f"channel:{channel}",
        request_id=request.id,
    )


def _knock(request: ApprovalRequest, target: Target, members: Members) -> Iterator[Outgoing]:
    match target.kind:
        case "slack":
            yield card(request, target.address, "channel", request.level)
        case "slack_dm" | "oncall":
            for name in looked_up([target]):
                if name not in members:
                    yield _work(FIND, request, target)
                yield from (card(request, person, "dm", request.level) for person in members.get(name, ()))
        case "slack_usergroup":
            # Said in the first card's channel, which takes one message a second.
            yield replace(_work("slack.mention", request, target), order=f"channel:{request.channel}")
        case kind:
            yield _work(NOTIFY + kind, request, target)


def _work(kind: str, request: ApprovalRequest, target: Target) -> Outgoing:
    """Each recipient of each request is a lane of its own: a dead one holds up nobody else."""
    return Outgoing(
        kind=kind,
        payload={"kind": target.kind, "address": target.address, "level": request.level},
        order=f"{kind}:{request.id}:{target.address}",
        request_id=request.id,
    )


def missing(target: Target) -> str:
    """The code for a target behind which there is nobody."""
    return "nobody_on_call" if target.kind == "oncall" else "unknown_recipient"


def _missed(request: ApprovalRequest, target: Target, code: str) -> Event:
    return noted(
        "notification_failed",
        request,
        Actor.system("escalation"),
        Via.SCHEDULER,
        kind=target.kind,
        to=target.address,
        level=request.level,
        code=code,
    )
