"""Checkpoints: signed notes that fix the audit's chain up to a place.

A note is text in the form of C2SP's signed note (c2sp.org/signed-note), so that its signature can be
checked without Keyturn: the name of the log, the place, the hash in base64, the time, an empty line,
and one Ed25519 signature. Whoever keeps a note elsewhere can tell later that rows were cut off or
rewritten, which the chain alone cannot.
"""

import base64
import binascii
import hashlib
import re
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from bot.core.chain import Place

NAME = "keyturn"
"""The key's name in notes."""

_ED25519 = b"\x01"
_NOTE = re.compile(
    r"(?P<text>(?P<log>keyturn/audit/[0-9a-f]{16})\n(?P<seq>[1-9][0-9]{0,17})\n(?P<hash>[A-Za-z0-9+/]{43}=)\n"
    r"(?P<at>[0-9T:.Z-]{20,27})\n)\n— (?P<name>[!-*,-~]{1,64}) (?P<signature>[A-Za-z0-9+/]{91}=)\n"
)
_KEY = re.compile(r"(?P<name>[!-*,-~]{1,64})\+(?P<id>[0-9a-f]{8})\+(?P<key>[A-Za-z0-9+/]{44})")


class BadNote(ValueError):
    """This is no checkpoint, or not one by this key."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What a note says. `log` names the audit by the hash of its first row; `at` is RFC 3339."""

    log: str
    place: Place
    at: str
    note: str
    """The whole signed text."""


@dataclass(frozen=True, slots=True)
class NoteKey:
    """The public half of a signing key."""

    name: str
    public: Ed25519PublicKey

    @classmethod
    def parse(cls, text: str) -> "NoteKey":
        """The key of a line `<name>+<id>+<base64>`, as `__str__` writes it.

        Raises:
            BadNote: it is no such line.
        """
        found = _KEY.fullmatch(text.strip())
        data = b"" if found is None else base64.b64decode(found["key"])
        if found is None or data[:1] != _ED25519 or len(data) != 33:
            raise BadNote("A checkpoint key looks like keyturn+1a2b3c4d+AY…, on one line.")
        key = cls(found["name"], Ed25519PublicKey.from_public_bytes(data[1:]))
        if key.id.hex() != found["id"]:
            raise BadNote("This checkpoint key was not copied whole.")
        return key

    @property
    def id(self) -> bytes:
        """Four bytes that name the key in a signature."""
        return hashlib.sha256(self.name.encode() + b"\n" + self._typed).digest()[:4]

    @property
    def _typed(self) -> bytes:
        return _ED25519 + self.public.public_bytes_raw()

    def __str__(self) -> str:
        return f"{self.name}+{self.id.hex()}+{base64.b64encode(self._typed).decode()}"


def log_name(first: bytes) -> str:
    """The name of the audit whose first row has this hash."""
    return f"keyturn/audit/{first.hex()[:16]}"


def sign(key: Ed25519PrivateKey, *, log: str, place: Place, at: str) -> Checkpoint:
    """The signed note of a place of the log.

    Args:
        at: RFC 3339.
    """
    text = f"{log}\n{place.seq}\n{base64.b64encode(place.hash).decode()}\n{at}\n"
    signature = NoteKey(NAME, key.public_key()).id + key.sign(text.encode())
    note = f"{text}\n— {NAME} {base64.b64encode(signature).decode()}\n"
    return Checkpoint(log, place, at, note)


def read(note: str) -> Checkpoint:
    """What a note says; its signature is not looked at.

    Raises:
        BadNote: it is no note of an audit.
    """
    found = _NOTE.fullmatch(note)
    if found is None:
        raise BadNote("This is no checkpoint of an audit.")
    try:
        place = Place(int(found["seq"]), base64.b64decode(found["hash"], validate=True))
    except binascii.Error:
        raise BadNote("The hash of this checkpoint is not base64.") from None
    return Checkpoint(found["log"], place, found["at"], note)


def find(text: str) -> list[str]:
    """Every note in a text that people copied together; its lines may end as they do elsewhere."""
    lines = (line.strip() for line in text.splitlines())
    return [found[0] for found in _NOTE.finditer("\n".join([*lines, ""]))]


def check(note: str, key: NoteKey) -> Checkpoint:
    """What a note says, if this key signed it.

    Raises:
        BadNote: it is no note, or another key's, or was changed.
    """
    said = read(note)
    found = _NOTE.fullmatch(note)
    assert found is not None, "it was read"
    signature = base64.b64decode(found["signature"])
    if found["name"] != key.name or signature[:4] != key.id:
        raise BadNote("This checkpoint is signed by another key.")
    try:
        key.public.verify(signature[4:], found["text"].encode())
    except InvalidSignature:
        raise BadNote("The signature of this checkpoint is wrong.") from None
    return said
