"""The scratch directory that the demo's agent looks after: a web shop small enough to read with `ls`.

The agent's work changes it for real; `stock` gives it something new to do, and undoes nothing.
"""

import json
import sqlite3
from contextlib import closing
from pathlib import Path

IMAGES = 24
"""Cached images at the start of a round."""

FIRST_LIMIT = 20
"""`max_connections` of a new shop."""

FIRST_SETTINGS = b'{\n  "max_connections": %d,\n  "currency": "EUR"\n}\n' % FIRST_LIMIT
"""The settings of a new shop, to the byte."""


def build(shop: Path) -> None:
    """Make a shop that has been running for a while: settings, a database, a live version, backups."""
    for name in ("builds", "live", "migrations", "backups"):
        (shop / name).mkdir(parents=True)
    (shop / "settings.json").write_bytes(FIRST_SETTINGS)
    with closing(sqlite3.connect(shop / "shop.db")) as database, database:
        database.execute("CREATE TABLE migrations (name TEXT PRIMARY KEY)")
        database.execute("CREATE TABLE orders (id INTEGER PRIMARY KEY, item TEXT, price TEXT)")
        orders = [("lamp", "49.00"), ("chair", "120.00"), ("vase", "18.50")]
        database.executemany("INSERT INTO orders (item, price) VALUES (?, ?)", orders)
    for day in ("monday", "tuesday", "wednesday"):
        (shop / "backups" / f"{day}.db").write_bytes((shop / "shop.db").read_bytes())
    _publish(shop / "live", version(0))


def stock(shop: Path, round_number: int) -> None:
    """Give the agent work for a round, counted from 1: a full cache, a new build, a new migration."""
    images = shop / "cache" / "images"
    images.mkdir(parents=True, exist_ok=True)
    for number in range(1, IMAGES + 1):
        (images / f"product-{number:02}.svg").write_text(_IMAGE, "utf-8")
    (shop / "backups").mkdir(exist_ok=True)
    _publish(shop / "builds" / version(round_number), version(round_number))
    leftover = f"carts_{2022 + round_number}"
    with closing(sqlite3.connect(shop / "shop.db")) as database, database:
        database.execute(f"CREATE TABLE IF NOT EXISTS {leftover} (id INTEGER PRIMARY KEY, items TEXT)")
    name = migration(round_number)
    (shop / "migrations" / f"{name}.sql").write_text(
        f"ALTER TABLE orders ADD COLUMN note_{round_number} TEXT;\n"
        f"DROP TABLE {leftover};\n"
        f"INSERT INTO migrations (name) VALUES ('{name}');",
        "utf-8",
    )


def version(round_number: int) -> str:
    """The version that the agent deploys in a round; 0 is what a new shop runs."""
    return f"1.{round_number}.0"


def migration(round_number: int) -> str:
    """The name of a round's migration."""
    return f"{round_number:04}_order_notes"


def images(shop: Path) -> int:
    """How many images are cached."""
    return sum(1 for _ in shop.glob("cache/images/*"))


def whole_images(shop: Path) -> int:
    """How many cached images are what they were, to the byte."""
    return sum(image.read_bytes() == _IMAGE.encode() for image in shop.glob("cache/images/*"))


def backups(shop: Path) -> int:
    """How many backups there are."""
    return sum(1 for _ in shop.glob("backups/*.db"))


def wrote_to_customers(shop: Path) -> bool:
    """Whether the newsletter went out."""
    return (shop / "newsletter.txt").exists()


def limit(shop: Path) -> object:
    """`max_connections` as it stands in the settings."""
    return json.loads((shop / "settings.json").read_text("utf-8"))["max_connections"]


def live_version(shop: Path) -> str:
    """The version that is live."""
    return (shop / "live" / "VERSION").read_text("utf-8").strip()


def migrations(shop: Path) -> list[str]:
    """The names of the applied migrations."""
    with closing(sqlite3.connect(shop / "shop.db")) as database:
        return [name for (name,) in database.execute("SELECT name FROM migrations ORDER BY name")]


def columns(shop: Path, table: str) -> list[str]:
    """The columns of a table; none when there is no such table."""
    with closing(sqlite3.connect(shop / "shop.db")) as database:
        return [name for (name,) in database.execute("SELECT name FROM pragma_table_info(?)", [table])]


_IMAGE = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 8 8"><circle cx="4" cy="4" r="3"/></svg>\n'


def _publish(directory: Path, number: str) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "VERSION").write_text(f"{number}\n", "utf-8")
    (directory / "index.html").write_text(f"<!doctype html><title>Shop {number}</title>\n", "utf-8")
