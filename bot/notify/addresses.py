"""Which addresses Keyturn may call when somebody else names the host.

Only public unicast addresses, unless the operator has named the host, the address or its network.
An address that carries another one inside (mapped, 6to4, NAT64) is judged as not public.
"""

import asyncio
import ipaddress
import socket
from collections.abc import Sequence
from urllib.parse import SplitResult

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_GLOBAL_UNICAST = ipaddress.IPv6Network("2000::/3")
_CARRIERS = tuple(
    ipaddress.IPv6Network(text)
    for text in (
        "2001::/23",  # IETF protocol assignments, Teredo among them
        "2002::/16",  # 6to4
        "3fff::/20",  # documentation, RFC 9637
    )
)
_SPECIAL = (ipaddress.IPv4Network("192.88.99.0/24"),)
"""6to4 relays, which `is_global` counts as public."""


class Forbidden(Exception):
    """The URL may not be called; `code` says why."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code = code


class Unresolved(Exception):
    """The name could not be resolved, so nothing was called."""


class Allowed:
    """What `KEYTURN_WEBHOOK_ALLOW` names: hosts, addresses and networks.

    Raises:
        ValueError: an entry is none of these.
    """

    def __init__(self, entries: Sequence[str] = ()) -> None:
        self._hosts: set[str] = set()
        self._networks: list[Network] = []
        for entry in entries:
            self._add(entry.strip())

    def _add(self, entry: str) -> None:
        try:
            self._networks.append(ipaddress.ip_network(entry.strip("[]")))
        except ValueError:
            if not entry or set(entry) & set("/ @?#[]"):
                raise ValueError(
                    f"{entry!r} is no host, address or network; write one such as hooks.example.com, "
                    "10.1.2.3 or 10.0.0.0/8"
                ) from None
            self._hosts.add(_plain(entry))

    def names_host(self, host: str) -> bool:
        """Whether this host is named, wherever it resolves to."""
        return _plain(host) in self._hosts

    def names_address(self, address: Address) -> bool:
        """Whether this address is named, itself or by its network."""
        return any(address in network for network in self._networks)


def is_public(address: Address) -> bool:
    """Whether the address is a public unicast one and nothing else inside."""
    if not address.is_global or address.is_multicast or address.is_reserved:
        return False
    if isinstance(address, ipaddress.IPv4Address):
        return not any(address in network for network in _SPECIAL)
    return address in _GLOBAL_UNICAST and not any(address in network for network in _CARRIERS)


async def checked_addresses(url: SplitResult, allowed: Allowed) -> Sequence[str]:
    """The addresses of the URL's host, every one of which may be called.

    Raises:
        Forbidden: plain http, or an address that is neither public nor named.
        Unresolved: the name has no address at the moment.
    """
    host = url.hostname
    if url.scheme not in ("http", "https") or not host:
        raise Forbidden("not_a_url", "the URL is not http(s) with a host")
    found = await _resolve(host, _port(url))
    named = allowed.names_host(host) or all(map(allowed.names_address, found))
    if url.scheme == "http" and not named:
        raise Forbidden("https_required", f"{host} may only be called over https")
    for address in found:
        if not (named or is_public(address) or allowed.names_address(address)):
            raise Forbidden("private_address", f"{host} resolves to {address}, which is not public")
    return [str(address) for address in found]


def _port(url: SplitResult) -> int:
    try:
        return url.port or (443 if url.scheme == "https" else 80)
    except ValueError:
        raise Forbidden("not_a_url", "the URL's port is not a number") from None


async def _resolve(host: str, port: int) -> Sequence[Address]:
    """Every address, each once. A literal in any notation the system understands counts as a name."""
    try:
        rows = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
        found = [ipaddress.ip_address(row[4][0]) for row in rows]
    except (OSError, UnicodeError, ValueError) as error:
        raise Unresolved(f"{host} could not be resolved: {error}") from None
    if not found:
        raise Unresolved(f"{host} has no address")
    return list(dict.fromkeys(found))


def _plain(host: str) -> str:
    return host.lower().rstrip(".")
