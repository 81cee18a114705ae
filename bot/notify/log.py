"""`notify: log`: a line in the server's own log, at the level that the policy names."""

import logging
from collections.abc import Mapping

from bot.notify.channel import Notice, Undeliverable

log = logging.getLogger("keyturn.notifications")


class LogChannel:
    """Writes a notice to the logger `keyturn.notifications`."""

    async def initialize(self, settings: Mapping[str, str]) -> None:
        """Logging is set up by the server."""

    async def send_notification(self, notice: Notice) -> None:
        """Write it.

        Raises:
            Undeliverable: the address is no log level.
        """
        level = logging.getLevelNamesMapping().get(notice.address.upper())
        if level is None:
            raise Undeliverable("refused", f"{notice.address} is not a log level")
        where = notice.link or "no link yet"
        facts = {"event": "notification", "request_id": notice.data.get("request_id")}
        log.log(level, "%s (%s)", notice.title, where, extra=facts)

    async def shutdown(self) -> None:
        """Nothing is held."""
