"""Targets of `notify`: which kinds there are, and how their addresses are written."""

import re
from collections.abc import Mapping
from urllib.parse import urlsplit

from pydantic import ValidationInfo

SLACK_USER = r"[UW][A-Z0-9]{2,20}"
SLACK_CHANNEL = r"[CG][A-Z0-9]{2,20}"
SLACK_USERGROUP = r"S[A-Z0-9]{2,20}"
EMAIL = r"[^@\s]+@[^@\s]+\.[^@\s]+"

BUILT_IN = ("slack", "slack_dm", "slack_usergroup", "oncall", "email", "webhook", "log")
"""Kinds that need no plug-in."""

LOG_LEVELS = ("debug", "info", "warning", "error", "critical")

_FORMS = {
    "slack": (rf"{SLACK_CHANNEL}|#[a-z0-9_-]+", 'is not a channel; write its id (C…) or "#name"'),
    "slack_usergroup": (SLACK_USERGROUP, "is not a user group; write its id, S…"),
    "email": (EMAIL, "is not an e-mail address; write one such as manager@example.com"),
    "log": ("|".join(LOG_LEVELS), f"is not a log level; write one of {', '.join(LOG_LEVELS)}"),
}


def notify_target(value: object, info: ValidationInfo) -> dict[str, str]:
    """A target as it stands in a file; `info.context["kinds"]` names the kinds of plug-ins.

    Raises:
        ValueError: it is none; the message says what to write.
    """
    if not isinstance(value, Mapping) or len(value) != 1:
        raise ValueError(
            "is a target with one kind and one address; write {slack: C0123456} or {slack_dm: GROUP}"
        )
    kind, address = next(iter(value.items()))
    known = (*BUILT_IN, *sorted((info.context or {}).get("kinds", ())))
    if kind not in known:
        raise ValueError(f"{kind!r} is not a kind of target; write one of {', '.join(known)}")
    if not isinstance(address, str) or not address.strip():
        raise ValueError(f"{kind} takes an address as text")
    form, wrong = _FORMS.get(kind, (r".*", ""))
    if not re.fullmatch(form, address, re.DOTALL):
        raise ValueError(f"{address!r} {wrong}")
    if kind == "webhook" and not is_url(address):
        raise ValueError(f"{address!r} is not a URL; write https://HOST/PATH, without user and password")
    return {kind: address}


def is_url(address: str) -> bool:
    """Whether it is an http or https address, without user and password."""
    try:
        parts = urlsplit(address)
        plain = parts.username is None and parts.password is None and (parts.port is None or parts.port > 0)
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.hostname) and plain and not parts.fragment
