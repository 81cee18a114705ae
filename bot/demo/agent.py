"""An agent that looks after a small web shop, and asks before each step. Made to be copied from.

A script: run it in the shop's directory with KEYTURN_URL and KEYTURN_TOKEN set. It does one evening's
work and ends. It knows nothing of policies or of who decides; it says what it wants to do, and what
it may not do it leaves alone.
"""

import difflib
import json
import secrets
import shutil
import sqlite3
import subprocess
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import keyturn
from keyturn.rollback import CannotCapture, config_value, deleted_path

SHOP = Path.cwd()
SETTINGS = SHOP / "settings.json"
EVENING = f"evening-{secrets.token_hex(3)}"

client = keyturn.Client()


# 1. A function that asks whenever it is called. Its arguments are the action; its body runs only when
#    they were approved. `deleted_path` keeps what brings the files back: see bot/demo/worker.py.
@client.requires_approval("file_delete", description="Empty the image cache", session_id=EVENING)
def clear_cache(path: str, recursive: bool) -> int:
    files = sum(1 for file in Path(path).rglob("*") if file.is_file())
    with deleted_path(path):
        shutil.rmtree(path)
    return files


# 2. Asking is all it takes to find out what is forbidden.
@client.requires_approval(
    "file_write",
    description="Tell the whole machine where the shop lives",
    session_id=EVENING,
)
def write_file(path: str, content: str, overwrite: bool) -> None:
    with open(path, "w" if overwrite else "x", encoding="utf-8") as file:
        file.write(content)


# 3. A reviewer may change the arguments: the function gets the approved ones, held against the schema.
@client.requires_approval(
    "config_change",
    description="Raise {key}: customers waited for a free connection tonight",
    session_id=EVENING,
    params_schema={
        "properties": {
            "key": {"const": "max_connections"},
            "new_value": {"type": "integer", "minimum": 1, "description": "at least 1"},
        }
    },
    output=lambda value: {"new_value": value},
)
def change_setting(key: str, old_value: int, new_value: int) -> int:
    with config_value(SETTINGS, key):
        settings = json.loads(SETTINGS.read_text("utf-8"))
        settings[key] = new_value
        SETTINGS.write_text(json.dumps(settings, indent=2) + "\n", "utf-8")
    return new_value


# 4. A dry run is shown to the reviewer, and made again right before the approval is used: if it reads
#    differently then, the migration does not run.
def dry_run(query: str, database: str) -> str:
    with closing(sqlite3.connect(SHOP / database)) as real, closing(sqlite3.connect(":memory:")) as copy:
        real.backup(copy)
        before = _tables(copy)
        copy.executescript(query)
        compared = difflib.ndiff(before, _tables(copy))
        return "\n".join(line for line in compared if not line.startswith("?"))


def _tables(connection: sqlite3.Connection) -> list[str]:
    """One line for each table, such as `orders (id, item, price): 3 rows`."""
    tables = connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name")
    found = []
    for (name,) in tables.fetchall():
        columns = [column for _, column, *_ in connection.execute(f'PRAGMA table_info("{name}")')]
        (rows,) = connection.execute(f'SELECT count(*) FROM "{name}"').fetchone()
        found.append(f"{name} ({', '.join(columns)}): {rows} rows")
    return found


@client.requires_approval(
    "database_modify",
    description="Apply the next migration of the shop's database",
    preview=dry_run,
    session_id=EVENING,
)
def migrate(query: str, database: str) -> None:
    with closing(sqlite3.connect(SHOP / database)) as connection:
        connection.executescript(f"BEGIN;\n{query}\nCOMMIT;")


# 5. The same as a block of code, where a decorator does not fit.
def deploy(version: str) -> str:
    with client.approved(
        "deployment",
        {"environment": "production", "version": version, "services": ["shop"]},
        f"Put version {version} of the shop on line",
        reason="All tests of this build passed; the old version stays beside it.",
        session_id=EVENING,
    ) as action:
        shutil.copytree(SHOP / "builds" / action.params["version"], SHOP / "live", dirs_exist_ok=True)
        action.message = f"Version {action.params['version']} answers."
    return version


