"""Settings: the environment, read once into one frozen object.

Importing reads nothing. `Settings.read` refuses what is missing or empty and says what to
set; secrets are `SecretStr`, so that no log and no traceback shows them.
"""

import base64
import ipaddress
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Self
from urllib.parse import urlsplit

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)

SLACK_API = "https://slack.com/api/"


class ConfigError(Exception):
    """The environment is not fit to start with; the message names each variable and its fix."""


def _comma_list(value: Any) -> Any:
    return [part.strip() for part in value.split(",")] if isinstance(value, str) else value


class StoreSettings(BaseModel):
    """Where Keyturn keeps things: enough for commands that need no Slack.

    Field names are the variables' names in lower case.
    """

    model_config = ConfigDict(frozen=True)

    keyturn_database_url: str = "sqlite:///keyturn.db"
    keyturn_policies: Path = Path("policies")
    keyturn_host: str = "127.0.0.1"
    keyturn_port: int = Field(8420, ge=0, le=65535)
    keyturn_public_url: str = ""
    keyturn_key_dir: Path = Path(".keyturn/keys")
    keyturn_webhook_allow: Annotated[tuple[str, ...], BeforeValidator(_comma_list)] = ()
    keyturn_webhook_secret: SecretStr | None = None
    keyturn_smtp_url: SecretStr | None = None
    plugin_settings: Mapping[str, SecretStr] = Field(default_factory=dict)
    """`KEYTURN_NOTIFY_…`: settings of notification plug-ins, by the variables' own names."""

    @classmethod
    def read(cls, environment: Mapping[str, str]) -> Self:
        """The settings of this environment.

        Raises:
            ConfigError: something is missing, empty or wrong.
        """
        given = {
            name: environment[name.upper()]
            for name in _FIXES.keys() & cls.model_fields
            if environment.get(name.upper()) is not None
        }
        faults = [
            f"{name.upper()} is set but empty; {_FIXES[name]}" for name in given if not given[name].strip()
        ]
        faults += cls._missing(given)
        if not faults:
            plugins = {name: value for name, value in environment.items() if name.startswith(_OF_PLUGINS)}
            try:
                return cls.model_validate({**given, "plugin_settings": plugins})
            except ValidationError as error:
                faults = [_fault(dict(detail)) for detail in error.errors()]
        raise ConfigError("Keyturn cannot start:\n" + "\n".join(f"  - {fault}" for fault in faults))

    @classmethod
    def _missing(cls, _given: Mapping[str, str]) -> list[str]:
        """What must be set and is not, each with its fix."""
        return []

    @field_validator("keyturn_database_url")
    @classmethod
    def _is_database(cls, url: str) -> str:
        scheme, _, path = url.partition(":///")
        if url.startswith(("postgresql:", "postgres:", "postgresql+")):
            raise ValueError("this version of Keyturn stores in SQLite only")
        if scheme != "sqlite" or not path or path == ":memory:" or set(path) & set("?#"):
            raise ValueError("it names no SQLite file")
        return url

    @field_validator("keyturn_public_url")
    @classmethod
    def _is_public(cls, url: str) -> str:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
            raise ValueError("it is no http or https address")
        return url

    @field_validator("keyturn_webhook_secret")
    @classmethod
    def _is_webhook_secret(cls, secret: SecretStr | None) -> SecretStr | None:
        if secret is not None and not _is_whsec(secret.get_secret_value()):
            raise ValueError("it is not whsec_ and base64 of 24 to 64 bytes")
        return secret

    @property
    def database_path(self) -> Path:
        """The database file."""
        return Path(self.keyturn_database_url.removeprefix("sqlite:///"))

    @property
    def public_url(self) -> str:
        """Where agents reach this server, without a trailing slash."""
        host = f"[{self.keyturn_host}]" if ":" in self.keyturn_host else self.keyturn_host
        return (self.keyturn_public_url or f"http://{host}:{self.keyturn_port}").rstrip("/")


