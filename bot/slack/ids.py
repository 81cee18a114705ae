"""Ids of buttons, views and inputs, and what a button carries. They are a contract with posted cards.

A button's value and a view's private metadata hold a request id and a digest, nothing else: they say
what was shown, never who may decide or what would run.
"""

import hashlib
from collections.abc import Iterable
from typing import NamedTuple

from bot.core.models import ApprovalRequest, Digest, RequestId

APPROVE = "request.approve"
REJECT = "request.reject"
MODIFY = "request.modify"
DETAILS = "request.details"
ACKNOWLEDGE = "request.acknowledge"
ESCALATE = "request.escalate"
GRANT = "request.grant"
ASK = "request.ask"
ALTERNATIVE = "request.alternative"
PAGE = "details.page"
GRANT_REVOKE = "grant.revoke"
AUDIT_PAGE = "audit.page"
AGENT_PAUSE = "agent.pause"
AGENT_RESUME = "agent.resume"
ACCEPT_COVER = "oncall.accept"

ROLLBACK = "rollback.start"
ROLLBACK_CONFIRM = "rollback.confirm"

REASON = "reason"
FORCE_REASON = "force_reason"
TARGET = "target"
CONDITIONS = "conditions"
NOT_BEFORE = "not_before"
NOT_AFTER = "not_after"
QUESTION = "question"
LASTING = "lasting"
USES = "uses"
VALUE = "value"
"""The action id of every input's element."""

CARD_EVENT = "keyturn_card"
"""`event_type` of a card's message metadata."""

PAGE_BLOCK = "page:"
"""Block id of a paging button: this and the page it leads to, from 0."""

ALTERNATIVE_BLOCK = "alternative:"
"""Block id of the button, and of the form, that takes an alternative: this and its number, from 0."""

COVER_BLOCK = "cover:"
"""Block id of the button that accepts an on-call cover: this and the offer's id."""

_LONGEST_ID = 255


class Reference(NamedTuple):
    """What a button or a view points at."""

    request_id: RequestId
    digest: Digest


def reference(request: ApprovalRequest) -> str:
    """`<request id> <digest>` of the request as it is shown."""
    return f"{request.id} {request.current_digest}"


def parse_reference(value: object) -> Reference | None:
    """The reverse; None for anything that is not such a reference."""
    if not isinstance(value, str):
        return None
    request_id, _, digest = value.partition(" ")
    if not request_id.startswith("req_") or not digest.startswith("sha256:"):
        return None
    return Reference(RequestId(request_id), Digest(digest))


class RollbackReference(NamedTuple):
    """What the form of a rollback points at."""

    rollback_id: str
    digest: str


def parse_rollback(value: object) -> RollbackReference | None:
    """`<rollback id> <digest>`; None for anything else."""
    if not isinstance(value, str):
        return None
    rollback_id, _, digest = value.partition(" ")
    if not rollback_id.startswith("rbk_") or not digest.startswith("sha256:"):
        return None
    return RollbackReference(rollback_id, digest)


def alternative_in(block_ids: Iterable[str]) -> int | None:
    """The number of the alternative that one of these block ids names."""
    for block_id in block_ids:
        number = block_id.removeprefix(ALTERNATIVE_BLOCK)
        if number != block_id and number.isascii() and number.isdigit() and len(number) < 6:
            return int(number)
    return None


def pointer(*names: str) -> str:
    """The JSON Pointer (RFC 6901) of a param, or of what stands below these names in one."""
    return "".join("/" + name.replace("~", "~0").replace("/", "~1") for name in names)


def param_block(pointer: str) -> str:
    """Block id of a param's input: `param:<JSON Pointer>`, hashed when Slack would not take it."""
    whole = f"param:{pointer}"
    if len(whole) <= _LONGEST_ID:
        return whole
    return f"param:{hashlib.sha256(pointer.encode()).hexdigest()}"
