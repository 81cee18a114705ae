"""Names that change how much is at stake: production, sensitive data, internal addresses."""

import ipaddress
import re
import unicodedata
from collections.abc import Iterator
from functools import lru_cache
from urllib.parse import unquote, urlsplit

from bot.core.risk.tables import names

_PRODUCTION = frozenset({"prod", "prd", "production", "live"})
_NOT = frozenset({"non", "pre"})
_TOKENS = re.compile(r"[^0-9A-Za-z]+")
_SENSITIVE = frozenset(
    names(
        "credential credentials password passwords secret secrets token tokens payment payments card "
        "cards bank banking financial finance health medical phi biometric biometrics child children "
        "minor minors location geolocation ssn passport identity pii genetic sexual religion "
        "political customer_records tax salary criminal ethnicity"
    )
)
_INTERNAL_SUFFIXES = (".local", ".internal", ".localhost", ".localdomain", ".lan", ".intranet", ".home",
".corp",
                      ".svc", ".cluster.local", ".home.arpa")  # fmt: skip
_METADATA_NAMES = frozenset({"metadata", "metadata.google.internal", "metadata.goog", "instance-data",
                             "instance-data.ec2.internal", "metadata.azure.com"})  # fmt: skip
_METADATA_ADDRESSES = tuple(
    ipaddress.ip_network(n)
    for n in ("169.254.0.0/16", "fe80::/10", "fd00:ec2::254/128", "100.100.100.200/32", "192.0.0.192/32",
              "168.63.129.16/32")
)  # fmt: skip


_LOOKS_LIKE = str.maketrans("аеорсухіјѕԁɡһкмтвнԛԝνοικρτυѵ", "aeopcyxijsdghkmtbhqwvoikptuv")
"""Cyrillic, Greek and phonetic letters, and the plain ones they are taken for."""


def plain_letters(text: str) -> str:
    """Text as a person reads it: no invisible characters, look-alike letters as the plain ones."""
    visible = "".join(c for c in text if unicodedata.category(c) != "Cf")
    return unicodedata.normalize("NFKC", visible).lower().translate(_LOOKS_LIKE)


@lru_cache(4096)
def is_production(name: str) -> bool:
    """Whether a token of `name` says production and is not negated (`non-prod`, `pre_prod`)."""
    return any(_says_production(_TOKENS.split(plain_letters(text))) for text in {name, _humps(name)})


def _humps(name: str) -> str:
    """`appProd` with its words parted, as people read it."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "-", name)


def _says_production(tokens: list[str]) -> bool:
    pairs = zip(["", *tokens], tokens, strict=False)
    return any(token in _PRODUCTION and before not in _NOT for before, token in pairs)


def is_sensitive(data_type: str) -> bool:
    """Whether a kind of user data needs special care."""
    for text in (data_type, _humps(data_type)):
        words = [word for word in _TOKENS.split(plain_letters(text)) if word]
        if "_".join(words) in _SENSITIVE or any(word in _SENSITIVE for word in words):
            return True
    return False


def texts_in(value: object) -> Iterator[str]:
    """The texts of a value that should be one: itself, or those in its lists and objects."""
    waiting = [value]
    while waiting:
        match waiting.pop():
            case str() as text:
                yield text
            case list() as items:
                waiting.extend(items)
            case dict() as items:
                waiting.extend(items.values())


def host_of(url: str) -> str:
    """The host a URL, `host:port` or `user@host:path` names, in lower case; empty when there is none."""
    text = url.strip().replace("\\", "/")
    try:
        host = urlsplit(text if "://" in text else "//" + text.lstrip("/")).hostname
    except ValueError:
        return text.lower()
    # Clients undo percent forms and fold full-width letters, digits and dots before they look a name up.
    return unicodedata.normalize("NFKC", unquote(host or "").lower()).replace("。", ".").rstrip(".")


def is_internal(host: str) -> bool:
    """Whether a host is loopback, link-local, private or a metadata service, by name or in any spelling."""
    if not host:
        return False
    if host == "localhost" or host.endswith(_INTERNAL_SUFFIXES) or is_metadata(host):
        return True
    address = address_of(host)
    if address is None:
        # A name without a dot is resolved inside the network the agent runs in.
        return "." not in host
    return not address.is_global or address.is_multicast


def is_metadata(host: str) -> bool:
    """Whether a host is a cloud metadata service or link-local."""
    if host in _METADATA_NAMES:
        return True
    address = address_of(host)
    return address is not None and any(address in network for network in _METADATA_ADDRESSES
                                       if network.version == address.version)  # fmt: skip


def address_of(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """The address a literal names, in the spellings `inet_aton` takes (decimal, hex, octal, short)."""
    plain = host.strip("[]").partition("%")[0]
    for suffix in (".nip.io", ".sslip.io", ".xip.io"):
        if plain.endswith(suffix):
            plain = plain.removesuffix(suffix).replace("-", ".").split(".", 0)[0]
    try:
        address = ipaddress.ip_address(plain)
    except ValueError:
        return _inet_aton(plain)
    if isinstance(address, ipaddress.IPv6Address):
        return address.ipv4_mapped or address.sixtofour or _translated(address)
    return address


_NAT64 = ipaddress.ip_network("64:ff9b::/96")
"""RFC 6052: the last 32 bits are the address that a gateway talks to."""


def _translated(address: ipaddress.IPv6Address) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    return ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF) if address in _NAT64 else address


def _inet_aton(text: str) -> ipaddress.IPv4Address | None:
    parts = text.split(".")
    if not 1 <= len(parts) <= 4:
        return None
    numbers = []
    for part in parts:
        if not re.fullmatch(r"0[xX][0-9a-fA-F]{1,8}|[0-9]{1,11}", part):
            return None
        octal = part.startswith("0") and not part.lower().startswith("0x")
        if octal and re.search("[89]", part):
            return None
        numbers.append(int(part, 8 if octal else 0))
    *heads, last = numbers
    if any(n > 255 for n in heads) or last >= 256 ** (5 - len(parts)):
        return None
    return ipaddress.IPv4Address(sum(n << (24 - 8 * i) for i, n in enumerate(heads)) + last)
