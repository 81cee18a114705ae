"""How commands that write reach the store: by the running server's socket, or under its lock."""

from collections.abc import Mapping
from typing import Any

from bot.config import StoreSettings
from bot.http import admin


async def ask(settings: StoreSettings, command: str, body: Mapping[str, Any]) -> dict[str, Any]:
    """The answer to one command of `bot.http.operating`.

    Raises:
        KeyturnError: it was refused.
        CannotOpen: no server runs, and the store cannot be opened.
    """
    from bot import offline

    path = admin.socket_path(settings.database_path)
    if admin.running(path):
        return await admin.call(path, command, body)
    async with offline.commands(settings) as commands:
        answer: dict[str, Any] = await commands[command](dict(body))
        return answer
