"""Signed checkpoints of the audit in a channel, where whoever runs the database cannot take them back.

They hang in one thread for each day, so that a channel that people read is not filled by them. A message
that Slack refuses is not tried again: the next checkpoint covers what this one would have.
"""

import logging
from collections.abc import Mapping
from typing import Any

from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from bot.core.times import read_rfc3339
from bot.services.checkpoints import TO_SLACK
from bot.services.outbox import Delivery, Later, Sent
from bot.slack.client import TROUBLE, error_code, status_of
from bot.slack.text import leaf, line, preformatted, rich
from bot.store.outbox import OutboxItem

log = logging.getLogger(__name__)

_TRANSIENT = ("ratelimited", "internal_error", "fatal_error", "service_unavailable", "request_timeout")


class AnchorSender:
    """Posts checkpoints to Slack."""

    kinds = frozenset({TO_SLACK})

    def __init__(self, client: AsyncWebClient) -> None:
        self._client = client
        self._threads: dict[str, tuple[str, str]] = {}
        """Day and `ts` of the thread of each channel; after a restart a new one is begun."""

    async def send(self, item: OutboxItem) -> Delivery:
        """Try once. A second copy after an unclear try says the same."""
        said = item.payload
        channel, day = str(said["to"]), str(said["at"])[:10]
        try:
            began, thread = self._threads.get(channel, ("", ""))
            if began != day:
                opened = await self._client.chat_postMessage(
                    channel=channel, **_opening(day, str(said["key"]))
                )
                thread = str(opened["ts"])
                self._threads[channel] = day, thread
            await self._client.chat_postMessage(channel=channel, thread_ts=thread, **_note(said))
        except SlackApiError as refused:
            return self._refused(channel, refused)
        except TROUBLE as trouble:
            return Later(type(trouble).__name__)
        return Sent()

    def _refused(self, channel: str, refused: SlackApiError) -> Delivery:
        code = error_code(refused)
        if code in _TRANSIENT or status_of(refused) in (0, 429) or status_of(refused) >= 500:
            return Later(code)
        self._threads.pop(channel, None)
        log.error("checkpoint not posted in %s: %s", channel, code, extra={"event": "no_checkpoint_post"})
        return Sent()


def _opening(day: str, key: str) -> dict[str, Any]:
    text = f"Audit checkpoints of {day}"
    return _message(
        text,
        line(leaf(text, bold=True)),
        line(leaf("Each reply signs all rows up to its own. Save one to check the audit with it:")),
        preformatted(f"keyturn audit verify --checkpoints FILE --key {key}"),
    )


def _note(said: Mapping[str, Any]) -> dict[str, Any]:
    text = f"Rows up to {said['seq']:,}, signed at {read_rfc3339(said['at']):%H:%M:%S} UTC"
    return _message(text, line(leaf(text)), preformatted(str(said["note"]).rstrip("\n")))


def _message(text: str, *parts: dict[str, Any]) -> dict[str, Any]:
    return {"text": text, "blocks": [rich(*parts)], "mrkdwn": False, "parse": "none", "unfurl_links": False}
