"""Which addresses may be called when an agent names the host."""

import ipaddress
import socket
from typing import Any
from urllib.parse import urlsplit

import pytest

from bot.notify import addresses
from bot.notify.addresses import Allowed, Forbidden, Unresolved, checked_addresses, is_public


@pytest.mark.parametrize("text", ["8.8.8.8", "1.1.1.1", "2606:4700::1111", "2a00:1450:4001::1"])
def test_a_public_address_may_be_called(text: str) -> None:
    assert is_public(ipaddress.ip_address(text))


@pytest.mark.parametrize(
    "text",
    [
        "127.0.0.1",
        "127.255.255.254",
        "0.0.0.0",
        "10.0.0.1",
        "172.16.0.1",
        "192.168.0.1",
        "100.64.0.1",
        "169.254.169.254",
        "192.0.0.1",
        "192.88.99.1",
        "198.18.0.1",
        "203.0.113.1",
        "224.0.0.1",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::127.0.0.1",
        "::ffff:127.0.0.1",
        "::ffff:8.8.8.8",
        "64:ff9b::7f00:1",
        "64:ff9b:1::1",
        "100::1",
        "2001::1",
        "2001:db8::1",
        "2002:7f00:1::",
        "3fff::1",
        "fc00::1",
        "fd12:3456::1",
        "fe80::1",
        "fec0::1",
        "ff02::1",
    ],
)
def test_any_other_address_may_not(text: str) -> None:
    assert not is_public(ipaddress.ip_address(text))


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "2130706433", "0x7f000001", "0177.0.0.1", "127.1", "[::1]", "[::ffff:127.0.0.1]", "0"],
)
async def test_loopback_is_known_in_every_notation(host: str) -> None:
    with pytest.raises(Forbidden):
        await checked_addresses(urlsplit(f"https://{host}/hook"), Allowed())


def answering(monkeypatch: pytest.MonkeyPatch, *found: str) -> None:
    """Let every name resolve to these addresses."""

    async def rows(*_args: Any) -> list[ipaddress.IPv4Address | ipaddress.IPv6Address]:
        return [ipaddress.ip_address(text) for text in found]

    monkeypatch.setattr(addresses, "_resolve", rows)


async def test_one_private_address_among_public_ones_refuses_all(monkeypatch: pytest.MonkeyPatch) -> None:
    answering(monkeypatch, "8.8.8.8", "10.0.0.1")
    with pytest.raises(Forbidden, match=r"10\.0\.0\.1"):
        await checked_addresses(urlsplit("https://hooks.example.com/"), Allowed())
    assert await checked_addresses(urlsplit("https://hooks.example.com/"), Allowed(["10.0.0.0/8"]))


async def test_plain_http_needs_the_operators_word(monkeypatch: pytest.MonkeyPatch) -> None:
    answering(monkeypatch, "8.8.8.8")
    url = urlsplit("http://hooks.example.com/")
    with pytest.raises(Forbidden, match="https"):
        await checked_addresses(url, Allowed())
    for entry in ("hooks.example.com", "HOOKS.example.com.", "8.8.8.8", "8.0.0.0/8"):
        assert await checked_addresses(url, Allowed([entry])) == ["8.8.8.8"]


async def test_a_name_that_does_not_resolve_is_not_called() -> None:
    with pytest.raises(Unresolved):
        await checked_addresses(urlsplit("https://nowhere.invalid/"), Allowed())


async def test_a_failing_resolver_denies(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_args: object, **_options: object) -> None:
        raise socket.gaierror(socket.EAI_AGAIN, "try again")

    monkeypatch.setattr(socket, "getaddrinfo", broken)
    with pytest.raises(Unresolved):
        await checked_addresses(urlsplit("https://hooks.example.com/"), Allowed())


@pytest.mark.parametrize(
    "url", ["ftp://hooks.example.com/", "https:///x", "https://hooks.example.com:99999/"]
)
async def test_what_is_no_web_address_is_refused(url: str) -> None:
    with pytest.raises(Forbidden):
        await checked_addresses(urlsplit(url), Allowed(["hooks.example.com"]))


@pytest.mark.parametrize("entry", ["", "https://hooks.example.com", "10.0.0.0/33", "a b", "user@host"])
def test_an_allowance_that_names_nothing_is_refused(entry: str) -> None:
    with pytest.raises(ValueError, match="host, address or network"):
        Allowed([entry])