# 6. A command; people say no to this one. Whoever says yes can have the files back all the same.
@client.requires_approval(
    "command_execute",
    description="Delete all backups to make room for tomorrow's cache",
    session_id=EVENING,
)
def remove(command: str, args: list[str]) -> None:
    with deleted_path(args[-1]):
        subprocess.run([command, *args], check=True)


# 7. Something that can wait. When nobody answers, Keyturn asks further people, and at last says no.
@client.requires_approval(
    "external_api_call",
    description="Write to every customer tonight that the new version is on line",
    session_id=EVENING,
)
def send_newsletter(service: str, endpoint: str, data: dict[str, str]) -> None:
    (SHOP / "newsletter.txt").write_text(f"{service}{endpoint}: {data['subject']}\n", "utf-8")


def empty_the_cache() -> str:
    return f"{clear_cache(str(SHOP / 'cache' / 'images'), recursive=True)} cached images deleted"


def announce_the_shop() -> str:
    write_file("/etc/keyturn-demo.conf", f"shop={SHOP}\n", overwrite=False)
    return "/etc/keyturn-demo.conf written"


def raise_the_limit() -> str:
    old_value = json.loads(SETTINGS.read_text("utf-8"))["max_connections"]
    asked = max(500, 5 * old_value)
    got = change_setting("max_connections", old_value, asked)
    return f"max_connections is {got}" + ("" if got == asked else f", not the {asked} I asked for")


def migrate_the_database() -> str:
    with closing(sqlite3.connect(SHOP / "shop.db")) as connection:
        applied = {name for (name,) in connection.execute("SELECT name FROM migrations")}
    waiting = [file for file in sorted((SHOP / "migrations").glob("*.sql")) if file.stem not in applied]
    if not waiting:
        return "nothing to migrate"
    migrate(waiting[0].read_text("utf-8"), "shop.db")
    return f"migration {waiting[0].stem} applied"


def deploy_the_newest() -> str:
    builds = sorted((SHOP / "builds").iterdir(), key=lambda build: [int(n) for n in build.name.split(".")])
    return f"version {deploy(builds[-1].name)} is live"


def make_room() -> str:
    remove("rm", ["-rf", str(SHOP / "backups")])
    return "all backups are gone"


def write_to_customers() -> str:
    send_newsletter("mail", "/campaigns", {"to": "all customers", "subject": "The shop has a new version"})
    return "the newsletter is out"


WORK: list[tuple[str, Callable[[], str]]] = [
    ("Empty the image cache", empty_the_cache),
    ("Write a file to /etc", announce_the_shop),
    ("Raise max_connections", raise_the_limit),
    ("Migrate the database", migrate_the_database),
    ("Deploy to production", deploy_the_newest),
    ("Delete all backups", make_room),
    ("Write to all customers", write_to_customers),
]


def main() -> None:
    print(f"session {EVENING}", flush=True)
    done = 0
    for number, (what, step) in enumerate(WORK, start=1):
        print(f"{number}/{len(WORK)} {what} ...", flush=True)
        try:
            print(f"    done: {step()}", flush=True)
            done += 1
        except keyturn.NotApproved as refused:
            # A no is an answer: the reason says what would be acceptable, and the work goes on.
            print(f"    left alone: {refused}", flush=True)
        except (keyturn.ClaimRefused, keyturn.ModificationMismatch) as unusable:
            print(f"    not run: {unusable}", flush=True)
        except (CannotCapture, OSError, sqlite3.Error, subprocess.CalledProcessError) as failure:
            # It ran and failed; Keyturn was told so, and the card says it.
            print(f"    failed: {failure}", flush=True)
    client.end_session(EVENING, summary=f"{done} of {len(WORK)} steps done")
    client.close()


if __name__ == "__main__":
    main()
