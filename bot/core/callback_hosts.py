"""Which hosts an agent's `callback_url` may name: one rule for whoever makes its token and whoever asks.

An entry is a host, for every port of it, or a host and one port. Hosts compare without regard to case
and without a last dot; an IPv6 address with a port stands in brackets. Pure.
"""

import ipaddress
import re
from collections.abc import Sequence
from urllib.parse import urlsplit

_NAME = re.compile(r"(?!-)[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})*")
_LONGEST_NAME = 253
_PORTS = {"http": 80, "https": 443}


def read_entry(text: str) -> str:
    """An entry in the form in which entries are compared and kept.

    Raises:
        ValueError: it is neither a host nor a host and a port.
    """
    if _is_ipv6(text):
        return _plain(text)
    parts = urlsplit(f"//{text}")
    host = _plain(parts.hostname or "")
    if parts.port is None:
        whole = [host, f"[{host}]"] if _is_ipv6(host) else [host]
    else:
        whole = [_place(host, parts.port)]
    if not _is_host(host) or _plain(text) not in whole or parts.port == 0:
        raise ValueError(f"{text!r} is no host")
    return host if parts.port is None else _place(host, parts.port)


def why_not(url: str, allowed: Sequence[str]) -> str | None:
    """Why a URL is no callback for an agent with these entries, in words that follow the field's name."""
    try:
        parts = urlsplit(url)
        host, port = _plain(parts.hostname or ""), parts.port
    except ValueError:
        return "is not a URL"
    if not host or parts.username is not None or parts.password is not None:
        return "must have a host and no user or password"
    named = {host, _place(host, _PORTS.get(parts.scheme) if port is None else port)}
    if named.isdisjoint(allowed):
        return (
            f"the host {host} is not allowed for this agent; hosts are named with --callback-host when its"
            " token is made by `keyturn agents add`"
        )
    return None


def _place(host: str, port: int | None) -> str:
    return f"[{host}]:{port}" if _is_ipv6(host) else f"{host}:{port}"


def _plain(host: str) -> str:
    return host.lower().removesuffix(".")


def _is_host(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return len(host) <= _LONGEST_NAME and _NAME.fullmatch(host) is not None
    return True


def _is_ipv6(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).version == 6
    except ValueError:
        return False
