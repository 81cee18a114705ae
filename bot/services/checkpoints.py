"""Signs the audit's end now and then, and keeps each note in other places.

A checkpoint is made every thousand rows, and a minute after anything happened. It is stored with its
own event, then appended to a file that is never rewritten: copy or mount that file where whoever runs
the database cannot change it. A note that did not reach the file is appended at the next pass. The
outbox takes it to a Slack channel and to a webhook; of what waits there only the newest is sent, since
it covers all before it.
"""

import asyncio
import json
import logging
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from bot.core import checkpoint
from bot.core.chain import Place
from bot.core.checkpoint import NAME, BadNote, Checkpoint, NoteKey
from bot.core.clock import Clock
from bot.core.errors import Unavailable
from bot.core.models import Outgoing
from bot.core.times import rfc3339
from bot.services.keys import ed25519_key
from bot.store import Committed, Store
from bot.store.checkpoints import AddCheckpoint

log = logging.getLogger(__name__)

ROWS = 1000
KEY_FILE = "checkpoints.pem"


class NoteFile:
    """Notes kept beside the database, one JSON object `{seq, at, key, note}` a line, only appended to."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def notes(self) -> list[str]:
        """Every whole note in the file, oldest first; none when there is no file.

        A line that holds none stands for itself: whoever verifies says that it does not count.

        Raises:
            OSError: the file cannot be read.
        """
        if not self._path.exists():
            return []
        *lines, torn = self._path.read_bytes().split(b"\n")
        if torn:
            # The power may go in the middle of a line; the note is still in the database.
            log.warning("%s ends in half a line", self._path, extra={"event": "checkpoint_torn"})
        return [_note(line) or line.decode(errors="replace") for line in lines if line]

    def append(self, signed: Sequence[Checkpoint], key: NoteKey) -> None:
        """Add notes, on disk when it returns.

        Raises:
            OSError: the file cannot be written.
        """
        lines = [
            json.dumps({"seq": s.place.seq, "at": s.at, "key": str(key), "note": s.note}) + "\n"
            for s in signed
        ]
        descriptor = os.open(self._path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "rb+") as file:
            size = file.seek(0, os.SEEK_END)
            torn = size > 0 and os.pread(descriptor, 1, size - 1) != b"\n"
            file.write((("\n" if torn else "") + "".join(lines)).encode())
            file.flush()
            os.fsync(descriptor)


def _note(line: bytes) -> str | None:
    try:
        return str(json.loads(line)["note"])
    except (ValueError, KeyError, TypeError):
        return None


def _said(note: str) -> Checkpoint | None:
    try:
        return checkpoint.read(note)
    except BadNote:
        return None


def kept_notes(path: Path) -> list[str]:
    """The notes of a file: one of ours, or what somebody copied from Slack or elsewhere.

    Raises:
        BadNote: it holds none.
        OSError: it cannot be read.
    """
    if copied := checkpoint.find(path.read_text(encoding="utf-8", errors="replace")):
        return copied
    kept = NoteFile(path).notes()
    if not any(map(_said, kept)):
        raise BadNote(f"{path} holds no checkpoint.")
    return kept


def note_file(database: Path) -> NoteFile:
    """Where the notes of a database are kept: `<database>.checkpoints`."""
    return NoteFile(database.with_name(database.name + ".checkpoints"))


def signing_key(key_dir: Path) -> Ed25519PrivateKey:
    """The key that signs checkpoints, made at the first use, 0600.

    Raises:
        OSError: the directory cannot be written, or the key cannot be read.
        ValueError: the file holds no Ed25519 key.
    """
    return ed25519_key(key_dir / KEY_FILE)


def known_key(key_dir: Path) -> NoteKey | None:
    """The key that checkpoints should be signed with, if this machine has it; nothing is made.

    Raises:
        OSError: the key cannot be read.
        ValueError: the file holds no Ed25519 key.
    """
    if not (key_dir / KEY_FILE).exists():
        return None
    return NoteKey(NAME, signing_key(key_dir).public_key())


TO_SLACK, TO_WEBHOOK = "checkpoint.slack", "checkpoint.webhook"
"""Kinds of outbox rows: `{to, seq, at, note, key}`."""


@dataclass(frozen=True, slots=True)
class Anchors:
    """Where each checkpoint is posted: a channel's id and a URL, None for nowhere."""

    channel: str | None = None
    webhook: str | None = None


