"""The environment is read once, and what is missing or unsafe refuses to start with its fix."""

import pytest

from bot.config import SLACK_API, ConfigError, Settings, StoreSettings

SLACK = {"SLACK_BOT_TOKEN": "xoxb-1", "SLACK_SIGNING_SECRET": "abc"}


def refusal(**changes: str | None) -> str:
    given = {name: value for name, value in {**SLACK, **changes}.items() if value is not None}
    with pytest.raises(ConfigError) as refused:
        Settings.read(given)
    return str(refused.value)


def test_the_defaults_are_those_of_the_readme():
    settings = Settings.read(SLACK)
    assert settings.keyturn_database_url == "sqlite:///keyturn.db"
    assert (settings.keyturn_host, settings.keyturn_port) == ("127.0.0.1", 8420)
    assert settings.public_url == "http://127.0.0.1:8420"
    assert settings.slack_api_url == SLACK_API
    assert not settings.sandbox


@pytest.mark.parametrize(
    "name", ["SLACK_BOT_TOKEN", "SLACK_SIGNING_SECRET", "SLACK_APP_TOKEN", "KEYTURN_PORT"]
)
def test_what_is_set_but_empty_is_refused_by_name(name):
    assert f"{name} is set but empty" in refusal(**{name: " "})


def test_a_missing_bot_token_is_refused_with_where_to_find_it():
    assert "SLACK_BOT_TOKEN is not set; copy the Bot User OAuth Token" in refusal(SLACK_BOT_TOKEN=None)


def test_without_any_way_to_trust_a_click_it_does_not_start():
    message = refusal(SLACK_SIGNING_SECRET=None)
    assert "SLACK_APP_TOKEN" in message
    assert "SLACK_SIGNING_SECRET" in message


def test_an_empty_secret_in_a_list_would_accept_forgeries_and_is_refused():
    assert "empty entry" in refusal(SLACK_SIGNING_SECRET="abc,,def")


def test_several_secrets_are_taken_while_rotating():
    settings = Settings.read({**SLACK, "SLACK_SIGNING_SECRET": "old, new"})
    assert [s.get_secret_value() for s in settings.slack_signing_secret] == ["old", "new"]


@pytest.mark.parametrize(
    "url",
    [
        "http://slack.example.com/api/",
        "http://10.0.0.7/api/",
        "https://evil.example/api/",
        "http://localhost@evil.example/api/",
        "http://127.0.0.1.evil.example/api/",
        "ftp://127.0.0.1/api/",
        "not a url",
    ],
)
def test_a_slack_elsewhere_is_refused(url):
    assert "anybody there could press the buttons" in refusal(SLACK_API_URL=url)


@pytest.mark.parametrize("host", ["127.0.0.1:1", "localhost:1", "[::1]:1"])
def test_a_slack_on_this_machine_is_a_sandbox(host):
    assert Settings.read({**SLACK, "SLACK_API_URL": f"http://{host}/api/"}).sandbox


@pytest.mark.parametrize("port", ["-1", "65536", "http"])
def test_a_port_that_is_none_is_refused(port):
    assert "KEYTURN_PORT is wrong" in refusal(KEYTURN_PORT=port)


def test_no_secret_shows_in_text():
    shown = repr(Settings.read({**SLACK, "SLACK_APP_TOKEN": "xapp-secret"}))
    for secret in ("xoxb-1", "abc", "xapp-secret"):
        assert secret not in shown


def test_commands_that_need_no_slack_start_without_its_secrets():
    assert StoreSettings.read({}).database_path.name == "keyturn.db"


def test_everything_that_is_missing_is_named_at_once():
    with pytest.raises(ConfigError) as refused:
        Settings.read({})
    assert "SLACK_BOT_TOKEN is not set" in str(refused.value)
    assert "Neither SLACK_APP_TOKEN" in str(refused.value)


@pytest.mark.parametrize("url", ["mysql://x", "keyturn.db", "sqlite:///", "sqlite:///:memory:", "sqlite://x"])
def test_a_database_of_another_kind_is_refused(url):
    assert "KEYTURN_DATABASE_URL is wrong" in refusal(KEYTURN_DATABASE_URL=url)


@pytest.mark.parametrize("scheme", ["postgresql", "postgres", "postgresql+asyncpg"])
def test_postgresql_is_refused_in_so_many_words_and_without_its_password(scheme):
    message = refusal(KEYTURN_DATABASE_URL=f"{scheme}://keyturn:hunter2@db.example.com/keyturn")
    assert "this version of Keyturn stores in SQLite only" in message
    assert "hunter2" not in message


@pytest.mark.parametrize(
    "url", ["keyturn.example.com", "ftp://keyturn.example.com", "https://", "https://x/?a=1"]
)
def test_a_public_address_that_is_none_is_refused(url):
    assert "KEYTURN_PUBLIC_URL is wrong" in refusal(KEYTURN_PUBLIC_URL=url)


def test_the_address_it_listens_on_is_a_url_for_ipv6_too():
    assert Settings.read({**SLACK, "KEYTURN_HOST": "::1"}).public_url == "http://[::1]:8420"


def test_slacks_own_address_is_slack_with_or_without_its_last_slash():
    settings = Settings.read({**SLACK, "SLACK_API_URL": SLACK_API.rstrip("/")})
    assert (settings.slack_api_url, settings.sandbox) == (SLACK_API, False)
