"""Secrets that Keyturn makes for itself, each in a file that only its owner can read."""

import base64
import os
import secrets
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from bot.core.redaction import Redactor


def webhook_secret(key_dir: Path) -> str:
    """What `notify: webhook` is signed with (`whsec_…`); made at the first use, as text for its receivers.

    Raises:
        OSError: the directory cannot be written, or the file cannot be read.
    """
    path = key_dir / "webhook.secret"
    made = private_file(path, lambda: b"whsec_" + base64.b64encode(secrets.token_bytes(32)) + b"\n")
    return made.decode().strip()


def redactor(key_dir: Path) -> Redactor:
    """Masks secrets, equal ones alike; its key is made at the first use, 0600."""
    return Redactor(private_file(key_dir / "redaction.key", lambda: secrets.token_bytes(32)))


def callback_key(key_dir: Path) -> bytes:
    """The secret from which callback secrets are derived; made at the first use, 0600."""
    return private_file(key_dir / "callbacks.key", lambda: secrets.token_bytes(32))


def ed25519_key(path: Path) -> Ed25519PrivateKey:
    """The signing key in a file, made at the first use, 0600.

    Raises:
        OSError: the directory cannot be written, or the key cannot be read.
        ValueError: the file holds no Ed25519 key.
    """
    key = load_pem_private_key(private_file(path, _new_ed25519), password=None)
    if not isinstance(key, Ed25519PrivateKey):
        raise ValueError(f"{path} holds no Ed25519 key; move it away and a new one is made.")
    return key


def _new_ed25519() -> bytes:
    key = Ed25519PrivateKey.generate()
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def private_file(path: Path, make: Callable[[], bytes]) -> bytes:
    """The content of `path`, made by `make` when there is none: mode 0600, whole or not at all.

    Of several processes that make it at once one wins, and all of them get what that one made.

    Raises:
        OSError: the directory cannot be written, or the file cannot be read.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not path.exists():
        draft = path.with_name(f"{path.name}.{os.getpid()}.new")
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(make())
            file.flush()
            os.fsync(file.fileno())
        with suppress(FileExistsError):
            os.link(draft, path)  # unlike a rename it never takes another's place
        draft.unlink()
    return path.read_bytes()
