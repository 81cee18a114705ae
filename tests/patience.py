"""Slack's three seconds, and the bot's share of them, made so long that no slow machine runs out of them.

What a test says of a bot that is late it brings about itself, by an event or by a limit of its own.
"""

from collections.abc import Iterator
from typing import Any

import pytest

from bot.sandbox import Sandbox, running_sandbox, tickets
from bot.slack import audit_desk, clicks, client, directory, listeners, sender, undo

LONG = 60.0
"""Seconds."""

SOON = 25.0
"""Seconds: shorter than the scheduler's sweep, which finds at last what was to happen at once."""


@pytest.fixture(scope="package", autouse=True)
def patience() -> Iterator[None]:
    """Let the bot and its Slack wait for each other."""
    ours = directory.lookup_budget

    def unhurried(seconds: float = LONG) -> Any:
        return ours(seconds)

    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(running_sandbox.__wrapped__.__kwdefaults__, "ack_seconds", 2 * LONG)  # type: ignore[attr-defined]  # of `wraps`
        for method in (Sandbox.until, Sandbox.until_connected):
            patch.setattr(method, "__defaults__", (SOON,))
        patch.setattr(tickets, "TRIGGER_SECONDS", 2 * LONG)
        patch.setattr(client, "CALL_TIMEOUT", LONG)
        patch.setattr(listeners, "ACK_AFTER", LONG)
        patch.setattr(clicks, "QUICK", LONG)
        patch.setattr(audit_desk, "VERIFY_WITHIN", LONG)
        patch.setattr(directory, "BUDGET", LONG)
        for module in (listeners, sender, undo):
            patch.setattr(module, "lookup_budget", unhurried)
        yield