class Checkpoints:
    """The pass that signs. The scheduler makes it every minute.

    Args:
        kept: The second place of each note.
        anchors: Places on other machines, by the policies in force.
        hurry: Told that enough has happened for the next pass.
    """

    def __init__(
        self,
        store: Store,
        clock: Clock,
        key: Ed25519PrivateKey,
        kept: NoteFile,
        anchors: Callable[[], Anchors] = Anchors,
        hurry: Callable[[], None] = lambda: None,
    ) -> None:
        self._hurry = hurry
        self._anchors = anchors
        self._store = store
        self._clock = clock
        self._key = key
        self._kept = kept
        self.public = NoteKey(NAME, key.public_key())
        self._rows = 0
        self._passing = asyncio.Lock()
        store.on_commit(self._committed)

    async def run_once(self) -> None:
        """Sign what happened since the last pass, and bring every note to its second place.

        Trouble is logged, and left to the next pass. The last one is made after everything else has
        stopped, so that a clean stop leaves no gap.
        """
        async with self._passing:
            self._rows = 0
            try:
                await self.sign()
                await self.keep()
            except (Unavailable, OSError, BadNote) as trouble:
                log.error("no checkpoint: %s", trouble, extra={"event": "no_checkpoint"})

    async def sign(self) -> Checkpoint | None:
        """Sign the present end of the chain; None when nothing but checkpoints was added since the last."""
        reads = self._store.reads
        note = await reads.last_checkpoint()
        last = None if note is None else checkpoint.read(note)
        head = await reads.chain_head()
        # The event of the last checkpoint is the row after it: alone it is no news.
        if head.seq <= (0 if last is None else last.place.seq + 1):
            return None
        now = self._clock.now()
        signed = checkpoint.sign(
            self._key,
            log=await self._log() if last is None else last.log,
            place=Place(head.seq, bytes.fromhex(head.hash)),
            at=rfc3339(now),
        )
        mail = self._mail(signed)
        await self._store.write(AddCheckpoint(signed, str(self.public), now, mail))
        return signed

    async def keep(self) -> None:
        """Append what the second place lacks."""
        known = await asyncio.to_thread(self._kept.notes)
        end = (await self._store.reads.chain_head()).seq
        places = (said.place.seq for said in map(_said, known) if said is not None)
        last = max((seq for seq in places if seq <= end), default=0)
        stored = map(_said, await self._store.reads.checkpoints(last))
        lacking = [said for said in stored if said is not None]
        if lacking:
            await asyncio.to_thread(self._kept.append, lacking, self.public)

    def _mail(self, signed: Checkpoint) -> tuple[Outgoing, ...]:
        anchors = self._anchors()
        said = {"seq": signed.place.seq, "at": signed.at, "note": signed.note, "key": str(self.public)}
        lanes = (
            (TO_SLACK, anchors.channel, f"channel:{anchors.channel}"),
            (TO_WEBHOOK, anchors.webhook, f"url:{anchors.webhook}"),
        )
        return tuple(
            Outgoing(kind, {"to": to, **said}, order=lane, coalesce=f"{kind}:{to}")
            for kind, to, lane in lanes
            if to is not None
        )

    async def _log(self) -> str:
        [first] = await self._store.reads.links(0, limit=1)
        return checkpoint.log_name(bytes(first.hash))

    def _committed(self, changes: Sequence[Committed]) -> None:
        self._rows += len(changes)
        if self._rows >= ROWS:
            self._rows = 0
            self._hurry()
