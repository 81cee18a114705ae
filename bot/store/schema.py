"""Brings a database to the schema this code was written for.

Runs at every open, under the store's lock. A database that is up to date costs one SELECT; one
from a newer Keyturn is refused, since older code could write rows the newer one forbids.
"""

from pathlib import Path
from typing import Any

from sqlalchemy import Connection

from bot.store.errors import CannotOpen

HEAD = "0001"
"""The last migration, in words of `migrations/versions`; a test keeps it true."""

KNOWN = frozenset({"0001"})
"""Every migration that this code can upgrade from."""


def upgrade(connection: Connection, found: str | None, place: str) -> None:
    """Run the migrations between `found` (None: an empty database) and `HEAD`.

    Raises:
        CannotOpen: `found` is not among the migrations this code knows.
    """
    if found == HEAD:
        return
    if found is not None and found not in KNOWN:
        raise CannotOpen(
            f"{place} has schema {found}, which is newer than this Keyturn (schema {HEAD})."
            " Run the Keyturn that wrote it, or restore a backup made before the upgrade."
        )
    # Here and not above: importing Alembic takes a third of a second, most starts need none of it.
    from alembic import command

    command.upgrade(config(connection), HEAD)


def config(connection: Connection) -> Any:
    """Alembic's configuration for the packaged migrations, on an open connection."""
    from alembic.config import Config

    settings = Config()
    settings.set_main_option("script_location", str(Path(__file__).with_name("migrations")))
    settings.attributes["connection"] = connection
    return settings
