"""Where commands meet the running server: beside the database, and never where somebody else could listen."""

import os
import tempfile
from pathlib import Path

import pytest

from bot.core.errors import Unavailable
from bot.http import admin


@pytest.fixture
def spare(tmp_path, monkeypatch) -> Path:
    """The directory for sockets whose own place has too long a name; not made yet."""
    short = Path(tempfile.mkdtemp(prefix="kt-"))
    monkeypatch.setattr(tempfile, "gettempdir", lambda: str(short))
    return short / f"keyturn-{os.getuid()}"


DEEP = Path("/var/lib") / ("long" * 30) / "keyturn.db"


def test_the_socket_stands_beside_its_database():
    assert admin.socket_path(Path("/var/lib/keyturn.db")) == Path("/var/lib/keyturn.db.sock")


def test_a_long_name_gets_a_short_place_of_this_user_alone(spare):
    path = admin.socket_path(DEEP)
    assert path.parent == spare
    assert path != admin.socket_path(DEEP.with_name("other.db"))
    with admin.listen(path):
        assert admin.running(path)
        assert spare.stat().st_mode & 0o777 == 0o700
        assert path.stat().st_mode & 0o777 == 0o600
    assert not admin.running(path)


def open_to_all(spare):
    spare.mkdir()
    spare.chmod(0o777)


def a_link_elsewhere(spare):
    elsewhere = spare.with_name("elsewhere")
    elsewhere.mkdir(mode=0o700)
    spare.symlink_to(elsewhere)


@pytest.mark.parametrize("trap", [open_to_all, a_link_elsewhere])
def test_a_place_that_others_can_write_to_is_neither_listened_at_nor_asked(spare, trap):
    path = admin.socket_path(DEEP)
    with admin.listen(path):
        pass
    for left in spare.iterdir():
        left.unlink()
    spare.rmdir()
    trap(spare)
    with admin._bound(path):
        assert not admin.running(path)
        with pytest.raises(PermissionError, match="somebody else"):
            admin.listen(path)


async def test_a_server_that_ends_while_it_is_asked_is_a_clear_refusal(tmp_path):
    with pytest.raises(Unavailable, match="did not answer"):
        await admin.call(tmp_path / "nobody.sock", "pause", {})
