"""The Web API: `call(...)` runs one method. Importing this package registers every method."""

from bot.sandbox.webapi import chat, conversations, files, people, views
from bot.sandbox.webapi.calls import Call, Services, call

__all__ = ["Call", "Services", "call", "chat", "conversations", "files", "people", "views"]
