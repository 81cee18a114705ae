"""The agent's rollback worker: shows and applies the undos that people confirm, while the agent rests.

A script: run it in the shop's directory with KEYTURN_URL and KEYTURN_TOKEN set.
"""

import sqlite3
from pathlib import Path

from keyturn.rollback import Resources, Worker

SHOP = Path.cwd()


def main() -> None:
    resources = Resources()
    resources.database("shop.db", lambda: sqlite3.connect(SHOP / "shop.db"))
    Worker(resources=resources, journal=SHOP.parent / "rollback-journal").run()


if __name__ == "__main__":
    main()
