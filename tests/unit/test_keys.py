"""Secrets that Keyturn makes for itself: readable by their owner alone, and one for all processes."""

import subprocess
import sys

from bot.services.keys import private_file, webhook_secret

ANOTHER = """
import sys
from pathlib import Path
from bot.services.keys import private_file
assert private_file(Path(sys.argv[1]), lambda: b"theirs") == b"theirs"
"""


def test_a_secret_is_made_once_and_for_its_owner_alone(tmp_path):
    first = webhook_secret(tmp_path / "keys")
    assert first.startswith("whsec_")
    assert webhook_secret(tmp_path / "keys") == first
    (made,) = (tmp_path / "keys").iterdir()
    assert made.stat().st_mode & 0o777 == 0o600
    assert made.parent.stat().st_mode & 0o777 == 0o700


def test_of_two_processes_that_make_it_at_once_both_get_the_first_ones(tmp_path):
    path = tmp_path / "keys" / "a.key"

    def while_another_makes_its_own() -> bytes:
        subprocess.run([sys.executable, "-c", ANOTHER, path], check=True)
        return b"ours"

    assert private_file(path, while_another_makes_its_own) == b"theirs"
    assert path.read_bytes() == b"theirs"
    assert [left.name for left in path.parent.iterdir()] == ["a.key"]
