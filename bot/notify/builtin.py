"""The channels that Keyturn brings, from the operator's settings."""

from collections.abc import Sequence

from bot.core.clock import Clock
from bot.notify.channel import Channel
from bot.notify.email import EmailChannel, Server
from bot.notify.log import LogChannel
from bot.notify.webhook import WebhookChannel


def built_in(
    clock: Clock, *, smtp_url: str | None, webhook_secret: str, allow: Sequence[str]
) -> dict[str, Channel]:
    """`email`, `webhook` and `log`; what goes to Slack is the Slack face's own work.

    Args:
        allow: Hosts, addresses and networks that webhooks may reach though they are not public.

    Raises:
        ValueError: the SMTP URL or what is allowed cannot be understood; the message names the variable.
    """
    try:
        server = None if smtp_url is None else Server.of(smtp_url)
    except ValueError as wrong:
        raise ValueError(f"KEYTURN_SMTP_URL is wrong: {wrong}.") from None
    try:
        webhook = WebhookChannel(webhook_secret, clock, allow=allow)
    except ValueError as wrong:
        raise ValueError(f"KEYTURN_WEBHOOK_ALLOW is wrong: {wrong}.") from None
    return {"email": EmailChannel(server), "webhook": webhook, "log": LogChannel()}
