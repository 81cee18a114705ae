"""What commands run on when no server does: the store, opened under its lock, and made if there is none."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from bot.config import StoreSettings
from bot.core import redaction
from bot.http import admin, operating
from bot.services.agents import Agents
from bot.services.audit import Audit
from bot.services.checkpoints import note_file
from bot.services.keys import callback_key, redactor
from bot.services.pauses import Pauses
from bot.store import Store
from bot.system import SystemClock, new_token


@asynccontextmanager
async def agents(settings: StoreSettings) -> AsyncIterator[Agents]:
    """Agents of a store that no server has open: commands take its lock, and make it if there is none."""
    clock = SystemClock()
    async with Store.open(settings.keyturn_database_url, clock=clock) as store:
        yield Agents(store, clock, new_token, callback_key(settings.keyturn_key_dir))


@asynccontextmanager
async def commands(settings: StoreSettings) -> AsyncIterator[Mapping[str, admin.Command]]:
    """Operators' commands on a store that no server has open, as `agents`."""
    clock = SystemClock()
    redaction.use(redactor(settings.keyturn_key_dir))
    async with Store.open(settings.keyturn_database_url, clock=clock) as store:
        audit = Audit(store, clock, None, note_file(settings.database_path))
        yield operating.commands(store, audit, Pauses(store, clock), clock)
