"""Callback hosts: what may be written for an agent, and which URLs it then may name."""

import pytest

from bot.core.callback_hosts import read_entry, why_not


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        ("hooks.example.com", "hooks.example.com"),
        ("Hooks.Example.COM.", "hooks.example.com"),
        ("hooks.example.com:8443", "hooks.example.com:8443"),
        ("localhost", "localhost"),
        ("my_host", "my_host"),
        ("10.0.0.7", "10.0.0.7"),
        ("10.0.0.7:80", "10.0.0.7:80"),
        ("::1", "::1"),
        ("[::1]", "::1"),
        ("[::1]:8443", "[::1]:8443"),
        ("2001:DB8::1", "2001:db8::1"),
    ],
)
def test_an_entry_is_a_host_with_or_without_a_port(written: str, kept: str) -> None:
    assert read_entry(written) == kept
    assert why_not(f"https://{kept if kept[0] == '[' or '::' not in kept else f'[{kept}]'}/x", [kept]) is None


@pytest.mark.parametrize(
    "written",
    [
        *("", " ", "https://hooks.example.com", "hooks.example.com/x", "hooks.example.com:", "host:port"),
        *("hooks.example.com:0", "hooks.example.com:65536", "hooks.example.com:08443", "user@host"),
        *("*.example.com", "-x.example.com", "a..b", "a b", "höst", "host?x", "host#x", "[::1", "[::1]:"),
        *("[host]", "x" * 64, ".".join(["x" * 60] * 5), "host\n", "\thost", "::1:port"),
    ],
)  # fmt: skip
def test_anything_else_is_no_entry(written: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  # its words are the caller's
        read_entry(written)


@pytest.mark.parametrize(
    ("url", "entry"),
    [
        ("https://hooks.example.com/x", "hooks.example.com:443"),
        ("http://hooks.example.com/x", "hooks.example.com:80"),
        ("https://hooks.example.com:443/x", "hooks.example.com:443"),
        ("https://HOOKS.example.com.:8443/", "hooks.example.com:8443"),
        ("https://hooks.example.com:9/", "hooks.example.com"),
        ("https://[::1]:8443/", "[::1]:8443"),
        ("https://[::1]:8443/", "::1"),
    ],
)
def test_an_entry_allows_its_host_and_its_port_alone(url: str, entry: str) -> None:
    assert why_not(url, [entry]) is None
    assert why_not(url, []) is not None
    assert why_not(url.replace("hooks", "evil").replace("HOOKS", "evil").replace("::1", "::2"), [entry])


@pytest.mark.parametrize(
    "url",
    [
        "https://hooks.example.com/",
        "https://hooks.example.com:8444/",
        "https://hooks.example.com:8443@evil.example.com/",
        "https://hooks.example.com:8443.evil.example.com/",
        "https://user@hooks.example.com:8443/",
        "https://hooks.example.com:port/",
        "https://[::1",
        "https:///x",
    ],
)
def test_another_port_or_another_host_is_refused(url: str) -> None:
    assert why_not(url, ["hooks.example.com:8443"])
