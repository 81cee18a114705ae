"""Secrets that Keyturn makes for itself, each in a file that only its owner can read."""

import os
from collections.abc import Callable
from pathlib import Path


def private_file(path: Path, make: Callable[[], bytes]) -> bytes:
    """The content of `path`, made by `make` when there is none: mode 0600, whole or not at all.

    Raises:
        OSError: the directory cannot be written, or the file cannot be read.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not path.exists():
        draft = path.with_name(path.name + ".new")
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(make())
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    return path.read_bytes()
