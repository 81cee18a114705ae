"""`keyturn demo` as a person starts it: a process, its output, its exit code, what it leaves on disk."""

import json
import os
import re
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import IO
from urllib.parse import urlsplit

import pytest

KEYTURN = Path(sys.executable).with_name("keyturn")

# What a person may have set for a real Keyturn. The demo has to do without any of it.
MISLEADING = {
    "KEYTURN_DATABASE_URL": "sqlite:////nonexistent/real.db",
    "KEYTURN_POLICIES": "/nonexistent/policies",
    "KEYTURN_URL": "http://192.0.2.1:8420",
    "KEYTURN_TOKEN": "kt_real",
    "SLACK_BOT_TOKEN": "xoxb-real",
    "SLACK_API_URL": "https://slack.com/api/",
    "HTTP_PROXY": "http://192.0.2.1:3128",
    "HTTPS_PROXY": "http://192.0.2.1:3128",
}


@pytest.fixture
def temporary() -> Iterator[Path]:
    """An empty directory for temporary files, with a name short enough for a Unix socket below it."""
    made = Path(tempfile.mkdtemp(prefix="kt-"))
    yield made
    shutil.rmtree(made)


@contextmanager
def demo(temporary: Path, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """The command, running; made to end when the test does."""
    environment = {**os.environ, **MISLEADING, "TMPDIR": str(temporary)}
    with subprocess.Popen(
        [KEYTURN, "demo", *arguments],
        env=environment,
        cwd=temporary,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        # A reader that waits for a line would wait for ever if the demo hung.
        watchdog = threading.Timer(600, process.kill)
        watchdog.start()
        try:
            yield process
        finally:
            watchdog.cancel()
            if process.poll() is None:
                process.terminate()
                process.wait(120)


def output_of(process: subprocess.Popen[str]) -> IO[str]:
    assert process.stdout is not None
    return process.stdout


def read_until(process: subprocess.Popen[str], pattern: str) -> re.Match[str]:
    """The first match in its output, line by line."""
    read = []
    for line in output_of(process):
        read.append(line)
        if found := re.search(pattern, line):
            return found
    raise AssertionError(f"The demo ended without saying {pattern!r}:\n{''.join(read)}")


def children(pid: int) -> set[int]:
    """The processes below one."""
    listed = subprocess.run(["ps", "-axo", "pid=,ppid="], capture_output=True, text=True, check=True)
    pairs = [tuple(map(int, line.split())) for line in listed.stdout.splitlines()]
    found = {child for child, parent in pairs if parent == pid}
    return found | {below for child in found for below in children(child)}


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def answers(url: str) -> bool:
    address = urlsplit(url)
    with socket.socket() as attempt:
        return attempt.connect_ex((address.hostname, address.port)) == 0


def test_a_headless_demo_plays_the_reviewers_and_leaves_their_decisions_on_disk(temporary: Path) -> None:
    with demo(temporary, "--headless", "--keep") as process:
        told, _ = process.communicate()
    assert process.returncode == 0, told
    assert "DIFFERS" not in told

    [home] = temporary.glob("keyturn-demo-*")
    shop = home / "shop"
    assert len(list((shop / "cache" / "images").iterdir())) == 24, "the rollback did not bring the cache back"
    assert not Path("/etc/keyturn-demo.conf").exists(), "the blocked write happened"
    settings = (shop / "settings.json").read_text()
    assert settings == json.dumps({"max_connections": 20, "currency": "EUR"}, indent=2) + "\n"
    assert (shop / "live" / "VERSION").read_text() == "1.1.0\n"
    assert len(list((shop / "backups").iterdir())) == 3, "the rejected delete happened"
    with closing(sqlite3.connect(shop / "shop.db")) as database:
        tables = {name for (name,) in database.execute("SELECT name FROM sqlite_schema")}
        assert "carts_2023" not in tables, "the approved migration did not run"
        assert [row[3] for row in database.execute("SELECT * FROM orders")] == [None, None, None]
    assert f"The directory stays: {home}" in told


def test_ctrl_c_ends_an_interactive_demo_and_leaves_nothing(temporary: Path) -> None:
    with demo(temporary) as process:
        page = read_until(process, r"Open +(http://127\.0\.0\.1:\d+)/")[1]
        server = read_until(process, r"(http://127\.0\.0\.1:\d+)/v1/")[1]
        read_until(process, r"3/\d ")  # a card is about to wait for a click
        below = children(process.pid)
        assert len(below) == 4, "sandbox, server, agent and its rollback worker should run"
        assert answers(page)
        assert answers(server)

        process.send_signal(signal.SIGINT)
        told, _ = process.communicate(timeout=120)

    assert process.returncode == 0, told
    assert "Stopped" in told
    assert "Traceback" not in told
    assert not [pid for pid in below if alive(pid)]
    assert not answers(page)
    assert not answers(server)
    assert list(temporary.iterdir()) == [], "the demo left files behind"


def test_a_part_that_dies_ends_the_demo_with_its_last_lines(temporary: Path) -> None:
    with demo(temporary) as process:
        read_until(process, r"3/\d ")
        victim = next(pid for pid in children(process.pid) if "sandbox" in arguments_of(pid))
        os.kill(victim, signal.SIGKILL)
        told, _ = process.communicate(timeout=120)

    assert process.returncode == 1, told
    assert "The sandbox was killed by signal 9" in told
    assert list(temporary.iterdir()) == []


def arguments_of(pid: int) -> str:
    return subprocess.run(
        ["ps", "-o", "args=", "-p", str(pid)], capture_output=True, text=True, check=True
    ).stdout
