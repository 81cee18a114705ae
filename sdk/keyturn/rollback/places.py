"""Files by their exact place: no symbolic link is followed, and a replacement is atomic.

A path is walked one directory at a time, each opened with O_NOFOLLOW and relative to the one before,
so that nobody can swap a directory for a link between the look and the write (POSIX).
"""

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Self

from keyturn.rollback.parts import UndoConflict, UndoFailed

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


LONGEST = 8 << 20
"""Bytes of a file that are held in memory: far more than an undo carries. A file may have grown since."""

_PIECE = 1 << 20


@dataclass(frozen=True, slots=True)
class Found:
    """A regular file as it is.

    Attributes:
        content: All of it, or its first `LONGEST` bytes.
        digest: The SHA-256 of all of it, in hex.
    """

    content: bytes
    mode: int
    size: int
    digest: str

    @classmethod
    def of(cls, content: bytes, mode: int) -> Self:
        """A file with this content."""
        return cls(content, mode, len(content), sha256(content).hexdigest())

    @property
    def whole(self) -> bool:
        """Whether `content` is all of it."""
        return len(self.content) == self.size


def read(path: str) -> Found | None:
    """The file, or None when there is none.

    Raises:
        UndoFailed: a link or something else stands in its place, or it cannot be read.
    """
    try:
        with _parent(path, make=False) as (directory, name):
            return _read_at(directory, name, path)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise UndoFailed(f"{path} cannot be read: {error.strerror}") from error


def replace(path: str, content: bytes, mode: int | None, over: Found | None) -> None:
    """Put `content` in the file's place, at once and on disk; missing directories are made.

    Args:
        over: What was found there; anything else is not overwritten.

    Raises:
        UndoConflict: somebody has changed it meanwhile.
        UndoFailed: a link or a directory stands in its place, or it cannot be written.
    """
    try:
        with _parent(path, make=True) as (directory, name):
            present = _look(directory, name, path)
            chosen = (
                mode if mode is not None else (0o644 if present is None else stat.S_IMODE(present.st_mode))
            )
            with _written(directory, name, content, chosen, present) as temporary:
                _refuse_another(directory, name, path, over)
                os.rename(temporary, name, src_dir_fd=directory, dst_dir_fd=directory)
            _keep(directory, f"{path} is put back")
    except OSError as error:
        raise UndoFailed(f"{path} cannot be written: {error.strerror}. It is as it was.") from error


def remove(path: str, over: Found) -> None:
    """Remove the file; one that is not there stays away.

    Args:
        over: What was found there; anything else is not removed.

    Raises:
        UndoConflict: somebody has changed it meanwhile.
        UndoFailed: a link or a directory stands in its place, or it cannot be removed.
    """
    try:
        with _parent(path, make=False) as (directory, name):
            if _look(directory, name, path) is not None:
                _refuse_another(directory, name, path, over)
                os.unlink(name, dir_fd=directory)
                _keep(directory, f"{path} is removed")
    except FileNotFoundError:
        return
    except OSError as error:
        raise UndoFailed(f"{path} cannot be removed: {error.strerror}. It is as it was.") from error


def directory_mode(path: str) -> int | None:
    """The mode of the directory; None when there is nothing.

    Raises:
        UndoFailed: a link or something else stands in its place, or it cannot be looked at.
    """
    try:
        with _parent(path, make=False) as (directory, name):
            found = os.stat(name, dir_fd=directory, follow_symlinks=False)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise UndoFailed(f"{path} cannot be read: {error.strerror}") from error
    if not stat.S_ISDIR(found.st_mode):
        raise UndoFailed(
            f"{path} is a link or no directory now; nothing was followed and nothing was changed"
        )
    return stat.S_IMODE(found.st_mode)


def make_directory(path: str, mode: int | None) -> None:
    """Make the directory, with those above it, if it is not there, and set its mode.

    Raises:
        UndoFailed: a link or something else stands in its place, or it cannot be made.
    """
    try:
        with _parent(path, make=True) as (directory, name):
            made = _enter(directory, name, path, make=True)
            try:
                if mode is not None:
                    os.fchmod(made, mode)
                os.fsync(made)
            finally:
                os.close(made)
            _keep(directory, f"{path} is put back")
    except OSError as error:
        raise UndoFailed(f"{path} cannot be made as it was: {error.strerror}.") from error


