"""Log lines without secrets, whoever wrote them."""

import logging

from bot.core import redaction


class RedactingFormatter(logging.Formatter):
    """Masks secrets in whole lines, tracebacks included."""

    def format(self, record: logging.LogRecord) -> str:
        """The line as it is written."""
        return redaction.own().text(super().format(record))
