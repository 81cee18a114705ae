"""Calls of Slack's Web API: over kept connections, repeated by nobody but the outbox.

Whatever Slack or a proxy in between answers, a failed call is one of `TROUBLE`; slack_sdk alone lets
an AttributeError out when an error page is no JSON object.
"""

import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp
from slack_sdk.errors import SlackApiError, SlackClientError
from slack_sdk.web.async_client import AsyncWebClient

CALL_TIMEOUT = 10
"""Seconds that one call may take."""

TROUBLE = (SlackClientError, aiohttp.ClientError, TimeoutError)
"""What a call raises when it did not succeed."""


@dataclass(frozen=True, slots=True)
class SlackAccess:
    """How to reach Slack, and how Slack's own deliveries are told from forgeries."""

    bot_token: str
    signing_secrets: Sequence[str] = ()
    app_token: str | None = None
    """Socket Mode when given."""
    api_url: str = "https://slack.com/api/"

    def __repr__(self) -> str:
        return f"SlackAccess(api_url={self.api_url!r})"


class _Client(AsyncWebClient):
    async def _request(self, *, http_verb: str, api_url: str, req_args: Any) -> dict[str, Any]:
        answer = await super()._request(http_verb=http_verb, api_url=api_url, req_args=req_args)
        # An error page: slack_sdk would look for keys in a text.
        return answer if isinstance(answer["data"], dict) else {**answer, "data": {}}


@asynccontextmanager
async def web_client(access: SlackAccess) -> AsyncIterator[AsyncWebClient]:
    """A client for Slack's Web API with the bot's token."""
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=CALL_TIMEOUT)) as session:
        yield _Client(
            token=access.bot_token,
            base_url=access.api_url,
            timeout=CALL_TIMEOUT,
            session=session,
            retry_handlers=[],
            logger=quiet_logger("web"),
        )


def error_code(refused: SlackApiError) -> str:
    """Slack's code for a failed call; `http_<status>` for an answer without one."""
    data = getattr(refused.response, "data", None)
    if isinstance(data, dict) and data.get("error"):
        return str(data["error"])
    return f"http_{status_of(refused)}"


def status_of(refused: SlackApiError) -> int:
    """The HTTP status of a failed call; 0 when the answer could not be read."""
    status = getattr(refused.response, "status_code", 0)
    return status if isinstance(status, int) else 0


def quiet_logger(part: str, level: int = logging.WARNING) -> logging.Logger:
    """A logger for Slack's libraries, which log whole bodies below this level."""
    logger = logging.getLogger(f"{__name__}.{part}")
    logger.setLevel(level)
    logger.addFilter(_without_trace)
    return logger


def _without_trace(record: logging.LogRecord) -> bool:
    """A Slack that cannot be reached is tried every few seconds: one line each, not a page."""
    if record.exc_info and isinstance(record.exc_info[1], TROUBLE):
        record.exc_info = None
    return True