def _read_at(directory: int, name: str, path: str) -> Found | None:
    if _look(directory, name, path) is None:
        return None
    opened = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=directory)
    with os.fdopen(opened, "rb") as file:
        content = file.read(LONGEST)
        digest, size = sha256(content), len(content)
        while piece := file.read(_PIECE):
            digest.update(piece)
            size += len(piece)
        return Found(content, stat.S_IMODE(os.fstat(file.fileno()).st_mode), size, digest.hexdigest())


def _keep(directory: int, done: str) -> None:
    """Have a change of names on disk.

    Raises:
        UndoFailed: it is done, and may be lost when the machine stops.
    """
    try:
        os.fsync(directory)
    except OSError as error:
        raise UndoFailed(
            f"{done}, but the disk does not confirm it: {error.strerror}. Look whether it stays so."
        ) from error


def _refuse_another(directory: int, name: str, path: str, over: Found | None) -> None:
    """Look once more, last of all: between a look and a change somebody else may write."""
    present = _read_at(directory, name, path)
    if (None if present is None else present.digest) != (None if over is None else over.digest):
        raise UndoConflict(f"{path} was changed at this very moment; nothing was changed.")


def _look(directory: int, name: str, path: str) -> os.stat_result | None:
    try:
        found = os.stat(name, dir_fd=directory, follow_symlinks=False)
    except FileNotFoundError:
        return None
    if stat.S_ISLNK(found.st_mode):
        raise UndoFailed(f"{path} is a symbolic link now; nothing was followed and nothing was changed")
    if not stat.S_ISREG(found.st_mode):
        raise UndoFailed(f"{path} is no regular file now; nothing was changed")
    return found


@contextmanager
def _written(
    directory: int, name: str, content: bytes, mode: int, present: os.stat_result | None
) -> Iterator[str]:
    """The name of a file beside it, on disk, that may take its place; what is left of it is removed."""
    temporary = _temporary(name)
    with suppress(FileNotFoundError):  # of a try that was killed half-way
        os.unlink(temporary, dir_fd=directory)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    with os.fdopen(os.open(temporary, flags, 0o600, dir_fd=directory), "wb") as file:
        try:
            file.write(content)
            file.flush()
            if present is not None:
                with suppress(PermissionError):  # only root may give a file away
                    os.fchown(file.fileno(), present.st_uid, present.st_gid)
            os.fchmod(file.fileno(), mode)
            os.fsync(file.fileno())
            yield temporary
        except BaseException:
            with suppress(FileNotFoundError):
                os.unlink(temporary, dir_fd=directory)
            raise


def _temporary(name: str) -> str:
    """The name of a file's replacement until it takes its place; always the same, so none piles up."""
    encoded = os.fsencode(name)
    return f".{encoded[:100].decode('utf-8', 'ignore')}.{sha256(encoded).hexdigest()[:12]}.keyturn"


@contextmanager
def _parent(path: str, *, make: bool) -> Iterator[tuple[int, str]]:
    """The directory that holds `path`, opened, and the name in it."""
    place = Path(path)
    if not place.is_absolute() or ".." in place.parts or not place.name:
        raise UndoFailed(f"{path} is not an absolute path in normal form")
    directory = os.open(place.anchor, _DIRECTORY)
    try:
        for part in place.parts[1:-1]:
            below = _enter(directory, part, path, make=make)
            os.close(directory)
            directory = below
        yield directory, place.name
    finally:
        os.close(directory)


def _enter(directory: int, part: str, path: str, *, make: bool) -> int:
    try:
        return os.open(part, _DIRECTORY, dir_fd=directory)
    except FileNotFoundError:
        if not make:
            raise
        os.mkdir(part, dir_fd=directory)
        return os.open(part, _DIRECTORY, dir_fd=directory)
    except NotADirectoryError:  # what O_NOFOLLOW with O_DIRECTORY says of a link (Linux)
        raise UndoFailed(
            f"{path} leads through {part}, which is a link or no directory; nothing was changed"
        ) from None