class Settings(StoreSettings):
    """Everything the environment says, Slack's secrets included."""

    slack_bot_token: SecretStr = Field(min_length=1)
    slack_signing_secret: Annotated[tuple[SecretStr, ...], BeforeValidator(_comma_list)] = ()
    slack_app_token: SecretStr | None = None
    slack_api_url: str = SLACK_API

    @classmethod
    def _missing(cls, given: Mapping[str, str]) -> list[str]:
        missing = []
        if "slack_bot_token" not in given:
            missing.append(f"SLACK_BOT_TOKEN is not set; {_FIXES['slack_bot_token']}")
        if not {"slack_app_token", "slack_signing_secret"} & given.keys():
            missing.append(
                "Neither SLACK_APP_TOKEN (Socket Mode) nor SLACK_SIGNING_SECRET (signed HTTP) is set; "
                "clicks could not be trusted. Copy one of them from your Slack app's settings."
            )
        return missing

    @model_validator(mode="after")
    def _secrets_are_there(self) -> "Settings":
        if any(not s.get_secret_value() for s in self.slack_signing_secret):
            raise ValueError(
                "SLACK_SIGNING_SECRET has an empty entry; an empty secret would accept forgeries."
            )
        return self

    @field_validator("slack_api_url")
    @classmethod
    def _ends_in_a_slash(cls, url: str) -> str:
        return url if url.endswith("/") else f"{url}/"

    @model_validator(mode="after")
    def _slack_is_slack(self) -> "Settings":
        if self.slack_api_url != SLACK_API and not self.sandbox:
            raise ValueError(
                f"SLACK_API_URL may only be {SLACK_API} or an address on this machine (a sandbox), "
                f"not {self.slack_api_url}; anybody there could press the buttons."
            )
        return self

    @property
    def sandbox(self) -> bool:
        """Whether the Slack it talks to is a sandbox on this machine."""
        parts = urlsplit(self.slack_api_url)
        return parts.scheme in ("http", "https") and _is_loopback(parts.hostname or "")


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _is_whsec(secret: str) -> bool:
    """Whether it is a secret as the Standard Webhooks specification 1.0.0 writes them."""
    if not secret.startswith("whsec_"):
        return False
    try:
        return 24 <= len(base64.b64decode(secret.removeprefix("whsec_"), validate=True)) <= 64
    except ValueError:
        return False


_OF_PLUGINS = "KEYTURN_NOTIFY_"

_FIXES = {
    "keyturn_database_url": "write sqlite:///PATH, such as sqlite:///keyturn.db.",
    "keyturn_policies": "name the directory of your policy files.",
    "keyturn_host": "write the address to listen on, such as 127.0.0.1.",
    "keyturn_port": "write a port number, such as 8420.",
    "keyturn_public_url": "write the https address under which agents reach this server.",
    "keyturn_key_dir": "name a directory that only this user can read.",
    "keyturn_webhook_allow": "list hosts, addresses or networks, or unset it.",
    "keyturn_webhook_secret": "write whsec_ and base64 of 32 random bytes, or unset it and one is made.",
    "keyturn_smtp_url": "write smtp[s]://[user:password@]host[:port][?from=address], or unset it.",
    "slack_bot_token": "copy the Bot User OAuth Token (xoxb-…) from your Slack app's OAuth page.",
    "slack_signing_secret": "copy the Signing Secret from your Slack app's Basic Information page "
    "(Socket Mode needs none: unset it).",
    "slack_app_token": "make an app-level token (xapp-…) with connections:write, or unset it.",
    "slack_api_url": f"unset it, or write {SLACK_API}.",
}


def _fault(detail: Mapping[str, Any]) -> str:
    if not detail["loc"]:
        return str(detail["ctx"]["error"])
    name, problem = str(detail["loc"][0]), detail["msg"].removeprefix("Value error, ")
    return f"{name.upper()} is wrong ({problem}); {_FIXES[name]}"
